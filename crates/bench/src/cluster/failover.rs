//! The primary is killed, and nothing told anybody. How long until a write is acknowledged again?
//!
//! 1. One client writes, each key once, and what was acknowledged is noted.
//! 2. `kill -9` of the primary, in the middle of that.
//! 3. From that moment on many clients try to write, a new one every millisecond, each again and again. The first
//!    acknowledgement of a write that began after the kill counts.
//! 4. Everything noted must be there.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, timeout};

use super::{Connection, Protocol};

/// Clients that try.
const CLIENTS: usize = 64;
/// etcd lets requests hang whose leader died; who asks again sooner is served sooner.
const PATIENCE: Duration = Duration::from_millis(100);
/// Longer than any failover takes.
const GIVE_UP: Duration = Duration::from_secs(30);

/// What was seen of one failover.
#[derive(Clone, Copy, Debug)]
pub struct Failover {
    /// From the kill to the first acknowledgement of a write that began after it.
    pub outage: Duration,
    /// Writes acknowledged before it.
    pub acknowledged: u64,
    /// Of those, how many are not there any more.
    pub lost: u64,
}

/// Writes at `port`, kills the primary by `kill`, and waits for the next acknowledgement. `round` makes the keys new.
pub fn failover(protocol: Protocol, port: u16, round: u64, kill: impl FnOnce()) -> io::Result<Failover> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let mut connections = Connection::open(protocol, port, CLIENTS + 1, None).await?;
        let mut writer = connections.pop().expect("at least one is opened");
        let acknowledged = Rc::new(Cell::new(0));
        let noted = acknowledged.clone();
        let writing = tokio::task::spawn_local(async move {
            while writer.put(&key(round, noted.get()), &value(round, noted.get())).await.is_ok() {
                noted.set(noted.get() + 1);
            }
        });
        sleep(Duration::from_millis(300)).await;
        kill();
        let killed = Instant::now();
        let outage: Rc<Cell<Option<Duration>>> = Rc::default();
        for (n, mut connection) in connections.into_iter().enumerate() {
            let outage = outage.clone();
            tokio::task::spawn_local(async move {
                sleep(Duration::from_millis(n as u64)).await;
                while outage.get().is_none() {
                    let put = connection.put(b"after the kill", b"x");
                    let done = match protocol {
                        Protocol::Etcd => timeout(PATIENCE, put).await.is_ok_and(|done| done.is_ok()),
                        Protocol::Redis { .. } => put.await.is_ok(),
                    };
                    if done && outage.get().is_none() {
                        outage.set(Some(killed.elapsed()));
                    }
                    sleep(Duration::from_millis(1)).await;
                }
            });
        }
        while outage.get().is_none() && killed.elapsed() < GIVE_UP {
            sleep(Duration::from_millis(1)).await;
        }
        let outage = outage.get().ok_or_else(|| io::Error::other("nobody can write any more"))?;
        writing.abort();
        let (mut lost, acknowledged) = (0, acknowledged.get());
        let mut reader = Connection::open(protocol, port, 1, None).await?.remove(0);
        for n in 0..acknowledged {
            let (found, value) = (reader.get(&key(round, n)).await?.unwrap_or_default(), value(round, n));
            lost += u64::from(!found.windows(value.len()).any(|part| part == value));
        }
        Ok(Failover { outage, acknowledged, lost })
    })
}

/// Does the etcd member at `port` lead?
pub fn etcd_leads(port: u16) -> io::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        match Connection::open(Protocol::Etcd, port, 1, None).await?.remove(0) {
            Connection::Etcd(mut member) => member.leads().await,
            _ => Ok(false),
        }
    })
}

fn key(round: u64, n: u64) -> Vec<u8> {
    format!("round {round} key {n}").into_bytes()
}

fn value(round: u64, n: u64) -> Vec<u8> {
    format!("value {n} of round {round}").into_bytes()
}
