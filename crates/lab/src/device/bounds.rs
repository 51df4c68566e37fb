//! How far an exploration goes, and what comes of it.

use std::fmt;

use disk::WAYS_MAX;
use trace::Mechanisms;

use super::starts::starts_of;
use super::work::Work;
use super::workload::Op;

/// What happens to recoveries. With crashes in them, they go as deep as they lead to new states: a recovery that is cut
/// off, and the recovery from that, and so on without a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Recoveries {
    /// They run to their end.
    Undisturbed,
    /// A crash at every access of one of them; each sector survives whole or not at all.
    CutOffOnce,
    /// Crashes at every access; each sector survives whole or not at all.
    CutOff,
    /// Crashes at every access, sectors torn as well.
    CutOffTorn,
}

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// With which devices, and which steps.
    pub work: Work,
    /// Steps of the host, over all its lives.
    pub ops: u32,
    /// Crashes in steps.
    pub crashes: u32,
    /// Crashes in recoveries.
    pub recoveries: Recoveries,
    /// May a sync fail, and a bit rot in what was synced?
    pub faults: bool,
    /// May a state be installed, everything be given up, the standing change?
    pub transfers: bool,
    /// Stops after about this many states.
    pub states_max: u64,
    /// On how many threads.
    pub threads: usize,
    /// The mechanisms that are on.
    pub mechanisms: Mechanisms,
}

impl Bounds {
    /// What `cutaway check --scope` goes through, as far as it gets.
    pub fn large(work: Work, threads: usize) -> Bounds {
        let (mechanisms, transfers, states_max) = (Mechanisms::all(), true, u64::MAX);
        let (ops, crashes, recoveries, faults) = match work {
            Work::Anything => (3, 3, Recoveries::CutOffTorn, true),
            // Of crashes and recoveries themselves the other scope has more: here it takes many steps.
            Work::Moves => (6, 1, Recoveries::Undisturbed, false),
        };
        Bounds { work, ops, crashes, recoveries, faults, transfers, states_max, threads, mechanisms }
    }

    /// The steps of the host.
    pub(super) fn alphabet(&self) -> Vec<Op> {
        match self.work {
            Work::Anything => Op::all(self.faults, self.transfers),
            Work::Moves => Op::moves(self.transfers),
        }
    }

    /// Of everything that decides which states there are.
    pub(super) fn digest(&self) -> u32 {
        let all = Bounds { states_max: 0, threads: 0, mechanisms: Mechanisms::all(), ..*self };
        let steps = self.alphabet();
        crc32c::crc32c(format!("{all:?} {steps:?}").as_bytes())
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} starts, up to {} steps of an alphabet of {}, crashes at every write and sync of up to {} of them{}; \
             after each, every way in which cached sectors can survive, torn ones too, if those are at most {WAYS_MAX} \
             (else a choice of them){}",
            starts_of(self.work).count(),
            self.ops,
            self.alphabet().len(),
            self.crashes,
            match self.recoveries {
                Recoveries::Undisturbed => "",
                Recoveries::CutOffOnce => " and of one recovery (sectors whole there)",
                Recoveries::CutOff => " and of every recovery, however deep (sectors whole there)",
                Recoveries::CutOffTorn => " and of every recovery, however deep",
            },
            match (self.faults, self.work) {
                (true, Work::Anything) => "; syncs that fail, reads that come up short, bits that rot",
                (true, Work::Moves) => "; reads that come up short, bits that rot",
                (false, _) => "",
            },
        )
    }
}

/// How far an exploration has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Different states that a crash left, each opened.
    pub states: u64,
    /// Steps of the round under way.
    pub ops: u32,
    /// Crashes of the round under way.
    pub crashes: u32,
    /// Recoveries of the round under way.
    pub recoveries: Option<Recoveries>,
}

/// A schedule that breaks a promise.
#[derive(Clone, Debug)]
pub struct Found {
    /// What is broken, with the number of the engine's invariant.
    pub broken: String,
    /// The steps, as sentences.
    pub steps: Vec<String>,
    /// The same as a schedule: see [`super::play`].
    pub script: Vec<String>,
}

/// What came of an exploration.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How far it came.
    pub progress: Progress,
    /// The rounds that were completed.
    pub rounds: Vec<Round>,
    /// Was every state within the bounds visited?
    pub complete: bool,
    /// The first violation.
    pub found: Option<Found>,
}

/// Steps, crashes in them, and what happens to recoveries.
pub type Round = (u32, u32, Recoveries);
