//! Breadth-first search on all cores.
//!
//! A state is remembered by a 64-bit fingerprint, and by its parent's number and the number of the action that led to it;
//! so a counterexample is rebuilt by doing its actions again from the first state, and a whole exploration by doing all of
//! them ([`super::saved`]). Two states with one fingerprint would hide one of them: with 50 million states the chance is
//! about one in ten thousand, and it is part of the bound.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::action::Action;
use super::cluster::Model;
use super::estimate;
use super::saved::{Saved, Step};
use super::scope::Scope;
use super::world::{Pools, World};
use crate::cluster::language::Step as Line;
use crate::cluster::stage::Stage;
use crate::cluster::witness::Goal;
use crate::quiet::caught;
use crate::save::SavedError;

/// States that are expanded between two merges: enough to keep all cores busy, few enough that what they lead to stays
/// in the caches.
const BLOCK: usize = 2048;
/// Numbers of states have 32 bits. So many do not fit the memory of today's machines.
const STATES_MAX: u64 = u32::MAX as u64 - 1;

/// How far an exploration has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Different states seen.
    pub states: u64,
    /// Length of the schedules being tried.
    pub depth: u32,
    /// Every schedule of up to this length was tried.
    pub full: u32,
    /// States waiting at this depth.
    pub frontier: usize,
    /// How many states are still to come, by how the frontier grows: an estimate, and often there is none.
    pub left: Option<u64>,
}

/// A schedule that breaks a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How far it came.
    pub progress: Progress,
    /// Was every state within the scope visited?
    pub complete: bool,
    /// The first violation, one of the shortest of the scope.
    pub found: Option<Found>,
}

/// Visits every state of `scope`, up to about `states_max` of them. `report` is called now and then. The result does not
/// depend on the number of threads: they only expand states, and what they find is merged in order.
pub fn explore(scope: &Scope, states_max: u64, threads: usize, mut report: impl FnMut(Progress)) -> Outcome {
    Exploration::new(scope).run(states_max, threads, |progress| {
        report(progress);
        true
    })
}

/// An exploration that can be stopped, saved, and gone on with.
pub struct Exploration {
    scope: Scope,
    /// Every state seen, in the order of being seen; the first stands for itself.
    order: Vec<Step>,
    visited: HashSet<u64>,
    /// Of all fingerprints, in order: an exploration that is rebuilt must come to the same.
    digest: u64,
    /// States of each depth that is known in full.
    sizes: Vec<u64>,
    /// The states of the deepest of them that were not expanded yet,
    frontier: std::vec::IntoIter<World>,
    /// the number of the first of those,
    expanded: usize,
    /// and what the others led to.
    next: Vec<World>,
    pools: Pools,
}

/// A state reached by one action; `None` if an assertion of the rules failed on the way, which is a violation too.
struct Reached {
    id: u64,
    from: Step,
    after: Option<World>,
}

impl Exploration {
    /// At the first state of `scope`.
    pub fn new(scope: &Scope) -> Exploration {
        let first = World::first(scope);
        let id = fingerprint(&first);
        Exploration {
            scope: *scope,
            order: vec![(0, 0)],
            visited: HashSet::from([id]),
            digest: id,
            sizes: vec![1],
            frontier: vec![first].into_iter(),
            expanded: 0,
            next: Vec::new(),
            pools: Pools::default(),
        }
    }

    /// Where `saved` was left. Every state is reached again by the action that led to it; an error says that this cannot be
    /// done, because the file was made by other rules. `report` is called now and then.
    pub fn resume(saved: &Saved, mut report: impl FnMut(Progress)) -> Result<Exploration, SavedError> {
        let mut exploration = Exploration::new(&saved.scope);
        let mut level = vec![World::first(&saved.scope)];
        let mut steps = saved.order[1..].iter().copied().peekable();
        loop {
            let first = exploration.expanded;
            let beyond = (first + level.len()) as u32;
            while let Some(step) = steps.next_if(|(parent, _)| *parent < beyond) {
                let parent = &level[step.0 as usize - first];
                exploration.redo(parent, step)?;
                if exploration.order.len().is_multiple_of(BLOCK) {
                    report(exploration.progress());
                }
            }
            let expanded = saved.expanded as usize;
            if expanded < beyond as usize || steps.peek().is_none() && expanded == beyond as usize {
                level.drain(..expanded - first);
                (exploration.frontier, exploration.expanded) = (level.into_iter(), expanded);
                break;
            }
            exploration.expanded = beyond as usize;
            level = exploration.level_up();
            if level.is_empty() {
                return Err(SavedError::OtherRules { state: exploration.order.len() as u64 });
            }
        }
        let same = steps.next().is_none() && exploration.digest == saved.digest;
        same.then_some(exploration).ok_or(SavedError::OtherRules { state: saved.order.len() as u64 })
    }

    /// Takes a step that was taken before; it must lead to a new state that breaks nothing.
    fn redo(&mut self, parent: &World, (from, number): Step) -> Result<(), SavedError> {
        let other = SavedError::OtherRules { state: self.order.len() as u64 };
        let action = parent.actions(&self.scope).get(number as usize).copied().ok_or(other.clone())?;
        let after = caught(|| parent.after(&self.scope, action)).map_err(|_| other.clone())?;
        let known = !self.enter(fingerprint(&after), (from, number));
        if known || after.broken().is_some() {
            return Err(other);
        }
        self.keep(after);
        Ok(())
    }

    /// What can be gone on from later.
    pub fn save(&self) -> Saved {
        Saved {
            scope: self.scope,
            order: self.order.clone(),
            expanded: self.expanded as u32,
            digest: self.digest,
        }
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        let level = self.sizes.len() as u32 - 1;
        let waiting = self.frontier.len();
        let of_level = self.sizes[level as usize];
        let begun = (waiting as u64) < of_level;
        Progress {
            states: self.order.len() as u64,
            depth: level + u32::from(begun),
            full: level + u32::from(waiting == 0),
            frontier: self.next.len(),
            left: estimate::left(&self.sizes, waiting as u64, self.next.len() as u64, self.scope.depth_max),
        }
    }

    /// Goes on until every state of the scope was visited, or there are about `states_max`, or `go_on` says no.
    pub fn run(
        &mut self,
        states_max: u64,
        threads: usize,
        mut go_on: impl FnMut(Progress) -> bool,
    ) -> Outcome {
        let ends = |exploration: &Exploration, complete, found| Outcome {
            progress: exploration.progress(),
            complete,
            found,
        };
        loop {
            if self.frontier.len() == 0 {
                if self.next.is_empty() {
                    return ends(self, true, None);
                }
                self.frontier = self.level_up().into_iter();
            }
            let too_deep = self.sizes.len() > self.scope.depth_max as usize;
            if too_deep || self.order.len() as u64 >= states_max.min(STATES_MAX) {
                return ends(self, false, None);
            }
            // What was expanded is dropped before the next: half of the memory is the frontier's.
            let block: Vec<World> = self.frontier.by_ref().take(BLOCK).collect();
            for step in self.expand(&block, threads) {
                if !self.enter(step.id, step.from) {
                    continue;
                }
                match step.after {
                    Some(after) if after.broken().is_none() => self.keep(after),
                    _ => {
                        let found = Some(self.rebuild());
                        return ends(self, false, found);
                    }
                }
            }
            self.expanded += block.len();
            if !go_on(self.progress()) {
                return ends(self, false, None);
            }
        }
    }

    /// The states of the next depth, now that all of this one were expanded.
    fn level_up(&mut self) -> Vec<World> {
        self.sizes.push(self.next.len() as u64);
        self.pools = Pools::default();
        std::mem::take(&mut self.next)
    }

    /// Is this a state that was not seen yet?
    fn enter(&mut self, id: u64, from: Step) -> bool {
        let new = self.visited.insert(id);
        if new {
            self.order.push(from);
            self.digest = self.digest.rotate_left(7) ^ id;
        }
        new
    }

    fn keep(&mut self, mut state: World) {
        state.intern(&mut self.pools);
        self.next.push(state);
    }

    /// All steps out of `block` that lead to states not known yet, in the order of states and actions.
    fn expand(&self, block: &[World], threads: usize) -> Vec<Reached> {
        let part = block.len().div_ceil(threads.max(1)).max(1);
        let expand_part = &|(n, states): (usize, &[World])| {
            let (mut steps, mut seen) = (Vec::new(), HashSet::new());
            for (at, state) in states.iter().enumerate() {
                let parent = (self.expanded + n * part + at) as u32;
                for (number, action) in state.actions(&self.scope).into_iter().enumerate() {
                    let from = (parent, number as u16);
                    let (id, after) = match caught(|| state.after(&self.scope, action)) {
                        Ok(after) => (fingerprint(&after), Some(after)),
                        Err(_) if self.scope.goal == Goal::Betrayal => continue,
                        Err(_) => (fingerprint(state) ^ (number as u64 + 1), None),
                    };
                    if !self.visited.contains(&id) && seen.insert(id) {
                        steps.push(Reached { id, from, after });
                    }
                }
            }
            steps
        };
        // One part needs no other thread, and where there are none (WebAssembly) it cannot have one.
        if block.len() <= part {
            return expand_part((0, block));
        }
        std::thread::scope(|threads_scope| {
            let workers: Vec<_> = block
                .chunks(part)
                .enumerate()
                .map(|part| threads_scope.spawn(move || expand_part(part)))
                .collect();
            workers.into_iter().flat_map(|worker| worker.join().expect("workers catch panics")).collect()
        })
    }

    /// Does the actions that led to the last state again, from the first one.
    fn rebuild(&self) -> Found {
        let scope = &self.scope;
        let mut numbers = Vec::new();
        let mut at = self.order.len() - 1;
        while at != 0 {
            let (parent, number) = self.order[at];
            numbers.push(number);
            at = parent as usize;
        }
        let setting = scope.setting();
        let mut world = World::first(scope);
        let mut stage: Stage<Model> =
            Stage::new(&setting, scope.mechanisms).expect("the model has this cluster");
        let mut steps = Vec::new();
        let mut script: Vec<String> = setting.to_string().lines().map(str::to_string).collect();
        for step in scope.begin() {
            stage.take(&step).expect("the world was begun with it");
            script.push(step.to_string());
        }
        for number in numbers.into_iter().rev() {
            let action: Action = world.actions(scope)[number as usize];
            steps.push(world.describe(scope, action));
            let taken = world.steps(scope, action, &mut stage);
            script.extend(taken.iter().map(Line::to_string));
            let done = caught(|| {
                let after = world.after(scope, action);
                // The stage keeps what is sent twice apart, so it has all that the world has.
                taken.iter().try_for_each(|step| stage.take(step).map(|_| ())).map(|()| after)
            });
            match done {
                Ok(after) => world = after.expect("what is possible in the world is possible on the stage"),
                Err(broken) => return Found { broken, steps, script, end: world.summary() },
            }
        }
        let broken = world.broken().unwrap_or("nothing").to_string();
        Found { broken, steps, script, end: world.summary() }
    }
}

fn fingerprint(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}
