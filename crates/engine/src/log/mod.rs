//! The log: the ring it lies in, its tail in memory, batches on their way out, and reading it back.

mod batch;
mod beyond;
mod reader;
mod recent;
mod ring;
mod scan;
mod tail;

pub use batch::Batch;
pub(crate) use recent::Recent;
pub(crate) use ring::next_sector;
pub(crate) use scan::Scan;
pub(crate) use tail::{Log, Logged};
