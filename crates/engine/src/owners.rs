//! Who owns what in the data region, for whoever explains or verifies a device.

use std::ops::Bound;
use std::sync::Arc;

use crate::device::Device;
use crate::engine::Engine;
use crate::format::checkpoint_chunk::{ChunkRef, Slot};
use crate::types::{Extent, Seq};

/// What an extent is used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The value of a key, as of the applied entry.
    Key(Arc<[u8]>, Slot),
    /// The value of an entry that is not applied.
    Entry(Seq, Slot),
    /// A chunk of the checkpoint in force.
    Chunk(ChunkRef),
}

impl Owner {
    /// The units it takes.
    pub fn extent(&self) -> Extent {
        match self {
            Owner::Key(_, slot) | Owner::Entry(_, slot) => slot.extent(),
            Owner::Chunk(chunk) => chunk.extent(),
        }
    }
}

impl<D: Device> Engine<D> {
    /// All owners, in the order of their extents. What no owner has is free, or waits until it may be reused.
    pub fn owners(&self) -> Vec<Owner> {
        let keys = self.index.range(Bound::Unbounded).map(|(key, slot)| Owner::Key(key[..].into(), *slot));
        let entries = self.log.tentative.iter().filter_map(|r| Some(Owner::Entry(r.header.seq, r.slot()?)));
        let chunks = self.chunks.iter().map(|chunk| Owner::Chunk(*chunk));
        let mut owners: Vec<_> = keys.chain(entries).chain(chunks).collect();
        owners.sort_by_key(Owner::extent);
        owners
    }
}
