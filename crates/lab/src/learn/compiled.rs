//! What has to be compiled: a copy of the core with the learner's text in it, and a small program that grades it.

use trace::Mechanisms;

use super::exercise::{self, Exercise, Kind, Task};
use super::grade::{Fault, Grade};
use super::tell::Holds;
use super::{rebuild, tell};
use crate::quiet::caught;

/// A file of the copy that is not as it is in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where, from the copy's root.
    pub path: String,
    /// What it holds.
    pub text: String,
}

/// The name of the program's example, in the copy of this crate.
const PROGRAM: &str = "crates/lab/examples/grade.rs";

/// What the copy has in other places than the tree, so that these exercises can be graded; `read` reads a file of the tree.
/// Nothing: the exercise needs no compiler. An error names the file that is not as it should be.
pub fn parts(exercise: &Exercise, read: impl Fn(&str) -> Option<String>) -> Result<Vec<Part>, String> {
    match exercise.task {
        Task::Break(_) => Ok(Vec::new()),
        Task::Rebuild(rebuild) => {
            let (path, symbol) = rebuild.guard();
            let text = read(path).and_then(|text| rebuild.replaced(&text, &exercise.file()));
            let text = text.ok_or_else(|| format!("{path} has no function {symbol}"))?;
            let program = "fn main() {\n    let exercise = std::env::args().nth(1).unwrap_or_default();\n    \
                           println!(\"{}\", lab::learn::judge_guard(&exercise));\n}\n";
            Ok(vec![Part { path: path.into(), text }, Part { path: PROGRAM.into(), text: program.into() }])
        }
        Task::Tell(_) => {
            let text = format!(
                "use lab::facts::*;\n\ninclude!(\"../../../../{}\");\n\nfn main() {{\n    let exercise = \
                 std::env::args().nth(1).unwrap_or_default();\n    println!(\"{{}}\", \
                 lab::learn::judge_invariant(&exercise, holds));\n}}\n",
                exercise.file()
            );
            Ok(vec![Part { path: PROGRAM.into(), text }])
        }
    }
}

/// Grades the guard that this program was compiled with: a line of JSON. With that guard no other exercise need be possible,
/// so none is looked at.
pub fn judge_guard(id: &str) -> String {
    let guards = rebuild::GUARDS.iter();
    match guards.copied().find(|guard| exercise::id(Kind::Rebuild, guard.mechanism.id()) == id) {
        Some(guard) => judged(|| rebuild::judge(&guard)),
        None => format!("{id} asks for no guard"),
    }
}

/// Grades an invariant: a line of JSON.
pub fn judge_invariant(id: &str, holds: Holds) -> String {
    match tell::TELLS.iter().find(|tell| exercise::id(Kind::Tell, tell.name) == id) {
        Some(tell) => judged(|| tell::judge(tell, holds)),
        None => format!("{id} asks for no invariant"),
    }
}

fn judged(judge: impl FnOnce() -> Grade) -> String {
    let panicked =
        |why| Grade::not_yet(Fault::Panicked, [format!("With your function, the core panics: {why}.")]);
    caught(judge).unwrap_or_else(panicked).to_json()
}

/// The wrong answer that the guard of `exercise` is which this program was compiled with, by its name, with these mechanisms
/// on.
pub fn recognised(exercise: &Exercise, on: Mechanisms) -> Option<&'static str> {
    match &exercise.task {
        Task::Rebuild(rebuild) => rebuild.recognised(on).map(|wrong| wrong.name),
        _ => None,
    }
}
