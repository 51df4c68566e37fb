//! The replication rules, as a state machine without I/O.
//!
//! The problem: several devices must act as one log, although each of them, and every message between them, may stop
//! at any moment. The idea: an **epoch** has at most one primary, because a majority promised it to one candidate; an
//! entry is **committed** once a majority has it durable; and any two majorities share a replica, which carries what
//! was committed into every later epoch.
//!
//! One door in ([`Replica::step`]), one door out ([`Effect`]s, in order). Time is part of the input. There is no clock,
//! no socket, no disk, no randomness and no hash map here: the same events always give the same effects.
//!
//! | file | mechanism or role |
//! |---|---|
//! | `types`, `message` | the vocabulary |
//! | `wire` | messages as bytes |
//! | `guard` | every mechanism as one function that can be switched off |
//! | `host` | what a replica is told and hears, and what it wants done |
//! | `log_shape` | which epoch wrote which entries |
//! | `members` | who belongs to the shard, by its log |
//! | `durable` | what may leave only after a sync |
//! | `patience` | how long to wait: as measured |
//! | `sessions` | each request takes effect once |
//! | `core` | what all roles share: log, commit point, promise |
//! | `owed` | a log that lost entries, and still votes |
//! | `repair` | whose bytes will do for a damaged value |
//! | `roles/backup` | matching, truncating, acknowledging |
//! | `roles/candidate` | epoch, promises, most complete log |
//! | `roles/primary`, `roles/peer` | ordering, replication, commit |
//! | `roles/reads` | confirming that the primary still is one |
//! | `roles/sender`, `roles/receiver` | a state for a replica that cannot catch up from the log |
//! | `replica` | the door: which role hears which event |
//! | `transitions` | how a replica changes its role |
//! | `status` | what a replica says of itself |
//! | `invariants` | what must hold after every event |
//!
//! # Invariants
//!
//! - **D1** one value per log position: two replicas that committed a seq committed the same entry there.
//! - **D2** at most one primary per epoch.
//! - **D3** a promise never goes back, over any restart.
//! - **D4** what was acknowledged to a client is in the log of every later primary.
//! - **D5** nothing uncommitted is ever applied, so nothing uncommitted is ever read.
//! - **D6** every request takes effect at most once.
//! - **D7** a committed entry is never truncated.
//! - **D8** a primary's log only grows during its epoch.

#![forbid(unsafe_code)]

mod core;
pub mod durable;
pub mod guard;
mod host;
mod invariants;
mod log_shape;
mod members;
pub mod message;
mod owed;
pub mod patience;
mod repair;
mod replica;
mod roles;
pub mod sessions;
mod status;
mod transitions;
pub mod types;
pub mod wire;

pub use crate::core::Core;
pub use durable::{Appended, Durable, Held, Released};
pub use host::{Config, Effect, Event, Fits, Restored, Timing};
pub use log_shape::LogShape;
pub use members::{Member, Members};
pub use message::*;
pub use replica::Replica;
pub use types::*;
