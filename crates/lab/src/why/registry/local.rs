//! The mechanisms of one device.

use trace::Mechanism;

use super::entry::{BLANK, Entry};

const ENGINE: &str = "crates/engine/src/guard.rs";

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        mechanism: Mechanism::AckAfterSync,
        short: "The host writes a value and is told that it is stored, while it is in the disk's cache only. The power fails, and the cache is lost. At the next start the log is empty: the write is lost.",
        predict: "The bytes go to the disk by way of a cache. When may the host be told that the entry is stored?",
        faults: "power cut",
        guard: Some((ENGINE, "ack_after_sync")),
        scope: Some("device"),
        counterexample: schedule!("ack-after-sync"),
        trial: trial!("ack-after-sync"),
        others: "A CRC can only judge bytes that reached the disk, and a majority counts what its nodes call durable. These bytes never got there.",
        variation: "Kill the process instead of cutting the power. Is the entry lost then? And is that an excuse to do without the sync?",
        published: "Gray, Notes on Data Base Operating Systems, 1978 (force the log before you answer)",
        choice: Some(
            "A battery-backed cache moves the point at which a write is durable; the rule then applies at that point.",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::RecordCrc,
        short: "The power fails while the first log record is written: one of its two sectors reaches the disk. Nobody was told that it is stored. At the next start half a record is taken for a whole one, and the log has an entry that nobody wrote.",
        predict: "The disk has the first sector of a record of two, and the whole value. By what can recovery find out that the second sector is missing?",
        faults: "torn write",
        guard: Some((ENGINE, "record_crc")),
        scope: Some("device"),
        counterexample: schedule!("record-crc"),
        trial: trial!("record-crc"),
        others: "The record has the right place, batch and life: they are in the sector that survived. Only its bytes as a whole tell that the other did not.",
        variation: "Let the second sector of the record survive instead of the first. Does it take a CRC to notice that?",
        published: "Gray and Reuter, Transaction Processing, 1993 (torn writes of the log)",
        choice: Some(
            "A commit mark in each sector (as in some flash logs) finds torn records too, at the price of space in every sector.",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::StaleLogRejection,
        short: "The power fails before a batch of two entries is synced. Their log records survive, the value of entry 1 does not, so recovery discards both: the host is told that its log is empty. It puts the same entry 1 again. Only its value reaches the disk before the power fails once more. Now the discarded records fit what is there, and recovery takes them for the log, up to entry 2, which it had discarded itself.",
        predict: "In step 5 recovery discarded both records, since the value of entry 1 was missing, and said so. The discarded records are still in the log's sectors (`s`), and the missing value is there now: it has the same bytes, in the same place. What does recovery find now? May it believe it?",
        faults: "power cut, twice",
        guard: Some((ENGINE, "stale_log_rejection")),
        scope: Some("device"),
        counterexample: schedule!("stale-log-rejection"),
        trial: trial!("stale-log-rejection"),
        others: "The stale records are whole: their CRCs fit, and their numbers follow one another. Only when they were written gives them away. Each start begins a new life of the log: it writes the number of its life into the superblock, and where the log ended then; each record carries the life that it was written in. From that place on, the next start accepts only records of the life that the superblock names. The start of step 5 found an empty log, so from the first sector on only records of its own life count, and these are of the life before. In a cluster the node may have told others by then where its log ends, and elections compare the ends of logs: with an end from the past, the node would vote by a log that it has said it does not have.",
        variation: "Let the second power cut take the new value as well. Why is the old record not believed then, even without the rule?",
        published: "SQLite's write-ahead log format, 2010 (salts tell frames of an earlier lap)",
        choice: Some(
            "Zeroing the discarded tail durably before going on would do here; a record of an earlier lap of the ring carries an LSN that does not belong where it lies. The number of a life costs one superblock update at each start.",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::WholeBatch,
        short: "The host writes two entries in one batch, and the power fails before the sync returns: the first record reaches the disk, the second does not. Nobody was told that anything is stored. At the next start the log ends with entry 1, as if that had been written on its own.",
        predict: "The first record of the batch is whole, and so is its value; the end of the batch is missing. May recovery count the first? What if the missing part undid it?",
        faults: "power cut",
        guard: Some((ENGINE, "whole_batch")),
        scope: Some("device"),
        counterexample: schedule!("whole-batch"),
        trial: trial!("whole-batch"),
        others: "Each record that survived is whole, in its place and of this life. Only the missing end of the batch tells that its sync never returned. Nobody was told of these entries, so no client is betrayed yet; but if the lost part undoes an entry of the part that is left, that entry is back.",
        variation: "Let all of the batch survive, though its sync never returned. May recovery count it?",
        published: "Hagmann, Reimplementing the Cedar File System Using Logging and Group Commit, SOSP 1987 (a log write with a begin and an end page)",
        choice: Some(
            "A log whose unit is the record may keep the prefix, if each undoing is durable before anything follows it: one more sync for each truncation.",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::NewLifeFirst,
        short: "A node starts, and the host is told that entries 1–3 are there. Later a bit of the last one rots. At the next start the log ends with entry 2, and nobody is told of any damage: entry 3 is lost in silence.",
        predict: "Recovery reads a log of three entries, and others will rely on them. Later the last one may be damaged, with nothing written behind it. How could the next recovery know that this was no write that a crash cut off?",
        faults: "bit rot after a recovery",
        guard: Some((ENGINE, "new_life_first")),
        scope: Some("device"),
        counterexample: schedule!("new-life-first"),
        trial: trial!("new-life-first"),
        others: "The damaged batch is the last one, and looks like one that was cut off. That a recovery has read it, and that its entries were relied on since, is written nowhere but in the new life's beginning.",
        variation: "Write and sync another entry before the bit rots. Which mechanism reports the damage then?",
        published: "Oki and Liskov, Viewstamped Replication, PODC 1988, is a relative (a new view begins before anything is done in it); this form, within one log, is ours as far as we know",
        choice: Some(
            "Overwriting the discarded part with zeros, durably, keeps it from coming back, but does not tell what was read.",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::SyncOnRecovery,
        short: "A process is killed before its sync, and the next one reads the entry from the cache of the operating system. While it starts, the power fails. The superblock reaches the disk and the log does not: at the next start an ordinary crash is reported as damage.",
        predict: "What step 2 wrote is in the cache only. Recovery will read it there and find it whole, and then write a superblock that counts on it. What if the power fails after that write?",
        faults: "kill, then power cut",
        guard: Some((ENGINE, "sync_on_recovery")),
        scope: Some("device"),
        counterexample: schedule!("sync-on-recovery"),
        trial: trial!("sync-on-recovery"),
        others: "What recovery reads has the right CRC, life and batch, and it is only in the cache. Nothing that reads can tell.",
        variation: "Leave out the kill and the start after it: the power fails at once. What does recovery read then?",
        published: "Rebello et al., Can Applications Recover from fsync Failures?, USENIX ATC 2020 (reading from the page cache what is not on disk)",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::PoisonOnIoError,
        short: "A sync fails, and the kernel drops the pages that it could not write. The engine goes on and writes the next entry behind them. After a power cut the log has a hole where the first entry was: at the next start an ordinary crash is reported as damage.",
        predict: "The sync of this write fails, and nothing is acknowledged. May the engine go on, and let the next sync cover both?",
        faults: "failed sync, power cut",
        guard: Some((ENGINE, "poison_on_io_error")),
        scope: Some("device"),
        counterexample: schedule!("poison-on-io-error"),
        trial: trial!("poison-on-io-error"),
        others: "A second sync would return success, and satisfy `ack-after-sync`: it cannot know that the kernel dropped the pages of the first.",
        variation: "Let the second sync return before the power fails. What is the host told, and what is left of it?",
        published: "Rebello et al., USENIX ATC 2020; the PostgreSQL fsync discussion of 2018",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::CorruptionIsNotATornTail,
        short: "Three entries are on the disk, and acknowledged. A bit of the first log record rots. At the next start the log is empty, and nobody is told of any damage: all three are lost in silence.",
        predict: "A bit of the first record turns: its CRC will not fit. Whole records follow it. Does a crash in the middle of a write look like that? What should recovery say?",
        faults: "bit rot",
        guard: Some((ENGINE, "corruption_is_not_a_torn_tail")),
        scope: Some("device"),
        counterexample: schedule!("corruption-is-not-a-torn-tail"),
        trial: trial!("corruption-is-not-a-torn-tail"),
        others: "The CRC does its work and finds the record unreadable. The question is what that means, and cutting it off looks like an ordinary crash to everybody else.",
        variation: "Damage the last record instead of the first: entry 3 is cut off, and the checker lets that pass. Can recovery tell this from a write that a crash cut off?",
        published: "Alagappan et al., Protocol-Aware Recovery for Consensus-Based Storage, FAST 2018",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::DataChecksumInLog,
        short: "One sync is to cover a value and its log record, and the power fails before it returns: the record reaches the disk, the value does not. At the next start entry 1 counts, and points at a place where its value never was.",
        predict: "The log record is whole. The place that it points at was never written. By what can recovery see that the entry was not finished?",
        faults: "power cut",
        guard: Some((ENGINE, "data_checksum_in_log")),
        scope: Some("device"),
        counterexample: schedule!("data-checksum-in-log"),
        trial: trial!("data-checksum-in-log"),
        others: "The log record is whole and in its place. It points at a value that the one sync had not finished writing.",
        variation: "Let the value survive and the record be lost. Does it take a check to notice that?",
        published: "Prabhakaran et al., IRON File Systems, SOSP 2005 (transactional checksums)",
        choice: Some(
            "Two syncs, values first, would do without the checksum: an ordering instead of a check, at twice the latency.",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::NeverOverwriteLive,
        short: "The host overwrites a key. The new value is written over the old one, which still counts, for the new entry is not committed yet. From now on whoever reads the key gets damage instead of its value.",
        predict: "The key's value is at unit 0; units 0–7 are in use. The new entry may still be undone. Where may its value be written?",
        faults: "an overwrite, without any fault",
        guard: Some((ENGINE, "never_overwrite_live")),
        scope: Some("device"),
        counterexample: schedule!("never-overwrite-live"),
        trial: trial!("never-overwrite-live"),
        others: "Checksums notice that the bytes are not the old value, and refuse them. That is no help: the old value, which a client was promised, is gone.",
        variation: "Cut the power when half of the new value is on the disk. Which of the two values is left?",
        published: "Rosenblum and Ousterhout, LFS, SOSP 1991; before it Lorie's shadow paging, ACM TODS 1977",
        choice: Some(
            "An undo log would keep the old value elsewhere first: the same idea, with more writes.",
        ),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::ExtentQuarantine,
        short: "The host truncates its last entry. Before that is synced, the value of a new entry 3 is written over the value of the old one. The power fails: one of the two sectors of the new value is on the disk, the truncation is not. At the next start the old entry 3 is back, which is allowed, since its truncation was never durable; but its value is damaged. (Entry 3 was not acknowledged to a client; else its host could not truncate it.)",
        predict: "Entry 3, whose value lies in sectors 34 and 35, was truncated in step 2, without a sync. In memory its place is free. May the next value go there? What if the power fails now?",
        faults: "a truncation without a sync, then a power cut",
        guard: Some((ENGINE, "extent_quarantine")),
        scope: Some("device"),
        counterexample: schedule!("extent-quarantine"),
        trial: trial!("extent-quarantine"),
        others: "Every single write is in a free place. It became free too early: until the truncation is durable, the old entry 3 is still stored, and a start may find it. Then it must be whole: the replica has told others that it has entry 3, and a later primary that still has it may count this copy.",
        variation: "Sync the truncation before the place is used again. Why is the place free then?",
        published: "Hitz et al., File System Design for an NFS File Server Appliance, USENIX 1994 (blocks of the last consistency point are not reused)",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::AbSuperblock,
        short: "An entry is written, synced and acknowledged. Then a promise is written into the superblock, and the power fails in the middle of it. At the next start that copy is torn, the other one is too old, and the log is empty: the entry is lost.",
        predict: "There are two copies of the superblock, A and B, and opening the device writes a new version of it, as each promise will. Which copy should an update go to? What if the power fails in the middle of the next one?",
        faults: "a torn write of a superblock",
        guard: Some((ENGINE, "superblock_slots")),
        scope: Some("device"),
        counterexample: schedule!("ab-superblock"),
        trial: trial!("ab-superblock"),
        others: "The CRC tells that copy A is torn. Copy B is valid, but nobody has kept it up to date: what it says of the log is from before the entry.",
        variation: "Let nothing of the new superblock reach the disk, instead of its first 7 bytes. Which entries are there?",
        published: "Lampson and Sturgis, Crash Recovery in a Distributed Data Storage System, 1979 (stable storage by two copies)",
        choice: Some("A log of superblock updates would do as well."),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::NoSilentFormat,
        short: "A bit rots in each of the two superblocks, so that neither can be read. The node starts all the same, with an empty log, as if the disk were new. Nobody is told of the damage.",
        predict: "Neither superblock can be read. Is this a new disk, or an old one that is damaged? May the engine decide that by itself?",
        faults: "bit rot in both superblocks",
        guard: Some((ENGINE, "no_silent_format")),
        scope: Some("device"),
        counterexample: schedule!("no-silent-format"),
        trial: trial!("no-silent-format"),
        others: "Everything after the format is consistent: an empty log is a valid log. It has only forgotten what it promised.",
        variation: "Damage one superblock only. What does the other one bring back?",
        published: "Alagappan et al., FAST 2018 (a node that comes back empty counts as new)",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::EraseBeforeFormat,
        short: "A disk with three acknowledged entries is formatted for another life, and the power fails in the middle. The log is erased, the superblocks are as before. At the next start the node takes the device for its own, with an empty log: three entries are forgotten, and nothing says so.",
        predict: "A format erases the superblocks and the log, and writes them anew. The power may fail in between, and any of the writes that are not synced may survive without the others. In which order must they become durable?",
        faults: "power cut during a format",
        guard: Some((ENGINE, "erase_before_format")),
        counterexample: schedule!("erase-before-format"),
        trial: trial!("erase-before-format"),
        others: "The superblock is valid, the device is the node's own, and an empty log is a valid log: nothing tells that there was more.",
        variation: "Let the erased superblocks reach the disk as well. Who notices now?",
        published: "Pillai et al., All File Systems Are Not Created Equal, OSDI 2014, on its cause (writes without a barrier reach the disk in any order)",
        choice: Some("A superblock that says `formatting`, written first and durable: as many syncs."),
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::AtomicCheckpoint,
        short: "A checkpoint is written, and the power fails in the middle: the superblock that names it reaches the disk, the checkpoint does not. At the next start the checkpoint cannot be read: an ordinary crash is reported as damage.",
        predict: "The checkpoint is written, and a superblock that names it. The power may fail at any moment, and either may survive without the other. In which order must they become durable?",
        faults: "power cut",
        guard: Some((ENGINE, "atomic_checkpoint")),
        scope: Some("device"),
        counterexample: schedule!("atomic-checkpoint"),
        trial: trial!("atomic-checkpoint"),
        others: "The superblock is valid and names a checkpoint; the checkpoint's own CRC shows that it is not there. The log before it is given up already.",
        variation: "Let the checkpoint survive and the superblock be lost. What is recovered?",
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
        short: "Three entries are on the disk. A bit of one of the values rots. The node starts, and takes the damaged value for what the host wrote: whoever reads it gets wrong bytes.",
        predict: "A bit of a value turns, long after its sync; the log is whole. Who could notice, and when?",
        faults: "bit rot",
        guard: Some((ENGINE, "verify_on_read")),
        scope: Some("device"),
        counterexample: schedule!("verify-on-read"),
        trial: trial!("verify-on-read"),
        others: "The log is whole, its records are the right ones, and the bytes of the value are wrong: the damage came after the write.",
        variation: "Let the bit rot in the log instead of the value. Who notices that?",
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
