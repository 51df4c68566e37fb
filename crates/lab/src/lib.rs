//! The lab: what holds with every mechanism on, and what breaks when one is taken out.
//!
//! | part | job |
//! |---|---|
//! | [`check`] | exhaustive, bounded exploration of the replicas' real step functions |
//! | [`cluster`] | schedules of a cluster of real nodes, step by step |
//! | [`story`] | schedules written by hand, with what the replicas say to them (`stories/`) |
//! | [`device`] | every crash of every small workload, on the real engine and a simulated [`disk`] |
//! | [`Schedule`], [`Machine`] | a schedule as text; the time machine that plays it, forth and back |
//! | [`replay`] | a run of the simulator, to step through |
//! | [`rebuild`] | what was seen elsewhere, as a schedule that leads to it |
//! | [`why`] | one mechanism taken out: the schedule in which a client is betrayed, told as a story |
//! | [`tell`] | a whole play, every step with every event; the state in words |
//! | [`learn`] | exercises that grade themselves |
//! | [`faults`] | every class of blocks, damaged in every way, on one replica and on more |
//! | [`museum`] | published failures of real systems, each as a schedule |
//! | [`save`] | a check in a file, to go on from |
//! | [`nearest`] | the name that a mistyped one stands for |
//! | [`page`] | the same for a page: JSON in, JSON out |
//! | [`hostile`] | any bytes at all, given to every decoder |

#![forbid(unsafe_code)]

#[cfg(test)]
mod agreement;
mod brief;
pub mod check;
pub mod cluster;
pub mod device;
pub mod faults;
pub mod hostile;
pub mod learn;
mod machine;
pub mod museum;
pub mod nearest;
pub mod page;
mod play;
mod portable;
mod quiet;
pub mod rebuild;
pub mod replay;
pub mod save;
mod schedule;
mod shared;
pub mod story;
pub mod tell;
pub mod why;

pub use cluster::state as facts;
pub use machine::{Facts, Machine, Promise};
pub use nearest::{all_but, mechanism, without};
pub use play::{Act, Mark, Play};
pub use schedule::Schedule;
