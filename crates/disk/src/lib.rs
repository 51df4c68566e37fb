//! The simulated disk, with exactly the promises that a real one makes, and everything that a crash can leave of it.
//!
//! The engine's tests, the simulator and the lab all run on this one, so what they call a power cut is the same thing.
//!
//! | file | job |
//! |---|---|
//! | `sector` | the bytes of one sector, shared by all copies of a disk |
//! | `state` | the medium and the cache above it: what a crash finds |
//! | `cuts` | what a power cut may leave of the cache: all of it enumerated, or one case drawn |
//! | `disk` | the device that an engine runs on, and how it fails |
//! | `history` | what each sector held before, and which sync made it durable |
//! | `damage` | bits that rot and writes that go astray, where the fault model lets them |
//! | `harm` | a chosen block damaged in a chosen way, whatever the fault model says |
//! | `rng` | independent streams of random numbers |

#![forbid(unsafe_code)]

mod cuts;
mod damage;
mod disk;
mod harm;
mod history;
pub mod rng;
mod sector;
mod state;

pub use cuts::{Cut, WAYS_MAX};
pub use damage::Place;
pub use disk::{Disk, Unwritten, Work};
pub use harm::Harm;
pub use rng::Rng;
pub use sector::{Content, SECTOR};
pub use state::{Cached, Io, State};
