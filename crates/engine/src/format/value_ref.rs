//! Where a value is and what it must be: what the index and the record of a put point with.
//!
//! A value lies in the data region as its bare bytes, written once and only read until nothing points at it any more. All
//! that describes it is with whoever points at it: a list of extents, the length, the CRC-32C of the bytes. So a pointer
//! fits exactly one sequence of bytes, and a value that did not reach the medium, was overwritten, or was read from the
//! wrong place is recognised; and what is free can be told without reading a value.
//!
//! However fragmented the free units are, a value takes as many of them, because nothing else lies in its extents: they
//! only become more. At worst there is one for each unit ([`EXTENTS_MAX`]).

use super::{check_field, long_enough, table};
use crate::error::DecodeError;
use crate::types::{Extent, Seq, UNIT, VALUE_BYTES_MAX};

/// The most extents that a value can be in.
pub const EXTENTS_MAX: usize = VALUE_BYTES_MAX.div_ceil(UNIT as usize);
/// A device has fewer units than this.
pub(crate) const UNITS_MAX: u64 = 1 << 48;

const _: () = assert!(EXTENTS_MAX <= u16::MAX as usize, "a record and an item have two bytes for it");

table! {
    /// One extent of a value.
    PackedExtent 8 {
        0 unit_low: u32, "first unit, lower 32 bits";
        4 unit_high: u16, "first unit, upper 16 bits";
        6 units: u16, "how many units";
    }
}

/// Units that a value of this length takes: at least one, so that each value has a place.
pub fn units(value_bytes: usize) -> u64 {
    (value_bytes as u64).div_ceil(UNIT).max(1)
}

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
    /// In one extent. The length has three bytes, which leaves the fourth to tell this case.
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
    /// The value of entry `version` in these extents, which have as many units as it takes.
    pub(crate) fn new(version: Seq, value_bytes: u32, crc: u32, extents: &[Extent]) -> ValueRef {
        let [a, b, c, high] = value_bytes.to_le_bytes();
        let stored = match *extents {
            [Extent { unit, .. }] if high == 0 => Stored::Whole { value_bytes: [a, b, c], crc, unit },
            _ => Stored::Split(Box::new(Split { value_bytes, crc, extents: extents.to_vec() })),
        };
        ValueRef { version, stored }
    }

    /// The same for these bytes.
    pub(crate) fn of(version: Seq, value: &[u8], extents: &[Extent]) -> ValueRef {
        ValueRef::new(version, value.len() as u32, crc32c::crc32c(value), extents)
    }

    /// The same value in another place, in one extent.
    pub(crate) fn moved_to(&self, extent: Extent) -> ValueRef {
        ValueRef::new(self.version, self.value_bytes(), self.crc(), &[extent])
    }

    /// Length of the value.
    pub fn value_bytes(&self) -> u32 {
        match &self.stored {
            &Stored::Whole { value_bytes: [a, b, c], .. } => u32::from_le_bytes([a, b, c, 0]),
            Stored::Split(split) => split.value_bytes,
        }
    }

    /// CRC-32C of its bytes.
    pub fn crc(&self) -> u32 {
        match &self.stored {
            Stored::Whole { crc, .. } => *crc,
            Stored::Split(split) => split.crc,
        }
    }

    /// Units that it takes.
    pub fn units(&self) -> u64 {
        units(self.value_bytes() as usize)
    }

    /// Where it is, in the order of its bytes.
    pub fn extents(&self) -> impl Iterator<Item = Extent> + '_ {
        let (whole, split) = match &self.stored {
            &Stored::Whole { unit, .. } => (Some(Extent { unit, units: self.units() }), &[][..]),
            Stored::Split(split) => (None, &split.extents[..]),
        };
        whole.into_iter().chain(split.iter().copied())
    }

    /// In how many extents it is.
    pub fn extent_count(&self) -> usize {
        match &self.stored {
            Stored::Whole { .. } => 1,
            Stored::Split(split) => split.extents.len(),
        }
    }

    /// Its first unit.
    pub fn first_unit(&self) -> u64 {
        match &self.stored {
            Stored::Whole { unit, .. } => *unit,
            Stored::Split(split) => split.extents[0].unit,
        }
    }

    /// Its extents, each with the part of the value that lies there.
    pub(crate) fn parts<'a>(&'a self, mut value: &'a [u8]) -> impl Iterator<Item = (Extent, &'a [u8])> {
        self.extents().map(move |extent| {
            let (part, rest) = value.split_at(value.len().min((extent.units * UNIT) as usize));
            value = rest;
            (extent, part)
        })
    }

    /// Appends the list of its extents.
    pub(crate) fn encode_extents(&self, out: &mut Vec<u8>) {
        for Extent { unit, units } in self.extents() {
            let at = out.len();
            out.resize(at + PackedExtent::BYTES, 0);
            let packed =
                PackedExtent { unit_low: unit as u32, unit_high: (unit >> 32) as u16, units: units as u16 };
            packed.put(&mut out[at..]);
        }
    }

    /// Decodes a list of so many extents, which must be those of a value of that length.
    pub(crate) fn decode_extents(
        version: Seq,
        value_bytes: u32,
        crc: u32,
        count: usize,
        bytes: &[u8],
    ) -> Result<ValueRef, DecodeError> {
        check_field((1..=EXTENTS_MAX).contains(&count), "extents", count as u64)?;
        long_enough(bytes, count * PackedExtent::BYTES)?;
        let mut extents = Vec::with_capacity(count);
        for packed in bytes.chunks_exact(PackedExtent::BYTES).take(count) {
            let PackedExtent { unit_low, unit_high, units } = PackedExtent::get(packed)?;
            check_field(units > 0, "units", 0)?;
            let unit = u64::from(unit_high) << 32 | u64::from(unit_low);
            extents.push(Extent { unit, units: units.into() });
        }
        let all = extents.iter().map(|extent| extent.units).sum();
        check_field(all == units(value_bytes as usize), "units", all)?;
        Ok(ValueRef::new(version, value_bytes, crc, &extents))
    }
}
