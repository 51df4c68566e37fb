//! Who owns what in the data region, for whoever explains or verifies a device.

use std::sync::Arc;

use super::Engine;
use crate::device::Device;
use crate::format::checkpoint_chunk::ChunkRef;
use crate::format::value_ref::ValueRef;
use crate::types::{Extent, Seq};

/// What an extent is used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The value of a key, as of the applied entry.
    Key(Arc<[u8]>, ValueRef),
    /// The value of an entry that is not applied.
    Entry(Seq, ValueRef),
    /// A chunk of the checkpoint in force.
    Chunk(ChunkRef),
}

impl Owner {
    /// The first unit of all that it owns.
    pub fn first_unit(&self) -> u64 {
        self.extents()[0].unit
    }

    /// All that it owns.
    pub fn extents(&self) -> Vec<Extent> {
        match self {
            Owner::Key(_, value) | Owner::Entry(_, value) => value.extents().collect(),
            Owner::Chunk(chunk) => vec![chunk.extent()],
        }
    }
}

impl<D: Device> Engine<D> {
    /// All extents that are owned, in order; the owner of a value in several extents is there once for each. What no owner
    /// has is free, or in quarantine.
    pub fn owners(&self) -> Vec<(Extent, Owner)> {
        let keys = self.index.iter().map(|(key, value)| Owner::Key(key[..].into(), value.clone()));
        let entries =
            self.log.tentative.iter().filter_map(|r| Some(Owner::Entry(r.header.seq, r.value.clone()?)));
        let chunks = self.chunks.iter().map(|chunk| Owner::Chunk(*chunk));
        let owned = |owner: Owner| owner.extents().into_iter().map(move |extent| (extent, owner.clone()));
        let mut owners: Vec<_> = keys.chain(entries).chain(chunks).flat_map(owned).collect();
        owners.sort_by_key(|(extent, _)| *extent);
        owners
    }
}
