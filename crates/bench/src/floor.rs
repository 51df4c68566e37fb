//! The least that a durable put can cost: a file that is there already, one write and one sync for each group, an
//! index in memory. No format, no checksum, no reclamation, no recovery: what it wrote nobody could read again.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;

use crate::group::{Put, Queue};
use crate::load::{Store, Used};

/// A file that is written round and round.
pub struct Appender {
    file: File,
    bytes: u64,
    at: u64,
    used: Used,
}

impl Appender {
    /// Fills a new file with zeros.
    pub fn create(path: &Path, bytes: u64) -> io::Result<Appender> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        let zeros = vec![0; 1 << 20];
        let mut at = 0;
        while at < bytes {
            let n = (bytes - at).min(zeros.len() as u64);
            file.write_all_at(&zeros[..n as usize], at)?;
            at += n;
        }
        file.sync_all()?;
        Ok(Appender { file, bytes, at: 0, used: Used::default() })
    }

    /// One write and one sync. Says where it wrote.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let length = bytes.len() as u64;
        let at = if self.at + length > self.bytes { 0 } else { self.at };
        self.file.write_all_at(bytes, at)?;
        self.file.sync_data()?;
        self.at = at + length;
        let Used { syncs, writes, bytes } = self.used;
        self.used = Used { syncs: syncs + 1, writes: writes + 1, bytes: bytes + length };
        Ok(at)
    }
}

/// The floor.
pub struct Floor {
    queue: Queue,
    state: Mutex<State>,
}

struct State {
    appender: Appender,
    index: BTreeMap<Vec<u8>, (u64, usize)>,
}

impl Floor {
    /// On a new file.
    pub fn create(path: &Path, bytes: u64) -> io::Result<Floor> {
        let state = State { appender: Appender::create(path, bytes)?, index: BTreeMap::new() };
        Ok(Floor { queue: Queue::default(), state: Mutex::new(state) })
    }

    fn commit(&self, group: Vec<Put>) -> io::Result<()> {
        // Only one thread commits, and nobody else looks.
        let State { appender, index } = &mut *self.state.lock().expect("no thread panics with the lock held");
        let mut bytes = Vec::with_capacity(group.iter().map(|(key, value)| key.len() + value.len()).sum());
        for (key, value) in &group {
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(value);
        }
        let mut at = appender.append(&bytes)?;
        for (key, value) in group {
            at += key.len() as u64;
            index.insert(key, (at, value.len()));
            at += value.len() as u64;
        }
        Ok(())
    }
}

impl Store for Floor {
    fn put(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.queue.put((key.into(), value.into()), |group| self.commit(group))
    }

    fn used(&self) -> Used {
        self.state.lock().expect("no thread panics with the lock held").appender.used
    }
}
