//! Key → where its value is. In memory, ordered, as of the applied entry.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::format::checkpoint_chunk::{ItemHeader, Slot};
use crate::key::Key;

/// The index, with the sums that space accounting needs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    map: BTreeMap<Key, Slot>,
    item_bytes: u64,
    value_units: u64,
}

/// Bytes that a key takes in a checkpoint.
pub(crate) fn item_bytes(key: &[u8]) -> u64 {
    (ItemHeader::BYTES + key.len()) as u64
}

impl Index {
    /// An index of keys in ascending order.
    pub(crate) fn from_sorted(items: Vec<(Key, Slot)>) -> Index {
        let item_bytes = items.iter().map(|(key, _)| item_bytes(key)).sum();
        let value_units = items.iter().map(|(_, slot)| slot.extent().units).sum();
        Index { map: items.into_iter().collect(), item_bytes, value_units }
    }

    pub(crate) fn len(&self) -> u64 {
        self.map.len() as u64
    }

    /// Bytes of all items in a checkpoint.
    pub(crate) fn item_bytes(&self) -> u64 {
        self.item_bytes
    }

    /// Units of all values.
    pub(crate) fn value_units(&self) -> u64 {
        self.value_units
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<Slot> {
        self.map.get(key).copied()
    }

    /// Puts `slot` where `key` is, and returns what was there.
    pub(crate) fn insert(&mut self, key: &[u8], slot: Slot) -> Option<Slot> {
        self.value_units += slot.extent().units;
        // Most puts replace: one search then, and the key that is there stays.
        let Some(there) = self.map.get_mut(key) else {
            self.item_bytes += item_bytes(key);
            self.map.insert(key.into(), slot);
            return None;
        };
        let old = std::mem::replace(there, slot);
        self.value_units -= old.extent().units;
        Some(old)
    }

    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<Slot> {
        let old = self.map.remove(key)?;
        self.item_bytes -= item_bytes(key);
        self.value_units -= old.extent().units;
        Some(old)
    }

    /// Keys from `from` on, in order.
    pub(crate) fn range<'a>(&'a self, from: Bound<&'a [u8]>) -> impl Iterator<Item = (&'a Key, &'a Slot)> {
        self.map.range::<[u8], _>((from, Bound::Unbounded))
    }
}
