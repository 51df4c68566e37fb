//! The quantities of the protocol, each with its own type where mixing them up would be a bug.

use std::fmt;

pub use kv::{Condition, Item, KEY_BYTES_MAX, Op, Outcome, Receipt, Seq, VALUE_BYTES_MAX, show};

/// Microseconds of the host's monotonic clock. The rules only ever compare and add.
pub type Micros = u64;

/// A storage node, numbered from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// One run of a gateway process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayId {
    /// The gateway, numbered from 1.
    pub gateway: u32,
    /// Tells this run of the gateway from earlier and later ones.
    pub life: u32,
}

/// A primary that is followed, in its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leader {
    pub id: NodeId,
    pub epoch: Epoch,
}

/// A shard, numbered from 0.
pub type ShardId = u32;

/// Names the cluster on every frame and in every superblock.
pub type ClusterId = [u8; 16];

/// Fences old primaries: an epoch has at most one primary. The first is 1; 0 is "never promised".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u64);

/// Epochs, seqs and counters of peers beyond this are not true, whoever says so.
pub const COUNTER_MAX: u64 = 1 << 62;
/// No epoch is so far ahead of all that a replica has heard of: a thousand takeovers a second take weeks to get there.
/// `guard::epoch_bound` says what happens without it.
pub const EPOCH_JUMP_MAX: u64 = 1 << 32;

/// Where a log ends. Ordered by completeness: first the epoch of the last entry, then its seq (Raft section 5.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tail {
    /// Epoch of the last entry.
    pub epoch: Epoch,
    /// Seq of the last entry.
    pub seq: Seq,
}

/// Who sends or receives a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// A storage node.
    Node(NodeId),
    /// A gateway, in one of its lives.
    Gateway(GatewayId),
}

/// Identity of a client request: the same on every retry, over all failovers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId {
    /// The session: the seq of the log entry that opened it.
    pub session: Seq,
    /// Chosen by the gateway, counting from 1 in each session.
    pub number: u64,
}

/// Bytes of events in one answer to a `TraceRequest`; the latest are kept.
pub const TRACE_BYTES_MAX: usize = 8 << 20;
/// Most keys in one answer to a scan, whatever its limit says.
pub const SCAN_KEYS_MAX: u32 = 10_000;
/// Bytes of entries or of state in one frame, or one entry or key and value: large enough to amortise a frame, small enough
/// that a frame does not hold up the next heartbeat.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;

/// Longest message of an extension.
pub const EXTENSION_BYTES_MAX: usize = 4 << 10;

/// How much each replica remembers of requests. It decides which of them take effect, so it is the same on every replica of
/// a cluster; nothing carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Most sessions remembered at a time.
    pub sessions: usize,
    /// How far below the highest number seen a number may be and still be told apart from a repetition.
    pub window: u64,
}

impl Limits {
    /// Those of a real cluster. None has greater ones: what a frame can hold is counted with these.
    pub const MAX: Limits = Limits { sessions: 64, window: 1024 };
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::MAX
    }
}

/// Why an entry is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// The first entry of an epoch, appended by its primary.
    Marker,
    /// A gateway asked for a session.
    Session(GatewayId),
    /// A client's write.
    Request(RequestId),
    /// The shard's members change.
    Change(Change),
}

/// What an entry does to the members of its shard: to one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// It is sent everything from now on, and does not count.
    Add(NodeId, Place),
    /// It counts.
    Promote(NodeId),
    /// It belongs to the shard no longer.
    Remove(NodeId),
}

/// What a node is in its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Membership {
    /// It is sent everything, and does not count.
    Learner,
    /// It counts.
    Voter,
    /// It belonged to the shard, and does not any more.
    Gone,
}

/// Where a node can be reached, in the words of its host: no rule reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(pub [u8; 18]);

impl Place {
    /// Not said.
    pub const UNKNOWN: Place = Place([0; 18]);
}

/// One position of the replicated log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// Its position.
    pub seq: Seq,
    /// The epoch whose primary appended it.
    pub epoch: Epoch,
    /// Why it is there.
    pub origin: Origin,
    /// What it does.
    pub op: Op,
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Add(node, _) => write!(f, "add {node}"),
            Change::Promote(node) => write!(f, "promote {node}"),
            Change::Remove(node) => write!(f, "remove {node}"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Node(node) => node.fmt(f),
            Address::Gateway(gateway) => write!(f, "g{}", gateway.gateway),
        }
    }
}
