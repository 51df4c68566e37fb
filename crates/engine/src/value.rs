//! Reading a value through its slot, with every check that the slot allows.

use std::sync::Arc;

use crate::device::Device;
use crate::error::{Damage, DecodeError, ReadError, Zone};
use crate::format::checkpoint_chunk::Slot;
use crate::format::data_record::{self, DataHeader};
use crate::format::superblock::Superblock;
use crate::types::UNIT;

/// Reads the value of `slot`. With `verify`, the record must be the very one that the slot was made for: sealed, with
/// this CRC, of this entry and length.
pub(crate) fn read(
    device: &impl Device,
    superblock: &Superblock,
    slot: &Slot,
    verify: bool,
) -> Result<Arc<[u8]>, ReadError> {
    let offset = superblock.data_offset.saturating_add(slot.unit.saturating_mul(UNIT));
    let damaged = |found: String| {
        let Slot { version, value_bytes, crc, .. } = slot;
        let expected = format!("the value of entry {version}, {value_bytes} bytes, CRC-32C {crc:#010x}");
        ReadError::Corrupt(Damage { zone: Zone::Data, offset, expected, found })
    };
    if slot.unit.checked_add(slot.extent().units).is_none_or(|end| end > superblock.data_units) {
        return Err(damaged("a pointer beyond the data region".into()));
    }
    let mut bytes = vec![0; DataHeader::BYTES + slot.value_bytes as usize];
    device.read_at(offset, &mut bytes)?;
    if verify {
        let header = data_record::decode(&bytes).map_err(|error: DecodeError| damaged(error.to_string()))?;
        let DataHeader { crc, seq, value_bytes, .. } = header;
        if (crc, seq, value_bytes) != (slot.crc, slot.version, slot.value_bytes) {
            return Err(damaged(format!("that of entry {seq}, {value_bytes} bytes, CRC-32C {crc:#010x}")));
        }
    }
    Ok(bytes[DataHeader::BYTES..].into())
}
