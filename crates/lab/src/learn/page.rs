//! The tables of `docs/learn.md` and `docs/teaching.md`.

use std::fmt::Write as _;

use super::build::{Grader, MILESTONES};
use super::exercise::{Exercise, Kind, exercises};
use crate::why::registry;

fn of(kind: Kind) -> impl Iterator<Item = Exercise> {
    exercises().into_iter().filter(move |exercise| exercise.kind == kind)
}

/// Every exercise, kind by kind.
pub fn table() -> String {
    let mut page = String::new();
    for (kind, name, asks) in Kind::ALL {
        let more = match kind {
            Kind::Break => ["par", "what it takes"],
            Kind::Rebuild => ["guard", "wrong answers with a message of their own"],
            Kind::Tell => ["wrong clusters", "for instance without"],
        };
        let _ = writeln!(
            page,
            "### {name}: {asks}\n\n| exercise | {} | the rule | {} |\n|---|---|---|---|",
            more[0], more[1]
        );
        of(*kind).for_each(|exercise| page += &row(&exercise));
        page.push('\n');
    }
    page
}

fn row(exercise: &Exercise) -> String {
    let (id, rule) = (&exercise.id, exercise.rule());
    let entry = exercise.mechanism().map(registry::entry);
    let linked = entry.map_or(rule.to_string(), |entry| {
        let mechanism = entry.mechanism;
        format!("[`{mechanism}`](mechanisms/{mechanism}.md): {rule}")
    });
    let [second, last] = match (exercise.kind, entry) {
        (Kind::Break, Some(entry)) => [exercise.par().unwrap_or(0).to_string(), entry.faults.to_string()],
        (Kind::Rebuild, Some(entry)) => {
            let (file, symbol) = entry.guard.unwrap_or_default();
            [format!("[`{symbol}`](../{file})"), exercise.wrong().len().to_string()]
        }
        _ => {
            let rejects = exercise.rejects();
            let first = rejects.first().map_or(String::new(), |mechanism| format!("`{mechanism}`"));
            [rejects.len().to_string(), first]
        }
    };
    format!("| `{id}` | {second} | {linked} | {last} |\n")
}

/// Every milestone.
pub fn milestones() -> String {
    let mut page = String::from(
        "| milestone | what is there afterwards | graded by | which looks at | time |\n|---|---|---|---|---|\n",
    );
    for milestone in MILESTONES {
        for (at, grader) in milestone.graders.iter().enumerate() {
            let head = match at {
                0 => format!("`{}` | {}", milestone.id, milestone.asks),
                _ => " | ".to_string(),
            };
            let Grader { command, checks, takes } = grader;
            let _ = writeln!(page, "| {head} | `{command}` | {checks} | {takes} |");
        }
    }
    page
}

/// The wrong answers that are recognised, with what is said of each.
pub fn wrong_answers() -> String {
    let mut page = String::from("| exercise | answer | what the learner is told |\n|---|---|---|\n");
    for exercise in of(Kind::Rebuild) {
        for wrong in exercise.wrong() {
            let body = wrong.body.lines().last().unwrap_or_default().replace('|', "\\|");
            let _ = writeln!(page, "| `{}` | {}: `{body}` | {} |", exercise.id, wrong.name, wrong.why);
        }
    }
    page
}
