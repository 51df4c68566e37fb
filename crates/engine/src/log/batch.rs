//! A batch on its way to the device: everything that one sync makes durable.

use std::io;
use std::ops::Range;

use super::ring::Ring;
use crate::device::Device;
use crate::types::{Lsn, UNIT};

/// The values of a batch, as they are written: those that lie one behind the other go out in one write.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values {
    pub(super) bytes: Vec<u8>,
    /// Where on the device the next so many of `bytes` go.
    pub(super) writes: Vec<(u64, usize)>,
}

impl Values {
    /// Adds bytes for an extent, and zeros up to its end.
    pub(crate) fn push(&mut self, offset: u64, units: u64, part: &[u8]) {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(part);
        self.bytes.resize(before + (units * UNIT) as usize, 0);
        let added = self.bytes.len() - before;
        match self.writes.last_mut() {
            Some((at, length)) if *at + *length as u64 == offset => *length += added,
            _ => self.writes.push((offset, added)),
        }
    }

    fn write(&self, device: &impl Device) -> io::Result<()> {
        let mut rest = self.bytes.as_slice();
        for &(offset, length) in &self.writes {
            let (bytes, behind) = rest.split_at(length);
            device.write_at(offset, bytes)?;
            rest = behind;
        }
        Ok(())
    }
}

/// Everything that became appended while the batch before was written. Made by `begin_sync`, to be written without
/// the engine, and to be given back to `end_sync`.
#[derive(Clone, Debug)]
#[must_use = "a batch that is not given back to end_sync keeps the engine from ever syncing again"]
pub struct Batch {
    pub(crate) number: u64,
    pub(crate) end: Lsn,
    pub(crate) micros: u64,
    pub(super) ring: Ring,
    pub(super) lsn: Lsn,
    pub(super) records: Vec<u8>,
    pub(super) values: Values,
    pub(super) sync: bool,
}

impl Batch {
    /// Writes the batch and syncs the device, once. Records and values may reach the medium in any order, because the
    /// records carry the checksums of the values; so there is no sync between them.
    pub fn write(&self, device: &impl Device) -> io::Result<()> {
        self.values.write(device)?;
        for (offset, part) in self.record_parts() {
            device.write_at(offset, &self.records[part])?;
        }
        if self.sync { device.sync() } else { Ok(()) }
    }

    /// Sets how long writing took, for the trace; the engine has no clock.
    pub fn timed(mut self, micros: u64) -> Batch {
        self.micros = micros;
        self
    }

    /// How many writes the batch takes, and of how many bytes in all.
    pub fn size(&self) -> (u64, u64) {
        let writes = self.values.writes.len() + self.record_parts().count();
        (writes as u64, (self.values.bytes.len() + self.records.len()) as u64)
    }

    fn record_parts(&self) -> impl Iterator<Item = (u64, Range<usize>)> {
        self.ring.parts(self.lsn, self.records.len()).into_iter().filter(|(_, part)| !part.is_empty())
    }
}
