//! The code held against the TLA+ specification in `spec/`.
//!
//! The problem: our checkers and our code may share a blind spot. The idea: the specification is an independent text, and
//! it is evaluated here as it stands. Each event of a run is one of its steps, or a part of one; a step that it does not
//! allow is told with the clause that forbids it.
//!
//! | file | job |
//! |---|---|
//! | `value`, `compile`, `eval` | the part of TLA+ that the specification uses: text to expressions, expressions to values and steps |
//! | `judge` | one state of the specification, and the steps taken from it |
//! | `follow` | from events to steps: `prepare`, `reads`, `restart` are about what one event does not tell, `window` about runs without an end |
//! | `live` | the same while they grow |
//! | `check` | where traces come from: files, seeds, schedules |
#![forbid(unsafe_code)]

mod check;
mod compile;
pub mod eval;
mod follow;
mod judge;
mod live;
pub mod value;

pub use check::{Checker, Summary, Verdict, necessity, of_the_core, seeds, without};
pub use judge::{CUTAWAY, Mismatch, clause, cutaway};
pub use live::{Found, Live, QUIET};
