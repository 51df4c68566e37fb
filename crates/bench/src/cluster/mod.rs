//! Whole clusters under load: this one, and what a user would take instead, each in processes of its own.
//!
//! | file | job |
//! |---|---|
//! | `drive` | clients in a closed or an open loop, and what they saw |
//! | `failover` | how long nobody can write after the primary was killed, and whether anything is lost |
//! | `redis` | the Redis protocol, for this cluster and for Redis |
//! | `etcd` | etcd's put and range, over gRPC |
//! | `floor` | the least that a replicated durable put can cost, to see the distance to it |
//! | `peers` | starts and ends the processes, and asks the kernel what they used |

pub mod drive;
mod etcd;
pub mod failover;
pub mod floor;
pub mod peers;
mod redis;

use std::io;

/// What one client speaks through: a connection of its own, or one that it shares.
pub enum Connection {
    /// Redis protocol.
    Redis(redis::Connection),
    /// Redis protocol, with others.
    SharedRedis(redis::Shared),
    /// gRPC; each call is a stream of its own, so others may share the connection.
    Etcd(etcd::Connection),
}

/// How to reach a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Redis protocol; with the number of replicas that each write waits for (`WAIT`), if it is not 0.
    Redis {
        /// `WAIT` for so many.
        wait: u32,
    },
    /// etcd's gRPC.
    Etcd,
}

impl Connection {
    /// For each of `clients` one, over `connections` if they are fewer.
    async fn open(
        protocol: Protocol,
        port: u16,
        clients: usize,
        connections: Option<usize>,
    ) -> io::Result<Vec<Connection>> {
        let count = connections.unwrap_or(clients).clamp(1, clients);
        let mut opened = Vec::new();
        match protocol {
            Protocol::Redis { wait } if count == clients => {
                for _ in 0..clients {
                    opened.push(Connection::Redis(redis::Connection::open(port, wait).await?));
                }
            }
            Protocol::Redis { wait } => {
                let mut shared = Vec::new();
                for _ in 0..count {
                    shared.push(redis::Shared::open(port, wait).await?);
                }
                opened.extend((0..clients).map(|n| Connection::SharedRedis(shared[n % count].clone())));
            }
            Protocol::Etcd => {
                let shared = etcd::Connection::open(port, count).await?;
                opened.extend((0..clients).map(|n| Connection::Etcd(shared[n % count].clone())));
            }
        }
        Ok(opened)
    }

    async fn put(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        match self {
            Connection::Redis(redis) => redis.put(key, value).await,
            Connection::SharedRedis(redis) => redis.put(key, value).await,
            Connection::Etcd(etcd) => etcd.put(key, value).await,
        }
    }

    /// The value, if there is one; in the wrapping of the answer, where that is not taken off.
    async fn get(&mut self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        match self {
            Connection::Redis(redis) => Ok(redis.get(key).await?.map(<[u8]>::to_vec)),
            Connection::SharedRedis(redis) => redis.get(key).await,
            Connection::Etcd(etcd) => etcd.get(key).await.map(Some),
        }
    }
}
