//! Exercises that grade themselves.
//!
//! | file | job |
//! |---|---|
//! | `exercise` | every exercise: task, what the answer's file holds at first, hints, solution |
//! | `betray` | the kind *break*: a cluster or a device without one mechanism, and the shortest schedule that betrays a client |
//! | `rebuild` | the kind *rebuild*: an emptied guard, and the core compiled with what is written in its place |
//! | `tell` | the kind *tell*: an invariant as a function, held against correct and wrong clusters |
//! | `build` | the kind *build*: projects in milestones, and what grades them in the learner's clone |
//! | `compiled` | the program that grades what has to be compiled, and where the learner's text goes in it |
//! | `grade` | what an answer is worth, and what is wrong with it |
//! | `page` | the tables of `docs/learn.md` and `docs/teaching.md` |

mod betray;
mod build;
mod compiled;
mod exercise;
mod grade;
mod page;
mod rebuild;
mod tell;

pub use build::{Grader, MILESTONES, Milestone, PROGRAM};
pub use compiled::{Part, judge_guard, judge_invariant, parts, recognised};
pub use exercise::{Exercise, HINTS, Kind, exercise, exercises};
pub use grade::{Fault, Grade, Rank};
pub use page::{milestones, table, wrong_answers};
pub use rebuild::{Rebuild, Wrong};
pub use tell::{Holds, Tell};
