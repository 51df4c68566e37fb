//! The kind *rebuild*: a guard is emptied, and the learner writes it again. What is graded is the core itself, compiled with
//! the learner's text in the place of the guard.
//!
//! | file | job |
//! |---|---|
//! | `exercise` | what is known of one exercise, and of one wrong answer to it |
//! | `guards` | the exercises: what the emptied guard does, hints, wrong answers that are often given |
//! | `text` | the learner's file, and the guard's file that includes it |
//! | `judge` | what the compiled guard does: wrong answers recognised by what they decide, schedules, seeds, states |

mod exercise;
mod guards;
mod judge;
mod text;

pub use exercise::{Rebuild, Wrong};
pub(super) use guards::GUARDS;
pub(super) use judge::{judge, untouched};
