//! The records of a value: made for a slot, and read through it with every check that the slot allows.

use std::sync::Arc;

use crate::device::Device;
use crate::error::{Damage, ReadError, Zone};
use crate::format::data_record::{self, DataHeader};
use crate::format::superblock::Superblock;
use crate::format::value_ref::ValueRef;
use crate::types::{Extent, Seq, UNIT};

/// The records of a value that lies in these pieces, each with its place on the device, and the slot that they fit.
pub(crate) fn records(
    superblock: &Superblock,
    version: Seq,
    value: &[u8],
    pieces: &[Extent],
) -> (ValueRef, Vec<(u64, Vec<u8>)>) {
    let mut records = Vec::new();
    let first = data_record::lay_out(version, value, pieces, |at, header, piece| {
        let mut bytes = Vec::new();
        data_record::encode(&header, piece, &mut bytes);
        records.push((superblock.offset_of(at.unit), bytes));
    });
    (ValueRef::new(version, value.len() as u32, first.crc, pieces), records)
}

/// Reads the value of `slot`. With `verify`, the records must be the very ones that the slot was made for: sealed, with
/// the CRC that the slot or the piece before names, of this entry, and together of this length.
pub(crate) fn read(
    device: &impl Device,
    superblock: &Superblock,
    slot: &ValueRef,
    verify: bool,
) -> Result<Arc<[u8]>, ReadError> {
    let (mut whole, mut pieces) = (None, Vec::new());
    each_piece(device, superblock, slot, verify, |_, piece| {
        if pieces.is_empty() && piece.len() == slot.value_bytes() as usize {
            whole = Some(piece.into());
        } else {
            pieces.extend_from_slice(piece);
        }
    })?;
    Ok(whole.unwrap_or_else(|| pieces.into()))
}

/// Where the pieces of a value are, of which there must be `count`.
pub(crate) fn extents(
    device: &impl Device,
    superblock: &Superblock,
    slot: &ValueRef,
    count: u32,
) -> Result<Vec<Extent>, ReadError> {
    let mut extents = Vec::new();
    each_piece(device, superblock, slot, true, |extent, _| extents.push(extent))?;
    if extents.len() == count as usize {
        return Ok(extents);
    }
    let offset = superblock.offset_of(slot.first_unit());
    let (expected, found) = (format!("a value in {count} pieces"), format!("one in {}", extents.len()));
    Err(ReadError::Corrupt(Damage { zone: Zone::Data, offset, expected, found, value: None }))
}

/// Reads one piece after the other.
///
/// The slot does not say whether there are several, so as much is read first as the value has: of a value in one piece,
/// that is the whole of it. The bytes that are left fall with every piece, by a whole unit's at least: no chain of pieces
/// can be followed for ever.
fn each_piece(
    device: &impl Device,
    superblock: &Superblock,
    slot: &ValueRef,
    verify: bool,
    mut each: impl FnMut(Extent, &[u8]),
) -> Result<(), ReadError> {
    let (mut unit, mut bytes, mut crc) = (slot.first_unit(), slot.value_bytes(), slot.crc());
    let mut left = slot.value_bytes();
    loop {
        let offset = superblock.offset_of(unit);
        let damaged = |found: String| {
            let (version, value_bytes) = (slot.version, slot.value_bytes());
            let last = if left < value_bytes { format!("the last {left} of ") } else { String::new() };
            let expected =
                format!("the value of entry {version}, {last}{value_bytes} bytes, CRC-32C {crc:#010x}");
            ReadError::Corrupt(Damage { zone: Zone::Data, offset, expected, found, value: None })
        };
        let region = superblock.data_units.saturating_sub(unit).saturating_mul(UNIT);
        if region == 0 {
            return Err(damaged("a pointer beyond the data region".into()));
        }
        let mut record = vec![0; (DataHeader::BYTES as u64 + u64::from(bytes)).min(region) as usize];
        device.read_at(offset, &mut record)?;
        let header = if verify { data_record::decode(&record) } else { DataHeader::get(&record) };
        let header = header.map_err(|error| damaged(error.to_string()))?;
        let DataHeader { seq, piece_bytes, next_bytes, next_unit, next_crc, .. } = header;
        let last = next_bytes == 0;
        let fills = (DataHeader::BYTES as u64 + u64::from(piece_bytes)).is_multiple_of(UNIT);
        let first = left == slot.value_bytes();
        let fits = piece_bytes <= left
            && last == (piece_bytes == left)
            && (first || piece_bytes == bytes)
            && (last || fills && next_bytes <= left - piece_bytes)
            && DataHeader::BYTES + piece_bytes as usize <= record.len();
        if verify && (!fits || (header.crc, seq) != (crc, slot.version)) {
            let found = format!("a record of entry {seq}, {piece_bytes} bytes and a piece of {next_bytes}");
            return Err(damaged(format!("{found} behind it, CRC-32C {:#010x}", header.crc)));
        }
        // Without `verify-on-read`, whatever is there is the value.
        let end = if fits { DataHeader::BYTES + piece_bytes as usize } else { record.len() };
        let units = data_record::units(end - DataHeader::BYTES);
        each(Extent { unit, units }, &record[DataHeader::BYTES..end]);
        if last || !fits {
            return Ok(());
        }
        left -= piece_bytes;
        (unit, bytes, crc) = (next_unit, next_bytes, next_crc);
    }
}
