//! Key → where its value is. In memory, ordered, as of the applied entry.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::short_key::Key;
use crate::format::value_ref::ValueRef;

/// The index.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index(BTreeMap<Key, ValueRef>);

impl Index {
    /// An index of keys in ascending order.
    pub(crate) fn from_sorted(items: Vec<(Key, ValueRef)>) -> Index {
        Index(items.into_iter().collect())
    }

    pub(crate) fn len(&self) -> u64 {
        self.0.len() as u64
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&ValueRef> {
        match Key::short(key) {
            Some(key) => self.0.get(&key),
            None => self.0.get(key),
        }
    }

    /// Puts `value` where `key` is, and returns what was there.
    pub(crate) fn insert(&mut self, key: &[u8], value: ValueRef) -> Option<ValueRef> {
        // Most puts replace: one search then, and the key that is there stays.
        let there = match Key::short(key) {
            Some(key) => self.0.get_mut(&key),
            None => self.0.get_mut(key),
        };
        match there {
            Some(there) => Some(std::mem::replace(there, value)),
            None => self.0.insert(key.into(), value),
        }
    }

    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<ValueRef> {
        self.0.remove(key)
    }

    /// Keys from `from` on, in order.
    pub(crate) fn range<'a>(
        &'a self,
        from: Bound<&'a [u8]>,
    ) -> impl Iterator<Item = (&'a Key, &'a ValueRef)> {
        self.0.range::<[u8], _>((from, Bound::Unbounded))
    }

    /// All keys, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &ValueRef)> {
        self.0.iter()
    }
}
