//! How much room keys and values may take, by their sizes alone.
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

use std::ops::{Add, AddAssign, Sub, SubAssign};

use crate::format::checkpoint_chunk::ItemHeader;
use crate::format::data_record::units_max;

/// Room for some keys and their values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The most units that the values can take.
    pub(crate) units: u64,
    /// Bytes that the keys take in a checkpoint.
    pub(crate) item_bytes: u64,
}

impl Claim {
    pub(crate) fn of(key: &[u8], value_bytes: usize) -> Claim {
        Claim { units: units_max(value_bytes), item_bytes: (ItemHeader::BYTES + key.len()) as u64 }
    }
}

impl Add for Claim {
    type Output = Claim;
    fn add(self, other: Claim) -> Claim {
        Claim { units: self.units + other.units, item_bytes: self.item_bytes + other.item_bytes }
    }
}

impl Sub for Claim {
    type Output = Claim;
    fn sub(self, other: Claim) -> Claim {
        Claim { units: self.units - other.units, item_bytes: self.item_bytes - other.item_bytes }
    }
}

impl AddAssign for Claim {
    fn add_assign(&mut self, other: Claim) {
        *self = *self + other;
    }
}

impl SubAssign for Claim {
    fn sub_assign(&mut self, other: Claim) {
        *self = *self - other;
    }
}

impl std::iter::Sum for Claim {
    fn sum<I: Iterator<Item = Claim>>(claims: I) -> Claim {
        claims.fold(Claim::default(), Add::add)
    }
}
