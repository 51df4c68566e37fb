//! The mechanisms of the cluster.

use trace::Mechanism;

use super::{BLANK, Entry};

const DATAPLANE: &str = "crates/dataplane/src/guard.rs";
const GATEWAY: &str = "crates/gateway/src/guard.rs";

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        mechanism: Mechanism::EpochFence,
        faults: "a slow old primary",
        guard: Some((DATAPLANE, "epoch_fence")),
        scope: Some("failover"),
        counterexample: schedule!("epoch-fence"),
        story: Some("old_primary_wakes_up"),
        others: "The old primary does all things right for its own epoch: its backup matches, its majority is a majority. Only the backup knows that it has promised another epoch.",
        variation: "Let the old primary's message arrive before the promise: then its entry is in the log that is compared.",
        published: "Oki and Liskov, Viewstamped Replication, PODC 1988; Chubby's sequencers, Burrows, OSDI 2006",
        choice: Some("Leases would keep the old primary from acting, and need clocks to be trusted."),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::NoRoleSurvives,
        structural: "no device holds a role, so none can be restored; `Replica::restore` makes a backup",
        faults: "power cut of a primary",
        variation: "Restart the primary of a running cluster (`cutaway restart n1`): its next epoch is greater, or another node leads.",
        published: "Liskov and Cowling, Viewstamped Replication Revisited, 2012, section 4.3 (a replica that recovers takes no part until it knows the view)",
        choice: Some("A durable role, with a sync of the log before each word of the primary."),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::DurablePromise,
        faults: "crash of a replica",
        guard: Some((DATAPLANE, "durable_promise")),
        scope: Some("crash"),
        counterexample: schedule!("durable-promise"),
        story: Some("promise_survives_a_restart"),
        others: "The fence works against the epoch that the replica remembers, and it remembers the old one.",
        variation: "Let the replica crash before it promises: the same messages, and no harm.",
        published: "Lamport, The Part-Time Parliament, ACM TOCS 1998; Chandra et al., Paxos Made Live, PODC 2007",
        choice: Some(
            "A replica that rejoins only after asking a majority (Viewstamped Replication Revisited) may keep promises in memory.",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::OneCandidatePerEpoch,
        faults: "two gateways at once",
        guard: Some((DATAPLANE, "one_candidate_per_epoch")),
        counterexample: schedule!("one-candidate-per-epoch"),
        story: Some("two_gateways_take_over_at_once"),
        others: "Both primaries are of the same epoch. To the fence, to acknowledgements and to log matching they are one primary.",
        variation: "Let the second candidate ask in the next epoch: which of the two goes on?",
        published: "Lamport, ACM TOCS 1998 (a ballot is promised once)",
        choice: Some(
            "Epochs that belong to one candidate each (epoch modulo nodes) make a collision impossible, and the check unneeded.",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::PromiseMajority,
        faults: "a partition",
        guard: Some((DATAPLANE, "promise_majority")),
        scope: Some("failover"),
        counterexample: schedule!("promise-majority"),
        story: Some("asymmetric_partition_heals"),
        others: "Everything else is relative to the epoch, and this candidate made its epoch by itself: no one who acknowledged in the old one has been asked.",
        variation: "Let it ask, and lead before the answers come: what does the comparison of logs compare?",
        published: "Gifford, Weighted Voting, SOSP 1979; Lamport, ACM TOCS 1998",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::TailWithPromise,
        faults: "entries in flight during a takeover",
        guard: Some((DATAPLANE, "tail_with_promise")),
        scope: Some("failover"),
        counterexample: schedule!("tail-with-promise"),
        story: Some("promises_come_before_the_choice"),
        others: "The majority is right, the comparison is right. What is compared is from before the promise, and entries went on being acknowledged.",
        variation: "Let the acknowledgement come before the tail is reported: then the old report is good enough.",
        published: "Oki and Liskov, PODC 1988 (the view change carries the log)",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::MostCompleteLog,
        faults: "a takeover by a replica that missed an entry",
        guard: Some((DATAPLANE, "most_complete_log")),
        scope: Some("failover"),
        counterexample: schedule!("most-complete-log"),
        story: Some("failover_missed_the_last_commit"),
        others: "The candidate has its majority of promises, all durable. The entry is on one of the promisers, and nobody asks for it.",
        variation: "Let the candidate fetch what it lacks before it leads: that is the other choice.",
        published: "Oki and Liskov, PODC 1988; Ongaro and Ousterhout, Raft, USENIX ATC 2014, section 5.4.1",
        choice: Some(
            "Multi-Paxos and Viewstamped Replication let the new primary fetch the most complete log instead of refusing it to lead.",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::MajorityCommit,
        faults: "crash or silence of the primary",
        guard: Some((DATAPLANE, "majority_commit")),
        scope: Some("failover"),
        counterexample: schedule!("majority-commit"),
        story: Some("a_pair_of_backups_is_no_majority_for_the_primary"),
        others: "The takeover asks a majority, as it must. None of them ever had the entry.",
        variation: "Let the backup acknowledge before the takeover: does the order of its messages matter?",
        published: "Gifford, Weighted Voting, SOSP 1979",
        choice: Some(
            "A fixed primary and all backups (chain replication, PacificA) acknowledge later and reconfigure instead.",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::DurableAck,
        faults: "power cut of a backup",
        guard: Some((DATAPLANE, "durable_ack")),
        scope: Some("crash"),
        counterexample: schedule!("durable-ack"),
        story: Some("primary_restarts_without_its_last_entry"),
        others: "The majority was counted correctly; one of those counted has forgotten. Logs are compared as they are after the crash.",
        variation: "Let the power fail at a replica that was not counted.",
        published: "Lamport, ACM TOCS 1998; Chandra et al., PODC 2007",
        choice: Some(
            "Replicas that never recover from their own disk (Viewstamped Replication) need no sync, and may not all fail at once.",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::LogMatching,
        faults: "reordered or lost messages",
        guard: Some((DATAPLANE, "log_matching")),
        scope: Some("failover"),
        counterexample: schedule!("log-matching"),
        story: Some("hole_in_the_log_is_refused"),
        others: "The backup's epoch is right and its acknowledgement is durable. It has an entry at that number, behind a hole.",
        variation: "Deliver the two messages in order.",
        published: "Ongaro and Ousterhout, USENIX ATC 2014, section 5.3",
        choice: Some(
            "Gap-free numbering per message channel (a TCP stream per epoch) does the same while the stream lasts.",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::TruncateOnConflict,
        faults: "a suffix that nobody committed",
        guard: Some((DATAPLANE, "truncate_on_conflict")),
        counterexample: schedule!("truncate-on-conflict"),
        story: Some("divergent_suffix_is_truncated"),
        others: "The two logs agree up to the message, and the backup says truly that it has entries of those numbers. They are other entries.",
        variation: "Let the old primary's entries be lost in its crash: there is nothing to contradict.",
        published: "Ongaro and Ousterhout, USENIX ATC 2014, section 5.3",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::TruncateOnlyOnConflict,
        faults: "a late or duplicated message",
        guard: Some((DATAPLANE, "truncate_only_on_conflict")),
        scope: Some("failover"),
        counterexample: schedule!("truncate-only-on-conflict"),
        story: Some("late_duplicate_erases_nothing"),
        others: "The message is of the right epoch and matches. It is only old: the log has grown since, and what grew has been acknowledged.",
        variation: "Deliver the late message first.",
        published: "Ongaro, Consensus: Bridging Theory and Practice, 2014, section 3.5 (a delayed AppendEntries must not truncate)",
        choice: Some("In-order channels with sequence numbers would drop the late copy."),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::CommitWithinMatch,
        faults: "a sign of life to a backup with a stale suffix",
        guard: Some((DATAPLANE, "commit_within_match")),
        counterexample: schedule!("commit-within-match"),
        story: Some("late_duplicate_erases_nothing"),
        others: "The message matches where it says, and the commit point it tells is true on the primary. The backup's own log reaches as far, with other entries.",
        variation: "Let the sign of life carry the entries: they would conflict, and the suffix would go.",
        published: "Ongaro and Ousterhout, USENIX ATC 2014, figure 2 (min of leaderCommit and the index of the last new entry)",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::OwnEpochCommit,
        faults: "three takeovers, a partial copy",
        guard: Some((DATAPLANE, "own_epoch_commit")),
        counterexample: schedule!("own-epoch-commit"),
        story: Some("commit_only_through_own_epoch"),
        others: "The entry is on a majority, durable and acknowledged in the current epoch. A log with a later last epoch is still more complete, and does not have it.",
        variation: "Let the marker of the current epoch reach the same majority first.",
        published: "Ongaro and Ousterhout, USENIX ATC 2014, section 5.4.2 and figure 8",
        choice: Some(
            "Viewstamped Replication and Multi-Paxos copy old entries under the new epoch, and may then count them.",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::AckBoundToEpoch,
        faults: "a very late acknowledgement",
        guard: Some((DATAPLANE, "ack_bound_to_epoch")),
        counterexample: schedule!("ack-bound-to-epoch"),
        others: "The acknowledgement was true when it was sent. Since then the replica's log was cut and written again, and the number means another entry.",
        variation: "The same with three replicas does no harm: why does it take five?",
        published: "Ongaro, 2014, section 3.3 (replies carry the term); the ABA problem of counted acknowledgements",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::UnprovenLogDoesNotVote,
        faults: "a replaced disk",
        guard: Some((DATAPLANE, "unproven_log_does_not_vote")),
        scope: Some("wipe"),
        counterexample: schedule!("unproven-log-does-not-vote"),
        story: Some("wiped_replica_does_not_vote"),
        others: "The wiped replica breaks no rule: its log is short and consistent, its promise is durable. It has forgotten that it was one of the majority.",
        variation: "Wipe the third replica instead: the two that acknowledged are still there.",
        published: "Liskov and Cowling, Viewstamped Replication Revisited, 2012 (recovery); Michael et al., Recovering Shared Objects without Stable Storage, DISC 2017",
        choice: Some("Treat a replaced disk as a new member, and change the membership."),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::TransferReach,
        faults: "a replaced disk, and a primary that is cut off",
        guard: Some((DATAPLANE, "transfer_reach")),
        counterexample: schedule!("transfer-reach"),
        others: "The old primary is what it says, for its own epoch; the replaced replica votes only after a transfer that is whole, and makes that epoch its promise. But nobody asked whether others have promised more meanwhile: the replica did, and has forgotten it.",
        variation: "Let n2's disk be replaced instead: then nobody who promised epoch 2 has forgotten it.",
        published: "Chandra et al., Paxos Made Live, PODC 2007, section 5.1 (a replica that lost its disk takes no part until it has seen a whole instance begin after that)",
        choice: Some(
            "A round that confirms the sender's epoch with a majority without the receiver; with five replicas it leaves promises that were forgotten and still count.",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::TransferName,
        faults: "a disk replaced twice",
        guard: Some((DATAPLANE, "transfer_name")),
        counterexample: schedule!("transfer-name"),
        others: "The state is whole, of the right cluster, and was sent by a primary that a majority confirmed. It is the answer to an earlier question.",
        variation: "Replace the disk once only: why does the first transfer do no harm?",
        published: "Birman and Joseph, Exploiting Virtual Synchrony in Distributed Systems, SOSP 1987 (a process that comes back is another process)",
        choice: Some("A counter on the receiver's device: a replaced disk would not have it."),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::ApplyOnlyCommitted,
        faults: "a takeover after a read",
        guard: Some((DATAPLANE, "apply_only_committed")),
        scope: Some("failover"),
        counterexample: schedule!("apply-only-committed"),
        story: Some("commit_only_through_own_epoch"),
        others: "The takeover removes an entry that was never committed, as it may. Somebody was told of it.",
        variation: "Let the client wait for the majority before it believes the value.",
        published: "Oki and Liskov, PODC 1988; the dirty read of Gray et al., 1976",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::ReadConfirmation,
        faults: "a deposed primary",
        guard: Some((DATAPLANE, "read_confirmation")),
        scope: Some("reads"),
        counterexample: schedule!("read-confirmation"),
        story: Some("old_primary_wakes_up"),
        others: "The old primary has not heard of the new one, and all that it has was committed. Its answer was true, some time ago.",
        variation: "Let the read arrive before the new primary's write is acknowledged: the same answer is then right.",
        published: "Ongaro, 2014, section 6.4 (read-only queries); Gray and Cheriton, Leases, SOSP 1989",
        choice: Some(
            "Leases answer without a round, and need bounded clock drift. Reads through the log need no rule of their own, and cost a sync.",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::EpochMarker,
        faults: "a takeover without a write",
        guard: Some((DATAPLANE, "epoch_marker")),
        scope: Some("reads"),
        counterexample: schedule!("epoch-marker"),
        story: Some("seq_goes_on_after_a_failover"),
        others: "The new primary has every committed entry. It does not know yet which ones are.",
        variation: "Let a client write first: then its entry is the marker.",
        published: "Ongaro, 2014, section 6.4 (the no-op entry at the beginning of a term)",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::RequestDedup,
        faults: "a retry",
        guard: Some((DATAPLANE, "request_dedup")),
        scope: Some("retry"),
        counterexample: schedule!("request-dedup"),
        story: Some("retry_across_failover_takes_effect_once"),
        others: "Both copies are appended, replicated and committed by the rules. That they are one request is known only to whoever remembers it.",
        variation: "Let the retry carry an expected version: the second one is then refused by the condition.",
        published: "Birrell and Nelson, Implementing Remote Procedure Calls, ACM TOCS 1984 (at most once); Liskov and Cowling, 2012 (the client table)",
        choice: Some("Conditional writes only (compare and set) leave the question to the client."),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::SessionOnce,
        seed: Some(995),
        faults: "a message that comes late",
        guard: Some((GATEWAY, "session_once")),
        others: "Every replica knows what came of request 15.1, and answers a repetition with it. That this is another request, nobody but its gateway could tell.",
        variation: "Run the seed with `--shrink`: which faults does it take?",
        published: "Birrell and Nelson, Implementing Remote Procedure Calls, ACM TOCS 1984 (a call identifier is never used again)",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::DedupSurvivesFailover,
        faults: "a retry over a takeover",
        guard: Some((DATAPLANE, "dedup_survives_failover")),
        scope: Some("retry"),
        counterexample: schedule!("dedup-survives-failover"),
        story: Some("retry_after_checkpoint_and_transfer"),
        others: "The first primary did remember. Its memory was not in the log, and the new primary has only the log.",
        variation: "Send the retry to the old primary.",
        published: "Liskov and Cowling, 2012 (the client table is part of the replicated state)",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::AtomicStateTransfer,
        faults: "a receiver with half a state",
        guard: Some((DATAPLANE, "atomic_state_transfer")),
        counterexample: schedule!("atomic-state-transfer"),
        story: Some("retry_after_checkpoint_and_transfer"),
        others: "What the receiver has is checksummed, and of the right entry number. It is only the first piece of two.",
        variation: "Deliver the last piece before the takeover.",
        published: "Liskov and Cowling, 2012 (state transfer); Chandra et al., PODC 2007 (snapshots)",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::FrameIdentity,
        faults: "a misdirected message",
        guard: Some((DATAPLANE, "frame_identity")),
        counterexample: schedule!("frame-identity"),
        others: "The promise is genuine: durable, of a real replica, of this epoch. It was given to somebody else.",
        variation: "Let it stray to a replica that is no candidate: who listens?",
        published: "Saltzer, Reed and Clark, End-to-End Arguments, ACM TOCS 1984",
        choice: Some("A channel that is bound to one peer by a cryptographic handshake."),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::FailoverBackoff,
        faults: "two gateways that suspect at once",
        guard: Some((GATEWAY, "failover_backoff")),
        variation: "Run `cutaway sim --seeds 2000 --without failover-backoff`: nothing wrong is answered, and takeovers are more.",
        published: "Ongaro and Ousterhout, USENIX ATC 2014, section 5.2 (randomised timeouts)",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::Backpressure,
        faults: "a slow backup",
        guard: Some((DATAPLANE, "backpressure")),
        variation: "Run `cutaway sim --seeds 2000 --without backpressure`: no answer is wrong. What grows instead?",
        published: "Welsh et al., SEDA, SOSP 2001",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::AdmissionBySize,
        seed: Some(6),
        faults: "full disks",
        guard: Some((DATAPLANE, "admission_by_size")),
        others: "A node that cannot append an entry stops, and tells nobody anything wrong. But the entry is in the log of the next primary as well, and stops that too.",
        variation: "Run the seed with `--shrink`: which node stops first, and why do the others follow?",
        published: "Bonwick et al., The Zettabyte File System, 2003 (space is reserved in the worst case before a change is taken)",
        choice: Some(
            "Aborting an entry that does not fit takes an agreement on that, while the disk is full.",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::EpochBound,
        faults: "a frame with an epoch that cannot be",
        guard: Some((DATAPLANE, "epoch_bound")),
        variation: "Run `cutaway sim --seeds 2000 --without epoch-bound`: honest peers never claim such an epoch. Who might?",
        published: "Bazzi and Ding, Non-skipping Timestamps for Byzantine Data Storage Systems, DISC 2004 (a forged timestamp must not exhaust the space)",
        ..BLANK
    },
];
