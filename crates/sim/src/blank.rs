//! Disks as they are founded: formatted, and empty.

use std::cell::RefCell;
use std::collections::BTreeMap;

use dataplane::ClusterId;
use disk::Disk;
use engine::{Identity, Layout, Standing};

use crate::options::Options;

/// The cluster that everybody belongs to.
pub(crate) const CLUSTER: ClusterId = *b"simulated world!";
/// Small enough that the log laps within a schedule.
pub(crate) const WAL_BYTES: u64 = 32 << 10;
/// Whose disk it is.
pub(crate) fn identity(options: &Options, node: u32, shard: u32) -> Identity {
    let (shards, members) = (options.shards, engine::members((1..=options.founders()).chain([node])));
    Identity { cluster: CLUSTER, node, shard, shards, members }
}

/// A freshly formatted disk. Formatting is the same every time, so it is done once per thread.
pub(crate) fn formatted(options: &Options, node: u32, shard: u32, standing: Standing, bytes: u64) -> Disk {
    type Key = (u32, u32, u32, u32, bool, u64);
    thread_local! {
        static BLANK: RefCell<BTreeMap<Key, Disk>> = const { RefCell::new(BTreeMap::new()) };
    }
    let joining = standing == Standing::Joining;
    BLANK.with_borrow_mut(|blank| {
        let key = (options.founders(), options.shards, node, shard, joining, bytes);
        let disk = blank.entry(key).or_insert_with(|| {
            let disk = Disk::new(bytes);
            disk.remember_batches();
            let identity = identity(options, node, shard);
            engine::format(&disk, &identity, standing, Layout { wal_bytes: WAL_BYTES })
                .expect("a blank disk of this size can be formatted");
            disk
        });
        disk.clone()
    })
}
