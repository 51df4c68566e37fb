//! The mechanisms that extensions bring.

use trace::Mechanism;

use super::entry::{BLANK, Entry};

const ENGINE: &str = "crates/engine/src/guard.rs";
const DATAPLANE: &str = "crates/dataplane/src/guard.rs";
const MEMBERSHIP: &str = "extensions/membership/src/guard.rs";
const ELECTIONS: &str = "extensions/elections/src/guard.rs";

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        mechanism: Mechanism::PreVote,
        short: "The link between n1, which leads, and n3 is cut; n2 reaches both. n3 hears no primary and stands at once, without asking who would vote for it. n2 promises it the next epoch, and n1 is deposed, which n2 heard and answered all the time.",
        predict: "n3 hears no primary. n2 hears n1, and has not been asked anything yet. If n3 stands now, what must n2 do with its request for a promise?",
        faults: "a node that is cut off, for a while or from some",
        guard: Some((ELECTIONS, "pre_vote")),
        counterexample: schedule!("pre-vote"),
        trial: trial!("pre-vote"),
        others: "A promise is given to whoever asks for a greater epoch: that is the core's rule, and it is right, for gateways may know more. Stickiness does not help, for n3 asks nobody. Only n3 can find out beforehand that its candidacy is in vain, by asking who would vote for it.",
        variation: "Cut n3 off from n2 as well, and mend its link to n1 later: a node that comes back. What has it done to its epoch meanwhile?",
        published: "Ongaro, 2014, section 9.6 (preventing disruptions when a server rejoins the cluster)",
        choice: Some(
            "A candidate picks its epoch only once a majority has answered: the same question, asked later.",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::PreVoteAsStrict,
        short: "n1 stores a write with n2; n3 does not have it. Then n1 is cut off from both. n3 asks n2 whether it would vote for it, and n2 says yes, since neither hears a primary. n3 stands, n2 promises its epoch, and n3 cannot lead: the log of n2 is more complete. A majority has promised an epoch that nobody leads.",
        predict: "n2 has an entry that n3 lacks, and neither hears a primary. n3 asks n2 whether it would vote for it. If n2 says yes, what comes of n3's candidacy?",
        faults: "a primary that is gone, and a replica that lacks its last entry",
        guard: Some((ELECTIONS, "pre_vote_as_strict")),
        counterexample: schedule!("pre-vote-as-strict"),
        trial: trial!("pre-vote-as-strict"),
        others: "The vote itself is as strict as ever: n3 never leads. But by then n2 has promised n3's epoch, and gives it its time; had there been a new primary already, it would have been deposed.",
        variation: "Let n3 have the write before n1 is cut off. Who leads then?",
        published: "Ongaro, 2014, section 9.6 (a pre-vote asks whether the vote would be granted); ClickHouse NuRaft, pull request 134, 2026 (ten changes of leader in half an hour)",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::LeaderStickiness,
        short: "The link between n1, which leads, and n3 is cut; n2 reaches both. n3 hears no primary, asks n2, and n2 would vote for it. n3 stands, and n1 is deposed, which n2 heard and answered all the time. Next n1 hears no primary.",
        predict: "n3 hears no primary, and n2 hears n1. Their logs are equally complete. If n2 votes for n3, who will hear no primary next?",
        faults: "one link of three cut",
        guard: Some((ELECTIONS, "leader_stickiness")),
        counterexample: schedule!("leader-stickiness"),
        trial: trial!("leader-stickiness"),
        others: "n3 is right that it hears no primary, and its log is complete enough: its pre-vote and its vote are in order. That there is a primary, n2 knows.",
        variation: "Cut the link between n2 and n3 instead. Whom does n3 hear?",
        published: "Ongaro, 2014, section 4.2.3 (disruptive servers: who hears a leader does not vote); Cloudflare, A Byzantine failure in the real world, 2020 (six hours: one member reached only part of the others)",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::CheckQuorum,
        short: "Five nodes. n1 leads, and reaches n2 alone; so does n5. n2, n3 and n4 reach each other, and are a majority. But n2 hears a primary, and votes for nobody: n1 commits nothing, and no other can.",
        predict: "n2 hears n1, which leads and reaches nobody else. n3 and n4 hear no primary, and need the vote of n2. Who has to do something, and how does that one know?",
        faults: "a primary that is heard by too few",
        guard: Some((ELECTIONS, "check_quorum")),
        counterexample: schedule!("check-quorum"),
        trial: trial!("check-quorum"),
        others: "n2 keeps its word: whoever hears a primary refuses, which is what keeps a healthy one from being deposed. It cannot know that n1 is not healthy. n1 can: no majority answers it.",
        variation: "Let n1 reach n3 as well. Does it step down?",
        published: "Ongaro, 2014, section 6.2 (a leader steps down if it hears no majority); Jensen, Howard and Mortier, Examining Raft's Behaviour During Partial Network Failures, HAOC 2021",
        choice: Some(
            "A voter could ask the primary that it hears whether a majority answers it, and refuse only then.",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::ConfigWhenAppended,
        short: "Five become three: n5 is removed, then n4, each by an entry that n1 commits with n2 and n3. n3 crashes, and has the entries, but no longer knows that they are committed. A write is committed by n1 and n2, two of three. n3 still counts five, and leads with n4 and n5.",
        predict: "n3 has the entries that remove n4 and n5, and does not know that they are committed. It stands, and n4 and n5 promise it their vote. How many votes does it need?",
        faults: "a replica that has a change and has not heard that it is committed",
        guard: Some((DATAPLANE, "config_when_appended")),
        counterexample: schedule!("config-when-appended"),
        trial: trial!("config-when-appended"),
        others: "One change at a time was kept, and each was committed before the next. That bounds how far two *logs* may differ. Who goes by what is committed goes by what it was told, and that may be further behind.",
        variation: "Let n3 not crash. It has been told that n5 is gone. How many does it count?",
        published: "Ongaro, 2014, section 4.1 (a server uses the latest configuration in its log, committed or not)",
        choice: Some(
            "A change that is in effect when it is committed, if nobody may stand who has one that is not: so etcd does.",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::OneChangeAtATime,
        short: "n1 leads five, and removes n5 and n4 in one go. It has the entries, counts three, and commits a write with n2, two of three. n3, n4 and n5 have heard of nothing: they are three of five, and n3 leads.",
        predict: "n1 has two changes in its log, and has committed neither. It counts three nodes, the others count five. Is there a majority of three that meets no majority of five?",
        faults: "two changes that are asked for at once, and messages that are late",
        guard: Some((MEMBERSHIP, "one_change_at_a_time")),
        counterexample: schedule!("one-change-at-a-time"),
        trial: trial!("one-change-at-a-time"),
        others: "Each of the two is harmless: a majority of four meets every majority of five, and one of three every majority of four. Two steps apart they need not meet.",
        variation: "Let n1 ask for the second change when the first is committed. What has n3 or n4 then?",
        published: "Ongaro, 2014, section 4.1 (only one server at a time); Lamport, Malkhi and Zhou, Reconfiguring a State Machine, 2010",
        choice: Some(
            "Joint consensus: both majorities have to agree while a change of any size is under way (Ongaro, 2014, section 4.3).",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::ChangeAfterOwnCommit,
        short: "n1 leads four and removes n2, and nobody else hears of it. n2 leads epoch 2 and removes n1 at once: it counts n2, n3 and n4, and commits a write with n3, two of three. n1 counts n1, n3 and n4, and leads epoch 3 with n4, two of three.",
        predict: "n1 has a change in its log that nobody else has. n2 leads now, and begins another one. Each of the two counts three nodes. What would have had to happen first, so that n4 cannot vote for n1?",
        faults: "a change that a primary began and nobody else has heard of",
        guard: Some((MEMBERSHIP, "change_after_own_commit")),
        counterexample: schedule!("change-after-own-commit"),
        trial: trial!("change-after-own-commit"),
        others: "Each primary has one change open at a time. But they are two primaries, and each goes by its own log. That n2 leads does not undo what n1 has; an entry of epoch 2 on a majority of the *old* members does, since nobody of them votes for n1 then.",
        variation: "Let n2 commit an entry of epoch 2 before it changes anything. Whom does n4 vote for?",
        published: "Ongaro, bug in single-server membership changes, raft-dev, 2015",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::MembersInState,
        short: "Five become three: n4 and n5 are removed. n3 loses its disk and gets the state of n1, which says nothing of the members. So n3 counts the five that founded the cluster. A write is committed by n1 and n2, two of three; n3 leads with n4 and n5.",
        predict: "n3 has got a state as of entry 5, and none of the entries before. Entries 3 and 4 removed n5 and n4. How many nodes does n3 count?",
        faults: "a replica that gets a state instead of the entries",
        guard: Some((DATAPLANE, "members_in_state")),
        counterexample: schedule!("members-in-state"),
        trial: trial!("members-in-state"),
        others: "The log would say it, and is gone: a state stands for all entries before it. What is a function of the log has to be in the state.",
        variation: "Let n3 keep its disk. Where does it know from who the members are?",
        published: "etcd issue 19557, 2025 (a promotion that one of two stores did not have)",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::RemovedDoesNotCount,
        short: "n1 leads four and is removed. It leads on until that is committed, and a little longer. For the next write it counts itself and n2: two, and of the three that are left two are a majority. But only n2 is one of them. n3 leads with n4, two of three, without the write.",
        predict: "n1 leads, and is no member any more. n1 and n2 have the write. Which of n2, n3 and n4 may lead next?",
        faults: "a primary that is removed and leads on",
        guard: Some((DATAPLANE, "removed_does_not_count")),
        counterexample: schedule!("removed-does-not-count"),
        trial: trial!("removed-does-not-count"),
        others: "n1 is the primary of its epoch, and nobody has promised another. All that it says is true; it only counts one too many.",
        variation: "Take five nodes. n1 counts itself, n2 and n3, and of the four that are left three are a majority. Why is nothing lost?",
        published: "Ongaro, 2014, section 4.2.2 (a leader that is removed replicates, but does not count itself)",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::LearnerCatchesUp,
        short: "n4 is to be added to three, and cannot be reached. It counts at once: three of four are a majority now. Then n3 fails. n1 and n2 are two, which were a majority of three, and are none of four.",
        predict: "n4 has nothing yet, and counts. Then n3 fails. How many of the four answer?",
        faults: "a new node that is slow or down, and one more failure",
        guard: Some((MEMBERSHIP, "learner_catches_up")),
        counterexample: schedule!("learner-catches-up"),
        trial: trial!("learner-catches-up"),
        others: "Nothing wrong is answered: the majority of four is asked for, and is not there. Before the change one failure was survived, and after it none.",
        variation: "Let n4 be reached, and catch up, before n3 fails. How many of the four answer?",
        published: "Ongaro, 2014, section 4.2.1 (catching up new servers)",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::HandOver,
        faults: "a primary that is removed and then taken off the network",
        guard: Some((MEMBERSHIP, "hand_over")),
        others: "A primary that was removed does no harm while it leads on, for it does not count itself. When it is taken away, gateways or elections find another, after their timeout: an interruption that nobody needs. The test `a_primary_that_is_removed_has_another_lead` shows both.",
        story: Some("removed_primary_hands_over"),
        published: "Ongaro, 2014, section 4.2.2 (a leader steps down when its removal is committed), section 3.10 (leadership transfer)",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::CopyBeforeFree,
        short: "A checkpoint is being written, and values are moved. The checkpoint still names their old places, and takes effect. The old places count as free now, and the next thing that is written goes there: here a piece of another checkpoint. The power fails before that one takes effect. At the next start the checkpoint in force leads to bytes that are not the value's: a value that was acknowledged is gone.",
        predict: "The checkpoint under way has written where each value is. Now values are moved, and in memory their keys point at the copies. The checkpoint is completed. Are the old places free?",
        faults: "values that are moved while a checkpoint is being written, then a power cut",
        guard: Some((ENGINE, "copy_before_free")),
        scope: Some("moves"),
        counterexample: schedule!("copy-before-free"),
        trial: trial!("copy-before-free"),
        others: "The old place was in quarantine until a checkpoint was durable (`extent-quarantine`), and one was: but it was begun before the move. Checksums tell that the bytes are not the value's, and cannot bring the right ones back.",
        variation: "Move the values first, and begin the checkpoint then. Where does the checkpoint point?",
        published: "Rosenblum and Ousterhout, LFS, SOSP 1991 (a segment is clean only after the checkpoint that follows its cleaning)",
        choice: Some(
            "Let each freed place wait for a checkpoint that is begun later, instead of moving nothing while one is written.",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::OneCheckpointPerSeq,
        short: "Nothing was applied since the checkpoint, and a value is moved from six places into one: its line in the next checkpoint will be shorter. Another replica is sent the first piece of the one in force, and remembers how many bytes of it were read. Then the checkpoint is made once more, of the same entry. The transfer goes on at its byte, which is behind another key now. That key is never sent, and the replica votes without it.",
        predict: "Nothing was applied since the checkpoint. A value is moved into one piece now, so its line in the next checkpoint will be shorter. Whoever is being sent a checkpoint remembers its entry, and how many bytes of it were read. What if the next checkpoint is of the same entry?",
        faults: "a transfer that goes on in another checkpoint of the same entry",
        guard: Some((ENGINE, "one_checkpoint_per_seq")),
        scope: Some("moves"),
        counterexample: schedule!("one-checkpoint-per-seq"),
        trial: trial!("one-checkpoint-per-seq"),
        others: "Each chunk of the second checkpoint is whole, and its entry is the one that the cursor names, so `CheckpointGone` is not told. Only its items lie elsewhere. The receiver cannot miss what it has never heard of.",
        variation: "Let all of the checkpoint be sent before it is made once more, and then all of the second one. Is anything missing?",
        published: "Ongaro, 2014, figure 5.3 (a chunk of a snapshot is named by the snapshot's last index and a byte offset)",
        choice: Some("A cursor that names a key, or a checkpoint by its superblock's generation."),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::MovesLeaveRoom,
        short: "Values are moved until nothing is free. The places that they were moved from wait for a checkpoint, and a checkpoint has to be written somewhere. There is no room for it, so nothing is ever free again.",
        predict: "Every unit of the device is in use, or waits for the next checkpoint. Where is that checkpoint written?",
        faults: "values that are moved until nothing is free",
        guard: Some((ENGINE, "moves_leave_room")),
        scope: Some("moves"),
        counterexample: schedule!("moves-leave-room"),
        trial: trial!("moves-leave-room"),
        others: "Admission leaves room for two checkpoints beside all that is stored. But a copy is no entry, and nobody asked for admission. Each move is safe by itself; together they take the room that all of them wait for.",
        variation: "Move one value and no more. Is there room for the checkpoint?",
        published: "Rosenblum and Ousterhout, LFS, SOSP 1991 (the cleaner needs clean segments to write to)",
        choice: Some("A region of the device that only checkpoints use."),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::NoGcDuringInstall,
        short: "A replica receives a state beside the one that it has, and there is room for both. Half-way its values are moved. What they leave waits for a checkpoint, and none is made before the state is whole. The rest of it finds no room, so the replica gives up what it had: until it is filled anew it does not vote, and one more failure stops the service.",
        predict: "There is room for the state that is here and for the one that is being received. Now all values that are here are moved once. When do the places that they leave become free?",
        faults: "values that are moved while a state is received",
        guard: Some((ENGINE, "no_gc_during_install")),
        scope: Some("moves"),
        counterexample: schedule!("no-gc-during-install"),
        trial: trial!("no-gc-during-install"),
        others: "`moves-leave-room` keeps room for overwrites and for the next checkpoint, and knows nothing of how much of a state is still to come. Nothing wrong is stored or answered; the replica only has to start from nothing.",
        variation: "Move the values first, and let a checkpoint give their places back, before the state comes. Does it fit?",
        published: "Rosenblum and Ousterhout, LFS, SOSP 1991 (what is cleaned is free only after the next checkpoint)",
        choice: Some(
            "A checkpoint made in the middle of the installation, if there is room for that as well.",
        ),
        ..BLANK
    },
];
