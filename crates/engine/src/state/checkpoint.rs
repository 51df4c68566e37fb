//! Writing a checkpoint: index and host state as of one seq, to a stream, and the stream to chunks.
//!
//! As of *one* seq, because conditions are decided when an entry is applied: replaying "put if version 5" over an
//! index that already has the effect of entry 8 would decide it differently. So while the index is being written out,
//! applying goes on, and what a key was before its first change is saved aside, if that key is not yet written.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::index::Index;
use super::short_key::Key;
use crate::device::Device;
use crate::error::WriteError;
use crate::format::checkpoint_chunk::{
    CHUNK_UNITS_MAX, ChunkHeader, ChunkRef, PIECE_BYTES_MAX, encode, encode_item, stream_head,
};
use crate::format::value_ref::ValueRef;
use crate::space::Space;
use crate::types::{Seq, UNIT};

/// Keys looked at, and extents or log entries given back, in one step.
pub(crate) const STEP_ITEMS: usize = 256;

/// Cuts a stream into chunks, as it comes.
#[derive(Clone, Debug, Default)]
struct ChunkWriter {
    seq: Seq,
    stream: Vec<u8>,
    /// What of `stream` is written.
    done: usize,
    chunks: Vec<ChunkRef>,
}

impl ChunkWriter {
    fn new(seq: Seq, stream: Vec<u8>) -> ChunkWriter {
        ChunkWriter { seq, stream, ..ChunkWriter::default() }
    }

    fn unwritten(&self) -> usize {
        self.stream.len() - self.done
    }

    /// Writes one chunk to free space, if what is not written fills one or must go (`all`).
    fn write_one(&mut self, space: &mut Space<impl Device>, all: bool) -> Result<bool, WriteError> {
        if self.unwritten() == 0 || self.unwritten() < PIECE_BYTES_MAX && !all {
            return Ok(false);
        }
        let wanted = ((ChunkHeader::BYTES + self.unwritten()) as u64).div_ceil(UNIT).min(CHUNK_UNITS_MAX);
        let Some(extent) = space.allocator.alloc_up_to(wanted) else {
            return Err(WriteError::NoSpace { needed: wanted, free: 0 });
        };
        let fits = (extent.units * UNIT) as usize - ChunkHeader::BYTES;
        let piece = &self.stream[self.done..self.done + self.unwritten().min(fits)];
        let (number, before) = (self.chunks.len() as u32, self.chunks.last().copied().unwrap_or_default());
        let (bytes, chunk) = encode(self.seq, number, before, extent.unit, piece);
        // The extent is owned before it is written, so that a failure cannot lose it.
        self.done += piece.len();
        self.chunks.push(chunk);
        let written = space.device.write_at(space.superblock.offset_of(extent.unit), &bytes);
        if self.unwritten() < PIECE_BYTES_MAX {
            self.stream.drain(..self.done);
            self.done = 0;
        }
        written.map(|()| true).map_err(WriteError::Io)
    }
}

/// A checkpoint under way.
#[derive(Clone, Debug)]
pub(crate) struct NewCheckpoint {
    pub(crate) seq: Seq,
    pub(crate) host_state: Vec<u8>,
    /// The last key that is in the stream.
    cursor: Option<Key>,
    /// Changed keys behind the cursor, as they were: `None` if they did not exist.
    saved: BTreeMap<Key, Option<ValueRef>>,
    writer: ChunkWriter,
    pub(crate) stage: Stage,
}

/// How far it has come.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    /// Index to stream to chunks.
    Writing,
    /// All is written: make it count.
    Flipping,
    /// It counts: give back what is no longer needed, the checkpoint before first.
    Releasing(Vec<ChunkRef>),
}

impl NewCheckpoint {
    pub(crate) fn new(seq: Seq, index: &Index, host_state: Vec<u8>) -> NewCheckpoint {
        let writer = ChunkWriter::new(seq, stream_head(index.len(), &host_state));
        NewCheckpoint { seq, host_state, cursor: None, saved: BTreeMap::new(), writer, stage: Stage::Writing }
    }

    /// Writes some of what is missing. False when all is written.
    pub(crate) fn write_some(
        &mut self,
        space: &mut Space<impl Device>,
        index: &Index,
    ) -> Result<bool, WriteError> {
        let all = self.fill(index);
        Ok(self.writer.write_one(space, all)? || !all)
    }

    /// The last chunk, which leads to all others.
    pub(crate) fn head(&self) -> ChunkRef {
        self.writer.chunks.last().copied().unwrap_or_default()
    }

    /// All chunks, which are the checkpoint's own from now on.
    pub(crate) fn take_chunks(&mut self) -> Vec<ChunkRef> {
        std::mem::take(&mut self.writer.chunks)
    }

    /// Gives up: nothing points at the chunks, and nothing was promised about them.
    pub(crate) fn free_chunks(self, space: &mut Space<impl Device>) {
        self.writer.chunks.iter().for_each(|chunk| space.allocator.free(chunk.extent()));
    }

    /// `key` is about to change: saves what it was, if that is still to be written.
    pub(crate) fn save(&mut self, key: &[u8], before: Option<&ValueRef>) {
        let passed = self.cursor.as_ref().is_some_and(|cursor| key <= cursor);
        if matches!(self.stage, Stage::Writing) && !passed {
            self.saved.entry(key.into()).or_insert_with(|| before.cloned());
        }
    }

    /// Moves keys from the index, as it was at `seq`, to the stream. True when there are none left.
    fn fill(&mut self, index: &Index) -> bool {
        let cursor = self.cursor.clone();
        let mut live = index.range(cursor.as_deref().map_or(Bound::Unbounded, Bound::Excluded)).peekable();
        for _ in 0..STEP_ITEMS {
            if self.writer.unwritten() >= PIECE_BYTES_MAX {
                return false;
            }
            let saved_first = match (self.saved.first_key_value(), live.peek()) {
                (Some((saved, _)), Some((key, _))) => saved <= *key,
                (saved, _) => saved.is_some(),
            };
            let (key, value) = if saved_first {
                let saved = self.saved.pop_first().expect("it was there to see");
                // If it is in the index too, then as it became later.
                live.next_if(|(key, _)| **key == saved.0);
                saved
            } else if let Some((key, value)) = live.next() {
                (key.clone(), Some(value.clone()))
            } else {
                return true;
            };
            if let Some(value) = value {
                encode_item(&key, &value, &mut self.writer.stream);
            }
            self.cursor = Some(key);
        }
        false
    }
}
