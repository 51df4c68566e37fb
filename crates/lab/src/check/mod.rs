//! Exhaustive, bounded checking of the replication rules.
//!
//! The rules are a state machine without I/O, so a whole cluster is a value: replicas, what their devices hold, the
//! messages on their way. From each such value [`World::actions`] lists everything that can happen next within the
//! scope's budgets, and [`explore`] visits every value that can be reached, by breadth-first search, so that the first
//! violation found is one of the shortest. The replicas run the very `dataplane::Replica::step` that real nodes run;
//! only the engine below them is a model, of one idea: a prefix of the unsynced log records survives a crash.
//!
//! | file | job |
//! |---|---|
//! | `scope` | the bounds, by name |
//! | `world` | the cluster as a value, and what becomes of it when something happens |
//! | `action` | everything that can happen next |
//! | `budget` | how much may still happen |
//! | `seat` | one node of it: the real replica on a model of a device |
//! | `extended` | the real extensions of a node, if the scope's cluster has some |
//! | `cluster` | the model as a cluster to which a schedule happens |
//! | `words` | states and actions as sentences |
//! | `explore` | breadth-first search on all cores |
//! | `estimate` | how much is still to come |
//! | `saved` | an exploration in a file, to go on from |
//!
//! A message that is never delivered stands for a lost one. Where a scope bounds how many are on their way, any one of
//! too many is lost. The result is "no violation within these bounds", never "proved".

mod action;
mod budget;
pub(crate) mod cluster;
mod estimate;
mod explore;
mod extended;
mod saved;
mod scope;
pub(crate) mod seat;
mod words;
mod world;

pub use action::Action;
pub use explore::{Exploration, Found, Outcome, Progress, explore};
pub use saved::Saved;
pub use scope::{SCOPES, Scope};
pub use world::World;
