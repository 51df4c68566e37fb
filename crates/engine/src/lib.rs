//! One device, crash-safe: superblocks, write-ahead log, extents, checkpoints.

#![forbid(unsafe_code)]

mod allocator;
mod checkpoint;
mod device;
pub mod embedded;
mod engine;
mod error;
pub mod file;
pub mod format;
mod guard;
mod index;
mod log;
mod prepare;
mod quarantine;
mod recent;
mod recovery;
mod transfer;
mod types;
mod value;

pub use device::Device;
pub use engine::Engine;
pub use error::*;
pub use log::Batch;
pub use prepare::{format, reformat};
pub use recovery::RecoveryReport;
pub use types::*;
