//! One device, open: its parts in memory, the facts about it, and what its superblock says on its own.
//!
//! An entry is *tentative* when appended, *durable* when the batch it went out with is back, and *visible* when
//! applied. In this order only: `applied <= durable <= last`. A tentative entry can be truncated, an applied one never.
//!
//! What is done with a device is in `engine/`, one file for each operation.

pub(crate) mod admit;
mod append;
mod apply;
mod checkpoint;
mod install;
mod invariants;
mod mend;
mod open;
pub(crate) mod owners;
mod read;
pub(crate) mod report;
mod start_over;
mod transfer;
pub(crate) mod upkeep;

use std::sync::Arc;

use trace::{Kind, Mechanisms, Source, emit};

use crate::device::Device;
use crate::error::{Damage, ReadError, WriteError, Zone};
use crate::format::checkpoint_chunk::ChunkRef;
use crate::format::superblock::Superblock;
use crate::format::wal_record::WalRecord;
use crate::guard;
use crate::log::{Log, Recent};
use crate::notes::Notes;
use crate::space::Space;
use crate::state::{Index, Install, NewCheckpoint};
use crate::types::{Identity, Lsn, Seq, Standing, Synced};

/// One device, open.
#[derive(Clone, Debug)]
pub struct Engine<D> {
    space: Space<D>,
    mechanisms: Mechanisms,
    poisoned: bool,
    damage: Option<Damage>,
    /// With `damage`: the last entry of the log, where it is known, although what is before it cannot be read.
    had: Option<(Seq, Arc<[u8]>)>,
    /// As of `applied`.
    index: Index,
    applied: Seq,
    /// At least `applied`, at most the last of `log`.
    durable: Seq,
    log: Log,
    recent: Recent,
    /// Of the checkpoint in force.
    host_state: Vec<u8>,
    chunks: Vec<ChunkRef>,
    new_checkpoint: Option<NewCheckpoint>,
    install: Option<Install>,
    /// Something was refused for want of space that a checkpoint might give back.
    starved: bool,
    notes: Notes,
}

impl<D: Device> Engine<D> {
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

    /// The receipt of the last sync, or of what opening or an installation made durable.
    pub fn synced(&self) -> Synced {
        Synced { durable_lsn: self.log.durable, durable_seq: self.durable }
    }

    /// Is anything appended that is not durable, in a batch or waiting for one?
    pub fn has_unsynced(&self) -> bool {
        self.log.end > self.log.durable
    }

    /// The entry up to which the checkpoint in force has the effects.
    pub fn checkpoint_seq(&self) -> Seq {
        self.space.superblock.checkpoint_seq
    }

    /// The owner's state of the checkpoint in force; empty at first.
    pub fn host_state(&self) -> &[u8] {
        &self.host_state
    }

    /// The greatest epoch promised.
    pub fn promised(&self) -> u64 {
        self.space.superblock.promise
    }

    /// What the owner may conclude from this device.
    pub fn standing(&self) -> Standing {
        self.space.superblock.standing()
    }

    /// Whose device it is.
    pub fn identity(&self) -> Identity {
        self.space.superblock.identity()
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
        (self.space.superblock.owed_epoch, self.space.superblock.owed_seq)
    }

    /// Has a write or sync failed?
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// From now on notes what happens, or does not: an owner that says yes takes the [`notes`](Engine::notes) out after each
    /// operation. At first the engine notes nothing but how it was opened.
    pub fn listen(&mut self, on: bool) {
        self.notes.on = on;
    }

    /// Takes out what happened since the last time, in order: the events of the trace, each with the line behind it.
    pub fn notes(&mut self) -> impl Iterator<Item = (Kind, Source)> + '_ {
        self.notes.noted.drain(..)
    }

    /// The device.
    pub fn device(&self) -> &D {
        &self.space.device
    }

    /// Stores the promise of `epoch`, in both superblocks. Blocks for two syncs; may be called while a batch is out.
    ///
    /// Of a damaged device as well: the superblock is whole, or the device would not have been opened.
    pub fn promise(&mut self, epoch: u64) -> Result<(), WriteError> {
        self.not_poisoned()?;
        let before = self.promised();
        if epoch <= before {
            return Err(WriteError::StalePromise { asked: epoch, promised: before });
        }
        let next = Superblock { promise: epoch, ..self.space.superblock };
        self.store(next)?;
        emit!(
            self.notes,
            Kind::PromiseStored { before, epoch, generation: self.space.superblock.generation }
        );
        self.check();
        Ok(())
    }

    /// Stores another standing, of a damaged device as well.
    pub fn set_standing(&mut self, standing: Standing) -> Result<(), WriteError> {
        self.not_poisoned()?;
        let (before, mut next) = (self.standing(), self.space.superblock);
        next.set_standing(standing);
        self.store(next)?;
        let name = |standing: Standing| format!("{standing:?}").to_lowercase();
        emit!(self.notes, Kind::StandingStored { before: name(before), standing: name(standing) });
        self.check();
        Ok(())
    }

    /// Makes `next` durable in both slots.
    fn store(&mut self, next: Superblock) -> Result<(), WriteError> {
        self.space.store(next).map_err(|error| self.failed(error.into()))
    }

    /// Passes an error on; one of the device stops the engine.
    fn failed(&mut self, error: WriteError) -> WriteError {
        if let WriteError::Io(io) = &error
            && guard::poison_on_io_error(self.mechanisms)
        {
            self.poisoned = true;
            emit!(self.notes, Kind::DevicePoisoned { why: io.to_string() });
        }
        error
    }

    fn not_poisoned(&self) -> Result<(), WriteError> {
        if self.poisoned { Err(WriteError::Poisoned) } else { Ok(()) }
    }

    fn writable(&self) -> Result<(), WriteError> {
        match &self.damage {
            _ if self.poisoned => Err(WriteError::Poisoned),
            Some(_) => Err(WriteError::Damaged),
            None => Ok(()),
        }
    }

    fn readable(&self) -> Result<(), ReadError> {
        if self.poisoned { Err(ReadError::Poisoned) } else { Ok(()) }
    }

    /// The record of an entry that is not applied.
    fn tentative(&self, seq: Seq) -> Option<&WalRecord> {
        self.log.tentative.get(usize::try_from(seq.checked_sub(self.applied + 1)?).ok()?)
    }
}
