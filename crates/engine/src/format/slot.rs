//! Where a value is and what it must be: what an index entry and the record of a put point with.

use super::data_record;
use crate::types::{Extent, Seq};

/// Where a value is, and which bytes it must be: what the index holds for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The entry that wrote the value.
    pub version: Seq,
    /// First unit of the data record, or of the first of several.
    pub unit: u64,
    /// Length of the value.
    pub value_bytes: u32,
    /// CRC of that data record.
    pub crc: u32,
}

impl Slot {
    /// The units it takes, if it is in one piece.
    pub fn extent(&self) -> Extent {
        Extent { unit: self.unit, units: data_record::units(self.value_bytes as usize) }
    }

    /// Can it be in so many pieces in a region of that size? Of several, each says for itself where the next one is.
    pub(crate) fn is_within(&self, data_units: u64, pieces: u32) -> bool {
        let units = if pieces > 1 { 1 } else { self.extent().units };
        self.unit.checked_add(units).is_some_and(|end| end <= data_units)
    }
}
