//! The kind *build*: the milestones of the projects, with what grades each in the learner's own clone. Nothing is run from
//! here: it takes minutes, and in the learner's own tree.

use lab::learn::{MILESTONES, Milestone, PROGRAM};
use lab::nearest::unknown;
use serde_json::json;

use crate::failure::{Failure, Result, me, say, say_wrapped};

/// The kind's name.
const NAME: &str = "build";

/// Is this the kind, or one of its milestones?
pub fn is_about(id: &str) -> bool {
    id == NAME || id.starts_with("build-")
}

/// Lists the milestones, or shows one.
pub fn show(id: &str, json: bool) -> Result {
    let milestone = MILESTONES.iter().find(|milestone| milestone.id == id);
    match milestone {
        Some(milestone) if json => say(row(milestone)),
        None if id == NAME && json => MILESTONES.iter().for_each(|milestone| say(row(milestone))),
        Some(milestone) => tell(milestone),
        None if id == NAME => list(),
        None => {
            let why = unknown("milestone", id, MILESTONES.iter().map(|milestone| milestone.id));
            return Err(Failure::usage(why).next(format!("{} learn {NAME}", me())));
        }
    }
    Ok(())
}

fn row(milestone: &Milestone) -> serde_json::Value {
    let commands: Vec<&str> = milestone.graders.iter().map(|grader| grader.command).collect();
    json!({ "id": milestone.id, "kind": NAME, "asks": milestone.asks, "graded_by": commands })
}

fn list() {
    say_wrapped(
        "build: extend the system, in a clone of your own. A project takes days; these are its milestones.",
    );
    for milestone in MILESTONES {
        say(format!("\n{}", milestone.id));
        say_wrapped(format!("    {}", milestone.asks));
    }
    say_wrapped("\nWhat to do first, what grades a milestone, and how long that takes:");
    say(format!("  {} learn {}", me(), MILESTONES[0].id));
}

fn tell(milestone: &Milestone) {
    say_wrapped(format!("{}: {}", milestone.id, milestone.asks));
    say_wrapped(
        "You run what grades it, in the root of your own clone, and it grades what is in that clone.",
    );
    if milestone.needs_program() {
        say_wrapped("The solution is in there as well, and passes: take it out first.");
    }
    say("\nFirst:");
    say_wrapped(format!("  {}", milestone.first));
    say("\nThen, as often as you like:");
    let program = milestone.needs_program().then_some(&PROGRAM);
    for grader in program.into_iter().chain(milestone.graders) {
        say(format!("  {}", grader.command));
        say_wrapped(format!("      takes {}", grader.takes));
        say_wrapped(format!("      {}", grader.checks));
    }
    say_wrapped("\nHow it can be done: docs/extending.md and docs/extensions.md.");
}
