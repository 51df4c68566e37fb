//! What clients notice of the faults: answers and latency by the second, and the longest time without any answer.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sim::history::Told;

use super::book::locked;

/// One second of the run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Second {
    /// Operations that were answered.
    pub answered: u64,
    /// The others.
    pub others: u64,
    /// The slowest answer, in microseconds.
    pub slowest: u64,
}

/// Shared by all clients.
#[derive(Default)]
pub struct Gauge {
    pub counts: Counts,
    /// When the last answer came, in microseconds of the run.
    last: AtomicU64,
    /// The longest time between two of them since this was reset.
    gap: AtomicU64,
    seconds: Mutex<Vec<Second>>,
}

impl Gauge {
    /// A client was told this at this moment, after so long.
    pub fn heard(&self, now: u64, told: Told, took: Duration) {
        self.counts.add(told);
        let answered = !matches!(told, Told::Nothing | Told::Unknown);
        if answered {
            let before = self.last.fetch_max(now, Ordering::SeqCst);
            self.gap.fetch_max(now.saturating_sub(before), Ordering::SeqCst);
        }
        let mut seconds = locked(&self.seconds);
        let at = (now / 1_000_000) as usize;
        if seconds.len() <= at {
            seconds.resize(at + 1, Second::default());
        }
        let second = &mut seconds[at];
        *(if answered { &mut second.answered } else { &mut second.others }) += 1;
        if answered {
            second.slowest = second.slowest.max(took.as_micros() as u64);
        }
    }

    /// A fault begins: what was before does not count.
    pub fn reset(&self) {
        self.gap.store(0, Ordering::SeqCst);
    }

    /// The longest time without an answer since then, up to now.
    pub fn longest(&self, now: u64) -> u64 {
        let since = now.saturating_sub(self.last.load(Ordering::SeqCst));
        self.gap.load(Ordering::SeqCst).max(since)
    }

    pub fn seconds(&self) -> Vec<Second> {
        locked(&self.seconds).clone()
    }
}

/// Operations by what became of them.
#[derive(Default)]
pub struct Counts {
    pub answered: AtomicU64,
    pub not_done: AtomicU64,
    pub unknown: AtomicU64,
}

impl Counts {
    pub fn add(&self, told: Told) {
        let one = match told {
            Told::Nothing => &self.not_done,
            Told::Unknown => &self.unknown,
            _ => &self.answered,
        };
        one.fetch_add(1, Ordering::Relaxed);
    }

    /// Answered, not done, unknown.
    pub fn all(&self) -> [u64; 3] {
        [&self.answered, &self.not_done, &self.unknown].map(|count| count.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_silence_is_that_between_answers_whatever_fails_meanwhile() {
        let gauge = Gauge::default();
        let heard = |now, told| gauge.heard(now, told, Duration::from_micros(5));
        heard(100, Told::Missing);
        gauge.reset();
        heard(200, Told::Nothing);
        heard(900, Told::Missing);
        heard(1000, Told::Written(1));
        assert_eq!((gauge.longest(1000), gauge.longest(3000)), (800, 2000));
        assert_eq!(gauge.counts.all(), [3, 1, 0]);
        let second = gauge.seconds()[0];
        assert_eq!((second.answered, second.others, second.slowest), (3, 1, 5));
    }
}
