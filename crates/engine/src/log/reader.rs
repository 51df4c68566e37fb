//! Reading the log as it lies on the device: record by record, each where, when and in the order it must have been written.

use std::io;

use trace::Mechanisms;

use super::ring::Ring;
use crate::device::Device;
use crate::error::{DecodeError, Stop};
use crate::format::superblock::Superblock;
use crate::format::value_ref::ValueRef;
use crate::format::wal_record::{RECORD_BYTES_MAX, TRUNCATE, WalHeader, WalRecord};
use crate::guard::{self, Place};
use crate::types::{Lsn, Seq};

/// A whole batch, as read.
pub(super) struct BatchRead {
    pub(super) lsn: Lsn,
    pub(super) end: Lsn,
    pub(super) number: u64,
    pub(super) records: Vec<WalRecord>,
    /// The entry that must follow; `None` before the first record of all, which may be any.
    pub(super) next: Option<Seq>,
    /// The entry that would follow the ones that count: behind the checkpoint, without a gap, not undone.
    pub(super) counting_next: Seq,
    pub(super) life: u64,
}

/// Where a batch stops being one.
pub(super) struct Broken {
    pub(super) lsn: Lsn,
    pub(super) stop: Stop,
    pub(super) whole_records: u64,
}

/// One lap of the ring, from the replay start on.
pub(super) struct Reader<'a, D> {
    pub(super) device: &'a D,
    pub(super) superblock: Superblock,
    pub(super) on: Mechanisms,
    pub(super) ring: Ring,
    /// One lap behind the start: nothing there or beyond can be part of this log.
    pub(super) limit: Lsn,
    window: Vec<u8>,
    window_lsn: Lsn,
}

impl<'a, D: Device> Reader<'a, D> {
    pub(super) fn new(device: &'a D, superblock: Superblock, on: Mechanisms) -> Reader<'a, D> {
        let ring = Ring::of(&superblock);
        let limit = Lsn(superblock.replay_lsn.saturating_add(ring.bytes));
        Reader { device, superblock, on, ring, limit, window: Vec::new(), window_lsn: Lsn(0) }
    }

    /// Reads the batch of this number at `at`, behind the one before: all of it, or where it breaks.
    ///
    /// The first batch of all may begin with entries that the checkpoint covers, and with entries that are undone
    /// further on in the batch, so its first record may have any seq; where it ends, all must fit together.
    pub(super) fn read_batch(
        &mut self,
        at: Lsn,
        number: u64,
        before: Option<&BatchRead>,
    ) -> io::Result<Result<BatchRead, Broken>> {
        let (first, records) = (self.superblock.checkpoint_seq + 1, Vec::new());
        let (next, counting_next, life) =
            before.map_or((None, first, 0), |b| (b.next, b.counting_next, b.life));
        let mut read = BatchRead { lsn: at, end: at, number, records, next, counting_next, life };
        loop {
            let record = match self.read_record(&read)? {
                Ok(record) => record,
                Err(_) if !read.records.is_empty() && !guard::whole_batch(self.on) => return Ok(Ok(read)),
                Err(stop) => {
                    let whole_records = read.records.len() as u64;
                    return Ok(Err(Broken { lsn: read.end, stop, whole_records }));
                }
            };
            let WalHeader { seq, kind, last, life, .. } = record.header;
            if kind == TRUNCATE {
                read.counting_next = read.counting_next.min(seq).max(first);
                read.next = Some(seq);
            } else {
                read.counting_next += u64::from(seq == read.counting_next);
                read.next = Some(seq + 1);
            }
            let lsn = std::mem::replace(&mut read.end, record.end());
            read.life = life;
            read.records.push(record);
            if last == 1 && read.next == Some(read.counting_next) {
                return Ok(Ok(read));
            } else if last == 1 {
                let stop = Stop::OtherSeq { expected: read.counting_next, found: seq };
                return Ok(Err(Broken { lsn, stop, whole_records: 0 }));
            }
        }
    }

    /// Reads the record at the end of what is read of its batch.
    fn read_record(&mut self, read: &BatchRead) -> io::Result<Result<WalRecord, Stop>> {
        let (at, on, sb) = (read.end, self.on, self.superblock);
        if at >= self.limit {
            return Ok(Err(Stop::FullLap));
        }
        let (life, life_start) = (sb.life, Lsn(sb.life_start));
        let place = Place { lsn: at, batch: read.number, life_min: read.life, life, life_start };
        let bytes = self.bytes(at)?;
        let decoded = |crc_counts| WalRecord::decode(bytes, crc_counts);
        let mut record = match guard::record_crc(on, decoded(true), || decoded(false)) {
            Ok(record) => record,
            Err(error) => return Ok(Err(Stop::NotARecord(error))),
        };
        if let Err(stop) = guard::stale_log_rejection(on, &place, &record.header) {
            return Ok(Err(stop));
        }
        record.header.lsn = at.0;
        let seq = record.header.seq;
        let truncation = record.header.kind == TRUNCATE;
        if let Some(expected) = read.next.filter(|&next| seq != next && !(truncation && seq < next)) {
            return Ok(Err(Stop::OtherSeq { expected, found: seq }));
        }
        let outside = |value: &ValueRef| value.extents().any(|extent| !sb.has(extent));
        if let Some(value) = record.value.as_ref().filter(|value| outside(value)) {
            let (name, value) = ("unit", value.first_unit());
            return Ok(Err(Stop::NotARecord(DecodeError::Field { name, value })));
        }
        Ok(Ok(record))
    }

    /// The bytes from `at` on: as many as a record may have, if the lap has as many.
    pub(super) fn bytes(&mut self, at: Lsn) -> io::Result<&[u8]> {
        const WINDOW_BYTES: u64 = 256 << 10;
        let len = (self.limit.0 - at.0).min(RECORD_BYTES_MAX as u64);
        let window_end = self.window_lsn.0 + self.window.len() as u64;
        if at < self.window_lsn || at.0 + len > window_end {
            self.window.resize((self.limit.0 - at.0).min(WINDOW_BYTES) as usize, 0);
            self.ring.read(self.device, at, &mut self.window)?;
            self.window_lsn = at;
        }
        let from = (at.0 - self.window_lsn.0) as usize;
        Ok(&self.window[from..from + len as usize])
    }
}
