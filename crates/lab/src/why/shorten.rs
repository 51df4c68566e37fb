//! Looks for a shorter schedule near one that is known.
//!
//! Shrinking only leaves steps out, so it ends where every single one is needed, which may be far from the shortest. Here
//! steps are also added, replaced and moved, with messages, timers, duplicates and crashes among them; what still betrays
//! a client and is no longer than before is gone on with, so that the search drifts along schedules of equal length until
//! one of them can be shrunk. It runs on the checker's model, which is fast, and what it finds is played on real nodes.

use sim::rng::Rng;
use trace::{Mechanism, Mechanisms};

use crate::check::cluster::Model;
use crate::machine::TimeMachine;
use crate::schedule::Schedule;

/// What a schedule comes to without a mechanism: how long it is, and its steps that were possible. `None`: it betrays
/// nobody.
fn betrayal(schedule: &Schedule, off: Mechanism) -> Option<(usize, Vec<String>)> {
    let mut machine = TimeMachine::<Model>::new(schedule, Mechanisms::all().without(off)).ok()?;
    machine.run_out();
    machine.broken()?;
    let taken = machine.acts().iter().filter(|act| act.skipped.is_none());
    let length = taken.clone().map(|act| act.counts).sum();
    Some((length, taken.map(|act| act.step.clone()).collect()))
}

/// A shorter schedule than `schedule` that betrays a client without `off`, and holds with it; `None`: none was found in so
/// many tries.
pub fn shorten(schedule: &Schedule, off: Mechanism, seed: u64, tries: u64) -> Option<Schedule> {
    let nodes = schedule.setting().ok()?.nodes;
    let mut rng = Rng::stream(seed, "shorten", 0);
    let (begin, steps) = betrayal(schedule, off)?;
    let (mut length, mut here) = (begin, Schedule { steps, ..schedule.clone() });
    let mut best: Option<Schedule> = None;
    for _ in 0..tries {
        let mut other = here.clone();
        for _ in 0..=rng.below(3) {
            change(&mut other.steps, nodes, &mut rng);
        }
        let Some((new, steps)) = betrayal(&other, off) else { continue };
        if new > length {
            continue;
        }
        other.steps = steps;
        here = other;
        if new < length {
            length = new;
            let found = here.shrunk(off);
            let holds = found
                .play_to_the_end(Mechanisms::all())
                .is_ok_and(|play| play.broken.is_none() && play.stopped.is_none());
            if holds && found.betrays(off) {
                best = Some(found);
            }
        }
    }
    best
}

/// Leaves a step out, adds one, replaces one, or moves one.
fn change(steps: &mut Vec<String>, nodes: u32, rng: &mut Rng) {
    let at = rng.below(steps.len().max(1) as u64) as usize;
    match rng.below(10) {
        0..=3 if steps.len() > 1 => drop(steps.remove(at)),
        4..=5 => steps.insert(at, any(nodes, rng)),
        6..=7 if !steps.is_empty() => steps[at] = any(nodes, rng),
        _ if steps.len() > 1 => {
            let step = steps.remove(at);
            let to = rng.below(steps.len() as u64 + 1) as usize;
            steps.insert(to, step);
        }
        _ => {}
    }
}

/// A step that may be possible.
fn any(nodes: u32, rng: &mut Rng) -> String {
    let node = |rng: &mut Rng| rng.between(1, u64::from(nodes));
    let (one, other) = (node(rng), node(rng));
    let names = [
        "",
        "",
        " Prepare",
        " PrepareOk",
        " Promised",
        " PromiseRequest",
        " Prepare 1",
        " Prepare 2",
        " PrepareRefused",
    ];
    let name = *rng.pick(&names);
    match rng.below(16) {
        0..=5 => format!("deliver n{one} n{other}{name}"),
        6..=8 => format!("sync n{one}"),
        9 => format!("again n{one} n{other}{name}"),
        10 => format!("lose n{one} n{other}{name}"),
        11 => format!("takeover n{one} above {}", rng.below(5)),
        12 => format!("write {} to n{one}", rng.between(1, 3)),
        13 => format!("crash n{one} keep 0"),
        14 => format!("tick n{one}"),
        _ => "tick all".to_string(),
    }
}
