//! Where a value is and what it must be: what the index and the record of a put point with.

use super::data_record;
use crate::types::{Extent, Seq};

/// Names one value: which entry wrote it, where it is, and which bytes it must be.
///
/// The index has one for each key. So a value in one extent, as most are, takes no memory beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueRef {
    /// The entry that wrote the value.
    pub version: Seq,
    stored: Stored,
}

const _: () = assert!(size_of::<ValueRef>() == 24 && size_of::<Option<ValueRef>>() == 24);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stored {
    /// In one extent, as long as the value needs. The length has three bytes, which leaves the fourth to tell this case.
    Whole {
        value_bytes: [u8; 3],
        crc: u32,
        unit: u64,
    },
    Split(Box<Split>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Split {
    value_bytes: u32,
    crc: u32,
    extents: Vec<Extent>,
}

impl ValueRef {
    /// The value of entry `version` in these extents, of which there is at least one.
    pub(crate) fn new(version: Seq, value_bytes: u32, crc: u32, extents: &[Extent]) -> ValueRef {
        let [a, b, c, high] = value_bytes.to_le_bytes();
        let units = data_record::units(value_bytes as usize);
        let stored = match *extents {
            [Extent { unit, units: all }] if all == units && high == 0 => {
                Stored::Whole { value_bytes: [a, b, c], crc, unit }
            }
            _ => Stored::Split(Box::new(Split { value_bytes, crc, extents: extents.to_vec() })),
        };
        ValueRef { version, stored }
    }

    /// Length of the value.
    pub fn value_bytes(&self) -> u32 {
        match &self.stored {
            &Stored::Whole { value_bytes: [a, b, c], .. } => u32::from_le_bytes([a, b, c, 0]),
            Stored::Split(split) => split.value_bytes,
        }
    }

    /// CRC of its data record.
    pub fn crc(&self) -> u32 {
        match &self.stored {
            Stored::Whole { crc, .. } => *crc,
            Stored::Split(split) => split.crc,
        }
    }

    /// Where it is, in the order of its bytes.
    pub fn extents(&self) -> impl Iterator<Item = Extent> + '_ {
        let (whole, split) = match &self.stored {
            &Stored::Whole { unit, .. } => {
                let units = data_record::units(self.value_bytes() as usize);
                (Some(Extent { unit, units }), &[][..])
            }
            Stored::Split(split) => (None, &split.extents[..]),
        };
        whole.into_iter().chain(split.iter().copied())
    }

    /// Its first unit.
    pub fn first_unit(&self) -> u64 {
        match &self.stored {
            Stored::Whole { unit, .. } => *unit,
            Stored::Split(split) => split.extents[0].unit,
        }
    }
}
