//! The lab: what holds with every mechanism on, and what breaks when one is taken out.
//!
//! | part | job |
//! |---|---|
//! | [`check`] | exhaustive, bounded exploration of the replicas' real step functions |
//! | [`story`] | schedules written by hand, with what the replicas say to them (`stories/`) |
//! | [`device`] | every crash of every small workload, on the real engine and a simulated disk |

#![forbid(unsafe_code)]

pub mod check;
pub mod device;
pub mod story;
