//! Damage to a chosen block of a device, as disks have been seen to do it (Bairavasundaram et al., "An analysis of data
//! corruption in the storage stack", FAST 2008).
//!
//! Unlike [`Disk::rot`] and [`Disk::misdirect`], nothing here asks whether the fault model allows it.

use std::ops::Range;

use crate::disk::Disk;
use crate::sector::{Content, SECTOR};

/// What becomes of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Harm {
    /// One bit turns.
    Rot,
    /// Of its last write only the front reached the medium.
    Torn,
    /// Its last write never reached the medium, although it was reported durable.
    Lost,
    /// Its last write went to another block, and is missing where it belongs.
    Misdirected,
    /// It is again what it was when it was first written.
    Old,
    /// Zeros.
    Wiped,
    /// It cannot be read, until it is written anew.
    Unreadable,
}

impl Harm {
    /// Every kind, with the word for it.
    pub const ALL: [(&'static str, Harm); 7] = [
        ("rot", Harm::Rot),
        ("torn", Harm::Torn),
        ("lost", Harm::Lost),
        ("misdirected", Harm::Misdirected),
        ("old", Harm::Old),
        ("wiped", Harm::Wiped),
        ("unreadable", Harm::Unreadable),
    ];
}

impl std::fmt::Display for Harm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = Harm::ALL.iter().find(|named| named.1 == *self).map_or("", |named| named.0);
        f.write_str(word)
    }
}

/// Where a bit turns, and where a write of a single sector is torn: within the header of whatever is there.
const WITHIN: usize = 24;

impl Disk {
    /// Does this to the sectors of a block; `other` is a block of the same kind, which a misdirected write hits.
    /// `false`: the block is what it would be without the harm.
    pub fn harm(&self, block: Range<u64>, harm: Harm, other: Option<Range<u64>>) -> bool {
        let block = sectors(&block);
        let before: Vec<Content> = block.clone().map(|at| self.content(at)).collect();
        match harm {
            Harm::Rot => self.turn_bit((block.start * SECTOR + WITHIN) as u64),
            Harm::Torn => self.tear(&block),
            Harm::Lost => self.take_back(block.clone()),
            Harm::Misdirected => {
                let Some(other) = other else { return false };
                sectors(&other).zip(&before).for_each(|(at, content)| self.falsify(at, content.clone()));
                self.take_back(block.clone());
            }
            Harm::Old => block.clone().for_each(|at| {
                let first = self.earlier(at).into_iter().find(|version| !version.is_zero());
                first.into_iter().for_each(|first| self.falsify(at, first));
            }),
            Harm::Wiped => block.clone().for_each(|at| self.falsify(at, Content::default())),
            Harm::Unreadable => self.inner().unreadable.extend(block.clone()),
        }
        harm == Harm::Unreadable || block.zip(before).any(|(at, before)| self.content(at) != before)
    }

    /// The last write of these sectors never was.
    fn take_back(&self, sectors: Range<usize>) {
        sectors.for_each(|at| self.earlier(at).pop().into_iter().for_each(|last| self.falsify(at, last)));
    }

    /// The last write of these sectors reached the medium in part.
    fn tear(&self, sectors: &Range<usize>) {
        let half = sectors.start + sectors.len() / 2;
        if half > sectors.start {
            return self.take_back(half..sectors.end);
        }
        if let Some(last) = self.earlier(sectors.start).pop() {
            self.falsify(sectors.start, self.content(sectors.start).torn(WITHIN, &last));
        }
    }

    fn content(&self, sector: usize) -> Content {
        self.inner().seen[sector].clone()
    }

    fn falsify(&self, sector: usize, content: Content) {
        self.inner().falsify(sector, content);
    }
}

fn sectors(bytes: &Range<u64>) -> Range<usize> {
    bytes.start as usize / SECTOR..(bytes.end as usize).div_ceil(SECTOR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{Device, UNIT};

    /// Two sectors, written three times.
    fn written() -> Disk {
        let disk = Disk::new(1 << 16);
        disk.remember_before();
        for version in [1, 2, 3] {
            disk.write_at(0, &[version; 2 * SECTOR]).unwrap();
            disk.sync().unwrap();
        }
        disk
    }

    fn ends(disk: &Disk) -> [u8; 2] {
        [0, 2 * UNIT - 1].map(|at| {
            let mut byte = [0; 1];
            disk.read_at(at, &mut byte).unwrap();
            byte[0]
        })
    }

    #[test]
    fn each_harm_leaves_what_its_name_says() {
        let block = || 0..2 * UNIT;
        let cases = [
            (Harm::Torn, [3, 2]),
            (Harm::Lost, [2, 2]),
            (Harm::Misdirected, [2, 2]),
            (Harm::Old, [1, 1]),
            (Harm::Wiped, [0, 0]),
            (Harm::Rot, [3, 3]),
        ];
        for (harm, left) in cases {
            let disk = written();
            assert!(disk.harm(block(), harm, Some(4 * UNIT..6 * UNIT)), "{harm}");
            assert_eq!(ends(&disk), left, "{harm}");
            let mut hit = [0; 1];
            disk.read_at(4 * UNIT, &mut hit).unwrap();
            assert_eq!(hit[0], if harm == Harm::Misdirected { 3 } else { 0 }, "{harm}");
        }
    }

    #[test]
    fn an_unreadable_block_is_readable_again_once_it_is_written() {
        let disk = written();
        disk.harm(0..UNIT, Harm::Unreadable, None);
        assert!(disk.read_at(0, &mut [0; 2]).is_err());
        assert!(disk.read_at(UNIT, &mut [0; 2]).is_ok());
        disk.write_at(0, &[9; SECTOR]).unwrap();
        assert_eq!(ends(&disk)[0], 9);
    }

    #[test]
    fn a_block_that_was_written_once_is_no_older_than_it_is() {
        let disk = Disk::new(1 << 16);
        disk.remember_before();
        disk.write_at(0, &[1; SECTOR]).unwrap();
        disk.sync().unwrap();
        assert!(!disk.harm(0..UNIT, Harm::Old, None));
        assert!(disk.harm(0..UNIT, Harm::Lost, None), "it is what it was before it was written");
    }
}
