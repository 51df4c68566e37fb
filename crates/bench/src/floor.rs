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

/// The floor.
pub struct Floor {
    file: File,
    bytes: u64,
    queue: Queue,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    at: u64,
    index: BTreeMap<Vec<u8>, (u64, usize)>,
    used: Used,
}

impl Floor {
    /// Fills a new file with zeros; it is written round and round.
    pub fn create(path: &Path, bytes: u64) -> io::Result<Floor> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        let zeros = vec![0; 1 << 20];
        let mut at = 0;
        while at < bytes {
            let n = (bytes - at).min(zeros.len() as u64);
            file.write_all_at(&zeros[..n as usize], at)?;
            at += n;
        }
        file.sync_all()?;
        Ok(Floor { file, bytes, queue: Queue::default(), state: Mutex::default() })
    }

    fn commit(&self, group: Vec<Put>) -> io::Result<()> {
        // Only one thread commits, and nobody else looks.
        let mut state = self.state.lock().expect("no thread panics with the lock held");
        let mut bytes = Vec::with_capacity(group.iter().map(|(key, value)| key.len() + value.len()).sum());
        for (key, value) in &group {
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(value);
        }
        if state.at + bytes.len() as u64 > self.bytes {
            state.at = 0;
        }
        self.file.write_all_at(&bytes, state.at)?;
        self.file.sync_data()?;
        for (key, value) in group {
            let (at, length) = (state.at + key.len() as u64, value.len());
            state.at = at + length as u64;
            state.index.insert(key, (at, length));
        }
        state.used.syncs += 1;
        state.used.writes += 1;
        state.used.bytes += bytes.len() as u64;
        Ok(())
    }
}

impl Store for Floor {
    fn put(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.queue.put((key.into(), value.into()), |group| self.commit(group))
    }

    fn used(&self) -> Used {
        self.state.lock().expect("no thread panics with the lock held").used
    }
}
