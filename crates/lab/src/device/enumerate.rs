//! All schedules within the bounds, depth first, in rounds of growing bounds, each state once per round.
//!
//! A *state* is what a crash leaves: the medium, the cache (after a kill), and what the host may rely on. It is
//! remembered by a 64-bit fingerprint, with the steps and crashes that were still to come when it was visited; with
//! more to come it is visited again. Two states with one fingerprint would hide one of them: with 50 million states the
//! chance is about one in ten thousand, and it is part of the bound.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use engine::{Engine, OpenError};
use trace::Mechanisms;

use crate::quiet;
use crate::save::SavedError;

use super::checks::{self, recovered};
use super::disk::{Cut, Disk, Io, State, WAYS_MAX};
use super::known::Known;
use super::saved::{SCOPE, Saved, Seen};
use super::starts::{IDENTITY, Start, starts};
use super::workload::{Op, take};

const SHARDS: usize = 64;
/// Recoveries cut off in a row. With all mechanisms on, new states end long before; a round in which they do not counts
/// as incomplete.
const DEPTH_MAX: u32 = 64;
/// Enough for that many.
const STACK_BYTES: usize = 64 << 20;

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
    /// What `cutaway check --scope device` goes through, as far as it gets.
    pub fn large(threads: usize) -> Bounds {
        let mechanisms = Mechanisms::all();
        let recoveries = Recoveries::CutOffTorn;
        let (faults, transfers, states_max) = (true, true, u64::MAX);
        Bounds { ops: 3, crashes: 3, recoveries, faults, transfers, states_max, threads, mechanisms }
    }

    /// Of everything that decides which states there are.
    fn digest(&self) -> u32 {
        let all = Bounds { states_max: 0, threads: 0, mechanisms: Mechanisms::all(), ..*self };
        crc32c::crc32c(format!("{all:?}").as_bytes())
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} starts, up to {} steps of an alphabet of {}, crashes at every write and sync of up to {} of them{}; \
             after each, every way in which cached sectors can survive, torn ones too, if those are at most {WAYS_MAX} \
             (else a choice of them){}",
            starts().len(),
            self.ops,
            Op::all(self.faults, self.transfers).len(),
            self.crashes,
            match self.recoveries {
                Recoveries::Undisturbed => "",
                Recoveries::CutOffOnce => " and of one recovery (sectors whole there)",
                Recoveries::CutOff => " and of every recovery, however deep (sectors whole there)",
                Recoveries::CutOffTorn => " and of every recovery, however deep",
            },
            if self.faults { "; syncs that fail, reads that come up short, bits that rot" } else { "" },
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
        let same = (saved.bounds, saved.mechanisms) == (bounds.digest(), bounds.mechanisms);
        if !same || saved.rounds.len() > rounds(bounds).len() {
            return Err(SavedError::OtherScope(SCOPE.into()));
        }
        let exploration = Exploration { completed: saved.rounds.clone(), ..Exploration::new(bounds) };
        exploration.search.recall(saved);
        Ok(exploration)
    }

    /// What can be gone on from later.
    pub fn save(&self) -> Saved {
        let (mechanisms, bounds) = (self.bounds.mechanisms, self.bounds.digest());
        let (rounds, seen) = (self.completed.clone(), self.search.remembered(self.completed.len()));
        Saved { mechanisms, bounds, rounds, seen }
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
            search.round(round, self.bounds.threads, || go_on(search.progress(round)));
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

/// What led to a state.
#[derive(Clone, Debug)]
enum Step {
    Start(&'static str),
    Op(Op),
    Open,
    /// With how many of how many accesses of the step before done.
    Crash(usize, usize, Crash),
    /// A bit turned in this byte of these sectors.
    Rot(usize, Vec<usize>),
    /// It is opened, and the read after so many comes up short.
    ShortRead(usize),
}

#[derive(Clone, Debug)]
enum Crash {
    Kill,
    Power(Cut),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Start(name) => write!(f, "the device: {name}"),
            Step::Op(op) => op.fmt(f),
            Step::Open => write!(f, "open it"),
            Step::Rot(byte, sectors) => {
                write!(f, "a bit rots in byte {byte} of each of the sectors {sectors:?}")
            }
            Step::ShortRead(reads) => write!(f, "open it; the read after {reads} others comes up short"),
            Step::Crash(done, of, crash) => {
                write!(f, "after {done} of {of} writes and syncs of that, ")?;
                match crash {
                    Crash::Kill => write!(f, "kill -9: the cache survives"),
                    Crash::Power(cut) => write!(f, "a power cut: {cut}"),
                }
            }
        }
    }
}

impl Step {
    /// The line of a schedule.
    fn line(&self) -> String {
        match self {
            Step::Start(name) => format!("device {name}"),
            Step::Op(op) => op.to_string(),
            Step::Open => "open".into(),
            Step::Rot(byte, sectors) => {
                let sectors: Vec<String> = sectors.iter().map(usize::to_string).collect();
                format!("rot {byte} {}", sectors.join(" "))
            }
            Step::ShortRead(reads) => format!("short {reads}"),
            Step::Crash(done, _, Crash::Kill) => format!("kill {done}"),
            Step::Crash(done, _, Crash::Power(cut)) => format!("cut {done} {}", cut.names.join(" ")),
        }
    }
}

/// What is still to come.
#[derive(Clone, Copy)]
struct Budget {
    ops: u32,
    crashes: u32,
    recoveries: Recoveries,
}

/// Where the first life of a worker's share goes: the recovery, or one first step.
#[derive(Clone, Copy)]
enum Share {
    All,
    Opening,
    First(Op),
}

/// When a state was visited.
#[derive(Clone, Copy)]
struct Visit {
    /// The steps, crashes and recoveries that were still to come.
    left: [u8; 3],
    /// The rounds of the first visit, and of that one.
    rounds: [u8; 2],
}

struct Search {
    mechanisms: Mechanisms,
    faults: bool,
    alphabet: Vec<Op>,
    states_max: u64,
    starts: Vec<Start>,
    states: AtomicU64,
    stop: AtomicBool,
    too_deep: AtomicBool,
    visited: Vec<Mutex<HashMap<u64, Visit>>>,
    /// The round under way, by its place.
    now: AtomicU8,
    found: Mutex<Option<Found>>,
}

impl Search {
    fn new(bounds: &Bounds) -> Search {
        Search {
            mechanisms: bounds.mechanisms,
            faults: bounds.faults,
            alphabet: Op::all(bounds.faults, bounds.transfers),
            states_max: bounds.states_max,
            starts: starts().to_vec(),
            states: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            too_deep: AtomicBool::new(false),
            visited: (0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect(),
            now: AtomicU8::new(0),
            found: Mutex::new(None),
        }
    }

    /// One round, its starts and first steps shared out to the threads.
    fn round(&self, round: Round, threads: usize, mut go_on: impl FnMut() -> bool) {
        let (ops, crashes, recoveries) = round;
        let firsts =
            || std::iter::once(Share::Opening).chain(self.alphabet.iter().map(|&op| Share::First(op)));
        let shares: Vec<(&Start, Share)> =
            self.starts.iter().flat_map(|start| firsts().map(move |share| (start, share))).collect();
        let next = AtomicUsize::new(0);
        let budget = Budget { ops, crashes, recoveries };
        let (alive, finished) = channel::<()>();
        std::thread::scope(|scope| {
            for _ in 0..threads.max(1) {
                let (alive, next, shares) = (alive.clone(), &next, &shares);
                let worker = std::thread::Builder::new().stack_size(STACK_BYTES);
                let work = move || {
                    while let Some((start, share)) = shares.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let mut walk = Walk { search: self, path: vec![Step::Start(start.name)], depth: 0 };
                        walk.open(start.disk.clone(), &start.known, budget, *share);
                    }
                    drop(alive);
                };
                worker.spawn_scoped(scope, work).expect("a thread starts");
            }
            drop(alive);
            while finished.recv_timeout(Duration::from_millis(200)) == Err(RecvTimeoutError::Timeout) {
                if !go_on() {
                    self.stop.store(true, Ordering::Relaxed);
                }
            }
        });
    }

    /// Is this state new, or was it visited with less to come?
    fn enter(&self, disk: u64, known: &Known, left: Budget) -> bool {
        let mut hasher = DefaultHasher::new();
        (disk, known).hash(&mut hasher);
        let id = hasher.finish();
        let mut shard = self.visited[id as usize % SHARDS].lock().expect("no worker panicked");
        let left = [left.ops as u8, left.crashes as u8, left.recoveries as u8];
        let now = self.now.load(Ordering::Relaxed);
        let first = match shard.get(&id) {
            Some(known) if known.left.iter().zip(&left).all(|(known, left)| known >= left) => return false,
            Some(known) => known.rounds[0],
            None => {
                if self.states.fetch_add(1, Ordering::Relaxed) + 1 >= self.states_max {
                    self.stop.store(true, Ordering::Relaxed);
                }
                now
            }
        };
        shard.insert(id, Visit { left, rounds: [first, now] });
        true
    }

    fn progress(&self, (ops, crashes, recoveries): Round) -> Progress {
        let states = self.states.load(Ordering::Relaxed);
        Progress { states, ops, crashes, recoveries: Some(recoveries) }
    }

    /// What the completed rounds visited. A state that the round under way visited again, with more to come, is still to
    /// be visited so; it was visited with nothing to come at least.
    fn remembered(&self, completed: usize) -> Vec<Seen> {
        let before = |round: u8| usize::from(round) < completed;
        let left = |visit: &Visit| if before(visit.rounds[1]) { visit.left } else { [0; 3] };
        let mut seen = Vec::new();
        for shard in &self.visited {
            let shard = shard.lock().expect("no worker panicked");
            let visits = shard.iter().filter(|(_, visit)| before(visit.rounds[0]));
            seen.extend(visits.map(|(id, visit)| (*id, left(visit))));
        }
        seen.sort_unstable();
        seen
    }

    fn recall(&self, saved: &Saved) {
        for &(id, left) in &saved.seen {
            let mut shard = self.visited[id as usize % SHARDS].lock().expect("nobody works yet");
            shard.insert(id, Visit { left, rounds: [0, 0] });
        }
        self.states.store(saved.states(), Ordering::Relaxed);
    }
}

struct Walk<'a> {
    search: &'a Search,
    path: Vec<Step>,
    /// Recoveries cut off in a row.
    depth: u32,
}

impl Walk<'_> {
    /// The device as a crash has left it: opens it, with crashes in between, and goes on.
    fn open(&mut self, state: State, known: &Known, left: Budget, share: Share) {
        self.path.push(Step::Open);
        let disk = Disk::of(state.clone());
        let mechanisms = self.search.mechanisms;
        let opened = caught(|| {
            Engine::open(disk, &IDENTITY, mechanisms)
                .map_err(|error| format!("E1: a crash leaves a device that cannot be opened: {error}"))
        });
        match opened {
            Err(broken) => self.broken(broken),
            Ok((mut engine, report)) => {
                let journal = engine.device().take_journal();
                if left.recoveries > Recoveries::Undisturbed && !matches!(share, Share::First(_)) {
                    let torn = left.recoveries == Recoveries::CutOffTorn;
                    let then = match left.recoveries {
                        Recoveries::CutOffOnce => Recoveries::Undisturbed,
                        more => more,
                    };
                    if self.depth < DEPTH_MAX {
                        self.depth += 1;
                        let left = Budget { recoveries: then, ..left };
                        self.crashes_within(&state, &journal, known, left, torn);
                        self.depth -= 1;
                    } else {
                        self.search.too_deep.store(true, Ordering::Relaxed);
                    }
                }
                match caught(|| recovered(&mut engine, &report, known)) {
                    Err(broken) => self.broken(broken),
                    Ok(known) => {
                        let depth = std::mem::take(&mut self.depth);
                        self.live(&engine, &known, left, share);
                        self.depth = depth;
                    }
                }
            }
        }
        self.path.pop();
    }

    /// Cuts the power, or kills, behind each access but the last.
    fn crashes_within(&mut self, before: &State, journal: &[Io], known: &Known, left: Budget, torn: bool) {
        let mut state = before.clone();
        for (n, io) in journal.iter().enumerate().take(journal.len().saturating_sub(1)) {
            state.apply(io);
            self.crash(&state, known, left, (n + 1, journal.len()), torn);
        }
    }

    /// All that a crash at this moment can leave, with `left` to come.
    fn crash(&mut self, state: &State, known: &Known, left: Budget, (done, of): (usize, usize), torn: bool) {
        for cut in state.power_cuts(torn) {
            if self.search.stop.load(Ordering::Relaxed) {
                return;
            }
            let after = state.after(&cut);
            if self.search.enter(after.fingerprint(), known, left) {
                self.path.push(Step::Crash(done, of, Crash::Power(cut)));
                self.open(after, known, left, Share::All);
                self.path.pop();
            }
        }
        if state.has_cached() && self.search.enter(state.fingerprint(), known, left) {
            self.path.push(Step::Crash(done, of, Crash::Kill));
            self.open(state.clone(), known, left, Share::All);
            self.path.pop();
        }
    }

    /// An engine that is open: the host takes every step it can.
    fn live(&mut self, engine: &Engine<Disk>, known: &Known, left: Budget, share: Share) {
        // A step that no crash follows shows nothing that one with a crash behind it does not.
        if left.ops == 0 || left.crashes == 0 {
            return;
        }
        let search = self.search;
        for &op in search.alphabet.iter().filter(|&&op| match share {
            Share::All => true,
            Share::Opening => false,
            Share::First(first) => op == first,
        }) {
            if search.stop.load(Ordering::Relaxed) {
                return;
            }
            let mut engine = engine.clone();
            let before = engine.device().state();
            engine.device().take_journal();
            self.path.push(Step::Op(op));
            match caught(|| Ok(take(op, &mut engine, known))) {
                Err(broken) => self.broken(broken),
                Ok(None) => {}
                Ok(Some(done)) => {
                    let journal = engine.device().take_journal();
                    let crashed = Budget { crashes: left.crashes - 1, ..left };
                    self.crashes_within(&before, &journal, &done.during, crashed, true);
                    let at_rest = if done.failed { done.after.clone() } else { done.after.at_rest() };
                    let all = (journal.len(), journal.len());
                    self.crash(&engine.device().state(), &at_rest, crashed, all, true);
                    if self.search.faults && left.crashes == 1 {
                        self.rot(&engine.device().state(), &at_rest);
                        self.short_reads(&engine.device().state(), &at_rest);
                    }
                    if !done.failed {
                        if let Err(broken) = caught(|| checks::reads(&engine, &done.after, false)) {
                            self.broken(broken);
                        }
                        self.live(&engine, &done.after, Budget { ops: left.ops - 1, ..left }, Share::All);
                    }
                }
            }
            self.path.pop();
        }
    }

    /// Turns bits on a medium where all is synced.
    fn rot(&mut self, state: &State, known: &Known) {
        if state.has_cached() {
            return;
        }
        for (sectors, byte, rotten) in state.rotten() {
            if self.search.stop.load(Ordering::Relaxed) {
                return;
            }
            let superblocks = sectors.len() > 1;
            if !self.search.enter(
                rotten.fingerprint(),
                known,
                Budget { ops: 0, crashes: 0, recoveries: Recoveries::Undisturbed },
            ) {
                continue;
            }
            let (disk, mechanisms) = (Disk::of(rotten), self.search.mechanisms);
            let checked = caught(|| match Engine::open(disk, &IDENTITY, mechanisms) {
                Err(OpenError::Corrupt(_) | OpenError::NotFormatted) if superblocks => Ok(()),
                Err(error) => Err(format!("one damaged sector, and the device cannot be opened: {error}")),
                Ok(_) if superblocks => Err("a device without a superblock was opened".into()),
                Ok((mut engine, _)) => checks::rotten(&mut engine, known),
            });
            if let Err(broken) = checked {
                self.path.push(Step::Rot(byte, sectors));
                self.broken(broken);
                self.path.pop();
            }
        }
    }

    /// Opens the device with each of its reads in turn coming up short: that is told, as what it is; and the next opening
    /// finds everything.
    fn short_reads(&mut self, state: &State, known: &Known) {
        let mechanisms = self.search.mechanisms;
        for reads in 0.. {
            let disk = Disk::of(state.clone());
            disk.short_read_after(reads);
            let opened = caught(|| match Engine::open(&disk, &IDENTITY, mechanisms) {
                Ok((engine, _)) if engine.device().was_short() => {
                    Err("E1: a read of the recovery came up short, and nobody was told".into())
                }
                // More reads than there are: all of them were tried.
                Ok(_) => Ok(None),
                Err(OpenError::Io(_)) => Ok(Some(())),
                Err(error) => Err(format!("a read that came up short is taken for something else: {error}")),
            });
            let checked = opened.and_then(|short| {
                let disk = Disk::of(disk.state());
                let Some(()) = short else { return Ok(false) };
                let (mut engine, report) = Engine::open(disk, &IDENTITY, mechanisms).map_err(|error| {
                    format!("E1: after a short read the device cannot be opened: {error}")
                })?;
                recovered(&mut engine, &report, known).map(|_| true)
            });
            match checked {
                Ok(true) => {}
                Ok(false) => return,
                Err(broken) => {
                    self.path.push(Step::ShortRead(reads));
                    self.broken(broken);
                    self.path.pop();
                    return;
                }
            }
        }
    }

    fn broken(&self, broken: String) {
        self.search.stop.store(true, Ordering::Relaxed);
        let steps = self.path.iter().map(ToString::to_string).collect();
        let script = self.path.iter().map(Step::line).collect();
        self.search.found.lock().expect("no worker panicked").get_or_insert(Found { broken, steps, script });
    }
}

/// Runs it; a failed assertion of the engine is a violation like any other.
pub(super) fn caught<T>(run: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    quiet::caught(run)?
}
