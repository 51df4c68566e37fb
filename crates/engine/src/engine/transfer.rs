//! The sending side of a state transfer.
//!
//! The sender reads its last durable checkpoint, piece by piece, and keeps no account of the receiver. The values are
//! there as long as the checkpoint is: what later entries replaced waits in quarantine.

use super::Engine;
use crate::device::Device;
use crate::error::ReadError;
use crate::format::checkpoint_chunk::{ChunkHeader, ChunkRef, StreamHead, decode_item};
use crate::state::read_chunk;
use crate::types::{Seq, TransferChunk, TransferCursor};

/// Bytes of the checkpoint's stream that one piece is taken from.
const WINDOW_BYTES: usize = 64 << 10;

impl<D: Device> Engine<D> {
    /// The next piece of the checkpoint in force: from the beginning, or behind `cursor`. At least one item, then as
    /// many as fit into `bytes_max`. Values of entry `since` and before are left out, as empty ones: a receiver that has
    /// the state as of that entry has them. `CheckpointGone` means that the transfer must start again.
    pub fn transfer_read(
        &self,
        cursor: Option<TransferCursor>,
        since: Seq,
        bytes_max: usize,
    ) -> Result<TransferChunk, ReadError> {
        self.readable()?;
        let current = self.checkpoint_seq();
        let begin = (StreamHead::BYTES + self.host_state.len()) as u64;
        let host_state = cursor.is_none().then(|| self.host_state.clone());
        let TransferCursor { seq, mut at } = cursor.unwrap_or(TransferCursor { seq: current, at: begin });
        if seq != current || at < begin {
            return Err(ReadError::CheckpointGone { asked: seq, current });
        }
        let end: u64 = self.chunks.iter().map(ChunkRef::piece_bytes).sum();
        let window = self.stream_window(at)?;
        let (mut items, mut rest, mut bytes) = (Vec::new(), window.as_slice(), 0);
        // The window may end within an item; whatever it is, it comes first in the next piece.
        while let Ok((key, value, item)) = decode_item(rest) {
            let known = value.version <= since;
            bytes += item + if known { 0 } else { value.value_bytes() as usize };
            if bytes > bytes_max && !items.is_empty() {
                break;
            }
            let read = if known { Ok([].into()) } else { self.read_value(key, &value) };
            let read = match read {
                // What is whole goes out; the next piece begins with the damaged one.
                Err(_) if !items.is_empty() => break,
                read => read?,
            };
            items.push((key.into(), value.version, read));
            (at, rest) = (at + item as u64, &rest[item..]);
        }
        let next = (at < end).then_some(TransferCursor { seq, at });
        Ok(TransferChunk { seq, items, next, host_state })
    }

    /// The checkpoint's stream from `at` on: to its end, or further than the longest item.
    fn stream_window(&self, at: u64) -> Result<Vec<u8>, ReadError> {
        let (mut window, mut begin) = (Vec::new(), 0);
        for chunk in &self.chunks {
            let end = begin + chunk.piece_bytes();
            if end > at {
                let (_, bytes) = read_chunk(&self.space.device, &self.space.superblock, chunk)?;
                window.extend_from_slice(&bytes[ChunkHeader::BYTES + at.saturating_sub(begin) as usize..]);
            }
            if window.len() > WINDOW_BYTES {
                break;
            }
            begin = end;
        }
        Ok(window)
    }
}
