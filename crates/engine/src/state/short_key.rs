//! A key as the index keeps it: a short one in place, a long one on the heap.
//!
//! A search compares a dozen keys. With each of them behind a pointer that is a dozen cache misses, and the most that
//! applying an entry costs; with short keys in the index's own nodes it is three or four.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The longest key that lies in place: what makes a [`Key`] 24 bytes.
const SHORT_BYTES_MAX: usize = 22;

const _: () = assert!(size_of::<Key>() == 24);

/// Compares, and is looked for, as its bytes.
#[derive(Clone)]
pub(crate) enum Key {
    Short { len: u8, bytes: [u8; SHORT_BYTES_MAX] },
    Long(Arc<[u8]>),
}

impl Key {
    /// The key, if it is short: to look for it, which is faster than to look for its bytes.
    pub(crate) fn short(key: &[u8]) -> Option<Key> {
        let mut bytes = [0; SHORT_BYTES_MAX];
        bytes.get_mut(..key.len())?.copy_from_slice(key);
        Some(Key::Short { len: key.len() as u8, bytes })
    }
}

impl From<&[u8]> for Key {
    fn from(key: &[u8]) -> Key {
        Key::short(key).unwrap_or_else(|| Key::Long(key.into()))
    }
}

impl Deref for Key {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Key::Short { len, bytes } => &bytes[..usize::from(*len)],
            Key::Long(bytes) => bytes,
        }
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        **self == **other
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    /// Short keys are compared as numbers: with zeros behind them they are in the same order, but that "a" and "a\0" tie.
    fn cmp(&self, other: &Key) -> Ordering {
        match (self, other) {
            (Key::Short { len: a_len, bytes: a }, Key::Short { len: b_len, bytes: b }) => {
                words(a).cmp(&words(b)).then(a_len.cmp(b_len))
            }
            _ => (**self).cmp(&**other),
        }
    }
}

/// The bytes as three numbers, of which the last repeats two bytes of the second. Written out: `map` over the array may stay a
/// call in an optimized build too, which cost a fifth of a node's time.
fn words(bytes: &[u8; SHORT_BYTES_MAX]) -> [u64; 3] {
    let word = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().expect("a slice of eight bytes"));
    [word(0), word(8), word(SHORT_BYTES_MAX - 8)]
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_keys_are_their_bytes_and_in_the_order_of_their_bytes() {
        let lengths = [0, 1, SHORT_BYTES_MAX - 1, SHORT_BYTES_MAX, SHORT_BYTES_MAX + 1, 1024];
        let keys: Vec<Vec<u8>> =
            lengths.iter().flat_map(|&n| [0, 7, 255].map(|byte| vec![byte; n])).collect();
        // They differ in one byte, at each place in turn.
        let differ = (0..SHORT_BYTES_MAX + 2).map(|at| {
            let mut key = vec![7; SHORT_BYTES_MAX];
            key.get_mut(at).into_iter().for_each(|byte| *byte = 8);
            key
        });
        let keys: Vec<Vec<u8>> = keys.into_iter().chain(differ).collect();
        for a in &keys {
            assert_eq!(*Key::from(&a[..]), **a);
            for b in &keys {
                assert_eq!(Key::from(&a[..]).cmp(&Key::from(&b[..])), a.cmp(b), "{a:?} {b:?}");
            }
        }
    }
}
