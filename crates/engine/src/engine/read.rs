//! Reading: values and keys as of the applied entry, and the entries of the log.

use std::ops::Bound;
use std::sync::Arc;

use super::Engine;
use crate::device::Device;
use crate::error::{Damage, ReadError, Zone};
use crate::format::value_ref::ValueRef;
use crate::format::wal_record::{DELETE, WalRecord};
use crate::log::Logged;
use crate::types::{Entry, Found, Op, Seq};

impl<D: Device> Engine<D> {
    /// How many bytes the value of `key` has, as of `applied_seq`.
    pub fn value_bytes(&self, key: &[u8]) -> Option<u32> {
        self.index.get(key).map(ValueRef::value_bytes)
    }

    /// The value of `key` as of `applied_seq`, from the device, checked against its checksum.
    pub fn get(&self, key: &[u8]) -> Result<Option<Found>, ReadError> {
        self.readable()?;
        let found = |v: &ValueRef| Ok(Found { version: v.version, value: self.read_stored(key, v)? });
        self.index.get(key).map(found).transpose()
    }

    /// The value of `key` that a record of the log or an item of the checkpoint says is `stored` there. If the key still has
    /// it, the index knows better: it may have been moved, and if it is damaged, what is repaired is the copy.
    pub(super) fn read_value(&self, key: &[u8], stored: &ValueRef) -> Result<Arc<[u8]>, ReadError> {
        let live = self.index.get(key).filter(|live| live.version == stored.version);
        self.read_stored(key, live.unwrap_or(stored))
    }

    /// The value of `key`, which is `stored` there. A sector that cannot be read is damage like one that reads wrong: what others have
    /// can be written to it.
    pub(super) fn read_stored(&self, key: &[u8], stored: &ValueRef) -> Result<Arc<[u8]>, ReadError> {
        let value = Some((key.into(), stored.version));
        self.space.read(stored).map_err(|error| match error {
            ReadError::Corrupt(damage) => ReadError::Corrupt(Damage { value, ..damage }),
            ReadError::Io(error) => ReadError::Corrupt(Damage {
                zone: Zone::Data,
                offset: self.space.superblock.offset_of(stored.first_unit()),
                expected: format!("the value of entry {}", stored.version),
                found: error.to_string(),
                value,
            }),
            other => other,
        })
    }

    /// The entry that wrote the value of `key`.
    pub fn version_of(&self, key: &[u8]) -> Option<Seq> {
        self.index.get(key).map(|value| value.version)
    }

    /// Up to `limit` keys that begin with `prefix` and come after `after`, in order, with version and value length.
    pub fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<(Arc<[u8]>, Seq, u32)> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let matching = self.index.range(from).take_while(|(key, _)| key.starts_with(prefix));
        matching
            .take(limit)
            .map(|(key, value)| (key[..].into(), value.version, value.value_bytes()))
            .collect()
    }

    /// How many keys there are.
    pub fn key_count(&self) -> u64 {
        self.index.len()
    }

    /// Entry `seq`, if it is retained, synced or not.
    pub fn entry(&self, seq: Seq) -> Result<Option<Entry>, ReadError> {
        self.readable()?;
        if let Some(entry) = self.recent.get(seq) {
            return Ok(Some(entry.clone()));
        }
        // Entries that a checkpoint covers may be overwritten at any time, even if the log still remembers them.
        let Some(logged) = self.log.get(seq).filter(|_| seq > self.checkpoint_seq()) else { return Ok(None) };
        // What is not applied is in memory, but for its value: damage to its record cannot keep it from being sent.
        let record = match self.tentative(seq) {
            Some(record) => record.clone(),
            None => self.read_record(seq, logged)?,
        };
        let condition = record.condition();
        let WalRecord { header, key, tag, value } = record;
        let op = match value {
            Some(stored) => {
                let value = self.read_value(&key, &stored)?;
                Op::Put { key, value, condition }
            }
            None if header.kind == DELETE => Op::Delete { key, condition },
            None => Op::Nop,
        };
        Ok(Some(Entry { seq, tag, op }))
    }

    pub(super) fn read_record(&self, seq: Seq, logged: &Logged) -> Result<WalRecord, ReadError> {
        let mut bytes = vec![0; logged.bytes as usize];
        self.log.ring.read(&self.space.device, logged.lsn, &mut bytes)?;
        let corrupt = |found: String| {
            let (offset, expected) =
                (self.log.ring.parts(logged.lsn, 0)[0].0, format!("the record of entry {seq}"));
            ReadError::Corrupt(Damage { zone: Zone::Wal, offset, expected, found, value: None })
        };
        let record = WalRecord::decode(&bytes, true).map_err(|error| corrupt(error.to_string()))?;
        if (record.lsn(), record.header.seq) != (logged.lsn, seq) {
            return Err(corrupt(format!("that of entry {}, lsn {}", record.header.seq, record.lsn())));
        }
        Ok(record)
    }

    /// The tag of an entry without reading the device: of any that is not applied, and of recent ones.
    pub fn tag(&self, seq: Seq) -> Option<&[u8]> {
        let recent = || self.recent.get(seq).map(|entry| &*entry.tag);
        self.tentative(seq).map(|record| &*record.tag).or_else(recent)
    }

    /// The first entry that [`entry`](Engine::entry) can return: at most `checkpoint_seq + 1`, or less if the entries
    /// before are still in memory.
    pub fn retained_from(&self) -> Seq {
        let from = self.checkpoint_seq() + 1;
        self.recent.first().map_or(from, |recent| recent.min(from))
    }
}
