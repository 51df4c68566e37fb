//! Upkeep: what is stored is verified in the background, and free space made contiguous again.
//!
//! **Scrubbing.** Values, records of the log and chunks of the checkpoint are read one after the other, over and over. What
//! is damaged is repaired as if a client had met it: a value comes from a replica that has it whole, and a new checkpoint
//! does without a damaged record or chunk. So damage is found while the others still have what it takes.
//!
//! **Collecting.** Values that are overwritten leave holes. When most free units lie in such holes, a batch takes a write
//! for each of them. So the emptiest segments of the device are emptied: their values are moved into the holes of the fullest, and
//! the next checkpoint gives whole segments back.
//!
//! | rule | where |
//! |---|---|
//! | so many bytes per second, no more: [`Budget`] | here |
//! | which segments, and when it is worth it | here: `collect` |
//! | what makes a move safe | `engine/src/engine/upkeep.rs`: no policy here can break it |
//!
//! | file | job |
//! |---|---|
//! | `gc` | a share of the time for each, as the node has time |
//! | `budget` | bytes per second, without a clock |
//! | `scrub` | where the scrubbing is |
//! | `collect` | segments, and what is moved out of them |
//!
//! Left out: values sorted by age or by how often they change, which a log-structured store does to move less. And a device
//! to which nobody writes is not collected: nothing there is slow.

#![forbid(unsafe_code)]

mod budget;
mod collect;
mod gc;
mod scrub;

pub use budget::Budget;
pub use gc::{Done, Gc, Passed};
