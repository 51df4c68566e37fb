//! The log in memory: where its records lie, which are durable, and the batch being filled.
//!
//! ```text
//!   start            durable        batch_lsn      end
//!     |  durable batches  |  batch out  |  being filled |
//!     +-------------------+-------------+---------------+ . . . free . . . + start + ring bytes
//! ```
//!
//! `start` moves when a checkpoint is complete, `durable` when a batch comes back, `batch_lsn` when one goes out, `end`
//! at each append. At most one batch is out, and nothing of the one being filled is written before that one is back:
//! recovery tells a torn tail from damage by this rule.

use std::collections::VecDeque;

use trace::Mechanisms;

use super::batch::{Batch, Values};
use super::ring::{Ring, next_sector};
use crate::format::superblock::Superblock;
use crate::format::wal_record::{WalHeader, WalRecord};
use crate::guard;
use crate::types::{Lsn, Reserve, Seq, UNIT};

/// Kept free by appends, so that truncations find room in a log that is full of entries: eight of them (four in the
/// smallest rings), each in a batch of its own.
const TRUNCATION_BYTES_MAX: u64 = 8 * UNIT;
/// Kept free by [`Reserve::Progress`].
const ENTRIES_BYTES: u64 = 128 * UNIT;
/// Memory of a batch beyond this is given back with it, and not kept for the next ones.
const KEPT_BYTES: usize = 1 << 20;

/// One entry of the log.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub(crate) lsn: Lsn,
    pub(crate) bytes: u32,
    /// The batch it is in, and where that begins: replay can only start there.
    pub(crate) batch: u64,
    pub(crate) batch_lsn: Lsn,
}

impl Logged {
    fn end(&self) -> Lsn {
        Lsn(self.lsn.0 + u64::from(self.bytes))
    }
}

/// See the module's picture.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) ring: Ring,
    pub(crate) life: u64,
    pub(crate) start: Lsn,
    pub(crate) durable: Lsn,
    pub(crate) end: Lsn,
    /// The batch being filled.
    pub(crate) batch: u64,
    pub(crate) batch_lsn: Lsn,
    records: Vec<u8>,
    /// Where in `records` the last one begins.
    last_record: usize,
    /// The values of the entries in it.
    pub(crate) values: Values,
    /// Memory of the last batch.
    spare: (Vec<u8>, Values),
    pub(crate) out: Option<u64>,
    /// Entries from `first` on, without a gap.
    pub(crate) first: Seq,
    pub(crate) entries: VecDeque<Logged>,
    /// What the last of them do, those that are not applied yet.
    pub(crate) tentative: VecDeque<WalRecord>,
}

impl Log {
    /// The log of this superblock, whose next batch has this number and goes to `end`. All before that is durable, and
    /// nothing of it is in memory.
    pub(crate) fn new(superblock: &Superblock, end: Lsn, batch: u64) -> Log {
        Log {
            ring: Ring::of(superblock),
            life: superblock.life,
            start: Lsn(superblock.replay_lsn),
            durable: end,
            end,
            batch,
            batch_lsn: end,
            records: Vec::new(),
            last_record: 0,
            values: Values::default(),
            spare: Default::default(),
            out: None,
            first: superblock.checkpoint_seq + 1,
            entries: VecDeque::new(),
            tentative: VecDeque::new(),
        }
    }

    /// The last entry; the one before `first` if there is none.
    pub(crate) fn last(&self) -> Seq {
        self.first + self.entries.len() as u64 - 1
    }

    pub(crate) fn get(&self, seq: Seq) -> Option<&Logged> {
        self.entries.get(usize::try_from(seq.checked_sub(self.first)?).ok()?)
    }

    /// Bytes that a recovery would read.
    pub(crate) fn used(&self) -> u64 {
        next_sector(self.end).0 - self.start.0
    }

    /// Is there room for a record beside the reserve? Else the bytes needed and free.
    pub(crate) fn room(&self, bytes: u64, reserve: Reserve) -> Result<(), (u64, u64)> {
        let (truncations, entries) =
            (TRUNCATION_BYTES_MAX.min(self.ring.bytes / 8), ENTRIES_BYTES.min(self.ring.bytes / 8));
        let kept = match reserve {
            Reserve::Nothing => 0,
            Reserve::Truncations => truncations,
            Reserve::Progress => truncations + entries,
        };
        let free = (self.ring.bytes - self.used()).saturating_sub(kept);
        let needed = next_sector(Lsn(self.end.0 + bytes)).0 - next_sector(self.end).0;
        if needed <= free { Ok(()) } else { Err((needed, free)) }
    }

    /// Adds a record to the batch being filled. There is room for it.
    pub(crate) fn push(&mut self, mut record: WalRecord) -> WalRecord {
        let length = record.bytes();
        record.header =
            WalHeader { lsn: self.end.0, life: self.life, batch: self.batch, length, ..record.header };
        self.last_record = self.records.len();
        record.encode(&mut self.records);
        self.end = record.end();
        assert!(self.used() <= self.ring.bytes, "E1: the log has overtaken its own start");
        record
    }

    /// Adds the record of entry `last + 1`.
    pub(crate) fn push_entry(&mut self, record: WalRecord) {
        let record = self.push(record);
        let (batch, batch_lsn) = (self.batch, self.batch_lsn);
        let (lsn, bytes) = (record.lsn(), record.header.length);
        self.entries.push_back(Logged { lsn, bytes, batch, batch_lsn });
        self.tentative.push_back(record);
    }

    /// Takes the batch being filled, unless it is empty or another one is out.
    pub(crate) fn take_batch(&mut self, on: Mechanisms) -> Option<Batch> {
        if self.out.is_some() || self.records.is_empty() {
            return None;
        }
        let (next_records, next_values) = std::mem::take(&mut self.spare);
        let mut records = std::mem::replace(&mut self.records, next_records);
        WalRecord::mark_last(&mut records[self.last_record..]);
        records.resize(records.len().next_multiple_of(UNIT as usize), 0);
        self.end = next_sector(self.end);
        let batch = Batch {
            number: self.batch,
            end: self.end,
            micros: 0,
            ring: self.ring,
            lsn: self.batch_lsn,
            records,
            values: std::mem::replace(&mut self.values, next_values),
            sync: guard::ack_after_sync(on),
        };
        self.out = Some(self.batch);
        (self.batch, self.batch_lsn) = (self.batch + 1, self.end);
        Some(batch)
    }

    /// The batch is back: its memory serves the one after next, unless it is much.
    pub(crate) fn reuse(&mut self, batch: Batch) {
        let Batch { mut records, values: Values { mut bytes, mut writes }, .. } = batch;
        if records.capacity() + bytes.capacity() <= KEPT_BYTES {
            records.clear();
            bytes.clear();
            writes.clear();
            self.spare = (records, Values { bytes, writes });
        }
    }

    /// The last entry that ends at or before `durable`. Positions ascend with seq among entries that are not undone.
    pub(crate) fn durable_seq(&self) -> Seq {
        let tentative = self.entries.iter().rev().take_while(|e| e.end() > self.durable).count() as u64;
        self.last() - tentative
    }

    /// A checkpoint covers the entries up to `upto`: drops at most `limit` of them, and says how many.
    pub(crate) fn forget(&mut self, upto: Seq, limit: usize) -> usize {
        let due = ((upto + 1).saturating_sub(self.first)).min(limit as u64);
        self.entries.drain(..due as usize);
        self.first += due;
        due as usize
    }

    /// Where a replay on top of a checkpoint at `seq` starts: at the batch of the next entry, because only batches
    /// can be told apart from what lies behind them; without a next entry, at the batch being filled. What it skips
    /// then can only be truncations of entries that are gone.
    pub(crate) fn replay_point(&self, seq: Seq) -> (Lsn, u64) {
        self.get(seq + 1).map_or((self.batch_lsn, self.batch), |next| (next.batch_lsn, next.batch))
    }
}
