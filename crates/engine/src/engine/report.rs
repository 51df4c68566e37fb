//! What `open` found and did, for people.

use std::fmt;

use crate::error::{Damage, DecodeError, Stop};
use crate::format::superblock::Superblock;
use crate::types::{Lsn, Seq};

/// What `open` found and did.
#[derive(Debug)]
pub struct RecoveryReport {
    /// Both superblock slots, as found.
    pub superblocks: [Result<Superblock, DecodeError>; 2],
    /// The slot that counted.
    pub slot: usize,
    /// The checkpoint's seq; 0 for the empty one.
    pub checkpoint_seq: Seq,
    /// How many keys it holds.
    pub checkpoint_keys: u64,
    /// Where the log was read from.
    pub replay_start: Lsn,
    /// WAL records read and kept, truncations included.
    pub replayed: u64,
    /// In how many batches.
    pub batches: u64,
    /// The last entry of the log.
    pub last_seq: Seq,
    /// Where the log ends.
    pub log_end: Lsn,
    /// Byte offset on the device of what ended it.
    pub stop_offset: u64,
    /// Why it ends there.
    pub stop: Stop,
    /// Whole records of the last, incomplete batch, which were discarded.
    pub discarded_records: u64,
    /// Their bytes.
    pub discarded_bytes: u64,
    /// The life of the log that begins now.
    pub life: u64,
    /// Set if the engine only reads.
    pub damage: Option<Damage>,
}

impl fmt::Display for RecoveryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (slot, found) in ["A", "B"].iter().zip(&self.superblocks) {
            match found {
                Ok(s) => {
                    writeln!(f, "superblock {slot}: generation {}, promise {}", s.generation, s.promise)?
                }
                Err(error) => writeln!(f, "superblock {slot}: {error}")?,
            }
        }
        writeln!(f, "checkpoint: as of entry {}, {} keys", self.checkpoint_seq, self.checkpoint_keys)?;
        let RecoveryReport { replayed, batches, replay_start, log_end, last_seq, .. } = self;
        writeln!(
            f,
            "log: {replayed} records in {batches} batches, lsn {replay_start} to {log_end}, last entry {last_seq}"
        )?;
        writeln!(f, "log ends at byte {}: {}", self.stop_offset, self.stop)?;
        writeln!(f, "discarded: {} records, {} bytes", self.discarded_records, self.discarded_bytes)?;
        match &self.damage {
            Some(damage) => write!(f, "DAMAGED: {damage}"),
            None => write!(f, "life of the log: {}", self.life),
        }
    }
}
