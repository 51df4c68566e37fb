//! One value in the data region: written once, then only read, until nothing points at it any more.
//!
//! The WAL record and the index carry the record's CRC. So a pointer fits exactly one sequence of bytes, and a value
//! that did not reach the medium, was overwritten, or was read from the wrong place is recognised.

use super::{check_crc, check_field, check_magic, long_enough, seal, table};
use crate::error::DecodeError;
use crate::types::{Seq, UNIT, VALUE_BYTES_MAX};

/// "CDAT", read as a little-endian number.
pub const MAGIC: u32 = u32::from_le_bytes(*b"CDAT");

table! {
    /// The fixed part of a data record; the value follows, then padding to a whole unit.
    DataHeader 24 {
        0 magic: u32, "\"CDAT\"";
        4 crc: u32, "CRC-32C of bytes 8 to the end of the value";
        8 value_bytes: u32, "length of the value";
        12 reserved: u32, "zero";
        16 seq: u64, "the entry that wrote the value";
    }
}

/// Units that a value of this length takes.
pub fn units(value_bytes: usize) -> u64 {
    ((DataHeader::BYTES + value_bytes) as u64).div_ceil(UNIT)
}

/// The header of the record that holds `value`, with its CRC.
pub(crate) fn header(seq: Seq, value: &[u8]) -> DataHeader {
    let mut fixed = [0; DataHeader::BYTES];
    let h = DataHeader { magic: MAGIC, value_bytes: value.len() as u32, seq, ..DataHeader::default() };
    h.put(&mut fixed);
    let crc = crc32c::crc32c_append(seal(&mut fixed), value);
    DataHeader { crc, ..h }
}

/// Appends the record's bytes to `out`, padded to a whole unit.
pub(crate) fn encode(header: &DataHeader, value: &[u8], out: &mut Vec<u8>) {
    let (at, fixed) = (out.len(), out.len() + DataHeader::BYTES);
    out.resize(fixed, 0);
    header.put(&mut out[at..]);
    out.extend_from_slice(value);
    out.resize(at + (units(value.len()) * UNIT) as usize, 0);
}

/// Decodes a record; `bytes` may go on behind it. The value is `bytes[24..24 + value_bytes]`.
pub fn decode(bytes: &[u8]) -> Result<DataHeader, DecodeError> {
    check_magic(bytes, MAGIC)?;
    let h = DataHeader::get(bytes)?;
    check_field(h.value_bytes as usize <= VALUE_BYTES_MAX, "value_bytes", h.value_bytes.into())?;
    let end = DataHeader::BYTES + h.value_bytes as usize;
    long_enough(bytes, end)?;
    check_crc(&bytes[..end])?;
    Ok(h)
}
