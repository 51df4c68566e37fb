//! Upkeep in the background, for an owner with time to spare: what is stored is read and verified, and values are moved, so
//! that what is free becomes contiguous again.
//!
//! A value has three addresses that need not agree: one in the log record of its entry, one in the checkpoint in force, one
//! in the index in memory. A move changes the index alone, and is safe to crash after each step:
//!
//! 1. The value is read from its source, and is whole. Its copy is written to free units. Nothing points there yet.
//! 2. The index points at the copy. A crash brings back the log and the checkpoint, which point at the source.
//! 3. A checkpoint that is begun now points at the copy, and makes it durable before it takes effect
//!    (`atomic-checkpoint`): the copy needs no sync of its own.
//! 4. When that checkpoint is durable nothing points at the source, and its units are free (`extent-quarantine`,
//!    `copy-before-free`).
//!
//! All of 1 and 2 is one operation: a value that was overwritten meanwhile cannot come back, because there is no meanwhile.
//! Values of entries that are not applied are not moved: they may be undone.
//!
//! What to read or to move, when, and how much, is the owner's to say.

use std::ops::Bound;
use std::sync::Arc;

use trace::{Kind, emit};

use super::Engine;
use crate::device::Device;
use crate::error::{ReadError, WriteError};
use crate::format::value_ref::ValueRef;
use crate::guard;
use crate::space::{Claim, Until};
use crate::state::read_chunk;
use crate::types::{Extent, Seq, UNIT, Usage};

/// Something on the device that can be verified.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Piece {
    /// The value of a key as of `applied_seq`.
    Value(Arc<[u8]>),
    /// The record of a durable entry behind the checkpoint; and its value, if it is not applied.
    Record(Seq),
    /// A chunk of the checkpoint in force, by its place.
    Chunk(usize),
}

/// What was moved.
#[derive(Debug, Default)]
pub struct Moved {
    /// So many of the keys, from the first one on, are done; the others found no room.
    pub keys: usize,
    /// The units of the values that were moved.
    pub units: u64,
    /// Values that could not be read: they stay where they are.
    pub damaged: Vec<ReadError>,
}

/// Keys, each with where its value is; and where to go on.
pub type Values = (Vec<(Arc<[u8]>, Extent)>, Option<Arc<[u8]>>);

/// What upkeep needs of an [`Engine`], whatever its device is.
pub trait Upkeep {
    /// How the device is used.
    fn usage(&self) -> Usage;
    /// The entries whose records can be verified: behind the first, up to the second.
    fn records(&self) -> (Seq, Seq);
    /// Of the next `limit` keys behind `after`, in order, those whose value is `wanted`, told by its first unit and how many
    /// units it takes; and the last of these keys, unless there are no more.
    fn values(&self, after: Option<&[u8]>, limit: usize, wanted: &dyn Fn(Extent) -> bool) -> Values;
    /// How many units of an extent are not free: in use, or in quarantine.
    fn units_in_use(&self, within: Extent) -> u64;
    /// Reads and verifies something, and says how many bytes it has; `None` if it is not there (any more).
    fn verify(&self, piece: &Piece) -> Result<Option<u64>, ReadError>;
    /// Units that copies may take now: none while something else matters more.
    fn room_to_move(&self) -> u64;
    /// Copies the values of these keys, one behind the other, into the first run of free units within an extent that the
    /// first of them fits into: as many of them as find room there. What they leave is free when the next checkpoint is
    /// durable. Does not sync.
    fn move_values(&mut self, keys: &[Arc<[u8]>], within: Extent) -> Result<Moved, WriteError>;
}

impl<D: Device> Upkeep for Engine<D> {
    fn usage(&self) -> Usage {
        self.space()
    }

    fn records(&self) -> (Seq, Seq) {
        (self.checkpoint_seq(), self.durable)
    }

    fn values(&self, after: Option<&[u8]>, limit: usize, wanted: &dyn Fn(Extent) -> bool) -> Values {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let (mut values, mut looked, mut last) = (Vec::new(), 0, None);
        for (key, value) in self.index.range(from).take(limit) {
            let place = Extent { unit: value.first_unit(), units: value.units() };
            if wanted(place) {
                values.push((key[..].into(), place));
            }
            (looked, last) = (looked + 1, Some(key));
        }
        (values, last.filter(|_| looked == limit).map(|key| key[..].into()))
    }

    fn units_in_use(&self, within: Extent) -> u64 {
        self.space.allocator.used_in(within)
    }

    fn verify(&self, piece: &Piece) -> Result<Option<u64>, ReadError> {
        self.readable()?;
        let value =
            |key: &[u8], stored: &ValueRef| self.read_stored(key, stored).map(|value| value.len() as u64);
        match piece {
            Piece::Value(key) => self.index.get(key).map(|stored| value(key, stored)).transpose(),
            Piece::Record(seq) => {
                let there = *seq > self.checkpoint_seq() && *seq <= self.durable;
                let Some(logged) = self.log.get(*seq).filter(|_| there) else { return Ok(None) };
                let record = self.read_record(*seq, logged)?;
                let tentative = record.value.filter(|_| *seq > self.applied);
                let value_bytes = tentative.map_or(Ok(0), |stored| value(&record.key, &stored))?;
                Ok(Some(u64::from(logged.bytes) + value_bytes))
            }
            Piece::Chunk(n) => {
                let Some(chunk) = self.chunks.get(*n) else { return Ok(None) };
                read_chunk(&self.space.device, &self.space.superblock, chunk)?;
                Ok(Some(chunk.bytes.into()))
            }
        }
    }

    fn room_to_move(&self) -> u64 {
        let (on, free) = (self.mechanisms, self.space.allocator.free_units());
        let left = self.space.unclaimed(self.space.claimed, 0).min(free);
        let may = self.writable().is_ok()
            && !self.starved
            && guard::copy_before_free(on, self.new_checkpoint.is_some())
            && guard::one_checkpoint_per_seq(on, self.applied > self.checkpoint_seq())
            && guard::no_gc_during_install(on, self.install.is_some());
        if may { guard::moves_leave_room(on, left, self.space.kept_for_overwrites(), free) } else { 0 }
    }

    fn move_values(&mut self, keys: &[Arc<[u8]>], within: Extent) -> Result<Moved, WriteError> {
        self.writable()?;
        let units = || keys.iter().filter_map(|key| self.index.get(key)).map(ValueRef::units);
        let (least, wanted) =
            (units().find(|units| *units > 0), units().sum::<u64>().min(self.room_to_move()));
        let least = least.filter(|least| *least <= wanted);
        let run = least.and_then(|least| self.space.allocator.alloc_within(within, least, wanted));
        let Some(Extent { unit: first, units }) = run else { return Ok(Moved::default()) };
        let (mut moved, mut bytes, mut copies) = (Moved::default(), Vec::new(), Vec::new());
        for key in keys {
            let source = self.index.get(key);
            if source.is_some_and(|source| moved.units + source.units() > units) {
                break;
            }
            moved.keys += 1;
            match source.map(|source| (source, self.read_stored(key, source))) {
                Some((source, Ok(value))) => {
                    let extent = Extent { unit: first + moved.units, units: source.units() };
                    moved.units += extent.units;
                    bytes.extend_from_slice(&value);
                    bytes.resize((moved.units * UNIT) as usize, 0);
                    copies.push((key, source.moved_to(extent)));
                }
                Some((_, Err(error))) => moved.damaged.push(error),
                None => {}
            }
        }
        self.space.allocator.free(Extent { unit: first + moved.units, units: units - moved.units });
        let written = self.space.device.write_at(self.space.superblock.offset_of(first), &bytes);
        written.map_err(|error| self.failed(error.into()))?;
        copies.into_iter().for_each(|(key, copy)| self.point_at(key, copy));
        self.check();
        Ok(moved)
    }
}

impl<D: Device> Engine<D> {
    /// From now on the value of `key` is read from its copy.
    fn point_at(&mut self, key: &[u8], copy: ValueRef) {
        let (version, extent) = (copy.version, copy.first_unit());
        self.space.claimed = self.space.claimed + Claim::of_value(key, &copy);
        let source = self.index.insert(key, copy).expect("E4: a value that is moved is that of a key");
        emit!(self.notes, Kind::ValueMoved { version, before: source.first_unit(), extent });
        self.space.retire(key, source, None, Until::Checkpoint(self.applied));
    }
}
