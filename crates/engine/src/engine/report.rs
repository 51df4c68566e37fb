//! What `open` found and did.

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
