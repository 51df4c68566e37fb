//! Values in memory, up to a number of bytes: one that was not used for long makes room.
//!
//! A value is told by its version, the seq of the entry that wrote it, and never changes. So nothing here is ever out of
//! date: the index says which version counts, and one that it no longer names is just not asked for again.
//!
//! Which one makes room is decided by a queue with second chances: who is at its front and was used since it joined
//! joins again at the end. So a use costs a mark and nothing else.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::types::Seq;

/// What a value takes besides its key's and its own bytes.
const OVERHEAD: usize = 128;

/// The values.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    values: HashMap<Arc<[u8]>, Held>,
    /// The keys of `values`, each once.
    queue: VecDeque<Arc<[u8]>>,
    bytes: usize,
    bytes_max: usize,
    pub(crate) hits: u64,
    pub(crate) misses: u64,
}

#[derive(Clone, Debug)]
struct Held {
    version: Seq,
    /// `None` if it was forgotten: the key waits for its turn in the queue.
    value: Option<Arc<[u8]>>,
    used: bool,
}

fn cost(key: &[u8], value: Option<&[u8]>) -> usize {
    OVERHEAD + key.len() + value.map_or(0, <[u8]>::len)
}

impl Cache {
    /// An empty one; with 0 bytes it stays empty.
    pub(crate) fn new(bytes_max: usize) -> Cache {
        let (values, queue) = (HashMap::new(), VecDeque::new());
        Cache { values, queue, bytes: 0, bytes_max, hits: 0, misses: 0 }
    }

    /// This version of the key's value, if it is here.
    pub(crate) fn get(&mut self, key: &[u8], version: Seq) -> Option<Arc<[u8]>> {
        let held = self.values.get_mut(key).filter(|held| held.version == version);
        let value = held.and_then(|held| {
            held.used = true;
            held.value.clone()
        });
        *(if value.is_some() { &mut self.hits } else { &mut self.misses }) += 1;
        value
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
        let added = cost(key, Some(value));
        if added > self.bytes_max / 4 {
            return;
        }
        let held = Held { version, value: Some(value.clone()), used: false };
        match self.values.insert(key.clone(), held) {
            Some(_) => self.bytes -= cost(key, None),
            None => self.queue.push_back(key.clone()),
        }
        self.bytes += added;
        while self.bytes > self.bytes_max {
            self.make_room();
        }
    }

    /// Forgets a key's value.
    pub(crate) fn remove(&mut self, key: &[u8]) {
        if let Some(held) = self.values.get_mut(key) {
            self.bytes -= held.value.take().map_or(0, |value| value.len());
            held.used = false;
        }
    }

    /// Lets the first of the queue go, or join again.
    fn make_room(&mut self) {
        let first = self.queue.pop_front().expect("what takes room is in the queue");
        let held = self.values.get_mut(&first).expect("what is in the queue is here");
        if std::mem::take(&mut held.used) {
            self.queue.push_back(first);
        } else {
            self.bytes -= cost(&first, held.value.as_deref());
            self.values.remove(&first);
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
        let mut cache = Cache::new(8 * cost(b"k0", Some(b"v")));
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
        let held: usize = cache.values.iter().map(|(key, held)| cost(key, held.value.as_deref())).sum();
        assert_eq!((cache.bytes, held <= cache.bytes_max), (held, true));
        assert_eq!(cache.queue.len(), cache.values.len());
        // A key that comes and goes takes its place once.
        for n in 11..100 {
            cache.put(&bytes("k9"), n, &bytes("v"));
            cache.remove(b"k9");
        }
        assert_eq!((cache.get(b"k9", 99), cache.queue.len()), (None, cache.values.len()));
        assert!(cache.bytes <= cache.bytes_max);
    }

    #[test]
    fn a_value_that_was_used_has_a_second_chance_and_one_that_was_not_has_none() {
        let mut cache = Cache::new(8 * cost(b"k0", Some(b"v")));
        for n in 0..8 {
            cache.put(&bytes(&format!("k{n}")), n, &bytes("v"));
        }
        for n in [2, 0] {
            assert!(cache.get(format!("k{n}").as_bytes(), n).is_some());
        }
        // k0 and k2 have joined the queue again, behind those that came meanwhile.
        for (n, gone) in ["k1", "k3", "k4", "k5", "k6", "k7", "m0", "k0", "m1", "k2"].iter().enumerate() {
            assert!(cache.values.contains_key(gone.as_bytes()), "{gone} is here until m{n} comes");
            cache.put(&bytes(&format!("m{n}")), 9, &bytes("v"));
            assert!(!cache.values.contains_key(gone.as_bytes()), "{gone} makes room for m{n}");
            assert_eq!((cache.values.len(), cache.queue.len()), (8, 8));
        }
    }

    #[test]
    fn a_value_that_takes_more_than_a_quarter_pushes_nothing_out() {
        let mut cache = Cache::new(4 * cost(b"k", Some(b"value")));
        cache.put(&bytes("k"), 1, &bytes("value"));
        assert!(cache.get(b"k", 1).is_some(), "a quarter is not more than a quarter");
        cache.put(&bytes("m"), 2, &bytes("values"));
        assert!(cache.get(b"m", 2).is_none() && cache.get(b"k", 1).is_some());
    }

    #[test]
    fn what_is_written_and_was_not_read_is_not_kept() {
        let mut cache = Cache::new(1 << 20);
        cache.put(&bytes("read"), 1, &bytes("v"));
        for key in ["read", "never read"] {
            cache.update(&bytes(key), 2, &bytes("w"));
        }
        assert_eq!((cache.get(b"read", 2), cache.get(b"never read", 2)), (Some(bytes("w")), None));
    }

    #[test]
    fn long_keys_count_like_long_values() {
        assert_eq!(
            (cost(b"k", Some(b"value")), cost(b"a longer key", Some(b"v"))),
            (OVERHEAD + 6, OVERHEAD + 13)
        );
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
