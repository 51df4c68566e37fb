//! The exercises, from easy to hard.
//!
//! `shows` asks the guard itself, with facts that tell the mistake from the rule and from the other mistakes; the first that
//! shows counts. A guard of the engine cannot be asked from here: the schedules that it betrays stand for its decisions.

use dataplane::guard::*;
use dataplane::{Address, Epoch, Frame, Message, NodeId, Tail};
use trace::{Mechanism as M, Mechanisms};

use super::exercise::{Rebuild, Wrong};
use crate::quiet::caught;
use crate::schedule::Schedule;
use crate::why::registry;

fn e(epoch: u64) -> Epoch {
    Epoch(epoch)
}

fn tail(epoch: u64, seq: u64) -> Tail {
    Tail { epoch: Epoch(epoch), seq }
}

/// Is a frame to n1 about shard 0 of cluster 0 taken in by whoever is n1 in cluster `cluster`, or who `me` is, for `shard`?
fn taken(on: Mechanisms, cluster: u8, shard: u32, me: u32) -> bool {
    let node = |node| Address::Node(NodeId(node));
    let message = Message::Probe { attempt: 1 };
    let frame = Frame { cluster: [0; 16], shard: 0, from: node(2), to: node(1), cause: None, message };
    frame_identity(on, &frame, &[cluster; 16], shard, node(me))
}

/// Can a device not even be prepared, as after an ordinary crash?
fn no_device_opens(on: Mechanisms) -> bool {
    caught(|| breaks(on, M::CorruptionIsNotATornTail)).is_err()
}

/// Does the counterexample of this mechanism break a promise now?
fn breaks(on: Mechanisms, mechanism: M) -> bool {
    let text = registry::entry(mechanism).counterexample.expect("it has a schedule");
    let schedule: Schedule = text.parse().expect("a test reads every counterexample");
    schedule.play(on).is_ok_and(|play| play.broken.is_some())
}

/// All of them.
pub(in crate::learn) const GUARDS: &[Rebuild] = &[
    Rebuild {
        mechanism: M::EpochFence,
        empty: "true",
        hint: "Which epoch did this replica promise, and to whom does a message with a smaller one belong?",
        wrong: &[
            Wrong {
                name: "inverted",
                body: "epoch <= promised",
                why: "You listen to the past and turn the new primary away. A message is stale if its epoch is smaller than the promised one.",
                shows: |on| epoch_fence(on, e(2), e(1)) && !epoch_fence(on, e(2), e(3)),
            },
            Wrong {
                name: "only-its-own",
                body: "epoch == promised",
                why: "You listen to the promised epoch only. How does a backup ever hear of a new primary? The first message of a greater epoch is how it learns that there is one.",
                shows: |on| !epoch_fence(on, e(2), e(1)) && !epoch_fence(on, e(2), e(3)),
            },
            Wrong {
                name: "not-even-its-own",
                body: "epoch > promised",
                why: "You turn away the very epoch that was promised: the primary of epoch 2 gets no answer from a replica that promised it epoch 2.",
                shows: |on| !epoch_fence(on, e(2), e(2)) && epoch_fence(on, e(2), e(3)),
            },
        ],
    },
    Rebuild {
        mechanism: M::PromiseMajority,
        empty: "have >= 1",
        hint: "Two candidates at once: how many promises must each have so that both cannot have enough?",
        wrong: &[
            Wrong {
                name: "half",
                body: "2 * have >= members",
                why: "Half is no majority: of four replicas, two and two can promise two candidates. With an odd number the mistake hides.",
                shows: |on| promise_majority(on, 2, 4) && !promise_majority(on, 2, 5),
            },
            Wrong {
                name: "everybody",
                body: "have == members",
                why: "You wait for every replica. One that is down keeps the cluster without a primary; a majority is enough, since any two majorities share a replica.",
                shows: |on| !promise_majority(on, 2, 3),
            },
            Wrong {
                name: "always-two",
                body: "have >= 2",
                why: "Two is the majority of three. Of five replicas, two and two can promise two candidates.",
                shows: |on| promise_majority(on, 2, 5) && !promise_majority(on, 1, 5),
            },
        ],
    },
    Rebuild {
        mechanism: M::ApplyOnlyCommitted,
        empty: "last",
        hint: "A read shows what is applied. Which entries can no takeover remove any more?",
        wrong: &[
            Wrong {
                name: "one-ahead",
                body: "last.min(commit + 1)",
                why: "You apply one entry too many: the one behind the commit point can still be removed by a takeover, and a client may have read it.",
                shows: |on| apply_only_committed(on, 5, 7) == 6,
            },
            Wrong {
                name: "one-behind",
                body: "last.min(commit.saturating_sub(1))",
                why: "The last committed entry is never applied, so its writer never gets an answer. What is committed may be applied, the entry at the commit point included.",
                shows: |on| apply_only_committed(on, 5, 7) == 4,
            },
            Wrong {
                name: "nothing",
                body: "let _ = last;\ncommit.min(0)",
                why: "Nothing is ever applied, so no client is ever answered. That is safe, and no service.",
                shows: |on| apply_only_committed(on, 5, 7) == 0,
            },
        ],
    },
    Rebuild {
        mechanism: M::OneCandidatePerEpoch,
        empty: "asked >= promised",
        hint: "An epoch that is promised already was promised to somebody. May it be promised again?",
        wrong: &[
            Wrong {
                name: "inverted",
                body: "asked < promised",
                why: "You promise the past and refuse the future: a promise must only ever grow.",
                shows: |on| {
                    one_candidate_per_epoch(on, e(3), e(2)) && !one_candidate_per_epoch(on, e(3), e(4))
                },
            },
            Wrong {
                name: "anything-else",
                body: "asked != promised",
                why: "You promise older epochs as well. Whoever promised epoch 3 and then 2 has taken the word back that made somebody primary of 3.",
                shows: |on| one_candidate_per_epoch(on, e(3), e(2)),
            },
            Wrong {
                name: "only-the-next",
                body: "asked.0 == promised.0 + 1",
                why: "You promise only the very next epoch. A replica that was away for two takeovers never promises again; epochs may skip numbers.",
                shows: |on| {
                    one_candidate_per_epoch(on, e(3), e(4)) && !one_candidate_per_epoch(on, e(3), e(5))
                },
            },
        ],
    },
    Rebuild {
        mechanism: M::AckBoundToEpoch,
        empty: "acked <= current",
        hint: "An acknowledgement says: this is in my log, in this epoch. What may have happened to that log since?",
        wrong: &[
            Wrong {
                name: "the-one-before-too",
                body: "acked.0 + 1 >= current.0 && acked <= current",
                why: "You still count the epoch before. Between the two there was a takeover, and it may have cut the very entry that was acknowledged.",
                shows: |on| ack_bound_to_epoch(on, e(1), e(2)) && !ack_bound_to_epoch(on, e(1), e(3)),
            },
            Wrong {
                name: "inverted",
                body: "acked < current",
                why: "You count the old acknowledgements and none of the present epoch: nothing is ever committed, or by those that no longer hold.",
                shows: |on| !ack_bound_to_epoch(on, e(2), e(2)),
            },
            Wrong {
                name: "at-least",
                body: "acked >= current",
                why: "You count acknowledgements of epochs that this primary does not lead. They speak of another primary's log.",
                shows: |on| ack_bound_to_epoch(on, e(3), e(2)),
            },
        ],
    },
    Rebuild {
        mechanism: M::LogMatching,
        empty: "true",
        hint: "The entries stand behind `prev` at the primary. What must the backup have there so that they stand behind the same log here?",
        wrong: &[
            Wrong {
                name: "any-entry",
                body: "let _ = prev;\nown.is_some()",
                why: "That there is an entry is not enough: it may be another one, of another epoch. Then the logs differ below what is appended.",
                shows: |on| log_matching(on, Some(e(1)), tail(2, 4)) && !log_matching(on, None, tail(2, 4)),
            },
            Wrong {
                name: "a-hole-will-do",
                body: "own.is_none_or(|own| own == prev.epoch)",
                why: "You append where the log has no entry at `prev`: it gets a hole, and the replica acknowledges what it does not have.",
                shows: |on| log_matching(on, None, tail(2, 4)) && !log_matching(on, Some(e(1)), tail(2, 4)),
            },
            Wrong {
                name: "newer-is-fine",
                body: "own >= Some(prev.epoch)",
                why: "An entry of a greater epoch at that place is another entry. Only the same epoch at the same seq means the same log up to there.",
                shows: |on| {
                    log_matching(on, Some(e(3)), tail(2, 4)) && !log_matching(on, Some(e(1)), tail(2, 4))
                },
            },
        ],
    },
    Rebuild {
        mechanism: M::OwnEpochCommit,
        empty: "true",
        hint: "Counting replicas says who has the entry now. Who could still lead without it?",
        wrong: &[
            Wrong {
                name: "whatever-it-has",
                body: "let _ = current;\nentry.is_some()",
                why: "You commit entries of earlier epochs by counting. A replica with an entry of an epoch in between is the more complete one, may lead, and removes it: Raft's figure 8.",
                shows: |on| own_epoch_commit(on, e(1).into(), e(3)) && !own_epoch_commit(on, None, e(3)),
            },
            Wrong {
                name: "inverted",
                body: "entry < Some(current)",
                why: "You commit the entries of earlier epochs and none of your own. Those of before become committed by one of this epoch behind them.",
                shows: |on| !own_epoch_commit(on, Some(e(2)), e(2)),
            },
            Wrong {
                name: "the-one-before-too",
                body: "entry.is_some_and(|entry| entry.0 + 1 >= current.0)",
                why: "The epoch before is an earlier epoch like any other: between the two another candidate may have appended, with an epoch that you skipped.",
                shows: |on| own_epoch_commit(on, Some(e(1)), e(2)) && !own_epoch_commit(on, Some(e(1)), e(3)),
            },
        ],
    },
    Rebuild {
        mechanism: M::CommitWithinMatch,
        empty: "commit.min(last)",
        hint: "The message says how far the primary has committed. Of which part of its own log does the backup know that it is the same?",
        wrong: &[
            Wrong {
                name: "all-that-matches",
                body: "let _ = (commit, last);\nmatched",
                why: "You commit everything that matches. That it is the same log does not make it committed: a majority may not have it.",
                shows: |on| commit_within_match(on, 3, 5, 5) == 5 && commit_within_match(on, 5, 3, 5) == 3,
            },
            Wrong {
                name: "the-greater",
                body: "commit.max(matched).min(last)",
                why: "You take the greater of two bounds. Both have to hold: told to be committed, and known to be the same.",
                shows: |on| commit_within_match(on, 3, 5, 5) == 5,
            },
            Wrong {
                name: "one-behind",
                body: "commit.min(matched.saturating_sub(1)).min(last)",
                why: "You stop one entry too early: an entry that matches and is committed stays invisible here until the next one comes.",
                shows: |on| commit_within_match(on, 5, 5, 5) == 4,
            },
        ],
    },
    Rebuild {
        mechanism: M::MostCompleteLog,
        empty: "true",
        hint: "Two logs end differently. What says which of them has seen the later primary, and what counts only after that?",
        wrong: &[
            Wrong {
                name: "longer-wins",
                body: "own.seq >= theirs.seq",
                why: "You compare lengths only. A long log of an old epoch beats a short one with the entry that a later primary committed.",
                shows: |on| {
                    most_complete_log(on, tail(1, 9), tail(2, 3))
                        && !most_complete_log(on, tail(2, 3), tail(2, 5))
                },
            },
            Wrong {
                name: "epoch-only",
                body: "own.epoch >= theirs.epoch",
                why: "You compare epochs only. In the same epoch the shorter log lacks entries that may be committed.",
                shows: |on| {
                    most_complete_log(on, tail(2, 3), tail(2, 5))
                        && !most_complete_log(on, tail(2, 5), tail(3, 1))
                },
            },
            Wrong {
                name: "must-be-better",
                body: "own > theirs",
                why: "You refuse a candidate whose log is equal. Then three replicas that have everything cannot elect any of them.",
                shows: |on| {
                    !most_complete_log(on, tail(2, 5), tail(2, 5))
                        && most_complete_log(on, tail(2, 6), tail(2, 5))
                },
            },
            Wrong {
                name: "inverted",
                body: "own <= theirs",
                why: "You support candidates that lack what you have, and refuse those that have more.",
                shows: |on| {
                    most_complete_log(on, tail(2, 5), tail(2, 5))
                        && !most_complete_log(on, tail(2, 6), tail(2, 5))
                },
            },
        ],
    },
    Rebuild {
        mechanism: M::MajorityCommit,
        empty: "durable[0]",
        hint: "Sort the marks in your mind: up to where do enough replicas have the log? `majority` stands at the end of the guard's file.",
        wrong: &[
            Wrong {
                name: "anybody",
                body: "durable.iter().copied().max().unwrap_or(0)",
                why: "You take what any replica has. One replica is no majority; its entry dies with it.",
                shows: |on| majority_commit(on, &[1, 5, 1]) == 5,
            },
            Wrong {
                name: "everybody",
                body: "durable.iter().copied().min().unwrap_or(0)",
                why: "You wait for the slowest replica. One that is down stops all writes; a majority is enough.",
                shows: |on| majority_commit(on, &[5, 1, 5, 5, 5]) == 1,
            },
            Wrong {
                name: "half",
                body: "let mut marks = durable.to_vec();\nmarks.sort_unstable();\nmarks[marks.len() / 2]",
                why: "Of four replicas you count two: half is no majority. With an odd number the mistake hides.",
                shows: |on| majority_commit(on, &[1, 2, 3, 4]) == 3 && majority_commit(on, &[5, 5, 3]) == 5,
            },
            Wrong {
                name: "backups-only",
                body: "majority_mark(&durable[1..])",
                why: "You ask for a majority of the backups, without the primary. With three replicas that are both of them: one that is down stops all writes.",
                shows: |on| majority_commit(on, &[5, 5, 3]) == 3,
            },
        ],
    },
    Rebuild {
        mechanism: M::TailWithPromise,
        empty: "reported_before",
        hint: "The candidate compares itself with the tail in the answer. As of when must that be true?",
        wrong: &[
            Wrong {
                name: "the-greater",
                body: "now.max(reported_before)",
                why: "A log can also get shorter: a tail that was cut is not there any more, and whoever claims it keeps the only possible candidate from leading.",
                shows: |on| {
                    tail_with_promise(on, tail(1, 3), tail(1, 5)) == tail(1, 5)
                        && tail_with_promise(on, tail(1, 5), tail(1, 3)) == tail(1, 5)
                },
            },
            Wrong {
                name: "the-smaller",
                body: "now.min(reported_before)",
                why: "What was appended since the last report is missing in your answer: a candidate without it thinks that it is complete.",
                shows: |on| {
                    tail_with_promise(on, tail(1, 3), tail(1, 5)) == tail(1, 3)
                        && tail_with_promise(on, tail(1, 5), tail(1, 3)) == tail(1, 3)
                },
            },
            Wrong {
                name: "mixed",
                body: "Tail { epoch: now.epoch, seq: reported_before.seq }",
                why: "The epoch of one moment and the seq of another make a tail that no log ever had.",
                shows: |on| tail_with_promise(on, tail(2, 5), tail(1, 3)) == tail(2, 3),
            },
        ],
    },
    Rebuild {
        mechanism: M::TruncateOnlyOnConflict,
        empty: "let _ = conflict;\nSome(prev + 1).filter(|from| *from <= last)",
        hint: "A late copy of a message speaks of a shorter log. Does that say anything against the entries behind it?",
        wrong: &[
            Wrong {
                name: "never",
                body: "let _ = (conflict, prev, last);\nNone",
                why: "You never cut. An entry that contradicts the primary's stays, and is acknowledged as if it were the primary's.",
                shows: |on| truncate_only_on_conflict(on, Some(5), 3, 6).is_none(),
            },
            Wrong {
                name: "all-that-was-sent",
                body: "conflict.map(|_| prev + 1).filter(|from| *from <= last)",
                why: "You cut from the message's beginning as soon as anything conflicts. The entries before the conflict match, and may be counted for a majority.",
                shows: |on| {
                    truncate_only_on_conflict(on, Some(5), 3, 6) == Some(4)
                        && truncate_only_on_conflict(on, None, 3, 6).is_none()
                },
            },
            Wrong {
                name: "behind-the-conflict",
                body: "let _ = (prev, last);\nconflict.map(|seq| seq + 1)",
                why: "You keep the conflicting entry itself and cut behind it.",
                shows: |on| truncate_only_on_conflict(on, Some(5), 3, 6) == Some(6),
            },
        ],
    },
    Rebuild {
        mechanism: M::FrameIdentity,
        empty: "true",
        hint: "An address may be reused. By what three things does a frame say whom it means?",
        wrong: &[
            Wrong {
                name: "any-of-them",
                body: "frame.cluster == *cluster || frame.shard == shard || frame.to == me",
                why: "One thing that fits is not enough: all three have to.",
                shows: |on| taken(on, 0, 1, 2) && !taken(on, 1, 1, 2),
            },
            Wrong {
                name: "any-cluster",
                body: "let _ = cluster;\nframe.shard == shard && frame.to == me",
                why: "You forgot the cluster. A node of another cluster, at an address that was ours, counts as a vote.",
                shows: |on| taken(on, 1, 0, 1) && !taken(on, 1, 1, 2),
            },
            Wrong {
                name: "any-shard",
                body: "let _ = shard;\nframe.cluster == *cluster && frame.to == me",
                why: "You forgot the shard. A process hosts a replica of each; an acknowledgement of one would count for another.",
                shows: |on| taken(on, 0, 1, 1) && !taken(on, 1, 1, 2),
            },
            Wrong {
                name: "anybody",
                body: "let _ = me;\nframe.cluster == *cluster && frame.shard == shard",
                why: "You forgot who is meant. A node that took over another's address, or disk, gives and counts its votes.",
                shows: |on| taken(on, 0, 0, 2) && !taken(on, 1, 1, 2),
            },
        ],
    },
    Rebuild {
        mechanism: M::TransferReach,
        empty: "true",
        hint: "The receiver has forgotten what it promised. Which entry proves that nobody else leads, without the receiver's help, after the transfer began?",
        wrong: &[
            Wrong {
                name: "one-short",
                body: "base + 1 >= reach",
                why: "You stop one entry too early: `reach` is the entry that had to be committed without the receiver, and the state must include it.",
                shows: |on| transfer_reach(on, 4, 5) && !transfer_reach(on, 3, 5),
            },
            Wrong {
                name: "one-too-far",
                body: "base > reach",
                why: "You ask for an entry behind `reach`. A cluster that nobody writes to has none, and the replica never votes again.",
                shows: |on| !transfer_reach(on, 5, 5),
            },
            Wrong {
                name: "inverted",
                body: "base <= reach",
                why: "You send the states that are too old and keep back those that are new enough.",
                shows: |on| transfer_reach(on, 3, 5) && !transfer_reach(on, 6, 5),
            },
        ],
    },
    Rebuild {
        mechanism: M::CorruptionIsNotATornTail,
        empty: "false",
        hint: "Batch n + 1 is not written before the sync of batch n has returned. What does it mean, then, that a later batch exists? And that an earlier recovery has read this one?",
        wrong: &[
            Wrong {
                name: "always-damage",
                body: "let _ = (unreadable, latest, verified);\ntrue",
                why: "You report every unreadable batch. A power cut leaves one at the end of the log all the time: the device would not open after an ordinary crash.",
                shows: |on| no_device_opens(on),
            },
            Wrong {
                name: "forgot-what-was-read",
                body: "let _ = verified;\nlatest > unreadable",
                why: "You forgot what an earlier recovery has read. The last batch has no later one behind it, and yet others rely on it once it was read: damage to it is damage.",
                shows: |on| !breaks(on, M::CorruptionIsNotATornTail) && breaks(on, M::NewLifeFirst),
            },
            Wrong {
                name: "only-what-was-read",
                body: "let _ = (unreadable, latest);\nverified",
                why: "You forgot the later batch. If there is one, the unreadable batch was synced and acknowledged; cutting the log there loses it in silence.",
                shows: |on| breaks(on, M::CorruptionIsNotATornTail) && !breaks(on, M::NewLifeFirst),
            },
        ],
    },
];
