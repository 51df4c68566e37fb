//! A process's clock: virtual time, read from another beginning.
//!
//! A process may believe any time at all: its clock begins anywhere, near 0 more often than not (a monotonic clock begins
//! with the machine or with the process), and may jump both ways. The rules use it to wait, and for nothing else.

use dataplane::Micros;

use crate::rng::Rng;

/// How far one clock is from virtual time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Clock {
    ahead: i64,
}

impl Clock {
    /// The clock of a process that starts at `now`.
    pub fn start(now: Micros, rng: &mut Rng) -> Clock {
        let bits = rng.below(31);
        Clock { ahead: rng.below(1 << bits) as i64 - now as i64 }
    }

    /// What it shows at `now`.
    pub fn read(self, now: Micros) -> Micros {
        now.saturating_add_signed(self.ahead)
    }

    /// When it will show `local`.
    pub fn when(self, local: Micros) -> Micros {
        local.saturating_add_signed(-self.ahead)
    }

    /// It jumps, but never before its own beginning.
    pub fn jump(&mut self, now: Micros, ahead: i64) {
        self.ahead += ahead.max(-(self.read(now) as i64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_begins_anywhere_jumps_both_ways_and_never_shows_less_than_nothing() {
        let mut clock = Clock::start(5_000, &mut Rng::stream(1, "test", 0));
        let began = clock.read(5_000);
        assert_eq!(clock.read(5_700), began + 700);
        clock.jump(5_700, 300);
        assert_eq!(clock.read(5_700), began + 1_000);
        assert_eq!(clock.when(began + 1_000), 5_700);
        clock.jump(5_700, i64::MIN / 2);
        assert_eq!(clock.read(5_700), 0);
    }
}
