//! Which units are free: one bit for each, and a summary of each block of them.
//!
//! To give a unit back is to clear a bit, wherever it is; a checkpoint gives back tens of thousands. Looking for a run of
//! free units goes from block to block by their summaries, which are looked up anew where something has changed.
//!
//! The memory is 1/4096 of the device.

use crate::types::Extent;

/// Units in a word.
const WORD: u64 = u64::BITS as u64;
/// Words in a block.
const WORDS: usize = 64;
/// Units in a block.
const BLOCK: u64 = WORDS as u64 * WORD;

/// The free runs of a block.
#[derive(Clone, Copy, Debug, Default)]
struct Runs {
    /// Free units at its beginning, at its end, and in its longest run.
    front: u16,
    back: u16,
    longest: u16,
    /// As of now.
    fresh: bool,
}

/// The units of a device.
#[derive(Clone, Debug)]
pub(crate) struct FreeMap {
    /// A bit for each unit, set if it is used, as are those behind the last unit.
    used: Vec<u64>,
    blocks: Vec<Runs>,
    free: u64,
}

impl FreeMap {
    /// All of `units` units are free.
    pub(crate) fn new(units: u64) -> FreeMap {
        let blocks = units.div_ceil(BLOCK) as usize;
        let mut used = vec![0; blocks * WORDS];
        let end = used.len() as u64 * WORD;
        each_word(Extent { unit: units, units: end - units }, |word, mask| used[word] |= mask);
        FreeMap { used, blocks: vec![Runs::default(); blocks], free: units }
    }

    pub(crate) fn free_units(&self) -> u64 {
        self.free
    }

    /// How many units of an extent are used.
    pub(crate) fn used_in(&self, extent: Extent) -> u64 {
        let mut used = 0;
        each_word(extent, |word, mask| {
            used += self.used.get(word).map_or(0, |bits| u64::from((bits & mask).count_ones()));
        });
        used
    }

    /// Makes free units used.
    pub(crate) fn take(&mut self, extent: Extent) {
        each_word(extent, |word, mask| {
            assert!(self.used[word] & mask == 0, "E3: {extent:?} is taken, but is not all free");
            self.used[word] |= mask;
            self.blocks[word / WORDS].fresh = false;
        });
        self.free -= extent.units;
    }

    /// Makes used units free.
    pub(crate) fn give(&mut self, extent: Extent) {
        each_word(extent, |word, mask| {
            assert!(
                self.used[word] & mask == mask,
                "E3: {extent:?} is freed, but some of it is free already"
            );
            self.used[word] &= !mask;
            self.blocks[word / WORDS].fresh = false;
        });
        self.free += extent.units;
    }

    /// How many units from `unit` on are free, one behind the other; no more than `at_most` are looked for.
    pub(crate) fn free_from(&self, unit: u64, at_most: u64) -> u64 {
        let mut free = 0;
        while let Some(word) = self.used.get(((unit + free) / WORD) as usize).filter(|_| free < at_most) {
            let at = (unit + free) % WORD;
            let more = u64::from((word >> at).trailing_zeros()).min(WORD - at);
            free += more;
            if at + more < WORD {
                break;
            }
        }
        free.min(at_most)
    }

    /// The first run of at least so many free units (it may go on behind what is returned), or else the longest.
    pub(crate) fn find(&mut self, at_least: u64) -> Extent {
        let none = Extent { unit: 0, units: 0 };
        // What is free up to where we are; and the longest so far, or in which block it is.
        let (mut open, mut best, mut best_block) = (none, none, None);
        for block in 0..self.blocks.len() {
            let (begin, runs) = (block as u64 * BLOCK, self.runs(block));
            if open.units == 0 {
                open.unit = begin;
            }
            open.units += u64::from(runs.front);
            if open.units > best.units {
                (best, best_block) = (open, None);
            }
            if best.units < at_least && u64::from(runs.longest) > best.units {
                best = Extent { unit: begin, units: runs.longest.into() };
                best_block = Some(block);
            }
            if best.units >= at_least {
                break;
            }
            if u64::from(runs.front) < BLOCK {
                open = Extent { unit: begin + BLOCK - u64::from(runs.back), units: runs.back.into() };
            }
        }
        match best_block {
            Some(block) => {
                let within = Extent { unit: block as u64 * BLOCK, units: BLOCK };
                self.first(within, best.units.min(at_least), BLOCK).expect("its summary says so")
            }
            None => best,
        }
    }

    /// The first run of at least so many free units within an extent; no more than `at_most` are looked for.
    pub(crate) fn first(&self, within: Extent, at_least: u64, at_most: u64) -> Option<Extent> {
        let (mut unit, end) = (within.unit, within.unit + within.units);
        while let Some(word) = self.used.get((unit / WORD) as usize).filter(|_| unit < end) {
            // Behind the used ones.
            unit += u64::from((!word >> (unit % WORD)).trailing_zeros()).min(WORD - unit % WORD);
            match self.free_from(unit, at_most.min(end.saturating_sub(unit))) {
                free if free >= at_least => return Some(Extent { unit, units: free }),
                free => unit += free,
            }
        }
        None
    }

    fn runs(&mut self, block: usize) -> Runs {
        if !self.blocks[block].fresh {
            self.blocks[block] = runs(&self.used[block * WORDS..][..WORDS]);
        }
        self.blocks[block]
    }
}

/// Calls `f` with each word that the extent reaches into, and the bits of it that are in the extent.
fn each_word(extent: Extent, mut f: impl FnMut(usize, u64)) {
    let (mut unit, end) = (extent.unit, extent.unit + extent.units);
    while unit < end {
        let (at, bits) = (unit % WORD, (WORD - unit % WORD).min(end - unit));
        f((unit / WORD) as usize, (u64::MAX >> (WORD - bits)) << at);
        unit += bits;
    }
}

/// Looks at a block.
fn runs(words: &[u64]) -> Runs {
    let (mut front, mut open, mut longest) = (None, 0, 0);
    for &used in words {
        if used == 0 {
            open += WORD as u16;
            continue;
        }
        open += used.trailing_zeros() as u16;
        front = front.or(Some(open));
        longest = longest.max(open);
        if used.count_zeros() as u16 > longest {
            longest = longest.max(longest_zeros(used));
        }
        open = used.leading_zeros() as u16;
    }
    Runs { front: front.unwrap_or(open), back: open, longest: longest.max(open), fresh: true }
}

/// The longest run of zeros in a word.
fn longest_zeros(used: u64) -> u16 {
    let (mut free, mut longest) = (!used, 0);
    while free != 0 {
        // Each run loses its lowest bit.
        free &= free << 1;
        longest += 1;
    }
    longest
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Numbers below a given one, the same for each seed.
    pub(crate) fn random(seed: u64) -> impl FnMut(u64) -> u64 {
        let mut state = seed;
        move |n| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % n
        }
    }

    /// The runs of free units, found one by one.
    fn plain(map: &FreeMap, units: u64) -> Vec<Extent> {
        let mut runs: Vec<Extent> = Vec::new();
        for unit in (0..units).filter(|unit| map.used[(unit / WORD) as usize] >> (unit % WORD) & 1 == 0) {
            match runs.last_mut() {
                Some(run) if run.unit + run.units == unit => run.units += 1,
                _ => runs.push(Extent { unit, units: 1 }),
            }
        }
        runs
    }

    #[test]
    fn what_is_found_is_the_first_run_that_is_long_enough_or_the_longest() {
        for seed in 0..60 {
            let mut below = random(seed);
            let units = 1 + below(4 * BLOCK);
            let mut map = FreeMap::new(units);
            assert_eq!(map.free_units(), units);
            let scale = [3, 70, 2 * BLOCK][below(3) as usize];
            for _ in 0..300 {
                let unit = below(units);
                let extent = Extent { unit, units: 1 + below(scale.min(units - unit)) };
                let free = plain(&map, units)
                    .into_iter()
                    .find(|run| run.unit <= unit && unit < run.unit + run.units);
                match free {
                    Some(run) => {
                        let units = extent.units.min(run.unit + run.units - unit);
                        map.take(Extent { unit, units });
                    }
                    None => {
                        let used = (unit..unit + extent.units)
                            .take_while(|u| map.used[(u / WORD) as usize] >> (u % WORD) & 1 == 1)
                            .count() as u64;
                        map.give(Extent { unit, units: used });
                    }
                }
                let runs = plain(&map, units);
                assert_eq!(map.free_units(), runs.iter().map(|run| run.units).sum::<u64>());
                let longest = runs.iter().map(|run| run.units).max().unwrap_or(0);
                for at_least in [1, 1 + below(scale), longest.max(1), longest + 1] {
                    let found = map.find(at_least);
                    let wanted = runs.iter().find(|run| run.units >= at_least.min(longest)).copied();
                    let wanted = wanted.unwrap_or(Extent { unit: 0, units: 0 });
                    assert!(
                        found.units >= at_least.min(longest) && found.units <= wanted.units,
                        "{found:?} {wanted:?}"
                    );
                    assert!(longest == 0 || found.unit == wanted.unit, "{found:?}, not {wanted:?}");
                }
                let within = Extent { unit, units: 1 + below(units - unit) };
                let at_least = 1 + below(scale.min(40));
                let inside = runs.iter().filter_map(|run| {
                    let (from, to) = (run.unit.max(unit), (run.unit + run.units).min(unit + within.units));
                    to.checked_sub(from)
                        .filter(|free| *free >= at_least)
                        .map(|units| Extent { unit: from, units })
                });
                assert_eq!(map.first(within, at_least, u64::MAX), inside.min());
                for run in runs {
                    assert_eq!(map.free_from(run.unit, u64::MAX), run.units);
                    assert_eq!(map.free_from(run.unit, 5), run.units.min(5));
                    assert_eq!(map.free_from(run.unit + run.units, 5), 0);
                }
            }
        }
    }

    #[test]
    fn a_run_across_two_blocks_comes_before_a_longer_one_in_the_second() {
        let mut map = FreeMap::new(2 * BLOCK);
        map.take(Extent { unit: 0, units: BLOCK - 3 });
        map.take(Extent { unit: BLOCK + 2, units: 1 });
        assert_eq!(map.find(5), Extent { unit: BLOCK - 3, units: 5 });
        assert_eq!(map.find(6), Extent { unit: BLOCK + 3, units: BLOCK - 3 });
    }

    #[test]
    #[should_panic(expected = "E3")]
    fn a_unit_that_is_free_cannot_be_freed() {
        let mut map = FreeMap::new(10);
        map.take(Extent { unit: 2, units: 3 });
        map.give(Extent { unit: 4, units: 2 });
    }

    #[test]
    #[should_panic(expected = "E3")]
    fn a_unit_that_is_used_cannot_be_taken() {
        let mut map = FreeMap::new(10);
        map.take(Extent { unit: 2, units: 3 });
        map.take(Extent { unit: 4, units: 2 });
    }
}
