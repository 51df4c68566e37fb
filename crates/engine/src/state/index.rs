//! Key → where its value is. In memory, ordered, as of the applied entry.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::short_key::Key;
use crate::format::slot::Slot;
use crate::space::Claim;

/// The index, with the room that it claims.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    map: BTreeMap<Key, Slot>,
    claim: Claim,
}

impl Index {
    /// An index of keys in ascending order.
    pub(crate) fn from_sorted(items: Vec<(Key, Slot)>) -> Index {
        let claim = items.iter().map(|(key, slot)| Claim::of_slot(key, slot)).sum();
        Index { map: items.into_iter().collect(), claim }
    }

    pub(crate) fn len(&self) -> u64 {
        self.map.len() as u64
    }

    /// The room of all keys and values.
    pub(crate) fn claim(&self) -> Claim {
        self.claim
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<Slot> {
        match Key::short(key) {
            Some(key) => self.map.get(&key).copied(),
            None => self.map.get(key).copied(),
        }
    }

    /// Puts `slot` where `key` is, and returns what was there.
    pub(crate) fn insert(&mut self, key: &[u8], slot: Slot) -> Option<Slot> {
        self.claim += Claim::of_slot(key, &slot);
        // Most puts replace: one search then, and the key that is there stays.
        let there = match Key::short(key) {
            Some(key) => self.map.get_mut(&key),
            None => self.map.get_mut(key),
        };
        let Some(there) = there else {
            self.map.insert(key.into(), slot);
            return None;
        };
        let old = std::mem::replace(there, slot);
        self.claim -= Claim::of_slot(key, &old);
        Some(old)
    }

    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<Slot> {
        let old = self.map.remove(key)?;
        self.claim -= Claim::of_slot(key, &old);
        Some(old)
    }

    /// Keys from `from` on, in order.
    pub(crate) fn range<'a>(&'a self, from: Bound<&'a [u8]>) -> impl Iterator<Item = (&'a Key, &'a Slot)> {
        self.map.range::<[u8], _>((from, Bound::Unbounded))
    }
}
