//! One device, crash-safe: superblocks, write-ahead log, extents, checkpoints.

pub mod device;
pub mod engine;
pub mod error;
pub mod file;
pub mod recovery;
pub mod types;

pub use device::Device;
pub use engine::{Batch, Engine, format, reformat};
pub use error::*;
pub use recovery::RecoveryReport;
pub use types::*;
