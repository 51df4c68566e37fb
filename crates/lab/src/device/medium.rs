//! What is on a medium and what is in the cache above it: the part of a disk that a crash leaves.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use engine::format::superblock::{self, Superblock};

/// Bytes of a sector.
pub(crate) const SECTOR: usize = 512;
/// The sectors of the superblock slots.
pub(crate) const SLOTS: [usize; 2] =
    [superblock::SLOTS[0] as usize / SECTOR, superblock::SLOTS[1] as usize / SECTOR];
/// Where in a sector a bit is turned: in the magic number, the CRC, a length, and further on.
const ROTTEN_BYTES: [usize; 5] = [0, 5, 9, 100, 300];

#[derive(Debug)]
pub(crate) struct Sector {
    bytes: [u8; SECTOR],
    hash: u64,
}

/// `None` is zeros.
pub(super) type Content = Option<Arc<Sector>>;

pub(super) fn content(bytes: &[u8]) -> Content {
    let bytes: [u8; SECTOR] = bytes.try_into().expect("the engine writes whole sectors");
    if bytes == [0; SECTOR] {
        return None;
    }
    let mut hasher = DefaultHasher::new();
    hasher.write(&bytes);
    Some(Arc::new(Sector { bytes, hash: hasher.finish() }))
}

pub(super) fn bytes(content: &Content) -> &[u8; SECTOR] {
    content.as_ref().map_or(&[0; SECTOR], |sector| &sector.bytes)
}

/// What a sector adds to the fingerprint of an image.
pub(super) fn fingerprint(sector: usize, content: &Content) -> u64 {
    let Some(content) = content else { return 0 };
    (content.hash ^ (sector as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .wrapping_mul(0xd6e8_feb8_6659_fd93)
}

/// A sector in the cache that is newer than the one on the medium.
#[derive(Clone, Debug)]
pub(super) struct Cached {
    pub(super) sector: usize,
    pub(super) content: Content,
    /// Will the next sync write it?
    pub(super) dirty: bool,
}

/// One access that changes something.
#[derive(Clone, Debug)]
pub(crate) enum Io {
    /// The first sector, the sectors, and the life of the log that they were written in, if they are records.
    Write(usize, Vec<Content>, u64),
    Sync,
    FailedSync,
}

/// What is on the medium and what is in the cache.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(super) durable: Vec<Content>,
    pub(super) durable_fingerprint: u64,
    pub(super) cached: Vec<Cached>,
    /// The greatest life of the log that a record was ever written in.
    pub(super) log_life: u64,
}

impl State {
    pub(crate) fn apply(&mut self, io: &Io) {
        match io {
            Io::Write(first, contents, life) => {
                self.log_life = self.log_life.max(*life);
                for (n, content) in contents.iter().enumerate() {
                    let new = Cached { sector: first + n, content: content.clone(), dirty: true };
                    let before = self.cached.iter().rfind(|c| c.sector == new.sector);
                    // The same bytes again are no other way to survive.
                    if !before.is_some_and(|c| c.dirty && bytes(&c.content) == bytes(content)) {
                        self.cached.push(new);
                    }
                }
            }
            Io::Sync => {
                let (dirty, mut clean): (Vec<_>, Vec<_>) = self.cached.drain(..).partition(|c| c.dirty);
                clean.retain(|old| dirty.iter().all(|new| new.sector != old.sector));
                for Cached { sector, content, .. } in dirty {
                    self.durable_fingerprint ^=
                        fingerprint(sector, &self.durable[sector]) ^ fingerprint(sector, &content);
                    self.durable[sector] = content;
                }
                self.cached = clean;
            }
            Io::FailedSync => self.cached.iter_mut().for_each(|c| c.dirty = false),
        }
    }

    /// Is anything in the cache that is not on the medium?
    pub(crate) fn has_cached(&self) -> bool {
        !self.cached.is_empty()
    }

    /// The same for states that no engine can tell apart.
    ///
    /// Each recovery counts the generation of the superblock and the life of the log up. Generations are only compared
    /// with each other, and lives with each other and with those of the records. So of a generation its rank counts,
    /// and of a life in which no record was written as well; of a slot that does not decode, why it does not. Hence a recovery that is cut off again and again comes back
    /// to states that are known, and however deep crashes go, they are covered.
    pub(crate) fn fingerprint(&self) -> u64 {
        let durable = SLOTS.map(|slot| (slot, &self.durable[slot]));
        let cached = self.cached.iter().map(|c| (c.sector, &c.content)).filter(|(at, _)| SLOTS.contains(at));
        let slots: Vec<_> = durable.into_iter().chain(cached).collect();
        let decoded: Vec<_> = slots.iter().map(|(_, c)| Superblock::decode(bytes(c))).collect();
        let rank = |value: fn(&Superblock) -> u64, above: u64, of: &Superblock| {
            let mut lower: Vec<u64> = decoded.iter().flatten().map(value).collect();
            lower.retain(|lower| (above..value(of)).contains(lower));
            lower.sort_unstable();
            lower.dedup();
            lower.len() as u64
        };
        let mut hasher = DefaultHasher::new();
        let mut rest = self.durable_fingerprint;
        for ((at, _), superblock) in slots.iter().zip(&decoded) {
            match superblock {
                Ok(slot) => {
                    let generation = rank(|slot| slot.generation, 0, slot);
                    let above = self.log_life + 1;
                    let life =
                        if slot.life < above { slot.life } else { above + rank(|s| s.life, above, slot) };
                    (at, Superblock { generation, life, ..*slot }.encode()).hash(&mut hasher);
                }
                Err(error) => (at, std::mem::discriminant(error)).hash(&mut hasher),
            }
        }
        SLOTS.iter().for_each(|&slot| rest ^= fingerprint(slot, &self.durable[slot]));
        rest.hash(&mut hasher);
        for c in &self.cached {
            let content = if SLOTS.contains(&c.sector) { 0 } else { fingerprint(c.sector, &c.content) };
            (content, c.sector, c.dirty).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// A letter for each of `sectors`: `.` nothing, `#` on the medium, `~` in the cache only or newer there.
    pub(crate) fn strip(&self, sectors: std::ops::Range<usize>) -> String {
        let letter = |at: usize| {
            let cached =
                self.cached.iter().any(|c| c.sector == at && bytes(&c.content) != bytes(&self.durable[at]));
            if cached {
                '~'
            } else if self.durable[at].is_some() {
                '#'
            } else {
                '.'
            }
        };
        sectors.map(letter).collect()
    }

    /// Sectors up to the last one in use.
    pub(crate) fn used(&self) -> usize {
        let cached = self.cached.iter().map(|c| c.sector + 1).max().unwrap_or(0);
        let durable = self.durable.iter().rposition(Option::is_some).map_or(0, |at| at + 1);
        cached.max(durable)
    }

    /// The medium with a bit turned in byte `byte` of each of these sectors; nothing may be cached.
    pub(crate) fn rotten_in(&self, sectors: &[usize], byte: usize) -> State {
        let mut rotten = self.clone();
        for &sector in sectors {
            let mut changed = *bytes(&self.durable[sector]);
            changed[byte] ^= 1;
            rotten.apply(&Io::Write(sector, vec![content(&changed)], 0));
        }
        rotten.apply(&Io::Sync);
        rotten
    }

    /// The medium with bits turned in one sector, for each sector in use and several places in it; and with both
    /// superblock slots damaged. With the sectors, and whether it is the latter. Nothing may be cached.
    pub(crate) fn rotten(&self) -> Vec<(Vec<usize>, usize, State)> {
        assert!(self.cached.is_empty(), "rot is a matter of the medium");
        let used = (0..self.durable.len()).filter(|&sector| self.durable[sector].is_some());
        let hit = used.map(|sector| vec![sector]).chain([SLOTS.to_vec()]);
        hit.flat_map(|sectors| ROTTEN_BYTES.map(|byte| (sectors.clone(), byte)))
            .map(|(sectors, byte)| {
                let rotten = self.rotten_in(&sectors, byte);
                (sectors, byte, rotten)
            })
            .collect()
    }
}
