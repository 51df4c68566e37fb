//! The data region: which units are free, which are not free yet, what fits, and the values in it.

mod allocator;
mod claim;
mod free_map;
mod quarantine;
pub(crate) mod value;

pub(crate) use allocator::Allocator;
pub(crate) use claim::Claim;
pub(crate) use quarantine::{Quarantine, Waiting};
