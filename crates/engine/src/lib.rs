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
//! | block A| block B| batches of records      | data records (values) and checkpoint chunks   |
//! +--------+--------+-------------------------+-----------------------------------------------+
//! ```
//!
//! The superblock leads to the checkpoint (index and the owner's state as of one entry) and to the place in the ring
//! where replay starts. A WAL record leads to its value, and carries its checksum: one sync makes a batch durable.
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
//! | file | idea |
//! |---|---|
//! | `types`, `error`, `device` | the vocabulary, what can go wrong, what is asked of a disk |
//! | `format/` | the bytes: superblock, WAL record, data record, checkpoint chunk |
//! | `engine` | append, sync, truncate, apply |
//! | `read` | values, keys and entries |
//! | `log`, `recent` | the ring, batches; the last entries in memory |
//! | `cache` | values in memory, for reads |
//! | `recovery` | from bytes to an engine: torn tail or damage? |
//! | `index`, `key`, `allocator`, `free_map`, `quarantine`, `value` | keys, a key's bytes, who gets which units, which are free, which are not free yet, reading a value |
//! | `claim` | what fits, whatever the free space looks like: the same on every replica |
//! | `checkpoint`, `transfer` | the state as of one entry, to the device and to another one |
//! | `mend` | a damaged value, written anew |
//! | `guard` | the mechanisms, each with the failure it prevents |
//! | `prepare` | formatting |
//! | `owners` | who owns which extent, for `inspect` and `verify` |
//!
//! Left out: compression, encryption, and growing a device. A production engine would also keep the index on the device;
//! here it is in memory, at about 200 bytes for a key of 100.

#![forbid(unsafe_code)]

mod allocator;
mod cache;
mod checkpoint;
mod claim;
mod device;
mod engine;
mod error;
pub mod format;
mod free_map;
mod guard;
mod index;
mod key;
mod log;
mod mend;
mod owners;
mod prepare;
mod quarantine;
mod read;
mod recent;
mod recovery;
mod transfer;
mod types;
mod value;

pub use claim::Room;
pub use device::Device;
pub use engine::Engine;
pub use error::*;
pub use log::Batch;
pub use owners::Owner;
pub use prepare::{format, reformat};
pub use recovery::RecoveryReport;
pub use types::*;
