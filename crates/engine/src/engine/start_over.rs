//! Giving up what a device held: because it is damaged, or to make room, or for a state that was received whole.

use std::ops::Add;

use trace::{Kind, emit};

use super::Engine;
use crate::device::Device;
use crate::error::WriteError;
use crate::format::checkpoint_chunk::ChunkRef;
use crate::log::{Log, Recent, next_sector};
use crate::space::{Allocator, Claim};
use crate::state::{Checkpoint, Index};
use crate::types::{Extent, Lsn, Seq};

/// The extents of these values and chunks.
pub(super) fn used(index: &Index, chunks: &[ChunkRef]) -> Vec<Extent> {
    let values = index.iter().flat_map(|(_, value)| value.extents());
    values.chain(chunks.iter().map(ChunkRef::extent)).collect()
}

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
        let mut next = self.space.superblock;
        (next.owed_epoch, next.owed_seq) = owed;
        (next.life, next.life_start) = (next.life + 1, self.log.end.0);
        self.store(next)?;
        (self.log.life, self.damage) = (self.space.superblock.life, None);
        emit!(
            self.notes,
            Kind::DamageGivenUp { last: self.last_seq(), owed_epoch: owed.0, owed_seq: owed.1 }
        );
        self.check();
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
        let mut next = self.space.superblock;
        next.set_checkpoint(0, ChunkRef::default());
        (next.owed_epoch, next.owed_seq) = owed;
        // A damaged log may go on anywhere within its lap.
        let lap_end = Lsn(self.log.start.0 + self.log.ring.bytes);
        next.begin_log(next_sector(self.log.end).max(lap_end), self.log.batch);
        self.store(next)?;
        self.damage = None;
        self.start_over(Checkpoint::default());
        emit!(self.notes, Kind::StateInstalled { before, seq: 0, epoch: self.promised() });
        Ok(())
    }

    /// The superblock has been flipped to `checkpoint` and an empty log: everything in memory follows.
    pub(super) fn start_over(&mut self, checkpoint: Checkpoint) {
        let Checkpoint { index, host_state, chunks } = checkpoint;
        let allocator = Allocator::new(self.space.superblock.data_units, used(&index, &chunks));
        let claimed =
            index.iter().map(|(key, value)| Claim::of_value(key, value)).fold(Claim::default(), Add::add);
        self.space.start_over(allocator.expect("E3: one owner per extent"), claimed);
        self.space.host_bytes = host_state.len() as u64;
        let superblock = &self.space.superblock;
        let seq = superblock.checkpoint_seq;
        self.log = Log::new(superblock, Lsn(superblock.replay_lsn), superblock.replay_batch);
        (self.applied, self.durable) = (seq, seq);
        self.recent = Recent::default();
        self.new_checkpoint = None;
        self.install = None;
        self.starved = false;
        self.index = index;
        self.host_state = host_state;
        self.chunks = chunks;
        self.check();
    }
}
