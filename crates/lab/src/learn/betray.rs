//! The kind *break*: a cluster or a device runs without one mechanism, and the learner writes the shortest schedule that
//! betrays a client. An answer that betrays nobody is told how far it came.

use std::fmt::Write as _;

use trace::{Mechanism, Mechanisms};

use super::grade::{Fault, Grade, Rank};
use crate::play::Play;
use crate::schedule::Schedule;
use crate::tell::legend;
use crate::why::registry::{self, Entry};

/// One such exercise.
#[derive(Clone, Debug)]
pub(super) struct Betray {
    /// What is missing.
    pub(super) mechanism: Mechanism,
    /// Steps of the shortest schedule that is known.
    pub(super) par: usize,
    /// That schedule.
    pub(super) solution: Schedule,
}

/// One for each mechanism with a counterexample that a client notices, from easy to hard: by par.
pub(super) fn all() -> Vec<Betray> {
    let mut all: Vec<Betray> = registry::entries().filter_map(of).collect();
    all.sort_by_key(|exercise| exercise.par);
    all
}

fn of(entry: &Entry) -> Option<Betray> {
    let solution: Schedule = entry.counterexample?.parse().expect("a test reads every counterexample");
    // Where only an invariant of the replicas breaks, no client is betrayed.
    if solution.setting.iter().any(|line| line.starts_with("judge")) {
        return None;
    }
    let play = solution.play_without(&[entry.mechanism]).expect("a test plays every counterexample");
    Some(Betray { mechanism: entry.mechanism, par: play.length(), solution })
}

impl Betray {
    pub(super) fn begin(&self) -> String {
        let (what, whom) = match self.solution.is_local() {
            true => ("device", "the host, or a client of it"),
            false => ("cluster", "a client"),
        };
        let mut text = format!(
            "# This {what} runs without {}, that is, without this rule:\n# {}\n\
             # Write the steps that betray {whom}, one a line, each behind `> `.\n\
             # The words stand in docs/schedules.md. Par: {} steps. The lines below stay as they are.\n",
            self.mechanism,
            self.mechanism.does(),
            self.par
        );
        self.solution.setting.iter().for_each(|line| _ = writeln!(text, "> {line}"));
        text
    }

    pub(super) fn hint(&self, n: usize) -> String {
        let entry = registry::entry(self.mechanism);
        match n {
            0 => format!("Beside the missing rule it takes this: {}. {}", entry.faults, entry.predict),
            1 => entry.short.to_string(),
            _ => {
                let half = self.solution.steps.len().div_ceil(2);
                format!("It can begin like this: {}", self.solution.steps[..half].join("; "))
            }
        }
    }

    pub(super) fn grade(&self, text: &str) -> Grade {
        let schedule: Schedule = match text.parse() {
            Ok(schedule) => schedule,
            Err(why) => return Grade::not_yet(Fault::Unreadable, [why]),
        };
        match self.begins_well(&schedule).and_then(|()| self.played(&schedule)) {
            Ok(grade) => grade,
            Err((fault, words)) => Grade::not_yet(fault, words),
        }
    }

    fn begins_well(&self, schedule: &Schedule) -> Result<(), (Fault, Vec<String>)> {
        let begins = &self.solution.setting;
        if schedule.setting != *begins {
            let lines: Vec<String> = begins.iter().map(|line| format!("`> {line}`")).collect();
            let words = format!("It has to begin with {}, and no other setting.", lines.join(", "));
            return Err((Fault::OtherBeginning, vec![words]));
        }
        if schedule.steps.is_empty() {
            let words = "There are no steps yet: a step is a line that begins with `> `.".to_string();
            return Err((Fault::Empty, vec![words]));
        }
        Ok(())
    }

    fn played(&self, schedule: &Schedule) -> Result<Grade, (Fault, Vec<String>)> {
        let unreadable = |why| (Fault::Unreadable, vec![why]);
        let off = schedule.play_without(&[self.mechanism]).map_err(unreadable)?;
        let on = schedule.play_to_the_end(Mechanisms::all()).map_err(unreadable)?;
        if let Some(broken) = &off.broken {
            return match &on.broken {
                None => Ok(Grade::Passed { rank: Rank::Steps(off.length()), words: broken.clone() }),
                Some(anyway) => Err(breaks_anyway(self.mechanism, anyway)),
            };
        }
        if let Some(stopped) = &off.stopped {
            let words = format!("A replica noticed it and stopped: {stopped}.");
            return Err((Fault::Stopped, vec![words, "Nobody was told anything wrong.".into()]));
        }
        let skipped = |(at, act): (usize, &crate::Act)| Some((at, act.step.clone(), act.skipped.clone()?));
        if let Some((at, step, why)) = off.acts.iter().enumerate().find_map(skipped) {
            let mut words = vec![format!("Step {}, `{step}`, is not possible there: {why}.", at + 1)];
            words.extend(at.checked_sub(1).into_iter().flat_map(|before| stands(&off, before)));
            return Err((Fault::Impossible, words));
        }
        let whom = if schedule.is_local() { "The host was" } else { "Clients were" };
        Err(nobody_betrayed(&off, &on, whom))
    }
}

fn breaks_anyway(mechanism: Mechanism, broken: &str) -> (Fault, Vec<String>) {
    let words = vec![
        format!("It breaks a promise, and so it does with {mechanism} on: {broken}."),
        "So it is not the missing rule that betrays. (If all of it lies within the fault model, you have found a failure of \
         this system: keep the schedule.)"
            .into(),
    ];
    (Fault::BreaksAnyway, words)
}

/// From where on the missing rule makes a difference.
fn differs(off: &Play, on: &Play, at: usize) -> Vec<String> {
    let mut words = vec![format!(
        "The missing rule makes a difference from step {} on ({}).",
        at + 1,
        off.acts[at].words
    )];
    if off.begins_apart(on) {
        let first = |play: &Play| play.begin.first().cloned().unwrap_or_default();
        words.push(format!(
            "(The cluster was founded without it, too, so its entries have other numbers: it began as {}; with the rule, as \
             {}.)",
            first(off),
            first(on)
        ));
    }
    words
}

/// What is still true, and from where on the missing rule makes a difference.
fn nobody_betrayed(off: &Play, on: &Play, whom: &str) -> (Fault, Vec<String>) {
    let told = told(off);
    let Some(at) = off.parts_at(on) else {
        let words = "Nobody is betrayed: with the rule on, every step goes the same way. It has nothing to stop here. When would \
                     it?";
        let told = (!told.is_empty()).then(|| format!("{whom} told: {}.", told.join("; ")));
        let words = std::iter::once(words.to_string()).chain(told).chain(waits(off, off.acts.len() - 1));
        return (Fault::RuleNotAsked, words.collect());
    };
    let (differs, end) = (differs(off, on, at), stands(off, off.acts.len() - 1));
    if told.is_empty() {
        let words = "Nobody is betrayed: no client was told anything.".to_string();
        return (Fault::NobodyTold, std::iter::once(words).chain(differs).chain(end).collect());
    }
    let words = format!("Nobody is betrayed yet. {whom} told: {}. All of it is still true.", told.join("; "));
    let question = match off.is_local() {
        true => "What would the host find from here after a crash, a restart or a read?",
        false => "Who could take over, restart or be read from here, and what would it not have?",
    };
    let words = std::iter::once(words).chain(differs).chain(end).chain([question.to_string()]);
    (Fault::StillTrue, words.collect())
}

/// The state after a step, a line for each node, what its signs mean, and who still waits.
fn stands(play: &Play, at: usize) -> impl Iterator<Item = String> + '_ {
    let act = &play.acts[at];
    let signs = match play.is_local() {
        true => legend(&act.state),
        false => "an entry is written seq@epoch".to_string(),
    };
    let lines = act.state.iter().map(|line| format!("  {line}"));
    std::iter::once(format!("After step {} ({signs}):", at + 1)).chain(lines).chain(waits(play, at))
}

/// Who has asked and waits for an answer after a step.
fn waits(play: &Play, at: usize) -> Option<String> {
    let open = &play.acts[at].open;
    let more = "Nobody is betrayed by what nobody has been told.";
    (!open.is_empty()).then(|| format!("No answer yet to {}. {more}", open.join(", nor to ")))
}

/// What clients were told, and when.
fn told(play: &Play) -> Vec<String> {
    let acts = play.acts.iter().enumerate();
    acts.flat_map(|(at, act)| act.client.iter().map(move |line| format!("{line} (step {})", at + 1)))
        .collect()
}
