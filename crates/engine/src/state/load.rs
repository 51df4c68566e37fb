//! Loading a checkpoint, from its last chunk back to the first.

use crate::device::Device;
use crate::error::{Damage, ReadError, Zone};
use crate::format::checkpoint_chunk::{
    self, ChunkHeader, ChunkRef, PIECE_BYTES_MAX, StreamHead, decode_item,
};
use crate::format::superblock::Superblock;
use crate::format::value_ref::ValueRef;

use super::index::Index;
use super::short_key::Key;

/// A checkpoint, loaded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checkpoint {
    pub(crate) index: Index,
    pub(crate) host_state: Vec<u8>,
    pub(crate) chunks: Vec<ChunkRef>,
}

fn damage(superblock: &Superblock, at: &ChunkRef, expected: String, found: String) -> ReadError {
    let offset = superblock.offset_of(at.unit);
    ReadError::Corrupt(Damage { zone: Zone::Checkpoint, offset, expected, found, value: None })
}

/// Reads one chunk; its piece of the stream begins behind the header.
pub(crate) fn read_chunk(
    device: &impl Device,
    superblock: &Superblock,
    at: &ChunkRef,
) -> Result<(ChunkHeader, Vec<u8>), ReadError> {
    let expected =
        || format!("a chunk of the checkpoint at {}, CRC-32C {:#010x}", superblock.checkpoint_seq, at.crc);
    let length_fits =
        (ChunkHeader::BYTES..=ChunkHeader::BYTES + PIECE_BYTES_MAX).contains(&(at.bytes as usize));
    if !length_fits || !superblock.has(at.extent()) {
        return Err(damage(superblock, at, expected(), format!("a pointer to {at:?}")));
    }
    let mut bytes = vec![0; at.bytes as usize];
    device.read_at(superblock.offset_of(at.unit), &mut bytes)?;
    let header =
        checkpoint_chunk::decode(&bytes).map_err(|e| damage(superblock, at, expected(), e.to_string()))?;
    let whole = ChunkHeader::BYTES as u64 + u64::from(header.piece_bytes) == u64::from(at.bytes);
    if header.crc != at.crc || header.seq != superblock.checkpoint_seq || !whole {
        let found = format!("one of the checkpoint at {}, CRC-32C {:#010x}", header.seq, header.crc);
        return Err(damage(superblock, at, expected(), found));
    }
    Ok((header, bytes))
}

/// Loads the checkpoint that the superblock points at, from its last chunk back to the first.
pub(crate) fn load(device: &impl Device, superblock: &Superblock) -> Result<Checkpoint, ReadError> {
    let head = superblock.checkpoint_head();
    let (mut chunks, mut bodies, mut at, mut number) = (Vec::new(), Vec::new(), head, None);
    while at.bytes > 0 {
        let (h, bytes) = read_chunk(device, superblock, &at)?;
        let before = ChunkRef { unit: h.before_unit, bytes: h.before_bytes, crc: h.before_crc };
        // Numbers that fall to 0 also bound the chain: a ring of chunks is not one.
        if number.is_some_and(|n: u32| n.checked_sub(1) != Some(h.number))
            || (h.number == 0) != (before.bytes == 0)
        {
            let expected = format!("the chunk before chunk {number:?}");
            return Err(damage(superblock, &at, expected, format!("chunk {}", h.number)));
        }
        number = Some(h.number);
        chunks.push(at);
        bodies.push(bytes);
        at = before;
    }
    if chunks.is_empty() {
        return Ok(Checkpoint::default());
    }
    chunks.reverse();
    let mut stream = Vec::with_capacity(chunks.iter().map(|chunk| chunk.piece_bytes() as usize).sum());
    while let Some(bytes) = bodies.pop() {
        stream.extend_from_slice(&bytes[ChunkHeader::BYTES..]);
    }
    let (items, host_state) = parse(&stream, superblock).map_err(|found| {
        damage(superblock, &head, "a checkpoint's stream of ascending keys".into(), found)
    })?;
    Ok(Checkpoint { index: Index::from_sorted(items), host_state, chunks })
}

type Items = Vec<(Key, ValueRef)>;

fn parse(stream: &[u8], superblock: &Superblock) -> Result<(Items, Vec<u8>), String> {
    let head = StreamHead::get(stream).map_err(|e| e.to_string())?;
    let rest = &stream[StreamHead::BYTES..];
    let host_bytes = usize::try_from(head.host_bytes).ok().filter(|&n| n <= rest.len());
    let (host_state, mut rest) = rest.split_at(host_bytes.ok_or("a host state longer than the stream")?);
    let mut items = Items::new();
    while !rest.is_empty() {
        let (key, value, bytes) = decode_item(rest).map_err(|e| format!("item {}: {e}", items.len()))?;
        let in_order = items.last().is_none_or(|(before, _)| **before < *key);
        if !in_order || !value.extents().all(|extent| superblock.has(extent)) {
            return Err(format!(
                "item {}: out of order, or with a value outside the data region",
                items.len()
            ));
        }
        items.push((key.into(), value));
        rest = &rest[bytes..];
    }
    if items.len() as u64 == head.keys {
        Ok((items, host_state.to_vec()))
    } else {
        Err(format!("{} keys where {} are stated", items.len(), head.keys))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::checkpoint_chunk::{encode_item, stream_head};
    use crate::format::value_ref;
    use crate::types::Extent;

    fn value(unit: u64, value_bytes: u32) -> ValueRef {
        let units = value_ref::units(value_bytes as usize);
        ValueRef::new(1, value_bytes, 0, &[Extent { unit, units }])
    }

    /// A stream that states so many keys, and has items of these keys, each with a value of one unit there.
    fn stream(keys: u64, items: &[(&str, u64)]) -> Vec<u8> {
        let mut stream = stream_head(keys, b"host");
        for (key, unit) in items {
            encode_item(key.as_bytes(), &value(*unit, 1), &mut stream);
        }
        stream
    }

    #[test]
    fn a_stream_is_one_of_ascending_keys_whose_values_are_in_the_data_region() {
        let region = Superblock { data_units: 10, ..Superblock::default() };
        let parsed =
            |stream: &[u8]| parse(stream, &region).map(|(items, host_state)| (items.len(), host_state));
        let host = b"host".to_vec();
        assert_eq!(parsed(&stream(0, &[])), Ok((0, host.clone())));
        assert_eq!(parsed(&stream(2, &[("a", 0), ("b", 9)])), Ok((2, host)));
        for (why, keys, items) in [
            ("one key twice", 2, &[("a", 0), ("a", 1)][..]),
            ("descending", 2, &[("b", 0), ("a", 1)]),
            ("behind the region", 1, &[("a", 10)]),
            ("far behind it", 1, &[("a", 20)]),
            ("behind what can be counted", 1, &[("a", u64::MAX)]),
            ("fewer than stated", 2, &[("a", 0)]),
            ("more than stated", 0, &[("a", 0)]),
        ] {
            assert!(parsed(&stream(keys, items)).is_err(), "{why}");
        }
        let fits = |value_bytes| value(8, value_bytes).extents().all(|extent| region.has(extent));
        assert!(fits(1000) && !fits(1100), "two units, and three");
        let cut_off = &stream(0, &[])[..StreamHead::BYTES + 3];
        assert!(parsed(cut_off).is_err(), "a host state longer than the stream");
    }
}
