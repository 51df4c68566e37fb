//! Checkpoints: made in small steps beside traffic, and what takes effect when.
//!
//! A checkpoint takes effect by the flip of the superblock, after everything else of it is durable (`atomic-checkpoint`).
//! Only then is given back what recovery no longer needs: the checkpoint before, the log before, and extents whose values
//! were replaced before it.

use trace::{Kind, emit};

use super::Engine;
use crate::device::Device;
use crate::error::WriteError;
use crate::space::Until;
use crate::state::{NewCheckpoint, STEP_ITEMS, Stage};
use crate::types::CheckpointProgress;

impl<D: Device> Engine<D> {
    /// Is it time for a checkpoint, and would one help? When the log is half full; when values that were replaced hold
    /// much; or when something was refused for want of space.
    pub fn checkpoint_due(&self) -> bool {
        if self.new_checkpoint.is_some() || self.install.is_some() || self.writable().is_err() {
            return false;
        }
        let frees_log = self.log.replay_point(self.applied).0 > self.log.start;
        let quarantined = self.space.quarantine.claim.units;
        let frees_values = quarantined > 0 && self.applied > self.checkpoint_seq();
        frees_log && (self.log.used() * 2 > self.log.ring.bytes || self.starved)
            || frees_values && (quarantined > self.much_replaced() || self.starved)
    }

    /// Is one under way?
    pub fn checkpoint_running(&self) -> bool {
        self.new_checkpoint.is_some()
    }

    /// Begins a checkpoint as of `applied_seq`, with the owner's state as of the same entry. Does nothing if one is
    /// under way, or if the engine does not write.
    pub fn checkpoint_begin(&mut self, host_state: Vec<u8>) {
        if self.new_checkpoint.is_some() || self.writable().is_err() {
            return;
        }
        let (seq, keys) = (self.applied, self.index.len());
        emit!(self.notes, Kind::CheckpointBegun { seq, keys });
        self.new_checkpoint = Some(NewCheckpoint::new(seq, &self.index, host_state));
        self.check();
    }

    /// One bounded step: a chunk is written, or the superblock flipped, or a share of what became reusable given back.
    /// May be called while a batch is out: chunks go to free extents, and the log does not move before the flip.
    ///
    /// `NoSpace` gives the checkpoint up: the old one stays, nothing is lost.
    pub fn checkpoint_step(&mut self) -> Result<CheckpointProgress, WriteError> {
        self.writable()?;
        let Some(new) = &mut self.new_checkpoint else { return Ok(CheckpointProgress::Idle) };
        let seq = new.seq;
        let done = match new.stage {
            Stage::Writing => new.write_some(&mut self.space, &self.index).map(|more| {
                if !more {
                    new.stage = Stage::Flipping;
                }
                false
            }),
            Stage::Flipping => self.flip().map(|()| false),
            Stage::Releasing(_) => Ok(self.release_some()),
        };
        match done {
            Ok(done) => {
                self.new_checkpoint.take_if(|_| done);
                self.check();
                Ok(if done { CheckpointProgress::Done { seq } } else { CheckpointProgress::Working })
            }
            Err(error) => {
                self.new_checkpoint.take().into_iter().for_each(|new| new.free_chunks(&mut self.space));
                self.starved = false;
                Err(self.failed(error))
            }
        }
    }

    /// A whole checkpoint at once.
    pub fn checkpoint(&mut self, host_state: Vec<u8>) -> Result<(), WriteError> {
        while self.new_checkpoint.is_some() {
            self.checkpoint_step()?;
        }
        self.checkpoint_begin(host_state);
        while self.checkpoint_step()? == CheckpointProgress::Working {}
        Ok(())
    }

    /// The checkpoint takes effect: log and values before it are not needed any more.
    fn flip(&mut self) -> Result<(), WriteError> {
        let Some(new) = &mut self.new_checkpoint else { return Ok(()) };
        self.space.sync_chunks()?;
        let before = self.space.superblock.checkpoint_seq;
        let mut next = self.space.superblock;
        next.set_checkpoint(new.seq, new.head());
        let (start, batch) = self.log.replay_point(new.seq);
        (next.replay_lsn, next.replay_batch) = (start.0, batch);
        self.space.store(next)?;
        self.log.start = start;
        let old = std::mem::replace(&mut self.chunks, new.take_chunks());
        new.stage = Stage::Releasing(old);
        self.host_state = std::mem::take(&mut new.host_state);
        self.space.host_bytes = self.host_state.len() as u64;
        let generation = self.space.superblock.generation;
        emit!(self.notes, Kind::CheckpointDone { before, seq: new.seq, generation });
        Ok(())
    }

    /// Gives back some of what only the checkpoint before needed: its chunks, values that were replaced since, entries of
    /// the log. True when nothing is left to give.
    fn release_some(&mut self) -> bool {
        let Some(NewCheckpoint { seq, stage: Stage::Releasing(old), .. }) = &mut self.new_checkpoint else {
            return true;
        };
        let chunks = old.drain(old.len().saturating_sub(STEP_ITEMS)..);
        let mut left = STEP_ITEMS - chunks.len();
        chunks.for_each(|chunk| self.space.allocator.free(chunk.extent()));
        left -= self.space.release(Until::Checkpoint(*seq), left);
        left -= self.log.forget(*seq, left);
        self.starved &= left == 0;
        left > 0
    }
}
