//! Questions about any schedule, answered by playing it.
//!
//! | question | what is right |
//! |---|---|
//! | What comes of the next step? | whatever the nodes do or a client learns in it: each of these is right |
//! | Which mechanism is missing? | any without which the schedule goes as it was shown, so far as it was shown |
//!
//! A wrong choice is what happened elsewhere in the schedule, or what would happen in this step with the mechanism the other
//! way; never something that is true of the step as well.

use trace::{Actor, Event, Kind, Mechanism, Mechanisms};

use super::registry;
use crate::play::{Act, Play};
use crate::schedule::Schedule;
use crate::tell::events::plain;

/// Choices of a question.
const CHOICES: usize = 4;

/// One question.
#[derive(Clone, Debug)]
pub struct Question {
    /// The mechanism that the schedule is about.
    pub mechanism: Option<Mechanism>,
    /// Is it on?
    pub on: bool,
    /// Which mechanisms are on, as far as the reader is told.
    pub setting: String,
    /// What has happened so far, and what came of it.
    pub so_far: Vec<String>,
    /// The state at that moment.
    pub state: Vec<String>,
    /// The messages on their way at that moment; a device has none.
    pub on_its_way: Option<Vec<String>>,
    /// What is asked.
    pub asks: String,
    /// What may be the answer.
    pub choices: Vec<String>,
    /// Which of them are right, from 0.
    pub right: Vec<usize>,
    /// One after another, each helps more.
    pub hints: Vec<String>,
    /// Why it is so.
    pub because: String,
}

/// The question of this number about a counterexample; the same number is the same question.
pub fn question(number: u64) -> Option<Question> {
    let mut draw = Draw::new(number);
    let all: Vec<_> = registry::entries().filter(|entry| entry.counterexample.is_some()).collect();
    let entry = all[draw.below(all.len())];
    let schedule: Schedule = entry.counterexample?.parse().ok()?;
    Source::new(&schedule, Some(entry.mechanism)).ok()?.question(&mut draw)
}

/// The mechanisms that decide something in `schedule`: without one of them it goes another way. An error says which line
/// is no step.
pub fn deciding(schedule: &Schedule) -> Result<Vec<Mechanism>, String> {
    let all = schedule.play(Mechanisms::all())?;
    let differs = |mechanism: &Mechanism| {
        let play = schedule.play_without(&[*mechanism]);
        play.is_ok_and(|play| parts_at(&all, &play).is_some())
    };
    Ok(Mechanism::ALL.iter().copied().filter(differs).collect())
}

/// The question of this number about `schedule`, in which these mechanisms decide something.
pub fn question_about(schedule: &Schedule, deciding: &[Mechanism], number: u64) -> Option<Question> {
    let mut draw = Draw::new(number);
    let mechanism = deciding.get(draw.below(deciding.len())).copied();
    Source::new(schedule, mechanism).ok()?.question(&mut draw)
}

/// A schedule, with one mechanism and without it.
struct Source<'a> {
    schedule: &'a Schedule,
    mechanism: Option<Mechanism>,
    with: Play,
    without: Play,
}

impl Source<'_> {
    fn new(schedule: &Schedule, mechanism: Option<Mechanism>) -> Result<Source<'_>, String> {
        let with = schedule.play(Mechanisms::all())?;
        let without = schedule.play_without(mechanism.as_slice())?;
        Ok(Source { schedule, mechanism, with, without })
    }

    fn question(&self, draw: &mut Draw) -> Option<Question> {
        let parts = parts_at(&self.with, &self.without);
        match (self.mechanism, parts, draw.below(4)) {
            (Some(mechanism), Some(parts), 0) => self.missing(mechanism, parts, draw),
            _ => self.follows(parts, draw),
        }
    }

    /// What comes of the next step?
    fn follows(&self, parts: Option<usize>, draw: &mut Draw) -> Option<Question> {
        let on = self.mechanism.is_none() || draw.below(2) == 0;
        let (play, other) = if on { (&self.with, &self.without) } else { (&self.without, &self.with) };
        let telling: Vec<usize> = (0..play.acts.len()).filter(|at| !came_of(play, *at).is_empty()).collect();
        // Half of the questions are about the very step at which the mechanism decides.
        let at = match parts.filter(|parts| telling.contains(parts) && draw.below(2) == 0) {
            Some(parts) => parts,
            None => *telling.get(draw.below(telling.len()))?,
        };
        let act = &play.acts[at];
        let came = came_of(play, at);
        let wrong: Vec<String> =
            wrong_outcomes(play, other, at).filter(|wrong| !came.contains(wrong)).collect();
        let right = came[draw.below(came.len())].clone();
        let mut choices = vec![right];
        // A second right one now and then: whoever knows either knows what happens.
        choices.extend(came.last().filter(|last| draw.below(2) == 0 && **last != choices[0]).cloned());
        add(&mut choices, wrong);
        shuffle(&mut choices, draw);
        let right: Vec<usize> = (0..choices.len()).filter(|n| came.contains(&choices[*n])).collect();
        let (state, on_its_way) = self.moment(on, at)?;
        let mut hints: Vec<String> = looked_at(act, &state).into_iter().collect();
        let about = self
            .mechanism
            .map(|mechanism| format!("The schedule is about {mechanism}: {}", mechanism.does()));
        hints.extend(about);
        hints.extend(elimination(&choices, &right));
        let mut because = format!("What comes of it: {}.", came.join("; "));
        if let (Some(mechanism), true) = (self.mechanism, parts == Some(at)) {
            let elsewhere = other.acts.get(at).map_or("it does not come to that".into(), told_of);
            let how = if on { "Without" } else { "With" };
            because += &format!(" {how} {mechanism}: {elsewhere}.");
        }
        let setting = match self.mechanism.filter(|_| !on) {
            Some(mechanism) => format!("Without {mechanism}; all other mechanisms are on."),
            None => "All mechanisms are on.".into(),
        };
        let asks = format!("Next: {}. What comes of it?", act.words);
        let so_far = so_far(&play.acts[..at]);
        let mechanism = self.mechanism;
        Some(Question {
            mechanism,
            on,
            setting,
            so_far,
            state,
            on_its_way,
            asks,
            choices,
            right,
            hints,
            because,
        })
    }

    /// Which mechanism is missing?
    fn missing(&self, mechanism: Mechanism, parts: usize, draw: &mut Draw) -> Option<Question> {
        let shown = self.without.acts.get(..=parts)?;
        let alike = |other: &Mechanism| {
            let play = self.schedule.play_without(&[*other]);
            play.is_ok_and(|play| {
                play.acts.get(..=parts).is_some_and(|acts| acts.iter().zip(shown).all(are_alike))
            })
        };
        // Of the same room: a device knows nothing of elections.
        let is_local = |mechanism: Mechanism| {
            let guard = registry::entry(mechanism).guard;
            guard.map(|(file, _)| file.contains("/engine/"))
        };
        let alternatives =
            Mechanism::ALL.iter().copied().filter(|other| is_local(*other) == is_local(mechanism));
        let mut alternatives: Vec<Mechanism> = alternatives.filter(|other| *other != mechanism).collect();
        shuffle(&mut alternatives, draw);
        alternatives.truncate(CHOICES - 1);
        alternatives.push(mechanism);
        shuffle(&mut alternatives, draw);
        let right: Vec<usize> = (0..alternatives.len()).filter(|n| alike(&alternatives[*n])).collect();
        if right.len() == alternatives.len() {
            return None;
        }
        let choices: Vec<String> = alternatives.iter().map(|m| m.id().to_string()).collect();
        let with = self.with.acts.get(parts).map_or("the schedule would be over".into(), told_of);
        let mut hints = vec![format!("With every mechanism on, step {} ends otherwise: {with}.", parts + 1)];
        hints.extend(elimination(&choices, &right));
        let mut because =
            format!("{mechanism}: {}. With it on, step {}: {with}.", mechanism.does(), parts + 1);
        let others = right.iter().map(|n| alternatives[*n]).filter(|other| *other != mechanism);
        others.for_each(|other| because += &format!(" Without {other} it goes the same way, so far."));
        let (state, on_its_way) = self.moment(false, parts + 1)?;
        Some(Question {
            mechanism: Some(mechanism),
            on: false,
            setting: "One mechanism is missing; all others are on.".into(),
            so_far: so_far(shown),
            state,
            on_its_way,
            asks: format!("Which one could it be, to judge by step {}?", parts + 1),
            choices,
            right,
            hints,
            because,
        })
    }

    /// The state after so many steps, and what is on its way then.
    fn moment(&self, on: bool, steps: usize) -> Option<(Vec<String>, Option<Vec<String>>)> {
        let play = if on { &self.with } else { &self.without };
        if self.schedule.is_local() {
            // The device to begin with has a name.
            let state = steps.checked_sub(1).map_or(&self.schedule.setting, |last| &play.acts[last].state);
            return Some((state.clone(), None));
        }
        let (state, on_its_way) = match steps.checked_sub(1) {
            Some(last) => (&play.acts[last].state, play.acts[last].waiting.clone()),
            None => (&play.begin, Vec::new()),
        };
        Some((state.clone(), Some(on_its_way)))
    }
}

/// All that comes of step `at`, the broken promise included; nothing, if it is not possible.
fn came_of(play: &Play, at: usize) -> Vec<String> {
    let mut came = if play.acts[at].skipped.is_some() { Vec::new() } else { outcomes(&play.acts[at]) };
    came.extend(
        play.broken
            .iter()
            .filter(|_| at + 1 == play.acts.len())
            .map(|what| format!("a promise is broken: {what}")),
    );
    came
}

/// All that comes of a step: what the nodes do, and what a client learns.
fn outcomes(act: &Act) -> Vec<String> {
    let mut came: Vec<String> = Vec::new();
    let events = act.events.iter().map(plain);
    for outcome in events.chain(act.client.iter().map(|line| format!("the client learns: {line}"))) {
        if !came.contains(&outcome) {
            came.push(outcome);
        }
    }
    came
}

fn told_of(act: &Act) -> String {
    match (&act.skipped, outcomes(act)) {
        (Some(why), _) => format!("it cannot happen ({why})"),
        (None, came) if came.is_empty() => "nothing comes of it".into(),
        (None, came) => came.join("; "),
    }
}

/// What does not come of step `at`, but might: what comes of it with the mechanism the other way, then what happens elsewhere.
fn wrong_outcomes<'a>(play: &'a Play, other: &'a Play, at: usize) -> impl Iterator<Item = String> + 'a {
    let steps = play.acts.len();
    let elsewhere = (1..steps).flat_map(move |n| came_of(play, (at + n) % steps));
    let otherwise = if at < other.acts.len() { came_of(other, at) } else { Vec::new() };
    otherwise.into_iter().chain(elsewhere).chain(["nothing at all".to_string()])
}

/// The first step that goes another way in the second play.
fn parts_at(first: &Play, second: &Play) -> Option<usize> {
    let pairs = first.acts.iter().zip(&second.acts);
    let alike = pairs.take_while(|pair| are_alike(*pair)).count();
    (alike < first.acts.len().min(second.acts.len())).then_some(alike)
}

fn are_alike((a, b): (&Act, &Act)) -> bool {
    (a.skipped.is_some(), &a.words, &a.state) == (b.skipped.is_some(), &b.words, &b.state)
        && outcomes(a) == outcomes(b)
}

fn so_far(acts: &[Act]) -> Vec<String> {
    let line = |(n, act): (usize, &Act)| {
        // What was sent and did not arrive is on its way, and shown there.
        let sent =
            |event: &Event| matches!(event.kind, Kind::EntriesSent { .. } | Kind::HeartbeatSent { .. });
        let mut told = act.clone();
        // Unless it is all that came of it.
        if !act.events.iter().all(sent) {
            told.events.retain(|event| !sent(event));
        }
        format!("{:>2}. {} → {}", n + 1, act.words, told_of(&told))
    };
    acts.iter().enumerate().map(line).collect()
}

/// Where it happens.
fn looked_at(act: &Act, state: &[String]) -> Option<String> {
    let place = |event: &Event| match event.id.actor {
        Actor::Node { node, .. } if state.len() > 1 => state.get(node as usize - 1),
        _ => state.first(),
    };
    act.events.first().and_then(place).map(|line| format!("Look at {line}"))
}

/// All wrong choices but one, one after another.
fn elimination(choices: &[String], right: &[usize]) -> Vec<String> {
    let wrong = (0..choices.len()).filter(|n| !right.contains(n));
    let count = choices.len() - right.len();
    wrong.take(count.saturating_sub(1)).map(|n| format!("It is not {}.", n + 1)).collect()
}

fn add(choices: &mut Vec<String>, more: Vec<String>) {
    for choice in more {
        if choices.len() < CHOICES && !choices.contains(&choice) {
            choices.push(choice);
        }
    }
}

fn shuffle<T>(choices: &mut [T], draw: &mut Draw) {
    (1..choices.len()).rev().for_each(|n| choices.swap(n, draw.below(n + 1)));
}

struct Draw(u64);

impl Draw {
    fn new(number: u64) -> Draw {
        Draw(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((z ^ (z >> 27)) >> 8) as usize % bound.max(1)
    }
}
