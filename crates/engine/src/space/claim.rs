//! How much room keys and values claim, by their sizes alone: the units of the values, which are as many wherever they lie,
//! and the keys as items of a checkpoint, at worst: with an extent for each unit. `engine/admit.rs` says why sizes alone decide.

use std::ops::{Add, Sub};

use crate::format::checkpoint_chunk::item_bytes;
use crate::format::value_ref::{self, ValueRef};
use crate::format::wal_record::WalRecord;

/// Room for some keys and their values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The units that the values take.
    pub(crate) units: u64,
    /// The most bytes that the keys take in a checkpoint.
    pub(crate) item_bytes: u64,
}

impl Claim {
    pub(crate) fn of(key_bytes: usize, value_bytes: usize) -> Claim {
        let units = value_ref::units(value_bytes);
        Claim { units, item_bytes: item_bytes(key_bytes, units as usize) as u64 }
    }

    /// That of a key with this value.
    pub(crate) fn of_value(key: &[u8], value: &ValueRef) -> Claim {
        Claim::of(key.len(), value.value_bytes() as usize)
    }

    /// That of an entry in the log: only a put claims anything.
    pub(crate) fn of_entry(record: &WalRecord) -> Claim {
        record.value.as_ref().map_or(Claim::default(), |value| Claim::of_value(&record.key, value))
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
