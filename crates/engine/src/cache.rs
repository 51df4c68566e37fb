//! Values in memory, up to a number of bytes: the one used longest ago makes room.
//!
//! A value is told by its version, the seq of the entry that wrote it, and never changes. So nothing here is ever out of
//! date: the index says which version counts, and one that it no longer names is just not asked for again.

use std::sync::Arc;

use lru::LruCache;

use crate::types::Seq;

/// What a value takes besides its key's and its own bytes.
const OVERHEAD: usize = 128;

/// The values.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    values: LruCache<Arc<[u8]>, Versioned>,
    bytes: usize,
    bytes_max: usize,
    pub(crate) hits: u64,
    pub(crate) misses: u64,
}

type Versioned = (Seq, Arc<[u8]>);

fn cost(key: &[u8], value: &[u8]) -> usize {
    OVERHEAD + key.len() + value.len()
}

impl Cache {
    /// An empty one; with 0 bytes it stays empty.
    pub(crate) fn new(bytes_max: usize) -> Cache {
        Cache { values: LruCache::unbounded(), bytes: 0, bytes_max, hits: 0, misses: 0 }
    }

    /// This version of the key's value, if it is here.
    pub(crate) fn get(&mut self, key: &[u8], version: Seq) -> Option<Arc<[u8]>> {
        let found = self.values.get(key).filter(|(held, _)| *held == version);
        let found = found.map(|(_, value)| value.clone());
        *if found.is_some() { &mut self.hits } else { &mut self.misses } += 1;
        found
    }

    /// The key has another value. Only if it was read before is it kept: most of what is written, and all that a backup
    /// writes, is not read soon.
    pub(crate) fn update(&mut self, key: &Arc<[u8]>, version: Seq, value: &Arc<[u8]>) {
        if !self.values.is_empty() && self.values.contains(key) {
            self.put(key, version, value);
        }
    }

    /// Keeps a value, unless it would push out most of the others.
    pub(crate) fn put(&mut self, key: &Arc<[u8]>, version: Seq, value: &Arc<[u8]>) {
        let added = cost(key, value);
        if added > self.bytes_max / 4 {
            self.remove(key);
            return;
        }
        self.bytes += added;
        if let Some((key, (_, before))) = self.values.push(key.clone(), (version, value.clone())) {
            self.bytes -= cost(&key, &before);
        }
        while self.bytes > self.bytes_max {
            let Some((key, (_, oldest))) = self.values.pop_lru() else { return };
            self.bytes -= cost(&key, &oldest);
        }
    }

    /// Forgets a key's value.
    pub(crate) fn remove(&mut self, key: &[u8]) {
        if let Some((key, (_, value))) = self.values.pop_entry(key) {
            self.bytes -= cost(&key, &value);
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
        let held: usize = cache.values.iter().map(|(key, (_, value))| cost(key, value)).sum();
        assert_eq!((cache.bytes, held <= cache.bytes_max), (held, true));
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
