//! Giving up what a device held: because it is damaged, or to make room, or for a state that was received whole.

use std::ops::Bound;

use trace::{Kind, emit};

use super::Engine;
use crate::device::Device;
use crate::error::WriteError;
use crate::format::checkpoint_chunk::ChunkRef;
use crate::log::{Log, Recent, next_sector};
use crate::space::{Allocator, Claim, Quarantine};
use crate::state::Checkpoint;
use crate::types::{Extent, Lsn, Seq};

impl<D: Device> Engine<D> {
    /// Goes on without what is damaged, with `owed` noted durably: epoch and seq of the last entry that was here. What is
    /// before the damage is kept, where that is a piece of the log; else everything is given up. Does nothing to a device
    /// that is whole.
    pub fn give_up_damaged(&mut self, owed: (u64, Seq)) -> Result<(), WriteError> {
        self.not_poisoned()?;
        if self.damage.is_none() {
            return Ok(());
        }
        if !self.is_readable_up_to_damage() {
            return self.give_up_all(owed);
        }
        let mut next = self.superblock;
        (next.owed_epoch, next.owed_seq) = owed;
        (next.life, next.life_start) = (next.life + 1, self.log.end.0);
        self.store(next).map_err(|error| self.failed(error))?;
        (self.log.life, self.damage) = (self.superblock.life, None);
        emit!(
            self.notes,
            Kind::DamageGivenUp { last: self.last_seq(), owed_epoch: owed.0, owed_seq: owed.1 }
        );
        Ok(())
    }

    /// Gives up everything but identity, standing, promise and `owed`, the last entry that was here: an empty device, to
    /// be filled by a transfer. The way on for a damaged checkpoint, and for a device that is too full to hold the old
    /// state beside the new.
    pub fn give_up_all(&mut self, owed: (u64, Seq)) -> Result<(), WriteError> {
        self.not_poisoned()?;
        if self.log.out.is_some() {
            return Err(WriteError::BatchOut);
        }
        let before = self.checkpoint_seq();
        let mut next = self.superblock;
        next.set_checkpoint(0, ChunkRef::default());
        (next.owed_epoch, next.owed_seq) = owed;
        // A damaged log may go on anywhere within its lap.
        let lap_end = Lsn(self.log.start.0 + self.log.ring.bytes);
        next.begin_log(next_sector(self.log.end).max(lap_end), self.log.batch);
        self.store(next).map_err(|error| self.failed(error))?;
        self.damage = None;
        self.start_over(Checkpoint::default());
        emit!(self.notes, Kind::StateInstalled { before, seq: 0, epoch: self.promised() });
        Ok(())
    }

    /// The superblock has been flipped to `checkpoint` and an empty log: everything in memory follows.
    pub(super) fn start_over(&mut self, checkpoint: Checkpoint) {
        let values = checkpoint.index.range(Bound::Unbounded).map(|(_, slot)| slot.extent());
        let mut used: Vec<Extent> = values.collect();
        let pieces = used.iter().map(|whole| (whole.unit, self.allocator.pieces(whole)));
        let split =
            pieces.filter(|(_, pieces)| pieces.len() > 1).map(|(unit, pieces)| (unit, pieces.to_vec()));
        let split = split.collect();
        used.extend(checkpoint.chunks.iter().map(ChunkRef::extent));
        let allocator = Allocator::new(self.superblock.data_units, used, split);
        self.allocator = allocator.expect("E3: one owner per extent");
        let (seq, start) = (self.superblock.checkpoint_seq, Lsn(self.superblock.replay_lsn));
        self.log = Log::new(
            self.log.ring,
            self.superblock.life,
            start,
            start,
            self.superblock.replay_batch,
            seq + 1,
        );
        (self.applied, self.durable, self.tentative) = (seq, seq, Claim::default());
        (self.quarantine, self.recent) = (Quarantine::default(), Recent::default());
        (self.run, self.install, self.starved) = (None, None, false);
        let Checkpoint { index, host_state, chunks, .. } = checkpoint;
        (self.index, self.host_state, self.chunks) = (index, host_state, chunks);
        self.check();
    }
}
