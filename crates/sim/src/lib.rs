//! A whole cluster in one thread: the real node and gateway code around simulated disks, network, clocks and clients.
//!
//! The problem: the failures that matter need several rare events in one order, and no test on real machines waits that
//! long or happens twice. The idea: everything that is not a rule comes from here, time included, and every choice from
//! one seed. So a day of bad luck takes milliseconds, and the same seed gives the same run, event for event.
//!
//! One schedule has two phases. First clients work while things go wrong; whatever they are told must be right. Then
//! everything heals; whatever is pending must end, and every replica must be proven and caught up, in bounded time.
//!
//! | file | job |
//! |---|---|
//! | `schedule` | what goes wrong, as data; the swarm that draws it from a seed |
//! | `text` | schedules as text: saved, read, changed |
//! | `queue` | virtual time |
//! | [`disk`], `network`, `clock` | the things that fail |
//! | `clients`, `ask`, `history` | who asks, what, and what they were told |
//! | `world` | the event loop: who acts when |
//! | `gateways` | gateways as processes |
//! | `process` | nodes: work, sync, death, restart |
//! | `changes` | members added and removed, as somebody asks for it |
//! | `inject` | carrying out faults, within the fault model |
//! | `look` | the cluster in the midst of a run |
//! | `healing` | the end: all faults end, and all must be well in bounded time |
//! | `checkers` | what must hold |
//! | `told`, `telling` | the trace: what is kept of it, and what the world tells |
//! | `coverage` | what runs came across, and what never happened |
//! | `run` | one seed, many seeds, on all cores |

#![forbid(unsafe_code)]

pub mod ask;
mod blank;
mod changes;
pub mod checkers;
mod client;
mod clients;
mod clock;
pub mod coverage;
mod gateways;
mod healing;
pub mod history;
mod inject;
mod look;
mod network;
mod options;
mod process;
mod queue;
mod report;
mod run;
pub mod schedule;
mod telling;
pub mod text;
mod told;
mod world;

pub use checkers::Violation;
pub use coverage::Coverage;
pub use disk::rng;
pub use look::{Look, look};
pub use options::Options;
pub use report::Report;
pub use run::{Progress, Summary, execute, run, run_many, run_one};
pub use schedule::Schedule;
pub use text::Script;
