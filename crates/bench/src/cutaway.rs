//! Our engine, with its device counted.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use engine::Device;
use store::FileDevice;

use crate::load::{Store, Used};

/// What went through a [`Counted`] device.
#[derive(Debug, Default)]
pub struct Counters {
    syncs: AtomicU64,
    writes: AtomicU64,
    bytes: AtomicU64,
    nanos: AtomicU64,
}

impl Counters {
    /// Syncs and bytes.
    pub fn used(&self) -> Used {
        Used {
            syncs: self.syncs.load(Relaxed),
            writes: self.writes.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
        }
    }

    /// Time that was spent in calls to the device.
    pub fn nanos(&self) -> u64 {
        self.nanos.load(Relaxed)
    }

    fn timed<T>(&self, call: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = call();
        self.nanos.fetch_add(started.elapsed().as_nanos() as u64, Relaxed);
        result
    }
}

/// A device file whose calls are counted.
#[derive(Debug)]
pub struct Counted {
    file: FileDevice,
    counters: Arc<Counters>,
}

impl Counted {
    /// Counts from 0.
    pub fn new(file: FileDevice) -> (Counted, Arc<Counters>) {
        let counters = Arc::new(Counters::default());
        (Counted { file, counters: counters.clone() }, counters)
    }
}

impl Device for Counted {
    fn size(&self) -> u64 {
        self.file.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.counters.timed(|| self.file.read_at(offset, buf))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.counters.bytes.fetch_add(bytes.len() as u64, Relaxed);
        self.counters.writes.fetch_add(1, Relaxed);
        self.counters.timed(|| self.file.write_at(offset, bytes))
    }

    fn sync(&self) -> io::Result<()> {
        self.counters.syncs.fetch_add(1, Relaxed);
        self.counters.timed(|| self.file.sync())
    }
}

/// The embedded store.
pub struct Cutaway {
    store: store::Store<Counted>,
    counters: Arc<Counters>,
}

impl Cutaway {
    /// On a new file.
    pub fn create(path: &Path, bytes: u64) -> io::Result<Cutaway> {
        let (device, counters) = Counted::new(FileDevice::create(path, bytes).map_err(io::Error::other)?);
        let (store, _) = store::Store::create(device).map_err(io::Error::other)?;
        Ok(Cutaway { store, counters })
    }
}

impl Store for Cutaway {
    fn put(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.store.put(key, value).map(drop).map_err(io::Error::other)
    }

    fn used(&self) -> Used {
        self.counters.used()
    }
}
