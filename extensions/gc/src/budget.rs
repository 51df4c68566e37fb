//! Bytes per second, without a clock: time is handed in.

use dataplane::Micros;

/// What it may save up: this part of a second.
const SAVED: u64 = 8;

/// So many bytes per second.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    per_second: u64,
    left: u64,
    since: Micros,
}

impl Budget {
    /// With nothing saved up.
    pub fn new(per_second: u64) -> Budget {
        Budget { per_second, left: 0, since: 0 }
    }

    /// What may be spent now. It is less if a clock jumps back, never more.
    pub fn at(&mut self, now: Micros) -> u64 {
        let gained = now.saturating_sub(self.since).min(1_000_000) * self.per_second / 1_000_000;
        // A gain of less than a byte is not forgotten; of more, what is beyond whole bytes is.
        if gained > 0 || now < self.since {
            self.since = now;
        }
        self.left = (self.left + gained).min(self.per_second / SAVED);
        self.left
    }

    /// So much was spent: at most a step more than there was.
    pub fn spend(&mut self, bytes: u64) {
        self.left = self.left.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_second_of_any_steps_no_more_is_spent_than_a_second_gives_and_what_was_saved() {
        for step in [1, 7, 1_000, 333_333] {
            let (mut budget, mut spent) = (Budget::new(80_000), 0);
            for now in (0..=1_000_000).step_by(step) {
                let left = budget.at(now);
                budget.spend(left);
                spent += left;
            }
            let rare = step > 125_000;
            assert!(
                (if rare { 20_000 } else { 70_000 }..=80_000).contains(&spent),
                "{spent} in steps of {step}"
            );
        }
    }

    #[test]
    fn a_clock_that_jumps_gives_no_more_than_what_can_be_saved() {
        let mut budget = Budget::new(80_000);
        assert_eq!(budget.at(1 << 60), 10_000);
        budget.spend(10_000);
        assert_eq!(budget.at(5), 0);
        assert_eq!(budget.at(100_005), 8_000);
    }
}
