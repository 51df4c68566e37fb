//! The quantities of the protocol, each with its own type where mixing them up would be a bug.

use std::fmt;
use std::sync::Arc;

/// Position of an entry in a shard's replicated log. The first entry is 1; 0 is "before everything".
pub type Seq = u64;

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
/// Without a bound (1) one frame asks for the greatest epoch of all, (2) the promise becomes durable, and (3) no greater
/// one is left: nobody can ever lead again.
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

/// What must hold of a key's current version for a write to take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// Nothing.
    Always,
    /// The key has no value.
    Absent,
    /// The key has a value.
    Present,
    /// The key's value was written by this entry.
    Version(Seq),
}

/// What an entry does when it is applied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// Stores a value.
    Put {
        /// 1 byte to 1 KiB.
        key: Arc<[u8]>,
        /// Up to 1 MiB.
        value: Arc<[u8]>,
        /// Decided when the entry is applied, in log order.
        condition: Condition,
    },
    /// Removes a value.
    Delete {
        /// 1 byte to 1 KiB.
        key: Arc<[u8]>,
        /// Decided when the entry is applied, in log order.
        condition: Condition,
    },
    /// Changes no key: an epoch marker, or the opening of a session.
    Nop,
}

/// Longest key in bytes; the shortest has one byte.
pub const KEY_BYTES_MAX: usize = 1024;
/// Longest value in bytes.
pub const VALUE_BYTES_MAX: usize = 1 << 20;

/// Bytes of events in one answer to a `TraceRequest`; the latest are kept.
pub const TRACE_BYTES_MAX: usize = 8 << 20;
/// Most keys in one answer to a scan, whatever its limit says.
pub const SCAN_KEYS_MAX: u32 = 10_000;
/// Bytes of entries or of state in one frame, or one entry or key and value: large enough to amortise a frame, small enough
/// that a frame does not hold up the next heartbeat.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;

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

/// A key with its version and value, as a state transfer carries it.
pub type Item = (Arc<[u8]>, Seq, Arc<[u8]>);

/// Why an entry is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// The first entry of an epoch, appended by its primary.
    Marker,
    /// A gateway asked for a session.
    Session(GatewayId),
    /// A client's write.
    Request(RequestId),
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

/// What an applied entry came to. Success and refusal are both results of the log, the same on every replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The value is stored; its version is the entry's seq.
    Written(Seq),
    /// The key has no value now.
    Deleted {
        /// Whether it had one.
        existed: bool,
    },
    /// The condition did not hold; nothing changed.
    ConditionFailed {
        /// The key's version at that point of the log.
        current: Option<Seq>,
    },
    /// A session was opened, a marker passed, or there was no room for a request's value.
    Nothing,
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
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

/// Bytes for a human: printable ASCII as it is, the rest escaped, cut after 32 bytes.
pub fn show(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(32)];
    format!("{}{}", cut.escape_ascii(), if cut.len() < bytes.len() { "…" } else { "" })
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, key, condition) = match self {
            Op::Put { key, condition, .. } => ("put", key, condition),
            Op::Delete { key, condition } => ("delete", key, condition),
            Op::Nop => return f.write_str("no-op"),
        };
        write!(f, "{verb} {}", show(key))?;
        match condition {
            Condition::Always => Ok(()),
            Condition::Absent => f.write_str(" if absent"),
            Condition::Present => f.write_str(" if present"),
            Condition::Version(seq) => write!(f, " if at version {seq}"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Written(seq) => write!(f, "written as version {seq}"),
            Outcome::Deleted { existed: true } => f.write_str("deleted"),
            Outcome::Deleted { existed: false } => f.write_str("nothing to delete"),
            Outcome::ConditionFailed { current: Some(seq) } => {
                write!(f, "condition failed, version is {seq}")
            }
            Outcome::ConditionFailed { current: None } => f.write_str("condition failed, key is absent"),
            Outcome::Nothing => f.write_str("no key changes"),
        }
    }
}
