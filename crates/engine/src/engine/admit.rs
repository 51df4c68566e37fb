//! What is taken: admission by the sizes of keys and values alone.
//!
//! Whether an entry is taken must not depend on what only this device knows. Else:
//!
//! 1. The primary takes a put for which its own free extents just suffice.
//! 2. Both backups have their free space in smaller pieces, or more values that wait for a checkpoint, and no room.
//! 3. The put is never committed, and the deletes that would give room queue behind it, for ever.
//!
//! So an entry is taken if it fits at worst: every value in pieces of one unit, every key in two checkpoints. Together with
//! what is taken already, that is a sum over the state of the last checkpoint and the puts behind it, whether they are
//! applied or not: what a put replaces and a delete removes gives its room back by the next checkpoint. So the sum is the
//! same on every device of one size, and a later checkpoint only makes it smaller.
//!
//! A backup without room for an entry that the primary took has the room, therefore, once its checkpoint is no older than
//! the primary's was; and that is always possible, because a checkpoint's entries are committed, and a backup hears of it.
//! The same holds of a replica that leads after a restart and does not know any more how much is committed: it took the
//! entries of its log on top of the very checkpoint that it still has.
//!
//! Who decides what is taken may be more careful than that, and is: [`Engine::admits`] keeps a share of the device for
//! overwrites. Without it: (1) new keys take all the room there is; (2) a key is overwritten, and its new value needs room
//! beside the old one, until a checkpoint; (3) there is none, and never will be: nothing can be changed any more.

use super::Engine;
use crate::device::Device;
use crate::error::AppendError;
use crate::format::checkpoint_chunk::{ChunkHeader, StreamHead};
use crate::format::data_record;
use crate::format::wal_record::record_bytes;
use crate::guard;
use crate::space::Claim;
use crate::types::{Extent, Reserve, Sizes, Space, UNIT};

/// Of a large device, so many bytes are kept free for the owner's state in a checkpoint; of a small one, a sixteenth. The
/// same on every device of a size, whatever the owner's state is now.
const HOST_BYTES: u64 = 2 << 20;
/// One part in so many of a device only overwrites may use.
const OVERWRITES_PART: u64 = 16;

/// Is there room for an entry?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// There is.
    Now,
    /// There will be, when a checkpoint has given back what waits for one.
    Later,
    /// No checkpoint gives that much.
    Never,
}

impl<D: Device> Engine<D> {
    /// Would all of these be appended, with tags of this length? For an owner that has to know before it decides. Never
    /// says yes and then refuses.
    pub fn has_room(&mut self, ops: impl Iterator<Item: Into<Sizes>>, tag_bytes: usize) -> bool {
        self.has_room_beside(ops, tag_bytes, Reserve::Truncations)
    }

    /// The same, with more or less of the log kept for others.
    pub fn has_room_beside(
        &mut self,
        ops: impl Iterator<Item: Into<Sizes>>,
        tag_bytes: usize,
        reserve: Reserve,
    ) -> bool {
        let (mut log_bytes, mut more) = (0, Claim::default());
        for sizes in ops.map(Into::into) {
            more += sizes.value_bytes.map_or(Claim::default(), |bytes| Claim::of(sizes.key_bytes, bytes));
            log_bytes += record_bytes(sizes.key_bytes, tag_bytes);
        }
        let log_fits = self.log.room(log_bytes, reserve).is_ok();
        self.starved |= !log_fits;
        log_fits && self.room(more).is_ok()
    }

    /// Should an owner that decides what is taken take this? More careful than [`has_room`], which those ask who follow it:
    /// what takes more room than its key has already leaves the last part to what does not.
    ///
    /// [`has_room`]: Engine::has_room
    pub fn admits(&mut self, key: &[u8], sizes: Sizes, tag_bytes: usize) -> Room {
        let more = sizes.value_bytes.map_or(Claim::default(), |bytes| Claim::of(sizes.key_bytes, bytes));
        let has = self.index.get(key).map_or(0, |slot| Claim::of_slot(key, &slot).units);
        let kept = if more.units > has { self.kept_for_overwrites() } else { 0 };
        let (held, waiting) = (self.held(), self.quarantine.claim());
        let fits = |held| more.units == 0 || more.units + kept <= self.unclaimed(held, more.item_bytes);
        // What is on its way makes keys larger, for all that is known; but if this does not, it only has to wait its turn.
        let on_its_way = if kept == 0 { self.tentative } else { Claim::default() };
        if !fits(held - waiting - on_its_way) {
            return Room::Never;
        }
        let now = fits(held)
            && more.units <= self.allocator.free_units()
            && self.log.room(record_bytes(sizes.key_bytes, tag_bytes), Reserve::Progress).is_ok();
        self.starved |= !now;
        if now { Room::Now } else { Room::Later }
    }

    fn kept_for_overwrites(&self) -> u64 {
        self.superblock.data_units / OVERWRITES_PART
    }

    /// So many units of replaced values are reason enough for a checkpoint: half of what the live ones take, and of what
    /// the log does; but where little room is left, half of that, so that nobody has to wait for it.
    pub(super) fn much_replaced(&self) -> u64 {
        let left = self.unclaimed(self.held() - self.quarantine.claim(), 0);
        let usual = (self.index.claim().units / 2).max(self.log.ring.bytes / UNIT / 2);
        usual.min(left.max(self.kept_for_overwrites()) / 2)
    }

    /// Is so little room left that a checkpoint under way must not take its time?
    pub fn short_of_room(&self) -> bool {
        self.starved || self.unclaimed(self.held(), 0) < self.kept_for_overwrites() / 2
    }

    /// Finds room for a value.
    pub(super) fn place(&mut self, key: &[u8], value_bytes: usize) -> Result<Extent, AppendError> {
        let old = || {
            let whole = self.index.get(key)?.extent();
            Some(whole).filter(|whole| self.allocator.pieces(whole).len() == 1)
        };
        let in_place = guard::never_overwrite_live(self.mechanisms, old, data_record::units(value_bytes));
        if let Some(in_place) = in_place {
            return Ok(in_place);
        }
        let more = Claim::of(key.len(), value_bytes);
        let free = self.room(more).map_or_else(|free| free, |()| self.allocator.free_units());
        let place = if more.units <= free { self.allocator.alloc_value(value_bytes) } else { None };
        place.ok_or(AppendError::NoSpace { needed: more.units, free })
    }

    /// Is there room for this as well, at worst? Else the units that are free.
    fn room(&mut self, more: Claim) -> Result<(), u64> {
        let (held, waiting) = (self.held(), self.quarantine.claim());
        let free = self.unclaimed(held, more.item_bytes).min(self.allocator.free_units());
        if more.units <= free {
            return Ok(());
        }
        // What waits, a checkpoint gives back.
        self.starved |= more.units <= self.unclaimed(held - waiting, more.item_bytes);
        Err(free)
    }

    /// All claims to the device.
    fn held(&self) -> Claim {
        let receiving = self.install.as_ref().map(|install| install.index.claim()).unwrap_or_default();
        self.index.claim() + self.quarantine.claim() + self.tentative + receiving
    }

    /// Units that are left beside these claims, and beside two checkpoints of them and of so many more bytes: the next
    /// one, which is written while the last one still counts, and the one after it. So a full device can always be
    /// checkpointed, and with that deleted from.
    fn unclaimed(&self, held: Claim, more_bytes: u64) -> u64 {
        let checkpoints = 2 * self.checkpoint_units(held.item_bytes + more_bytes);
        self.superblock.data_units.saturating_sub(held.units + checkpoints)
    }

    /// What a checkpoint with items of that many bytes may take, in chunks of one unit, the worst that fragmentation
    /// can do, and with an owner's state that is small for the device, or twice as long as now.
    pub(super) fn checkpoint_units(&self, item_bytes: u64) -> u64 {
        let small = (self.superblock.data_units * UNIT / 16).min(HOST_BYTES);
        let host_bytes = small.max(2 * self.host_state.len() as u64);
        (StreamHead::BYTES as u64 + host_bytes + item_bytes).div_ceil(UNIT - ChunkHeader::BYTES as u64)
    }

    /// How the device is used.
    pub fn space(&self) -> Space {
        let (units, free, quarantined) =
            (self.superblock.data_units, self.allocator.free_units(), self.quarantine.units());
        Space {
            units,
            live: units - free - quarantined,
            quarantined,
            free,
            reserve: free.saturating_sub(self.unclaimed(self.held(), 0)),
            claimed: units - self.unclaimed(self.held() - self.quarantine.claim(), 0),
            claimable: units - self.kept_for_overwrites(),
            wal_used: self.log.used(),
            wal_bytes: self.log.ring.bytes,
            index_bytes: self.index.claim().item_bytes,
        }
    }
}
