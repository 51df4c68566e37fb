//! Hashes that are the same on every machine.

use std::hash::{DefaultHasher, Hasher};

/// Takes lengths and the numbers of variants for 64 bits, also where a `usize` has 32: so WebAssembly gives the hash that
/// other machines give.
#[derive(Default)]
pub(crate) struct Portable(DefaultHasher);

impl Hasher for Portable {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    fn write_usize(&mut self, n: usize) {
        self.0.write_u64(n as u64);
    }

    fn write_isize(&mut self, n: isize) {
        self.0.write_i64(n as i64);
    }

    fn finish(&self) -> u64 {
        self.0.finish()
    }
}
