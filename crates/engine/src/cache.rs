//! Values in memory, up to a number of bytes: the one used longest ago makes room.
//!
//! A value is told by its version, the seq of the entry that wrote it, and never changes. So nothing here is ever out of
//! date: the index says which version counts, and one that it no longer names is just not asked for again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::types::Seq;

/// What a value takes besides its key's and its own bytes.
const OVERHEAD: usize = 128;

/// The values.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    values: HashMap<Arc<[u8]>, Held>,
    /// By the time of their last use, which is a count of uses.
    by_use: BTreeMap<u64, Arc<[u8]>>,
    uses: u64,
    bytes: usize,
    bytes_max: usize,
    pub(crate) hits: u64,
    pub(crate) misses: u64,
}

#[derive(Clone, Debug)]
struct Held {
    version: Seq,
    value: Arc<[u8]>,
    used: u64,
}

fn cost(key: &[u8], value: &[u8]) -> usize {
    OVERHEAD + key.len() + value.len()
}

impl Cache {
    /// An empty one; with 0 bytes it stays empty.
    pub(crate) fn new(bytes_max: usize) -> Cache {
        let (values, by_use) = (HashMap::new(), BTreeMap::new());
        Cache { values, by_use, uses: 0, bytes: 0, bytes_max, hits: 0, misses: 0 }
    }

    /// This version of the key's value, if it is here.
    pub(crate) fn get(&mut self, key: &[u8], version: Seq) -> Option<Arc<[u8]>> {
        let Some(held) = self.values.get_mut(key).filter(|held| held.version == version) else {
            self.misses += 1;
            return None;
        };
        self.hits += 1;
        self.uses += 1;
        if let Some(key) = self.by_use.remove(&std::mem::replace(&mut held.used, self.uses)) {
            self.by_use.insert(self.uses, key);
        }
        Some(held.value.clone())
    }

    /// The key has another value. Only if it was read before is it kept: most of what is written, and all that a backup
    /// writes, is not read soon.
    pub(crate) fn update(&mut self, key: &Arc<[u8]>, version: Seq, value: &Arc<[u8]>) {
        if !self.values.is_empty() && self.values.contains_key(key) {
            self.put(key, version, value);
        }
    }

    /// Keeps a value, unless it would push out most of the others.
    pub(crate) fn put(&mut self, key: &Arc<[u8]>, version: Seq, value: &Arc<[u8]>) {
        self.remove(key);
        let added = cost(key, value);
        if added > self.bytes_max / 4 {
            return;
        }
        self.bytes += added;
        self.uses += 1;
        self.by_use.insert(self.uses, key.clone());
        self.values.insert(key.clone(), Held { version, value: value.clone(), used: self.uses });
        while self.bytes > self.bytes_max {
            let Some((_, oldest)) = self.by_use.pop_first() else { return };
            self.remove(&oldest);
        }
    }

    /// Forgets a key's value.
    pub(crate) fn remove(&mut self, key: &[u8]) {
        if let Some(held) = self.values.remove(key) {
            self.by_use.remove(&held.used);
            self.bytes -= cost(key, &held.value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Arc<[u8]> {
        text.as_bytes().into()
    }

    #[test]
    fn the_value_used_longest_ago_makes_room_and_the_sum_of_bytes_stays_right() {
        let mut cache = Cache::new(8 * cost(b"k0", b"v"));
        for n in 0..8 {
            cache.put(&bytes(&format!("k{n}")), n, &bytes("v"));
        }
        assert!(cache.get(b"k0", 0).is_some(), "all eight fit");
        cache.put(&bytes("k8"), 8, &bytes("v"));
        assert!(cache.get(b"k1", 1).is_none() && cache.get(b"k0", 0).is_some(), "k0 was used since");
        // Replacing, refusing and forgetting give back what they took.
        cache.put(&bytes("k8"), 9, &bytes("longer"));
        cache.put(&bytes("k7"), 10, &bytes(&"x".repeat(1000)));
        cache.remove(b"k0");
        let held: usize = cache.values.iter().map(|(key, held)| cost(key, &held.value)).sum();
        assert_eq!((cache.bytes, held <= cache.bytes_max), (held, true));
        assert_eq!(cache.by_use.len(), cache.values.len());
    }

    #[test]
    fn long_keys_count_like_long_values() {
        assert_eq!((cost(b"k", b"value"), cost(b"a longer key", b"v")), (OVERHEAD + 6, OVERHEAD + 13));
    }

    #[test]
    fn another_version_of_the_value_is_not_the_value() {
        let mut cache = Cache::new(1 << 20);
        cache.put(&bytes("k"), 5, &bytes("five"));
        assert_eq!(cache.get(b"k", 7), None);
        assert_eq!(cache.get(b"k", 5), Some(bytes("five")));
        assert_eq!((cache.hits, cache.misses), (1, 1));
    }
}
