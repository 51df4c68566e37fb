//! What two equal states have in common.

use std::fmt;

use engine::{Device, Engine, ReadError};
use kv::Seq;
use sha2::{Digest as _, Sha256};

/// SHA-256 over the items in key order: for each, length of the key (4 bytes), key, version (8 bytes), length of the value
/// (4 bytes), value; integers are little-endian. Two replicas with the same digest have the same keys, versions and values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A digest that is being made.
#[derive(Clone, Default)]
pub struct Digester {
    sha: Sha256,
    keys: u64,
}

impl Digester {
    /// The next item, in key order.
    pub fn add(&mut self, key: &[u8], version: Seq, value: &[u8]) {
        self.keys += 1;
        // Keys and values are bounded far below 4 GiB.
        self.sha.update((key.len() as u32).to_le_bytes());
        self.sha.update(key);
        self.sha.update(version.to_le_bytes());
        self.sha.update((value.len() as u32).to_le_bytes());
        self.sha.update(value);
    }

    /// How many items there were, and their digest.
    pub fn finish(self) -> (u64, Digest) {
        (self.keys, Digest(self.sha.finalize().into()))
    }
}

/// Keys read at a time.
const PAGE_KEYS: usize = 1000;

/// The keys of an engine as of its applied entry, each read and checked against its checksum.
pub fn of_engine<D: Device>(engine: &Engine<D>) -> Result<(u64, Digest), ReadError> {
    let (mut digester, mut after) = (Digester::default(), None);
    loop {
        let page = engine.scan(b"", after.as_deref(), PAGE_KEYS);
        for (key, ..) in &page {
            // It was listed a moment ago, and nothing changes it meanwhile.
            if let Some(found) = engine.get(key)? {
                digester.add(key, found.version, &found.value);
            }
        }
        match page.last() {
            Some((last, ..)) => after = Some(last.clone()),
            None => return Ok(digester.finish()),
        }
    }
}
