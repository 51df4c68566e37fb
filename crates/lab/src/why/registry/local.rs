//! The mechanisms of one device.

use trace::Mechanism;

use super::{BLANK, Entry};

const ENGINE: &str = "crates/engine/src/guard.rs";

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        mechanism: Mechanism::AckAfterSync,
        faults: "power cut",
        guard: Some((ENGINE, "ack_after_sync")),
        scope: Some("device"),
        counterexample: schedule!("ack-after-sync"),
        others: "CRCs, epochs and majorities all judge bytes that reached the medium. These never did.",
        variation: "Replace the power cut by `kill 2`: the page cache survives a killed process, and nothing is lost. Why is that no excuse?",
        published: "Gray, Notes on Data Base Operating Systems, 1978 (force the log before you answer)",
        choice: Some(
            "A battery-backed cache moves the line at which a write is durable, and needs the same rule for it.",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::RecordCrc,
        faults: "torn write",
        guard: Some((ENGINE, "record_crc")),
        scope: Some("device"),
        counterexample: schedule!("record-crc"),
        others: "The record has the right place, batch and life: they are in the sector that survived. Only its bytes as a whole tell that the other did not.",
        variation: "Let the second sector survive and the first be lost: which check finds that?",
        published: "Gray and Reuter, Transaction Processing, 1993 (torn writes of the log)",
        choice: Some(
            "A commit mark in each sector (as in some flash logs) finds torn records too, at the price of space in every sector.",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::StaleLogRejection,
        faults: "power cut, twice",
        guard: Some((ENGINE, "stale_log_rejection")),
        scope: Some("device"),
        counterexample: schedule!("stale-log-rejection"),
        others: "The stale record is whole: its CRC fits, its sequence number is the next one. Only where and when it was written gives it away.",
        variation: "Truncate the device's log region to zeros after recovery instead. How many writes would each start cost?",
        published: "SQLite's write-ahead log format, 2010 (salts tell frames of an earlier lap)",
        choice: Some(
            "Zeroing the discarded tail durably before going on would do as well; a life number costs one superblock update.",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::WholeBatch,
        faults: "power cut",
        guard: Some((ENGINE, "whole_batch")),
        scope: Some("device"),
        counterexample: schedule!("whole-batch"),
        others: "Each record that survived is whole, in its place and of this life. Only the missing end of the batch tells that its sync never returned. Nobody was told of these entries, so no client is betrayed yet; but if the lost part undoes an entry of the part that is left, that entry is back.",
        variation: "Count the prefix, since nobody was told of it: what if the lost part undoes an entry of the part that is left?",
        published: "Hagmann, Reimplementing the Cedar File System Using Logging and Group Commit, SOSP 1987 (a log write with a begin and an end page)",
        choice: Some(
            "A log whose unit is the record may keep the prefix, if each undoing is durable before anything follows it: one more sync for each truncation.",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::NewLifeFirst,
        faults: "bit rot after a recovery",
        guard: Some((ENGINE, "new_life_first")),
        scope: Some("device"),
        counterexample: schedule!("new-life-first"),
        others: "The damaged batch is the last one, and looks like one that was cut off. That a recovery has read it, and that its entries were relied on since, is written nowhere but in the new life's beginning.",
        variation: "Put a new key and sync before the bit rots: which mechanism finds the damage then?",
        published: "Oki and Liskov, Viewstamped Replication, PODC 1988 (a new view begins before anything is done in it); the same idea within one log",
        choice: Some(
            "Overwriting the discarded part with zeros, durably, keeps it from coming back, but does not tell what was read.",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::SyncOnRecovery,
        faults: "kill, then power cut",
        guard: Some((ENGINE, "sync_on_recovery")),
        scope: Some("device"),
        counterexample: schedule!("sync-on-recovery"),
        others: "What recovery reads has the right CRC, life and batch, and it is only in the cache. Nothing that reads can tell.",
        variation: "Drop the `kill` and its `open`: then the first recovery never relies on the cache.",
        published: "Rebello et al., Can Applications Recover from fsync Failures?, USENIX ATC 2020 (reading from the page cache what is not on disk)",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::PoisonOnIoError,
        faults: "failed sync, power cut",
        guard: Some((ENGINE, "poison_on_io_error")),
        scope: Some("device"),
        counterexample: schedule!("poison-on-io-error"),
        others: "The next sync returns success, so `ack-after-sync` is satisfied: it cannot know that the kernel dropped the pages.",
        variation: "Let the sync fail without a power cut afterwards: when does anybody notice?",
        published: "Rebello et al., USENIX ATC 2020; the PostgreSQL fsync discussion of 2018",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::CorruptionIsNotATornTail,
        faults: "bit rot",
        guard: Some((ENGINE, "corruption_is_not_a_torn_tail")),
        scope: Some("device"),
        counterexample: schedule!("corruption-is-not-a-torn-tail"),
        others: "The CRC does its work and finds the record unreadable. The question is what that means, and cutting it off looks like an ordinary crash to everybody else.",
        variation: "Rot the last record instead: why is that one cut off even with the mechanism on?",
        published: "Alagappan et al., Protocol-Aware Recovery for Consensus-Based Storage, FAST 2018",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::DataChecksumInLog,
        faults: "power cut",
        guard: Some((ENGINE, "data_checksum_in_log")),
        scope: Some("device"),
        counterexample: schedule!("data-checksum-in-log"),
        others: "The log record is whole and in its place. It points at a value that the one sync had not finished writing.",
        variation: "Add a sync between value and record: it is correct too. What does it cost per batch?",
        published: "Prabhakaran et al., IRON File Systems, SOSP 2005 (transactional checksums)",
        choice: Some(
            "Two syncs, values first, would do without the checksum: an ordering instead of a check, at twice the latency.",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::NeverOverwriteLive,
        faults: "an update in place",
        guard: Some((ENGINE, "never_overwrite_live")),
        scope: Some("device"),
        counterexample: schedule!("never-overwrite-live"),
        others: "Checksums notice the mixture of old and new, and refuse it. That is no help: the old value, which a client was promised, is gone.",
        variation: "Let the new value be as large as one sector: is a torn write then impossible?",
        published: "Rosenblum and Ousterhout, LFS, SOSP 1991; Lorie, shadow paging, ACM TODS 1977",
        choice: Some(
            "An undo log would keep the old value elsewhere first: the same idea, with more writes.",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::ExtentQuarantine,
        faults: "truncation, power cut",
        guard: Some((ENGINE, "extent_quarantine")),
        scope: Some("device"),
        counterexample: schedule!("extent-quarantine"),
        others: "Every single write is in a free place. It became free too early: the entry that freed it can still be undone.",
        variation: "Sync after the truncation: the extent may then be reused at once. Why?",
        published: "Hitz et al., File System Design for an NFS File Server Appliance, USENIX 1994 (blocks of the last consistency point are not reused)",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::AbSuperblock,
        faults: "torn write",
        guard: Some((ENGINE, "superblock_slots")),
        scope: Some("device"),
        counterexample: schedule!("ab-superblock"),
        others: "The CRC tells that the copy is torn. Without another copy that is all it can tell.",
        variation: "Cut before the first byte instead of after the seventh: which state is recovered?",
        published: "Lampson and Sturgis, Crash Recovery in a Distributed Data Storage System, 1979 (stable storage by two copies)",
        choice: Some("A log of superblock updates would do as well."),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::NoSilentFormat,
        faults: "bit rot in both superblocks, or an empty disk",
        guard: Some((ENGINE, "no_silent_format")),
        scope: Some("device"),
        counterexample: schedule!("no-silent-format"),
        others: "Everything after the format is consistent: an empty log is a valid log. It has only forgotten what it promised.",
        variation: "Damage one superblock only: what does the other one bring back?",
        published: "Alagappan et al., FAST 2018 (a node that comes back empty counts as new)",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::EraseBeforeFormat,
        faults: "power cut during a format",
        guard: Some((ENGINE, "erase_before_format")),
        counterexample: schedule!("erase-before-format"),
        others: "The superblock is valid, the device is the node's own, and an empty log is a valid log: nothing tells that there was more.",
        variation: "Cut one access later, so that the superblocks are erased as well: who notices now?",
        published: "Pillai et al., All File Systems Are Not Created Equal, OSDI 2014 (writes without a barrier reach the disk in any order)",
        choice: Some("A superblock that says `formatting`, written first and durable: as many syncs."),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::AtomicCheckpoint,
        faults: "power cut",
        guard: Some((ENGINE, "atomic_checkpoint")),
        scope: Some("device"),
        counterexample: schedule!("atomic-checkpoint"),
        others: "The superblock is valid and names a checkpoint; the checkpoint's own CRC shows that it is not there. The log before it is given up already.",
        variation: "Let the checkpoint's sectors survive and the superblock not: what is recovered?",
        published: "Rosenblum and Ousterhout, LFS, SOSP 1991 (checkpoint regions)",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::OneLog,
        structural: "the engine has no second log to do without this one",
        variation: "Imagine a second log for replication beside the first: which of the two is right after a crash between them?",
        choice: Some("Two logs and a rule that one is derived from the other, which is one log again."),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::VerifyOnRead,
        faults: "bit rot",
        guard: Some((ENGINE, "verify_on_read")),
        scope: Some("device"),
        counterexample: schedule!("verify-on-read"),
        others: "The log is whole, replicas agree, the primary is the right one, and the bytes are wrong: the damage came after the write.",
        variation: "Read the key from another replica: how would a client know which one to believe?",
        published: "Bairavasundaram et al., An Analysis of Data Corruption in the Storage Stack, FAST 2008",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::DeviceLock,
        structural: "takes two processes; `a_second_opener_is_told_that_the_device_is_in_use` opens one twice",
        faults: "two processes on one device",
        variation: "Start a node twice on one folder: the second is told who has the device.",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::DirectorySync,
        structural: "the simulated disks have no directories; `FileDevice::create` in crates/store/src/file.rs syncs the real one",
        faults: "power cut after a file was created",
        variation: "Run `strace -f -e fsync,fdatasync cutaway format` and look for the sync of the folder.",
        published: "Pillai et al., All File Systems Are Not Created Equal, OSDI 2014 (a new file's directory entry is durable only after a sync of the directory)",
        choice: Some("A block device has no directory."),
        ..BLANK
    },
];
