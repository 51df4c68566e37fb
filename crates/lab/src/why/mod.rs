//! Takes one mechanism away and shows what a client loses.
//!
//! Each mechanism's counterexample is stored as a schedule in `counterexamples/`, found by exhaustive search or written by
//! hand, and shortened. It is never trusted: [`examine`] plays it without the mechanism and with it, and tries to drop
//! each of its steps, every time.
//!
//! | file | job |
//! |---|---|
//! | `registry` | what is known of each mechanism beside its guard |
//! | `examine` | a mechanism taken out: what comes of its schedule, and of others |
//! | `shrink` | shorter, until no single step can go |
//! | `shorten` | looks for a shorter one nearby |
//! | `seed` | the same for a seed of the simulator |
//! | `narrate`, `picture` | the story; its lanes |
//! | `causes` | why the promise broke |
//! | `origin` | how a schedule was found, and what may be claimed of its length |
//! | `run` | a run of the simulator, told |
//! | `quiz` | what comes next? |
//! | `chapter` | the same with all that is known, as a page of `docs/mechanisms/` |

mod causes;
mod chapter;
mod examine;
mod narrate;
mod origin;
mod picture;
pub mod quiz;
pub mod registry;
mod seed;
mod shorten;
mod shrink;

pub use chapter::{chapter, necessity_table};
pub use examine::{Case, Pair, Verdict, case, class, examine, pair, search, why_none};
pub use narrate::{Narration, narrate};
pub use origin::FoundBy;
pub use seed::{RUNS_MAX, Shrunk, is_safety, preferred_seed, shrink_script, shrink_seed};
pub use shorten::shorten;
pub use shrink::{is_minimal, shrink};
