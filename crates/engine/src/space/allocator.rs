//! Which units of the data region the next value gets.
//!
//! What is free is known only in memory: `open` rebuilds it from everything that owns an extent (index, log,
//! checkpoint), so no crash can leave a unit lost or owned twice (E3). An extent that is merely *unused* is not
//! yet free: see `quarantine.rs`.

use super::free_map::FreeMap;
use crate::types::Extent;

/// Where the values of a batch are meant to lie one behind the other, a run of this many units is looked for.
const LONG_UNITS: u64 = 2048;

/// Gives units out, and takes them back.
#[derive(Clone, Debug)]
pub(crate) struct Allocator {
    map: FreeMap,
    /// The free units behind the last allocation, where the next one goes on if it can: so that one write takes several
    /// values. There may be more behind them.
    next: Extent,
}

impl Allocator {
    /// Nothing is free: for a device that is only read.
    pub(crate) fn nothing_free() -> Allocator {
        Allocator { map: FreeMap::new(0), next: Extent { unit: 0, units: 0 } }
    }

    /// All `units` of the region are free, except the `used` extents. Fails with two extents that overlap, or with one
    /// twice if it leaves the region; all of it comes from the disk, so this is not for an assertion.
    pub(crate) fn new(units: u64, mut used: Vec<Extent>) -> Result<Allocator, (Extent, Extent)> {
        let mut a = Allocator { map: FreeMap::new(units), next: Extent { unit: 0, units: 0 } };
        used.sort_unstable();
        let mut before = Extent { unit: 0, units: 0 };
        for e in used {
            let end = before.unit + before.units;
            if e.unit < end || e.unit.checked_add(e.units).is_none_or(|end| end > units) {
                return Err((before, e));
            }
            a.map.take(e);
            before = e;
        }
        Ok(a)
    }

    pub(crate) fn free_units(&self) -> u64 {
        self.map.free_units()
    }

    /// How many units of an extent are not free.
    pub(crate) fn used_in(&self, extent: Extent) -> u64 {
        self.map.used_in(extent)
    }

    /// Takes `units` in one extent: behind the last allocation if there is room, else where the first long run begins,
    /// else from the longest. The smallest hole that fits would waste the least, and turn a batch into as many writes as
    /// it has values.
    pub(crate) fn alloc(&mut self, units: u64) -> Option<Extent> {
        let wanted = units.max(LONG_UNITS);
        if self.next.units < units {
            self.next.units = self.map.free_from(self.next.unit, wanted);
        }
        if self.next.units < units {
            self.next = Some(self.map.find(wanted)).filter(|found| found.units >= units)?;
        }
        let taken = Extent { unit: self.next.unit, units };
        self.next = Extent { unit: taken.unit + units, units: self.next.units - units };
        self.map.take(taken);
        Some(taken)
    }

    /// Takes room for a value: in one extent if there is one that is long enough, else in as few as possible. Fails only if
    /// fewer units are free.
    pub(crate) fn alloc_value(&mut self, units: u64) -> Option<Vec<Extent>> {
        if let Some(whole) = self.alloc(units) {
            return Some(vec![whole]);
        }
        if self.free_units() < units {
            return None;
        }
        let (mut extents, mut left) = (Vec::new(), units);
        while left > 0 {
            let extent = self.alloc_up_to(left)?;
            left -= extent.units;
            extents.push(extent);
        }
        Some(extents)
    }

    /// Takes one extent of at most `units`, and of at least one.
    pub(crate) fn alloc_up_to(&mut self, units: u64) -> Option<Extent> {
        self.alloc(units).or_else(|| {
            let longest = self.map.find(units).units;
            if longest > 0 { self.alloc(longest) } else { None }
        })
    }

    /// Takes the first free run of at least so many units within an extent; of it, at most so many.
    pub(crate) fn alloc_within(&mut self, within: Extent, at_least: u64, at_most: u64) -> Option<Extent> {
        let found = self.map.first(within, at_least, at_most)?;
        self.map.take(found);
        // It may have been the units where the next allocation was to go on.
        self.next.units = 0;
        Some(found)
    }

    /// Gives an extent back.
    pub(crate) fn free(&mut self, extent: Extent) {
        self.map.give(extent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::free_map::tests::random;

    /// Against a map of single units: what is free is free, nothing is given out twice, and an allocation fails only
    /// if there is no run that long.
    #[test]
    fn random_allocations_and_frees_agree_with_a_map_of_units() {
        for seed in 0..200_u64 {
            let mut below = random(seed);
            let units = 1 + below(300);
            let mut a = Allocator::new(units, Vec::new()).unwrap();
            let (mut free, mut owned) = (vec![true; units as usize], Vec::new());
            for _ in 0..400 {
                let wanted = 1 + below(40);
                if below(2) == 0 && !owned.is_empty() {
                    let e: Extent = owned.swap_remove(below(owned.len() as u64) as usize);
                    free[e.unit as usize..][..e.units as usize].fill(true);
                    a.free(e);
                } else {
                    let longest = free.split(|free| !free).map(<[bool]>::len).max().unwrap_or(0) as u64;
                    let piecemeal = below(2) == 0;
                    let got = if piecemeal { a.alloc_up_to(wanted) } else { a.alloc(wanted) };
                    assert_eq!(got.is_some(), longest >= if piecemeal { 1 } else { wanted });
                    if let Some(e) = got {
                        assert_eq!(e.units, wanted.min(longest));
                        let taken = &mut free[e.unit as usize..][..e.units as usize];
                        assert!(taken.iter().all(|free| *free), "E3: {e:?} is given out twice");
                        taken.fill(false);
                        owned.push(e);
                    }
                }
                assert_eq!(a.free_units(), free.iter().filter(|free| **free).count() as u64);
                let rebuilt = Allocator::new(units, owned.clone()).unwrap();
                for (unit, free) in (0..).zip(&free) {
                    let known = [&a, &rebuilt].map(|a| a.map.free_from(unit, 1) == 1);
                    assert_eq!(known, [*free; 2], "unit {unit}");
                }
            }
        }
    }

    fn e(unit: u64, units: u64) -> Extent {
        Extent { unit, units }
    }

    #[test]
    fn allocations_go_on_behind_the_last_one_also_when_room_is_given_back_there_or_elsewhere() {
        let mut a = Allocator::new(30, Vec::new()).unwrap();
        assert_eq!((a.alloc(15), a.alloc(5)), (Some(e(0, 15)), Some(e(15, 5))));
        a.free(e(0, 15));
        assert_eq!(a.alloc(5), Some(e(20, 5)), "although another free extent is larger");
        let mut a = Allocator::new(100, vec![e(10, 5), e(20, 75)]).unwrap();
        assert_eq!(a.alloc(10), Some(e(0, 10)));
        a.free(e(50, 40));
        a.free(e(10, 5));
        assert_eq!(a.alloc(3), Some(e(10, 3)), "room came where the last one ends");
    }

    #[test]
    fn a_value_goes_into_as_few_extents_as_possible_or_takes_nothing() {
        let mut a = Allocator::new(20, vec![e(4, 2), e(9, 1), e(12, 8)]).unwrap();
        assert_eq!(a.free_units(), 4 + 3 + 2);
        assert_eq!((a.alloc_value(10), a.free_units()), (None, 9), "not even in extents of one unit");
        assert!(a.clone().alloc_value(9).is_some(), "all there is");
        assert_eq!(a.alloc_value(6).unwrap(), [e(0, 4), e(6, 2)]);
        assert_eq!(a.alloc_value(1).unwrap(), [e(8, 1)]);
        assert_eq!(a.free_units(), 2);
    }

    #[test]
    fn two_owners_are_found_and_so_is_one_beyond_the_region() {
        let new = |used| Allocator::new(10, used);
        assert!(new(vec![e(1, 4), e(5, 5)]).is_ok());
        assert!(new(vec![e(5, 2), e(1, 5)]).is_err());
        assert!(new(vec![e(8, 3)]).is_err());
        assert!(new(vec![e(u64::MAX, 3)]).is_err());
    }
}
