//! A small disk for tests, and short words for what the stories do.
//!
//! What was written and not synced may survive a power cut or not, each 512-byte sector for itself, in any order, and
//! a sector may be torn. Everything is decided by a seed, so that a failure replays.

#![allow(dead_code)]

pub mod model;
pub mod scattered;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use engine::{
    Condition, Device, Engine, Identity, Layout, Op, RecoveryReport, Reserve, Seq, Standing, WriteError,
};
use trace::Mechanisms;

pub const SECTOR: usize = 512;
pub const ME: Identity = Identity { cluster: [7; 16], node: 1, shard: 0, shards: 2, members: 0b111 };
pub const TINY: Layout = Layout { wal_bytes: 16 << 10 };
pub const TINY_BYTES: u64 = 256 << 10;

/// A splitmix64 generator: small, seedable, good enough to choose.
#[derive(Clone, Debug)]
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

#[derive(Clone, Debug, Default)]
struct State {
    durable: Vec<u8>,
    /// What reads see.
    seen: Vec<u8>,
    /// Sectors written since the last sync, oldest first.
    unsynced: Vec<(usize, [u8; SECTOR])>,
    /// Writes and syncs so far.
    io: u64,
    /// The power fails at this one.
    power_fails_at: Option<u64>,
    /// The next sync fails, and with it what it should have made durable is lost, though reads still see it.
    fail_sync: bool,
    fail_write: bool,
    syncs: u64,
    writes: u64,
    written: u64,
}

/// Cheap to clone: all clones are the same disk.
#[derive(Clone, Debug)]
pub struct Disk(Rc<RefCell<State>>);

impl Disk {
    pub fn new(bytes: u64) -> Disk {
        Disk::of(vec![0; bytes as usize])
    }

    pub fn of(image: Vec<u8>) -> Disk {
        Disk(Rc::new(RefCell::new(State { durable: image.clone(), seen: image, ..State::default() })))
    }

    /// A formatted one.
    pub fn formatted(bytes: u64, layout: Layout) -> Disk {
        let disk = Disk::new(bytes);
        engine::format(&disk, &ME, Standing::Member, layout).unwrap();
        disk
    }

    pub fn tiny() -> Disk {
        Disk::formatted(TINY_BYTES, TINY)
    }

    /// Another disk with the same contents, synced or not, and the same future.
    pub fn fork(&self) -> Disk {
        Disk(Rc::new(RefCell::new(self.0.borrow().clone())))
    }

    pub fn image(&self) -> Vec<u8> {
        self.0.borrow().seen.clone()
    }

    pub fn io(&self) -> u64 {
        self.0.borrow().io
    }

    /// Writes so far, and their bytes.
    pub fn written(&self) -> (u64, u64) {
        let state = self.0.borrow();
        (state.writes, state.written)
    }

    pub fn syncs(&self) -> u64 {
        self.0.borrow().syncs
    }

    pub fn power_fails_at(&self, io: u64) {
        self.0.borrow_mut().power_fails_at = Some(io);
    }

    pub fn fail_next_sync(&self) {
        self.0.borrow_mut().fail_sync = true;
    }

    pub fn fail_next_write(&self) {
        self.0.borrow_mut().fail_write = true;
    }

    /// Sectors that a power cut may lose, oldest first.
    pub fn unsynced(&self) -> Vec<usize> {
        self.0.borrow().unsynced.iter().map(|(sector, _)| *sector).collect()
    }

    /// The disk after a power cut: of each unsynced sector write, `survives` says how many bytes reach the medium
    /// (512 for all, 0 for none; it is given the position of the write in the order of writing).
    pub fn power_cut(&self, mut survives: impl FnMut(usize) -> usize) -> Disk {
        let state = self.0.borrow();
        let mut image = state.durable.clone();
        for (n, (sector, bytes)) in state.unsynced.iter().enumerate() {
            let (at, kept) = (sector * SECTOR, survives(n));
            image[at..at + kept].copy_from_slice(&bytes[..kept]);
        }
        Disk::of(image)
    }

    /// The same, by chance.
    pub fn power_cut_at_random(&self, rng: &mut Rng) -> Disk {
        let style = rng.below(4);
        self.power_cut(|_| match style {
            0 => 0,
            1 => SECTOR,
            _ if rng.one_in(8) => rng.below(SECTOR as u64) as usize,
            _ => SECTOR * rng.below(2) as usize,
        })
    }

    /// The disk after kill -9: nothing is lost, but nothing more is synced either.
    pub fn kill(&self) -> Disk {
        let disk = self.fork();
        disk.0.borrow_mut().power_fails_at = None;
        disk
    }

    /// Damages bytes on the medium.
    pub fn damage(&self, at: u64, change: impl FnOnce(&mut [u8])) {
        let mut state = self.0.borrow_mut();
        assert!(state.unsynced.is_empty(), "damage is done to what is on the medium");
        change(&mut state.durable[at as usize..]);
        state.seen = state.durable.clone();
    }

    pub fn flip_bit(&self, at: u64) {
        self.damage(at, |bytes| bytes[0] ^= 1);
    }
}

impl State {
    fn count(&mut self) -> io::Result<()> {
        self.io += 1;
        match self.power_fails_at {
            Some(at) if self.io > at => Err(io::Error::other("the power is off")),
            _ => Ok(()),
        }
    }
}

impl Device for Disk {
    fn size(&self) -> u64 {
        self.0.borrow().seen.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let state = self.0.borrow();
        if state.power_fails_at.is_some_and(|at| state.io > at) {
            return Err(io::Error::other("the power is off"));
        }
        let (at, len) = (offset as usize, buf.len());
        let bytes = state.seen.get(at..at + len).ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(bytes);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        let powered = state.count();
        if state.power_fails_at.is_some_and(|at| state.io > at + 1) {
            return powered;
        }
        state.writes += 1;
        state.written += bytes.len() as u64;
        if std::mem::take(&mut state.fail_write) {
            return Err(io::Error::other("write failed"));
        }
        assert!(offset as usize + bytes.len() <= state.seen.len(), "a write behind the end");
        assert_eq!((offset as usize % SECTOR, bytes.len() % SECTOR), (0, 0), "writes are whole sectors");
        state.seen[offset as usize..offset as usize + bytes.len()].copy_from_slice(bytes);
        for (n, sector) in bytes.chunks(SECTOR).enumerate() {
            let number = offset as usize / SECTOR + n;
            state.unsynced.push((number, sector.try_into().unwrap()));
        }
        powered
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.count()?;
        state.syncs += 1;
        if std::mem::take(&mut state.fail_sync) {
            // As Linux does it: the pages are marked clean, and reads go on seeing them.
            state.unsynced.clear();
            return Err(io::Error::other("sync failed"));
        }
        for (sector, bytes) in std::mem::take(&mut state.unsynced) {
            state.durable[sector * SECTOR..][..SECTOR].copy_from_slice(&bytes);
        }
        Ok(())
    }
}

pub fn open(disk: &Disk) -> (Engine<Disk>, RecoveryReport) {
    open_with(disk, Mechanisms::all())
}

pub fn open_with(disk: &Disk, on: Mechanisms) -> (Engine<Disk>, RecoveryReport) {
    Engine::open(disk.clone(), &ME, on).unwrap()
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
