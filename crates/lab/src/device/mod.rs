//! Every crash of every small workload, on the real engine.
//!
//! A schedule is up to so many steps of a host, up to so many crashes at any write or sync of a step, and crashes at the
//! writes and syncs of recoveries without a bound: what a recovery that is cut off leaves is soon nothing new. A crash is
//! a kill -9 (the cache survives) or a power cut that leaves any part of the cache on the medium. After each, the real
//! `engine::Engine` opens what is left, and must have recovered what it promised.
//!
//! | file | job |
//! |---|---|
//! | `medium` | what is asked of a [`disk`] that a crash has left |
//! | `known` | what the host wrote, and may rely on |
//! | `workload` | the steps of the host |
//! | `checks` | what must hold after each crash |
//! | `starts` | the devices to begin with |
//! | `play` | a schedule, step by step |
//! | `saved` | how far that came, in a file |
//! | `bounds` | how far an exploration goes, and what comes of it |
//! | `enumerate` | all schedules, depth first, in rounds of growing bounds |
//! | `search`, `walk` | what was visited; one way through a device's life |
//! | `script` | what led to a state, in words |
//!
//! The result is "no violation within these bounds", never "proved".

mod bounds;
mod caught;
mod checks;
mod enumerate;
mod known;
mod medium;
pub(crate) mod play;
mod saved;
mod script;
mod search;
mod starts;
mod walk;
mod work;
mod workload;

pub(crate) use starts::{IDENTITY, image_with_a_past};

pub use bounds::{Bounds, Found, Outcome, Progress, Recoveries, Round};
pub use enumerate::{Exploration, explore_device};
pub use play::{STEPS, host_steps, start_names};
pub use saved::Saved;
pub use work::Work;
