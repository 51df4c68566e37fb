//! The lab: what holds with every mechanism on, and what breaks when one is taken out.
//!
//! | part | job |
//! |---|---|
//! | [`check`] | exhaustive, bounded exploration of the replicas' real step functions |
//! | [`cluster`] | schedules on the checker's cluster, step by step |
//! | [`story`] | schedules written by hand, with what the replicas say to them (`stories/`) |
//! | [`device`] | every crash of every small workload, on the real engine and a simulated disk |
//! | [`why`] | one mechanism taken out: the schedule in which a client is betrayed, told as a story |
//! | [`save`] | a check in a file, to go on from |
//! | [`nearest`] | the name that a mistyped one stands for |
//! | [`hostile`] | any bytes at all, given to every decoder |

#![forbid(unsafe_code)]

mod brief;
pub mod check;
pub mod cluster;
pub mod device;
pub mod hostile;
pub mod nearest;
mod quiet;
pub mod save;
pub mod story;
pub mod why;

pub use nearest::{all_but, mechanism};
