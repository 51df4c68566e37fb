//! The engine: appends, syncs, truncates, applies. Reading is in `read.rs`, what has room in `claim.rs`.
//!
//! An entry is *tentative* when appended, *durable* when the batch it went out with is back, and *visible* when
//! applied. In this order only: `applied <= durable <= last`. A tentative entry can be truncated, an applied one never.

use std::io;
use std::sync::Arc;

use trace::{Kind, Mechanisms, Tracer, emit};

use crate::allocator::Allocator;
use crate::cache::Cache;
use crate::checkpoint::{Checkpoint, Run};
use crate::claim::Claim;
use crate::device::Device;
use crate::error::{AppendError, ApplyError, Blocked, Damage, OpenError, WriteError, Zone};
use crate::format::checkpoint_chunk::{ChunkRef, Slot};
use crate::format::data_record;
use crate::format::superblock::{self, Superblock};
use crate::format::wal_record::{
    DELETE, NOP, PUT, TRUNCATE, WalHeader, WalRecord, condition_code, record_bytes,
};
use crate::guard;
use crate::index::Index;
use crate::log::{Batch, Log};
use crate::prepare;
use crate::quarantine::{Quarantine, Waiting};
use crate::recent::Recent;
use crate::recovery::{RecoveryReport, recover};
use crate::transfer::Install;
use crate::types::{
    Condition, Entry, Extent, Identity, KEY_BYTES_MAX, Layout, Lsn, Op, Outcome, Reserve, Seq, Standing,
    Synced, TAG_BYTES_MAX, UNIT, VALUE_BYTES_MAX,
};

/// One device, open.
#[derive(Clone, Debug)]
pub struct Engine<D> {
    pub(crate) device: D,
    pub(crate) mechanisms: Mechanisms,
    /// As stored in both slots, but for the generation of the older one.
    pub(crate) superblock: Superblock,
    /// The slot with the greater generation.
    newest: usize,
    poisoned: bool,
    pub(crate) damage: Option<Damage>,
    /// With `damage`: the last entry of the log, where it is known, although what is before it cannot be read.
    had: Option<(Seq, Arc<[u8]>)>,
    /// As of `applied`.
    pub(crate) index: Index,
    pub(crate) applied: Seq,
    /// At least `applied`, at most the last of `log`.
    pub(crate) durable: Seq,
    pub(crate) log: Log,
    pub(crate) recent: Recent,
    pub(crate) cache: Cache,
    pub(crate) allocator: Allocator,
    pub(crate) quarantine: Quarantine,
    /// Of the checkpoint in force.
    pub(crate) host_state: Vec<u8>,
    pub(crate) chunks: Vec<ChunkRef>,
    /// The room of the puts that are not applied.
    pub(crate) tentative: Claim,
    pub(crate) run: Option<Run>,
    pub(crate) install: Option<Install>,
    /// Something was refused for want of space that a checkpoint might give back.
    pub(crate) starved: bool,
}

impl<D: Device> Engine<D> {
    /// Opens a formatted device. Never formats. The commit point is the checkpoint's; later entries come back
    /// tentative, and durable, for the owner to apply or truncate.
    ///
    /// A device whose log or checkpoint is damaged opens too, with [`damage`](Engine::damage) set: for reading, for
    /// promises, and for [`give_up_damaged`](Engine::give_up_damaged).
    pub fn open(
        device: D,
        identity: &Identity,
        mechanisms: Mechanisms,
        t: &mut Tracer,
    ) -> Result<(Engine<D>, RecoveryReport), OpenError> {
        let recovered = match recover(&device, identity, mechanisms) {
            Err(OpenError::NotFormatted | OpenError::Corrupt(_)) if !guard::no_silent_format(mechanisms) => {
                prepare::reformat(&device, identity, Standing::Member, Layout::default())
                    .map_err(|error| OpenError::Io(io::Error::other(error)))?;
                recover(&device, identity, mechanisms)?
            }
            result => result?,
        };
        let report = recovered.report;
        let (superblock, newest, log) = (recovered.superblock, recovered.newest, recovered.log);
        emit!(
            t,
            Kind::DeviceOpened {
                life: superblock.life,
                generation: superblock.generation,
                checkpoint: superblock.checkpoint_seq,
                last: log.last(),
                discarded: report.discarded_bytes,
            }
        );
        if let Some(Damage { zone, offset, found, .. }) = &report.damage {
            let zone = format!("{zone:?}").to_lowercase();
            emit!(t, Kind::CorruptionFound { zone, offset: *offset, why: found.clone() });
        }
        let mut engine = Engine {
            device,
            mechanisms,
            superblock,
            newest,
            poisoned: false,
            damage: report.damage.clone(),
            had: recovered.had,
            index: Index::default(),
            applied: superblock.checkpoint_seq,
            durable: log.last(),
            tentative: log.tentative.iter().map(Claim::of_entry).sum(),
            log,
            recent: Recent::default(),
            cache: Cache::new(0),
            allocator: recovered.allocator,
            quarantine: Quarantine::default(),
            host_state: Vec::new(),
            chunks: Vec::new(),
            run: None,
            install: None,
            starved: false,
        };
        engine.adopt(recovered.checkpoint);
        Ok((engine, report))
    }

    /// Takes over a checkpoint's contents.
    pub(crate) fn adopt(&mut self, checkpoint: Checkpoint) {
        let Checkpoint { index, host_state, chunks, .. } = checkpoint;
        (self.index, self.host_state, self.chunks) = (index, host_state, chunks);
    }

    /// Appends an entry behind the last one. It is in memory until the next sync, and nothing is written before.
    pub fn append(&mut self, op: Op, tag: &[u8], t: &mut Tracer) -> Result<Seq, AppendError> {
        self.writable()?;
        let (kind, condition) = match &op {
            Op::Put { condition, .. } => (PUT, *condition),
            Op::Delete { condition, .. } => (DELETE, *condition),
            Op::Nop => (NOP, Condition::Always),
        };
        let key = op.key().cloned().unwrap_or_default();
        check_sizes(&op, &key, tag)?;
        if let Err((needed, free)) = self.log.room(record_bytes(key.len(), tag.len()), Reserve::Truncations) {
            self.starved = true;
            return Err(AppendError::WalFull { needed, free });
        }
        let seq = self.last_seq() + 1;
        let (condition, version) = condition_code(condition);
        let mut header = WalHeader { kind, seq, condition, version, ..WalHeader::default() };
        if let Op::Put { value, .. } = &op {
            let whole = self.place(&key, value.len())?;
            let (pieces, start) = (self.allocator.pieces(&whole), self.superblock.data_offset);
            let first = data_record::lay_out(seq, value, pieces, |at, header, piece| {
                self.log.push_value(start + at.unit * UNIT, &header, piece)
            });
            (header.unit, header.value_bytes, header.value_crc) = (whole.unit, value.len() as u32, first.crc);
            header.pieces = pieces.len() as u32;
        }
        let (lsn, extent, bytes) = (self.log.end.0, header.unit, u64::from(header.value_bytes));
        let tag: Arc<[u8]> = if tag.is_empty() { Arc::default() } else { tag.into() };
        self.tentative += Claim::of_entry(self.log.push_entry(header, key, tag.clone()));
        self.recent.push(Entry { seq, tag, op }, self.durable);
        emit!(t, Kind::RecordWritten { seq, lsn, extent, bytes });
        Ok(seq)
    }

    /// Undoes the entries from `from` on, which must not be applied. The log says so in a record, because what is
    /// durable cannot be unwritten; their seqs are given out again. Durable with the next sync,
    /// or with a checkpoint before it: a replay that starts behind the entries does not see them.
    ///
    /// # Panics
    /// If `from` is applied: a committed entry is never undone (E2).
    pub fn truncate(&mut self, from: Seq, t: &mut Tracer) -> Result<(), WriteError> {
        self.writable()?;
        assert!(from > self.applied, "E2: entry {from} is applied, and cannot be truncated");
        if from > self.last_seq() {
            return Ok(());
        }
        if let Err((needed, free)) = self.log.room(record_bytes(0, 0), Reserve::Nothing) {
            self.starved = true;
            return Err(WriteError::WalFull { needed, free });
        }
        let lsn = self.log.end.0;
        let header = WalHeader { kind: TRUNCATE, seq: from, ..WalHeader::default() };
        let end = self.log.push(header, Arc::default(), Arc::default()).end();
        self.log.entries.truncate((from - self.log.first) as usize);
        for record in self.log.tentative.split_off((from - self.applied - 1) as usize) {
            self.tentative -= Claim::of_entry(&record);
            match self.unowned(&record).map(|slot| Waiting::new(&record.key, slot)) {
                Some(undone) if guard::extent_quarantine(self.mechanisms) => {
                    self.quarantine.truncated_by(end, undone)
                }
                Some(undone) => self.allocator.free_value(undone.extent),
                None => {}
            }
        }
        self.recent.truncate(from);
        self.durable = self.durable.min(from - 1);
        emit!(t, Kind::TruncationWritten { from, lsn });
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
    pub fn end_sync(
        &mut self,
        batch: Batch,
        result: io::Result<()>,
        t: &mut Tracer,
    ) -> Result<Synced, WriteError> {
        assert_eq!(self.log.out.take(), Some(batch.number), "E1: not the batch that is out");
        self.writable()?;
        if let Err(error) = result {
            return Err(self.failed(error.into(), t));
        }
        let durable_before = std::mem::replace(&mut self.log.durable, batch.end).0;
        self.durable = self.log.durable_seq();
        self.quarantine.release_durable(batch.end, &mut self.allocator);
        if t.is_on() {
            let (writes, bytes) = batch.size();
            let (number, durable, micros) = (batch.number, batch.end.0, batch.micros);
            emit!(t, Kind::DeviceSynced { batch: number, durable_before, durable, writes, bytes, micros });
        }
        self.log.reuse(batch);
        Ok(self.receipt())
    }

    /// Makes everything appended so far durable.
    pub fn sync(&mut self, t: &mut Tracer) -> Result<Synced, WriteError> {
        self.writable()?;
        if self.log.out.is_some() {
            return Err(WriteError::BatchOut);
        }
        let Some(batch) = self.begin_sync() else { return Ok(self.receipt()) };
        let result = batch.write(&self.device);
        self.end_sync(batch, result, t)
    }

    fn receipt(&self) -> Synced {
        Synced { durable_lsn: self.log.durable, durable_seq: self.durable }
    }

    /// Applies entry `applied_seq + 1`, which must be durable here; with `skip`, advances without its effect (the
    /// owner knows that the request took effect before). Its condition is decided now: success and refusal are both
    /// results of the log.
    pub fn apply(&mut self, skip: bool, _t: &mut Tracer) -> Result<Outcome, ApplyError> {
        self.writable()?;
        let (seq, last, durable) = (self.applied + 1, self.last_seq(), self.durable);
        if seq > last {
            return Err(ApplyError::Missing { seq, last });
        }
        if seq > durable {
            return Err(ApplyError::NotDurable { seq, durable });
        }
        let record = self.log.tentative.pop_front();
        let record = record.expect("E2: an entry that is not applied still has its record");
        self.tentative -= Claim::of_entry(&record);
        self.applied = seq;
        let mut outcome = self.decide(&record, skip);
        // What the entry leaves without an owner: the value that it replaced, or its own if it has no effect.
        let retired = match &mut outcome {
            Outcome::Written(_) => {
                let slot = record.slot().expect("E4: only a put is written");
                let before = self.index.insert(&record.key, slot);
                match self.recent.get(seq).map(|entry| &entry.op) {
                    Some(Op::Put { value, .. }) => self.cache.update(&record.key, seq, value),
                    _ => self.cache.remove(&record.key),
                }
                self.save(&record.key, before);
                before.filter(|old| old.extent() != slot.extent())
            }
            Outcome::Deleted { existed } => {
                let before = self.index.remove(&record.key);
                self.cache.remove(&record.key);
                self.save(&record.key, before);
                *existed = before.is_some();
                before
            }
            _ => self.unowned(&record),
        };
        match retired.map(|slot| Waiting::new(&record.key, slot)) {
            Some(retired) if guard::extent_quarantine(self.mechanisms) => {
                self.quarantine.freed_by(seq, retired)
            }
            Some(retired) => self.allocator.free_value(retired.extent),
            None => {}
        }
        Ok(outcome)
    }

    /// What an entry does; whether there is something to delete is seen when it is deleted.
    fn decide(&self, record: &WalRecord, skip: bool) -> Outcome {
        if skip || record.header.kind == NOP {
            return Outcome::Nothing;
        }
        let condition = record.condition();
        if condition != Condition::Always {
            let current = self.index.get(&record.key).map(|slot| slot.version);
            if !condition.holds(current) {
                return Outcome::ConditionFailed { current };
            }
        }
        match record.header.kind {
            PUT => Outcome::Written(record.header.seq),
            _ => Outcome::Deleted { existed: false },
        }
    }

    fn save(&mut self, key: &[u8], before: Option<Slot>) {
        if let Some(run) = &mut self.run {
            run.save(key, before);
        }
    }

    /// The value of a put without effect, unless it is where the live one is (which was overwritten in place).
    fn unowned(&self, record: &WalRecord) -> Option<Slot> {
        let live = self.index.get(&record.key).map(|slot| slot.extent());
        record.slot().filter(|slot| live != Some(slot.extent()))
    }

    /// Applies all entries up to `upto`, for an owner that skips none.
    pub fn commit(&mut self, upto: Seq, t: &mut Tracer) -> Result<Vec<(Seq, Outcome)>, ApplyError> {
        let mut outcomes = Vec::new();
        while self.applied < upto {
            let outcome = self.apply(false, t)?;
            outcomes.push((self.applied, outcome));
        }
        Ok(outcomes)
    }

    /// Stores the promise of `epoch`, in both superblocks. Blocks for two syncs; may be called while a batch is out.
    ///
    /// Of a damaged device as well: the superblock is whole, or the device would not have been opened.
    pub fn promise(&mut self, epoch: u64, t: &mut Tracer) -> Result<(), WriteError> {
        self.not_poisoned()?;
        let before = self.promised();
        if epoch <= before {
            return Err(WriteError::StalePromise { asked: epoch, promised: before });
        }
        let next = Superblock { promise: epoch, ..self.superblock };
        self.store(next).map_err(|error| self.failed(error, t))?;
        emit!(t, Kind::PromiseStored { before, epoch, generation: self.superblock.generation });
        Ok(())
    }

    /// Stores another standing, of a damaged device as well.
    pub fn set_standing(&mut self, standing: Standing, t: &mut Tracer) -> Result<(), WriteError> {
        self.not_poisoned()?;
        let (before, mut next) = (self.standing(), self.superblock);
        next.set_standing(standing);
        self.store(next).map_err(|error| self.failed(error, t))?;
        let name = |standing: Standing| format!("{standing:?}").to_lowercase();
        emit!(t, Kind::StandingStored { before: name(before), standing: name(standing) });
        Ok(())
    }

    /// Makes `next` durable in both slots.
    pub(crate) fn store(&mut self, next: Superblock) -> Result<(), WriteError> {
        assert!(next.promise >= self.superblock.promise, "E5: the promise never goes back");
        (self.superblock, self.newest) = superblock::store(&self.device, self.newest, next, self.mechanisms)?;
        Ok(())
    }

    /// Passes an error on; one of the device stops the engine.
    pub(crate) fn failed(&mut self, error: WriteError, t: &mut Tracer) -> WriteError {
        if let WriteError::Io(io) = &error
            && guard::poison_on_io_error(self.mechanisms)
        {
            self.poisoned = true;
            emit!(t, Kind::DevicePoisoned { why: io.to_string() });
        }
        error
    }

    pub(crate) fn not_poisoned(&self) -> Result<(), Blocked> {
        if self.poisoned { Err(Blocked::Poisoned) } else { Ok(()) }
    }

    pub(crate) fn writable(&self) -> Result<(), Blocked> {
        match &self.damage {
            _ if self.poisoned => Err(Blocked::Poisoned),
            Some(_) => Err(Blocked::Damaged),
            None => Ok(()),
        }
    }

    pub(crate) fn offset_of(&self, extent: Extent) -> u64 {
        self.superblock.data_offset + extent.unit * UNIT
    }

    /// The last entry of the log, durable or not.
    pub fn last_seq(&self) -> Seq {
        self.log.last()
    }

    /// Every entry up to this one is durable.
    pub fn durable_seq(&self) -> Seq {
        self.durable
    }

    /// The last entry applied.
    pub fn applied_seq(&self) -> Seq {
        self.applied
    }

    /// Where the next record goes.
    pub fn appended_lsn(&self) -> Lsn {
        self.log.end
    }

    /// Everything that ends at or before this position is durable.
    pub fn durable_lsn(&self) -> Lsn {
        self.log.durable
    }

    /// Is anything appended that is not durable, in a batch or waiting for one?
    pub fn has_unsynced(&self) -> bool {
        self.log.end > self.log.durable
    }

    /// The entry up to which the checkpoint in force has the effects.
    pub fn checkpoint_seq(&self) -> Seq {
        self.superblock.checkpoint_seq
    }

    /// The owner's state of the checkpoint in force; empty at first.
    pub fn host_state(&self) -> &[u8] {
        &self.host_state
    }

    /// The greatest epoch promised.
    pub fn promised(&self) -> u64 {
        self.superblock.promise
    }

    /// What the owner may conclude from this device.
    pub fn standing(&self) -> Standing {
        self.superblock.standing()
    }

    /// Whose device it is.
    pub fn identity(&self) -> Identity {
        self.superblock.identity()
    }

    /// Set if the log or the checkpoint is damaged, and the engine only reads.
    pub fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    /// Of a damaged device: the last entry that its log had and that entry's tag, if that can be told. All that it
    /// acknowledged was up to there.
    pub fn had(&self) -> Option<(Seq, &[u8])> {
        self.had.as_ref().map(|(seq, tag)| (*seq, &**tag))
    }

    /// Of a damaged device: is what is in memory, checkpoint and log, what was there before the damage began?
    pub fn is_readable_up_to_damage(&self) -> bool {
        self.damage.as_ref().is_none_or(|damage| damage.zone == Zone::Wal)
    }

    /// Epoch and seq of the last entry that this device had when it gave some up, damaged or for want of room.
    pub fn owed(&self) -> (u64, Seq) {
        (self.superblock.owed_epoch, self.superblock.owed_seq)
    }

    /// Has a write or sync failed?
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// The device.
    pub fn device(&self) -> &D {
        &self.device
    }
}

fn check_sizes(op: &Op, key: &[u8], tag: &[u8]) -> Result<(), AppendError> {
    match op {
        Op::Put { .. } | Op::Delete { .. } if key.is_empty() => Err(AppendError::KeyEmpty),
        _ if key.len() > KEY_BYTES_MAX => Err(AppendError::KeyTooLong { bytes: key.len() }),
        _ if tag.len() > TAG_BYTES_MAX => Err(AppendError::TagTooLong { bytes: tag.len() }),
        Op::Put { value, .. } if value.len() > VALUE_BYTES_MAX => {
            Err(AppendError::ValueTooLong { bytes: value.len() })
        }
        _ => Ok(()),
    }
}
