//! A device as it is drawn, a letter for each sector; and its accesses in words.

use std::collections::BTreeMap;

use disk::{Content, Io, SECTOR, State};

use crate::device::medium::{SLOTS, strip, used};

/// Sectors of the superblocks and the log, in front of the data.
const WAL: std::ops::Range<usize> = 16..32;

/// So many sectors of the data are drawn at least, so that a picture shows where it will be.
const DATA_MIN: usize = 4;

/// Does this sector lie in the log, behind its end?
fn is_behind(at: usize, end: u64) -> bool {
    let end = end.div_ceil(SECTOR as u64) as usize;
    WAL.contains(&at) && at - WAL.start >= end && end < WAL.len()
}

/// What is written and synced, in words.
pub fn accesses(journal: &[Io]) -> String {
    let name = |io: &Io| match io {
        Io::Write(first, ..) if *first == SLOTS[0] => "superblock A",
        Io::Write(first, ..) if *first == SLOTS[1] => "superblock B",
        Io::Write(first, ..) if WAL.contains(first) => "the log",
        Io::Write(..) => "the data",
        Io::Sync => "the sync",
        Io::FailedSync => "the sync that fails",
    };
    let names: Vec<&str> = journal.iter().map(name).collect();
    match names.as_slice() {
        [] => "nothing".into(),
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        [one, ..] => (*one).into(),
    }
}

/// What a picture shows that the device itself does not tell.
#[derive(Default)]
pub struct Picture {
    /// Sectors that the last power cut tore, until something is written again; and those that it let through.
    pub torn: Vec<usize>,
    pub spared: Vec<usize>,
    /// What the log's sectors hold that an opening found behind the log's end.
    pub stale: BTreeMap<usize, Content>,
}

impl Picture {
    /// The sectors of a device, a letter each. What lies behind the durable `end` of the log, if it is open, is left over
    /// from a tail that does not count; and so it stays until it is written over.
    pub fn strip(&self, disk: &State, end: Option<u64>) -> String {
        let is_stale = |at: usize| match end {
            Some(end) => is_behind(at, end),
            None => self.stale.get(&at).is_some_and(|was| *was == disk.durable()[at]),
        };
        let part = |sectors: std::ops::Range<usize>| -> String {
            let letters = strip(disk, sectors.clone());
            let letter = |(at, letter): (usize, char)| match letter {
                '#' if self.torn.contains(&at) => 't',
                '#' if is_stale(at) => 's',
                '#' if self.spared.contains(&at) => '+',
                other => other,
            };
            sectors.zip(letters.chars()).map(letter).collect()
        };
        let data = WAL.end..used(disk).max(WAL.end + DATA_MIN);
        let slot = |slot: usize| part(SLOTS[slot]..SLOTS[slot] + 1);
        format!("A{} B{} log {} data {}", slot(0), slot(1), part(WAL), part(data))
    }

    /// Keeps in mind what is left over. Whoever believes it, as an opening without some mechanism does, takes it for the log.
    pub fn note_stale(&mut self, disk: &State, end: Option<u64>, broken: bool) {
        match end {
            Some(end) => {
                let behind = WAL.filter(|at| is_behind(*at, end) && !disk.durable()[*at].is_zero());
                self.stale = behind.map(|at| (at, disk.durable()[at].clone())).collect();
            }
            None if broken => self.stale.clear(),
            None => {}
        }
    }
}
