//! The kind *tell*: an invariant as a function over the state. It has to accept every state of a correct cluster, and to
//! reject some state of each wrong one.
//!
//! | file | job |
//! |---|---|
//! | `exercise` | what is known of one exercise: the learner's file, and the known answer |
//! | `table` | the exercises |
//! | `answers` | the known answers: they run, and their text is the solution |
//! | `judge` | a learner's function held against the states of correct and of wrong clusters |

mod answers;
mod exercise;
mod judge;
mod table;

pub use exercise::{Holds, Tell};
pub(super) use judge::{judge, untouched};
pub(super) use table::TELLS;
