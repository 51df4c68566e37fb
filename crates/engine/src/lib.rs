//! One device, crash-safe: an ordered log of entries, and the state that comes of applying them.
//!
//! The engine knows nothing of peers, epochs, files, threads, sockets or clocks. An owner appends entries, makes them durable, and then
//! either applies them (they become visible) or truncates them (they are undone). The crate `store` makes a key-value
//! store of it.
//!
//! # The device
//!
//! ```text
//! 0        4096     8192                      data offset
//! +--------+--------+-------------------------+-----------------------------------------------+
//! | super- | super- | WAL ring                | data region, in units of 512 bytes:           |
//! | block A| block B| batches of records      | values and checkpoint chunks                  |
//! +--------+--------+-------------------------+-----------------------------------------------+
//! ```
//!
//! The superblock leads to the checkpoint (index and the owner's state as of one entry) and to the place in the ring
//! where replay starts. A WAL record says where its value is, as a
//! list of extents, and carries its checksum: one sync makes a batch durable.
//!
//! # Invariants
//!
//! - **E1** What was acknowledged is recovered.
//! - **E2** What is recovered is a prefix of what was appended, in order; an applied entry is never undone.
//! - **E3** No extent has two owners.
//! - **E4** Every live key reads its own bytes.
//! - **E5** The promise never goes back.
//! - **E6** Nothing that was undone, discarded or overwritten comes back.
//!
//! # Reading order
//!
//! From the bottom up: what a row uses is in the rows above it, or in its own.
//!
//! | file | idea |
//! |---|---|
//! | `types`, `error`, `device` | the vocabulary, what can go wrong, what is asked of a disk |
//! | `format/` | the bytes: superblock, WAL record, checkpoint chunk, and what points at a value (`value_ref`) |
//! | `guard` | the mechanisms, each with the failure it prevents |
//! | `space/` | the data region: which units are free (`free_map`, `allocator`), which are not free yet (`quarantine`), what fits (`claim`), reading a value (`value`), the superblock `slots`; and `Space`, the one owner of all of it |
//! | `log/` | the ring, its `tail` in memory, each `batch` on its way out, `recent` entries; and the log read back: `reader`, `scan`, `beyond` its end |
//! | `state/` | keys and where their values are (`index`, `short_key`), a `checkpoint` written and read (`load`), a state being received (`install`) |
//! | `notes`, `prepare` | what happened, for the trace; formatting |
//! | `engine` | all parts of one open device; its promise and standing |
//! | `engine/` | its operations: `open`; `admit`, `append`, `apply`; `read`; `checkpoint`; `transfer`, `install`, `start_over`; `mend`, `upkeep`; `invariants`, checked after each; and for people, `report` and `owners` |
//!
//! Left out: compression, encryption, and growing a device. A production engine would also keep the index on the device;
//! here it is in memory, at about 200 bytes for a key of 100.

#![forbid(unsafe_code)]

mod device;
mod engine;
mod error;
pub mod format;
mod guard;
mod log;
mod notes;
mod prepare;
mod space;
mod state;
mod types;

pub use device::Device;
pub use engine::Engine;
pub use engine::admit::Room;
pub use engine::owners::Owner;
pub use engine::report::RecoveryReport;
pub use engine::upkeep::{Moved, Piece, Upkeep, Values};
pub use error::*;
pub use log::Batch;
pub use prepare::{format, reformat};
pub use types::*;
