//! The mechanisms that extensions bring.

use trace::Mechanism;

use super::entry::{BLANK, Entry};

const ENGINE: &str = "crates/engine/src/guard.rs";
const ELECTIONS: &str = "extensions/elections/src/guard.rs";

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        mechanism: Mechanism::PreVote,
        faults: "a node that was cut off",
        guard: Some((ELECTIONS, "pre_vote")),
        published: "Ongaro, 2014, section 9.6 (preventing disruptions when a server rejoins the cluster)",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::PreVoteAsStrict,
        faults: "a primary that dies, and a replica that lacks its last entries",
        guard: Some((ELECTIONS, "pre_vote_as_strict")),
        published: "Ongaro, 2014, section 9.6 (a pre-vote asks whether the vote would be granted)",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::LeaderStickiness,
        faults: "one link of three cut",
        guard: Some((ELECTIONS, "leader_stickiness")),
        published: "Ongaro, 2014, section 4.2.3 (disruptive servers: who hears a leader does not vote)",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::CheckQuorum,
        faults: "a primary that is heard and hears nobody",
        guard: Some((ELECTIONS, "check_quorum")),
        published: "Ongaro, 2014, section 6.2 (a leader steps down if it hears no majority)",
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
