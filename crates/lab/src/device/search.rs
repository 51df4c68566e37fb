//! What was visited, with how much still to come, shared by all workers.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use trace::Mechanisms;

use super::bounds::{Bounds, Found, Progress, Recoveries, Round};
use super::known::Known;
use super::saved::{Saved, Seen};
use super::starts::{Start, starts_of};
use super::workload::Op;

/// Parts of the memory, each with a lock of its own.
const SHARDS: usize = 64;

/// What is still to come.
#[derive(Clone, Copy)]
pub(super) struct Budget {
    pub(super) ops: u32,
    pub(super) crashes: u32,
    pub(super) recoveries: Recoveries,
}

/// Where the first life of a worker's share goes: the recovery, or one first step.
#[derive(Clone, Copy)]
pub(super) enum Share {
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

pub(super) struct Search {
    pub(super) mechanisms: Mechanisms,
    pub(super) faults: bool,
    pub(super) alphabet: Vec<Op>,
    pub(super) states_max: u64,
    pub(super) starts: Vec<&'static Start>,
    pub(super) states: AtomicU64,
    pub(super) stop: AtomicBool,
    pub(super) too_deep: AtomicBool,
    visited: Vec<Mutex<HashMap<u64, Visit>>>,
    /// The round under way, by its place.
    pub(super) now: AtomicU8,
    pub(super) found: Mutex<Option<Found>>,
}

impl Search {
    pub(super) fn new(bounds: &Bounds) -> Search {
        Search {
            mechanisms: bounds.mechanisms,
            faults: bounds.faults,
            alphabet: bounds.alphabet(),
            states_max: bounds.states_max,
            starts: starts_of(bounds.work).collect(),
            states: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            too_deep: AtomicBool::new(false),
            visited: (0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect(),
            now: AtomicU8::new(0),
            found: Mutex::new(None),
        }
    }

    /// Is this state new, or was it visited with less to come?
    pub(super) fn enter(&self, disk: u64, known: &Known, left: Budget) -> bool {
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

    pub(super) fn progress(&self, (ops, crashes, recoveries): Round) -> Progress {
        let states = self.states.load(Ordering::Relaxed);
        Progress { states, ops, crashes, recoveries: Some(recoveries) }
    }

    /// What the completed rounds visited. A state that the round under way visited again, with more to come, is still to
    /// be visited so; it was visited with nothing to come at least.
    pub(super) fn remembered(&self, completed: usize) -> Vec<Seen> {
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

    pub(super) fn recall(&self, saved: &Saved) {
        for &(id, left) in &saved.seen {
            let mut shard = self.visited[id as usize % SHARDS].lock().expect("nobody works yet");
            shard.insert(id, Visit { left, rounds: [0, 0] });
        }
        self.states.store(saved.states(), Ordering::Relaxed);
    }
}
