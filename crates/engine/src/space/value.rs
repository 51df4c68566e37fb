//! Reading a value, with every check that what points at it allows.

use std::sync::Arc;

use crate::device::Device;
use crate::error::{Damage, ReadError, Zone};
use crate::format::superblock::Superblock;
use crate::format::value_ref::ValueRef;
use crate::types::UNIT;

/// Reads the bytes that `value` names. With `verify`, they must be the very ones that were written.
pub(crate) fn read(
    device: &impl Device,
    superblock: &Superblock,
    value: &ValueRef,
    verify: bool,
) -> Result<Arc<[u8]>, ReadError> {
    let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, value.value_bytes() as usize).collect();
    let mut rest = Arc::get_mut(&mut bytes).expect("nobody else has it yet");
    for extent in value.extents() {
        let (part, behind) = rest.split_at_mut(rest.len().min((extent.units * UNIT) as usize));
        device.read_at(superblock.offset_of(extent.unit), part)?;
        rest = behind;
    }
    let found = crc32c::crc32c(&bytes);
    if verify && found != value.crc() {
        let (version, length, crc) = (value.version, value.value_bytes(), value.crc());
        return Err(ReadError::Corrupt(Damage {
            zone: Zone::Data,
            offset: superblock.offset_of(value.first_unit()),
            expected: format!("the value of entry {version}, {length} bytes, CRC-32C {crc:#010x}"),
            found: format!("CRC-32C {found:#010x}"),
            value: None,
        }));
    }
    Ok(bytes)
}
