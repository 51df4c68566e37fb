//! The lab: what holds with every mechanism on, and what breaks when one is taken out.
//!
//! | part | job |
//! |---|---|
//! | [`check`] | exhaustive, bounded exploration of the replicas' real step functions |

#![forbid(unsafe_code)]

pub mod check;
