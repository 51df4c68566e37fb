//! Reading the log back: which batches count, where it ends, and whether that end is a torn tail or damage.
//!
//! A batch counts if all its records are there, each where, when and in the order it must have been written; the last
//! batch only if its values are there too. What ends the log is a torn tail if it can be what a power cut left of the one
//! batch that was being written; anything else is damage.

use std::collections::VecDeque;
use std::io;
use std::mem::take;
use std::sync::Arc;

use trace::Mechanisms;

use super::reader::{BatchRead, Reader};
use super::ring::next_sector;
use super::tail::{Log, Logged};
use crate::device::Device;
use crate::error::{Damage, ReadError, Stop, Zone};
use crate::format::superblock::Superblock;
use crate::format::wal_record::{TRUNCATE, WalRecord};
use crate::guard;
use crate::space::value;
use crate::types::{Extent, Lsn, Seq, UNIT};

/// The log being read.
pub(crate) struct Scan<'a, D> {
    reader: Reader<'a, D>,
    /// Entries behind the checkpoint that are not undone.
    live: VecDeque<Logged>,
    pub(crate) tentative: VecDeque<WalRecord>,
    /// Records that count.
    pub(crate) replayed: u64,
    /// Where the next batch goes, and its number.
    pub(crate) end: Lsn,
    pub(crate) batch: u64,
    /// What ended the log, and where on the device.
    pub(crate) stop: Stop,
    pub(crate) stop_offset: u64,
    pub(crate) discarded_records: u64,
    pub(crate) discarded_bytes: u64,
    /// The parts of the device that hold the last batch, if no recovery has read it before.
    last_batch: Vec<(u64, usize)>,
}

impl<'a, D: Device> Scan<'a, D> {
    /// Nothing is read yet.
    pub(crate) fn new(device: &'a D, superblock: Superblock, on: Mechanisms) -> Scan<'a, D> {
        Scan {
            reader: Reader::new(device, superblock, on),
            live: VecDeque::new(),
            tentative: VecDeque::new(),
            replayed: 0,
            end: Lsn(superblock.replay_lsn),
            batch: superblock.replay_batch,
            stop: Stop::FullLap,
            stop_offset: 0,
            discarded_records: 0,
            discarded_bytes: 0,
            last_batch: Vec::new(),
        }
    }

    /// Reads to the end of the log, and says if that end is damage.
    pub(crate) fn read(&mut self) -> io::Result<Option<Damage>> {
        let (on, life_start) = (self.reader.on, Lsn(self.reader.superblock.life_start));
        let mut last: Option<BatchRead> = None;
        let broken = loop {
            match self.reader.read_batch(self.end, self.batch, last.as_ref())? {
                Err(broken) => break broken,
                Ok(read) => {
                    (self.end, self.batch) = (next_sector(read.end), self.batch + 1);
                    if let Some(synced) = last.replace(read) {
                        self.keep(synced);
                    }
                }
            }
        };
        let latest = self.reader.latest_batch_behind(self.end)?;
        self.stop_offset = self.reader.ring.parts(broken.lsn, 0)[0].0;
        (self.discarded_records, self.discarded_bytes) = (broken.whole_records, broken.lsn.0 - self.end.0);
        self.stop = broken.stop;
        let mut damage = None;
        if guard::corruption_is_not_a_torn_tail(on, self.batch, latest, self.end < life_start) {
            damage = Some(Damage {
                zone: Zone::Wal,
                offset: self.stop_offset,
                expected: format!("a record of batch {} at lsn {}", self.batch, broken.lsn),
                found: self.stop.to_string(),
                value: None,
            });
        } else if let Some(read) = last.take_if(|read| read.lsn >= life_start) {
            last = self.unless_torn(read, latest)?;
        }
        if let Some(read) = last {
            self.keep(read);
        }
        Ok(damage)
    }

    /// The last batch, if its values are there; else it is where the log ends.
    fn unless_torn(&mut self, read: BatchRead, latest: u64) -> io::Result<Option<BatchRead>> {
        match self.values(&read)? {
            Ok(extents) => {
                let records = self.reader.ring.parts(read.lsn, (self.end.0 - read.lsn.0) as usize);
                self.last_batch = records.map(|(offset, range)| (offset, range.len())).to_vec();
                let offset_of = |e: &Extent| self.reader.superblock.offset_of(e.unit);
                let values = extents.iter().map(|e| (offset_of(e), (e.units * UNIT) as usize));
                self.last_batch.extend(values);
            }
            // A later batch was begun, so this one was durable: its value is damaged since, as any may be.
            Err(_) if guard::corruption_is_not_a_torn_tail(self.reader.on, read.number, latest, false) => {}
            Err((seq, offset)) => {
                (self.stop, self.stop_offset) = (Stop::Value { seq }, offset);
                self.discarded_records += read.records.len() as u64;
                self.discarded_bytes += self.end.0 - read.lsn.0;
                (self.end, self.batch) = (read.lsn, read.number);
                return Ok(None);
            }
        }
        Ok(Some(read))
    }

    /// The batch counts: its entries are live until undone.
    fn keep(&mut self, read: BatchRead) {
        let first = self.reader.superblock.checkpoint_seq + 1;
        for record in read.records {
            self.replayed += 1;
            let seq = record.header.seq;
            if record.header.kind == TRUNCATE {
                let kept = seq.saturating_sub(first) as usize;
                self.live.truncate(kept);
                self.tentative.truncate(kept);
            } else if seq == first + self.live.len() as u64 {
                self.live.push_back(Logged {
                    lsn: record.lsn(),
                    bytes: record.header.length,
                    batch: read.number,
                    batch_lsn: read.lsn,
                });
                self.tentative.push_back(record);
            }
        }
    }

    /// Where the values of the last batch are; or the first one that is not on the device: its entry, and where it should
    /// begin.
    ///
    /// Only entries that count are looked at. The extent of one that is undone within the batch, or covered by the
    /// checkpoint, may already hold the value of a newer batch of which nothing else was written.
    fn values(&self, read: &BatchRead) -> io::Result<Result<Vec<Extent>, (Seq, u64)>> {
        let mut counting: Vec<&WalRecord> = Vec::new();
        for record in &read.records {
            if record.header.kind == TRUNCATE {
                counting.retain(|r| r.header.seq < record.header.seq);
            } else if record.header.seq > self.reader.superblock.checkpoint_seq {
                counting.push(record);
            }
        }
        let mut extents = Vec::new();
        for record in counting {
            let Some(value) = &record.value else { continue };
            let fits = guard::data_checksum_in_log(self.reader.on, || {
                match value::read(self.reader.device, &self.reader.superblock, value, true) {
                    Err(ReadError::Io(error)) => Err(error),
                    read => Ok(read.is_ok()),
                }
            })?;
            if !fits {
                return Ok(Err((value.version, self.reader.superblock.offset_of(value.first_unit()))));
            }
            extents.extend(value.extents());
        }
        Ok(Ok(extents))
    }

    /// Writes the same bytes again. A sync makes durable what was written since the last one; but if that one has
    /// failed, the kernel takes what it could not write for clean, shows it to readers, and never writes it. All
    /// batches but the last were synced. (A torn write of the bytes that are there changes nothing.)
    pub(crate) fn rewrite_last_batch(&self) -> io::Result<()> {
        for &(offset, len) in self.last_batch.iter().filter(|(_, len)| *len > 0) {
            let mut bytes = vec![0; len];
            self.reader.device.read_at(offset, &mut bytes)?;
            self.reader.device.write_at(offset, &bytes)?;
        }
        Ok(())
    }

    /// The last entry that the log had, with its tag, if that can be told: of a `damaged` one, from what lies beyond the
    /// damage.
    pub(crate) fn last_entry(&mut self, damaged: bool) -> io::Result<Option<(Seq, Arc<[u8]>)>> {
        if damaged {
            return self.reader.last_entry_behind(self.end);
        }
        Ok(self.tentative.back().map(|record| (record.header.seq, record.tag.clone())))
    }

    /// Hands over the entries, in a log that goes on where this one ends, with this superblock.
    pub(crate) fn take_log(&mut self, superblock: &Superblock) -> Log {
        let mut log = Log::new(superblock, self.end, self.batch);
        log.entries = take(&mut self.live);
        log.tentative = take(&mut self.tentative);
        log
    }
}
