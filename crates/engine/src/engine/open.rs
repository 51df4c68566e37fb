//! From bytes to an engine: what `open` reads, in which order, and what it concludes.
//!
//! 1. Of the valid superblock slots, the one with the greater generation counts.
//! 2. Load the checkpoint it names: index and host state as of one seq. It was durable before the superblock named
//!    it, so anything wrong with it is damage.
//! 3. Read the log from the replay start, batch by batch (`log/scan.rs`).
//! 4. Where the log ends, decide: torn tail, or damage (`corruption-is-not-a-torn-tail`).
//! 5. Make durable what was read (`sync-on-recovery`): so far it may have come from the page cache.
//! 6. Begin a new life of the log at its end, durably. Only then may anything be acknowledged: else (a) a torn batch
//!    is discarded, (b) a new, shorter one is written in its place and acknowledged, (c) power fails, and (d) what is
//!    left of the torn one is read behind it. A damaged log is left as it is, as evidence.
//!
//! The entries come back tentative: whether they count is for their owner to say.

use std::collections::VecDeque;
use std::io;
use std::ops::Add;
use std::sync::Arc;

use trace::{Kind, Mechanisms, emit};

use super::Engine;
use super::report::RecoveryReport;
use crate::device::Device;
use crate::error::{Damage, DecodeError, OpenError, ReadError, Zone};
use crate::format::superblock::{SLOTS, Superblock};
use crate::format::value_ref::ValueRef;
use crate::format::wal_record::WalRecord;
use crate::guard;
use crate::log::{Log, Recent, Scan};
use crate::notes::Notes;
use crate::prepare;
use crate::space::{Allocator, Claim, Quarantine, Space, slots};
use crate::state::{Checkpoint, load};
use crate::types::{Extent, Identity, Layout, Lsn, Seq, Standing};

impl<D: Device> Engine<D> {
    /// Opens a formatted device. Never formats. The commit point is the checkpoint's; later entries come back
    /// tentative, and durable, for the owner to apply or truncate.
    ///
    /// A device whose log or checkpoint is damaged opens too, with [`damage`](Engine::damage) set: for reading, for
    /// promises, and for [`give_up_damaged`](Engine::give_up_damaged).
    pub fn open(
        device: D,
        identity: &Identity,
        mechanisms: Mechanisms,
    ) -> Result<(Engine<D>, RecoveryReport), OpenError> {
        let recovered = match recover(&device, identity, mechanisms) {
            Err(OpenError::NotFormatted | OpenError::Corrupt(_)) if !guard::no_silent_format(mechanisms) => {
                prepare::reformat(&device, identity, Standing::Member, Layout::default(), mechanisms)
                    .map_err(|error| OpenError::Io(io::Error::other(error)))?;
                recover(&device, identity, mechanisms)?
            }
            result => result?,
        };
        let Recovered { superblock, newest, checkpoint, log, allocator, had, report } = recovered;
        let applied = checkpoint.index.iter().map(|(key, value)| Claim::of_value(key, value));
        let tentative = log.tentative.iter().map(Claim::of_entry).fold(Claim::default(), Add::add);
        let space = Space {
            device,
            superblock,
            newest,
            mechanisms,
            allocator,
            quarantine: Quarantine::default(),
            claimed: applied.fold(tentative, Add::add),
            tentative,
            host_bytes: checkpoint.host_state.len() as u64,
        };
        let engine = Engine {
            space,
            mechanisms,
            poisoned: false,
            damage: report.damage.clone(),
            had,
            index: checkpoint.index,
            applied: superblock.checkpoint_seq,
            durable: log.last(),
            log,
            recent: Recent::default(),
            host_state: checkpoint.host_state,
            chunks: checkpoint.chunks,
            new_checkpoint: None,
            install: None,
            starved: false,
            notes: tell(&superblock, &report),
        };
        engine.check();
        Ok((engine, report))
    }
}

/// Who opens a device cannot say before whether somebody listens.
fn tell(superblock: &Superblock, report: &RecoveryReport) -> Notes {
    let mut notes = Notes { on: true, ..Notes::default() };
    emit!(
        notes,
        Kind::DeviceOpened {
            life: superblock.life,
            generation: superblock.generation,
            checkpoint: superblock.checkpoint_seq,
            last: report.last_seq,
            discarded: report.discarded_bytes,
        }
    );
    if let Some(Damage { zone, offset, found, .. }) = &report.damage {
        let zone = format!("{zone:?}").to_lowercase();
        emit!(notes, Kind::CorruptionFound { zone, offset: *offset, why: found.clone() });
    }
    notes.on = false;
    notes
}

/// Everything an engine starts from.
struct Recovered {
    superblock: Superblock,
    newest: usize,
    checkpoint: Checkpoint,
    log: Log,
    allocator: Allocator,
    /// Of a damaged log, or one behind a damaged checkpoint: the last entry that it had, with its tag, if that can be told.
    had: Option<(Seq, Arc<[u8]>)>,
    report: RecoveryReport,
}

/// Reads a device. Nothing is changed, unless the log is whole: then its new life begins.
fn recover(device: &impl Device, identity: &Identity, on: Mechanisms) -> Result<Recovered, OpenError> {
    let superblocks = slots::read(device)?;
    let (slot, found) = newest(&superblocks)?;
    if found.identity() != *identity {
        return Err(OpenError::WrongIdentity { expected: *identity, found: found.identity() });
    }
    let formatted = found.device_bytes().unwrap_or(u64::MAX);
    if device.size() < formatted {
        return Err(OpenError::Truncated { bytes: device.size(), formatted });
    }

    let (checkpoint, checkpoint_damage) = or_damage(load(device, &found))?;
    let mut scan = Scan::new(device, found, on);
    let log_damage = scan.read()?;
    let owned = own_extents(&found, &checkpoint, &scan.tentative, on);
    let (allocator, overlap) = or_damage(owned)?;
    let allocator = allocator.unwrap_or_else(Allocator::nothing_free);
    let had = scan.last_entry(log_damage.is_some())?;
    let damage = checkpoint_damage.or(log_damage).or(overlap);
    let had = had.filter(|_| damage.is_some());
    let (superblock, newest) = if damage.is_none() {
        guard::sync_on_recovery(on, || {
            scan.rewrite_last_batch()?;
            device.sync()
        })?;
        let new_life = Superblock { life: found.life + 1, life_start: scan.end.0, ..found };
        guard::new_life_first(on, (found, slot), || slots::store(device, slot, new_life, on))?
    } else {
        (found, slot)
    };

    let log = scan.take_log(&superblock);
    let report = RecoveryReport {
        superblocks,
        slot,
        checkpoint_seq: superblock.checkpoint_seq,
        checkpoint_keys: checkpoint.index.len(),
        replay_start: Lsn(superblock.replay_lsn),
        replayed: scan.replayed,
        batches: scan.batch - superblock.replay_batch,
        last_seq: log.last(),
        log_end: scan.end,
        stop_offset: scan.stop_offset,
        stop: scan.stop,
        discarded_records: scan.discarded_records,
        discarded_bytes: scan.discarded_bytes,
        life: superblock.life,
        damage,
    };
    Ok(Recovered { superblock, newest, checkpoint, log, allocator, had, report })
}

/// The slot that counts, and the superblock in it.
fn newest(slots: &[Result<Superblock, DecodeError>; 2]) -> Result<(usize, Superblock), OpenError> {
    let generation = |slot: usize| slots[slot].as_ref().ok().map(|s: &Superblock| s.generation);
    let slot = usize::from(generation(1) > generation(0));
    slots[slot].map(|superblock| (slot, superblock)).map_err(|_| no_superblock(slots))
}

/// A device that was never formatted, or by another version, is not a damaged one: the next step differs.
fn no_superblock(slots: &[Result<Superblock, DecodeError>; 2]) -> OpenError {
    let why = |slot: &Result<Superblock, DecodeError>| {
        slot.as_ref().err().map(ToString::to_string).unwrap_or_default()
    };
    if slots.iter().all(|slot| matches!(slot, Err(DecodeError::Magic { .. } | DecodeError::Short { .. }))) {
        return OpenError::NotFormatted;
    }
    for slot in slots {
        if let &Err(DecodeError::OtherVersion { found }) = slot {
            return OpenError::OtherVersion { found };
        }
    }
    let found = format!("A: {}; B: {}", why(&slots[0]), why(&slots[1]));
    OpenError::Corrupt(Damage {
        zone: Zone::Superblock,
        offset: SLOTS[0],
        expected: "a valid superblock in one of two slots".into(),
        found,
        value: None,
    })
}

/// What was read from the device; or nothing, and the damage.
fn or_damage<T: Default>(read: Result<T, ReadError>) -> io::Result<(T, Option<Damage>)> {
    match read {
        Ok(read) => Ok((read, None)),
        Err(ReadError::Corrupt(damage)) => Ok((T::default(), Some(damage))),
        Err(ReadError::Io(error)) => Err(error),
        Err(error) => unreachable!("recovery only reads the device: {error}"),
    }
}

/// What is free is what nobody owns: no key, no entry of the log, no checkpoint chunk. Two owners are damage (E3). No
/// value is read for it: what points at a value says where it is.
fn own_extents(
    superblock: &Superblock,
    checkpoint: &Checkpoint,
    tentative: &VecDeque<WalRecord>,
    on: Mechanisms,
) -> Result<Option<Allocator>, ReadError> {
    let mut used = super::start_over::used(&checkpoint.index, &checkpoint.chunks);
    used.extend(tentative.iter().filter_map(|record| record.value.as_ref()).flat_map(ValueRef::extents));
    used.sort_unstable();
    // Values that were overwritten in place have two owners on purpose.
    used.dedup_by(|b, a| guard::never_overwrite_live(on, || Some(*a), b.units) == Some(*b));
    Allocator::new(superblock.data_units, used).map(Some).map_err(|(one, other): (Extent, Extent)| {
        ReadError::Corrupt(Damage {
            zone: Zone::Data,
            offset: superblock.offset_of(other.unit),
            expected: "units of the data region with one owner each (E3)".into(),
            found: format!("{one:?} and {other:?}"),
            value: None,
        })
    })
}
