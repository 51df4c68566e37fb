//! Breadth-first search on all cores.
//!
//! A state is remembered by a 64-bit fingerprint, with its parent's and the number of the action that led to it; so a
//! counterexample is rebuilt by doing its actions again from the first state. Two states with one fingerprint would hide
//! one of them: with 50 million states the chance is about one in ten thousand, and it is part of the bound.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::cluster::Model;
use super::scope::Scope;
use super::world::{Action, Pools, World};
use crate::cluster::language::Setting;
use crate::cluster::stage::Stage;
use crate::cluster::witness::Goal;
use crate::quiet::caught;

/// States that are expanded between two merges: enough to keep all cores busy, few enough that what they lead to stays
/// in the caches.
const BLOCK: usize = 2048;

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
    /// The same as a schedule: see [`crate::cluster`].
    pub script: Vec<String>,
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

/// Where each state was first reached from: the parent's fingerprint, and which of its actions.
type Visited = HashMap<u64, (u64, u16)>;

/// A state reached by one action; `None` if an assertion of the rules failed on the way, which is a violation too.
struct Step {
    id: u64,
    from: (u64, u16),
    after: Option<World>,
}

/// Visits every state of `scope`, up to about `states_max` of them. `report` is called now and then. The result does not
/// depend on the number of threads: they only expand states, and what they find is merged in order.
pub fn explore(scope: &Scope, states_max: u64, threads: usize, mut report: impl FnMut(Progress)) -> Outcome {
    let first = World::new(scope);
    let root = fingerprint(&first);
    let mut visited = Visited::from([(root, (root, 0))]);
    let mut frontier = vec![first];
    let mut progress = Progress { states: 1, depth: 0, frontier: 1 };
    while !frontier.is_empty() {
        if progress.depth >= scope.depth_max || progress.states >= states_max {
            return Outcome { progress, complete: false, found: None };
        }
        progress.depth += 1;
        let mut next = Vec::new();
        let mut pools = Pools::default();
        let mut frontier_left = frontier.into_iter();
        loop {
            // What was expanded is dropped before the next: half of the memory is the frontier's.
            let block: Vec<World> = frontier_left.by_ref().take(BLOCK).collect();
            if block.is_empty() {
                break;
            }
            for step in expand(scope, &block, &visited, threads) {
                if visited.contains_key(&step.id) {
                    continue;
                }
                visited.insert(step.id, step.from);
                progress.states += 1;
                match step.after {
                    Some(mut after) if after.broken().is_none() => {
                        after.intern(&mut pools);
                        next.push(after);
                    }
                    _ => {
                        let found = Some(rebuild(scope, &visited, root, step.id));
                        return Outcome { progress, complete: false, found };
                    }
                }
            }
            progress.frontier = next.len();
            report(progress);
        }
        frontier = next;
    }
    Outcome { progress, complete: true, found: None }
}

/// All steps out of `block` that lead to states not known yet, in the order of states and actions.
fn expand(scope: &Scope, block: &[World], visited: &Visited, threads: usize) -> Vec<Step> {
    let part = block.len().div_ceil(threads.max(1)).max(1);
    let expand_part = &|part: &[World]| {
        let (mut steps, mut seen) = (Vec::new(), HashSet::new());
        for state in part {
            let parent = fingerprint(state);
            for (number, action) in state.actions(scope).into_iter().enumerate() {
                let from = (parent, number as u16);
                let (id, after) = match caught(|| state.after(scope, action)) {
                    Ok(after) => (fingerprint(&after), Some(after)),
                    Err(_) if scope.goal == Goal::Betrayal => continue,
                    Err(_) => (parent ^ (number as u64 + 1), None),
                };
                if !visited.contains_key(&id) && seen.insert(id) {
                    steps.push(Step { id, from, after });
                }
            }
        }
        steps
    };
    std::thread::scope(|threads_scope| {
        let workers: Vec<_> =
            block.chunks(part).map(|part| threads_scope.spawn(move || expand_part(part))).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("workers catch panics")).collect()
    })
}

fn fingerprint(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

/// Does the actions of a counterexample again, from the first state.
fn rebuild(scope: &Scope, visited: &Visited, root: u64, end: u64) -> Found {
    let mut numbers = Vec::new();
    let mut at = end;
    while at != root {
        let (parent, number) = visited[&at];
        numbers.push(number);
        at = parent;
    }
    let setting = Setting {
        nodes: scope.nodes,
        cold: !scope.established,
        gateways: 0,
        frames: scope.entries_per_frame,
        pieces: scope.pieces,
        resend: scope.resend_after,
        goal: scope.goal,
    };
    let mut world = World::new(scope);
    let mut stage: Stage<Model> = Stage::new(&setting, scope.mechanisms).expect("the model has this cluster");
    let mut steps = Vec::new();
    let mut script: Vec<String> = setting.to_string().lines().map(str::to_string).collect();
    for number in numbers.into_iter().rev() {
        let action: Action = world.actions(scope)[number as usize];
        steps.push(world.describe(action));
        let step = world.step(scope, action, &mut stage);
        script.push(step.to_string());
        let done = caught(|| {
            let after = world.after(scope, action);
            // The stage keeps what is sent twice apart, so it has all that the world has.
            stage.take(&step).map(|_| after)
        });
        match done {
            Ok(after) => world = after.expect("what is possible in the world is possible on the stage"),
            Err(broken) => return Found { broken, steps, script, end: world.summary() },
        }
    }
    let broken = world.broken().unwrap_or("nothing").to_string();
    Found { broken, steps, script, end: world.summary() }
}
