//! A learner's function held against the states of correct clusters, and of wrong ones.

use trace::{Mechanism, Mechanisms};

use super::exercise::{Holds, Tell};
use crate::facts::{NodeState, State};
use crate::learn::grade::{Fault, Grade, Rank};
use crate::machine::{Facts, Machine};
use crate::page::stories;
use crate::quiet::caught;
use crate::schedule::Schedule;
use crate::why::registry;

/// Grades `holds`.
pub(in crate::learn) fn judge(exercise: &Tell, holds: Holds) -> Grade {
    let mut states = 0;
    for (name, text) in schedules() {
        match first_rejected(text, Mechanisms::all(), holds) {
            Verdict::Accepted(seen) => states += seen,
            Verdict::Rejected(moment) => {
                let first =
                    format!("Your function rejects a state of a correct cluster: {name}, {}.", moment.words);
                return Grade::not_yet(Fault::RejectsCorrect, std::iter::once(first).chain(moment.state));
            }
            Verdict::Panicked(why) => return panicked(name, &why),
        }
    }
    let wrong = exercise.rejects();
    for mechanism in &wrong {
        let Some(text) = registry::entry(*mechanism).counterexample else { continue };
        match first_rejected(text, crate::without([mechanism]), holds) {
            Verdict::Rejected(_) => {}
            Verdict::Accepted(_) => return accepts(exercise, *mechanism, text),
            Verdict::Panicked(why) => return panicked(mechanism.id(), &why),
        }
    }
    let ids: Vec<&str> = wrong.iter().map(|mechanism| mechanism.id()).collect();
    let words = format!(
        "It accepts {states} states of correct clusters, and rejects each of {} wrong ones: those without {}.",
        wrong.len(),
        ids.join(", ")
    );
    Grade::Passed { rank: Rank::Whole, words }
}

/// What the function accepts that stands in the learner's file at first.
pub(in crate::learn) fn untouched(exercise: &Tell) -> Grade {
    let first =
        "Nothing is written yet: the function is as it was made, and true of every state.".to_string();
    let mut words = vec![first];
    if let Grade::NotYet { words: accepts, .. } = judge(exercise, |_, _| true) {
        words.extend(accepts);
    }
    Grade::not_yet(Fault::Empty, words)
}

impl Tell {
    /// The wrong clusters: without each of these, the known answer rejects a state that its counterexample reaches.
    pub fn rejects(&self) -> Vec<Mechanism> {
        let rejected = |mechanism: &Mechanism| {
            let text = registry::entry(*mechanism).counterexample.filter(|text| founders_stay(text));
            let Some(text) = text else { return false };
            matches!(first_rejected(text, crate::without([mechanism]), self.holds), Verdict::Rejected(_))
        };
        Mechanism::ALL.iter().copied().filter(rejected).collect()
    }
}

fn accepts(exercise: &Tell, mechanism: Mechanism, text: &str) -> Grade {
    let first = format!("Your function accepts every state of a cluster without {mechanism}.");
    let words = match first_rejected(text, crate::without([&mechanism]), exercise.holds) {
        Verdict::Rejected(moment) => std::iter::once(format!("This one it should reject, {}:", moment.words))
            .chain(moment.state)
            .collect(),
        _ => Vec::new(),
    };
    let play = format!("Step through it: cutaway play {mechanism} --without {mechanism}");
    Grade::not_yet(Fault::AcceptsWrong, [vec![first], words, vec![play]].concat())
}

fn panicked(name: &str, why: &str) -> Grade {
    Grade::not_yet(Fault::Panicked, [format!("Your function panics on a state of {name}: {why}.")])
}

/// A learner's function sees nodes, and not which of them are members: so those change in none of the clusters.
fn founders_stay(text: &str) -> bool {
    let schedule: Schedule = text.parse().expect("a test reads every schedule");
    schedule.is_local() || schedule.setting().is_ok_and(|setting| !setting.with.changes_members())
}

/// Every counterexample and story of a cluster whose members do not change.
fn schedules() -> impl Iterator<Item = (&'static str, &'static str)> {
    let counterexamples =
        registry::entries().filter_map(|entry| Some((entry.mechanism.id(), entry.counterexample?)));
    counterexamples.chain(stories()).filter(|(_, text)| founders_stay(text))
}

/// When a state was rejected, and what it is.
struct Moment {
    words: String,
    state: Vec<String>,
}

enum Verdict {
    /// So many states.
    Accepted(usize),
    Rejected(Moment),
    Panicked(String),
}

fn first_rejected(text: &str, on: Mechanisms, holds: Holds) -> Verdict {
    let schedule: Schedule = text.parse().expect("a test reads every schedule");
    let mut seen = 0;
    let Ok(mut machine) = Machine::new(&schedule, on) else { return Verdict::Accepted(seen) };
    let mut before: Option<State> = None;
    loop {
        let Facts::Cluster(now) = machine.state() else { return Verdict::Accepted(seen) };
        match caught(|| holds(before.as_ref().unwrap_or(&now), &now)) {
            Err(why) => return Verdict::Panicked(why),
            Ok(false) => return Verdict::Rejected(moment(&machine, &now)),
            Ok(true) => seen += 1,
        }
        before = Some(now);
        if machine.broken().is_some() || machine.advance().is_none() || machine.stopped().is_some() {
            return Verdict::Accepted(seen);
        }
    }
}

fn moment(machine: &Machine, state: &State) -> Moment {
    let words = match machine.acts().last() {
        None => "at the beginning".to_string(),
        Some(act) => format!("after step {} ({})", machine.acts().len(), act.words),
    };
    Moment { words, state: state.nodes.iter().map(told).collect() }
}

/// A node in one line, in the words of the fields.
fn told(node: &NodeState) -> String {
    if let Some(why) = &node.down {
        return format!("{}  down: {why}", node.name);
    }
    let cells: Vec<String> = node.log.iter().map(|cell| format!("{}@{}", cell.seq, cell.epoch)).collect();
    format!(
        "{}  {}{}, promised {}, log [{}] (seq@epoch), base {}, committed {}, applied {}",
        node.name,
        node.role,
        if node.serving { ", serving" } else { "" },
        node.promised,
        cells.join(" "),
        node.base,
        node.committed,
        node.applied
    )
}
