//! What is known of one exercise, and of one wrong answer to it.

use trace::{Mechanism, Mechanisms};

/// One such exercise.
#[derive(Clone, Copy, Debug)]
pub struct Rebuild {
    /// The guard's mechanism.
    pub mechanism: Mechanism,
    /// The body of the emptied guard.
    pub(super) empty: &'static str,
    /// What helps, before the rest is shown.
    pub(in crate::learn) hint: &'static str,
    /// Answers that are often given.
    pub wrong: &'static [Wrong],
}

/// A wrong answer that is often given. It is recognised by what it decides, never by its text.
#[derive(Clone, Copy, Debug)]
pub struct Wrong {
    /// What it confuses.
    pub name: &'static str,
    /// A body that makes the mistake.
    pub body: &'static str,
    /// What is wrong with it, to the learner.
    pub why: &'static str,
    /// Does the guard that this program was compiled with decide so, with these mechanisms on?
    pub(super) shows: fn(Mechanisms) -> bool,
}
