//! Checkpoints: index and host state as of one seq, written in small steps beside traffic.
//!
//! As of *one* seq, because conditions are decided when an entry is applied: replaying "put if version 5" over an
//! index that already has the effect of entry 8 would decide it differently. So while the index is being written out,
//! applying goes on, and what a key was before its first change is saved aside, if that key is not yet written.
//!
//! It takes effect by the flip of the superblock, after everything else of it is durable (`atomic-checkpoint`). Only
//! then is given back what recovery no longer needs: the checkpoint before, the log before, and extents whose values
//! were replaced before it.

use std::collections::BTreeMap;
use std::ops::Bound;

use trace::{Kind, Tracer, emit};

use crate::allocator::Allocator;
use crate::device::Device;
use crate::engine::Engine;
use crate::error::{Damage, ReadError, WriteError, Zone};
use crate::format::checkpoint_chunk::{
    self, CHUNK_UNITS_MAX, ChunkHeader, ChunkRef, Slot, StreamHead, decode_item, encode, encode_item,
};
use crate::format::superblock::Superblock;
use crate::guard;
use crate::index::Index;
use crate::key::Key;
use crate::types::{CheckpointProgress, Seq, UNIT};

/// Keys looked at, and extents or log entries given back, in one step.
const STEP_ITEMS: usize = 256;
/// The longest piece of the stream in a chunk.
const PIECE_BYTES_MAX: usize = (CHUNK_UNITS_MAX * UNIT) as usize - ChunkHeader::BYTES;

/// A checkpoint, loaded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checkpoint {
    pub(crate) index: Index,
    /// Of the index, the values in several pieces, and in how many.
    pub(crate) split: Vec<(Slot, u32)>,
    pub(crate) host_state: Vec<u8>,
    pub(crate) chunks: Vec<ChunkRef>,
}

fn damage(superblock: &Superblock, at: &ChunkRef, expected: String, found: String) -> ReadError {
    let offset = superblock.data_offset.saturating_add(at.unit.saturating_mul(UNIT));
    ReadError::Corrupt(Damage { zone: Zone::Checkpoint, offset, expected, found, value: None })
}

/// Reads one chunk; its piece of the stream begins behind the header.
pub(crate) fn read_chunk(
    device: &impl Device,
    superblock: &Superblock,
    at: &ChunkRef,
) -> Result<(ChunkHeader, Vec<u8>), ReadError> {
    let expected =
        || format!("a chunk of the checkpoint at {}, CRC-32C {:#010x}", superblock.checkpoint_seq, at.crc);
    let end = at.unit.checked_add(at.extent().units);
    let length_fits =
        (ChunkHeader::BYTES..=ChunkHeader::BYTES + PIECE_BYTES_MAX).contains(&(at.bytes as usize));
    if !length_fits || end.is_none_or(|end| end > superblock.data_units) {
        return Err(damage(superblock, at, expected(), format!("a pointer to {at:?}")));
    }
    let mut bytes = vec![0; at.bytes as usize];
    device.read_at(superblock.data_offset + at.unit * UNIT, &mut bytes)?;
    let header =
        checkpoint_chunk::decode(&bytes).map_err(|e| damage(superblock, at, expected(), e.to_string()))?;
    let whole = ChunkHeader::BYTES as u64 + u64::from(header.piece_bytes) == u64::from(at.bytes);
    if header.crc != at.crc || header.seq != superblock.checkpoint_seq || !whole {
        let found = format!("one of the checkpoint at {}, CRC-32C {:#010x}", header.seq, header.crc);
        return Err(damage(superblock, at, expected(), found));
    }
    Ok((header, bytes))
}

/// Loads the checkpoint that the superblock points at, from its last chunk back to the first.
pub(crate) fn load(device: &impl Device, superblock: &Superblock) -> Result<Checkpoint, ReadError> {
    let head = superblock.checkpoint_head();
    let (mut chunks, mut pieces, mut at, mut number) = (Vec::new(), Vec::new(), head, None);
    while at.bytes > 0 {
        let (h, bytes) = read_chunk(device, superblock, &at)?;
        let before = ChunkRef { unit: h.before_unit, bytes: h.before_bytes, crc: h.before_crc };
        // Numbers that fall to 0 also bound the chain: a ring of chunks is not one.
        if number.is_some_and(|n: u32| n.checked_sub(1) != Some(h.number))
            || (h.number == 0) != (before.bytes == 0)
        {
            let expected = format!("the chunk before chunk {number:?}");
            return Err(damage(superblock, &at, expected, format!("chunk {}", h.number)));
        }
        number = Some(h.number);
        chunks.push(at);
        pieces.push(bytes);
        at = before;
    }
    if chunks.is_empty() {
        return Ok(Checkpoint::default());
    }
    chunks.reverse();
    let mut stream = Vec::with_capacity(chunks.iter().map(|chunk| chunk.piece_bytes() as usize).sum());
    while let Some(bytes) = pieces.pop() {
        stream.extend_from_slice(&bytes[ChunkHeader::BYTES..]);
    }
    let (items, split, host_state) = parse(&stream, superblock.data_units).map_err(|found| {
        damage(superblock, &head, "a checkpoint's stream of ascending keys".into(), found)
    })?;
    Ok(Checkpoint { index: Index::from_sorted(items), split, host_state, chunks })
}

type Items = Vec<(Key, Slot)>;
type Split = Vec<(Slot, u32)>;

fn parse(stream: &[u8], data_units: u64) -> Result<(Items, Split, Vec<u8>), String> {
    let head = StreamHead::get(stream).map_err(|e| e.to_string())?;
    let rest = &stream[StreamHead::BYTES..];
    let host_bytes = usize::try_from(head.host_bytes).ok().filter(|&n| n <= rest.len());
    let (host_state, mut rest) = rest.split_at(host_bytes.ok_or("a host state longer than the stream")?);
    let (mut items, mut split) = (Items::new(), Split::new());
    while !rest.is_empty() {
        let (key, slot, pieces, bytes) =
            decode_item(rest).map_err(|e| format!("item {}: {e}", items.len()))?;
        let in_order = items.last().is_none_or(|(before, _)| **before < *key);
        if !in_order || !slot.is_within(data_units, pieces) {
            return Err(format!(
                "item {}: out of order, or with a value outside the data region",
                items.len()
            ));
        }
        items.push((key.into(), slot));
        split.extend((pieces > 1).then_some((slot, pieces)));
        rest = &rest[bytes..];
    }
    if items.len() as u64 == head.keys {
        Ok((items, split, host_state.to_vec()))
    } else {
        Err(format!("{} keys where {} are stated", items.len(), head.keys))
    }
}

/// The beginning of a checkpoint's stream.
pub(crate) fn stream_head(keys: u64, host_state: &[u8]) -> Vec<u8> {
    let mut stream = vec![0; StreamHead::BYTES];
    StreamHead { keys, host_bytes: host_state.len() as u64 }.put(&mut stream);
    stream.extend_from_slice(host_state);
    stream
}

/// Cuts a stream into chunks, as it comes.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChunkWriter {
    seq: Seq,
    stream: Vec<u8>,
    /// What of `stream` is written.
    done: usize,
    pub(crate) chunks: Vec<ChunkRef>,
}

impl ChunkWriter {
    pub(crate) fn new(seq: Seq, stream: Vec<u8>) -> ChunkWriter {
        ChunkWriter { seq, stream, ..ChunkWriter::default() }
    }

    fn waiting(&self) -> usize {
        self.stream.len() - self.done
    }

    /// Writes one chunk to free space, if what waits fills one or must go (`all`).
    pub(crate) fn write_one<D: Device>(
        &mut self,
        engine: &mut Engine<D>,
        all: bool,
    ) -> Result<bool, WriteError> {
        if self.waiting() == 0 || self.waiting() < PIECE_BYTES_MAX && !all {
            return Ok(false);
        }
        let wanted = ((ChunkHeader::BYTES + self.waiting()) as u64).div_ceil(UNIT).min(CHUNK_UNITS_MAX);
        let Some(extent) = engine.allocator.alloc_up_to(wanted) else {
            return Err(WriteError::NoSpace { needed: wanted });
        };
        let room = (extent.units * UNIT) as usize - ChunkHeader::BYTES;
        let piece = &self.stream[self.done..self.done + self.waiting().min(room)];
        let (number, before) = (self.chunks.len() as u32, self.chunks.last().copied().unwrap_or_default());
        let (bytes, chunk) = encode(self.seq, number, before, extent.unit, piece);
        // The extent is owned before it is written, so that a failure cannot lose it.
        self.done += piece.len();
        self.chunks.push(chunk);
        let written = engine.device.write_at(engine.offset_of(extent), &bytes);
        if self.waiting() < PIECE_BYTES_MAX {
            self.stream.drain(..self.done);
            self.done = 0;
        }
        written.map(|()| true).map_err(WriteError::Io)
    }
}

/// A checkpoint under way.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    seq: Seq,
    pub(crate) host_state: Vec<u8>,
    /// The last key that is in the stream.
    cursor: Option<Key>,
    /// Changed keys behind the cursor, as they were: `None` if they did not exist.
    saved: BTreeMap<Key, Option<Slot>>,
    pub(crate) writer: ChunkWriter,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    /// Index to stream to chunks.
    Writing,
    /// All is written: make it count.
    Flipping,
    /// It counts: give back what is no longer needed, the checkpoint before first.
    Releasing(Vec<ChunkRef>),
}

impl Run {
    pub(crate) fn new(seq: Seq, index: &Index, host_state: Vec<u8>) -> Run {
        let writer = ChunkWriter::new(seq, stream_head(index.len(), &host_state));
        Run { seq, host_state, cursor: None, saved: BTreeMap::new(), writer, stage: Stage::Writing }
    }

    /// Writes some of what is missing. False when all is written.
    fn write_some<D: Device>(&mut self, engine: &mut Engine<D>, index: &Index) -> Result<bool, WriteError> {
        let all = self.fill(index, &engine.allocator);
        Ok(self.writer.write_one(engine, all)? || !all)
    }

    /// Writes all of it.
    pub(crate) fn write_all<D: Device>(
        &mut self,
        engine: &mut Engine<D>,
        index: &Index,
    ) -> Result<(), WriteError> {
        while self.write_some(engine, index)? {}
        Ok(())
    }

    /// The last chunk, which leads to all others.
    pub(crate) fn head(&self) -> ChunkRef {
        self.writer.chunks.last().copied().unwrap_or_default()
    }

    /// Gives up: nothing points at the chunks, and nothing was promised about them.
    pub(crate) fn free_chunks(&mut self, to: &mut Allocator) {
        self.writer.chunks.drain(..).for_each(|chunk| to.free(chunk.extent()));
    }

    /// `key` is about to change: saves what it was, if that is still to be written.
    pub(crate) fn save(&mut self, key: &[u8], before: Option<Slot>) {
        let passed = self.cursor.as_ref().is_some_and(|cursor| key <= cursor);
        if matches!(self.stage, Stage::Writing) && !passed {
            self.saved.entry(key.into()).or_insert(before);
        }
    }

    /// Moves keys from the index, as it was at `seq`, to the stream. True when there are none left.
    fn fill(&mut self, index: &Index, allocator: &Allocator) -> bool {
        let cursor = self.cursor.clone();
        let mut live = index.range(cursor.as_deref().map_or(Bound::Unbounded, Bound::Excluded)).peekable();
        for _ in 0..STEP_ITEMS {
            if self.writer.waiting() >= PIECE_BYTES_MAX {
                return false;
            }
            let saved_first = match (self.saved.first_key_value(), live.peek()) {
                (Some((saved, _)), Some((key, _))) => saved <= *key,
                (saved, _) => saved.is_some(),
            };
            let (key, slot) = if saved_first {
                let saved = self.saved.pop_first().expect("it was there to see");
                // If it is in the index too, then as it became later.
                live.next_if(|(key, _)| **key == saved.0);
                saved
            } else if let Some((key, slot)) = live.next() {
                (key.clone(), Some(*slot))
            } else {
                return true;
            };
            if let Some(slot) = slot {
                let pieces = allocator.pieces(&slot.extent()).len();
                encode_item(&key, &slot, pieces, &mut self.writer.stream);
            }
            self.cursor = Some(key);
        }
        false
    }
}

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
    pub fn checkpoint_begin(&mut self, host_state: Vec<u8>, t: &mut Tracer) {
        if self.run.is_some() || self.writable().is_err() {
            return;
        }
        let (seq, keys) = (self.applied, self.index.len());
        emit!(t, Kind::CheckpointBegun { seq, keys });
        self.run = Some(Run::new(seq, &self.index, host_state));
    }

    /// One bounded step: a chunk is written, or the superblock flipped, or a share of what became reusable given back.
    /// May be called while a batch is out: chunks go to free extents, and the log does not move before the flip.
    ///
    /// `NoSpace` gives the checkpoint up: the old one stays, nothing is lost.
    pub fn checkpoint_step(&mut self, t: &mut Tracer) -> Result<CheckpointProgress, WriteError> {
        self.writable()?;
        let Some(mut run) = self.run.take() else { return Ok(CheckpointProgress::Idle) };
        let result = self.step(&mut run, t);
        match result {
            Ok(false) => {
                self.run = Some(run);
                Ok(CheckpointProgress::Working)
            }
            Ok(true) => Ok(CheckpointProgress::Done { seq: run.seq }),
            Err(error) => {
                run.free_chunks(&mut self.allocator);
                self.starved = false;
                Err(self.failed(error, t))
            }
        }
    }

    /// A whole checkpoint at once.
    pub fn checkpoint(&mut self, host_state: Vec<u8>, t: &mut Tracer) -> Result<(), WriteError> {
        while self.run.is_some() {
            self.checkpoint_step(t)?;
        }
        self.checkpoint_begin(host_state, t);
        while self.checkpoint_step(t)? == CheckpointProgress::Working {}
        Ok(())
    }

    fn step(&mut self, run: &mut Run, t: &mut Tracer) -> Result<bool, WriteError> {
        match &mut run.stage {
            Stage::Writing => {
                // The index steps aside, so that writing can borrow the engine.
                let index = std::mem::take(&mut self.index);
                let more = run.write_some(self, &index);
                self.index = index;
                if !more? {
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
                let old = std::mem::replace(&mut self.chunks, std::mem::take(&mut run.writer.chunks));
                self.host_state = std::mem::take(&mut run.host_state);
                run.stage = Stage::Releasing(old);
                emit!(
                    t,
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
    pub(crate) fn sync_chunks(&mut self) -> Result<(), WriteError> {
        if guard::atomic_checkpoint(self.mechanisms) {
            self.device.sync()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream that states so many keys, and has items of these keys, each with a value of one unit there.
    fn stream(keys: u64, items: &[(&str, u64)]) -> Vec<u8> {
        let mut stream = stream_head(keys, b"host");
        for (key, unit) in items {
            encode_item(
                key.as_bytes(),
                &Slot { version: 1, unit: *unit, value_bytes: 1, crc: 0 },
                1,
                &mut stream,
            );
        }
        stream
    }

    #[test]
    fn a_stream_is_one_of_ascending_keys_whose_values_are_in_the_data_region() {
        let parsed =
            |stream: &[u8]| parse(stream, 10).map(|(items, _, host_state)| (items.len(), host_state));
        let host = b"host".to_vec();
        assert_eq!(parsed(&stream(0, &[])), Ok((0, host.clone())));
        assert_eq!(parsed(&stream(2, &[("a", 0), ("b", 9)])), Ok((2, host)));
        for (why, keys, items) in [
            ("one key twice", 2, &[("a", 0), ("a", 1)][..]),
            ("descending", 2, &[("b", 0), ("a", 1)]),
            ("behind the region", 1, &[("a", 10)]),
            ("far behind it", 1, &[("a", 20)]),
            ("behind what can be counted", 1, &[("a", u64::MAX)]),
            ("fewer than stated", 2, &[("a", 0)]),
            ("more than stated", 0, &[("a", 0)]),
        ] {
            assert!(parsed(&stream(keys, items)).is_err(), "{why}");
        }
        let slot = |value_bytes| Slot { version: 1, unit: 8, value_bytes, crc: 0 };
        assert!(slot(900).is_within(10, 1) && !slot(1000).is_within(10, 1), "two units, and three");
        assert!(slot(1000).is_within(10, 2), "in pieces, each tells for itself");
        let cut_off = &stream(0, &[])[..StreamHead::BYTES + 3];
        assert!(parsed(cut_off).is_err(), "a host state longer than the stream");
    }
}
