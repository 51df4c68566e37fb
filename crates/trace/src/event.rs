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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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

/// What rules say happened, before anybody knows which event it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Told {
    /// What happened.
    pub kind: Kind,
    /// The code that did it.
    pub source: Source,
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
    /// Microseconds of a clock that all actors share: since the Unix epoch in a live cluster, virtual time in a simulation.
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

/// What follows from an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leads {
    /// Whatever its step does next.
    On,
    /// The next frame, whose sending it tells of.
    ToAFrame,
    /// Nothing that its step does next.
    Nowhere,
}

macro_rules! leads {
    () => {
        Leads::On
    };
    (says) => {
        Leads::ToAFrame
    };
    (aside) => {
        Leads::Nowhere
    };
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $name:ident { $($field:ident : $type:ty),* } $sentence:literal $([$word:expr])? $(($leads:ident))? $(by $mechanism:ident)? $(changes $what:literal $before:ident $after:ident)?;)*) => {
        /// What happened. Every state transition of engine, replica, gateway and world is one of these.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "json", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "json", serde(tag = "kind", content = "facts", rename_all = "snake_case"))]
        #[allow(missing_docs)]
        pub enum Kind { $($(#[doc = $doc])* $name { $($field: $type),* },)* }

        impl Kind {
            /// What happened, as a sentence without its subject.
            #[allow(unused_variables)]
            pub fn sentence(&self) -> String {
                match self { $(Kind::$name { $($field),* } => format!($sentence $(, $word)?),)* }
            }

            /// The names of all kinds.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name),)*];

            /// The kind's name, as in traces.
            pub fn name(&self) -> &'static str {
                match self { $(Kind::$name { .. } => stringify!($name),)* }
            }

            /// What follows from it in its step.
            pub(crate) fn leads(&self) -> Leads {
                match self { $(Kind::$name { .. } => leads!($($leads)?),)* }
            }

            /// Does it tell of the sending of a frame?
            pub fn sends(&self) -> bool {
                self.leads() == Leads::ToAFrame
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

/// Entries `from` to `upto`, in words.
pub fn entries(from: u64, upto: u64) -> String {
    if from == upto { format!("entry {from}") } else { format!("entries {from}–{upto}") }
}

/// That a promise has come, and what it is good for, in words.
fn promised(from: u32, epoch: u64, counts: bool, have: u32, need: u32) -> String {
    match counts {
        true => format!(
            "counts n{from}'s promise of epoch {epoch}: with its own, {have} of the {need} that it needs"
        ),
        false => format!(
            "has n{from}'s promise of epoch {epoch}, and cannot count it: the log of n{from} ends later"
        ),
    }
}

/// Why a primary leads no more, in words; 0: not because of an epoch.
fn stepped_down(promised: u64) -> String {
    if promised == 0 { "an extension wants it to".into() } else { format!("epoch {promised} exists") }
}

/// Why a request is refused, in words.
fn refusal(why: &str) -> &str {
    match why {
        "NotPrimary" => "it is not the primary",
        "NotServing" => "its epoch marker is not committed yet",
        "Busy" => "too much waits already, or for room",
        "Invalid" => "key or value is out of bounds",
        other => other,
    }
}

kinds! {
    // Client and gateway.
    ClientCalled { call: u64, request: String } "requests {request}";
    CallTaken { call: u64, request: String } "takes on {request}";
    ClientAnswered { request: String, reply: String } "receives {reply} for {request}";
    RequestRouted { call: u64, request: String, shard: u32, node: u32, session: u64, number: u64 } "sends {request} to n{node} as request {session}.{number} (shard {shard})" (says);
    RequestRetried { call: u64, request: String, node: u32, session: u64, number: u64, attempt: u32 } "resends {request} to n{node}, still as request {session}.{number} (attempt {attempt})" (says) by RequestDedup;
    ReadRouted { call: u64, id: u64, shard: u32, node: u32, attempt: u32 } "sends read {id} to n{node} (shard {shard}, attempt {attempt})" (says);
    RequestEnded { call: u64, request: String, reply: String } "replies to {request}: {reply}" (aside);
    SessionAsked { shard: u32, node: u32 } "asks n{node} to open a session (shard {shard})" (says);
    SessionOpened { shard: u32, session: u64 } "has session {session} (shard {shard})";
    SessionLost { shard: u32, session: u64 } "gives up session {session} (shard {shard}), which the replicas no longer know: the outcome of its requests in flight is unknown" by RequestDedup;
    PrimarySuspected { shard: u32, node: u32, why: String } "suspects n{node}, the primary of shard {shard}: {why}";
    TakeoverAsked { shard: u32, node: u32, attempt: u32 } "asks n{node} to take over shard {shard} (attempt {attempt})" (says);
    PrimaryLearned { shard: u32, node: u32, epoch_before: u64, epoch: u64 } "learns that n{node} is the primary of shard {shard} (epoch {epoch})" changes "epoch" epoch_before epoch;

    // Replica: replication.
    RequestReceived { session: u64, number: u64, op: String } "receives request {session}.{number}: {op}";
    RequestRefused { session: u64, number: u64, why: String } "refuses request {session}.{number}: {}" [refusal(why)] (says);
    EntryAppended { epoch: u64, seq: u64, last_before: u64 } "appends entry {seq} (epoch {epoch})" (aside) changes "last" last_before seq;
    EntriesSent { to: u32, epoch: u64, from: u64, upto: u64, commit: u64 } "sends {} to n{to} in epoch {epoch}; commit point {commit}" [entries(*from, *upto)] (says);
    HeartbeatSent { to: u32, epoch: u64, prev: u64, commit: u64 } "sends a heartbeat to n{to} in epoch {epoch}, after entry {prev}; commit point {commit}" (says);
    EntriesRefused { from: u32, epoch: u64, prev: u64, last: u64 } "refuses entries from n{from} in epoch {epoch}: its own log does not match at entry {prev}" by LogMatching;
    EntriesRepeated { from: u32, upto: u64 } "keeps its entries up to {upto}, which n{from} sends again" by TruncateOnlyOnConflict;
    LogTruncated { from: u64, last_before: u64, last: u64 } "truncates {} to follow the primary's log" [entries(*from, *last_before)] by TruncateOnConflict changes "last" last_before last;
    MatchAcknowledged { to: u32, epoch: u64, upto: u64 } "acknowledges to n{to} in epoch {epoch} that it has entries up to {upto} durable" (says) by DurableAck;
    AckCounted { from: u32, upto: u64 } "counts n{from} as having entries up to {upto} durable";
    AckIgnored { from: u32, epoch: u64, current: u64 } "ignores an acknowledgement from n{from} (epoch {epoch}): the current epoch is {current}" (aside) by AckBoundToEpoch;
    CommitAdvanced { from: u64, to: u64, epoch: u64 } "commits {}" [entries(*from + 1, *to)] by MajorityCommit changes "commit" from to;
    EntryApplied { seq: u64, outcome: String, applied_before: u64 } "applies entry {seq}: {outcome}" by ApplyOnlyCommitted changes "applied" applied_before seq;
    ReplyReleased { gateway: u32, session: u64, number: u64, reply: String } "answers request {session}.{number} to g{gateway}: {reply}" (says);

    // Replica: epochs.
    StaleEpochRefused { from: u32, epoch: u64, promised: u64 } "has promised epoch {promised}, and refuses n{from}'s message of epoch {epoch}" by EpochFence;
    EpochAdopted { epoch_before: u64, epoch: u64, primary: u32 } "follows n{primary} in epoch {epoch}" changes "epoch" epoch_before epoch;
    TakeoverStarted { epoch_before: u64, epoch: u64 } "stands for epoch {epoch}" changes "epoch" epoch_before epoch;
    PromiseGranted { to: u32, epoch_before: u64, epoch: u64, tail_epoch: u64, tail_seq: u64 } "agrees to epoch {epoch} of n{to}; its answer will say that its log ends with entry {tail_seq} (epoch {tail_epoch})" by DurablePromise changes "epoch" epoch_before epoch;
    PromiseRefused { to: u32, epoch: u64, promised: u64 } "refuses to promise epoch {epoch} to n{to}: it has promised epoch {promised}" by OneCandidatePerEpoch;
    PromiseCounted { from: u32, epoch: u64, counts: bool, have: u32, need: u32 } "{}" [promised(*from, *epoch, *counts, *have, *need)] by PromiseMajority;
    TakeoverAbandoned { epoch: u64, why: String } "abandons its candidacy for epoch {epoch}: {why}";
    PrimaryElected { epoch: u64, tail_epoch: u64, tail: u64 } "becomes primary of epoch {epoch}; its log ends with entry {tail} (epoch {tail_epoch})" by PromiseMajority;
    PrimaryServing { epoch: u64, marker: u64 } "starts to serve in epoch {epoch}: its marker, entry {marker} (epoch {epoch}), is committed" by OwnEpochCommit;
    SteppedDown { epoch: u64, promised: u64 } "steps down as primary of epoch {epoch}: {}" [stepped_down(*promised)];

    // Elections.
    PreVoteAsked { epoch: u64, attempt: u32 } "has heard no primary for too long since it promised epoch {epoch}, and asks the others whether they would vote for it (failures so far: {attempt})" by PreVote;
    PreVoteGranted { to: u32 } "would vote for n{to}" (says) by PreVoteAsStrict;
    PreVoteRefused { to: u32, why: String } "would not vote for n{to}: {why}" (says) by LeaderStickiness;
    PreVoteCounted { from: u32, have: u32, need: u32 } "would have the vote of n{from}: with its own, {have} of the {need} that it needs" by PreVote;
    QuorumLost { epoch: u64 } "leads epoch {epoch}, has no majority that answers it and commits its marker, and gives the lead up" by CheckQuorum;

    // Membership.
    MembersChanged { seq: u64, change: String, voters: String } "has entry {seq} ({change}): from now on {voters} count" by ConfigWhenAppended;
    ChangeRefused { change: String, why: String } "refuses to {change}: {why}" by OneChangeAtATime;
    HandsOver { to: u32 } "was removed, and has n{to} take the lead" by HandOver;

    // Replica: reads.
    ReadWaiting { gateway: u32, id: u64, round: u64 } "lets read {id} wait until a majority confirms its epoch (round {round})" (aside) by ReadConfirmation;
    ConfirmationAsked { round: u64, epoch: u64 } "asks the other replicas whether they have promised an epoch after {epoch} (round {round})" by ReadConfirmation;
    ReadConfirmed { round: u64, epoch: u64 } "learns from a majority that it was still primary of epoch {epoch} when round {round} began" by ReadConfirmation;
    EpochConfirmed { to: u32, epoch: u64, round: u64 } "confirms to n{to} that it has promised no epoch after {epoch} (round {round})" (says) by ReadConfirmation;
    ReadAnswered { gateway: u32, id: u64, reply: String } "answers read {id} to g{gateway}: {reply}" (says);

    // Replica: transfer.
    TransferStarted { from: u32, epoch: u64, why: String } "fetches the state of n{from} (epoch {epoch}): {why}";
    TransferChunkSent { to: u32, seq: u64 } "sends n{to} a chunk of its state as of entry {seq}" (says);
    TransferFinished { from: u32, seq: u64, epoch: u64 } "has the state of n{from} as of entry {seq}, and votes from epoch {epoch} on" by AtomicStateTransfer;
    ValueDamaged { version: u64, why: String } "finds the value of entry {version} damaged and asks the other replicas for it: {why}" by VerifyOnRead;
    ValueFetched { from: u32, version: u64 } "receives the value of entry {version} from n{from}, byte for byte";
    ValueMissing { version: u64, why: String } "cannot recover the damaged value of entry {version}: {why}";
    StateGivenUp { last: u64 } "discards its state and its log up to entry {last}: its device has no room for the primary's state beside them";
    VoteWithheld { to: u32 } "refuses to vote for n{to}: its own log is unproven" by UnprovenLogDoesNotVote;
    VoteLost { acknowledged: u64, last: u64 } "stops voting: it acknowledged entries up to {acknowledged}, its log ends with entry {last}, so its device lost some" by UnprovenLogDoesNotVote;

    // Frames.
    FrameRefused { message: String, from: String, why: String } "drops {message} from {from}: {why}" (aside) by FrameIdentity;

    // Engine.
    DeviceOpened { life: u64, generation: u64, checkpoint: u64, last: u64, discarded: u64 } "opens its device: checkpoint as of entry {checkpoint}, log up to entry {last}; {discarded} bytes of torn tail discarded (log life {life})" by StaleLogRejection;
    CorruptionFound { zone: String, offset: u64, why: String } "finds corruption in the {zone} at byte {offset}: {why}" by CorruptionIsNotATornTail;
    RecordWritten { seq: u64, lsn: u64, extent: u64, bytes: u64 } "writes the log record of entry {seq} at LSN {lsn}; its value of {bytes} bytes goes to unit {extent}" (aside) by DataChecksumInLog;
    TruncationWritten { from: u64, lsn: u64 } "puts into its batch, at LSN {lsn}, that the log is truncated from entry {from} on" (aside);
    DeviceSynced { batch: u64, durable_before: u64, durable: u64, writes: u64, bytes: u64, micros: u64 } "syncs batch {batch}: {writes} writes, {bytes} bytes, {micros} µs; durable up to LSN {durable}" by AckAfterSync changes "durable lsn" durable_before durable;
    DevicePoisoned { why: String } "stops after a device error: {why}" by PoisonOnIoError;
    PromiseStored { before: u64, epoch: u64, generation: u64 } "stores the promise of epoch {epoch} in both superblocks (generation {generation})" by AbSuperblock changes "stored promise" before epoch;
    ValueMended { version: u64, extent: u64, bytes: u64 } "rewrites the damaged value of entry {version} ({bytes} bytes) at unit {extent}" by VerifyOnRead;
    ScrubPassed { pieces: u64, damaged: u64 } "has verified all that it stores: {pieces} values, log records and chunks, of which {damaged} were damaged" (aside) by VerifyOnRead;
    ValueMoved { version: u64, before: u64, extent: u64 } "moves the value of entry {version} from unit {before} to unit {extent}" (aside) by CopyBeforeFree changes "value's unit" before extent;
    CheckpointBegun { seq: u64, keys: u64 } "begins a checkpoint as of entry {seq} ({keys} keys)";
    CheckpointDone { before: u64, seq: u64, generation: u64 } "completes a checkpoint as of entry {seq}; the log before it may be reused" by AtomicCheckpoint changes "checkpoint" before seq;
    StandingStored { before: String, standing: String } "marks its device as {standing}" by AbSuperblock changes "standing" before standing;
    DamageGivenUp { last: u64, owed_epoch: u64, owed_seq: u64 } "discards what is damaged: its log ends with entry {last} now, and it remembers that it had entry {owed_seq} (epoch {owed_epoch})";
    StateInstalled { before: u64, seq: u64, epoch: u64 } "replaces its state with one as of entry {seq}, and promises epoch {epoch}" by AtomicStateTransfer changes "checkpoint" before seq;

    // World.
    Crashed { what: String } "{what}";
    Restarted { } "restarts";
    FaultInjected { what: String } "injects a fault: {what}";
    FaultEnded { what: String } "ends a fault: {what}";
    DeviceDamaged { node: u32, shard: u32, what: String } "damages the disk of n{node}/{shard}: {what}";
    MessageLost { from: String, to: String, message: String, why: String } "loses {message} from {from} to {to}: {why}";
    PromiseBroken { promise: u8, invariant: String, checker: String, what: String } "sees promise P{promise} broken ({invariant}, noticed by {checker}): {what}";
}

impl Event {
    /// The event as a sentence.
    pub fn sentence(&self) -> String {
        format!("{} {}", self.id.actor, self.kind.sentence())
    }
}
