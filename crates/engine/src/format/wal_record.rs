//! One record of the WAL: an entry, or the truncation of entries.
//!
//! A record locates itself: lsn, life and batch say where in the endless log it belongs, so that a record of an earlier
//! lap or of a discarded tail is recognised even where its length and seq fit. Records follow each other without a gap
//! within a batch; a batch begins on a fresh sector and is padded with zeros to the next, because rewriting a sector
//! that is already durable could, if torn, damage records that were acknowledged. The last record of a batch says so:
//! a batch counts as a whole or not at all.

use std::sync::Arc;

use super::value_ref::{EXTENTS_MAX, PackedExtent, ValueRef, units};
use super::{check_crc, check_field, check_magic, long_enough, seal, table};
use crate::error::DecodeError;
use crate::types::{Condition, KEY_BYTES_MAX, Lsn, Sizes, TAG_BYTES_MAX, VALUE_BYTES_MAX};

/// "CWAL", read as a little-endian number.
pub const MAGIC: u32 = u32::from_le_bytes(*b"CWAL");
/// The longest record.
pub const RECORD_BYTES_MAX: usize =
    WalHeader::BYTES + EXTENTS_MAX * PackedExtent::BYTES + KEY_BYTES_MAX + TAG_BYTES_MAX;
/// Record kinds.
pub const PUT: u8 = 1;
/// Removes a key.
pub const DELETE: u8 = 2;
/// Changes nothing.
pub const NOP: u8 = 3;
/// Undoes the entries from its seq on.
pub const TRUNCATE: u8 = 4;

table! {
    /// The fixed part of a WAL record; the extents of the value, key and tag follow.
    WalHeader 72 {
        0 magic: u32, "\"CWAL\"";
        4 crc: u32, "CRC-32C of bytes 8 to the end of the record";
        8 length: u32, "bytes of the whole record";
        12 kind: u8, "1 put, 2 delete, 3 no-op, 4 truncate";
        13 last: u8, "1 on the last record of a batch";
        14 key_bytes: u16, "length of the key";
        16 tag_bytes: u16, "length of the tag";
        18 condition: u16, "0 always, 1 absent, 2 present, 3 version";
        20 value_bytes: u32, "length of the value";
        24 lsn: u64, "where in the endless log the record begins";
        32 life: u64, "life of the log that wrote it";
        40 batch: u64, "batch it was written with";
        48 seq: u64, "the entry, or the first entry undone";
        56 version: u64, "the version that the condition asks for";
        64 value_crc: u32, "CRC-32C of the value";
        68 extents: u32, "how many extents the value lies in; 0 if there is no value";
    }
}

/// A decoded record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalRecord {
    /// The fixed part.
    pub header: WalHeader,
    /// The key of a put or delete; else empty.
    pub key: Arc<[u8]>,
    /// The owner's bytes.
    pub tag: Arc<[u8]>,
    /// The value of a put.
    pub value: Option<ValueRef>,
}

impl WalRecord {
    /// Where it begins.
    pub fn lsn(&self) -> Lsn {
        Lsn(self.header.lsn)
    }

    /// Where it ends.
    pub fn end(&self) -> Lsn {
        Lsn(self.header.lsn + u64::from(self.bytes()))
    }

    /// How long it is.
    pub fn bytes(&self) -> u32 {
        record_bytes(self.key.len(), self.tag.len(), self.value.as_ref().map_or(0, ValueRef::extent_count))
    }

    /// The condition of a put or delete.
    pub fn condition(&self) -> Condition {
        match self.header.condition {
            0 => Condition::Always,
            1 => Condition::Absent,
            2 => Condition::Present,
            _ => Condition::Version(self.header.version),
        }
    }

    /// Appends its bytes to `out`, with length, magic and CRC set.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let at = out.len();
        let header = WalHeader {
            magic: MAGIC,
            length: self.bytes(),
            value_bytes: self.value.as_ref().map_or(0, ValueRef::value_bytes),
            value_crc: self.value.as_ref().map_or(0, ValueRef::crc),
            extents: self.value.as_ref().map_or(0, ValueRef::extent_count) as u32,
            key_bytes: self.key.len() as u16,
            tag_bytes: self.tag.len() as u16,
            ..self.header
        };
        out.resize(at + WalHeader::BYTES, 0);
        header.put(&mut out[at..]);
        self.value.iter().for_each(|value| value.encode_extents(out));
        out.extend_from_slice(&self.key);
        out.extend_from_slice(&self.tag);
        seal(&mut out[at..]);
    }

    /// Marks an encoded record as the last of its batch.
    pub(crate) fn mark_last(record: &mut [u8]) {
        record[13] = 1;
        seal(record);
    }

    /// Decodes the record at the beginning of `bytes`. Lengths are checked before they are used, and without
    /// `crc_counts` (only ever in experiments) all else still is.
    pub fn decode(bytes: &[u8], crc_counts: bool) -> Result<WalRecord, DecodeError> {
        check_magic(bytes, MAGIC)?;
        let h = WalHeader::get(bytes)?;
        let (key_bytes, tag_bytes) = (usize::from(h.key_bytes), usize::from(h.tag_bytes));
        check_field((h.kind == PUT) == (h.extents > 0), "extents", h.extents.into())?;
        check_field(h.extents as usize <= EXTENTS_MAX, "extents", h.extents.into())?;
        let length = record_bytes(key_bytes, tag_bytes, h.extents as usize);
        check_field(h.length == length && length as usize <= RECORD_BYTES_MAX, "length", h.length.into())?;
        long_enough(bytes, h.length as usize)?;
        let (fixed, end) = (WalHeader::BYTES, h.length as usize);
        if crc_counts {
            check_crc(&bytes[..end])?;
        }
        let keyed = match h.kind {
            PUT | DELETE => (1..=KEY_BYTES_MAX).contains(&key_bytes),
            NOP | TRUNCATE => key_bytes == 0,
            _ => return Err(DecodeError::Field { name: "kind", value: h.kind.into() }),
        };
        check_field(keyed, "key_bytes", h.key_bytes.into())?;
        check_field(tag_bytes <= TAG_BYTES_MAX, "tag_bytes", h.tag_bytes.into())?;
        check_field(h.last <= 1, "last", h.last.into())?;
        check_field(h.condition <= 3, "condition", h.condition.into())?;
        check_field(h.value_bytes as usize <= VALUE_BYTES_MAX, "value_bytes", h.value_bytes.into())?;
        check_field((1..1 << 62).contains(&h.seq), "seq", h.seq)?;
        check_field(h.lsn < 1 << 62, "lsn", h.lsn)?;
        let (extents, named) = bytes[fixed..end].split_at(h.extents as usize * PackedExtent::BYTES);
        let (key, tag) = named.split_at(key_bytes);
        let decode =
            || ValueRef::decode_extents(h.seq, h.value_bytes, h.value_crc, h.extents as usize, extents);
        let value = if h.kind == PUT { Some(decode()?) } else { None };
        Ok(WalRecord { header: h, key: key.into(), tag: tag.into(), value })
    }
}

/// Bytes of a record with a key and a tag of these lengths, and a value in so many extents.
pub fn record_bytes(key_bytes: usize, tag_bytes: usize, extents: usize) -> u32 {
    (WalHeader::BYTES + extents * PackedExtent::BYTES + key_bytes + tag_bytes) as u32
}

/// The most bytes of a record for this operation, with an extent for each unit of the value.
pub(crate) fn record_bytes_max(op: Sizes, tag_bytes: usize) -> u32 {
    let extents = op.value_bytes.map_or(0, units);
    record_bytes(op.key_bytes, tag_bytes, extents as usize)
}

/// How a condition is stored.
pub(crate) fn condition_code(condition: Condition) -> (u16, u64) {
    match condition {
        Condition::Always => (0, 0),
        Condition::Absent => (1, 0),
        Condition::Present => (2, 0),
        Condition::Version(version) => (3, version),
    }
}
