//! The device and all room on it: which units are free, which are not free yet, what is claimed, and the values there.

mod allocator;
mod claim;
mod free_map;
mod quarantine;
pub(crate) mod slots;
pub(crate) mod value;

use std::io;

use trace::Mechanisms;

use crate::device::Device;
use crate::error::ReadError;
use crate::format::checkpoint_chunk::{ChunkHeader, StreamHead};
use crate::format::superblock::Superblock;
use crate::format::value_ref::{self, ValueRef};
use crate::guard;
use crate::types::{Extent, UNIT};

pub(crate) use allocator::Allocator;
pub(crate) use claim::Claim;
pub(crate) use quarantine::{Quarantine, Until};

/// Of a large device, so many bytes are kept free for the owner's state in a checkpoint; of a small one, a sixteenth. The
/// same on every device of a size, whatever the owner's state is now.
const HOST_BYTES: u64 = 2 << 20;
/// One part in so many of a device only overwrites may use, and of a small one twice that, up to so many units: enough for
/// some of the longest values, and for an owner's state that grows.
const OVERWRITES_PART: u64 = 32;
const OVERWRITES_UNITS: u64 = (4 << 20) / UNIT;

/// The only owner of the device, of its superblock, and of every unit of its data region.
#[derive(Clone, Debug)]
pub(crate) struct Space<D> {
    pub(crate) device: D,
    /// As stored in both slots, but for the generation of the older one.
    pub(crate) superblock: Superblock,
    /// The slot with the greater generation.
    pub(crate) newest: usize,
    pub(crate) mechanisms: Mechanisms,
    pub(crate) allocator: Allocator,
    pub(crate) quarantine: Quarantine,
    /// Of everything that has room here, whether it is in use or in quarantine.
    pub(crate) claimed: Claim,
    /// Of that, what the puts claim that are not applied.
    pub(crate) tentative: Claim,
    /// Bytes of the owner's state of the checkpoint in force.
    pub(crate) host_bytes: u64,
}

impl<D: Device> Space<D> {
    /// All is free but the extents of chunks, and of the values that claim so much.
    pub(crate) fn start_over(&mut self, allocator: Allocator, claimed: Claim) {
        self.allocator = allocator;
        self.quarantine = Quarantine::default();
        self.claimed = claimed;
        self.tentative = Claim::default();
    }

    /// Makes `next` durable in both slots.
    pub(crate) fn store(&mut self, next: Superblock) -> io::Result<()> {
        assert!(next.promise >= self.superblock.promise, "E5: the promise never goes back");
        (self.superblock, self.newest) = slots::store(&self.device, self.newest, next, self.mechanisms)?;
        Ok(())
    }

    /// Makes the chunks written so far durable, before anything points at them (`atomic-checkpoint`).
    pub(crate) fn sync_chunks(&self) -> io::Result<()> {
        if guard::atomic_checkpoint(self.mechanisms) { self.device.sync() } else { Ok(()) }
    }

    /// Reads a value, checked against its checksum (`verify-on-read`).
    pub(crate) fn read(&self, value: &ValueRef) -> Result<std::sync::Arc<[u8]>, ReadError> {
        let read = |verify| value::read(&self.device, &self.superblock, value, verify);
        guard::verify_on_read(self.mechanisms, read(true), || read(false))
    }

    /// Writes a value, with zeros up to the end of its last unit.
    pub(crate) fn write(&self, value: &ValueRef, bytes: &[u8]) -> io::Result<()> {
        value.parts(bytes).try_for_each(|(extent, part)| {
            let mut padded = part.to_vec();
            padded.resize((extent.units * UNIT) as usize, 0);
            self.device.write_at(self.superblock.offset_of(extent.unit), &padded)
        })
    }

    /// Takes room for a value, and claims it for its key as well. The `live` value of the key must not be overwritten
    /// (`never-overwrite-live`).
    pub(crate) fn place(
        &mut self,
        key: &[u8],
        value_bytes: usize,
        live: Option<&ValueRef>,
    ) -> Option<Vec<Extent>> {
        let units = value_ref::units(value_bytes);
        let old = || live.filter(|live| live.extent_count() == 1)?.extents().next();
        let extents = match guard::never_overwrite_live(self.mechanisms, old, units) {
            Some(in_place) => vec![in_place],
            None => self.allocator.alloc_value(units)?,
        };
        self.claimed = self.claimed + Claim::of(key.len(), value_bytes);
        Some(extents)
    }

    /// A value is not used any more: its extents are free when nothing can need them (`extent-quarantine`). If they are those
    /// of the `live` one, which was written over it in place, that one goes on using them.
    pub(crate) fn retire(&mut self, key: &[u8], value: ValueRef, live: Option<&ValueRef>, until: Until) {
        if live.is_some_and(|live| live.first_unit() == value.first_unit()) {
            self.claimed = self.claimed - Claim::of_value(key, &value);
        } else if guard::extent_quarantine(self.mechanisms) {
            self.quarantine.add(key.len(), value, until);
        } else {
            self.free_value(key.len(), &value);
        }
    }

    /// Gives back the room of a value that nothing can need, and its claim.
    pub(crate) fn free_value(&mut self, key_bytes: usize, value: &ValueRef) {
        value.extents().for_each(|extent| self.allocator.free(extent));
        self.claimed = self.claimed - Claim::of(key_bytes, value.value_bytes() as usize);
    }

    /// Gives back at most `limit` values that need not wait any more, now that this is durable, and says how many.
    pub(crate) fn release(&mut self, durable: Until, limit: usize) -> usize {
        let mut released = 0;
        while released < limit
            && let Some((key_bytes, value)) = self.quarantine.next(durable)
        {
            self.free_value(key_bytes, &value);
            released += 1;
        }
        released
    }

    /// What only overwrites may use.
    pub(crate) fn kept_for_overwrites(&self) -> u64 {
        let part = self.superblock.data_units / OVERWRITES_PART;
        part.max((2 * part).min(OVERWRITES_UNITS))
    }

    /// Units that are left beside these claims, and beside two checkpoints of them and of so many more bytes: the next
    /// one, which is written while the last one still counts, and the one after it. So a full device can always be
    /// checkpointed, and with that deleted from.
    pub(crate) fn unclaimed(&self, claimed: Claim, more_bytes: u64) -> u64 {
        let checkpoints = 2 * self.checkpoint_units(claimed.item_bytes + more_bytes);
        self.superblock.data_units.saturating_sub(claimed.units + checkpoints)
    }

    /// What a checkpoint with items of that many bytes may take, in chunks of one unit, the worst that fragmentation
    /// can do, and with an owner's state that is small for the device, or twice as long as now.
    pub(crate) fn checkpoint_units(&self, item_bytes: u64) -> u64 {
        let small = (self.superblock.data_units * UNIT / 16).min(HOST_BYTES);
        let host_bytes = small.max(2 * self.host_bytes);
        (StreamHead::BYTES as u64 + host_bytes + item_bytes).div_ceil(UNIT - ChunkHeader::BYTES as u64)
    }
}
