//! How much room keys and values may take, by their sizes alone.
//!
//! Whether an entry is taken must not depend on what only this device knows. Else:
//!
//! 1. The primary takes a put for which its own free extents just suffice.
//! 2. Both backups have their free space in smaller pieces, or more values that wait for a checkpoint, and no room.
//! 3. The put is never committed, and the deletes that would give room queue behind it, for ever.
//!
//! So an entry is taken if it fits at worst: every value in pieces of one unit, every key twice in a checkpoint. With
//! what is taken already, that is the same sum on every device of this size that has the same entries since the same
//! checkpoint, and it never grows by a later checkpoint. A backup that has no room for an entry therefore has it after a
//! checkpoint of what is committed: it cannot be that of the primary that is older. And a replica that leads after a
//! restart, not knowing any more how much is committed, took its entries on top of the checkpoint that it still has.

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
