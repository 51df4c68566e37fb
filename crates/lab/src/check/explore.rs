//! Breadth-first search on all cores.
//!
//! A state is remembered by a 64-bit fingerprint, with its parent's and the number of the action that led to it; so a
//! counterexample is rebuilt by doing its actions again from the first state. Two states with one fingerprint would hide
//! one of them: with 50 million states the chance is about one in ten thousand, and it is part of the bound.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::scope::Scope;
use super::world::{Action, World};

const SHARDS: usize = 64;
/// States that a worker takes from the frontier at a time.
const CHUNK: usize = 256;

/// How far an exploration has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Different states seen.
    pub states: u64,
    /// Length of the schedules being tried.
    pub depth: u32,
    /// States waiting at this depth.
    pub frontier: usize,
}

/// A schedule that breaks a promise.
#[derive(Clone, Debug)]
pub struct Found {
    /// What is broken.
    pub broken: String,
    /// The steps, as sentences.
    pub steps: Vec<String>,
    /// The replicas at the end.
    pub end: Vec<String>,
}

/// What came of an exploration.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How far it came.
    pub progress: Progress,
    /// Was every state within the scope visited?
    pub complete: bool,
    /// The first violation, one of the shortest.
    pub found: Option<Found>,
}

/// Where a state was first reached from: the parent's fingerprint, and which of its actions.
type Visited = Vec<Mutex<HashMap<u64, (u64, u16)>>>;

/// Visits every state of `scope`, up to `states_max` of them. `report` is called now and then.
pub fn explore(scope: &Scope, states_max: u64, threads: usize, mut report: impl FnMut(Progress)) -> Outcome {
    let visited: Visited = (0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect();
    let first = World::new(scope);
    let root = fingerprint(&first);
    insert(&visited, root, (root, 0));
    let mut frontier = vec![first];
    let mut progress = Progress { states: 1, depth: 0, frontier: 1 };
    let broken: Mutex<Option<u64>> = Mutex::new(None);
    while !frontier.is_empty() {
        report(progress);
        if progress.depth >= scope.depth_max || progress.states >= states_max {
            return Outcome { progress, complete: false, found: None };
        }
        progress.depth += 1;
        let next = level(scope, &frontier, &visited, &broken, threads);
        if let Some(state) = *broken.lock().expect("no worker panicked") {
            return Outcome { progress, complete: false, found: Some(rebuild(scope, &visited, root, state)) };
        }
        progress.states += next.len() as u64;
        progress.frontier = next.len();
        frontier = next;
    }
    Outcome { progress, complete: true, found: None }
}

/// All new states one step behind `frontier`.
fn level(
    scope: &Scope,
    frontier: &[World],
    visited: &Visited,
    broken: &Mutex<Option<u64>>,
    threads: usize,
) -> Vec<World> {
    let next_chunk = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let work = || {
        let mut new = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let at = next_chunk.fetch_add(CHUNK, Ordering::Relaxed);
            let Some(chunk) =
                frontier.get(at..frontier.len().min(at + CHUNK)).filter(|chunk| !chunk.is_empty())
            else {
                break;
            };
            for state in chunk {
                let parent = fingerprint(state);
                for (number, action) in state.actions(scope).into_iter().enumerate() {
                    let (id, after) = match catch_unwind(AssertUnwindSafe(|| state.after(scope, action))) {
                        Ok(after) => (fingerprint(&after), Some(after)),
                        // An assertion of the rules failed: that is a violation too, and has no state of its own.
                        Err(_) => (parent ^ (number as u64 + 1), None),
                    };
                    if !insert(visited, id, (parent, number as u16)) {
                        continue;
                    }
                    match after {
                        Some(after) if after.broken().is_none() => new.push(after),
                        _ => {
                            stop.store(true, Ordering::Relaxed);
                            broken.lock().expect("no worker panicked").get_or_insert(id);
                        }
                    }
                }
            }
        }
        new
    };
    std::thread::scope(|threads_scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| threads_scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("workers catch panics")).collect()
    })
}

fn fingerprint(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

fn insert(visited: &Visited, id: u64, from: (u64, u16)) -> bool {
    let mut shard = visited[id as usize % SHARDS].lock().expect("no worker panicked");
    let new = !shard.contains_key(&id);
    if new {
        shard.insert(id, from);
    }
    new
}

/// Does the actions of a counterexample again, from the first state.
fn rebuild(scope: &Scope, visited: &Visited, root: u64, end: u64) -> Found {
    let mut numbers = Vec::new();
    let mut at = end;
    while at != root {
        let (parent, number) = visited[at as usize % SHARDS].lock().expect("no worker panicked")[&at];
        numbers.push(number);
        at = parent;
    }
    let mut world = World::new(scope);
    let mut steps = Vec::new();
    for number in numbers.into_iter().rev() {
        let action: Action = world.actions(scope)[number as usize];
        steps.push(world.describe(action));
        match catch_unwind(AssertUnwindSafe(|| world.after(scope, action))) {
            Ok(after) => world = after,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()));
                let broken = text.unwrap_or_else(|| "an assertion of the rules failed".into());
                return Found { broken, steps, end: world.summary() };
            }
        }
    }
    Found { broken: world.broken().unwrap_or("nothing").to_string(), steps, end: world.summary() }
}
