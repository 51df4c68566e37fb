//! Parts of a state that most of its neighbours share.
//!
//! An action changes one replica and a few messages. What it leaves alone is shared with the state before it, together
//! with its hash: so a state costs little to copy, to hash and to keep, and tens of millions of them fit into memory.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// A value that is copied only when it is changed, and hashed once.
#[derive(Clone, Debug)]
pub(crate) struct Shared<T>(Arc<Hashed<T>>);

#[derive(Debug)]
struct Hashed<T> {
    value: T,
    hash: OnceLock<u64>,
}

impl<T: Clone> Clone for Hashed<T> {
    fn clone(&self) -> Self {
        Hashed { value: self.value.clone(), hash: self.hash.clone() }
    }
}

impl<T> Shared<T> {
    pub fn new(value: T) -> Shared<T> {
        Shared(Arc::new(Hashed { value, hash: OnceLock::new() }))
    }
}

impl<T: Clone> Shared<T> {
    /// For a change: only this copy sees it.
    pub fn change(&mut self) -> &mut T {
        let hashed = Arc::make_mut(&mut self.0);
        hashed.hash = OnceLock::new();
        &mut hashed.value
    }
}

impl<T: Hash> Shared<T> {
    fn hash_once(&self) -> u64 {
        *self.0.hash.get_or_init(|| {
            let mut hasher = DefaultHasher::new();
            self.0.value.hash(&mut hasher);
            hasher.finish()
        })
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T: Hash> Hash for Shared<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash_once());
    }
}

impl<T: PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.value == other.0.value
    }
}

impl<T: Eq> Eq for Shared<T> {}

impl<T: Ord> PartialOrd for Shared<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> Ord for Shared<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.value.cmp(&other.0.value) }
    }
}

/// One copy of each value, so that equal parts that came about on different ways are shared too.
#[derive(Debug)]
pub(crate) struct Pool<T>(HashMap<u64, Shared<T>>);

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Pool(HashMap::new())
    }
}

impl<T: Hash + Eq> Pool<T> {
    /// Replaces `value` by the pool's copy of it.
    pub fn intern(&mut self, value: &mut Shared<T>) {
        let known = self.0.entry(value.hash_once()).or_insert_with(|| Shared(value.0.clone()));
        if known == value {
            *value = Shared(known.0.clone());
        }
    }
}
