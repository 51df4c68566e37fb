//! The state as of the applied entry, and as of a checkpoint: the index, its checkpoints on the device, a received one.

mod checkpoint;
mod index;
mod install;
mod load;
mod short_key;

pub(crate) use checkpoint::{NewCheckpoint, STEP_ITEMS, Stage};
pub(crate) use index::Index;
pub(crate) use install::Install;
pub(crate) use load::{Checkpoint, load, read_chunk};
