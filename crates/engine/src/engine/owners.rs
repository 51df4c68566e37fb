//! Who owns what in the data region, for whoever explains or verifies a device.

use std::ops::Bound;
use std::sync::Arc;

use super::Engine;
use crate::device::Device;
use crate::format::checkpoint_chunk::ChunkRef;
use crate::format::slot::Slot;
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
    /// The first unit of all that it owns.
    pub fn first_unit(&self) -> u64 {
        self.whole().unit
    }

    /// What it owns, if that is in one piece.
    fn whole(&self) -> Extent {
        match self {
            Owner::Key(_, slot) | Owner::Entry(_, slot) => slot.extent(),
            Owner::Chunk(chunk) => chunk.extent(),
        }
    }
}

impl<D: Device> Engine<D> {
    /// All extents that are owned, in order; the owner of a value in several pieces is there once for each. What no owner has
    /// is free, or waits until it may be reused.
    pub fn owners(&self) -> Vec<(Extent, Owner)> {
        let keys = self.index.range(Bound::Unbounded).map(|(key, slot)| Owner::Key(key[..].into(), *slot));
        let entries = self.log.tentative.iter().filter_map(|r| Some(Owner::Entry(r.header.seq, r.slot()?)));
        let chunks = self.chunks.iter().map(|chunk| Owner::Chunk(*chunk));
        let owned = |owner: Owner| {
            let pieces = self.allocator.pieces(&owner.whole()).to_vec();
            pieces.into_iter().map(move |piece| (piece, owner.clone()))
        };
        let mut owners: Vec<_> = keys.chain(entries).chain(chunks).flat_map(owned).collect();
        owners.sort_by_key(|(extent, _)| *extent);
        owners
    }
}
