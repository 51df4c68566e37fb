//! From bytes to an engine: what `open` reads, in which order, and what it concludes.
//!
//! 1. Of the valid superblock slots, the one with the greater generation counts.
//! 2. Load the checkpoint it names: index and host state as of one seq. It was durable before the superblock named
//!    it, so anything wrong with it is damage.
//! 3. Read the log from the replay start, batch by batch. A batch counts if all its records are there, each where,
//!    when and in the order it must have been written; the last batch only if its values are there too.
//! 4. Where the log ends, decide: torn tail, or damage (`corruption-is-not-a-torn-tail`).
//! 5. Make durable what was read (`sync-on-recovery`): so far it may have come from the page cache.
//! 6. Begin a new life of the log at its end, durably. Only then may anything be acknowledged: else (a) a torn batch
//!    is discarded, (b) a new, shorter one is written in its place and acknowledged, (c) power fails, and (d) what is
//!    left of the torn one is read behind it. A damaged log is left as it is, as evidence.
//!
//! The entries come back tentative: whether they count is for their owner to say.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::ops::Bound;
use std::sync::Arc;

use trace::Mechanisms;

use crate::allocator::Allocator;
use crate::checkpoint::{Checkpoint, load};
use crate::device::Device;
use crate::error::{Damage, DecodeError, OpenError, ReadError, Stop, Zone};
use crate::format::checkpoint_chunk::ChunkRef;
use crate::format::superblock::{self, SLOTS, Superblock};
use crate::format::wal_record::{RECORD_BYTES_MAX, TRUNCATE, WalHeader, WalRecord};
use crate::guard::{self, Place};
use crate::log::{Log, Logged, Ring, next_sector};
use crate::types::{Extent, Identity, Lsn, Seq, UNIT};
use crate::value;

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

/// Everything an engine starts from.
pub(crate) struct Recovered {
    pub(crate) superblock: Superblock,
    pub(crate) newest: usize,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) log: Log,
    pub(crate) allocator: Allocator,
    /// Of a damaged log, or one behind a damaged checkpoint: the last entry that it had, with its tag, if that can be told.
    pub(crate) had: Option<(Seq, Arc<[u8]>)>,
    pub(crate) report: RecoveryReport,
}

/// Reads a device. Nothing is changed, unless the log is whole: then its new life begins.
pub(crate) fn recover(
    device: &impl Device,
    identity: &Identity,
    on: Mechanisms,
) -> Result<Recovered, OpenError> {
    let superblocks = superblock::read_slots(device)?;
    let generation = |slot: usize| superblocks[slot].as_ref().ok().map(|s: &Superblock| s.generation);
    let slot = usize::from(generation(1) > generation(0));
    let Ok(superblock) = superblocks[slot] else { return Err(no_superblock(&superblocks)) };
    if superblock.identity() != *identity {
        return Err(OpenError::WrongIdentity { expected: *identity, found: superblock.identity() });
    }
    let formatted = superblock.device_bytes().unwrap_or(u64::MAX);
    if device.size() < formatted {
        return Err(OpenError::Truncated { bytes: device.size(), formatted });
    }

    let (checkpoint, damage) = match load(device, &superblock) {
        Ok(checkpoint) => (checkpoint, None),
        Err(ReadError::Corrupt(damage)) => (Checkpoint::default(), Some(damage)),
        Err(ReadError::Io(error)) => return Err(error.into()),
        Err(error) => unreachable!("loading only reads the device: {error}"),
    };
    let mut scan = Scan::new(device, superblock, on);
    let log_damage = scan.run()?;
    let (allocator, overlap) = match own_extents(device, &superblock, &checkpoint, &scan.tentative, on) {
        Ok(allocator) => (allocator, None),
        Err(ReadError::Corrupt(damage)) => (Allocator::empty(), Some(damage)),
        Err(ReadError::Io(error)) => return Err(error.into()),
        Err(error) => unreachable!("following values only reads the device: {error}"),
    };
    let had = match &log_damage {
        Some(_) => scan.last_entry_behind()?,
        None => scan.tentative.back().map(|record| (record.header.seq, record.tag.clone())),
    };
    let damage = damage.or(log_damage).or(overlap);
    let had = had.filter(|_| damage.is_some());
    let (superblock, newest) = if damage.is_none() {
        guard::sync_on_recovery(on, || {
            scan.rewrite_last_batch()?;
            device.sync()
        })?;
        let new_life = Superblock { life: superblock.life + 1, life_start: scan.end.0, ..superblock };
        superblock::store(device, slot, new_life, on)?
    } else {
        (superblock, slot)
    };

    let (start, first) = (Lsn(superblock.replay_lsn), superblock.checkpoint_seq + 1);
    let mut log = Log::new(scan.ring, superblock.life, start, scan.end, scan.batch, first);
    (log.entries, log.tentative) = (scan.live, scan.tentative);
    let report = RecoveryReport {
        superblocks,
        slot,
        checkpoint_seq: superblock.checkpoint_seq,
        checkpoint_keys: checkpoint.index.len(),
        replay_start: start,
        replayed: scan.replayed,
        batches: scan.batch - superblock.replay_batch,
        last_seq: log.last(),
        log_end: scan.end,
        stop_offset: scan.stop_offset,
        stop: scan.stop,
        discarded_records: scan.discarded_records,
        discarded_bytes: scan.discarded_bytes,
        life: superblock.life,
        damage,
    };
    Ok(Recovered { superblock, newest, checkpoint, log, allocator, had, report })
}

/// A device that was never formatted, or by another version, is not a damaged one: the next step differs.
fn no_superblock(slots: &[Result<Superblock, DecodeError>; 2]) -> OpenError {
    let why = |slot: &Result<Superblock, DecodeError>| {
        slot.as_ref().err().map(ToString::to_string).unwrap_or_default()
    };
    if slots.iter().all(|slot| matches!(slot, Err(DecodeError::Magic { .. } | DecodeError::Short { .. }))) {
        return OpenError::NotFormatted;
    }
    for slot in slots {
        if let &Err(DecodeError::OtherVersion { found }) = slot {
            return OpenError::OtherVersion { found };
        }
    }
    let found = format!("A: {}; B: {}", why(&slots[0]), why(&slots[1]));
    OpenError::Corrupt(Damage {
        zone: Zone::Superblock,
        offset: SLOTS[0],
        expected: "a valid superblock in one of two slots".into(),
        found,
        value: None,
    })
}

/// What is free is what nobody owns: no key, no entry of the log, no checkpoint chunk. Two owners are damage (E3). Where the
/// pieces of a value are, they say themselves; one that is not whole could own anything, and is damage as well.
fn own_extents(
    device: &impl Device,
    superblock: &Superblock,
    checkpoint: &Checkpoint,
    tentative: &VecDeque<WalRecord>,
    on: Mechanisms,
) -> Result<Allocator, ReadError> {
    let mut used: Vec<Extent> = checkpoint.index.range(Bound::Unbounded).map(|(_, s)| s.extent()).collect();
    let logged = tentative.iter().filter_map(|record| Some((record.slot()?, record.header.pieces)));
    used.extend(logged.clone().map(|(slot, _)| slot.extent()));
    used.extend(checkpoint.chunks.iter().map(ChunkRef::extent));
    used.sort_unstable();
    // Values that were overwritten in place have two owners on purpose.
    used.dedup_by(|b, a| guard::never_overwrite_live(on, || Some(*a), b.units) == Some(*b));
    let mut split = BTreeMap::new();
    for (slot, pieces) in logged.chain(checkpoint.split.iter().copied()).filter(|&(_, pieces)| pieces > 1) {
        split.insert(slot.unit, value::extents(device, superblock, &slot, pieces)?);
    }
    Allocator::new(superblock.data_units, used, split).map_err(|(one, other)| {
        ReadError::Corrupt(Damage {
            zone: Zone::Data,
            offset: superblock.data_offset.saturating_add(other.unit.saturating_mul(UNIT)),
            expected: "units of the data region with one owner each (E3)".into(),
            found: format!("{one:?} and {other:?}"),
            value: None,
        })
    })
}

/// A whole batch, as read.
struct BatchRead {
    lsn: Lsn,
    end: Lsn,
    number: u64,
    records: Vec<WalRecord>,
    /// The entry that must follow; `None` before the first record of all, which may be any.
    next: Option<Seq>,
    /// The entry that would follow the ones that count: behind the checkpoint, without a gap, not undone.
    counting_next: Seq,
    life: u64,
}

/// Where a batch stops being one.
struct Broken {
    lsn: Lsn,
    stop: Stop,
    whole_records: u64,
}

/// The log being read.
struct Scan<'a, D> {
    device: &'a D,
    superblock: Superblock,
    on: Mechanisms,
    ring: Ring,
    /// One lap behind the start: nothing there or beyond can be part of this log.
    limit: Lsn,
    window: Vec<u8>,
    window_lsn: Lsn,
    /// Entries behind the checkpoint that are not undone.
    live: VecDeque<Logged>,
    tentative: VecDeque<WalRecord>,
    replayed: u64,
    /// Where the next batch goes, and its number.
    end: Lsn,
    batch: u64,
    /// What ended the log.
    stop: Stop,
    stop_offset: u64,
    discarded_records: u64,
    discarded_bytes: u64,
    /// The pieces of the device that hold the last batch, if no recovery has read it before.
    last_batch: Vec<(u64, usize)>,
}

impl<'a, D: Device> Scan<'a, D> {
    fn new(device: &'a D, superblock: Superblock, on: Mechanisms) -> Scan<'a, D> {
        let ring = Ring { offset: superblock.wal_offset, bytes: superblock.wal_bytes };
        let (end, batch) = (Lsn(superblock.replay_lsn), superblock.replay_batch);
        Scan {
            device,
            superblock,
            on,
            ring,
            limit: Lsn(end.0.saturating_add(ring.bytes)),
            window: Vec::new(),
            window_lsn: Lsn(0),
            live: VecDeque::new(),
            tentative: VecDeque::new(),
            replayed: 0,
            end,
            batch,
            stop: Stop::FullLap,
            stop_offset: 0,
            discarded_records: 0,
            discarded_bytes: 0,
            last_batch: Vec::new(),
        }
    }

    /// Reads to the end of the log, and says if that end is damage.
    fn run(&mut self) -> io::Result<Option<Damage>> {
        let life_start = Lsn(self.superblock.life_start);
        let mut last: Option<BatchRead> = None;
        let broken = loop {
            match self.read_batch(last.as_ref())? {
                Err(broken) => break broken,
                Ok(read) => {
                    (self.end, self.batch) = (next_sector(read.end), self.batch + 1);
                    if let Some(synced) = last.replace(read) {
                        self.keep(synced);
                    }
                }
            }
        };
        let latest = self.latest_batch_behind(self.end)?;
        self.stop_offset = self.ring.pieces(broken.lsn, 0)[0].0;
        (self.discarded_records, self.discarded_bytes) = (broken.whole_records, broken.lsn.0 - self.end.0);
        self.stop = broken.stop;
        let mut damage = None;
        if guard::corruption_is_not_a_torn_tail(self.on, self.batch, latest, self.end < life_start) {
            let expected = format!("a record of batch {} at lsn {}", self.batch, broken.lsn);
            damage = Some(self.damage(Zone::Wal, expected));
        } else if let Some(read) = last.take_if(|read| read.lsn >= life_start) {
            let values = self.values(&read)?;
            if let Err((seq, offset)) = values {
                if guard::corruption_is_not_a_torn_tail(self.on, read.number, latest, false) {
                    // A later batch was begun, so this one was durable: its value is damaged since, as any may be.
                    last = Some(read);
                } else {
                    (self.stop, self.stop_offset) = (Stop::Value { seq }, offset);
                    self.discarded_records += read.records.len() as u64;
                    self.discarded_bytes += self.end.0 - read.lsn.0;
                    (self.end, self.batch) = (read.lsn, read.number);
                }
            } else if let Ok(extents) = values {
                let records = self.ring.pieces(read.lsn, (self.end.0 - read.lsn.0) as usize);
                self.last_batch = records.map(|(offset, range)| (offset, range.len())).to_vec();
                let data_offset = self.superblock.data_offset;
                let values = extents.iter().map(|e| (data_offset + e.unit * UNIT, (e.units * UNIT) as usize));
                self.last_batch.extend(values);
                last = Some(read);
            }
        }
        if let Some(read) = last {
            self.keep(read);
        }
        Ok(damage)
    }

    /// Writes the same bytes again. A sync makes durable what was written since the last one; but if that one has
    /// failed, the kernel takes what it could not write for clean, shows it to readers, and never writes it. All
    /// batches but the last were synced. (A torn write of the bytes that are there changes nothing.)
    fn rewrite_last_batch(&self) -> io::Result<()> {
        for &(offset, len) in self.last_batch.iter().filter(|(_, len)| *len > 0) {
            let mut bytes = vec![0; len];
            self.device.read_at(offset, &mut bytes)?;
            self.device.write_at(offset, &bytes)?;
        }
        Ok(())
    }

    /// The end of the log is damage.
    fn damage(&self, zone: Zone, expected: String) -> Damage {
        Damage { zone, offset: self.stop_offset, expected, found: self.stop.to_string(), value: None }
    }

    /// Reads the next batch, behind the one before: all of it, or where it breaks.
    ///
    /// The first batch of all may begin with entries that the checkpoint covers, and with entries that are undone
    /// further on in the batch, so its first record may have any seq; where it ends, all must fit together.
    fn read_batch(&mut self, before: Option<&BatchRead>) -> io::Result<Result<BatchRead, Broken>> {
        let (first, at, number, records) =
            (self.superblock.checkpoint_seq + 1, self.end, self.batch, Vec::new());
        let (next, counting_next, life) =
            before.map_or((None, first, 0), |b| (b.next, b.counting_next, b.life));
        let mut read = BatchRead { lsn: at, end: at, number, records, next, counting_next, life };
        loop {
            let record = match self.read_record(&read)? {
                Ok(record) => record,
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
        let (seq, unit) = (record.header.seq, record.header.unit);
        let truncation = record.header.kind == TRUNCATE;
        if let Some(expected) = read.next.filter(|&next| seq != next && !(truncation && seq < next)) {
            return Ok(Err(Stop::OtherSeq { expected, found: seq }));
        }
        let pieces = record.header.pieces;
        if record.slot().is_some_and(|slot| !slot.is_within(sb.data_units, pieces)) {
            return Ok(Err(Stop::NotARecord(DecodeError::Field { name: "unit", value: unit })));
        }
        Ok(Ok(record))
    }

    /// The batch counts: its entries are live until undone.
    fn keep(&mut self, read: BatchRead) {
        let first = self.superblock.checkpoint_seq + 1;
        for record in read.records {
            self.replayed += 1;
            let seq = record.header.seq;
            if record.header.kind == TRUNCATE {
                let kept = seq.saturating_sub(first) as usize;
                self.live.truncate(kept);
                self.tentative.truncate(kept);
            } else if seq == first + self.live.len() as u64 {
                let (lsn, bytes, batch, batch_lsn) =
                    (record.lsn(), record.header.length, read.number, read.lsn);
                self.live.push_back(Logged { lsn, bytes, batch, batch_lsn });
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
            } else if record.header.seq > self.superblock.checkpoint_seq {
                counting.push(record);
            }
        }
        let mut extents = Vec::new();
        for record in counting {
            let Some(slot) = record.slot() else { continue };
            let mut found = vec![slot.extent()];
            let fits = guard::data_checksum_in_log(self.on, || {
                match value::extents(self.device, &self.superblock, &slot, record.header.pieces) {
                    Err(ReadError::Io(error)) => return Err(error),
                    Err(_) => return Ok(false),
                    Ok(extents) => found = extents,
                }
                Ok(true)
            })?;
            if !fits {
                return Ok(Err((slot.version, self.superblock.data_offset + slot.unit * UNIT)));
            }
            extents.append(&mut found);
        }
        Ok(Ok(extents))
    }

    /// The greatest batch of which a whole record lies at a sector behind `at`, where and when it must have been
    /// written. Each batch begins on a sector.
    fn latest_batch_behind(&mut self, at: Lsn) -> io::Result<u64> {
        let (life, life_start, mut latest) = (self.superblock.life, self.superblock.life_start, 0);
        let mut at = Lsn(at.0 + UNIT);
        while at < self.limit {
            if let Ok(WalRecord { header, .. }) = WalRecord::decode(self.bytes(at)?, true) {
                let of_this_log = header.life == life || at.0 < life_start && header.life < life;
                if header.lsn == at.0 && of_this_log {
                    latest = latest.max(header.batch);
                }
            }
            at.0 += UNIT;
        }
        Ok(latest)
    }

    /// The last entry of a log that is damaged further ahead: what the last batch ends with whose end is there. That may be
    /// more than was ever acknowledged (if the batch is a torn one, or ends with a truncation), which does no harm to whoever
    /// counts on it; less would. `None` if it cannot be told: batches must reach at least as far as the log did when it was
    /// last opened.
    fn last_entry_behind(&mut self) -> io::Result<Option<(Seq, Arc<[u8]>)>> {
        let (life, life_start) = (self.superblock.life, self.superblock.life_start);
        let (mut at, mut last, mut whole_upto) = (next_sector(Lsn(self.end.0 + 1)), None, Lsn(0));
        while at < self.limit {
            let (mut next, mut entry, mut number) = (at, None, None);
            while next < self.limit {
                let Ok(WalRecord { header, tag, .. }) = WalRecord::decode(self.bytes(next)?, true) else {
                    break;
                };
                let of_this_log = header.life == life || next.0 < life_start && header.life < life;
                if header.lsn != next.0 || !of_this_log || number.is_some_and(|n| n != header.batch) {
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
        Ok(last.filter(|_| whole_upto.0 >= life_start))
    }

    /// The bytes from `at` on: as many as a record may have, if the lap has as many.
    fn bytes(&mut self, at: Lsn) -> io::Result<&[u8]> {
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
