//! The state as a whole, from one device to another.
//!
//! The sender reads its last durable checkpoint, piece by piece, and keeps no account of the receiver. The values are
//! there as long as the checkpoint is: what later entries replaced waits in quarantine.
//!
//! The receiver writes values and index into free space, beside the state it has. All of it takes effect with one flip
//! of the superblock: checkpoint, promise, standing, and a new life of an empty log. A crash before leaves what was.

use std::ops::Bound;
use std::sync::Arc;

use trace::{Kind, Tracer, emit};

use crate::allocator::Allocator;
use crate::checkpoint::{Checkpoint, Run, read_chunk};
use crate::claim::Claim;
use crate::device::Device;
use crate::engine::Engine;
use crate::error::{ReadError, WriteError};
use crate::format::checkpoint_chunk::{ChunkHeader, ChunkRef, StreamHead, decode_item};
use crate::index::Index;
use crate::log::{Log, next_sector};
use crate::quarantine::Quarantine;
use crate::recent::Recent;
use crate::types::{
    Extent, KEY_BYTES_MAX, Lsn, Seq, Standing, TransferChunk, TransferCursor, VALUE_BYTES_MAX,
};

/// Bytes of the checkpoint's stream that one piece is taken from.
const WINDOW_BYTES: usize = 64 << 10;

/// A state being received.
#[derive(Clone, Debug, Default)]
pub(crate) struct Install {
    pub(crate) index: Index,
    /// The items received so far are in order up to this key.
    last: Option<Arc<[u8]>>,
    version_max: Seq,
}

impl<D: Device> Engine<D> {
    /// The next piece of the checkpoint in force: from the beginning, or behind `cursor`. At least one item, then as
    /// many as fit into `bytes_max`. `CheckpointGone` means that the transfer must start again.
    pub fn transfer_read(
        &self,
        cursor: Option<TransferCursor>,
        bytes_max: usize,
    ) -> Result<TransferChunk, ReadError> {
        self.readable()?;
        let current = self.checkpoint_seq();
        let begin = (StreamHead::BYTES + self.host_state.len()) as u64;
        let TransferCursor { seq, mut at } = cursor.unwrap_or(TransferCursor { seq: current, at: begin });
        if seq != current || at < begin {
            return Err(ReadError::CheckpointGone { asked: seq, current });
        }
        let end: u64 = self.chunks.iter().map(ChunkRef::piece_bytes).sum();
        let window = self.stream_window(at)?;
        let (mut items, mut rest, mut bytes) = (Vec::new(), window.as_slice(), 0);
        // The window may end within an item; whatever it is, it comes first in the next piece.
        while let Ok((key, slot, _, item)) = decode_item(rest) {
            bytes += item + slot.value_bytes as usize;
            if bytes > bytes_max && !items.is_empty() {
                break;
            }
            let value = match self.read_value(key, &slot) {
                // What is whole goes out; the next piece begins with the damaged one.
                Err(_) if !items.is_empty() => break,
                value => value?,
            };
            items.push((key.into(), slot.version, value));
            (at, rest) = (at + item as u64, &rest[item..]);
        }
        let next = (at < end).then_some(TransferCursor { seq, at });
        let host_state = next.is_none().then(|| self.host_state.clone());
        Ok(TransferChunk { seq, items, next, host_state })
    }

    /// The checkpoint's stream from `at` on: to its end, or further than the longest item.
    fn stream_window(&self, at: u64) -> Result<Vec<u8>, ReadError> {
        let (mut window, mut begin) = (Vec::new(), 0);
        for chunk in &self.chunks {
            let end = begin + chunk.piece_bytes();
            if end > at {
                let (_, bytes) = read_chunk(&self.device, &self.superblock, chunk)?;
                window.extend_from_slice(&bytes[ChunkHeader::BYTES + at.saturating_sub(begin) as usize..]);
            }
            if window.len() > WINDOW_BYTES {
                break;
            }
            begin = end;
        }
        Ok(window)
    }

    /// Begins to receive a state; what was received before is dropped. The engine goes on as it is until
    /// [`install_finish`](Engine::install_finish).
    pub fn install_begin(&mut self, _t: &mut Tracer) -> Result<(), WriteError> {
        self.writable()?;
        self.install_abort();
        self.install = Some(Install::default());
        Ok(())
    }

    /// Receives the next key, in ascending order, with the entry that wrote it. `NoSpace`: the state does not fit
    /// beside the one that is here; only [`give_up_all`](Engine::give_up_all) makes room, at the price of
    /// what is here.
    ///
    /// An error ends the installation: a state without the item that was refused must never become this device's own,
    /// not even if [`install_finish`](Engine::install_finish) was on its way already.
    pub fn install_put(&mut self, key: Arc<[u8]>, version: Seq, value: Arc<[u8]>) -> Result<(), WriteError> {
        let put = self.install_item(key, version, value);
        if put.is_err() {
            self.install_abort();
        }
        put
    }

    fn install_item(&mut self, key: Arc<[u8]>, version: Seq, value: Arc<[u8]>) -> Result<(), WriteError> {
        self.writable()?;
        let Some(install) = &self.install else { return Err(WriteError::NotInstalling) };
        let possible =
            (1..=KEY_BYTES_MAX).contains(&key.len()) && value.len() <= VALUE_BYTES_MAX && version > 0;
        if !possible || install.last.as_ref().is_some_and(|last| *last >= key) {
            return Err(WriteError::BadItem);
        }
        let Claim { units, item_bytes } = Claim::of(key.len(), value.len());
        // As much is left as the checkpoint of it can take.
        let reserve = self.checkpoint_units(install.index.claim().item_bytes + item_bytes);
        let room = self.allocator.free_units() >= units + reserve;
        let Some(whole) = room.then(|| self.allocator.alloc_value(value.len())).flatten() else {
            return Err(WriteError::NoSpace { needed: units });
        };
        let (slot, records) = self.records(version, &value, whole);
        let Some(install) = &mut self.install else { return Err(WriteError::NotInstalling) };
        install.version_max = install.version_max.max(version);
        install.last = Some(key.clone());
        install.index.insert(&key, slot);
        let written =
            records.into_iter().try_for_each(|(offset, bytes)| self.device.write_at(offset, &bytes));
        written.map_err(|error| self.failed(error.into(), &mut Tracer::off()))
    }

    /// Replaces the state of this device by the received one, as of entry `seq`, with `host_state` of the same entry,
    /// and promises `epoch` if that is more than what is promised. Afterwards the device is a member, all entries up
    /// to `seq` are applied and durable, and the log is empty. `seq` may be less than what the log held before.
    ///
    /// No batch may be out: it could be written later, to extents that by then belong to something else.
    pub fn install_finish(
        &mut self,
        seq: Seq,
        host_state: Vec<u8>,
        epoch: u64,
        t: &mut Tracer,
    ) -> Result<(), WriteError> {
        self.writable()?;
        if self.log.out.is_some() {
            return Err(WriteError::BatchOut);
        }
        let Some(install) = self.install.take() else { return Err(WriteError::NotInstalling) };
        if install.version_max > seq {
            self.install = Some(install);
            return Err(WriteError::BadItem);
        }
        let mut run = Run::new(seq, &install.index, host_state);
        let written = run.write_all(self, &install.index);
        // Values and chunks were written to free space in any order; all of it is durable before the flip.
        if let Err(error) = written.and_then(|()| self.sync_chunks()) {
            run.free_chunks(&mut self.allocator);
            self.install = Some(install);
            self.install_abort();
            return Err(self.failed(error, t));
        }
        let before = self.checkpoint_seq();
        let mut next = self.superblock;
        next.set_checkpoint(seq, run.head());
        next.set_standing(Standing::Member);
        next.promise = next.promise.max(epoch);
        next.begin_log(next_sector(self.log.end), self.log.batch);
        self.store(next).map_err(|error| self.failed(error, t))?;
        self.start_over(Checkpoint {
            index: install.index,
            split: Vec::new(),
            host_state: run.host_state,
            chunks: run.writer.chunks,
        });
        emit!(t, Kind::StateInstalled { before, seq, epoch: self.promised() });
        Ok(())
    }

    /// Drops what was received.
    pub fn install_abort(&mut self) {
        if let Some(Install { index, .. }) = self.install.take() {
            index.range(Bound::Unbounded).for_each(|(_, slot)| self.allocator.free_value(slot.extent()));
        }
    }

    /// Goes on without what is damaged, with `owed` noted durably: epoch and seq of the last entry that was here. What is
    /// before the damage is kept, where that is a piece of the log; else everything is given up. Does nothing to a device
    /// that is whole.
    pub fn give_up_damaged(&mut self, owed: (u64, Seq), t: &mut Tracer) -> Result<(), WriteError> {
        self.not_poisoned()?;
        if self.damage.is_none() {
            return Ok(());
        }
        if !self.is_readable_up_to_damage() {
            return self.give_up_all(owed, t);
        }
        let mut next = self.superblock;
        (next.owed_epoch, next.owed_seq) = owed;
        (next.life, next.life_start) = (next.life + 1, self.log.end.0);
        self.store(next).map_err(|error| self.failed(error, t))?;
        (self.log.life, self.damage) = (self.superblock.life, None);
        emit!(t, Kind::DamageGivenUp { last: self.last_seq(), owed_epoch: owed.0, owed_seq: owed.1 });
        Ok(())
    }

    /// Gives up everything but identity, standing, promise and `owed`, the last entry that was here: an empty device, to
    /// be filled by a transfer. The way on for a damaged checkpoint, and for a device that is too full to hold the old
    /// state beside the new.
    pub fn give_up_all(&mut self, owed: (u64, Seq), t: &mut Tracer) -> Result<(), WriteError> {
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
        self.store(next).map_err(|error| self.failed(error, t))?;
        self.damage = None;
        self.start_over(Checkpoint::default());
        emit!(t, Kind::StateInstalled { before, seq: 0, epoch: self.promised() });
        Ok(())
    }

    /// The superblock has been flipped to `checkpoint` and an empty log: everything in memory follows.
    fn start_over(&mut self, checkpoint: Checkpoint) {
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
        self.adopt(checkpoint);
    }
}
