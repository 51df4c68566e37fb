//! What is on a medium and what is in the cache above it: the part of a disk that a crash finds.
//!
//! Reads see the newest bytes, as through a page cache. A sector written several times since the last sync may survive
//! in any of its versions, so all of them are kept; that covers every order of the writes.

use crate::sector::{Content, SECTOR};

/// A version of a sector that is in the cache.
#[derive(Clone, Debug)]
pub struct Cached {
    /// Which sector.
    pub sector: usize,
    /// What it holds.
    pub content: Content,
    /// Will the next sync write it? Not after a sync that failed: the kernel takes the page for clean, goes on showing it
    /// to readers, and writes it no more.
    pub dirty: bool,
}

/// One access that changes something.
#[derive(Clone, Debug)]
pub enum Io {
    /// The first sector, the sectors, and the life of the log that they were written in, if they are records.
    Write(usize, Vec<Content>, u64),
    /// A sync that returned.
    Sync,
    /// A sync that failed, and left the pages clean.
    FailedSync,
}

/// What is on the medium and what is in the cache.
#[derive(Clone, Debug)]
pub struct State {
    durable: Vec<Content>,
    cached: Vec<Cached>,
    log_life: u64,
}

impl State {
    /// A medium with these bytes, which are whole sectors, and an empty cache.
    pub fn of(image: &[u8]) -> State {
        State { durable: image.chunks(SECTOR).map(Content::of).collect(), cached: Vec::new(), log_life: 0 }
    }

    pub(crate) fn blank(sectors: usize) -> State {
        State { durable: vec![Content::default(); sectors], cached: Vec::new(), log_life: 0 }
    }

    /// The medium, sector by sector.
    pub fn durable(&self) -> &[Content] {
        &self.durable
    }

    /// What the cache holds beside it, in the order in which it was written.
    pub fn cached(&self) -> &[Cached] {
        &self.cached
    }

    /// Is anything in the cache that is not on the medium?
    pub fn has_cached(&self) -> bool {
        !self.cached.is_empty()
    }

    /// The greatest life of the log that a record was ever written in.
    pub fn log_life(&self) -> u64 {
        self.log_life
    }

    /// Does what an access did.
    pub fn apply(&mut self, io: &Io) {
        match io {
            Io::Write(first, contents, life) => {
                self.log_life = self.log_life.max(*life);
                let version = |(n, content): (usize, &Content)| Cached {
                    sector: first + n,
                    content: content.clone(),
                    dirty: true,
                };
                self.cached.extend(contents.iter().enumerate().map(version));
            }
            Io::Sync => {
                let (dirty, mut clean): (Vec<_>, Vec<_>) = self.cached.drain(..).partition(|c| c.dirty);
                clean.retain(|old| dirty.iter().all(|new| new.sector != old.sector));
                for Cached { sector, content, .. } in dirty {
                    self.durable[sector] = content;
                }
                self.cached = clean;
            }
            Io::FailedSync => self.cached.iter_mut().for_each(|c| c.dirty = false),
        }
    }

    /// The medium holds something else, without a write. Nothing of the sector may be in the cache: what damage does to a
    /// medium, a write that is still to come undoes.
    pub fn falsify(&mut self, sector: usize, content: Content) {
        assert!(self.cached.iter().all(|c| c.sector != sector), "damage is a matter of the medium");
        self.durable[sector] = content;
    }

    /// The cache forgets these sectors.
    pub(crate) fn forget(&mut self, sectors: &[usize]) {
        self.cached.retain(|c| !sectors.contains(&c.sector));
    }

    /// Power is lost: the cache is empty, and of it these contents reached the medium.
    pub(crate) fn lose_cache(&mut self, survived: impl IntoIterator<Item = (usize, Content)>) {
        self.cached.clear();
        for (sector, content) in survived {
            self.durable[sector] = content;
        }
    }

    /// A fingerprint of the medium.
    pub fn fingerprint(&self) -> u64 {
        self.durable.iter().enumerate().fold(0, |all, (sector, content)| all ^ content.fingerprint(sector))
    }
}
