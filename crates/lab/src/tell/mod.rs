//! A schedule and all that came of it: every step with every event, and how it ended. Nothing is folded or left out.
//!
//! | file | job |
//! |---|---|
//! | `events` | an event in words, and how much it says on its own |
//! | `facts` | the state in words |

pub(crate) mod events;
mod facts;

pub use events::plain;
pub use facts::{describe, legend, signs};

use trace::{Event, EventId, Mechanism, Mechanisms};

use crate::play::{Act, Play};
use crate::schedule::Schedule;

/// Tells `play`, the play of `schedule`, line by line.
pub fn tell(schedule: &Schedule, play: &Play) -> Vec<String> {
    let mut lines: Vec<String> = schedule.setting.iter().map(|line| format!("> {line}")).collect();
    lines.extend(changed(&[], &play.begin));
    for at in 0..play.acts.len() {
        lines.extend(step(play, at));
    }
    lines.push(String::new());
    lines.push(verdict(play));
    lines
}

/// The step after `at` others, what happened in it (each event with its number), and what changed.
pub fn step(play: &Play, at: usize) -> Vec<String> {
    let act = &play.acts[at];
    let mut lines = vec![format!("{:>3}. {}", at + 1, act.words)];
    if let Some(why) = &act.skipped {
        lines.push(format!("       | not possible here: {why}"));
        return lines;
    }
    let before = at.checked_sub(1).map(|before| &play.acts[before]);
    lines.extend(act.events.iter().enumerate().map(|(n, event)| {
        let by = event.kind.mechanism().map(|by| at_work(by, play.on)).unwrap_or_default();
        format!("{:>7} {}{by}", format!("{}.{}", at + 1, n + 1), plain(event))
    }));
    lines.extend(act.also.iter().map(|line| format!("        {line}")));
    let held = before.map_or(&[][..], |before| &before.held);
    let held = act.held.iter().filter(|line| !held.contains(line));
    lines.extend(held.map(|line| format!("        {line}")));
    lines.extend(act.client.iter().map(|line| format!("        client: {line}")));
    lines.extend(changed(before.map_or(&play.begin, |before| &before.state), &act.state));
    lines
}

/// The mechanism behind an event, or that it is out.
pub(crate) fn at_work(mechanism: Mechanism, on: Mechanisms) -> String {
    let is_out = on.without(mechanism) == on;
    format!(" [{mechanism}{}]", if is_out { " is out" } else { "" })
}

/// Only what changed: the rest is as it was.
fn changed(before: &[String], after: &[String]) -> Vec<String> {
    after.iter().filter(|line| !before.contains(line)).map(|line| format!("       | {line}")).collect()
}

/// How it ended, in a sentence.
pub fn verdict(play: &Play) -> String {
    match (&play.broken, &play.stopped) {
        (Some(broken), _) => format!("BROKEN  {broken}"),
        (None, Some(stopped)) => format!("STOPPED by an assertion of its own: {stopped}"),
        (None, None) => "HELD    No promise is broken in any of these steps.".into(),
    }
}

/// Where the plays of two schedules go apart: the first step that is another one, or that goes differently.
pub fn departure(first: &Play, second: &Play) -> Option<String> {
    let pairs = first.acts.iter().zip(&second.acts);
    let alike =
        pairs.take_while(|(a, b)| a.step == b.step && a.state == b.state && a.client == b.client).count();
    match (first.acts.get(alike), second.acts.get(alike)) {
        (None, None) => None,
        (Some(a), None) => Some(format!("it ends before step {}: {}", alike + 1, a.words)),
        (None, Some(b)) => Some(format!("it goes on with step {}: {}", alike + 1, b.words)),
        (Some(a), Some(b)) if a.step == b.step => {
            Some(format!("step {} goes differently: {}", alike + 1, b.words))
        }
        (Some(a), Some(b)) => Some(format!("step {} is `{}` instead of `{}`", alike + 1, b.step, a.step)),
    }
}

/// Why an event happened: the event `n` of step `step` (both from 1), what it follows from, what that follows from, back
/// to the beginning; with the line of code that tells of it, and the guard of the mechanism at work.
pub fn causes(acts: &[Act], step: usize, n: usize) -> Option<Vec<String>> {
    let mut next = acts.get(step.checked_sub(1)?)?.events.get(n.checked_sub(1)?);
    let mut lines = Vec::new();
    while let Some(event) = next {
        let (step, n) = place(acts, &event.id)?;
        let head = if lines.is_empty() { "" } else { "because " };
        lines.push(format!("{head}{step}.{n} {}", plain(event)));
        lines.push(format!("       {} in {}", event.source.symbol, event.source.file));
        if let Some(mechanism) = event.kind.mechanism()
            && let Some((file, symbol)) = crate::why::registry::entry(mechanism).guard
        {
            lines.push(format!("       {mechanism}: fn {symbol} in {file}"));
        }
        next = event.parents.iter().find_map(|parent| {
            let (step, n) = place(acts, parent)?;
            acts[step - 1].events.get(n - 1)
        });
    }
    Some(lines)
}

/// An event as a sentence.
pub fn sentence(event: &Event) -> String {
    plain(event)
}

/// The step and the number of an event, both from 1.
pub fn place(acts: &[Act], id: &EventId) -> Option<(usize, usize)> {
    acts.iter().enumerate().find_map(|(at, act)| {
        let n = act.events.iter().position(|event: &Event| event.id == *id)?;
        Some((at + 1, n + 1))
    })
}
