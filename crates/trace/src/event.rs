//! What one event carries, and its kinds.
//!
//! A [`Kind`] holds the facts as numbers. The sentence a person reads, the before/after difference and the mechanism
//! at work are computed from them, so they cannot disagree with what happened.

use std::borrow::Cow;
use std::fmt;

use crate::mechanism::Mechanism;

/// Who acts. Nodes, gateways and clients are numbered from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Actor {
    /// The surroundings: power, network, time.
    World,
    /// A storage node's replica of one shard.
    Node {
        /// The node.
        node: u32,
        /// The shard, from 0.
        shard: u32,
    },
    /// A gateway.
    Gateway(u32),
    /// A client.
    Client(u32),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::World => f.write_str("world"),
            Actor::Node { node, shard } => write!(f, "n{node}/{shard}"),
            Actor::Gateway(g) => write!(f, "g{g}"),
            Actor::Client(c) => write!(f, "c{c}"),
        }
    }
}

impl std::str::FromStr for Actor {
    type Err = ();
    fn from_str(s: &str) -> Result<Actor, ()> {
        let number = |s: &str| s.parse::<u32>().map_err(|_| ());
        if s == "world" {
            Ok(Actor::World)
        } else if let Some(rest) = s.strip_prefix('n') {
            let (node, shard) = rest.split_once('/').ok_or(())?;
            Ok(Actor::Node { node: number(node)?, shard: number(shard)? })
        } else if let Some(rest) = s.strip_prefix('g') {
            Ok(Actor::Gateway(number(rest)?))
        } else if let Some(rest) = s.strip_prefix('c') {
            Ok(Actor::Client(number(rest)?))
        } else {
            Err(())
        }
    }
}

/// Names one event: the n-th of one run (`life`) of one actor. Unique over a whole trace without coordination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// Who acted.
    pub actor: Actor,
    /// Which run of the actor: a restarted process is a new life.
    pub life: u32,
    /// Position in that life, from 0.
    pub n: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.actor, self.life, self.n)
    }
}

impl std::str::FromStr for EventId {
    type Err = ();
    fn from_str(s: &str) -> Result<EventId, ()> {
        let mut parts = s.splitn(3, ':');
        let mut part = || parts.next().ok_or(());
        let actor = part()?.parse()?;
        let life = part()?.parse().map_err(|_| ())?;
        let n = part()?.parse().map_err(|_| ())?;
        Ok(EventId { actor, life, n })
    }
}

/// The line of code behind an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Path within the repository.
    pub file: Cow<'static, str>,
    /// The function.
    pub symbol: Cow<'static, str>,
}

/// The path of the function that encloses `_here`; used by [`emit!`](crate::emit).
pub fn symbol_of<T>(_here: T) -> &'static str {
    let name = std::any::type_name::<T>();
    name.strip_suffix("::here").unwrap_or(name)
}

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its name.
    pub id: EventId,
    /// The events that caused it.
    pub parents: Vec<EventId>,
    /// Microseconds of the actor's own clock.
    pub logical: u64,
    /// Microseconds since the Unix epoch; live processes only.
    pub wall: Option<u64>,
    /// What happened.
    pub kind: Kind,
    /// The code that did it.
    pub source: Source,
}

/// One field of the actor's state before and after an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The field.
    pub field: &'static str,
    /// Its value before.
    pub before: String,
    /// Its value after.
    pub after: String,
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $name:ident { $($field:ident : $type:ty),* } $sentence:literal $(by $mechanism:ident)? $(changes $what:literal $before:ident $after:ident)?;)*) => {
        /// What happened. Every state transition of engine, replica, gateway and world is one of these.
        #[derive(Clone, Debug, PartialEq)]
        #[cfg_attr(feature = "json", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "json", serde(tag = "kind", content = "facts", rename_all = "snake_case"))]
        #[allow(missing_docs)]
        pub enum Kind { $($(#[doc = $doc])* $name { $($field: $type),* },)* }

        impl Kind {
            /// What happened, as a sentence without its subject.
            #[allow(unused_variables)]
            pub fn sentence(&self) -> String {
                match self { $(Kind::$name { $($field),* } => format!($sentence),)* }
            }

            /// The names of all kinds.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name),)*];

            /// The kind's name, as in traces.
            pub fn name(&self) -> &'static str {
                match self { $(Kind::$name { .. } => stringify!($name),)* }
            }

            /// The mechanism at work, if one is.
            pub fn mechanism(&self) -> Option<Mechanism> {
                match self { $($(Kind::$name { .. } => Some(Mechanism::$mechanism),)?)* _ => None }
            }

            /// What the event changed in its actor's state.
            pub fn delta(&self) -> Option<Change> {
                match self {
                    $($(Kind::$name { $before, $after, .. } => Some(Change {
                        field: $what, before: $before.to_string(), after: $after.to_string(),
                    }),)?)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    // Client and gateway.
    ClientCalled { request: String } "calls {request}";
    ClientAnswered { request: String, reply: String } "gets {reply} for {request}";
    RequestRouted { request: String, shard: u32, node: u32, session: u64, number: u64 } "sends {request} to n{node} as request {session}.{number} of shard {shard}";
    RequestRetried { request: String, node: u32, session: u64, number: u64, attempt: u32 } "sends {request} again to n{node}, still as request {session}.{number} (attempt {attempt})" by RequestDedup;
    ReadRouted { id: u64, shard: u32, node: u32, attempt: u32 } "asks n{node} of shard {shard}, read {id} (attempt {attempt})";
    RequestEnded { request: String, reply: String } "answers {reply}";
    SessionAsked { shard: u32, node: u32 } "asks n{node} for a session on shard {shard}";
    SessionOpened { shard: u32, session: u64 } "has session {session} on shard {shard}";
    SessionLost { shard: u32, session: u64 } "learns that session {session} on shard {shard} is unknown; what was in flight has an unknown outcome" by RequestDedup;
    PrimarySuspected { shard: u32, node: u32, why: String } "suspects n{node}, primary of shard {shard}: {why}";
    TakeoverAsked { shard: u32, node: u32, attempt: u32 } "asks n{node} to take over shard {shard} (attempt {attempt})";
    PrimaryLearned { shard: u32, node: u32, epoch_before: u64, epoch: u64 } "learns that n{node} is primary of shard {shard} in epoch {epoch}" changes "epoch" epoch_before epoch;

    // Replica: replication.
    RequestReceived { session: u64, number: u64, op: String } "receives request {session}.{number}: {op}";
    RequestRefused { session: u64, number: u64, why: String } "does not take request {session}.{number}: {why}";
    EntryAppended { epoch: u64, seq: u64, last_before: u64 } "appends entry {seq} of epoch {epoch} to its log" changes "last" last_before seq;
    EntriesSent { to: u32, epoch: u64, from: u64, upto: u64, commit: u64 } "sends n{to} entries {from} to {upto} of epoch {epoch}, commit point {commit}";
    HeartbeatSent { to: u32, epoch: u64, prev: u64, commit: u64 } "tells n{to} that epoch {epoch} goes on behind entry {prev}, commit point {commit}";
    EntriesRefused { from: u32, epoch: u64, prev: u64, last: u64 } "refuses entries of n{from}: its log does not match at {prev}" by LogMatching;
    EntriesRepeated { from: u32, upto: u64 } "already has the entries up to {upto} that n{from} sent, and keeps them" by TruncateOnlyOnConflict;
    LogTruncated { from: u64, last_before: u64, last: u64 } "removes the entries from {from} on, which contradict the primary's log" by TruncateOnConflict changes "last" last_before last;
    MatchAcknowledged { to: u32, epoch: u64, upto: u64 } "acknowledges to n{to} that everything up to {upto} is durable here" by DurableAck;
    AckCounted { from: u32, upto: u64 } "counts n{from} as having everything up to {upto}";
    AckIgnored { from: u32, epoch: u64, current: u64 } "ignores an acknowledgement of n{from} for epoch {epoch}: this is epoch {current}" by AckBoundToEpoch;
    CommitAdvanced { from: u64, to: u64, epoch: u64 } "moves the commit point from {from} to {to}" by MajorityCommit changes "commit" from to;
    EntryApplied { seq: u64, outcome: String, applied_before: u64 } "applies entry {seq}: {outcome}" by ApplyOnlyCommitted changes "applied" applied_before seq;
    ReplyReleased { gateway: u32, session: u64, number: u64, reply: String } "answers request {session}.{number} to g{gateway}: {reply}";

    // Replica: epochs.
    StaleEpochRefused { from: u32, epoch: u64, promised: u64 } "refuses n{from}, which speaks for epoch {epoch}: {promised} is promised here" by EpochFence;
    EpochAdopted { epoch_before: u64, epoch: u64, primary: u32 } "follows n{primary} in epoch {epoch}" changes "epoch" epoch_before epoch;
    TakeoverStarted { epoch_before: u64, epoch: u64 } "stands for epoch {epoch}" changes "epoch" epoch_before epoch;
    PromiseGranted { to: u32, epoch_before: u64, epoch: u64, tail_epoch: u64, tail_seq: u64 } "promises epoch {epoch} to n{to}; its log ends at entry {tail_seq} of epoch {tail_epoch}" by DurablePromise changes "epoch" epoch_before epoch;
    PromiseRefused { to: u32, epoch: u64, promised: u64, why: String } "does not promise epoch {epoch} to n{to}: {why}" by OneCandidatePerEpoch;
    PromiseCounted { from: u32, epoch: u64, have: u32, need: u32 } "has the promise of n{from} for epoch {epoch} ({have} of {need})" by PromiseMajority;
    TakeoverAbandoned { epoch: u64, why: String } "gives up epoch {epoch}: {why}";
    PrimaryElected { epoch: u64, tail: u64 } "is primary of epoch {epoch}, with a log up to {tail}" by PromiseMajority;
    PrimaryServing { epoch: u64, marker: u64 } "serves in epoch {epoch}: its marker, entry {marker}, is committed" by OwnEpochCommit;
    SteppedDown { epoch: u64, promised: u64 } "is no longer primary of epoch {epoch}: epoch {promised} exists";

    // Replica: reads.
    ReadWaiting { id: u64, round: u64 } "lets read {id} wait for confirmation round {round}" by ReadConfirmation;
    ReadConfirmed { round: u64, epoch: u64 } "knows that it was still primary of epoch {epoch} when round {round} began" by ReadConfirmation;
    EpochConfirmed { to: u32, epoch: u64, round: u64 } "confirms to n{to} that it has promised nothing beyond epoch {epoch} (round {round})" by ReadConfirmation;
    ReadAnswered { gateway: u32, id: u64, reply: String } "answers read {id} to g{gateway}: {reply}";

    // Replica: transfer.
    TransferStarted { from: u32, epoch: u64, why: String } "fetches the state of n{from}: {why}";
    TransferChunkSent { to: u32, seq: u64 } "sends n{to} a piece of the state as of entry {seq}";
    TransferFinished { from: u32, seq: u64, epoch: u64 } "has the state of n{from} as of entry {seq}, proven in epoch {epoch}" by AtomicStateTransfer;
    ValueDamaged { version: u64, why: String } "finds the value of entry {version} damaged, and asks the others for it: {why}" by VerifyOnRead;
    ValueFetched { from: u32, version: u64 } "has the value of entry {version} from n{from}, byte for byte";
    ValueMissing { version: u64, why: String } "does not get the value of entry {version}, which is damaged: {why}";
    StateGivenUp { last: u64 } "gives up its state and a log up to entry {last}: its device has no room for the primary's beside it";
    VoteWithheld { to: u32, why: String } "does not vote for n{to}: {why}" by UnprovenLogDoesNotVote;

    // Frames.
    FrameRefused { why: String } "drops a frame: {why}" by FrameIdentity;

    // Engine.
    DeviceFormatted { bytes: u64 } "formats a device of {bytes} bytes";
    DeviceOpened { life: u64, generation: u64, checkpoint: u64, last: u64, discarded: u64 } "opens its device: checkpoint at {checkpoint}, log up to {last}, {discarded} bytes of torn tail discarded; log life {life}" by StaleLogRejection;
    CorruptionFound { zone: String, offset: u64, why: String } "finds damage in the {zone} at byte {offset}: {why}" by CorruptionIsNotATornTail;
    RecordWritten { seq: u64, lsn: u64, extent: u64, bytes: u64 } "writes the log record of entry {seq} at lsn {lsn}; its value of {bytes} bytes goes to unit {extent}" by DataChecksumInLog;
    TruncationWritten { from: u64, lsn: u64 } "writes at lsn {lsn} that the entries from {from} on are undone";
    DeviceSynced { batch: u64, durable_before: u64, durable: u64, writes: u64, bytes: u64, micros: u64 } "syncs batch {batch}: {writes} writes, {bytes} bytes, {micros} µs; durable up to lsn {durable}" by AckAfterSync changes "durable lsn" durable_before durable;
    DevicePoisoned { why: String } "stops: {why}" by PoisonOnIoError;
    PromiseStored { before: u64, epoch: u64, generation: u64 } "stores the promise of epoch {epoch} in both superblocks (generation {generation})" by AbSuperblock changes "stored promise" before epoch;
    ValueMended { version: u64, extent: u64, bytes: u64 } "writes the value of entry {version} anew at unit {extent}: the {bytes} bytes that were damaged" by VerifyOnRead;
    CheckpointBegun { seq: u64, keys: u64 } "begins a checkpoint as of entry {seq} ({keys} keys)";
    CheckpointDone { before: u64, seq: u64, generation: u64 } "has a checkpoint as of entry {seq}; the log before it may be reused" by AtomicCheckpoint changes "checkpoint" before seq;
    StandingStored { before: String, standing: String } "marks its device as {standing}" by AbSuperblock changes "standing" before standing;
    DamageGivenUp { last: u64, owed_epoch: u64, owed_seq: u64 } "gives up what is damaged: its log ends at entry {last} now, and it remembers that it had entry {owed_seq} of epoch {owed_epoch}";
    StateInstalled { before: u64, seq: u64, epoch: u64 } "replaces its state by one as of entry {seq}, with promise {epoch}" by AtomicStateTransfer changes "checkpoint" before seq;

    // World.
    Crashed { what: String } "{what}";
    Restarted { } "starts again";
    NetworkChanged { what: String } "{what}";
    MessageLost { from: String, to: String, message: String } "{message} from {from} to {to} is lost";
}

impl Event {
    /// The event as a sentence.
    pub fn sentence(&self) -> String {
        format!("{} {}", self.id.actor, self.kind.sentence())
    }
}
