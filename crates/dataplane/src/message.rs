//! Everything that is ever said between nodes and gateways.
//!
//! | message | who to whom | says |
//! |---|---|---|
//! | `Prepare` | primary → backup | append these entries behind that one; this much is committed |
//! | `PrepareOk` | backup → primary | everything up to here is durable and matches yours |
//! | `PrepareRefused` | backup → primary | my log does not match there; it ends here (and did not always: I lost entries) |
//! | `Contradicted` | primary → backup | you acknowledged more than your log has |
//! | `PromiseRequest` | candidate → node | promise me this epoch |
//! | `Promised` | node → candidate | promised, durably; my log ends here |
//! | `Fenced` | node → node | not in this epoch: I promised it, or a greater one, elsewhere; or my log is unproven |
//! | `Confirm`, `Confirmed` | primary ↔ backup | am I still primary? (for reads) |
//! | `Behind` | primary → backup | what you lack is no longer in my log: fetch my state |
//! | `Pull`, `Chunk` | receiver ↔ primary | state transfer, in pieces |
//! | `Fetch`, `Fetched` | replica ↔ replica | a value that is damaged here; the nodes answer, the rules only say whose will do |
//! | `Extension` | replica ↔ replica | what an extension says to its like, with what the sender has promised; the rules never see it |
//! | `Write`, `OpenSession`, `Read` | gateway → primary | a client's request |
//! | `Answer`, `ReadAnswer`, `Refused` | node → gateway | its result, or why it was not taken |
//! | `Probe`, `Status` | gateway ↔ node | who are you, and how complete is your log? |
//! | `Members` | node → gateway | who belongs to the shard by my log, behind each `Status` where that changes; and the epoch that I serve in |
//! | `TakeOver` | gateway → node | become primary, in an epoch above this one; give up after so long |
//! | `TraceRequest`, `TraceReply` | gateway ↔ node | the events of followed requests; the hosts answer, the rules never see them |
//! | `Usage` | node → gateway | what the replica has used, behind each `Status`; from host to host as well |

use std::fmt;
use std::sync::Arc;

use crate::members::Member;
use crate::types::*;
use crate::wire::Code;

/// A message with its envelope.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Frame {
    /// The cluster it belongs to.
    pub cluster: ClusterId,
    /// The shard it is about.
    pub shard: ShardId,
    /// Who says it.
    pub from: Address,
    /// Who is meant.
    pub to: Address,
    /// The event that caused it, when somebody follows this request.
    pub cause: Option<trace::EventId>,
    /// What is said.
    pub message: Message,
}

/// See the module's table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Message {
    Prepare { epoch: Epoch, prev: Tail, entries: Vec<Entry>, commit: Seq },
    PrepareOk { epoch: Epoch, matched: Seq },
    PrepareRefused { epoch: Epoch, prev: Seq, last: Seq, lost: bool },
    Contradicted { epoch: Epoch, acknowledged: Seq },
    PromiseRequest { epoch: Epoch },
    Promised { epoch: Epoch, tail: Tail },
    Fenced { promised: Epoch },
    Confirm { epoch: Epoch, round: u64 },
    Confirmed { epoch: Epoch, round: u64 },
    Behind { epoch: Epoch, retained_from: Seq },
    Pull { epoch: Epoch, transfer: u64, unproven: bool, cursor: Vec<u8> },
    Chunk { epoch: Epoch, transfer: u64, cursor: Vec<u8>, chunk: Chunk },
    Fetch(ValueName),
    Fetched { name: ValueName, value: Option<Arc<[u8]>> },
    Extension { extension: u8, epoch: Epoch, words: Vec<u8> },

    Write { request: RequestId, op: Op },
    OpenSession,
    Read { id: u64, query: Query },
    Answer { request: RequestId, result: WriteResult },
    SessionOpened { session: Seq },
    ReadAnswer { id: u64, result: ReadResult },
    Refused { what: Refusable, why: Refusal },
    Probe { attempt: u64 },
    Status { attempt: u64, status: NodeStatus },
    TakeOver { above: Epoch, patience: Micros },

    Members { serves: Option<Epoch>, rows: Vec<(NodeId, Member)> },
    TraceRequest,
    TraceReply { lines: Vec<u8> },
    Usage(Usage),
}

/// What a replica has used since it was started, for people; no rule reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usage {
    /// Syncs of its device.
    pub syncs: u64,
    /// Bytes written to its device.
    pub written_bytes: u64,
    /// Bytes of its device that keys and values claim.
    pub claimed_bytes: u64,
    /// Bytes that they may claim; then it is full.
    pub claimable_bytes: u64,
    /// Damaged values that are being asked of the others just now.
    pub values_damaged: u64,
    /// Damaged values that were had from another replica, and written anew.
    pub values_mended: u64,
    /// Times that a damaged value was had from nobody.
    pub values_missing: u64,
}

/// One value, of all that a key ever has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueName {
    /// The key.
    pub key: Arc<[u8]>,
    /// The entry that wrote it.
    pub version: Seq,
    /// The epoch of that entry where it may not be committed yet: another epoch's entry of the same seq may then have
    /// another value.
    pub epoch: Option<Epoch>,
}

/// A piece of a replica's state as of one entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chunk {
    /// The state is the one after this entry.
    pub seq: Seq,
    /// Keys with their versions and values.
    pub items: Vec<Item>,
    /// Where to go on; `None` in the last piece.
    pub next: Option<Vec<u8>>,
    /// In the first piece: sessions, epoch of the last entry, shard configuration.
    pub host_state: Vec<u8>,
}

/// A question about the state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Query {
    /// The value of a key.
    Get(Arc<[u8]>),
    /// The value of a key if it has at most so many bytes, or how many it has: nobody is sent more than there is room for.
    GetUpTo(Arc<[u8]>, u32),
    /// The keys that begin with `prefix` and come after `after`, at most `limit` of them.
    Scan {
        /// What they begin with.
        prefix: Arc<[u8]>,
        /// The last key already known.
        after: Option<Arc<[u8]>>,
        /// At most this many.
        limit: u32,
    },
    /// How many keys there are.
    Count,
}

/// The answer to a [`Query`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReadResult {
    /// The key's version and value.
    Value(Seq, Arc<[u8]>),
    /// The key's value has so many bytes, more than were asked for.
    Long(u32),
    /// The key has no value.
    Missing,
    /// Keys with versions and value lengths in bytes, in key order.
    Keys(Vec<(Arc<[u8]>, Seq, u32)>),
    /// How many keys there are.
    Count(u64),
    /// The value is damaged on this replica, and is not shown.
    Damaged,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WriteResult {
    /// It was applied, and this came of it.
    Done(Outcome),
    /// The session is not known (never opened, or evicted), or the number has left its window: what became of
    /// earlier attempts cannot be said, unless they could take effect at this seq or later only. None of that is forgotten.
    SessionUnknown(Seq),
}

/// What a refusal refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusable {
    /// A write.
    Write(RequestId),
    /// The opening of a session.
    OpenSession,
    /// A read.
    Read(u64),
}

/// Why a request was not taken. It had no effect, and nothing about it is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// This replica is not the primary; the one it follows may be.
    NotPrimary {
        /// Whom it follows.
        primary: Option<NodeId>,
    },
    /// The primary is not serving yet: its epoch marker is not committed.
    NotServing,
    /// Too much is waiting already.
    Busy,
    /// The key or value is outside its bounds.
    Invalid,
}

/// What a primary knows of another replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The other.
    pub node: NodeId,
    /// Everything up to here is durable there, and the same as here.
    pub matched: Seq,
    /// When it last answered in this epoch, or the epoch began.
    pub heard_at: Micros,
}

/// A replica's part in its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoleName {
    /// Leads.
    Primary,
    /// Follows.
    Backup,
    /// Asks for promises.
    Candidate,
}

/// Whether a replica may vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Proof {
    /// Its log has forgotten nothing it ever acknowledged.
    Proven,
    /// Its log may have: it waits for a transfer.
    Unproven,
    /// It is receiving one.
    Transferring,
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeStatus {
    /// The host's process id, for people; no rule reads it.
    pub pid: u32,
    /// Its part.
    pub role: RoleName,
    /// Whether a primary's epoch marker is committed.
    pub serving: bool,
    /// May it vote?
    pub proof: Proof,
    /// The greatest epoch it promised.
    pub promised: Epoch,
    /// Whom it follows in that epoch.
    pub primary: Option<NodeId>,
    /// Where its log ends.
    pub tail: Tail,
    /// Where its log ended before it lost entries, if it lacks some: what its promises say, and why it does not stand.
    pub voted_tail: Tail,
    /// Up to here its log is durable.
    pub durable: Seq,
    /// Up to here its log is known to be committed.
    pub committed: Seq,
    /// A primary that could not reach a majority for this long, in microseconds.
    pub cut_off_micros: u64,
    /// What a sync of its device usually takes, in microseconds; 0 if none was measured yet.
    pub sync_micros: u64,
}

impl Message {
    /// The epoch that somebody speaks in, or asks for.
    pub fn epoch(&self) -> Option<Epoch> {
        match self {
            Message::Prepare { epoch, .. }
            | Message::PrepareOk { epoch, .. }
            | Message::PrepareRefused { epoch, .. }
            | Message::Contradicted { epoch, .. }
            | Message::PromiseRequest { epoch }
            | Message::Promised { epoch, .. }
            | Message::Fenced { promised: epoch }
            | Message::Confirm { epoch, .. }
            | Message::Confirmed { epoch, .. }
            | Message::Extension { epoch, .. }
            | Message::Behind { epoch, .. }
            | Message::Pull { epoch, .. }
            | Message::Chunk { epoch, .. }
            | Message::TakeOver { above: epoch, .. } => Some(*epoch),
            _ => None,
        }
    }

    /// How many entries it brings, or makes its receiver append.
    pub fn entries(&self) -> usize {
        match self {
            Message::Prepare { entries, .. } => entries.len(),
            Message::Write { .. } | Message::OpenSession | Message::TakeOver { .. } => 1,
            Message::Pull { unproven, .. } => usize::from(*unproven),
            _ => 0,
        }
    }

    /// The message's name.
    pub fn name(&self) -> &'static str {
        match self {
            Message::Prepare { entries, .. } if entries.is_empty() => "Prepare(empty)",
            other => other.variant(),
        }
    }
}

impl fmt::Display for ReadResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadResult::Value(version, value) => write!(f, "version {version}, {} bytes", value.len()),
            ReadResult::Long(bytes) => write!(f, "{bytes} bytes, more than asked for"),
            ReadResult::Missing => f.write_str("no such key"),
            ReadResult::Keys(keys) => write!(f, "{} keys", keys.len()),
            ReadResult::Count(n) => write!(f, "{n} keys in all"),
            ReadResult::Damaged => f.write_str("the value is damaged"),
        }
    }
}
