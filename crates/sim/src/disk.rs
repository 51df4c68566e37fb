//! A simulated disk, with exactly the promises a real one makes.
//!
//! Two images: what a process reads (the cache), and what survives a loss of power (the medium). They differ in the
//! sectors written since the last sync; for each of those every version since then is kept, because a power cut may
//! leave any of them, or one torn in the middle, whatever became of its neighbours. A killed process loses nothing that
//! it wrote, and makes nothing of it durable either.
//!
//! | fault | what it does |
//! |---|---|
//! | [`Disk::power_cut`] | each unsynced sector keeps one of its versions, or the front of one and the back of another |
//! | [`Disk::fail_after`] | from the n-th write or sync on, everything fails: the moment of a crash |
//! | [`Disk::fail_sync`] | the next sync fails, and some of what it should have made durable is dropped |
//! | [`Disk::hang_syncs`] | writes go on, and no sync returns: the moment of a crash in a batch |
//! | [`Disk::fail_reads`] | the next reads fail |
//! | [`Disk::rot`], [`Disk::rot_in`] | one bit of a sector turns |
//! | [`Disk::harm`](crate::harm) | a chosen block is damaged in a chosen way |
//! | [`Disk::misdirect`] | one sector's content lies in another sector's place, and its own place has what was there before |
//!
//! Damage strikes only where the fault model lets it: never a sector of the last synced batch, since nothing on any
//! disk could tell its loss from a torn tail.
//!
//! Pages are shared until written, so a fresh image, or a copy of a disk, costs next to nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use engine::{Extent, UNIT};

use crate::rng::Rng;

pub(crate) const SECTOR: usize = UNIT as usize;
const PAGE: usize = 8 * SECTOR;

pub(crate) type Sector = [u8; SECTOR];

#[derive(Clone, Debug)]
struct Medium {
    pages: Vec<Arc<[u8; PAGE]>>,
    /// Versions of each unsynced sector before the present one, the durable one first.
    unsynced: BTreeMap<usize, Vec<Sector>>,
    /// The sync that made each sector durable, counting only syncs that covered a batch of the log.
    written: BTreeMap<usize, u64>,
    /// What each sector held before each of its writes, oldest first; only kept if `misdirect` or `harm` may come.
    before: Option<BTreeMap<usize, Vec<Sector>>>,
    batches: u64,
    ios: u64,
    writes: u64,
    syncs: u64,
    /// From this I/O on, everything fails.
    fails_at: Option<u64>,
    sync_fails: Option<Rng>,
    /// Nothing is synced any more: what is written stays where a crash finds it.
    sync_hangs: bool,
    reads_fail: u32,
    /// Sectors that cannot be read.
    unreadable: BTreeSet<usize>,
}

/// A handle to a simulated disk.
///
/// `clone` copies the disk; [`Disk::share`] gives a second handle to the same one.
#[derive(Debug)]
pub struct Disk(Arc<Mutex<Medium>>);

impl Clone for Disk {
    fn clone(&self) -> Disk {
        Disk(Arc::new(Mutex::new(self.medium().clone())))
    }
}

/// A kind of place on a device, by who reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// One of the two superblock slots.
    Superblock,
    /// The log ring.
    Log,
    /// Values and checkpoints.
    Data,
}

impl Disk {
    /// A disk of zeros.
    pub fn blank(bytes: u64) -> Disk {
        let page = Arc::new([0; PAGE]);
        let pages = vec![page; bytes as usize / PAGE];
        Disk(Arc::new(Mutex::new(Medium {
            pages,
            unsynced: BTreeMap::new(),
            written: BTreeMap::new(),
            before: None,
            batches: 0,
            ios: 0,
            writes: 0,
            syncs: 0,
            fails_at: None,
            sync_fails: None,
            sync_hangs: false,
            reads_fail: 0,
            unreadable: BTreeSet::new(),
        })))
    }

    /// Another handle to this disk.
    pub fn share(&self) -> Disk {
        Disk(self.0.clone())
    }

    fn medium(&self) -> MutexGuard<'_, Medium> {
        self.0.lock().expect("no holder of the lock panics")
    }

    /// Remembers what sectors held before, for [`Disk::misdirect`] and [`Disk::harm`](crate::harm).
    pub fn remember_before(&self) {
        self.medium().before.get_or_insert_default();
    }

    /// Where the data region begins.
    pub fn data_offset(&self) -> u64 {
        self.medium().data_offset() as u64
    }

    /// Writes and syncs so far.
    pub fn work(&self) -> (u64, u64) {
        let medium = self.medium();
        (medium.writes, medium.syncs)
    }

    /// Would a loss of power find anything that is not durable?
    pub fn has_unsynced(&self) -> bool {
        !self.medium().unsynced.is_empty()
    }

    /// Power is lost: each unsynced sector keeps one of its versions, or is torn between two.
    pub fn power_cut(&self, rng: &mut Rng) {
        let mut medium = self.medium();
        for (sector, versions) in std::mem::take(&mut medium.unsynced) {
            let now = medium.sector(sector);
            let version = |n: u64| -> &Sector { versions.get(n as usize).unwrap_or(&now) };
            let kept = *version(rng.below(versions.len() as u64 + 1));
            let mut found = kept;
            if rng.chance(250_000) {
                let other = *version(rng.below(versions.len() as u64 + 1));
                let cut = rng.below(SECTOR as u64) as usize;
                found[cut..].copy_from_slice(&other[cut..]);
            }
            medium.put(sector, &found);
        }
        medium.heal();
    }

    /// Power is lost, and of what was not synced nothing is left.
    pub fn lose_unsynced(&self) {
        let mut medium = self.medium();
        for (sector, versions) in std::mem::take(&mut medium.unsynced) {
            medium.put(sector, &versions[0]);
        }
        medium.heal();
    }

    /// Whatever made it fail is gone.
    pub fn heal(&self) {
        self.medium().heal();
    }

    /// After `ios` more writes and syncs, everything fails until the disk is healed.
    pub fn fail_after(&self, ios: u64) {
        let mut medium = self.medium();
        medium.fails_at = Some(medium.ios + ios);
    }

    /// Has the moment set by [`Disk::fail_after`] come?
    pub fn has_failed(&self) -> bool {
        let medium = self.medium();
        medium.fails_at.is_some_and(|at| medium.ios > at)
    }

    /// The next sync fails. `rng` chooses what is dropped: of each sector that was to become durable, either the new
    /// content stays, still not durable, or the old one is back.
    pub fn fail_sync(&self, rng: Rng) {
        self.medium().sync_fails = Some(rng);
    }

    /// Writes go on, and no sync returns: the process dies while it waits for one.
    pub fn hang_syncs(&self) {
        self.medium().sync_hangs = true;
    }

    /// The next `reads` reads fail.
    pub fn fail_reads(&self, reads: u32) {
        self.medium().reads_fail = reads;
    }

    /// Sectors of `place` that damage may strike: durable ones that are not of the last batch.
    fn strikeable(&self, place: Place) -> Vec<usize> {
        let medium = self.medium();
        let log_end = medium.data_offset() / SECTOR;
        let slots = engine::format::superblock::SLOTS.map(|slot| slot as usize / SECTOR);
        let log_start = engine::format::superblock::WAL_OFFSET as usize / SECTOR;
        let settled = |sector: &usize| {
            medium.written.get(sector).is_some_and(|batch| *batch < medium.batches)
                && !medium.unsynced.contains_key(sector)
        };
        match place {
            Place::Superblock => slots.into_iter().filter(|s| !medium.unsynced.contains_key(s)).collect(),
            Place::Log => medium.written.range(log_start..log_end).map(|w| *w.0).filter(settled).collect(),
            Place::Data => medium.written.range(log_end..).map(|w| *w.0).filter(settled).collect(),
        }
    }

    /// What a sector holds.
    pub(crate) fn content(&self, sector: usize) -> Sector {
        self.medium().sector(sector)
    }

    /// What it held before each of its writes, oldest first.
    pub(crate) fn earlier(&self, sector: usize) -> Vec<Sector> {
        self.medium().before.iter().flat_map(|before| before.get(&sector)).flatten().copied().collect()
    }

    /// A sector holds something else, on the medium as in the cache.
    pub(crate) fn falsify(&self, sector: usize, content: &Sector) {
        self.medium().put(sector, content);
    }

    /// A sector cannot be read, until it is written.
    pub(crate) fn spoil(&self, sector: usize) {
        self.medium().unreadable.insert(sector);
    }

    /// Turns one bit of this byte, wherever it is.
    pub fn turn_bit(&self, offset: u64) {
        let mut medium = self.medium();
        let (sector, at) = (offset as usize / SECTOR, offset as usize % SECTOR);
        let mut content = medium.sector(sector);
        content[at] ^= 1;
        medium.put(sector, &content);
    }

    /// Turns one bit of one of these bytes, if damage may strike there; gives its offset.
    pub fn rot_in(&self, bytes: std::ops::Range<u64>, rng: &mut Rng) -> Option<u64> {
        let at = rng.between(bytes.start, bytes.end - 1);
        let sector = at as usize / SECTOR;
        if !self.strikeable(Place::Data).contains(&sector) {
            return None;
        }
        let mut medium = self.medium();
        let mut content = medium.sector(sector);
        content[at as usize % SECTOR] ^= 1 << rng.below(8);
        medium.put(sector, &content);
        Some(at)
    }

    /// Turns one bit of a sector of `place`, one of `owned` if any of those can be struck; gives the byte offset, or `None` if
    /// there is nothing to strike.
    pub fn rot(&self, place: Place, owned: &[Extent], rng: &mut Rng) -> Option<u64> {
        let all = self.strikeable(place);
        let start = self.medium().data_offset() / SECTOR;
        let units = |extent: &Extent| extent.unit as usize..(extent.unit + extent.units) as usize;
        let is_owned = |sector: &usize| {
            sector
                .checked_sub(start)
                .is_some_and(|unit| owned.iter().any(|extent| units(extent).contains(&unit)))
        };
        let hit: Vec<usize> = all.iter().copied().filter(is_owned).collect();
        let hit_owned = !hit.is_empty();
        let sectors = if hit_owned { hit } else { all };
        let sector = *sectors.get(rng.below(sectors.len().max(1) as u64) as usize)?;
        let mut medium = self.medium();
        let mut content = medium.sector(sector);
        // A record begins with what is checked; behind a short one nothing is.
        let bytes = if hit_owned { 80 } else { SECTOR as u64 };
        let bit = rng.below(bytes * 8) as usize;
        content[bit / 8] ^= 1 << (bit % 8);
        medium.put(sector, &content);
        Some((sector * SECTOR + bit / 8) as u64)
    }

    /// As if a write had gone to another sector: its content lies there, and its own place has what was there before.
    /// Gives the byte offsets of the two.
    pub fn misdirect(&self, place: Place, rng: &mut Rng) -> Option<(u64, u64)> {
        let sectors = self.strikeable(place);
        let meant = *sectors.get(rng.below(sectors.len().max(1) as u64) as usize)?;
        let hit = *sectors.get(rng.below(sectors.len().max(1) as u64) as usize)?;
        let mut medium = self.medium();
        let before = medium.before.as_ref()?.get(&meant)?.last().copied()?;
        let content = medium.sector(meant);
        medium.put(hit, &content);
        medium.put(meant, &before);
        Some(((meant * SECTOR) as u64, (hit * SECTOR) as u64))
    }
}

impl Medium {
    fn sector(&self, sector: usize) -> Sector {
        let at = sector * SECTOR;
        let page = &self.pages[at / PAGE][at % PAGE..];
        *page.first_chunk().expect("pages are whole sectors")
    }

    fn put(&mut self, sector: usize, content: &Sector) {
        let at = sector * SECTOR;
        Arc::make_mut(&mut self.pages[at / PAGE])[at % PAGE..at % PAGE + SECTOR].copy_from_slice(content);
    }

    fn heal(&mut self) {
        (self.fails_at, self.sync_fails, self.sync_hangs, self.reads_fail) = (None, None, false, 0);
    }

    fn size(&self) -> usize {
        self.pages.len() * PAGE
    }

    /// Where the data region begins, as the first superblock slot says.
    fn data_offset(&self) -> usize {
        let slots = engine::format::superblock::SLOTS.map(|slot| slot as usize / SECTOR);
        slots
            .iter()
            .find_map(|slot| engine::format::superblock::Superblock::decode(&self.sector(*slot)).ok())
            .map_or(self.size(), |superblock| superblock.data_offset as usize)
    }

    /// Counts a write or sync, and fails it if its moment has come.
    fn io(&mut self) -> io::Result<()> {
        self.ios += 1;
        match self.fails_at {
            Some(at) if self.ios > at => Err(io::Error::other("the device is gone")),
            _ => Ok(()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.io()?;
        if self.sync_hangs {
            return Err(io::Error::other("the process died before the sync returned"));
        }
        self.syncs += 1;
        if let Some(mut rng) = self.sync_fails.take() {
            for (sector, versions) in std::mem::take(&mut self.unsynced) {
                if rng.chance(500_000) {
                    self.put(sector, &versions[0]);
                } else {
                    self.unsynced.insert(sector, versions);
                }
            }
            return Err(io::Error::other("the sync failed"));
        }
        let log_start = engine::format::superblock::WAL_OFFSET as usize / SECTOR;
        let log_end = self.data_offset() / SECTOR;
        if self.unsynced.range(log_start..log_end).next().is_some() {
            self.batches += 1;
        }
        for (sector, mut versions) in std::mem::take(&mut self.unsynced) {
            self.written.insert(sector, self.batches);
            if let Some(before) = &mut self.before {
                before.entry(sector).or_default().push(versions.swap_remove(0));
            }
        }
        Ok(())
    }
}

impl engine::Device for Disk {
    fn size(&self) -> u64 {
        self.medium().size() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let mut medium = self.medium();
        let offset = offset as usize;
        if offset.checked_add(buf.len()).is_none_or(|end| end > medium.size()) {
            return Err(io::Error::other("read beyond the end of the device"));
        }
        if medium.reads_fail > 0 {
            medium.reads_fail -= 1;
            return Err(io::Error::other("the sector cannot be read"));
        }
        if medium.unreadable.range(offset / SECTOR..(offset + buf.len()).div_ceil(SECTOR)).next().is_some() {
            return Err(io::Error::other("a sector cannot be read"));
        }
        let (mut at, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let n = (PAGE - at % PAGE).min(rest.len());
            let (front, back) = rest.split_at_mut(n);
            front.copy_from_slice(&medium.pages[at / PAGE][at % PAGE..at % PAGE + n]);
            (at, rest) = (at + n, back);
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut medium = self.medium();
        let offset = offset as usize;
        if offset.checked_add(bytes.len()).is_none_or(|end| end > medium.size()) {
            return Err(io::Error::other("write beyond the end of the device"));
        }
        medium.io()?;
        medium.writes += 1;
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let (sector, start) = (at / SECTOR, at % SECTOR);
            let n = (SECTOR - start).min(rest.len());
            let old = medium.sector(sector);
            let mut new = old;
            new[start..start + n].copy_from_slice(&rest[..n]);
            medium.unreadable.remove(&sector);
            medium.unsynced.entry(sector).or_default().push(old);
            medium.put(sector, &new);
            (at, rest) = (at + n, &rest[n..]);
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.medium().sync()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Device;

    fn read(disk: &Disk, sector: u64) -> u8 {
        let mut buf = [0; 1];
        disk.read_at(sector * UNIT, &mut buf).expect("the sector is there");
        buf[0]
    }

    #[test]
    fn what_was_not_synced_survives_a_power_cut_in_any_subset_and_what_was_synced_always() {
        let mut seen = [[false; 2]; 2];
        for seed in 0..64 {
            let disk = Disk::blank(1 << 16);
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
        let disk = Disk::blank(1 << 16);
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
        let disk = Disk::blank(1 << 16);
        disk.fail_after(1);
        disk.write_at(0, &[1]).unwrap();
        assert!(!disk.has_failed());
        assert!(disk.sync().is_err() && disk.write_at(0, &[2]).is_err() && disk.has_failed());
        disk.heal();
        disk.sync().unwrap();
    }

    #[test]
    fn damage_never_strikes_the_last_batch() {
        let disk = Disk::blank(1 << 16);
        let at = engine::format::superblock::WAL_OFFSET;
        disk.write_at(at, &[1; SECTOR]).unwrap();
        disk.sync().unwrap();
        let mut rng = Rng::stream(1, "test", 0);
        assert_eq!(disk.rot(Place::Log, &[], &mut rng), None);
        disk.write_at(at + UNIT, &[2; SECTOR]).unwrap();
        disk.sync().unwrap();
        let struck = disk.rot(Place::Log, &[], &mut rng).expect("the first batch may be struck");
        assert!((at..at + UNIT).contains(&struck));
    }
}
