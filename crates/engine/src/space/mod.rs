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
use crate::types::{Extent, Lsn, Seq, UNIT};

pub(crate) use allocator::Allocator;
pub(crate) use claim::Claim;
use quarantine::Quarantine;
pub(crate) use quarantine::Until;

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
    newest: usize,
    mechanisms: Mechanisms,
    allocator: Allocator,
    quarantine: Quarantine,
    /// Of everything that has room here, whether it is in use or in quarantine.
    claimed: Claim,
    /// Of that, what the puts claim that are not applied.
    tentative: Claim,
    /// Bytes of the owner's state of the checkpoint in force.
    pub(crate) host_bytes: u64,
}

impl<D: Device> Space<D> {
    /// A device of which nothing is known to be free.
    pub(crate) fn new(device: D, superblock: Superblock, newest: usize, mechanisms: Mechanisms) -> Space<D> {
        Space {
            device,
            superblock,
            newest,
            mechanisms,
            allocator: Allocator::nothing_free(),
            quarantine: Quarantine::default(),
            claimed: Claim::default(),
            tentative: Claim::default(),
            host_bytes: 0,
        }
    }

    /// All is free but these extents: of chunks, and of the values that claim so much, of which the last part is that of
    /// puts that are not applied.
    pub(crate) fn own(&mut self, allocator: Allocator, applied: Claim, tentative: Claim) {
        self.allocator = allocator;
        self.quarantine = Quarantine::default();
        self.claimed = applied + tentative;
        self.tentative = tentative;
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

    /// Takes room for a value, and claims it for its key as well.
    pub(crate) fn place(&mut self, key: &[u8], value_bytes: usize) -> Option<Vec<Extent>> {
        let extents = self.allocator.alloc_value(value_ref::units(value_bytes))?;
        self.claimed += Claim::of(key.len(), value_bytes);
        Some(extents)
    }

    /// The same, where the `live` value of the key is, if it may be overwritten and is as long.
    pub(crate) fn place_in_live(
        &mut self,
        key: &[u8],
        value_bytes: usize,
        live: Option<&ValueRef>,
    ) -> Option<Vec<Extent>> {
        let units = value_ref::units(value_bytes);
        let old = || live.filter(|live| live.extent_count() == 1)?.extents().next();
        let in_place = guard::never_overwrite_live(self.mechanisms, old, units)?;
        self.claimed += Claim::of(key.len(), value_bytes);
        Some(vec![in_place])
    }

    /// An entry with this value is not applied yet.
    pub(crate) fn begin_tentative(&mut self, key: &[u8], value: &ValueRef) {
        self.tentative += Claim::of_value(key, value);
    }

    /// It is applied, or truncated.
    pub(crate) fn end_tentative(&mut self, key: &[u8], value: &ValueRef) {
        self.tentative -= Claim::of_value(key, value);
    }

    /// A value is not used any more: its extents are free when nothing can need them (`extent-quarantine`). If they are those
    /// of the `live` one, which was written over it in place, that one goes on using them.
    pub(crate) fn retire(&mut self, key: &[u8], value: ValueRef, live: Option<&ValueRef>, until: Until) {
        if live.is_some_and(|live| live.first_unit() == value.first_unit()) {
            self.claimed -= Claim::of_value(key, &value);
        } else if guard::extent_quarantine(self.mechanisms) {
            self.quarantine.add(key.len(), value, until);
        } else {
            self.free_value(key.len(), &value);
        }
    }

    /// Gives back the room of a value that nothing can need, and its claim.
    pub(crate) fn free_value(&mut self, key_bytes: usize, value: &ValueRef) {
        value.extents().for_each(|extent| self.allocator.free(extent));
        self.claimed -= Claim::of(key_bytes, value.value_bytes() as usize);
    }

    /// A checkpoint at `seq` is durable: gives back at most `limit` values, and says how many.
    pub(crate) fn release_checkpointed(&mut self, seq: Seq, limit: usize) -> usize {
        let mut released = 0;
        while released < limit
            && let Some((key_bytes, value)) = self.quarantine.checkpointed(seq)
        {
            self.free_value(key_bytes, &value);
            released += 1;
        }
        released
    }

    /// The log is durable up to `durable`.
    pub(crate) fn release_durable(&mut self, durable: Lsn) {
        while let Some((key_bytes, value)) = self.quarantine.durable(durable) {
            self.free_value(key_bytes, &value);
        }
    }

    /// Takes an extent of at most `units`, for a chunk.
    pub(crate) fn alloc_up_to(&mut self, units: u64) -> Option<Extent> {
        self.allocator.alloc_up_to(units)
    }

    /// Gives a chunk's extent back.
    pub(crate) fn free(&mut self, extent: Extent) {
        self.allocator.free(extent);
    }

    /// Units that nothing uses or may need.
    pub(crate) fn free_units(&self) -> u64 {
        self.allocator.free_units()
    }

    /// Units in quarantine.
    pub(crate) fn quarantined_units(&self) -> u64 {
        self.quarantine.units()
    }

    /// All claims.
    pub(crate) fn claimed(&self) -> Claim {
        self.claimed
    }

    /// Of them, those that the next checkpoint gives back, at the latest.
    pub(crate) fn quarantined(&self) -> Claim {
        self.quarantine.claim()
    }

    /// Of them, those of puts that are not applied.
    pub(crate) fn tentative(&self) -> Claim {
        self.tentative
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
