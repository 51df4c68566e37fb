//! How full a replica's device is, and when that is said aloud.

use dataplane::Usage;

/// From so many percent on, it is.
pub const LOUD_PERCENT: u64 = 80;
/// Then it is said at each of these, and once more if it had fallen this far below one.
const STEP_PERCENT: u64 = 5;

/// Of what its keys and values may claim, how many percent they do.
pub fn percent(usage: &Usage) -> u64 {
    // More than all is possible: overwrites have a part of their own.
    (usage.claimed_bytes.saturating_mul(100) / usage.claimable_bytes.max(1)).min(100)
}

/// What there is to say of a device that is so full, and what to do.
pub fn warning(percent: u64) -> Option<String> {
    let what = match percent {
        100.. => "full: only deletes are taken, and values no longer than those that they replace",
        LOUD_PERCENT.. => "nearly full: at 100 % only deletes and overwrites are taken",
        _ => return None,
    };
    Some(format!(
        "the device is {percent} % {what}; delete keys, or found a larger cluster with up --image-size"
    ))
}

/// Remembers what was said, so that it is not said at each write.
#[derive(Debug, Default)]
pub struct Watch {
    told: u64,
}

impl Watch {
    /// What there is to say now.
    pub fn look(&mut self, percent: u64) -> Option<String> {
        let step = percent / STEP_PERCENT * STEP_PERCENT;
        if percent + STEP_PERCENT < self.told {
            self.told = step;
        }
        if step <= self.told {
            return None;
        }
        self.told = step;
        warning(percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_fills_says_so_at_each_step_and_not_between_them() {
        let mut watch = Watch::default();
        let said: Vec<u64> = (0..=100).filter(|percent| watch.look(*percent).is_some()).collect();
        assert_eq!(said, [80, 85, 90, 95, 100]);
        assert_eq!(watch.look(97), None, "it rises and falls around a step");
        assert_eq!(watch.look(100), None);
        assert_eq!(watch.look(60), None, "it has become empty");
        assert!(watch.look(81).is_some(), "and full again");
    }

    #[test]
    fn a_device_is_as_full_as_its_claims() {
        let of = |claimed_bytes, claimable_bytes| {
            percent(&Usage { claimed_bytes, claimable_bytes, ..Usage::default() })
        };
        assert_eq!([of(0, 0), of(0, 10), of(799, 1000), of(800, 1000), of(1060, 1000)], [0, 0, 79, 80, 100]);
    }
}
