//! The bytes of one sector. They are shared until written, so a copy of a disk costs next to nothing.

use std::hash::{DefaultHasher, Hasher};
use std::sync::{Arc, OnceLock};

/// Bytes of a sector, the unit that a disk writes whole or tears.
pub const SECTOR: usize = engine::UNIT as usize;

#[derive(Debug)]
struct Sector {
    bytes: [u8; SECTOR],
    /// Computed when somebody asks: only an exploration does.
    hash: OnceLock<u64>,
}

/// What a sector holds.
#[derive(Clone, Debug, Default)]
pub struct Content(
    /// `None` is zeros.
    Option<Arc<Sector>>,
);

impl Content {
    /// These bytes, which must be one sector.
    pub fn of(bytes: &[u8]) -> Content {
        let bytes: [u8; SECTOR] = bytes.try_into().expect("the engine writes whole sectors");
        Content((bytes != [0; SECTOR]).then(|| Arc::new(Sector { bytes, hash: OnceLock::new() })))
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; SECTOR] {
        self.0.as_ref().map_or(&[0; SECTOR], |sector| &sector.bytes)
    }

    /// Is it as on a disk that was never written?
    pub fn is_zero(&self) -> bool {
        self.0.is_none()
    }

    /// The first `at` bytes of this one, and the rest of the other.
    pub fn torn(&self, at: usize, rest: &Content) -> Content {
        Content::of(&[&self.bytes()[..at], &rest.bytes()[at..]].concat())
    }

    /// With one bit of a byte turned.
    pub fn with_bit_turned(&self, bit: usize) -> Content {
        let mut bytes = *self.bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        Content::of(&bytes)
    }

    /// What it adds to the fingerprint of an image that holds it in this sector.
    pub fn fingerprint(&self, sector: usize) -> u64 {
        let Some(content) = &self.0 else { return 0 };
        let hash = content.hash.get_or_init(|| {
            let mut hasher = DefaultHasher::new();
            hasher.write(&content.bytes);
            hasher.finish()
        });
        (hash ^ (sector as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xd6e8_feb8_6659_fd93)
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Content) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one.bytes == other.bytes,
            (one, other) => one.is_none() && other.is_none(),
        }
    }
}
