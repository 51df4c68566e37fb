//! What lies in the ring beyond the end of the log: it tells whether that end is damage, and what damage cut off.

use std::io;
use std::sync::Arc;

use super::reader::Reader;
use super::ring::next_sector;
use crate::device::Device;
use crate::format::wal_record::{TRUNCATE, WalRecord};
use crate::types::{Lsn, Seq, UNIT};

impl<D: Device> Reader<'_, D> {
    /// The greatest batch of which a whole record lies at a sector behind `at`, where and when it must have been
    /// written. Each batch begins on a sector.
    pub(super) fn latest_batch_behind(&mut self, mut at: Lsn) -> io::Result<u64> {
        let mut latest = 0;
        at.0 += UNIT;
        while at < self.limit {
            if let Some(record) = self.record_of_this_log(at)? {
                latest = latest.max(record.header.batch);
            }
            at.0 += UNIT;
        }
        Ok(latest)
    }

    /// The last entry of a log that is damaged at `end`: what the last batch ends with whose end is there. That may be
    /// more than was ever acknowledged (if the batch is a torn one, or ends with a truncation), which does no harm to whoever
    /// counts on it; less would. `None` if it cannot be told: batches must reach at least as far as the log did when it was
    /// last opened.
    pub(super) fn last_entry_behind(&mut self, end: Lsn) -> io::Result<Option<(Seq, Arc<[u8]>)>> {
        let (mut at, mut last, mut whole_upto) = (next_sector(Lsn(end.0 + 1)), None, Lsn(0));
        while at < self.limit {
            let (mut next, mut entry, mut number) = (at, None, None);
            while next < self.limit {
                let Some(WalRecord { header, tag, .. }) = self.record_of_this_log(next)? else { break };
                if number.is_some_and(|number| number != header.batch) {
                    break;
                }
                if header.kind != TRUNCATE {
                    entry = Some((header.seq, tag));
                }
                (next, number) = (Lsn(next.0 + u64::from(header.length)), Some(header.batch));
                if header.last == 1 {
                    (last, whole_upto) = (entry.take().or(last), next_sector(next));
                    break;
                }
            }
            // Behind a whole batch the next one begins; within a damaged one, anywhere.
            at = if whole_upto > at { whole_upto } else { Lsn(at.0 + UNIT) };
        }
        Ok(last.filter(|_| whole_upto.0 >= self.superblock.life_start))
    }

    /// The whole record at `at`, if it can be part of this log.
    fn record_of_this_log(&mut self, at: Lsn) -> io::Result<Option<WalRecord>> {
        let (life, life_start) = (self.superblock.life, self.superblock.life_start);
        let record = WalRecord::decode(self.bytes(at)?, true).ok();
        Ok(record.filter(|WalRecord { header, .. }| {
            header.lsn == at.0 && (header.life == life || at.0 < life_start && header.life < life)
        }))
    }
}
