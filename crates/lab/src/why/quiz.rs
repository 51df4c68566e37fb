//! Questions about what comes next, answered by playing it.

use trace::{Mechanism, Mechanisms};

use super::{narrate, registry};
use crate::play::Act;
use crate::schedule::Schedule;

/// Choices of a question.
const CHOICES: usize = 4;

/// One question.
#[derive(Clone, Debug)]
pub struct Question {
    /// Of this mechanism's schedule.
    pub mechanism: Mechanism,
    /// Is the mechanism on?
    pub on: bool,
    /// What has happened so far.
    pub so_far: Vec<String>,
    /// The state at that moment.
    pub state: Vec<String>,
    /// The step that comes next.
    pub next: String,
    /// What may follow from it.
    pub choices: Vec<String>,
    /// Which of them does, from 0.
    pub answer: usize,
    /// What is to be learned.
    pub because: String,
}

/// The question of this number; the same number is the same question.
pub fn question(number: u64) -> Option<Question> {
    let mut draw = Draw(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d);
    let all: Vec<_> = registry::entries().filter(|entry| entry.counterexample.is_some()).collect();
    let entry = all[draw.below(all.len())];
    let mechanism = entry.mechanism;
    let schedule: Schedule = entry.counterexample?.parse().ok()?;
    let case = super::case(mechanism, schedule).ok()?;
    // Half of the questions are about the very step at which the mechanism decides.
    let on = draw.below(2) == 0;
    let play = if on { &case.on } else { &case.off };
    let other = if on { &case.off } else { &case.on };
    let telling: Vec<usize> = (0..play.acts.len()).filter(|at| outcome(&play.acts[*at]).is_some()).collect();
    let parts = case.parts_at();
    let at = match draw.below(2) {
        0 if telling.contains(&parts) => parts,
        _ => *telling.get(draw.below(telling.len().max(1)))?,
    };
    let right = outcome(&play.acts[at])?;
    // Wrong answers are what happened elsewhere, the other run's outcome of this step first.
    let elsewhere = (0..play.acts.len()).map(|n| (at + 1 + n) % play.acts.len());
    let wrong = other.acts.get(at).and_then(outcome).into_iter();
    let wrong = wrong.chain(elsewhere.filter_map(|n| outcome(&play.acts[n])));
    let mut choices = vec![right.clone()];
    for text in wrong.chain(["nothing: the step changes nothing".to_string()]) {
        if choices.len() < CHOICES && !choices.contains(&text) {
            choices.push(text);
        }
    }
    for n in (1..choices.len()).rev() {
        choices.swap(n, draw.below(n + 1));
    }
    let answer = choices.iter().position(|choice| *choice == right)?;
    let so_far = play.acts[..at].iter().enumerate().map(|(n, act)| {
        let came = outcome(act).map_or(String::new(), |came| format!(" → {came}"));
        format!("{:>2}. {}{came}", n + 1, act.words)
    });
    let state = if at == 0 { play.begin.clone() } else { play.acts[at - 1].state.clone() };
    let because =
        narrate(&case).after.into_iter().find(|line| line.starts_with("With it on")).unwrap_or_default();
    Some(Question {
        mechanism,
        on,
        so_far: so_far.collect(),
        state,
        next: play.acts[at].words.clone(),
        choices,
        answer,
        because,
    })
}

/// Is this what really happens? Plays the schedule once more.
pub fn is_right(question: &Question, choice: usize) -> bool {
    let Some(text) = registry::entry(question.mechanism).counterexample else { return false };
    let Ok(schedule) = text.parse::<Schedule>() else { return false };
    let all = Mechanisms::all();
    let on = if question.on { all } else { all.without(question.mechanism) };
    let Ok(play) = schedule.play(on) else { return false };
    let came = play.acts.get(question.so_far.len()).and_then(outcome);
    came.is_some() && came.as_ref() == question.choices.get(choice)
}

/// What came of a step, in one sentence.
fn outcome(act: &Act) -> Option<String> {
    if act.skipped.is_some() {
        return None;
    }
    let client = act.client.last().map(|line| format!("the client learns: {line}"));
    client.or_else(|| act.events.last().map(|event| event.sentence().replace("/0 ", " ")))
}

struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((z ^ (z >> 27)) >> 8) as usize % bound.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_has_one_right_answer_and_the_lab_agrees() {
        let mut asked = 0;
        for number in 0..100 {
            let Some(question) = question(number) else { continue };
            asked += 1;
            assert!(question.choices.len() >= 2, "{question:#?}");
            let right = (0..question.choices.len()).filter(|choice| is_right(&question, *choice));
            assert_eq!(right.collect::<Vec<_>>(), [question.answer], "{question:#?}");
        }
        assert!(asked > 80, "{asked} of 100 numbers are questions");
    }
}
