//! What a client can ask of a gateway, and what it can hear.

use std::sync::Arc;

use dataplane::{
    ClusterId, Epoch, GatewayId, Limits, Micros, NodeId, NodeStatus, Op, Outcome, Query, Seq, ShardId,
};

/// Names one client request inside this gateway process; chosen by the host, each greater than those before.
pub type Token = u64;

/// What a client asks for. A question about all keys goes to all shards: each answers as of one moment, and the shards'
/// moments differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// To change a key.
    Write(Op),
    /// To read.
    Read(Query),
}

impl Request {
    /// The key that it is about; `None`: about all of them.
    pub fn key(&self) -> Option<&Arc<[u8]>> {
        match self {
            Request::Write(op) => op.key(),
            Request::Read(Query::Get(key) | Query::GetUpTo(key, _)) => Some(key),
            Request::Read(Query::Scan { .. } | Query::Count) => None,
        }
    }
}

/// What a client hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A write's result.
    Done(Outcome),
    /// A value with its version.
    Value(Seq, Arc<[u8]>),
    /// The value of this key has so many bytes, more than were asked for.
    Long(Arc<[u8]>, u32),
    /// The key has no value.
    Missing,
    /// Keys with versions and value lengths, in key order.
    Keys(Vec<(Arc<[u8]>, Seq, u32)>),
    /// How many keys there are.
    Count(u64),
    /// There is no room on the device for the write. It had no effect.
    NoRoom,
    /// The write may or may not have taken effect, and may yet.
    Unknown(String),
    /// Certainly no effect: it was never taken. A read that could not be answered is told so as well.
    Unavailable(String),
    /// The request itself is not acceptable; nothing was sent.
    Invalid(String),
    /// The stored value is damaged; it is not shown.
    Damaged,
}

/// What a gateway is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which gateway this is, and which run of it.
    pub id: GatewayId,
    /// The cluster.
    pub cluster: ClusterId,
    /// The storage nodes that the cluster was founded with. Of others it learns from them.
    pub nodes: Vec<NodeId>,
    /// How many shards there are.
    pub shards: u32,
    /// Seed of the jitter in back-off.
    pub seed: u64,
    /// Which mechanisms are on.
    pub mechanisms: trace::Mechanisms,
    /// How long it waits for what.
    pub timing: Timing,
    /// How much the replicas remember of requests.
    pub limits: Limits,
    /// Most client requests that have no reply yet.
    pub in_flight_max: usize,
}

/// How long a gateway waits, in microseconds: at least, since it waits longer where syncs and round trips are found to
/// take longer.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Between two probes of a node.
    pub probe_every: Micros,
    /// A primary that says nothing for this long is suspected.
    pub silence: Micros,
    /// A request unanswered for this long is sent again.
    pub retry_after: Micros,
    /// A takeover that has not succeeded after this long has failed.
    pub takeover_patience: Micros,
    /// Longest wait between two takeover attempts.
    pub backoff_max: Micros,
    /// A request gets its final answer after this long at the latest.
    pub deadline: Micros,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            probe_every: 100_000,
            silence: 500_000,
            retry_after: 250_000,
            takeover_patience: 150_000,
            backoff_max: 2_000_000,
            deadline: 10_000_000,
        }
    }
}

/// What a gateway knows of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardView {
    /// The shard.
    pub shard: ShardId,
    /// The greatest epoch heard of.
    pub epoch: Epoch,
    /// Its primary, if one is known to serve.
    pub primary: Option<NodeId>,
    /// Per node, what it last said, and when (microseconds of the host's clock).
    pub nodes: Vec<(NodeId, Option<(Micros, NodeStatus)>)>,
    /// The primary that was given up, and why, while there is no other.
    pub suspected: Option<(NodeId, String)>,
    /// The last change of primary that this gateway saw.
    pub last_failover: Option<Failover>,
}

/// A change of primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failover {
    /// When, in microseconds of the host's clock.
    pub at: Micros,
    /// Who led before.
    pub from: Option<NodeId>,
    /// Who leads now.
    pub to: NodeId,
    /// What started it.
    pub why: String,
}
