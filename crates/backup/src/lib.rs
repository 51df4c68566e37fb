//! A copy of a cluster's state in a file.
//!
//! A copy holds, for each shard, the state after one entry of its log: the keys in order, each with the entry that wrote its
//! value. A *full* copy holds all values. An *incremental* one names the copy before it, its base, and leaves out the values
//! that the base has: it still lists every key, so a key that it does not list is gone.
//!
//! | file | idea |
//! |---|---|
//! | `format` | the bytes of a file: header, blocks, what can be wrong with them |
//! | `write` | writing one, a shard after the other; a shard can be begun anew |
//! | `read` | reading one as a stream, block by block |
//! | `chain` | a full copy and the incremental ones behind it as one stream of keys with values |
//! | `digest` | what two equal states have in common |
//! | `install` | making a replica of it |
//! | `reach` | how far a copy must reach to hold everything that was acknowledged |
//!
//! Memory is bounded by the longest block, whatever the size of the state; only the index of a replica that is being made is
//! in memory, as it is when the replica runs.

#![forbid(unsafe_code)]

mod chain;
mod digest;
mod format;
mod install;
mod reach;
mod read;
mod write;

pub use chain::{Chain, ChainError, ShardHead};
pub use digest::{Digest, Digester, of_engine};
pub use format::{BackupId, Base, FormatError, Header, VERSION};
pub use install::{InstallError, install};
pub use reach::{Heard, reach};
pub use read::{Block, Reader, Summary};
pub use write::{Writer, Written};
