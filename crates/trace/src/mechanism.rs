//! The registry: every mechanism that can be taken out, and the set of those switched on.
//!
//! Each mechanism is one guard function (`engine::guard`, `dataplane::guard`, `gateway::guard`, or an extension's), and its
//! switch is read there and nowhere else. A real process always runs with [`Mechanisms::all`]; only the simulator and the lab call
//! [`Mechanisms::without`], and a test holds everybody else to that.

use std::cell::Cell;

/// Which room a mechanism lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Crash consistency of one device.
    Local,
    /// Agreement between replicas.
    Cluster,
    /// What a cluster is founded with beside the core.
    Extension,
}

/// What is lost without the mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A promise to a client is broken.
    Safety,
    /// Service stops, or memory grows without bound; what is answered stays right.
    Liveness,
}

/// The promises to a client, in its words: promise 1 first.
pub const PROMISES: [&str; 5] = [
    "A write that returned OK is never lost and never undone.",
    "Reads and writes of a key are linearizable, and a write takes effect once.",
    "A write whose outcome is not known says so.",
    "With a majority of replicas up and connected, service returns by itself.",
    "Damage is reported, never served.",
];

macro_rules! registry {
    ($($variant:ident $id:literal $room:ident $class:ident promise $promise:literal $does:literal)*) => {
        /// One removable mechanism.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Mechanism { $(#[doc = $does] $variant,)* }

        impl Mechanism {
            /// Every mechanism, local ones first.
            pub const ALL: &'static [Mechanism] = &[$(Mechanism::$variant,)*];

            /// The name used on the command line, in traces and in the documentation.
            pub fn id(self) -> &'static str {
                match self { $(Mechanism::$variant => $id,)* }
            }

            /// Which room holds its guard.
            pub fn room(self) -> Room {
                match self { $(Mechanism::$variant => Room::$room,)* }
            }

            /// Whether its absence breaks a promise or stops service.
            pub fn class(self) -> Class {
                match self { $(Mechanism::$variant => Class::$class,)* }
            }

            /// The promise (numbered in `ARCHITECTURE.md`) that it protects.
            pub fn promise(self) -> u8 {
                match self { $(Mechanism::$variant => $promise,)* }
            }

            /// The name of its variant in [`Mechanism`], which its guard reads.
            pub fn variant(self) -> &'static str {
                match self { $(Mechanism::$variant => stringify!($variant),)* }
            }

            /// What it does, in one sentence.
            pub fn does(self) -> &'static str {
                match self { $(Mechanism::$variant => $does,)* }
            }
        }
    };
}

registry! {
    AckAfterSync "ack-after-sync" Local Safety promise 1 "A write is reported durable only after the sync that covers it has returned."
    RecordCrc "record-crc" Local Safety promise 5 "A log record counts only if its CRC-32C fits its bytes."
    StaleLogRejection "stale-log-rejection" Local Safety promise 1 "A log record from an earlier lap of the ring, or from a tail that an earlier start discarded, is never replayed."
    WholeBatch "whole-batch" Local Safety promise 1 "A batch of the log counts as a whole or not at all."
    NewLifeFirst "new-life-first" Local Safety promise 1 "After a recovery nothing is written to the log before its new life is durable."
    SyncOnRecovery "sync-on-recovery" Local Safety promise 1 "Recovery syncs the device before anything it read there is relied on."
    PoisonOnIoError "poison-on-io-error" Local Safety promise 1 "After a failed write or sync the engine refuses everything until it is reopened."
    CorruptionIsNotATornTail "corruption-is-not-a-torn-tail" Local Safety promise 5 "Damage with a later batch behind it is reported, never cut off as if it were a torn tail."
    DataChecksumInLog "data-checksum-in-log" Local Safety promise 1 "The log record carries the checksum of its data record, so one sync covers both."
    NeverOverwriteLive "never-overwrite-live" Local Safety promise 1 "A value goes to a free extent, never over the value it replaces."
    ExtentQuarantine "extent-quarantine" Local Safety promise 1 "A freed extent is reused only once nothing that may be recovered still points at it."
    AbSuperblock "ab-superblock" Local Safety promise 1 "A superblock update never touches the only valid copy."
    NoSilentFormat "no-silent-format" Local Safety promise 5 "Opening never formats: an unreadable device is an error."
    EraseBeforeFormat "erase-before-format" Local Safety promise 1 "A device is formatted only after what it held is erased, durably."
    AtomicCheckpoint "atomic-checkpoint" Local Safety promise 1 "A checkpoint takes effect by one superblock flip, after all of it is durable."
    OneLog "one-log" Local Safety promise 1 "Recovery and replication read the same log."
    VerifyOnRead "verify-on-read" Local Safety promise 5 "A value is checked against its checksum on every read from the device."
    DeviceLock "device-lock" Local Safety promise 1 "A device is open in at most one process."
    DirectorySync "directory-sync" Local Safety promise 1 "A new image's directory is synced before anything is promised on it."
    EpochFence "epoch-fence" Cluster Safety promise 1 "A replica refuses messages of an epoch lower than the one it promised."
    NoRoleSurvives "no-role-survives" Cluster Safety promise 1 "After a restart every replica is a backup, and leads again only in a greater epoch."
    DurablePromise "durable-promise" Cluster Safety promise 1 "A promise is durable before it is answered."
    OneCandidatePerEpoch "one-candidate-per-epoch" Cluster Safety promise 1 "An epoch is promised at most once: only a strictly greater one is granted."
    PromiseMajority "promise-majority" Cluster Safety promise 1 "A candidate leads only with the promises of a majority."
    TailWithPromise "tail-with-promise" Cluster Safety promise 1 "A node that promises an epoch reports where its log ends when the promise holds, not where it ended before."
    MostCompleteLog "most-complete-log" Cluster Safety promise 1 "A candidate leads only if no promiser has a more complete log."
    MajorityCommit "majority-commit" Cluster Safety promise 1 "An entry is committed once a majority, the primary included, has it durable."
    DurableAck "durable-ack" Cluster Safety promise 1 "An acknowledgement leaves only after the sync of what it acknowledges."
    LogMatching "log-matching" Cluster Safety promise 1 "Entries are appended only behind the very entry they follow on the primary."
    TruncateOnConflict "truncate-on-conflict" Cluster Safety promise 1 "Entries that contradict the primary's log are removed before its entries are appended."
    TruncateOnlyOnConflict "truncate-only-on-conflict" Cluster Safety promise 1 "A late or duplicated message that agrees with the log removes nothing."
    CommitWithinMatch "commit-within-match" Cluster Safety promise 1 "A backup commits only as far as its log is known to match the primary's."
    OwnEpochCommit "own-epoch-commit" Cluster Safety promise 1 "Only an entry of the primary's own epoch is committed by counting."
    AckBoundToEpoch "ack-bound-to-epoch" Cluster Safety promise 1 "An acknowledgement counts only in the epoch that it answers."
    UnprovenLogDoesNotVote "unproven-log-does-not-vote" Cluster Safety promise 1 "A replica whose log may have forgotten something neither promises nor acknowledges."
    TransferReach "transfer-reach" Cluster Safety promise 1 "A state makes a forgetful replica a voter only if it includes an entry that was appended after the transfer began."
    TransferName "transfer-name" Cluster Safety promise 1 "No two transfers have one name, not even those of two lives of a replica."
    ApplyOnlyCommitted "apply-only-committed" Cluster Safety promise 2 "Only committed entries are applied, so only they can be read."
    ReadConfirmation "read-confirmation" Cluster Safety promise 2 "A read is answered only after a majority has confirmed the primary's epoch since the read arrived."
    EpochMarker "epoch-marker" Cluster Safety promise 2 "A new primary serves once an entry of its own epoch is committed: only then does it know all that was acknowledged before."
    RequestDedup "request-dedup" Cluster Safety promise 2 "A request takes effect once, however often it was sent."
    SessionOnce "session-once" Cluster Safety promise 2 "A gateway takes up a session once: no request number is given out twice."
    DedupSurvivesFailover "dedup-survives-failover" Cluster Safety promise 2 "Every replica builds its table of answered requests from the entries that it applies."
    AtomicStateTransfer "atomic-state-transfer" Cluster Safety promise 1 "A transferred state takes effect as a whole or not at all."
    FrameIdentity "frame-identity" Cluster Safety promise 1 "A frame of another cluster, shard or receiver is dropped."
    FailoverBackoff "failover-backoff" Cluster Liveness promise 4 "Gateways wait longer, and differently long, after each failed takeover."
    Backpressure "backpressure" Cluster Liveness promise 4 "Queues are bounded, and a full one refuses instead of growing."
    AdmissionBySize "admission-by-size" Cluster Liveness promise 4 "Sizes alone decide whether an entry has room, so what the primary takes fits on every replica."
    EpochBound "epoch-bound" Cluster Liveness promise 4 "An epoch that cannot be true is refused before it becomes durable."
    PreVote "pre-vote" Extension Liveness promise 4 "A node stands only once a majority has said that it would vote for it."
    PreVoteAsStrict "pre-vote-as-strict" Extension Liveness promise 4 "A pre-vote is granted under the conditions of the vote: a log that is complete enough, and a voter whose own is proven."
    LeaderStickiness "leader-stickiness" Extension Liveness promise 4 "Who hears a primary refuses a pre-vote against it."
    CheckQuorum "check-quorum" Extension Liveness promise 4 "A primary that hears no majority steps down."
    ConfigWhenAppended "config-when-appended" Extension Safety promise 1 "A change of the members is in effect as soon as it is in the log."
    OneChangeAtATime "one-change-at-a-time" Extension Safety promise 1 "No change of the members is begun before the one before it is committed."
    ChangeAfterOwnCommit "change-after-own-commit" Extension Safety promise 1 "A primary changes the members only once an entry of its own epoch is committed."
    MembersInState "members-in-state" Extension Safety promise 1 "A checkpoint, and a state that is sent, say who the members are."
    RemovedDoesNotCount "removed-does-not-count" Extension Safety promise 1 "A primary that was removed does not count itself."
    LearnerCatchesUp "learner-catches-up" Extension Liveness promise 4 "A new node counts only once it has what the others have."
    HandOver "hand-over" Extension Liveness promise 4 "A primary that was removed has another take the lead."
    CopyBeforeFree "copy-before-free" Extension Safety promise 1 "The place that a value was moved from is free only once a checkpoint that was begun after the move is durable."
    OneCheckpointPerSeq "one-checkpoint-per-seq" Extension Safety promise 1 "Values are moved only if the next checkpoint is of a later entry than the last: no two checkpoints have one name."
    MovesLeaveRoom "moves-leave-room" Extension Liveness promise 4 "Copies of values take no room that overwrites and the next checkpoint need."
    NoGcDuringInstall "no-gc-during-install" Extension Liveness promise 4 "Nothing is moved while a state is being received."
}

impl Mechanism {
    /// The mechanism called `id`.
    pub fn from_id(id: &str) -> Option<Mechanism> {
        Mechanism::ALL.iter().copied().find(|m| m.id() == id)
    }
}

impl std::fmt::Display for Mechanism {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id())
    }
}

/// The mechanisms that are switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mechanisms(u128);

impl Mechanisms {
    /// All of them: the only set a real process runs with.
    pub const fn all() -> Mechanisms {
        Mechanisms(u128::MAX)
    }

    /// This set with `mechanism` taken out. For the simulator and the lab only.
    #[must_use]
    pub const fn without(self, mechanism: Mechanism) -> Mechanisms {
        Mechanisms(self.0 & !(1 << mechanism as u8))
    }

    /// Does `mechanism` stop this, being switched on, because it is `wrong`? Asked by its guard, and nowhere else.
    ///
    /// Each time that it does is counted, for whoever asks [`take_stopped`]: a mechanism that never had to stop anything
    /// has not been tried.
    pub fn stops(self, mechanism: Mechanism, wrong: bool) -> bool {
        let stops = self.has(mechanism) && wrong;
        if stops {
            STOPPED.with(|counts| counts[mechanism as usize].set(counts[mechanism as usize].get() + 1));
        }
        stops
    }

    const fn has(self, mechanism: Mechanism) -> bool {
        self.0 & (1 << mechanism as u8) != 0
    }
}

thread_local! {
    /// How often each mechanism stopped something on this thread. No decision reads it.
    static STOPPED: [Cell<u64>; Mechanism::ALL.len()] = const { [const { Cell::new(0) }; Mechanism::ALL.len()] };
}

/// How often each mechanism stopped something on this thread since this was last asked.
pub fn take_stopped() -> impl Iterator<Item = (Mechanism, u64)> {
    Mechanism::ALL.iter().map(|m| (*m, STOPPED.with(|counts| counts[*m as usize].take())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_names_its_mechanism_and_fits_the_set() {
        assert!(Mechanism::ALL.len() < 128);
        for &m in Mechanism::ALL {
            assert_eq!(Mechanism::from_id(m.id()), Some(m));
            assert!(!Mechanisms::all().without(m).has(m));
        }
    }

    #[test]
    fn what_a_mechanism_stopped_is_counted_once() {
        let on = Mechanisms::all();
        take_stopped().for_each(drop);
        assert!(on.stops(Mechanism::EpochFence, true) && !on.stops(Mechanism::EpochFence, false));
        assert!(!on.without(Mechanism::LogMatching).stops(Mechanism::LogMatching, true));
        let counted: Vec<_> = take_stopped().filter(|(_, n)| *n > 0).collect();
        assert_eq!(counted, [(Mechanism::EpochFence, 1)]);
        assert!(take_stopped().all(|(_, n)| n == 0));
    }
}
