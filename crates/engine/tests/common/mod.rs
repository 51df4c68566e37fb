//! A small formatted disk, and short words for what the stories do.

#![allow(dead_code)]

pub mod model;
pub mod scattered;

use std::sync::Arc;

pub use disk::{Disk, Rng, SECTOR, Unwritten};
use engine::{
    Condition, Device, Engine, Identity, Layout, Op, RecoveryReport, Reserve, Seq, Standing, WriteError,
};
use trace::Mechanisms;

pub const ME: Identity = Identity { cluster: [7; 16], node: 1, shard: 0, shards: 2, members: 0b111 };
pub const TINY: Layout = Layout { wal_bytes: 16 << 10 };
pub const TINY_BYTES: u64 = 256 << 10;

pub fn formatted(bytes: u64, layout: Layout) -> Disk {
    let disk = Disk::new(bytes);
    engine::format(&disk, &ME, Standing::Member, layout).unwrap();
    disk
}

pub fn tiny() -> Disk {
    formatted(TINY_BYTES, TINY)
}

pub fn seeded(seed: u64) -> Rng {
    Rng::stream(seed, "engine", 0)
}

/// What a killed process leaves: all that it wrote, synced or not.
pub fn killed(disk: &Disk) -> Disk {
    let disk = disk.clone();
    disk.heal();
    disk
}

/// What a power cut leaves of which nothing survives that was not synced.
pub fn power_cut(disk: &Disk) -> Disk {
    let disk = disk.clone();
    disk.lose_unsynced();
    disk
}

/// What a power cut leaves, by chance: often nothing or all of what was not synced, else some of it.
pub fn random_power_cut(disk: &Disk, rng: &mut Rng) -> Disk {
    let disk = killed(disk);
    match rng.below(4) {
        0 => disk.lose_unsynced(),
        1 => disk.sync().unwrap(),
        _ => disk.power_cut(rng),
    }
    disk
}

/// What a power cut leaves if of each sector written since the last sync (they are numbered in the order of the writes) so
/// many bytes survive.
pub fn partial_power_cut(disk: &Disk, survives: impl Fn(usize) -> usize) -> Disk {
    let (mut left, state) = (power_cut(disk).image(), disk.state());
    for (n, cached) in state.cached().iter().enumerate() {
        let (at, kept) = (cached.sector * SECTOR, survives(n));
        left[at..at + kept].copy_from_slice(&cached.content.bytes()[..kept]);
    }
    Disk::of(&left)
}

/// Damages bytes on the medium.
pub fn damage(disk: &Disk, at: u64, change: impl FnOnce(&mut [u8])) {
    assert!(!disk.has_unsynced(), "damage is done to what is on the medium");
    let mut image = disk.image();
    change(&mut image[at as usize..]);
    disk.write_at(0, &image).unwrap();
    disk.sync().unwrap();
}

pub fn open(disk: &Disk) -> (Engine<Disk>, RecoveryReport) {
    open_with(disk, Mechanisms::all())
}

pub fn open_with(disk: &Disk, on: Mechanisms) -> (Engine<Disk>, RecoveryReport) {
    Engine::open(disk.share(), &ME, on).unwrap()
}

pub fn bytes(s: &str) -> Arc<[u8]> {
    s.as_bytes().into()
}

pub fn put(key: &str, value: &str) -> Op {
    Op::Put { key: bytes(key), value: bytes(value), condition: Condition::Always }
}

pub fn delete(key: &str) -> Op {
    Op::Delete { key: bytes(key), condition: Condition::Always }
}

/// Short words, with nobody listening.
pub trait Short {
    fn add(&mut self, op: Op) -> Seq;
    fn sync_now(&mut self) -> Result<(), WriteError>;
    fn commit_all(&mut self);
    /// Append, sync, commit.
    fn write(&mut self, op: Op) -> Seq;
    fn value(&self, key: &str) -> Option<String>;
    fn undo(&mut self, from: Seq);
    fn checkpoint_now(&mut self);
    /// Would these be appended, with tags of this length?
    fn has_room<'a>(&mut self, ops: impl Iterator<Item = &'a Op>, tag_bytes: usize) -> bool;
}

impl<D: Device> Short for Engine<D> {
    fn add(&mut self, op: Op) -> Seq {
        self.append(op, b"tag").unwrap()
    }

    fn sync_now(&mut self) -> Result<(), WriteError> {
        self.sync().map(|_| ())
    }

    fn commit_all(&mut self) {
        self.commit(self.durable_seq()).unwrap();
    }

    fn write(&mut self, op: Op) -> Seq {
        let seq = self.add(op);
        self.sync_now().unwrap();
        self.commit_all();
        seq
    }

    fn value(&self, key: &str) -> Option<String> {
        self.get(key.as_bytes()).unwrap().map(|found| String::from_utf8(found.value.to_vec()).unwrap())
    }

    fn undo(&mut self, from: Seq) {
        self.truncate(from).unwrap();
    }

    fn checkpoint_now(&mut self) {
        self.checkpoint(b"host".to_vec()).unwrap();
    }

    fn has_room<'a>(&mut self, ops: impl Iterator<Item = &'a Op>, tag_bytes: usize) -> bool {
        self.has_room_beside(ops, tag_bytes, Reserve::Truncations)
    }
}
