//! Where the endless log lies on the device.

use std::io;
use std::ops::Range;

use crate::device::Device;
use crate::format::superblock::Superblock;
use crate::types::{Lsn, UNIT};

/// The next sector boundary.
pub(crate) fn next_sector(lsn: Lsn) -> Lsn {
    Lsn(lsn.0.next_multiple_of(UNIT))
}

/// The ring that the log goes round in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ring {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

impl Ring {
    pub(crate) fn of(superblock: &Superblock) -> Ring {
        Ring { offset: superblock.wal_offset, bytes: superblock.wal_bytes }
    }

    /// The parts of the device that hold `len` bytes from `at` on: two if they cross the end of the ring.
    pub(crate) fn parts(&self, at: Lsn, len: usize) -> [(u64, Range<usize>); 2] {
        let from = at.0 % self.bytes;
        let first = len.min((self.bytes - from) as usize);
        [(self.offset + from, 0..first), (self.offset, first..len)]
    }

    pub(crate) fn read(&self, device: &impl Device, at: Lsn, buf: &mut [u8]) -> io::Result<()> {
        let parts = self.parts(at, buf.len());
        parts
            .into_iter()
            .filter(|(_, r)| !r.is_empty())
            .try_for_each(|(at, r)| device.read_at(at, &mut buf[r]))
    }
}
