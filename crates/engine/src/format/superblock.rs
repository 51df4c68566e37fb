//! The superblock: who the device belongs to, where things are, the promise, the checkpoint, where replay starts.
//!
//! Two slots hold the same contents, with different generations, whenever no update is under way. One slot is one
//! 512-byte sector, so that a torn update of one slot damages only that slot; the slots are 4096 bytes apart, so that
//! neither a torn physical sector nor a torn page takes both. `space/slots.rs` reads and writes them.

use super::checkpoint_chunk::ChunkRef;
use super::value_ref::UNITS_MAX;
use super::{check_crc, check_field, check_magic, long_enough, seal, table};
use crate::error::DecodeError;
use crate::types::{Extent, FORMAT_VERSION, Identity, Lsn, Seq, Standing, UNIT};

/// "CUTA", read as a little-endian number.
pub const MAGIC: u32 = u32::from_le_bytes(*b"CUTA");
/// Byte offsets of the two slots.
pub const SLOTS: [u64; 2] = [0, 4096];
/// Byte offset of the WAL ring.
pub const WAL_OFFSET: u64 = 8192;
/// Bytes of a slot: one sector.
pub const SLOT_BYTES: usize = UNIT as usize;

const _: () = assert!(Superblock::BYTES <= SLOT_BYTES && SLOTS[1] + UNIT <= WAL_OFFSET);

table! {
    /// One superblock slot. Zeros follow up to the end of its sector.
    Superblock 172 {
        0 magic: u32, "\"CUTA\"";
        4 crc: u32, "CRC-32C of bytes 8 to 511";
        8 version: u16, "format version, 4";
        10 standing: u16, "1 founding, 2 joining, 3 member";
        12 unit: u32, "allocation unit in bytes, 512";
        16 generation: u64, "the valid slot with the greater generation counts";
        24 cluster: [u8; 16], "cluster id";
        40 node: u32, "node id, from 1";
        44 shard: u32, "shard, from 0";
        48 wal_offset: u64, "byte offset of the WAL ring";
        56 wal_bytes: u64, "bytes of the WAL ring";
        64 data_offset: u64, "byte offset of the data region";
        72 data_units: u64, "units of the data region";
        80 promise: u64, "the greatest epoch promised; never goes back (E5)";
        88 checkpoint_seq: u64, "the checkpoint holds the effect of all entries up to this one";
        96 checkpoint_unit: u64, "first unit of the checkpoint's last chunk";
        104 checkpoint_bytes: u32, "bytes of that chunk; 0 if the checkpoint is the empty one";
        108 checkpoint_crc: u32, "CRC of that chunk";
        112 replay_lsn: u64, "replay starts here, at the beginning of a batch";
        120 replay_batch: u64, "number of the batch there";
        128 life: u64, "current life of the log; each recovery and each install begins a new one";
        136 life_start: u64, "lsn at which this life begins; records from there on of other lives were discarded";
        144 owed_epoch: u64, "epoch of the last entry that this device had, if it lost some of them to damage";
        152 owed_seq: u64, "seq of that entry";
        160 members: u64, "the nodes with a replica of the shard: bit n - 1 stands for node n";
        168 shards: u32, "how many shards the cluster has";
    }
}

/// Far from where counting would go round.
fn check_counter(name: &'static str, counter: u64) -> Result<(), DecodeError> {
    check_field(counter < 1 << 62, name, counter)
}

impl Superblock {
    /// Decodes one slot. Everything that a slot says about itself is checked; whether the device is as long as it
    /// says is for `open` to check.
    pub fn decode(bytes: &[u8]) -> Result<Superblock, DecodeError> {
        check_magic(bytes, MAGIC)?;
        long_enough(bytes, SLOT_BYTES)?;
        let s = Superblock::get(bytes)?;
        check_crc(&bytes[..SLOT_BYTES])?;
        if s.version != FORMAT_VERSION {
            return Err(DecodeError::OtherVersion { found: s.version });
        }
        check_field((1..=3).contains(&s.standing), "standing", s.standing.into())?;
        check_field(u64::from(s.unit) == UNIT, "unit", s.unit.into())?;
        check_field(s.wal_offset == WAL_OFFSET, "wal_offset", s.wal_offset)?;
        check_field(s.wal_bytes > 0 && s.wal_bytes.is_multiple_of(UNIT), "wal_bytes", s.wal_bytes)?;
        check_field(
            s.wal_bytes.checked_add(WAL_OFFSET) == Some(s.data_offset),
            "data_offset",
            s.data_offset,
        )?;
        check_field(s.device_bytes().is_some() && s.data_units < UNITS_MAX, "data_units", s.data_units)?;
        for (name, lsn) in [("replay_lsn", s.replay_lsn), ("life_start", s.life_start)] {
            check_field(lsn.is_multiple_of(UNIT) && lsn < 1 << 62, name, lsn)?;
        }
        check_counter("generation", s.generation)?;
        check_counter("life", s.life)?;
        check_counter("replay_batch", s.replay_batch)?;
        check_counter("checkpoint_seq", s.checkpoint_seq)?;
        check_counter("promise", s.promise)?;
        check_counter("owed_seq", s.owed_seq)?;
        check_field(s.identity().is_possible(), "members", s.members)?;
        Ok(s)
    }

    /// The sector to write.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; SLOT_BYTES];
        self.put(&mut out);
        seal(&mut out);
        out
    }

    /// Bytes of the device that the regions take, if that is a number.
    pub fn device_bytes(&self) -> Option<u64> {
        self.data_units.checked_mul(UNIT)?.checked_add(self.data_offset)
    }

    /// Byte offset of a unit of the data region.
    pub fn offset_of(&self, unit: u64) -> u64 {
        self.data_offset.saturating_add(unit.saturating_mul(UNIT))
    }

    /// Can this be part of the data region?
    pub fn has(&self, extent: Extent) -> bool {
        extent.unit.checked_add(extent.units).is_some_and(|end| end <= self.data_units)
    }

    /// Whose device it is.
    pub fn identity(&self) -> Identity {
        let &Superblock { cluster, node, shard, shards, members, .. } = self;
        Identity { cluster, node, shard, shards, members }
    }

    /// The last chunk of the checkpoint.
    pub fn checkpoint_head(&self) -> ChunkRef {
        let &Superblock { checkpoint_unit: unit, checkpoint_bytes: bytes, checkpoint_crc: crc, .. } = self;
        ChunkRef { unit, bytes, crc }
    }

    /// Points at another checkpoint.
    pub(crate) fn set_checkpoint(&mut self, seq: Seq, head: ChunkRef) {
        self.checkpoint_seq = seq;
        self.checkpoint_unit = head.unit;
        self.checkpoint_bytes = head.bytes;
        self.checkpoint_crc = head.crc;
    }

    /// What its owner may conclude from it.
    pub fn standing(&self) -> Standing {
        match self.standing {
            1 => Standing::Founding,
            2 => Standing::Joining,
            _ => Standing::Member,
        }
    }

    /// Sets the standing.
    pub(crate) fn set_standing(&mut self, standing: Standing) {
        self.standing = standing as u16;
    }

    /// Makes the log an empty one that starts at `at`, in a new life: whatever lies in the ring is of an earlier
    /// life, and so can never be replayed.
    pub(crate) fn begin_log(&mut self, at: Lsn, batch: u64) {
        self.life += 1;
        self.life_start = at.0;
        self.replay_lsn = at.0;
        self.replay_batch = batch;
    }
}
