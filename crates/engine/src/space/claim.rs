//! How much room keys and values claim, by their sizes alone: at worst, which is every value in pieces of one unit, and
//! every key as an item of a checkpoint. `engine/admit.rs` says why sizes alone decide.

use std::ops::{Add, AddAssign, Sub, SubAssign};

use crate::format::checkpoint_chunk::ItemHeader;
use crate::format::data_record::units_max;
use crate::format::value_ref::ValueRef;

/// Room for some keys and their values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The most units that the values can take.
    pub(crate) units: u64,
    /// Bytes that the keys take in a checkpoint.
    pub(crate) item_bytes: u64,
}

impl Claim {
    pub(crate) fn of(key_bytes: usize, value_bytes: usize) -> Claim {
        Claim { units: units_max(value_bytes), item_bytes: (ItemHeader::BYTES + key_bytes) as u64 }
    }

    /// That of a key with this value.
    pub(crate) fn of_value(key: &[u8], value: &ValueRef) -> Claim {
        Claim::of(key.len(), value.value_bytes() as usize)
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
