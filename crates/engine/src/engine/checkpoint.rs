//! Checkpoints: made in small steps beside traffic, and what takes effect when.
//!
//! A checkpoint takes effect by the flip of the superblock, after everything else of it is durable (`atomic-checkpoint`).
//! Only then is given back what recovery no longer needs: the checkpoint before, the log before, and extents whose values
//! were replaced before it.

use trace::{Kind, emit};

use super::Engine;
use crate::device::Device;
use crate::error::WriteError;
use crate::guard;
use crate::state::{Run, STEP_ITEMS, Stage};
use crate::types::CheckpointProgress;

impl<D: Device> Engine<D> {
    /// Is it time for a checkpoint, and would one help? When the log is half full; when values that were replaced hold
    /// much; or when something was refused for want of space.
    pub fn checkpoint_due(&self) -> bool {
        if self.run.is_some() || self.install.is_some() || self.writable().is_err() {
            return false;
        }
        let frees_log = self.log.replay_point(self.applied).0 > self.log.start;
        let quarantined = self.quarantine.units();
        let frees_values = quarantined > 0 && self.applied > self.checkpoint_seq();
        frees_log && (self.log.used() * 2 > self.log.ring.bytes || self.starved)
            || frees_values && (quarantined > self.much_replaced() || self.starved)
    }

    /// Is one under way?
    pub fn checkpoint_running(&self) -> bool {
        self.run.is_some()
    }

    /// Begins a checkpoint as of `applied_seq`, with the owner's state as of the same entry. Does nothing if one is
    /// under way, or if the engine does not write.
    pub fn checkpoint_begin(&mut self, host_state: Vec<u8>) {
        if self.run.is_some() || self.writable().is_err() {
            return;
        }
        let (seq, keys) = (self.applied, self.index.len());
        emit!(self.notes, Kind::CheckpointBegun { seq, keys });
        self.run = Some(Run::new(seq, &self.index, host_state));
    }

    /// One bounded step: a chunk is written, or the superblock flipped, or a share of what became reusable given back.
    /// May be called while a batch is out: chunks go to free extents, and the log does not move before the flip.
    ///
    /// `NoSpace` gives the checkpoint up: the old one stays, nothing is lost.
    pub fn checkpoint_step(&mut self) -> Result<CheckpointProgress, WriteError> {
        self.writable()?;
        let Some(mut run) = self.run.take() else { return Ok(CheckpointProgress::Idle) };
        let result = self.step(&mut run);
        match result {
            Ok(false) => {
                self.run = Some(run);
                Ok(CheckpointProgress::Working)
            }
            Ok(true) => {
                self.check();
                Ok(CheckpointProgress::Done { seq: run.seq })
            }
            Err(error) => {
                run.free_chunks(&mut self.allocator);
                self.starved = false;
                Err(self.failed(error))
            }
        }
    }

    /// A whole checkpoint at once.
    pub fn checkpoint(&mut self, host_state: Vec<u8>) -> Result<(), WriteError> {
        while self.run.is_some() {
            self.checkpoint_step()?;
        }
        self.checkpoint_begin(host_state);
        while self.checkpoint_step()? == CheckpointProgress::Working {}
        Ok(())
    }

    fn step(&mut self, run: &mut Run) -> Result<bool, WriteError> {
        match &mut run.stage {
            Stage::Writing => {
                let data_offset = self.superblock.data_offset;
                if !run.write_some(&self.device, data_offset, &mut self.allocator, &self.index)? {
                    run.stage = Stage::Flipping;
                }
            }
            Stage::Flipping => {
                self.sync_chunks()?;
                let before = self.checkpoint_seq();
                let mut next = self.superblock;
                next.set_checkpoint(run.seq, run.head());
                let (start, batch) = self.log.replay_point(run.seq);
                (next.replay_lsn, next.replay_batch) = (start.0, batch);
                self.store(next)?;
                self.log.start = start;
                let old = std::mem::replace(&mut self.chunks, run.take_chunks());
                self.host_state = std::mem::take(&mut run.host_state);
                run.stage = Stage::Releasing(old);
                emit!(
                    self.notes,
                    Kind::CheckpointDone { before, seq: run.seq, generation: self.superblock.generation }
                );
            }
            Stage::Releasing(old) => {
                let share = old.len().saturating_sub(STEP_ITEMS);
                let chunks = old.drain(share..);
                let mut left = STEP_ITEMS - chunks.len();
                chunks.for_each(|chunk| self.allocator.free(chunk.extent()));
                left -= self.quarantine.release_checkpointed(run.seq, left, &mut self.allocator);
                left -= self.log.forget(run.seq, left);
                if left > 0 {
                    self.starved = false;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Makes the chunks written so far durable, before anything points at them.
    pub(super) fn sync_chunks(&mut self) -> Result<(), WriteError> {
        if guard::atomic_checkpoint(self.mechanisms) {
            self.device.sync()?;
        }
        Ok(())
    }
}
