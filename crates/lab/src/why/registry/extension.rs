//! The mechanisms that extensions bring.

use trace::Mechanism;

use super::entry::{BLANK, Entry};

const ENGINE: &str = "crates/engine/src/guard.rs";
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
        mechanism: Mechanism::CopyBeforeFree,
        short: "A checkpoint is being written, and one key's value is moved. The checkpoint still names the old place of the value, and takes effect. The old place counts as free now, and the next value is written there. The power fails. At the next start two keys have the same place, one by the checkpoint and one by the log: an ordinary crash is reported as damage, and one of the values is gone.",
        predict: "The checkpoint under way has written where each value is. Now a value is moved, and in memory its key points at the copy. The checkpoint is completed. Is the old place of the value free?",
        faults: "a value that is moved while a checkpoint is being written, then a power cut",
        guard: Some((ENGINE, "copy_before_free")),
        counterexample: schedule!("copy-before-free"),
        trial: trial!("copy-before-free"),
        others: "The old place was in quarantine until a checkpoint was durable (`extent-quarantine`), and one was: but it was begun before the move. Checksums tell that the bytes are another value's, and cannot bring the right ones back.",
        variation: "Move the value first, and begin the checkpoint then. Where does the checkpoint point?",
        published: "Rosenblum and Ousterhout, LFS, SOSP 1991 (a segment is clean only after the checkpoint that follows its cleaning)",
        choice: Some(
            "Let each freed place wait for a checkpoint that is begun later, instead of moving nothing while one is written.",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::OneCheckpointPerSeq,
        faults: "a transfer that goes on in another checkpoint of the same entry",
        guard: Some((ENGINE, "one_checkpoint_per_seq")),
        others: "Each chunk of the second checkpoint is whole, and its entry is the one that the cursor names. Only its items lie elsewhere. The test of this name in crates/engine/tests/upkeep.rs loses a key by it.",
        choice: Some("A cursor that names a key, or a checkpoint by its superblock's generation."),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::MovesLeaveRoom,
        faults: "values that are moved until nothing is free",
        guard: Some((ENGINE, "moves_leave_room")),
        others: "A checkpoint would give the sources back, and is what finds no room. The test of this name in crates/engine/tests/upkeep.rs fills a device so that it takes no entry any more.",
        published: "Rosenblum and Ousterhout, LFS, SOSP 1991 (the cleaner needs clean segments to write to)",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::NoGcDuringInstall,
        faults: "values that are moved while a state is received",
        guard: Some((ENGINE, "no_gc_during_install")),
        others: "No checkpoint is made while a state is received, so nothing gives the sources back. The replica would make room by giving up its own state, which others may need. The test of this name in crates/engine/tests/upkeep.rs shows the refusal.",
        ..BLANK
    },
];
