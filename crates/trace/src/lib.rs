//! What happened, told once: the event schema shared by live clusters, simulations and saved files.
//!
//! The problem: a storage system is understood by following *one* request through several processes, and logs written
//! between protocol steps drift away from what the code does. So a state transition and its event are one thing here:
//! the code that changes state emits a [`Kind`], and everything a reader sees (sentence, mechanism, before/after) is
//! derived from that value. Folding the events of an actor gives its state.
//!
//! | part | job |
//! |---|---|
//! | [`mechanism`] | the registry: every removable mechanism, and the set of those switched on |
//! | [`event`] | what one event carries, and its kinds |
//! | [`tracer`] | who is listening, and which event follows from which |
//! | `json` | JSON Lines, one event a line (feature `json`) |
//! | [`merge`] | traces of several processes in one order |
//!
//! This crate knows nothing of engines, replicas or sockets: kinds carry plain numbers.

#![forbid(unsafe_code)]

pub mod event;
#[cfg(feature = "json")]
pub mod json;
pub mod mechanism;
pub mod merge;
pub mod tracer;

pub use event::{Actor, Event, EventId, Kind, Source, Told, entries};
pub use mechanism::{Mechanism, Mechanisms};
pub use tracer::{Sink, Tracer};
