//! Damage to the medium where the fault model lets it strike: never to a sector of the last synced batch, since nothing on
//! any disk could tell its loss from a torn tail.

use std::collections::BTreeSet;
use std::ops::Range;

use engine::Extent;
use engine::format::superblock::SLOTS;

use crate::disk::Disk;
use crate::rng::Rng;
use crate::sector::{Content, SECTOR};

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
    /// Sectors of `place` that damage may strike: durable ones that are not of the last batch.
    fn strikeable(&self, place: Place) -> Vec<usize> {
        let inner = self.inner();
        let unsynced: BTreeSet<usize> = inner.state.cached().iter().map(|c| c.sector).collect();
        let log = inner.log();
        let sectors = match place {
            Place::Superblock => {
                let slots = SLOTS.map(|slot| slot as usize / SECTOR);
                return slots.into_iter().filter(|slot| !unsynced.contains(slot)).collect();
            }
            Place::Log => log,
            Place::Data => log.end..inner.seen.len(),
        };
        let Some(history) = &inner.history else { return Vec::new() };
        let settled = |(sector, batch): (&usize, &u64)| {
            (*batch < history.batches && !unsynced.contains(sector)).then_some(*sector)
        };
        history.written.range(sectors).filter_map(settled).collect()
    }

    /// What a sector held before each sync that wrote it, oldest first.
    pub(crate) fn earlier(&self, sector: usize) -> Vec<Content> {
        let inner = self.inner();
        let before = inner.history.as_ref().and_then(|history| history.before.as_ref()?.get(&sector));
        before.cloned().unwrap_or_default()
    }

    /// Turns one bit of this byte, wherever it is.
    pub fn turn_bit(&self, offset: u64) {
        self.turn(offset as usize * 8);
    }

    fn turn(&self, bit: usize) {
        let mut inner = self.inner();
        let sector = bit / (SECTOR * 8);
        let turned = inner.seen[sector].with_bit_turned(bit % (SECTOR * 8));
        inner.falsify(sector, turned);
    }

    /// Turns one bit of one of these bytes, if damage may strike there; gives its offset.
    pub fn rot_in(&self, bytes: Range<u64>, rng: &mut Rng) -> Option<u64> {
        let at = rng.between(bytes.start, bytes.end - 1);
        if !self.strikeable(Place::Data).contains(&(at as usize / SECTOR)) {
            return None;
        }
        self.turn(at as usize * 8 + rng.below(8) as usize);
        Some(at)
    }

    /// Turns one bit of a sector of `place`, one of `owned` if any of those can be struck; gives the byte offset, or `None` if
    /// there is nothing to strike.
    pub fn rot(&self, place: Place, owned: &[Extent], rng: &mut Rng) -> Option<u64> {
        let all = self.strikeable(place);
        let start = self.inner().log().end;
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
        // A record begins with what is checked; behind a short one nothing is.
        let bytes = if hit_owned { 80 } else { SECTOR as u64 };
        let bit = sector * SECTOR * 8 + rng.below(bytes * 8) as usize;
        self.turn(bit);
        Some(bit as u64 / 8)
    }

    /// As if a write had gone to another sector: its content lies there, and its own place has what was there before.
    /// Gives the byte offsets of the two.
    pub fn misdirect(&self, place: Place, rng: &mut Rng) -> Option<(u64, u64)> {
        let sectors = self.strikeable(place);
        let meant = *sectors.get(rng.below(sectors.len().max(1) as u64) as usize)?;
        let hit = *sectors.get(rng.below(sectors.len().max(1) as u64) as usize)?;
        let before = self.earlier(meant).pop()?;
        let mut inner = self.inner();
        let content = inner.seen[meant].clone();
        inner.falsify(hit, content);
        inner.falsify(meant, before);
        Some(((meant * SECTOR) as u64, (hit * SECTOR) as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{Device, UNIT};

    #[test]
    fn damage_never_strikes_the_last_batch() {
        let disk = Disk::new(1 << 16);
        disk.remember_batches();
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
