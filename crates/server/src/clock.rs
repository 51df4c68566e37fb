//! Time, read here and nowhere else in the shell's hot paths.
//!
//! The rules compare and add microseconds of one monotonic clock per process ([`Clock::now`]). People and merged traces
//! need a clock that all processes of a machine share ([`wall_micros`]); no rule ever reads that one, so a jump of it can
//! make a story look odd, but cannot make a decision wrong.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dataplane::Micros;

/// The monotonic clock of this process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts at zero.
    pub fn start() -> Clock {
        Clock { start: Instant::now() }
    }

    /// Microseconds since the start.
    pub fn now(&self) -> Micros {
        self.start.elapsed().as_micros() as Micros
    }

    /// The moment at which [`Clock::now`] will say `at`.
    pub fn instant(&self, at: Micros) -> Instant {
        self.start + Duration::from_micros(at)
    }

    /// The calendar time of a moment of this clock.
    pub fn calendar(&self, at: Micros) -> SystemTime {
        let ago = Duration::from_micros(self.now().saturating_sub(at));
        SystemTime::now() - ago
    }
}

/// Microseconds since the Unix epoch.
pub fn wall_micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64)
}

/// Sleeps until `deadline`; for ever when there is none.
pub async fn sleep_until(clock: Clock, deadline: Option<Micros>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(clock.instant(at).into()).await,
        None => std::future::pending().await,
    }
}
