//! The disk that an engine runs on, and how it fails.
//!
//! A write is in the cache until a sync has returned. A killed process loses nothing that it wrote, and makes nothing of
//! it durable either; a power cut leaves some of it, in any combination (see `cuts`).
//!
//! | fault | what it does |
//! |---|---|
//! | [`Disk::power_cut`] | each sector that was not synced keeps one of its versions, or is torn between two |
//! | [`Disk::fail_after`] | from the n-th write or sync on, all writes and syncs fail: the moment of a crash |
//! | [`Disk::fail_sync`] | the next sync fails |
//! | [`Disk::hang_syncs`] | writes go on, and no sync returns: the moment of a crash in a batch |
//! | [`Disk::fail_reads`], [`Disk::fail_read_after`] | reads fail |
//! | [`Disk::rot`], [`Disk::misdirect`] (`damage`) | the medium is damaged where the fault model lets it |
//! | [`Disk::harm`] (`harm`) | the medium is damaged anywhere |

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use engine::format::superblock::{SLOTS, Superblock, WAL_OFFSET};
use engine::format::wal_record::WalRecord;

use crate::history::History;
use crate::rng::Rng;
use crate::sector::{Content, SECTOR};
use crate::state::{Cached, Io, State};

/// What becomes of the pages that a failed sync did not write.
#[derive(Clone, Debug)]
pub enum Unwritten {
    /// They count as clean, as on ext4 and XFS: readers see them, and no later sync writes them.
    Clean,
    /// Of each, chance decides: it stays as it is, still to be written, or it is dropped and the old content is back.
    Dropped(Rng),
}

/// What was done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Writes and syncs, those that failed included.
    pub accesses: u64,
    /// Reads within the device.
    pub reads: u64,
    /// Their bytes.
    pub read_bytes: u64,
    /// Writes.
    pub writes: u64,
    /// Their bytes.
    pub written_bytes: u64,
    /// Syncs.
    pub syncs: u64,
}

#[derive(Clone, Debug, Default)]
struct Faults {
    /// From this access on, all fail.
    fails_at: Option<u64>,
    sync_fails: Option<Unwritten>,
    sync_hangs: bool,
    /// Reads, by their number.
    reads_fail: Range<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Inner {
    pub(crate) state: State,
    /// What reads see.
    pub(crate) seen: Vec<Content>,
    journal: Option<Vec<Io>>,
    pub(crate) history: Option<History>,
    work: Work,
    faults: Faults,
    /// Sectors that cannot be read.
    pub(crate) unreadable: BTreeSet<usize>,
}

/// A handle to a simulated disk.
///
/// `clone` copies the disk; [`Disk::share`] gives a second handle to the same one.
#[derive(Debug)]
pub struct Disk(Arc<Mutex<Inner>>);

impl Clone for Disk {
    fn clone(&self) -> Disk {
        Disk(Arc::new(Mutex::new(self.inner().clone())))
    }
}

/// As a crash has left it. What changes it is recorded from here on: see [`Disk::take_journal`].
impl From<State> for Disk {
    fn from(state: State) -> Disk {
        let disk = Disk::with(state);
        disk.inner().journal = Some(Vec::new());
        disk
    }
}

impl Disk {
    fn with(state: State) -> Disk {
        let mut seen = state.durable().to_vec();
        for Cached { sector, content, .. } in state.cached() {
            seen[*sector] = content.clone();
        }
        Disk(Arc::new(Mutex::new(Inner {
            state,
            seen,
            journal: None,
            history: None,
            work: Work::default(),
            faults: Faults::default(),
            unreadable: BTreeSet::new(),
        })))
    }

    /// A disk of zeros.
    pub fn new(bytes: u64) -> Disk {
        assert_eq!(bytes as usize % SECTOR, 0, "a disk has whole sectors");
        Disk::with(State::blank(bytes as usize / SECTOR))
    }

    /// A disk with these bytes, all of them durable.
    pub fn of(image: &[u8]) -> Disk {
        Disk::with(State::of(image))
    }

    /// Another handle to this disk.
    pub fn share(&self) -> Disk {
        Disk(self.0.clone())
    }

    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no holder of the lock panics")
    }

    /// What a crash would find now.
    pub fn state(&self) -> State {
        self.inner().state.clone()
    }

    /// What reads see.
    pub fn image(&self) -> Vec<u8> {
        self.inner().seen.iter().flat_map(|content| content.bytes()).copied().collect()
    }

    /// What was done so far.
    pub fn work(&self) -> Work {
        self.inner().work
    }

    /// Would a loss of power find anything that is not durable?
    pub fn has_unsynced(&self) -> bool {
        self.inner().state.has_cached()
    }

    /// What changed it since the last call, if that is recorded, to be applied to a [`State`].
    pub fn take_journal(&self) -> Vec<Io> {
        self.inner().journal.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Remembers which batch made each sector durable, for [`Disk::rot`] and [`Disk::misdirect`].
    pub fn remember_batches(&self) {
        self.inner().history.get_or_insert_default();
    }

    /// Remembers what sectors held before, for [`Disk::misdirect`] and [`Disk::harm`].
    pub fn remember_before(&self) {
        self.inner().history.get_or_insert_default().before.get_or_insert_default();
    }

    /// Where the data region begins, as the first superblock slot says that can be read.
    pub fn data_offset(&self) -> u64 {
        self.inner().data_offset() as u64
    }

    /// Power is lost: of what was not synced, some of it is left, in one of all possible ways.
    pub fn power_cut(&self, rng: &mut Rng) {
        self.inner().loses_power(|state| state.draw_cut(rng));
    }

    /// Power is lost, and of what was not synced nothing is left.
    pub fn lose_unsynced(&self) {
        self.inner().loses_power(|_| Vec::new());
    }

    /// Whatever made it fail is gone.
    pub fn heal(&self) {
        self.inner().faults = Faults::default();
    }

    /// After so many more writes and syncs, all of them fail until the disk is healed.
    pub fn fail_after(&self, accesses: u64) {
        let mut inner = self.inner();
        inner.faults.fails_at = Some(inner.work.accesses + accesses);
    }

    /// Has the moment set by [`Disk::fail_after`] come?
    pub fn has_failed(&self) -> bool {
        let inner = self.inner();
        inner.faults.fails_at.is_some_and(|at| inner.work.accesses > at)
    }

    /// The next sync fails.
    pub fn fail_sync(&self, unwritten: Unwritten) {
        self.inner().faults.sync_fails = Some(unwritten);
    }

    /// Writes go on, and no sync returns: the process dies while it waits for one.
    pub fn hang_syncs(&self) {
        self.inner().faults.sync_hangs = true;
    }

    /// The next `reads` reads fail.
    pub fn fail_reads(&self, reads: u64) {
        let mut inner = self.inner();
        inner.faults.reads_fail = inner.work.reads..inner.work.reads + reads;
    }

    /// After so many more reads, one fails.
    pub fn fail_read_after(&self, reads: u64) {
        let mut inner = self.inner();
        let at = inner.work.reads + reads;
        inner.faults.reads_fail = at..at + 1;
    }

    /// Have all reads come that were to fail?
    pub fn has_failed_reads(&self) -> bool {
        let inner = self.inner();
        inner.work.reads >= inner.faults.reads_fail.end
    }
}

impl Inner {
    fn size(&self) -> usize {
        self.seen.len() * SECTOR
    }

    pub(crate) fn data_offset(&self) -> usize {
        let decoded = |slot: &u64| Superblock::decode(self.seen[*slot as usize / SECTOR].bytes()).ok();
        SLOTS.iter().find_map(decoded).map_or(self.size(), |superblock| superblock.data_offset as usize)
    }

    /// The sectors of the log.
    pub(crate) fn log(&self) -> Range<usize> {
        WAL_OFFSET as usize / SECTOR..self.data_offset() / SECTOR
    }

    /// A sector holds something else, on the medium as for readers.
    pub(crate) fn falsify(&mut self, sector: usize, content: Content) {
        self.seen[sector] = content.clone();
        self.state.falsify(sector, content);
    }

    fn loses_power(&mut self, mut survives: impl FnMut(&State) -> Vec<(usize, Content)>) {
        let cached: Vec<usize> = self.state.cached().iter().map(|c| c.sector).collect();
        let survived = survives(&self.state);
        self.state.lose_cache(survived);
        self.reread(&cached);
        self.faults = Faults::default();
    }

    /// Readers see of these sectors what is on the medium.
    fn reread(&mut self, sectors: &[usize]) {
        sectors.iter().for_each(|&sector| self.seen[sector] = self.state.durable()[sector].clone());
    }

    /// Counts a write or sync, and fails it if its moment has come.
    fn access(&mut self) -> io::Result<()> {
        self.work.accesses += 1;
        match self.faults.fails_at {
            Some(at) if self.work.accesses > at => Err(io::Error::other("the device is gone")),
            _ => Ok(()),
        }
    }

    fn does(&mut self, io: Io) {
        self.state.apply(&io);
        if let Some(journal) = &mut self.journal {
            journal.push(io);
        }
    }

    /// The cache forgets half of its sectors.
    fn drop_some(&mut self, rng: &mut Rng) {
        let cached: BTreeSet<usize> = self.state.cached().iter().map(|c| c.sector).collect();
        let dropped: Vec<usize> = cached.into_iter().filter(|_| rng.chance(500_000)).collect();
        self.state.forget(&dropped);
        self.reread(&dropped);
    }
}

impl engine::Device for Disk {
    fn size(&self) -> u64 {
        self.inner().size() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let mut inner = self.inner();
        let (mut at, mut rest) = (offset as usize, buf);
        if at.checked_add(rest.len()).is_none_or(|end| end > inner.size()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let number = inner.work.reads;
        inner.work.reads += 1;
        inner.work.read_bytes += rest.len() as u64;
        if inner.faults.reads_fail.contains(&number) {
            // What a failed read leaves in the buffer is of no use to anybody.
            rest.fill(0xdd);
            return Err(io::Error::other("the sector cannot be read"));
        }
        if inner.unreadable.range(at / SECTOR..(at + rest.len()).div_ceil(SECTOR)).next().is_some() {
            return Err(io::Error::other("a sector cannot be read"));
        }
        while !rest.is_empty() {
            let (from, n) = (at % SECTOR, (SECTOR - at % SECTOR).min(rest.len()));
            let (front, back) = rest.split_at_mut(n);
            front.copy_from_slice(&inner.seen[at / SECTOR].bytes()[from..from + n]);
            (at, rest) = (at + n, back);
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.inner();
        let offset = offset as usize;
        if offset.checked_add(bytes.len()).is_none_or(|end| end > inner.size()) {
            return Err(io::Error::other("write beyond the end of the device"));
        }
        assert_eq!(offset % SECTOR, 0, "the engine writes whole sectors");
        inner.access()?;
        inner.work.writes += 1;
        inner.work.written_bytes += bytes.len() as u64;
        let (first, contents): (_, Vec<_>) =
            (offset / SECTOR, bytes.chunks(SECTOR).map(Content::of).collect());
        for (sector, content) in (first..).zip(&contents) {
            inner.unreadable.remove(&sector);
            inner.seen[sector] = content.clone();
        }
        let life = WalRecord::decode(bytes, false).map_or(0, |record| record.header.life);
        inner.does(Io::Write(first, contents, life));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.inner();
        inner.access()?;
        if inner.faults.sync_hangs {
            return Err(io::Error::other("the process died before the sync returned"));
        }
        inner.work.syncs += 1;
        if let Some(unwritten) = inner.faults.sync_fails.take() {
            match unwritten {
                Unwritten::Clean => inner.does(Io::FailedSync),
                Unwritten::Dropped(mut rng) => inner.drop_some(&mut rng),
            }
            return Err(io::Error::other("the sync failed"));
        }
        if inner.history.is_some() {
            let log = inner.log();
            let Inner { history, state, .. } = &mut *inner;
            history.iter_mut().for_each(|history| history.sync(state, log.clone()));
        }
        inner.does(Io::Sync);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{Device, UNIT};

    fn read(disk: &Disk, sector: u64) -> u8 {
        let mut buf = [0; 1];
        disk.read_at(sector * UNIT, &mut buf).expect("the sector is there");
        buf[0]
    }

    #[test]
    fn what_was_not_synced_survives_a_power_cut_in_any_subset_and_what_was_synced_always() {
        let mut seen = [[false; 2]; 2];
        for seed in 0..64 {
            let disk = Disk::new(1 << 16);
            disk.write_at(0, &[1; SECTOR]).unwrap();
            disk.sync().unwrap();
            disk.write_at(UNIT, &[2; SECTOR]).unwrap();
            disk.write_at(2 * UNIT, &[3; SECTOR]).unwrap();
            disk.power_cut(&mut Rng::stream(seed, "test", 0));
            assert_eq!(read(&disk, 0), 1);
            seen[(read(&disk, 1) == 2) as usize][(read(&disk, 2) == 3) as usize] = true;
        }
        assert_eq!(seen, [[true; 2]; 2], "every subset turns up");
    }

    #[test]
    fn a_killed_process_loses_nothing_and_makes_nothing_durable() {
        let disk = Disk::new(1 << 16);
        disk.write_at(0, &[7; SECTOR]).unwrap();
        assert_eq!(read(&disk.share(), 0), 7);
        let lost = (0..64).any(|seed| {
            let copy = disk.clone();
            copy.power_cut(&mut Rng::stream(seed, "test", 0));
            read(&copy, 0) == 0
        });
        assert!(lost && read(&disk, 0) == 7);
    }

    #[test]
    fn after_the_chosen_moment_everything_fails_until_healed() {
        let disk = Disk::new(1 << 16);
        disk.fail_after(1);
        disk.write_at(0, &[1; SECTOR]).unwrap();
        assert!(!disk.has_failed());
        assert!(disk.sync().is_err() && disk.write_at(0, &[2; SECTOR]).is_err() && disk.has_failed());
        disk.heal();
        disk.sync().unwrap();
    }

    #[test]
    fn pages_that_a_failed_sync_left_clean_are_seen_and_never_written() {
        let disk = Disk::new(1 << 16);
        disk.write_at(0, &[1; SECTOR]).unwrap();
        disk.fail_sync(Unwritten::Clean);
        assert!(disk.sync().is_err());
        disk.sync().unwrap();
        assert_eq!(read(&disk, 0), 1);
        disk.lose_unsynced();
        assert_eq!(read(&disk, 0), 0);
    }

    #[test]
    fn the_reads_that_are_to_fail_do_and_no_other() {
        let disk = Disk::new(1 << 16);
        let can_read = || disk.read_at(0, &mut [0; 1]).is_ok();
        disk.fail_read_after(1);
        assert_eq!([can_read(), disk.has_failed_reads()], [true, false]);
        assert_eq!([can_read(), disk.has_failed_reads(), can_read()], [false, true, true]);
        disk.fail_reads(2);
        assert_eq!([can_read(), can_read(), can_read()], [false, false, true]);
    }
}
