//! One seed, many seeds, all cores.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dataplane::Micros;

use crate::checkers::Violation;
use crate::coverage::Coverage;
use crate::options::Options;
use crate::report::Report;
use crate::schedule::Schedule;
use crate::told::Told;
use crate::world::World;

thread_local! {
    /// While a schedule runs: its panics are findings, not noise. Holds where the last one happened.
    static WATCHED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs the schedule of a seed.
pub fn run(seed: u64, options: &Options) -> Report {
    execute(&Schedule::generate(seed, options), options)
}

/// Runs a schedule. A panic of the code under test is a violation like any other.
pub fn execute(schedule: &Schedule, options: &Options) -> Report {
    let told = Told::new(options);
    let run = || World::new(schedule, options, told.clone()).run();
    let (result, place) = watched(|| catch_unwind(AssertUnwindSafe(run)));
    let mut report = result.unwrap_or_else(|panic| Report {
        seed: schedule.seed,
        violation: Some(violation_of(&*panic, &place, told.now())),
        micros: told.now(),
        ..Report::default()
    });
    report.violation.iter().for_each(|violation| told.broken(violation));
    let mut kept = told.kept();
    report.trace = std::mem::take(&mut kept.lines);
    report.asks = std::mem::take(&mut kept.asks);
    report
}

/// Does `what`, in which a panic is a finding: says nothing of it, but returns where it was.
pub(crate) fn watched<R>(what: impl FnOnce() -> R) -> (R, String) {
    quiet_panics();
    WATCHED.set(Some(String::new()));
    let done = what();
    (done, WATCHED.take().unwrap_or_default())
}

/// An assertion's message begins with the number of its invariant.
fn violation_of(panic: &(dyn Any + Send), place: &str, at: Micros) -> Violation {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without words");
    let word = message.split(|c: char| !c.is_ascii_alphanumeric()).find(|word| {
        let mut letters = word.chars();
        matches!(letters.next(), Some('D' | 'E')) && letters.as_str().parse::<u32>().is_ok()
    });
    let promise = if word == Some("D5") || word == Some("D6") { 2 } else { 1 };
    Violation {
        invariant: word.unwrap_or("panic").to_string(),
        promise,
        checker: "assertion",
        sentence: format!("{message} (at {place})"),
        at,
    }
}

fn quiet_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let watched = WATCHED.with_borrow_mut(|place| match place {
                Some(place) => {
                    *place = info.location().map(ToString::to_string).unwrap_or_default();
                    true
                }
                None => false,
            });
            if !watched {
                usual(info);
            }
        }));
    });
}

/// How far a run over many seeds has come.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Schedules that were run.
    pub seeds: u64,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
}

/// What came of many seeds.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Schedules that were run.
    pub seeds: u64,
    /// Of those with a violation, the one with the smallest seed.
    pub first: Option<Report>,
    /// How many had one; with the stop at the first, those that were under way.
    pub violations: u64,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Operations of clients.
    pub operations: u64,
    /// Of these, writes with an unknown outcome.
    pub unknown: u64,
    /// Takeovers that succeeded.
    pub failovers: u64,
    /// Microseconds of virtual time.
    pub micros: u64,
    /// What they came across, if that was asked for.
    pub coverage: Coverage,
}

impl Summary {
    fn add(&mut self, report: Report) {
        self.seeds += 1;
        self.operations += report.operations;
        self.unknown += report.unknown;
        self.failovers += report.failovers;
        self.micros += report.micros;
        self.coverage.add(&report.coverage);
        report.faults.iter().for_each(|(kind, n)| *self.faults.entry(kind).or_default() += n);
        if report.violation.is_some() {
            self.violations += 1;
            if self.first.as_ref().is_none_or(|first| report.seed < first.seed) {
                self.first = Some(report);
            }
        }
    }

    fn merge(&mut self, other: Summary) {
        self.seeds += other.seeds;
        self.violations += other.violations;
        self.operations += other.operations;
        self.unknown += other.unknown;
        self.failovers += other.failovers;
        self.micros += other.micros;
        self.coverage.add(&other.coverage);
        other.faults.iter().for_each(|(kind, n)| *self.faults.entry(kind).or_default() += n);
        self.first = match (self.first.take(), other.first) {
            (Some(a), Some(b)) => Some(if a.seed < b.seed { a } else { b }),
            (a, b) => a.or(b),
        };
    }
}

/// Runs the schedule of one seed: of any, also of the last there is.
pub fn run_one(seed: u64, options: &Options) -> Summary {
    let mut summary = Summary::default();
    summary.add(run(seed, options));
    summary
}

/// Runs the schedules of `seeds` on all cores, up to the first violation. The violation reported is the one of the
/// smallest seed: seeds are handed out in order, and those handed out before it are finished first.
pub fn run_many(seeds: Range<u64>, options: &Options, mut progress: impl FnMut(&Progress)) -> Summary {
    if cfg!(target_family = "wasm") {
        return run_in_turn(seeds, options, progress);
    }
    let next = AtomicU64::new(seeds.start);
    let stop_at = AtomicU64::new(seeds.end);
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let (tell, told) = std::sync::mpsc::channel::<BTreeMap<&'static str, u64>>();
    std::thread::scope(|scope| {
        let work = |tell: std::sync::mpsc::Sender<_>| {
            let mut summary = Summary::default();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= stop_at.load(Ordering::Relaxed) {
                    return summary;
                }
                let report = run(seed, options);
                if report.violation.is_some() {
                    stop_at.fetch_min(seed, Ordering::Relaxed);
                }
                // Nobody need listen.
                let _ = tell.send(report.faults.clone());
                summary.add(report);
            }
        };
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let tell = tell.clone();
                scope.spawn(move || work(tell))
            })
            .collect();
        drop(tell);
        let mut so_far = Progress::default();
        while let Ok(faults) = told.recv() {
            let mut take = |faults: BTreeMap<&'static str, u64>| {
                so_far.seeds += 1;
                faults.into_iter().for_each(|(kind, n)| *so_far.faults.entry(kind).or_default() += n);
            };
            take(faults);
            while let Ok(faults) = told.recv_timeout(Duration::ZERO) {
                take(faults);
            }
            progress(&so_far);
        }
        let mut all = Summary::default();
        for worker in workers {
            match worker.join() {
                Ok(summary) => all.merge(summary),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    })
}

/// The same where there are no threads.
fn run_in_turn(seeds: Range<u64>, options: &Options, mut progress: impl FnMut(&Progress)) -> Summary {
    let mut all = Summary::default();
    for seed in seeds {
        all.add(run(seed, options));
        progress(&Progress { seeds: all.seeds, faults: all.faults.clone() });
        if all.first.is_some() {
            break;
        }
    }
    all
}
