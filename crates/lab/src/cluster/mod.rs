//! Schedules of a cluster, step by step: what a story and a counterexample are made of.
//!
//! A step is a line of text, so that a schedule can be written, stored, shortened and read by hand: `docs/schedules.md`
//! lists all of them, made from [`SETTINGS`] and [`STEPS`].
//!
//! | file | job |
//! |---|---|
//! | `language`, `words` | settings and steps as text, and back; the words of a line |
//! | `stage` | a cluster to which steps happen |
//! | `ear` | what the processes tell |
//! | `nodes`, `seat`, `gates` | the cluster of real nodes on simulated disks, and of real gateways |
//! | `wisher` | an extension that wishes for what a schedule says |
//! | `damage` | what befalls a chosen block of a device |
//! | `service` | whether service is there and stays |
//! | `witness` | what clients saw, and what must hold |
//! | `state` | the state as facts |
//! | `possible` | everything that could happen next |

pub(crate) mod damage;
mod ear;
pub(crate) mod gates;
pub(crate) mod language;
pub(crate) mod nodes;
pub(crate) mod possible;
pub(crate) mod seat;
mod service;
pub(crate) mod stage;
pub mod state;
pub(crate) mod wisher;
pub(crate) mod witness;
mod words;

pub use damage::Block;
pub use language::{Ask, SETTINGS, STEPS, Setting, Step};
pub use stage::Done;
pub use wisher::Wished;
pub use witness::Goal;
pub use words::Which;
