//! What is known of one exercise: the learner's file, and the known answer.

use crate::facts::State;
use crate::page::guard_lines;

/// An invariant: `before` is the state one step earlier, `now` the present one.
pub type Holds = fn(before: &State, now: &State) -> bool;

/// One such exercise.
#[derive(Clone, Copy, Debug)]
pub struct Tell {
    /// What the invariant is called.
    pub name: &'static str,
    /// The invariant in words, with its number in ARCHITECTURE.
    pub words: &'static str,
    pub(in crate::learn) hints: [&'static str; 2],
    pub(super) holds: Holds,
    /// The known answer's name in `answers`.
    pub(super) symbol: &'static str,
}

impl Tell {
    pub(in crate::learn) fn begin(&self) -> String {
        format!(
            "// {}\n//\n// Write it as a function: true for every state of a correct cluster, and false for some state of each wrong\n// \
             one. `before` is the state one step earlier (at the beginning: the same). The fields of `State`, `NodeState`\n// \
             and `Cell` stand in crates/lab/src/cluster/state.rs.\n\npub fn holds(before: &State, now: &State) -> bool {{\n    \
             let _ = (before, now);\n    true\n}}\n",
            self.words
        )
    }

    /// The known answer.
    pub(in crate::learn) fn solution(&self) -> String {
        const TEXT: &str = include_str!("answers.rs");
        let lines: Vec<&str> = TEXT.lines().collect();
        let lines = &lines[guard_lines(TEXT, self.symbol).expect("a test looks up every answer")];
        let text = lines.join("\n") + "\n";
        text.replace(&format!("pub(super) fn {}", self.symbol), "pub fn holds")
    }

    /// The known answer, to run.
    pub(in crate::learn) fn known(&self) -> Holds {
        self.holds
    }
}
