//! All schedules within the bounds, depth first, in rounds of growing bounds, each state once per round.
//!
//! A *state* is what a crash leaves: the medium, the cache (after a kill), and what the host may rely on. It is
//! remembered by a 64-bit fingerprint, with the steps and crashes that were still to come when it was visited; with
//! more to come it is visited again. Two states with one fingerprint would hide one of them: with 50 million states the
//! chance is about one in ten thousand, and it is part of the bound.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use crate::save::SavedError;

use super::bounds::{Bounds, Outcome, Progress, Recoveries, Round};
use super::saved::Saved;
use super::script::Step;
use super::search::{Budget, Search, Share};
use super::starts::Start;
use super::walk::Walk;

/// Enough for as many recoveries in a row as a walk follows.
const STACK_BYTES: usize = 64 << 20;

/// Visits every state within the bounds, small rounds first, so that what is found is short. `report` is called now
/// and then.
pub fn explore_device(bounds: &Bounds, mut report: impl FnMut(Progress)) -> Outcome {
    Exploration::new(bounds).run(bounds.states_max, |progress| {
        report(progress);
        true
    })
}

/// An exploration that can be stopped, saved, and gone on with.
pub struct Exploration {
    bounds: Bounds,
    search: Search,
    /// Rounds gone through; was each completed?
    completed: Vec<bool>,
}

impl Exploration {
    /// At the first round.
    pub fn new(bounds: &Bounds) -> Exploration {
        Exploration { bounds: *bounds, search: Search::new(bounds), completed: Vec::new() }
    }

    /// Behind the last round that `saved` completed. An error says that it is of other bounds.
    pub fn resume(bounds: &Bounds, saved: &Saved) -> Result<Exploration, SavedError> {
        let same =
            (saved.work, saved.bounds, saved.mechanisms) == (bounds.work, bounds.digest(), bounds.mechanisms);
        if !same || saved.rounds.len() > rounds(bounds).len() {
            return Err(SavedError::OtherScope(saved.work.name().into()));
        }
        let exploration = Exploration { completed: saved.rounds.clone(), ..Exploration::new(bounds) };
        exploration.search.recall(saved);
        Ok(exploration)
    }

    /// What can be gone on from later.
    pub fn save(&self) -> Saved {
        let (work, mechanisms, bounds) = (self.bounds.work, self.bounds.mechanisms, self.bounds.digest());
        let (rounds, seen) = (self.completed.clone(), self.search.remembered(self.completed.len()));
        Saved { work, mechanisms, bounds, rounds, seen }
    }

    /// Goes on until every state was visited, or there are about `states_max`, or `go_on` says no.
    pub fn run(&mut self, states_max: u64, mut go_on: impl FnMut(Progress) -> bool) -> Outcome {
        self.search.states_max = states_max;
        self.search.stop.store(self.search.states.load(Ordering::Relaxed) >= states_max, Ordering::Relaxed);
        let (search, rounds) = (&self.search, rounds(&self.bounds));
        let mut last = rounds.last().copied();
        for (n, &round) in rounds.iter().enumerate().skip(self.completed.len()) {
            last = Some(round);
            search.now.store(n as u8, Ordering::Relaxed);
            go_round(search, round, self.bounds.threads, || go_on(search.progress(round)));
            let found = search.found.lock().expect("no worker panicked").is_some();
            if found || search.stop.load(Ordering::Relaxed) {
                break;
            }
            self.completed.push(!search.too_deep.swap(false, Ordering::Relaxed));
        }
        let done = rounds.iter().zip(&self.completed).filter(|(_, completed)| **completed);
        let done: Vec<Round> = done.map(|(round, _)| *round).collect();
        Outcome {
            progress: last.map_or(Progress::default(), |round| search.progress(round)),
            complete: done.len() == rounds.len(),
            rounds: done,
            found: search.found.lock().expect("no worker panicked").take(),
        }
    }
}

/// The rounds within the bounds, cheap ones first: each step, each crash, and each kind of recovery multiplies the states.
fn rounds(bounds: &Bounds) -> Vec<Round> {
    let mut rounds: Vec<Round> = Vec::new();
    for ops in 1..=bounds.ops {
        for crashes in 1..=bounds.crashes.min(ops) {
            use Recoveries::*;
            let kinds = [Undisturbed, CutOffOnce, CutOff, CutOffTorn];
            rounds.extend(
                kinds.into_iter().filter(|&r| r <= bounds.recoveries).map(|kind| (ops, crashes, kind)),
            );
        }
    }
    rounds.sort_by_key(|&(ops, crashes, recoveries)| (2 * (ops + crashes) + recoveries as u32, ops));
    rounds
}

/// One round, its starts and first steps shared out to the threads.
fn go_round(search: &Search, round: Round, threads: usize, mut go_on: impl FnMut() -> bool) {
    let (ops, crashes, recoveries) = round;
    let firsts = || std::iter::once(Share::Opening).chain(search.alphabet.iter().map(|&op| Share::First(op)));
    let shares: Vec<(&Start, Share)> =
        search.starts.iter().flat_map(|&start| firsts().map(move |share| (start, share))).collect();
    let next = AtomicUsize::new(0);
    let budget = Budget { ops, crashes, recoveries };
    let work = || {
        while let Some((start, share)) = shares.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut walk = Walk { search, path: vec![Step::Start(start.name)], depth: 0 };
            walk.open(start.disk.clone(), &start.known, budget, *share);
        }
    };
    // There are no threads: the calling one does it all, and nobody stops it midway.
    if cfg!(target_family = "wasm") {
        return work();
    }
    let (alive, finished) = channel::<()>();
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            let (alive, work) = (alive.clone(), &work);
            let worker = std::thread::Builder::new().stack_size(STACK_BYTES);
            let until_done = move || {
                work();
                drop(alive);
            };
            worker.spawn_scoped(scope, until_done).expect("a thread starts");
        }
        drop(alive);
        while finished.recv_timeout(Duration::from_millis(200)) == Err(RecvTimeoutError::Timeout) {
            if !go_on() {
                search.stop.store(true, Ordering::Relaxed);
            }
        }
    });
}
