//! Making a device one of ours. The only place that does: `open` never formats.

use trace::Mechanisms;

use crate::device::Device;
use crate::error::{DecodeError, FormatError};
use crate::format::superblock::{MAGIC, SLOT_BYTES, SLOTS, Superblock, WAL_OFFSET};
use crate::format::value_ref::{EXTENTS_MAX, UNITS_MAX};
use crate::format::wal_record::record_bytes;
use crate::guard;
use crate::space::slots;
use crate::types::{FORMAT_VERSION, Identity, KEY_BYTES_MAX, Layout, Lsn, Standing, TAG_BYTES_MAX, UNIT};

/// The smallest ring, if the longest record finds room in it.
const WAL_BYTES_MIN: u64 = 16 * UNIT;
/// The smallest data region.
const DATA_BYTES_MIN: u64 = 64 * UNIT;

/// Formats a device that is not formatted yet. Refuses one with a valid superblock, whoever it belongs to and
/// whichever version wrote it.
pub fn format(
    device: &impl Device,
    identity: &Identity,
    standing: Standing,
    layout: Layout,
) -> Result<(), FormatError> {
    for slot in slots::read(device)? {
        match slot {
            Ok(found) => return Err(FormatError::AlreadyFormatted(found.identity())),
            Err(DecodeError::OtherVersion { found }) => return Err(FormatError::OtherVersion { found }),
            Err(_) => {}
        }
    }
    reformat(device, identity, standing, layout, Mechanisms::all())
}

/// The longest record of a device of that size has an extent for each unit of a value, or for each that there is. At most a
/// quarter of the ring is kept for truncations and for progress ([`crate::Reserve`]).
fn wal_bytes_min(device_bytes: u64) -> u64 {
    let extents = EXTENTS_MAX.min((device_bytes / UNIT) as usize);
    let longest = record_bytes(KEY_BYTES_MAX, TAG_BYTES_MAX, extents);
    WAL_BYTES_MIN.max((u64::from(longest) * 4 / 3 + 1).next_multiple_of(UNIT))
}

/// Formats a device, destroying what it holds, promise included.
///
/// 1. Both superblocks are erased and that synced: from here on a crash leaves an unformatted device, not an old
///    superblock over a ring that is half erased.
/// 2. The ring is filled with zeros and that synced: the new log counts lives and positions from the beginning, and so
///    could take records of the log before for its own.
/// 3. The superblocks are written.
pub fn reformat(
    device: &impl Device,
    identity: &Identity,
    standing: Standing,
    layout: Layout,
    on: Mechanisms,
) -> Result<(), FormatError> {
    assert!(identity.is_possible(), "a shard of the shards and a node of the members: {identity}");
    let (bytes, needed) = (device.size(), WAL_OFFSET + WAL_BYTES_MIN + DATA_BYTES_MIN);
    if bytes < needed {
        return Err(FormatError::TooSmall { bytes, needed });
    }
    let wal_bytes = (layout.wal_bytes.min(bytes / 4) / UNIT * UNIT).max(wal_bytes_min(bytes));
    let data_offset = WAL_OFFSET + wal_bytes;
    for offset in SLOTS {
        device.write_at(offset, &[0; SLOT_BYTES])?;
    }
    guard::erase_before_format(on, || device.sync())?;
    let zeros = vec![0; wal_bytes.min(1 << 20) as usize];
    let mut at = WAL_OFFSET;
    while at < data_offset {
        let length = zeros.len().min((data_offset - at) as usize);
        device.write_at(at, &zeros[..length])?;
        at += length as u64;
    }
    guard::erase_before_format(on, || device.sync())?;
    let mut first = Superblock {
        magic: MAGIC,
        version: FORMAT_VERSION,
        unit: UNIT as u32,
        cluster: identity.cluster,
        node: identity.node,
        shard: identity.shard,
        shards: identity.shards,
        members: identity.members,
        wal_offset: WAL_OFFSET,
        wal_bytes,
        data_offset,
        data_units: ((bytes - data_offset) / UNIT).min(UNITS_MAX - 1),
        ..Superblock::default()
    };
    first.set_standing(standing);
    first.begin_log(Lsn(0), 1);
    slots::store(device, 1, first, Mechanisms::all())?;
    Ok(())
}
