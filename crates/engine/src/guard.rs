//! The mechanisms of this crate, one function each: the only places where their switches are read.
//!
//! With everything on, each function is the rule. With one off, it is the smallest honest variant without the rule,
//! so that the failure it prevents can be watched. Two mechanisms have no function here: `device-lock` is in
//! `store`, where files are, and `one-log` is the shape of the crate: recovery and `Engine::entry` read the same records.

use std::io;

use trace::Mechanism::{
    AbSuperblock, AckAfterSync, AtomicCheckpoint, CopyBeforeFree, CorruptionIsNotATornTail,
    DataChecksumInLog, EraseBeforeFormat, ExtentQuarantine, MovesLeaveRoom, NeverOverwriteLive, NewLifeFirst,
    NoGcDuringInstall, NoSilentFormat, OneCheckpointPerSeq, PoisonOnIoError, RecordCrc, StaleLogRejection,
    SyncOnRecovery, VerifyOnRead, WholeBatch,
};
use trace::Mechanisms;

use crate::error::{DecodeError, ReadError, Stop};
use crate::format::wal_record::WalHeader;
use crate::types::{Extent, Lsn};

/// `ack-after-sync`: does a batch end with a sync? Without it: (1) a batch is written, which means copied to the page
/// cache or the disk's; (2) its writes are acknowledged; (3) power fails; (4) they are gone.
pub(crate) fn ack_after_sync(on: Mechanisms) -> bool {
    on.stops(AckAfterSync, true)
}

/// `record-crc`: does a record count only if its CRC fits? Without it: (1) a record spans two sectors; (2) power
/// fails, the first is written, the second is not; (3) its header looks right, so recovery replays a key or tag that
/// is half old bytes.
pub(crate) fn record_crc<T>(
    on: Mechanisms,
    checked: Result<T, DecodeError>,
    unchecked: impl FnOnce() -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    match checked {
        Err(DecodeError::Crc { .. }) if !on.stops(RecordCrc, true) => unchecked(),
        checked => checked,
    }
}

/// Where and when the record at hand must have been written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) lsn: Lsn,
    pub(crate) batch: u64,
    /// Life of the record before.
    pub(crate) life_min: u64,
    /// The current life, and where it began.
    pub(crate) life: u64,
    pub(crate) life_start: Lsn,
}

/// `stale-log-rejection`: does this record belong here? Without it, one of:
/// - Lap: (1) the ring wraps; (2) the new log ends where a whole record of the earlier lap begins; (3) it is replayed.
/// - Discarded tail: (1) of three unsynced appends, only the second reaches the disk; (2) recovery ends the log before
///   the first and goes on there; (3) a new append of the same size ends exactly where the second begins; (4) power
///   fails, and the second, never acknowledged and already discarded, is back.
///
/// Records from `life_start` on were all written in the current life. Before it there may be records of several lives,
/// and a later position never has an earlier life.
pub(crate) fn stale_log_rejection(on: Mechanisms, place: &Place, found: &WalHeader) -> Result<(), Stop> {
    let wrong = wrong_place(place, found);
    if on.stops(StaleLogRejection, wrong.is_err()) { wrong } else { Ok(()) }
}

fn wrong_place(place: &Place, found: &WalHeader) -> Result<(), Stop> {
    if found.lsn != place.lsn.0 {
        return Err(Stop::OtherLsn { expected: place.lsn, found: Lsn(found.lsn) });
    }
    let life_min = if place.lsn >= place.life_start { place.life } else { place.life_min };
    if !(life_min..=place.life).contains(&found.life) {
        return Err(Stop::OtherLife { expected: life_min, found: found.life });
    }
    if found.batch != place.batch {
        return Err(Stop::OtherBatch { expected: place.batch, found: found.batch });
    }
    Ok(())
}

/// `whole-batch`: is what is left of a batch that was cut off discarded? Without it: (1) a batch appends an entry and
/// then undoes it and the one before; (2) power fails in the middle of writing it; (3) the entry is there and the
/// undoing is not.
pub(crate) fn whole_batch(on: Mechanisms) -> bool {
    on.stops(WholeBatch, true)
}

/// `new-life-first`: is a new life of the log durable before anything is written to it? Without it: (1) of three
/// unsynced appends, only the second reaches the disk; (2) recovery discards it and goes on before it, in the same life;
/// (3) a new append of the same size, in a batch of the same number, ends exactly where the second begins; (4) power
/// fails, and the second, discarded already, is back.
pub(crate) fn new_life_first<T>(
    on: Mechanisms,
    same: T,
    begin: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    if on.stops(NewLifeFirst, true) { begin() } else { Ok(same) }
}

/// `sync-on-recovery`: what was read may sit only in the page cache. Without it: (1) a batch is written, and the
/// process is killed before the sync; (2) restarted, recovery reads the batch and stores that the log reaches behind
/// it; (3) power fails during that very update: the superblock is on the medium, the batch is not; (4) a log that was
/// relied on is gone. The same after a sync that failed, where a further sync alone would not do.
pub(crate) fn sync_on_recovery(
    on: Mechanisms,
    make_durable: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    if on.stops(SyncOnRecovery, true) { make_durable() } else { Ok(()) }
}

/// `poison-on-io-error`: does the engine stop after a failed write or sync? Without it: (1) a sync fails, and the
/// kernel marks the unwritten pages clean; (2) the next sync succeeds, having nothing to write; (3) what it seems to
/// cover is acknowledged; (4) power fails, and it was never on the medium. (Rebello et al., "Can Applications Recover
/// from fsync Failures?", USENIX ATC 2020.)
pub(crate) fn poison_on_io_error(on: Mechanisms) -> bool {
    on.stops(PoisonOnIoError, true)
}

/// `corruption-is-not-a-torn-tail`: is an unreadable batch damage, and not merely the torn end of the log? No byte of
/// batch n + 1 is written before the sync of batch n has returned. So a batch that has a later one behind it, or that
/// an earlier recovery has already read (`life_start` lies behind it), was durable and acknowledged. Without this:
/// (1) a bit rots in the middle of the log; (2) recovery takes it for a torn tail; (3) all acknowledged writes behind
/// it are cut off in silence, and the replica votes as if it had never had them.
pub(crate) fn corruption_is_not_a_torn_tail(
    on: Mechanisms,
    unreadable: u64,
    latest: u64,
    verified: bool,
) -> bool {
    on.stops(CorruptionIsNotATornTail, verified || latest > unreadable)
}

/// `data-checksum-in-log`: do the values of the last batch fit what its records say of them? One sync covers records
/// and values, in any order. Without this: (1) a batch is written; (2) power fails before the sync returns: the record
/// is on the medium, the value is not; (3) the entry is recovered and committed by its owner, and its value is
/// whatever the extent held before.
pub(crate) fn data_checksum_in_log(
    on: Mechanisms,
    fits: impl FnOnce() -> io::Result<bool>,
) -> io::Result<bool> {
    Ok(!on.stops(DataChecksumInLog, !fits()?))
}

/// `never-overwrite-live`: may a new value go into the extent of the value it replaces? Without this: (1) a key is
/// overwritten in place; (2) power fails in the middle; (3) neither the old nor the new value is there. Or (2) the
/// entry is truncated; (3) the old value, which is what was committed, is gone.
pub(crate) fn never_overwrite_live(
    on: Mechanisms,
    old: impl FnOnce() -> Option<Extent>,
    units: u64,
) -> Option<Extent> {
    if on.stops(NeverOverwriteLive, true) { None } else { old().filter(|old| old.units == units) }
}

/// `extent-quarantine`: does a freed extent wait before it is reused? The schedules are in `space/quarantine.rs`.
pub(crate) fn extent_quarantine(on: Mechanisms) -> bool {
    on.stops(ExtentQuarantine, true)
}

/// `ab-superblock`: the slots to write, in this order. Without it: (1) the only copy is rewritten in place; (2) power
/// fails and tears it; (3) promise and checkpoint are gone.
pub(crate) fn superblock_slots(on: Mechanisms, newest: usize) -> &'static [usize] {
    match (on.stops(AbSuperblock, true), newest) {
        (false, _) => &[0],
        (true, 0) => &[1, 0],
        (true, _) => &[0, 1],
    }
}

/// `no-silent-format`: is a device without a valid superblock an error? Without it: (1) both slots are damaged, or an
/// empty disk was plugged in; (2) the node formats it and comes up with an empty log; (3) it votes, having forgotten
/// what it acknowledged and promised.
pub(crate) fn no_silent_format(on: Mechanisms) -> bool {
    on.stops(NoSilentFormat, true)
}

/// `erase-before-format`: does each step of a format wait until the one before is durable? Without it: (1) superblocks
/// and log are erased in one go; (2) power fails: the log is gone, a superblock is not; (3) the node comes up as who it
/// was, with an empty log, and votes, having forgotten what it acknowledged.
pub(crate) fn erase_before_format(
    on: Mechanisms,
    make_durable: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    if on.stops(EraseBeforeFormat, true) { make_durable() } else { Ok(()) }
}

/// `atomic-checkpoint`: is all of a checkpoint durable before the superblock points at it? Without it: (1) chunks and
/// superblock are written in one go; (2) power fails: the superblock is on the medium, a chunk is not; (3) the index
/// is gone, and the log before it may be reused.
pub(crate) fn atomic_checkpoint(on: Mechanisms) -> bool {
    on.stops(AtomicCheckpoint, true)
}

/// `verify-on-read`: is a value checked on every read from the device? Without it: (1) a bit rots, or the disk reads
/// another place than asked; (2) the wrong bytes are served as the value.
pub(crate) fn verify_on_read<T>(
    on: Mechanisms,
    verified: Result<T, ReadError>,
    unverified: impl FnOnce() -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    match verified {
        Err(ReadError::Corrupt(_)) if !on.stops(VerifyOnRead, true) => unverified(),
        verified => verified,
    }
}

/// `copy-before-free`: does a checkpoint that is begun after a move free the source, and none before? Without it: (1) a
/// checkpoint is being written, and has the key's source already; (2) the value is moved; (3) the checkpoint is durable,
/// and frees the source; (4) another value is written there; (5) power fails, and the checkpoint's key has the bytes of
/// another.
pub(crate) fn copy_before_free(on: Mechanisms, checkpoint_running: bool) -> bool {
    !on.stops(CopyBeforeFree, checkpoint_running)
}

/// `one-checkpoint-per-seq`: is something moved only if the next checkpoint is of another entry than the last? Without it:
/// (1) half of the checkpoint at 40 has been sent to a replica that lacks it; (2) values are moved into fewer extents, so
/// that their items are shorter; (3) another checkpoint at 40 takes effect; (4) the transfer goes on at its cursor, entry 40
/// and a number of bytes, which is behind other keys now: some are never sent, and the receiver votes without them.
pub(crate) fn one_checkpoint_per_seq(on: Mechanisms, applied_since: bool) -> bool {
    !on.stops(OneCheckpointPerSeq, !applied_since)
}

/// `no-gc-during-install`: is nothing moved while a state is being received? Without it: (1) a state is received beside
/// the one that is here, and both just fit; (2) values are moved, and no checkpoint gives the sources back before the
/// installation has ended; (3) the rest of the state finds no room, and the replica gives up the state that it had.
pub(crate) fn no_gc_during_install(on: Mechanisms, installing: bool) -> bool {
    !on.stops(NoGcDuringInstall, installing)
}

/// `moves-leave-room`: how many units may copies take? Not those that overwrites and the next checkpoint need. Without it:
/// (1) values are moved until no unit is free; (2) the sources wait for a checkpoint; (3) the checkpoint finds no unit to
/// be written to: nothing is ever freed again.
pub(crate) fn moves_leave_room(on: Mechanisms, left: u64, kept: u64, free: u64) -> u64 {
    if on.stops(MovesLeaveRoom, left.saturating_sub(kept) < free) { left.saturating_sub(kept) } else { free }
}
