//! A grade, and what an exercise asks for, in words and as JSON.

use lab::learn::{self, Exercise, Fault, Grade, Kind, Rank};
use serde_json::{Value, json};

use super::desk::{Desk, command};
use crate::failure::{me, quote, say, say_wrapped};

/// The grade for a script.
pub fn row(exercise: &Exercise, grade: &Grade) -> Value {
    let (id, par) = (&exercise.id, exercise.par());
    match grade {
        Grade::Passed { rank, words } => {
            let steps = if let Rank::Steps(steps) = rank { Some(steps) } else { None };
            json!({ "id": id, "passed": true, "steps": steps, "par": par, "words": words })
        }
        Grade::NotYet { fault, words } => {
            json!({ "id": id, "passed": false, "par": par, "fault": fault.name(), "words": words.join("\n") })
        }
    }
}

/// The grade for a person.
pub fn tell(desk: &Desk, exercise: &Exercise, grade: &Grade) {
    match grade {
        Grade::Passed { rank, words } => passed(desk, exercise, *rank, words),
        Grade::NotYet { fault: Fault::Empty, words } => introduce(desk, exercise, words),
        Grade::NotYet { words, .. } => {
            let mut words = words.iter();
            say_wrapped(format!("NOT YET  {}", words.next().map_or("", String::as_str)));
            words.for_each(say_wrapped);
        }
    }
}

/// What an exercise asks for that nobody has begun.
fn introduce(desk: &Desk, exercise: &Exercise, words: &[String]) {
    let (id, file) = (&exercise.id, desk.file(exercise).display().to_string());
    say_wrapped(format!("{id}: {}.", exercise.kind.asks()));
    match exercise.kind {
        Kind::Break => {
            say_wrapped(format!("The rule that is missing: {}", exercise.rule()));
            if let Some(par) = exercise.par() {
                say(format!("Par: {par} {}.", if par == 1 { "step" } else { "steps" }));
            }
            say_wrapped("What can happen next is listed by `steps` in:");
            let without = exercise.mechanism().map_or(String::new(), |of| format!(" --without {of}"));
            say(format!("  {} play {}{without} --interactive", me(), quote(&file)));
        }
        Kind::Rebuild | Kind::Tell => {
            say_wrapped(format!("The rule: {}", exercise.rule()));
            words.iter().for_each(say_wrapped);
            say_wrapped(
                "A grade compiles the core with your answer in it: minutes the first time, seconds from then on.",
            );
        }
    }
    say_wrapped(format!("Edit {file}, and have it graded with:"));
    say(format!("  {}", command(desk, id)));
    say_wrapped("or each time that you save it, with a hint if you want one:");
    say(format!("  {}", command(desk, &format!("{id} --watch"))));
    say(format!("  {}", command(desk, &format!("{id} --hint"))));
}

fn passed(desk: &Desk, exercise: &Exercise, rank: Rank, words: &str) {
    let id = &exercise.id;
    match (rank, exercise.par()) {
        (Rank::Steps(steps), Some(par)) => {
            say_wrapped(format!("PASSED  It betrays, in {steps} steps; par is {par}."));
            say_wrapped(format!("BROKEN  {words}"));
            match steps.cmp(&par) {
                std::cmp::Ordering::Greater => {
                    say_wrapped("A shorter one is known: which of your steps can go?")
                }
                std::cmp::Ordering::Less => say_wrapped("Nobody knew one as short as this: send it in."),
                std::cmp::Ordering::Equal => {}
            }
        }
        _ => say_wrapped(format!("PASSED  {words}")),
    }
    say(format!("The solution: {}", command(desk, &format!("{id} --solution"))));
    if let Some(mechanism) = exercise.mechanism() {
        say(format!("The story:    {} why {mechanism}", me()));
    }
    if let Some(next) = following(desk, exercise) {
        say(format!("Next:         {}", command(desk, &format!("{} --watch", next.id))));
    }
}

/// The first behind `exercise` that is open; behind the last, the first of all.
fn following(desk: &Desk, exercise: &Exercise) -> Option<Exercise> {
    let all = learn::exercises();
    let at = all.iter().position(|other| other.id == exercise.id).unwrap_or(0);
    let open = |exercise: &&Exercise| desk.best(&exercise.id).is_none();
    all[at..].iter().chain(&all[..at]).find(open).cloned()
}
