//! Entries to the end of the log: appended, made durable in batches, or truncated.

use std::io;
use std::sync::Arc;

use trace::{Kind, emit};

use super::Engine;
use crate::device::Device;
use crate::error::WriteError;
use crate::format::value_ref::ValueRef;
use crate::format::wal_record::{
    DELETE, NOP, PUT, TRUNCATE, WalHeader, WalRecord, condition_code, record_bytes, record_bytes_max,
};
use crate::log::Batch;
use crate::space::{Claim, Until};
use crate::types::{
    Condition, Entry, KEY_BYTES_MAX, Op, Reserve, Seq, Sizes, Synced, TAG_BYTES_MAX, VALUE_BYTES_MAX,
};

impl<D: Device> Engine<D> {
    /// Appends an entry behind the last one. It is in memory until the next sync, and nothing is written before.
    pub fn append(&mut self, op: Op, tag: &[u8]) -> Result<Seq, WriteError> {
        self.writable()?;
        let (kind, condition) = match &op {
            Op::Put { condition, .. } => (PUT, *condition),
            Op::Delete { condition, .. } => (DELETE, *condition),
            Op::Nop => (NOP, Condition::Always),
        };
        let key = op.key().cloned().unwrap_or_default();
        check_sizes(&op, &key, tag)?;
        if let Err((needed, free)) =
            self.log.room(record_bytes_max(Sizes::from(&op), tag.len()).into(), Reserve::Truncations)
        {
            self.starved = true;
            return Err(WriteError::WalFull { needed, free });
        }
        let seq = self.last_seq() + 1;
        let (condition, version) = condition_code(condition);
        let mut stored = None;
        let header = WalHeader { kind, seq, condition, version, ..WalHeader::default() };
        if let Op::Put { value, .. } = &op {
            let placed = ValueRef::of(seq, value, &self.place(&key, value.len())?);
            for (extent, part) in placed.parts(value) {
                self.log.values.push(self.space.superblock.offset_of(extent.unit), extent.units, part);
            }
            stored = Some(placed);
        }
        let lsn = self.log.end.0;
        let extent = stored.as_ref().map_or(0, ValueRef::first_unit);
        let bytes = stored.as_ref().map_or(0, |value| value.value_bytes().into());
        let tag: Arc<[u8]> = if tag.is_empty() { Arc::default() } else { tag.into() };
        let record = WalRecord { header, key, tag: tag.clone(), value: stored };
        self.space.tentative = self.space.tentative + Claim::of_entry(&record);
        self.log.push_entry(record);
        self.recent.push(Entry { seq, tag, op }, self.durable);
        emit!(self.notes, Kind::RecordWritten { seq, lsn, extent, bytes });
        self.check();
        Ok(seq)
    }

    /// Undoes the entries from `from` on, which must not be applied. The log says so in a record, because what is
    /// durable cannot be unwritten; their seqs are given out again. Durable with the next sync,
    /// or with a checkpoint before it: a replay that starts behind the entries does not see them.
    ///
    /// # Panics
    /// If `from` is applied: a committed entry is never undone (E2).
    pub fn truncate(&mut self, from: Seq) -> Result<(), WriteError> {
        self.writable()?;
        assert!(from > self.applied, "E2: entry {from} is applied, and cannot be truncated");
        if from > self.last_seq() {
            return Ok(());
        }
        if let Err((needed, free)) = self.log.room(record_bytes(0, 0, 0).into(), Reserve::Nothing) {
            self.starved = true;
            return Err(WriteError::WalFull { needed, free });
        }
        let lsn = self.log.end.0;
        let header = WalHeader { kind: TRUNCATE, seq: from, ..WalHeader::default() };
        let record = WalRecord { header, key: Arc::default(), tag: Arc::default(), value: None };
        let end = self.log.push(record).end();
        self.log.entries.truncate((from - self.log.first) as usize);
        for record in self.log.tentative.split_off((from - self.applied - 1) as usize) {
            self.space.tentative = self.space.tentative - Claim::of_entry(&record);
            if let Some(value) = record.value {
                let live = self.index.get(&record.key);
                self.space.retire(&record.key, value, live, Until::Durable(end));
            }
        }
        self.recent.truncate(from);
        self.durable = self.durable.min(from - 1);
        emit!(self.notes, Kind::TruncationWritten { from, lsn });
        self.check();
        Ok(())
    }

    /// Takes all that was appended since the last batch, as one batch; `None` if that is nothing, if another batch is
    /// out, or if the engine does not write. Write it with [`Batch::write`], on any thread, and give it back to
    /// [`end_sync`](Engine::end_sync).
    pub fn begin_sync(&mut self) -> Option<Batch> {
        self.writable().ok()?;
        self.log.take_batch(self.mechanisms)
    }

    /// Takes back a batch with the result of writing it. An error poisons the engine.
    ///
    /// # Panics
    /// If it is not the batch that is out.
    pub fn end_sync(&mut self, batch: Batch, result: io::Result<()>) -> Result<Synced, WriteError> {
        assert_eq!(self.log.out.take(), Some(batch.number), "E1: not the batch that is out");
        self.writable()?;
        if let Err(error) = result {
            return Err(self.failed(error.into()));
        }
        let durable_before = std::mem::replace(&mut self.log.durable, batch.end).0;
        self.durable = self.log.durable_seq();
        self.space.release(Until::Durable(batch.end), usize::MAX);
        if self.notes.is_on() {
            let (writes, bytes) = batch.size();
            let (number, durable, micros) = (batch.number, batch.end.0, batch.micros);
            emit!(
                self.notes,
                Kind::DeviceSynced { batch: number, durable_before, durable, writes, bytes, micros }
            );
        }
        self.log.reuse(batch);
        self.check();
        Ok(self.synced())
    }

    /// Makes everything appended so far durable.
    pub fn sync(&mut self) -> Result<Synced, WriteError> {
        self.writable()?;
        if self.log.out.is_some() {
            return Err(WriteError::BatchOut);
        }
        let Some(batch) = self.begin_sync() else { return Ok(self.synced()) };
        let result = batch.write(&self.space.device);
        self.end_sync(batch, result)
    }
}

fn check_sizes(op: &Op, key: &[u8], tag: &[u8]) -> Result<(), WriteError> {
    match op {
        Op::Put { .. } | Op::Delete { .. } if key.is_empty() => Err(WriteError::KeyEmpty),
        _ if key.len() > KEY_BYTES_MAX => Err(WriteError::KeyTooLong { bytes: key.len() }),
        _ if tag.len() > TAG_BYTES_MAX => Err(WriteError::TagTooLong { bytes: tag.len() }),
        Op::Put { value, .. } if value.len() > VALUE_BYTES_MAX => {
            Err(WriteError::ValueTooLong { bytes: value.len() })
        }
        _ => Ok(()),
    }
}
