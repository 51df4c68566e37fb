//! What is taken: admission by the sizes of keys and values alone.
//!
//! Whether an entry is taken must not depend on what only this device knows. Else:
//!
//! 1. The primary takes a put for which its own free extents just suffice.
//! 2. Both backups have their free units scattered, or more values that wait for a checkpoint, and no room.
//! 3. The put is never committed, and the deletes that would give room queue behind it, for ever.
//!
//! So an entry is taken if it fits at worst, and a value fits into any units that are free, however they are scattered: then
//! it has an extent for each, and whoever points at it a longer list. The units of a value follow from its length alone. What
//! the lists may take is counted with an extent for each unit, in two checkpoints and in the log; at most 16 KiB for the
//! longest value, and on most devices 8 bytes. There is no bound on the number of extents below that: which value meets it
//! would be a matter of where one device has its free units, and the others would take the entry that this one never can.
//!
//! Together with what is taken already, that is a sum over the state of the last checkpoint and the puts behind it, whether they are
//! applied or not: what a put replaces and a delete removes gives its room back by the next checkpoint. So the sum is the
//! same on every device of one size, and a later checkpoint only makes it smaller.
//!
//! A backup without room for an entry that the primary took has the room, therefore, once its checkpoint is no older than
//! the primary's was; and that is always possible, because a checkpoint's entries are committed, and a backup hears of it.
//! The same holds of a replica that leads after a restart and does not know any more how much is committed: it took the
//! entries of its log on top of the very checkpoint that it still has.
//!
//! The log of a backup may need more bytes for the same entries: its lists may be longer, for the entries of a whole tail
//! that can only be committed together, with the marker of a new epoch. So who decides what is taken leaves room in the log
//! for the longest lists of all entries that are not applied ([`Reserve::Progress`]).
//!
//! Who decides what is taken may be more careful than that, and is: [`Engine::admits`] keeps a share of the device for
//! overwrites. Without it: (1) new keys take all the room there is; (2) a key is overwritten, and its new value needs room
//! beside the old one, until a checkpoint; (3) there is none, and never will be: nothing can be changed any more.

use super::Engine;
use crate::device::Device;
use crate::error::WriteError;
use crate::format::value_ref::PackedExtent;
use crate::format::wal_record::record_bytes_max;
use crate::space::Claim;
use crate::types::{Extent, Reserve, Sizes, UNIT, Usage};

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
    /// Would all of these be appended, with tags of this length, and would so much of the log be left for others? For an owner
    /// that has to know before it decides. Never says yes and then refuses.
    pub fn has_room_beside(
        &mut self,
        ops: impl Iterator<Item: Into<Sizes>>,
        tag_bytes: usize,
        reserve: Reserve,
    ) -> bool {
        let (mut log_bytes, mut more) = (0, Claim::default());
        for sizes in ops.map(Into::into) {
            more =
                more + sizes.value_bytes.map_or(Claim::default(), |bytes| Claim::of(sizes.key_bytes, bytes));
            log_bytes += record_bytes_max(sizes, tag_bytes);
        }
        let log_fits = self.log_has_room(log_bytes, reserve);
        self.starved |= !log_fits;
        log_fits && self.room(more).is_ok()
    }

    /// Should an owner that decides what is taken take this? More careful than [`has_room_beside`], which those ask who follow it:
    /// what takes more room than its key has already leaves the last part to what does not.
    ///
    /// [`has_room_beside`]: Engine::has_room_beside
    pub fn admits(&mut self, key: &[u8], sizes: Sizes, tag_bytes: usize) -> Room {
        let more = sizes.value_bytes.map_or(Claim::default(), |bytes| Claim::of(sizes.key_bytes, bytes));
        let has = self.index.get(key).map_or(0, |value| Claim::of_value(key, value).units);
        let kept = if more.units > has { self.space.kept_for_overwrites() } else { 0 };
        let (claimed, quarantined) = (self.space.claimed, self.space.quarantine.claim);
        let fits =
            |claimed| more.units == 0 || more.units + kept <= self.space.unclaimed(claimed, more.item_bytes);
        // What is on its way makes keys larger, for all that is known; but if this does not, it only has to wait its turn.
        let on_its_way = if kept == 0 { self.space.tentative } else { Claim::default() };
        if !fits(claimed - quarantined - on_its_way) {
            return Room::Never;
        }
        let now = fits(claimed)
            && more.units <= self.space.allocator.free_units()
            && self.log_has_room(record_bytes_max(sizes, tag_bytes), Reserve::Progress);
        self.starved |= !now;
        if now { Room::Now } else { Room::Later }
    }

    fn log_has_room(&self, bytes: u32, reserve: Reserve) -> bool {
        let longest = self.space.tentative.units * PackedExtent::BYTES as u64;
        let lists = if reserve == Reserve::Progress { longest } else { 0 };
        self.log.room(u64::from(bytes) + lists, reserve).is_ok()
    }

    /// So many units of replaced values are reason enough for a checkpoint: half of what the live ones take, and of what
    /// the log does; but where little room is left, half of that, so that nobody has to wait for it.
    pub(super) fn much_replaced(&self) -> u64 {
        let left = self.space.unclaimed(self.space.claimed - self.space.quarantine.claim, 0);
        let usual = (self.applied_claim().units / 2).max(self.log.ring.bytes / UNIT / 2);
        usual.min(left.max(self.space.kept_for_overwrites()) / 2)
    }

    /// Is so little room left that a checkpoint under way must not take its time?
    pub fn short_of_room(&self) -> bool {
        self.starved || self.space.unclaimed(self.space.claimed, 0) < self.space.kept_for_overwrites() / 2
    }

    /// Finds room for a value.
    pub(super) fn place(&mut self, key: &[u8], value_bytes: usize) -> Result<Vec<Extent>, WriteError> {
        let more = Claim::of(key.len(), value_bytes);
        let free = self.room(more).map_or_else(|free| free, |()| self.space.allocator.free_units());
        let place =
            if more.units <= free { self.space.place(key, value_bytes, self.index.get(key)) } else { None };
        place.ok_or(WriteError::NoSpace { needed: more.units, free })
    }

    /// Is there room for this as well, at worst? Else the units that are free.
    fn room(&mut self, more: Claim) -> Result<(), u64> {
        let (claimed, quarantined) = (self.space.claimed, self.space.quarantine.claim);
        let free = self.space.unclaimed(claimed, more.item_bytes).min(self.space.allocator.free_units());
        if more.units <= free {
            return Ok(());
        }
        // What waits, a checkpoint gives back.
        self.starved |= more.units <= self.space.unclaimed(claimed - quarantined, more.item_bytes);
        Err(free)
    }

    /// What the keys and values of the state claim.
    fn applied_claim(&self) -> Claim {
        let receiving = self.install.as_ref().map(|install| install.claim).unwrap_or_default();
        self.space.claimed - self.space.quarantine.claim - self.space.tentative - receiving
    }

    /// How the device is used.
    pub fn space(&self) -> Usage {
        let (units, free, quarantined) = (
            self.space.superblock.data_units,
            self.space.allocator.free_units(),
            self.space.quarantine.claim.units,
        );
        Usage {
            units,
            live: units - free - quarantined,
            quarantined,
            free,
            reserve: free.saturating_sub(self.space.unclaimed(self.space.claimed, 0)),
            claimed: units - self.space.unclaimed(self.space.claimed - self.space.quarantine.claim, 0),
            claimable: units - self.space.kept_for_overwrites(),
            wal_used: self.log.used(),
            wal_bytes: self.log.ring.bytes,
            index_bytes: self.applied_claim().item_bytes,
        }
    }
}
