//! What a replica is told at its start, what it hears, and what it wants done: all of its door.
//!
//! The host feeds [`Event`]s and carries out the [`Effect`]s **in order**, all of them before the next event. That
//! order is part of the rules: an `Apply` comes before the answer that reports it, a `Promise` is durable before
//! anything behind it is done, a `Hold` leaves only when all before it is durable.

use trace::{Mechanisms, Told};

use crate::Durable;
use crate::message::*;
use crate::types::*;

/// Who a replica is, and how patient.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// This node.
    pub me: NodeId,
    /// The replicas of the shard when its cluster was founded.
    pub members: Vec<NodeId>,
    /// An extension changes them.
    pub members_change: bool,
    /// Which mechanisms are on.
    pub mechanisms: Mechanisms,
    /// How long it waits for what.
    pub timing: Timing,
    /// How much it remembers of requests.
    pub limits: Limits,
    /// The host's process id, shown in status.
    pub pid: u32,
    /// A random number of this life of the replica: names what must not be taken for an earlier life's.
    pub life: u64,
}

/// How long a replica waits, in microseconds, and how much it keeps in flight.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    /// A primary speaks to each backup at least this often.
    pub heartbeat_every: Micros,
    /// Entries, confirmations and pulls that are not answered for this long are sent again.
    pub resend_after: Micros,
    /// A candidate without a majority after this long gives up; later, if whoever called it says so.
    pub candidate_patience: Micros,
    /// Bytes on their way to one backup.
    pub window_bytes: u64,
    /// Entries a primary takes on before they are applied.
    pub waiting_max: u64,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            heartbeat_every: 50_000,
            resend_after: 200_000,
            candidate_patience: 120_000,
            window_bytes: 4 << 20,
            waiting_max: 8192,
        }
    }
}

/// What the device still knew when it was opened.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The promise in its superblock.
    pub promised: Epoch,
    /// Whether its log may vote.
    pub proven: bool,
    /// The last entry that the log had, if it lost some to damage (see `owed`).
    pub owed: Tail,
    /// The device is damaged, and what is before the damage is all that it can read.
    pub damaged: bool,
    /// The seq of its checkpoint.
    pub checkpoint: Seq,
    /// What [`Replica::host_state`](crate::Replica::host_state) gave for that checkpoint; empty for none.
    pub host_state: Vec<u8>,
    /// The entries after the checkpoint, oldest first; all tentative.
    pub entries: Vec<(Epoch, Origin)>,
}

/// What happens to a replica.
#[derive(Clone, Debug)]
pub enum Event {
    /// A frame that passed `frame_identity` arrived.
    Message(Address, Message, Fits),
    /// Time has passed.
    Tick,
    /// All that had arrived has been handled: replicate it as one batch, confirm all waiting reads in one round.
    Settle,
    /// A sync has returned.
    Durable(Durable),
    /// An `Effect::Apply` was carried out.
    Applied(Seq, Outcome),
    /// An `Effect::SendEntries` was carried out: entries up to this one, of this many bytes, were sent.
    Sent(NodeId, Seq, u64),
    /// A checkpoint as of this seq is durable: earlier entries are gone from the log.
    Compacted(Seq),
    /// An `Effect::InstallFinish` was carried out; or (`false`) what was received could not be kept.
    Installed(bool),
    /// The first of the entries of an `Effect::SendEntries` cannot be read, and is being repaired.
    Unreadable(NodeId),
    /// A sync of the device took so long.
    SyncTook(Micros),
    /// An extension has this replica stand, above this epoch, and give up after so long; the log has room for a marker.
    TakeOver(Epoch, Micros),
    /// An extension has this replica leave the lead.
    StepDown,
    /// An extension has this primary append a change of the members; the log has room for it.
    Change(Change),
}

/// What has room on the device of the entries that a message brings, or makes its receiver append. Sizes alone decide it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fits {
    /// So many of them, beginning with the first; of a `Write` its entry, with its value or without.
    pub entries: usize,
    /// The value of a `Write` never will, whatever is given back.
    pub never: bool,
}

impl Fits {
    /// All of them.
    pub const ALL: Fits = Fits { entries: usize::MAX, never: false };
}

/// What a replica wants done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Tell whoever listens that this happened, after the effects before this one and before those behind it.
    Tell(Box<Told>),
    /// Append to the log.
    Append(Entry),
    /// Undo the entries from this one on.
    Truncate(Seq),
    /// Store the promise; go on when it is durable.
    Promise(Epoch),
    /// Apply the next entry, or pass over it; report `Event::Applied`.
    Apply {
        /// Always the one after the last applied.
        seq: Seq,
        /// Its request has taken effect already, or is unknown.
        skip: bool,
    },
    /// Send now.
    Send(Address, Message),
    /// Send when everything before this effect is durable.
    Hold(Address, Message),
    /// Send entries behind `prev`, up to `upto` or what fits a frame; report `Event::Sent`.
    SendEntries {
        /// The backup.
        to: NodeId,
        /// The own epoch.
        epoch: Epoch,
        /// The entry before the first one sent.
        prev: Tail,
        /// The last one to send; `prev.seq` for none.
        upto: Seq,
        /// The commit point.
        commit: Seq,
    },
    /// Answer a read from the applied state, now.
    Read {
        /// Who asks.
        gateway: GatewayId,
        /// The gateway's name for it.
        id: u64,
        /// The question.
        query: Query,
    },
    /// Send the piece of the checkpoint behind `cursor`.
    SendChunk {
        /// The receiver.
        to: NodeId,
        /// The own epoch.
        epoch: Epoch,
        /// The receiver's name for the transfer.
        transfer: u64,
        /// Where to go on.
        cursor: Vec<u8>,
    },
    /// Begin to receive a state, dropping what an earlier attempt received.
    InstallBegin,
    /// Store what was received.
    InstallItems(Vec<Item>),
    /// Make the received state the replica's own, and the epoch its promise, in one durable step; report
    /// `Event::Installed`.
    InstallFinish {
        /// The state is the one after this entry.
        seq: Seq,
        /// Goes into the checkpoint.
        host_state: Vec<u8>,
        /// The confirmed epoch.
        epoch: Epoch,
    },
    /// Forget what was received.
    InstallAbort,
    /// Mark the device as one that may not vote, durably.
    Unprove,
    /// Go on without what is damaged on the device; note durably what the log had.
    GiveUpDamaged(Tail),
    /// Give up all of the state, and note durably what the log had.
    GiveUpAll(Tail),
}
