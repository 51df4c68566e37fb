//! What the guard does that this program was compiled with. The quick things come first: what it decides, its own
//! counterexample, the other schedules, the stories; then seeds of the simulator, and states of the exhaustive check.

use trace::{Mechanism, Mechanisms};

use super::exercise::{Rebuild, Wrong};
use crate::check::{Scope, explore};
use crate::learn::grade::{Fault, Grade, Rank};
use crate::page::stories;
use crate::play::Play;
use crate::quiet::caught;
use crate::schedule::Schedule;
use crate::story;
use crate::why::registry;

/// Seeds of the simulator that an answer has to get through.
const SEEDS: u64 = 100;
/// States that are visited in each of these scopes.
const STATES: u64 = 5_000;
const SCOPES: [&str; 2] = ["takeover", "failover"];

/// Grades the guard of `exercise` that this program was compiled with.
pub(in crate::learn) fn judge(exercise: &Rebuild) -> Grade {
    let failed = decided_wrong(exercise)
        .or_else(|| own_schedule(exercise.mechanism))
        .or_else(other_schedules)
        .or_else(other_stories)
        .or_else(seeds)
        .or_else(states);
    match failed {
        Some((fault, words)) => Grade::not_yet(fault, words),
        None => Grade::Passed {
            rank: Rank::Whole,
            words: format!(
                "Every schedule and story holds, {SEEDS} seeds of the simulator, and about {} states of the exhaustive check.",
                STATES * SCOPES.len() as u64
            ),
        },
    }
}

/// What the emptied guard lets through: its own schedule, played without the mechanism.
pub(in crate::learn) fn untouched(exercise: &Rebuild) -> Grade {
    let body = exercise.empty.lines().last().unwrap_or_default();
    let entry = registry::entry(exercise.mechanism);
    let mut words = vec![format!(
        "Nothing is written yet: the guard is as it was made (`{body}`), and without the rule this happens."
    )];
    let play = entry.counterexample.and_then(|text| text.parse::<Schedule>().ok());
    if let Some(play) = play.and_then(|schedule| schedule.play_without(&[exercise.mechanism]).ok()) {
        words.extend(told(exercise.mechanism.id(), &play).into_iter().flat_map(|(_, words)| words));
    }
    words.push(entry.short.to_string());
    Grade::not_yet(Fault::Empty, words)
}

type Failed = Option<(Fault, Vec<String>)>;

/// Is it one of the wrong answers that are often given? Where a schedule shows the damage, that is told as well.
fn decided_wrong(exercise: &Rebuild) -> Failed {
    let wrong = exercise.recognised(Mechanisms::all())?;
    let mut words = vec![wrong.why.to_string()];
    if let Some((_, damage)) =
        own_schedule(exercise.mechanism).or_else(other_schedules).or_else(other_stories)
    {
        words.extend(damage);
    }
    Some((Fault::Known(wrong.name), words))
}

impl Rebuild {
    /// The wrong answer that this is, if it is one that is often given. A guard that panics is none of them.
    pub(in crate::learn) fn recognised(&self, on: Mechanisms) -> Option<&'static Wrong> {
        self.wrong.iter().find(|wrong| caught(|| (wrong.shows)(on)).unwrap_or(false))
    }
}

fn own_schedule(mechanism: Mechanism) -> Failed {
    let entry = registry::entry(mechanism);
    let (fault, mut words) = held(mechanism.id(), entry.counterexample?)?;
    // What happens in it without the rule; a guard that stops too much leads elsewhere.
    words.extend((fault == Fault::Betrays).then(|| entry.short.to_string()));
    Some((fault, words))
}

fn other_schedules() -> Failed {
    registry::entries().find_map(|entry| held(entry.mechanism.id(), entry.counterexample?))
}

/// Plays a counterexample, in which nothing may break now. `None`: nothing does.
fn held(name: &str, text: &str) -> Failed {
    let schedule: Schedule = text.parse().ok()?;
    let play = match caught(|| schedule.play_to_the_end(Mechanisms::all())).unwrap_or_else(Err) {
        Ok(play) => play,
        Err(why) => {
            let words = format!("The schedule of {name} does not even begin: {why}.");
            return Some((Fault::OtherWay, vec![words]));
        }
    };
    told(name, &play)
}

/// What broke in the play of this schedule, and how it came to that. `None`: nothing did.
fn told(name: &str, play: &Play) -> Failed {
    let (fault, what, words) = match (&play.broken, &play.stopped) {
        (Some(broken), _) => (Fault::Betrays, "breaks a promise", broken),
        (None, Some(stopped)) => (Fault::Stopped, "ends with an assertion that fails", stopped),
        (None, None) => return None,
    };
    let first = format!("The schedule of {name} {what}: {words}.");
    Some((fault, std::iter::once(first).chain(steps(play)).collect()))
}

/// The steps, a line each, with what clients learned.
fn steps(play: &Play) -> impl Iterator<Item = String> + '_ {
    let acts = play.acts.iter().enumerate().filter(|(_, act)| act.skipped.is_none());
    acts.map(|(at, act)| {
        let client = act.client.iter().map(|line| format!("; the client learns: {line}"));
        format!("{:>4}. {}{}", at + 1, act.words, client.collect::<String>())
    })
}

/// A story tells what every step leads to. Where it is told another way now, the guard decided another way.
fn other_stories() -> Failed {
    stories().find_map(|(name, text)| {
        let told = caught(|| story::run(text));
        let (fault, words) = match told.unwrap_or_else(Err) {
            Ok(now) => (Fault::OtherWay, difference(text, &now)?),
            Err(why) => (Fault::OtherWay, vec![why.lines().next().unwrap_or_default().to_string()]),
        };
        let first = format!("The story {name} goes another way (stories/{name}.story).");
        Some((fault, std::iter::once(first).chain(words).collect()))
    })
}

/// The first line that differs, with the step that it belongs to.
fn difference(was: &str, now: &str) -> Option<Vec<String>> {
    let at = was.lines().zip(now.lines()).take_while(|(was, now)| was == now).count();
    let line = |text: &str| text.lines().nth(at).unwrap_or("(nothing more)").trim().to_string();
    if was.lines().count() == at && now.lines().count() == at {
        return None;
    }
    let step = was.lines().take(at).filter(|line| line.starts_with("> ")).last().unwrap_or_default();
    Some(vec![
        format!("Step `{}`", step.trim_start_matches("> ")),
        format!("  should lead to: {}", line(was)),
        format!("  leads to:       {}", line(now)),
    ])
}

fn seeds() -> Failed {
    let report = sim::run_many(0..SEEDS, &sim::Options::default(), |_| ()).first?;
    let violation = report.violation?;
    let words = format!(
        "Seed {} of the simulator breaks {}: {}",
        report.seed, violation.invariant, violation.sentence
    );
    Some((Fault::SeedBreaks, vec![words]))
}

fn states() -> Failed {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    SCOPES.iter().find_map(|name| {
        let scope = Scope::named(name).expect("a test visits these scopes");
        let found = explore(&scope, STATES, threads, |_| ()).found?;
        let first =
            format!("The exhaustive check (scope {name}) finds a state in which {} is broken:", found.broken);
        let steps = found.script.iter().map(|step| format!("  > {step}"));
        Some((Fault::StateBreaks, std::iter::once(first).chain(steps).collect()))
    })
}
