//! Repairing a damaged value, in place, with bytes that come from elsewhere.
//!
//! What points at a value has the checksum of its bytes. So bytes from anywhere, if they have that checksum, are the very
//! bytes that were written, and go where those were.
//!
//! In place, although nothing else is ever overwritten (`never-overwrite-live`): what is overwritten can be read no more,
//! and sectors of it that are whole get the bytes that they have. So a crash in the middle leaves the value as damaged as
//! it was, or less; nothing points anywhere else than before, and nothing has to be made atomic.

use trace::{Kind, emit};

use super::Engine;
use crate::device::Device;
use crate::error::WriteError;
use crate::format::value_ref::ValueRef;
use crate::types::Seq;

impl<D: Device> Engine<D> {
    /// Can this value be repaired: is it that of a key as of `applied_seq`, or of an entry that is not applied? One that
    /// was replaced since need not be: a new checkpoint has no use for it.
    pub fn is_mendable(&self, key: &[u8], version: Seq) -> bool {
        self.value_ref(key, version).is_some()
    }

    /// Writes the value of `key` as of entry `version` anew, durably. False, and nothing is written, if these are not the
    /// bytes that were written, or nobody needs them any more.
    pub fn mend(&mut self, key: &[u8], version: Seq, value: &[u8]) -> Result<bool, WriteError> {
        self.writable()?;
        let same_length = |found: &&ValueRef| found.value_bytes() as usize == value.len();
        let Some(stored) = self.value_ref(key, version).filter(same_length) else { return Ok(false) };
        if crc32c::crc32c(value) != stored.crc() {
            return Ok(false);
        }
        let extent = stored.first_unit();
        let written = self.space.write(stored, value).and_then(|()| self.space.device.sync());
        written.map_err(|error| self.failed(error.into()))?;
        emit!(self.notes, Kind::ValueMended { version, extent, bytes: value.len() as u64 });
        self.check();
        Ok(true)
    }

    fn value_ref(&self, key: &[u8], version: Seq) -> Option<&ValueRef> {
        let live = self.index.get(key).filter(|value| value.version == version);
        live.or_else(|| self.tentative(version).filter(|record| *record.key == *key)?.value.as_ref())
    }
}
