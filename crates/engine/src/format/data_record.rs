//! One value in the data region, or one piece of it: written once, then only read, until nothing points at it any more.
//!
//! The WAL record and the index carry the record's CRC. So a pointer fits exactly one sequence of bytes, and a value
//! that did not reach the medium, was overwritten, or was read from the wrong place is recognised.
//!
//! A value for which no free extent is long enough lies in several pieces. Each is such a record and names the next one,
//! with its CRC: the chain hangs from the WAL record or the index, and no piece of another value can slip in. Every piece
//! but the last fills its units, so that free units alone decide how much fits ([`units_max`]).

use super::{check_crc, check_field, check_magic, long_enough, seal, table};
use crate::error::DecodeError;
use crate::types::{Extent, Seq, UNIT, VALUE_BYTES_MAX};

/// "CDAT", read as a little-endian number.
pub const MAGIC: u32 = u32::from_le_bytes(*b"CDAT");

table! {
    /// The fixed part of a data record; the value, or its piece, follows, then padding to a whole unit.
    DataHeader 36 {
        0 magic: u32, "\"CDAT\"";
        4 crc: u32, "CRC-32C of bytes 8 to the end of the piece";
        8 piece_bytes: u32, "length of the piece: of the whole value, if it is in one";
        12 next_bytes: u32, "length of the next piece; 0 in the last one";
        16 seq: u64, "the entry that wrote the value";
        24 next_unit: u64, "first unit of the next piece";
        32 next_crc: u32, "CRC of the next piece";
    }
}

/// The most pieces that a value can be in.
pub(crate) const PIECES_MAX: u32 = (VALUE_BYTES_MAX as u32).div_ceil(UNIT as u32 - DataHeader::BYTES as u32);
const _: () = assert!(PIECES_MAX <= u16::MAX as u32, "an item has two bytes for it");

/// Units that a value of this length takes in one piece.
pub fn units(value_bytes: usize) -> u64 {
    ((DataHeader::BYTES + value_bytes) as u64).div_ceil(UNIT)
}

/// The most units that a value of this length takes: in pieces of one unit each.
pub fn units_max(value_bytes: usize) -> u64 {
    (value_bytes as u64).div_ceil(UNIT - DataHeader::BYTES as u64).max(1)
}

/// Bytes of a value that an extent holds.
pub(crate) fn capacity(extent: &Extent) -> usize {
    (extent.units * UNIT) as usize - DataHeader::BYTES
}

/// Lays `value` out in these extents: gives each with the header and the piece of its record. From the last to the first,
/// because each names the next. Returns the first header.
pub(crate) fn lay_out(
    seq: Seq,
    value: &[u8],
    extents: &[Extent],
    mut each: impl FnMut(Extent, DataHeader, &[u8]),
) -> DataHeader {
    let (magic, mut end, mut header) = (MAGIC, value.len(), DataHeader::default());
    let mut from: usize = extents[..extents.len() - 1].iter().map(capacity).sum();
    let mut next_unit = 0;
    for (n, extent) in extents.iter().enumerate().rev() {
        let piece = &value[from..end];
        let DataHeader { crc: next_crc, piece_bytes: next_bytes, .. } = header;
        let piece_bytes = piece.len() as u32;
        header = DataHeader { magic, crc: 0, piece_bytes, next_bytes, seq, next_unit, next_crc };
        let mut fixed = [0; DataHeader::BYTES];
        header.put(&mut fixed);
        header.crc = crc32c::crc32c_append(seal(&mut fixed), piece);
        each(*extent, header, piece);
        (next_unit, end) = (extent.unit, from);
        from -= n.checked_sub(1).map_or(0, |before| capacity(&extents[before]));
    }
    header
}

/// Appends the record's bytes to `out`, padded to a whole unit.
pub(crate) fn encode(header: &DataHeader, piece: &[u8], out: &mut Vec<u8>) {
    let (at, fixed) = (out.len(), out.len() + DataHeader::BYTES);
    out.resize(fixed, 0);
    header.put(&mut out[at..]);
    out.extend_from_slice(piece);
    out.resize(at + (units(piece.len()) * UNIT) as usize, 0);
}

/// Decodes a record; `bytes` may go on behind it. The piece is `bytes[36..36 + piece_bytes]`.
pub fn decode(bytes: &[u8]) -> Result<DataHeader, DecodeError> {
    check_magic(bytes, MAGIC)?;
    let h = DataHeader::get(bytes)?;
    check_field(h.piece_bytes as usize <= VALUE_BYTES_MAX, "piece_bytes", h.piece_bytes.into())?;
    let end = DataHeader::BYTES + h.piece_bytes as usize;
    long_enough(bytes, end)?;
    check_crc(&bytes[..end])?;
    Ok(h)
}
