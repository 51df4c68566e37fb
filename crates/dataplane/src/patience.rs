//! How long to wait: never a constant, because silence is not slowness.
//!
//! A fixed patience meets a slower disk one day, and from then on every attempt is given up just before it succeeds: no
//! primary for ever. So a wait follows what was measured (Jacobson, "Congestion avoidance and control", SIGCOMM 1988;
//! RFC 6298), and doubles with each failure: what was never measured is found by doubling, in bounded time.

use crate::types::Micros;

/// Nothing within the fault model takes longer; a clock that jumps shows more.
const MEASURED_MAX: Micros = 10_000_000;
/// Longest wait: a few syncs and round trips of the slowest kind.
pub const PATIENCE_MAX: Micros = 30_000_000;

/// How long something takes, as measured so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Measured {
    mean: Micros,
    deviation: Micros,
}

impl Measured {
    /// It took so long this time.
    pub fn note(&mut self, took: Micros) {
        let took = took.min(MEASURED_MAX);
        if self.mean == 0 {
            (self.mean, self.deviation) = (took, took / 4);
            return;
        }
        let off = took.abs_diff(self.mean);
        self.deviation = (3 * self.deviation + off) / 4;
        self.mean = (7 * self.mean + took) / 8;
    }

    /// It seldom takes longer than this; 0 if it was never measured.
    pub fn usually(&self) -> Micros {
        self.mean + 2 * self.deviation
    }
}

/// How long something takes that is done one at a time, by the last few: a sync of a disk, an answer of a node.
///
/// A mean would not do. (1) All disks stall for 5 s, and the primary dies meanwhile; (2) nobody writes, so nothing else is
/// measured; (3) the mean says 3 s, and the others wait half a minute before they take the primary for dead. So one that took
/// long says nothing, and two say that the disk is slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Typical {
    lately: [Micros; 8],
}

impl Typical {
    /// It took so long this time.
    pub fn note(&mut self, took: Micros) {
        self.lately.rotate_right(1);
        self.lately[0] = took.min(MEASURED_MAX);
    }

    /// It seldom takes longer than this; 0 until it was measured twice.
    pub fn usually(&self) -> Micros {
        let mut lately = self.lately;
        lately.sort_unstable();
        lately[6] + lately[6] / 4
    }
}

/// How long to wait for something that `usually` takes so long, after `failures` waits in vain; at least `least`, which
/// doubles with each failure: what was measured too small, or never, is overtaken.
pub fn patience(least: Micros, usually: Micros, failures: u32) -> Micros {
    (least << failures.min(16)).max(usually).min(PATIENCE_MAX.max(least))
}

/// The next number of a reproducible sequence, so that whoever collided once does not collide for ever (Steele, Lea, Flood:
/// "Fast splittable pseudorandom number generators", OOPSLA 2014).
pub fn splitmix(seed: u64) -> u64 {
    let mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_turns_slow_is_waited_for_from_its_second_slow_sync_on_and_one_that_stalls_once_is_not() {
        let mut sync = Typical::default();
        assert_eq!(sync.usually(), 0);
        (0..100).for_each(|_| sync.note(1_000));
        assert_eq!(sync.usually(), 1_250);
        sync.note(5_000_000);
        assert_eq!(sync.usually(), 1_250, "it stalled once");
        sync.note(1_000_000);
        assert_eq!(sync.usually(), 1_250_000, "it is slow");
        (0..8).for_each(|_| sync.note(1_000));
        assert_eq!(sync.usually(), 1_250, "it is quick again");
    }

    #[test]
    fn a_way_that_turns_slow_is_waited_for_from_its_second_slow_answer_on() {
        let mut trip = Measured::default();
        assert_eq!(trip.usually(), 0);
        (0..100).for_each(|_| trip.note(1_000));
        assert!((1_000..1_100).contains(&trip.usually()), "{trip:?}");
        trip.note(1_000_000);
        trip.note(1_000_000);
        assert!(trip.usually() >= 1_000_000, "{trip:?}");
        (0..100).for_each(|_| trip.note(1_000));
        assert!(trip.usually() < 2_000, "a way that is quick again is known to be: {trip:?}");
    }

    #[test]
    fn a_wait_in_vain_doubles_the_next_one_up_to_the_longest() {
        assert_eq!((patience(100, 0, 0), patience(100, 250, 0), patience(100, 250, 2)), (100, 250, 400));
        assert_eq!((patience(100, 250, 1), patience(100_000, 0, 99)), (250, PATIENCE_MAX));
    }

    #[test]
    fn a_clock_that_jumped_makes_nobody_wait_for_ever() {
        let mut trip = Measured::default();
        trip.note(u64::MAX);
        assert!(patience(100, trip.usually(), u32::MAX) <= PATIENCE_MAX);
    }
}
