//! The two superblock slots on the device: read together, written one after the other.

use std::io;

use trace::Mechanisms;

use crate::device::Device;
use crate::error::DecodeError;
use crate::format::superblock::{SLOT_BYTES, SLOTS, Superblock};
use crate::guard;

/// Reads both slots. One that cannot be read is as good as one that rotted, as long as the other one is whole: that is what
/// there are two for. Otherwise the error is the device's.
pub(crate) fn read(device: &impl Device) -> io::Result<[Result<Superblock, DecodeError>; 2]> {
    match SLOTS.map(|offset| read_slot(device, offset)) {
        [Err(_), Ok(Ok(b))] => Ok([Err(DecodeError::Unreadable), Ok(b)]),
        [Ok(Ok(a)), Err(_)] => Ok([Ok(a), Err(DecodeError::Unreadable)]),
        [a, b] => Ok([a?, b?]),
    }
}

fn read_slot(device: &impl Device, offset: u64) -> io::Result<Result<Superblock, DecodeError>> {
    let (mut bytes, needed) = ([0; SLOT_BYTES], offset as usize + SLOT_BYTES);
    if device.size() < needed as u64 {
        return Ok(Err(DecodeError::Short { bytes: device.size() as usize, needed }));
    }
    device.read_at(offset, &mut bytes)?;
    Ok(Superblock::decode(&bytes))
}

/// Makes `next` durable in both slots, the older one first, and returns it as stored, with the slot written last. The
/// only writer of superblocks.
///
/// Two writes with a sync after each, in this order, because:
/// 1. The newer slot is the only copy of what is true. It is left alone until the other slot holds `next`: a crash
///    while the older slot is half written leaves the newer one, so either the old or the new state is recovered.
/// 2. Then the second slot follows, before a promise is answered or log space reused. With one copy of `next` only,
///    later rot in that sector would bring the state before it back: a promise broken, or a replay start that points
///    at log space that was reused.
pub(crate) fn store(
    device: &impl Device,
    newest: usize,
    mut next: Superblock,
    mechanisms: Mechanisms,
) -> io::Result<(Superblock, usize)> {
    let slots = guard::superblock_slots(mechanisms, newest);
    for &slot in slots {
        next.generation += 1;
        device.write_at(SLOTS[slot], &next.encode())?;
        device.sync()?;
    }
    Ok((next, slots[slots.len() - 1]))
}
