//! A disk small enough to enumerate everything that a power cut can leave of it.
//!
//! What was written and not synced survives sector by sector, independently: not at all, whole, or torn (the front of
//! the new bytes with the end of the old ones, or the other way round). A sector written several times since the last
//! sync may hold any of its versions, which covers every order of the writes. Reads see the newest bytes, as through a
//! page cache. A sync that fails leaves the pages clean: they go on being read, and no later sync writes them.
//!
//! A clone is another disk with the same past.

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::Arc;

use engine::Device;
use engine::format::superblock::{self, Superblock};
use engine::format::wal_record::WalRecord;

/// Bytes of a sector.
pub(crate) const SECTOR: usize = 512;
/// The sectors of the superblock slots.
pub(crate) const SLOTS: [usize; 2] =
    [superblock::SLOTS[0] as usize / SECTOR, superblock::SLOTS[1] as usize / SECTOR];
/// Up to so many ways in which sectors can survive, all of them are tried; beyond, see [`State::power_cuts`].
pub(crate) const WAYS_MAX: usize = 1_024;
/// Where in a sector a bit is turned: in the magic number, the CRC, a length, and further on.
const ROTTEN_BYTES: [usize; 5] = [0, 5, 9, 100, 300];
/// Combinations drawn where there are too many.
const SAMPLES: u64 = 64;

#[derive(Debug)]
pub(crate) struct Sector {
    bytes: [u8; SECTOR],
    hash: u64,
}

/// `None` is zeros.
type Content = Option<Arc<Sector>>;

fn content(bytes: &[u8]) -> Content {
    let bytes: [u8; SECTOR] = bytes.try_into().expect("the engine writes whole sectors");
    if bytes == [0; SECTOR] {
        return None;
    }
    let mut hasher = DefaultHasher::new();
    hasher.write(&bytes);
    Some(Arc::new(Sector { bytes, hash: hasher.finish() }))
}

fn bytes(content: &Content) -> &[u8; SECTOR] {
    content.as_ref().map_or(&[0; SECTOR], |sector| &sector.bytes)
}

/// What a sector adds to the fingerprint of an image.
fn fingerprint(sector: usize, content: &Content) -> u64 {
    let Some(content) = content else { return 0 };
    (content.hash ^ (sector as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .wrapping_mul(0xd6e8_feb8_6659_fd93)
}

/// A sector in the cache that is newer than the one on the medium.
#[derive(Clone, Debug)]
struct Cached {
    sector: usize,
    content: Content,
    /// Will the next sync write it?
    dirty: bool,
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
    durable: Vec<Content>,
    durable_fingerprint: u64,
    cached: Vec<Cached>,
    /// The greatest life of the log that a record was ever written in.
    log_life: u64,
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

    /// Everything that a power cut can leave, with `torn` sectors or without, each as the sectors that differ from
    /// the medium.
    ///
    /// If there are at most [`WAYS_MAX`] ways, torn sectors included, these are all of them. Beyond that: all subsets
    /// of whole sectors if those are at most as many, else none, all, each one, each two, all but one, all but two,
    /// and 64 drawn with a fixed seed; and each single sector torn, with all others old and with all others new. A
    /// sector is torn in the middle of the bytes that change.
    pub(crate) fn power_cuts(&self, torn: bool) -> Vec<Cut> {
        let choices = self.choices(torn);
        let ways = |count: fn(&Choice) -> usize| {
            choices.iter().try_fold(1usize, |n, c| n.checked_mul(count(c)).filter(|&n| n <= WAYS_MAX))
        };
        if ways(|c| c.options.len()).is_some() {
            return self.product(&choices, |c| c.options.len());
        }
        let mut picks: Vec<Vec<usize>> = Vec::new();
        let new: Vec<usize> = choices.iter().map(|c| c.whole - 1).collect();
        let mut cuts = if ways(|c| c.whole).is_some() {
            self.product(&choices, |c| c.whole)
        } else {
            let old = vec![0; choices.len()];
            for (from, to) in [(&old, &new), (&new, &old)] {
                picks.push(from.clone());
                for one in 0..choices.len() {
                    for other in one..choices.len() {
                        let mut pick = from.clone();
                        (pick[one], pick[other]) = (to[one], to[other]);
                        picks.push(pick);
                    }
                }
            }
            let mut seed = self.durable_fingerprint;
            for _ in 0..SAMPLES {
                picks.push(choices.iter().map(|c| next(&mut seed) as usize % c.whole).collect());
            }
            Vec::new()
        };
        for (n, choice) in choices.iter().enumerate() {
            for torn in choice.whole..choice.options.len() {
                for rest in [vec![0; choices.len()], new.clone()] {
                    let mut pick = rest;
                    pick[n] = torn;
                    picks.push(pick);
                }
            }
        }
        cuts.extend(picks.iter().map(|pick| self.cut(&choices, pick)));
        cuts
    }

    fn product(&self, choices: &[Choice], count: fn(&Choice) -> usize) -> Vec<Cut> {
        let (mut cuts, mut pick) = (Vec::new(), vec![0; choices.len()]);
        loop {
            cuts.push(self.cut(choices, &pick));
            let Some(n) = (0..pick.len()).find(|&n| pick[n] + 1 < count(&choices[n])) else { return cuts };
            pick[..n].fill(0);
            pick[n] += 1;
        }
    }

    fn cut(&self, choices: &[Choice], pick: &[usize]) -> Cut {
        let mut fingerprint_after = self.durable_fingerprint;
        let (mut sectors, mut names) = (Vec::new(), Vec::new());
        for (choice, &n) in choices.iter().zip(pick).filter(|(_, n)| **n > 0) {
            let (fate, content) = &choice.options[n];
            let old = &self.durable[choice.sector];
            fingerprint_after ^= fingerprint(choice.sector, old) ^ fingerprint(choice.sector, content);
            sectors.push((choice.sector, *fate, content.clone()));
            names.push(format!("{}{}", choice.sector, choice.name(n)));
        }
        let lost = choices.len() - sectors.len();
        Cut { fingerprint: fingerprint_after, sectors, names, lost }
    }

    /// The power cut that a schedule describes by these names: a cached sector survives in its newest version (`16`), an
    /// older one (`16:1`), or torn (`16:front`, `16:end`); those that are not named are lost. A name of nothing that is
    /// cached means nothing.
    pub(crate) fn cut_named(&self, names: &[&str]) -> Cut {
        let choices = self.choices(true);
        let pick: Vec<usize> = choices
            .iter()
            .map(|choice| {
                let named = |n: &usize| names.contains(&&*format!("{}{}", choice.sector, choice.name(*n)));
                (1..choice.options.len()).find(named).unwrap_or(0)
            })
            .collect();
        self.cut(&choices, &pick)
    }

    /// For each cached sector, what may be on the medium after a power cut, the old bytes first, torn ones last.
    fn choices(&self, torn: bool) -> Vec<Choice> {
        let mut choices: Vec<Choice> = Vec::new();
        for Cached { sector, content, .. } in &self.cached {
            let choice = match choices.iter_mut().find(|choice| choice.sector == *sector) {
                Some(choice) => choice,
                None => {
                    let options = vec![(Fate::Lost, self.durable[*sector].clone())];
                    choices.push(Choice { sector: *sector, options, whole: 1 });
                    choices.last_mut().expect("just pushed")
                }
            };
            choice.add(Fate::Written, content.clone());
            choice.whole = choice.options.len();
        }
        choices.retain(|choice| choice.whole > 1);
        for choice in choices.iter_mut().filter(|_| torn) {
            let (old, new) = (choice.options[0].1.clone(), choice.options[choice.whole - 1].1.clone());
            let (old, new) = (bytes(&old), bytes(&new));
            let differ: Vec<usize> = (0..SECTOR).filter(|&n| old[n] != new[n]).collect();
            let at = differ[differ.len() / 2];
            choice.add(Fate::FrontWritten(at), content(&[&new[..at], &old[at..]].concat()));
            choice.add(Fate::EndWritten(at), content(&[&old[..at], &new[at..]].concat()));
        }
        choices
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

    /// The disk after a power cut: an empty cache.
    pub(crate) fn after(&self, cut: &Cut) -> State {
        let mut durable = self.durable.clone();
        for (sector, _, content) in &cut.sectors {
            durable[*sector] = content.clone();
        }
        State { durable, durable_fingerprint: cut.fingerprint, cached: Vec::new(), log_life: self.log_life }
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

fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (z ^ (z >> 27)) >> 8
}

struct Choice {
    sector: usize,
    options: Vec<(Fate, Content)>,
    /// How many of them are not torn.
    whole: usize,
}

impl Choice {
    /// The end of an option's name in a schedule.
    fn name(&self, option: usize) -> String {
        match self.options[option].0 {
            Fate::FrontWritten(_) => ":front".into(),
            Fate::EndWritten(_) => ":end".into(),
            _ if option + 1 == self.whole => String::new(),
            _ => format!(":{option}"),
        }
    }

    fn add(&mut self, fate: Fate, content: Content) {
        if self.options.iter().all(|(_, known)| bytes(known) != bytes(&content)) {
            self.options.push((fate, content));
        }
    }
}

/// What became of a sector in a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Lost,
    Written,
    FrontWritten(usize),
    EndWritten(usize),
}

/// One way in which a power cut can leave the disk.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    /// Of the disk after it.
    pub(crate) fingerprint: u64,
    sectors: Vec<(usize, Fate, Content)>,
    /// As a schedule names them: see [`State::cut_named`].
    pub(crate) names: Vec<String>,
    lost: usize,
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.sectors.is_empty() && self.lost == 0 {
            return write!(f, "nothing was in the cache");
        }
        let mut whole: Vec<usize> = self
            .sectors
            .iter()
            .filter(|(_, fate, _)| *fate == Fate::Written)
            .map(|(sector, ..)| *sector)
            .collect();
        whole.sort_unstable();
        let mut survived: Vec<String> =
            whole.chunk_by(|a, b| a + 1 == *b).map(|run| sectors(run[0], run.len())).collect();
        for (sector, fate, _) in &self.sectors {
            match fate {
                Fate::Lost | Fate::Written => {}
                Fate::FrontWritten(n) => survived.push(format!("the first {n} bytes of sector {sector}")),
                Fate::EndWritten(n) => survived.push(format!("sector {sector} from its byte {n} on")),
            }
        }
        match (survived.as_slice(), self.lost) {
            ([], 1) => write!(f, "the one cached sector is lost"),
            ([], lost) => write!(f, "all {lost} cached sectors are lost"),
            (survived, 0) => write!(f, "all that was cached survives: {}", survived.join(" and ")),
            (survived, lost) => {
                let (sectors, are) = if lost == 1 { ("sector", "is") } else { ("sectors", "are") };
                write!(
                    f,
                    "of what was cached, {lost} {sectors} {are} lost; what survives: {}",
                    survived.join(" and ")
                )
            }
        }?;
        Ok(())
    }
}

/// Neighbouring sectors in words.
fn sectors(first: usize, count: usize) -> String {
    if count == 1 { format!("sector {first}") } else { format!("sectors {first}–{}", first + count - 1) }
}

/// The disk that an engine runs on. It remembers every write and sync, to be replayed up to any of them.
#[derive(Clone, Debug)]
pub(crate) struct Disk(RefCell<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    state: State,
    /// What reads see.
    seen: Vec<Content>,
    journal: Vec<Io>,
    fail_next_sync: bool,
    /// The read after so many comes up short.
    reads_left: Option<usize>,
    /// Writes and syncs until the power fails.
    accesses_left: Option<usize>,
}

impl Disk {
    pub(crate) fn new(bytes: usize) -> Disk {
        let durable = vec![None; bytes / SECTOR];
        Disk::of(State { durable, durable_fingerprint: 0, cached: Vec::new(), log_life: 0 })
    }

    pub(crate) fn of(state: State) -> Disk {
        let mut seen = state.durable.clone();
        for Cached { sector, content, .. } in &state.cached {
            seen[*sector] = content.clone();
        }
        Disk(RefCell::new(Inner {
            state,
            seen,
            journal: Vec::new(),
            fail_next_sync: false,
            reads_left: None,
            accesses_left: None,
        }))
    }

    pub(crate) fn state(&self) -> State {
        self.0.borrow().state.clone()
    }

    /// What was done to it since the last call.
    pub(crate) fn take_journal(&self) -> Vec<Io> {
        std::mem::take(&mut self.0.borrow_mut().journal)
    }

    /// From now on: so many reads, and one that comes up short.
    pub(crate) fn short_read_after(&self, reads: usize) {
        self.0.borrow_mut().reads_left = Some(reads);
    }

    /// Has that read come?
    pub(crate) fn was_short(&self) -> bool {
        self.0.borrow().reads_left.is_none()
    }

    /// From now on: so many writes and syncs, and no more.
    pub(crate) fn power_fails_after(&self, accesses: usize) {
        self.0.borrow_mut().accesses_left = Some(accesses);
    }

    pub(crate) fn fail_next_sync(&self) {
        self.0.borrow_mut().fail_next_sync = true;
    }
}

impl Inner {
    /// Is there power for one access more?
    fn is_powered(&mut self) -> io::Result<()> {
        match &mut self.accesses_left {
            Some(0) => return Err(io::Error::other("the power is gone")),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(())
    }

    fn record(&mut self, io: Io) {
        self.state.apply(&io);
        self.journal.push(io);
    }
}

impl Device for Disk {
    fn size(&self) -> u64 {
        (self.0.borrow().seen.len() * SECTOR) as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        let short = inner.reads_left == Some(0);
        inner.reads_left = inner.reads_left.and_then(|left| left.checked_sub(1));
        if short {
            // What a short read leaves in the buffer is of no use to anybody.
            buf.fill(0xdd);
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (mut at, mut done) = (offset as usize, 0);
        if at + buf.len() > inner.seen.len() * SECTOR {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while done < buf.len() {
            let (from, n) = (at % SECTOR, (SECTOR - at % SECTOR).min(buf.len() - done));
            buf[done..done + n].copy_from_slice(&bytes(&inner.seen[at / SECTOR])[from..from + n]);
            (at, done) = (at + n, done + n);
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        inner.is_powered()?;
        assert_eq!(offset as usize % SECTOR, 0, "the engine writes whole sectors");
        let (first, contents): (_, Vec<_>) =
            (offset as usize / SECTOR, bytes.chunks(SECTOR).map(content).collect());
        inner.seen[first..first + contents.len()].clone_from_slice(&contents);
        let life = WalRecord::decode(bytes, false).map_or(0, |record| record.header.life);
        inner.record(Io::Write(first, contents, life));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        inner.is_powered()?;
        if std::mem::take(&mut inner.fail_next_sync) {
            inner.record(Io::FailedSync);
            return Err(io::Error::other("the sync failed"));
        }
        inner.record(Io::Sync);
        Ok(())
    }
}
