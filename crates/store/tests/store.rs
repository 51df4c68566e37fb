//! The store on real files.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::{Condition, Device, Outcome, WriteError};
use store::{FileDevice, FileError, Store, StoreError};

/// A directory that goes away with the test, however it ends.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Dir {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("store-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Dir(path)
    }

    fn image(&self) -> PathBuf {
        self.0.join("store.img")
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Counts the syncs and reads of the device behind it, and can be told to fail.
#[derive(Debug)]
struct Counting<D> {
    device: D,
    syncs: AtomicU64,
    reads: AtomicU64,
    fail_at: u64,
}

impl<D: Device> Device for Counting<D> {
    fn size(&self) -> u64 {
        self.device.size()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.device.read_at(offset, buf)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        self.device.write_at(offset, bytes)
    }
    fn sync(&self) -> std::io::Result<()> {
        if self.syncs.fetch_add(1, Ordering::Relaxed) + 1 == self.fail_at {
            return Err(std::io::Error::other("sync failed"));
        }
        self.device.sync()
    }
}

#[test]
fn many_threads_write_share_syncs_and_find_everything_after_reopening() {
    let dir = Dir::new();
    let device = FileDevice::create(&dir.image(), 4 << 20).unwrap();
    let counting =
        Arc::new(Counting { device, syncs: AtomicU64::new(0), reads: AtomicU64::new(0), fail_at: 0 });
    let (store, _) = Store::create(counting.clone()).unwrap();
    let before = counting.syncs.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..60 {
                    let key = format!("{thread}-{}", n % 20);
                    store.put(key.as_bytes(), format!("value {n}").as_bytes()).unwrap();
                }
            });
        }
    });
    assert!(
        counting.syncs.load(Ordering::Relaxed) - before <= 480 + 100,
        "more syncs than writes and checkpoints"
    );
    drop((store, counting));
    let (store, report) = Store::open(FileDevice::open(&dir.image()).unwrap()).unwrap();
    assert_eq!(report.last_seq, 480);
    for thread in 0..8 {
        for n in 40..60 {
            let key = format!("{thread}-{}", n % 20);
            let found = store.get(key.as_bytes()).unwrap().unwrap();
            assert_eq!(found.value[..], *format!("value {n}").as_bytes());
        }
    }
}

#[test]
fn a_file_is_as_long_as_asked_for_and_counts_what_is_asked_of_it() {
    let dir = Dir::new();
    // Not a multiple of what it is filled with at a time.
    let bytes = 3 << 19;
    let device = FileDevice::create(&dir.image(), bytes).unwrap();
    assert_eq!((device.size(), std::fs::metadata(dir.image()).unwrap().len()), (bytes, bytes));
    let counts = |device: &FileDevice| (device.used().syncs, device.used().writes, device.used().bytes);
    assert_eq!(counts(&device), (0, 0, 0));
    device.write_at(bytes - 512, &[1; 512]).unwrap();
    device.sync().unwrap();
    assert_eq!(counts(&device), (1, 1, 512));
    let mut back = [0; 512];
    device.read_at(bytes - 512, &mut back).unwrap();
    assert_eq!(back, [1; 512]);
}

#[test]
fn a_second_opener_is_told_that_the_device_is_in_use() {
    let dir = Dir::new();
    let device = FileDevice::create(&dir.image(), 1 << 20).unwrap();
    let refused = FileDevice::open(&dir.image()).unwrap_err();
    assert!(matches!(refused, FileError::Locked));
    assert!(refused.to_string().contains("in use by another process"), "{refused}");
    assert!(
        matches!(FileDevice::create(&dir.image(), 1 << 20), Err(FileError::Io(_))),
        "nothing is overwritten"
    );
    drop(device);
    assert_eq!(FileDevice::open(&dir.image()).unwrap().size(), 1 << 20);
}

#[test]
fn a_full_store_refuses_puts_takes_deletes_and_has_room_again() {
    let dir = Dir::new();
    let (store, _) = Store::create(FileDevice::create(&dir.image(), 1 << 20).unwrap()).unwrap();
    let value = vec![7; 5000];
    let mut written = 0;
    let refused = loop {
        match store.put(format!("{written:04}").as_bytes(), &value) {
            Ok(_) => written += 1,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, StoreError::Refused(WriteError::NoSpace { .. })), "{refused}");
    assert!(written > 80, "{written}");
    assert!(store.get(format!("{written:04}").as_bytes()).unwrap().is_none());
    for n in 0..written {
        assert_eq!(store.delete(format!("{n:04}").as_bytes()).unwrap(), Outcome::Deleted { existed: true });
    }
    for n in 0..written {
        store.put(format!("{n:04}").as_bytes(), &value).unwrap();
    }
}

#[test]
fn overwriting_for_long_fills_neither_log_nor_data_region() {
    let dir = Dir::new();
    let (store, _) = Store::create(FileDevice::create(&dir.image(), 1 << 20).unwrap()).unwrap();
    for n in 0..1000_u64 {
        let value = vec![n as u8; (n % 700) as usize];
        assert_eq!(store.put(&[(n % 40) as u8], &value).unwrap(), Outcome::Written(n + 1));
    }
    let space = store.space();
    assert!(space.live + space.quarantined <= 400, "{space:?}");
}

#[test]
fn a_failed_sync_is_an_unknown_outcome_and_stops_the_store() {
    let dir = Dir::new();
    let device = FileDevice::create(&dir.image(), 1 << 20).unwrap();
    let counting = Counting { device, syncs: AtomicU64::new(0), reads: AtomicU64::new(0), fail_at: 9 };
    let (store, _) = Store::create(counting).unwrap();
    let mut failure = None;
    for n in 0..10 {
        if let Err(error) = store.put(b"k", &[n]) {
            failure.get_or_insert(error);
        }
    }
    assert!(matches!(failure, Some(StoreError::Unknown(_))), "{failure:?}");
    assert!(matches!(store.put(b"k", b"v"), Err(StoreError::Refused(WriteError::Poisoned))));
    assert!(store.get(b"k").is_err());
}

#[test]
fn conditions_hold_between_threads() {
    let dir = Dir::new();
    let (store, _) = Store::create(FileDevice::create(&dir.image(), 1 << 20).unwrap()).unwrap();
    let winners = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..6_u8 {
            let (store, winners) = (&store, &winners);
            scope.spawn(move || {
                if let Outcome::Written(_) = store.put_if(b"one", &[thread], Condition::Absent).unwrap() {
                    winners.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(winners.into_inner(), 1);
}

#[test]
fn a_store_lists_its_keys_and_reads_a_value_at_once() {
    let dir = Dir::new();
    let device = Arc::new(Counting {
        device: FileDevice::create(&dir.image(), 1 << 20).unwrap(),
        syncs: AtomicU64::new(0),
        reads: AtomicU64::new(0),
        fail_at: 0,
    });
    let (store, _) = Store::create(device.clone()).unwrap();
    for key in ["b1", "a", "b2"] {
        store.put(key.as_bytes(), b"value").unwrap();
    }
    let keys: Vec<_> = store.scan(b"b", None, 10).into_iter().map(|(key, ..)| key.to_vec()).collect();
    assert_eq!(keys, [b"b1", b"b2"]);
    assert_eq!(store.space().live, 3);
    let reads = || device.reads.load(Ordering::Relaxed);
    let before = reads();
    assert_eq!(store.get(b"a").unwrap().unwrap().value[..], *b"value");
    assert_eq!(reads(), before + 1, "one read, value and checksum together");
}
