//! A whole cluster in one thread: the real node and gateway code around simulated disks, network, clocks and clients.
//!
//! The problem: the failures that matter need several rare events in one order, and no test on real machines waits that
//! long or happens twice. The idea: everything that is not a rule comes from here, time included, and every choice from
//! one seed. So a day of bad luck takes milliseconds, and the same seed gives the same run, event for event.
//!
//! One schedule has two phases. First clients work while things go wrong; whatever they are told must be right. Then
//! everything heals; whatever is pending must end, and every replica must be proven and caught up, in bounded time.
//!
//! | file | job |
//! |---|---|
//! | `schedule` | what goes wrong, as data; the swarm that draws it from a seed |
//! | `rng`, `queue` | independent streams of random numbers; virtual time |
//! | `disk`, `network`, `clock` | the things that fail |
//! | `clients`, `history` | who asks, and what they were told |
//! | `world` | the event loop: who acts when |
//! | `gateways` | gateways as processes |
//! | `process` | nodes: work, sync, death, restart |
//! | `inject` | carrying out faults, within the fault model |
//! | `healing` | the end: all faults end, and all must be well in bounded time |
//! | `checkers` | what must hold |
//! | `coverage` | what runs came across, and what never happened |
//! | `run` | one seed, many seeds, on all cores |

#![forbid(unsafe_code)]

pub mod checkers;
mod clients;
mod clock;
pub mod coverage;
pub mod disk;
mod gateways;
mod healing;
pub mod history;
mod inject;
mod network;
mod process;
mod queue;
pub mod rng;
mod run;
pub mod schedule;
mod world;

pub use checkers::Violation;
pub use coverage::Coverage;
pub use run::{Progress, Summary, execute, run, run_many, run_one};
pub use schedule::Schedule;

use std::collections::BTreeMap;

use trace::Mechanism;

/// What a run consists of.
#[derive(Clone, Debug)]
pub struct Options {
    /// Storage nodes: 3 or 5.
    pub nodes: u32,
    /// Shards.
    pub shards: u32,
    /// Gateways.
    pub gateways: u32,
    /// Clients.
    pub clients: u32,
    /// Operations of all clients together.
    pub operations: u32,
    /// At least so many faults; up to ten more are drawn.
    pub faults_min: u32,
    /// Mechanisms that are switched off.
    pub without: Vec<Mechanism>,
    /// Record the trace.
    pub trace: bool,
    /// Count what it comes across.
    pub coverage: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            nodes: 3,
            shards: 1,
            gateways: 2,
            clients: 4,
            operations: 200,
            faults_min: 6,
            without: Vec::new(),
            trace: false,
            coverage: false,
        }
    }
}

/// What came of one schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The first broken promise.
    pub violation: Option<Violation>,
    /// How many faults of each kind were carried out.
    pub faults: BTreeMap<&'static str, u64>,
    /// Operations that clients called.
    pub operations: u64,
    /// Of these, writes whose outcome the client was told is unknown.
    pub unknown: u64,
    /// Of these, puts that were refused because the device is full.
    pub full: u64,
    /// Entries that were committed.
    pub committed: u64,
    /// Takeovers that succeeded.
    pub failovers: u64,
    /// When a primary began to serve, in microseconds of virtual time.
    pub served_at: Vec<u64>,
    /// How long it took, in microseconds of virtual time.
    pub micros: u64,
    /// What it came across, if that was asked for.
    pub coverage: Coverage,
    /// The trace as JSON Lines, if it was asked for.
    pub trace: Vec<u8>,
    /// What each client asked and was told, in a client's words.
    pub history: Vec<String>,
}
