//! A checkpoint on the device: a stream of bytes cut into a chain of chunks.
//!
//! The stream is a head, the owner's state, and one item per key in ascending order. A chunk takes whatever extent is
//! free, down to one unit, and items may cross from one chunk into the next: so a checkpoint can be written however
//! fragmented the free space is. Each chunk names the one before it, with its CRC, and the superblock names the last:
//! the chain hangs from the superblock, and no chunk of another checkpoint can slip in.

use super::value_ref::{PackedExtent, ValueRef};
use super::{check_crc, check_field, check_magic, long_enough, seal, table};
use crate::error::DecodeError;
use crate::types::{Extent, KEY_BYTES_MAX, Seq, UNIT, VALUE_BYTES_MAX};

/// "CCHK", read as a little-endian number.
pub const MAGIC: u32 = u32::from_le_bytes(*b"CCHK");
/// The longest chunk in units: 64 KiB, so that writing one is a short step.
pub const CHUNK_UNITS_MAX: u64 = 128;

/// The longest piece of the stream in a chunk.
pub(crate) const PIECE_BYTES_MAX: usize = (CHUNK_UNITS_MAX * UNIT) as usize - ChunkHeader::BYTES;

table! {
    /// The fixed part of a chunk; its piece of the stream follows.
    ChunkHeader 40 {
        0 magic: u32, "\"CCHK\"";
        4 crc: u32, "CRC-32C of bytes 8 to the end of the piece";
        8 piece_bytes: u32, "length of the piece of the stream";
        12 number: u32, "chunks before this one";
        16 seq: u64, "the checkpoint";
        24 before_unit: u64, "first unit of the chunk before";
        32 before_bytes: u32, "bytes of the chunk before; 0 in the first";
        36 before_crc: u32, "CRC of the chunk before";
    }
}

table! {
    /// The beginning of the stream; the owner's state follows.
    StreamHead 16 {
        0 keys: u64, "how many items there are";
        8 host_bytes: u64, "length of the owner's state";
    }
}

table! {
    /// The fixed part of an item; the extents of the value and the key follow.
    ItemHeader 20 {
        0 version: u64, "the entry that wrote the value";
        8 value_bytes: u32, "length of the value";
        12 value_crc: u32, "CRC-32C of the value";
        16 key_bytes: u16, "length of the key";
        18 extents: u16, "how many extents the value lies in";
    }
}

/// Names one chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkRef {
    /// First unit.
    pub unit: u64,
    /// Length with header; 0 for "none".
    pub bytes: u32,
    /// Its CRC.
    pub crc: u32,
}

impl ChunkRef {
    /// The units it takes.
    pub fn extent(&self) -> Extent {
        Extent { unit: self.unit, units: u64::from(self.bytes).div_ceil(UNIT) }
    }

    /// Bytes of the stream in it.
    pub(crate) fn piece_bytes(&self) -> u64 {
        u64::from(self.bytes).saturating_sub(ChunkHeader::BYTES as u64)
    }
}

/// The bytes of a chunk, padded to whole units, and its name.
pub(crate) fn encode(
    seq: Seq,
    number: u32,
    before: ChunkRef,
    unit: u64,
    piece: &[u8],
) -> (Vec<u8>, ChunkRef) {
    let bytes = ChunkHeader::BYTES + piece.len();
    let mut out = vec![0; ChunkHeader::BYTES];
    let (piece_bytes, magic) = (piece.len() as u32, MAGIC);
    let ChunkRef { unit: before_unit, bytes: before_bytes, crc: before_crc } = before;
    ChunkHeader { magic, crc: 0, piece_bytes, number, seq, before_unit, before_bytes, before_crc }
        .put(&mut out);
    out.extend_from_slice(piece);
    let crc = seal(&mut out);
    out.resize(bytes.next_multiple_of(UNIT as usize), 0);
    (out, ChunkRef { unit, bytes: bytes as u32, crc })
}

/// Decodes a chunk; its piece of the stream is `bytes[40..40 + piece_bytes]`.
pub fn decode(bytes: &[u8]) -> Result<ChunkHeader, DecodeError> {
    check_magic(bytes, MAGIC)?;
    let h = ChunkHeader::get(bytes)?;
    check_field(h.piece_bytes as usize <= PIECE_BYTES_MAX, "piece_bytes", h.piece_bytes.into())?;
    let end = ChunkHeader::BYTES + h.piece_bytes as usize;
    long_enough(bytes, end)?;
    check_crc(&bytes[..end])?;
    Ok(h)
}

/// The beginning of a checkpoint's stream.
pub(crate) fn stream_head(keys: u64, host_state: &[u8]) -> Vec<u8> {
    let mut stream = vec![0; StreamHead::BYTES];
    StreamHead { keys, host_bytes: host_state.len() as u64 }.put(&mut stream);
    stream.extend_from_slice(host_state);
    stream
}

/// Appends a key and where its value is to the stream.
pub(crate) fn encode_item(key: &[u8], value: &ValueRef, out: &mut Vec<u8>) {
    let at = out.len();
    out.resize(at + ItemHeader::BYTES, 0);
    let header = ItemHeader {
        version: value.version,
        value_bytes: value.value_bytes(),
        value_crc: value.crc(),
        key_bytes: key.len() as u16,
        extents: value.extent_count() as u16,
    };
    header.put(&mut out[at..]);
    value.encode_extents(out);
    out.extend_from_slice(key);
}

/// Bytes of an item with a key of this length, and a value in so many extents.
pub(crate) fn item_bytes(key_bytes: usize, extents: usize) -> usize {
    ItemHeader::BYTES + extents * PackedExtent::BYTES + key_bytes
}

/// Decodes the item at the beginning of `bytes`: key and value; also says how long it is.
pub fn decode_item(bytes: &[u8]) -> Result<(&[u8], ValueRef, usize), DecodeError> {
    let h = ItemHeader::get(bytes)?;
    let (key_bytes, extents) = (usize::from(h.key_bytes), usize::from(h.extents));
    check_field((1..=KEY_BYTES_MAX).contains(&key_bytes), "key_bytes", h.key_bytes.into())?;
    check_field(h.value_bytes as usize <= VALUE_BYTES_MAX, "value_bytes", h.value_bytes.into())?;
    let end = item_bytes(key_bytes, extents);
    long_enough(bytes, end)?;
    let list = &bytes[ItemHeader::BYTES..];
    let value = ValueRef::decode_extents(h.version, h.value_bytes, h.value_crc, extents, list)?;
    Ok((&bytes[end - key_bytes..end], value, end))
}
