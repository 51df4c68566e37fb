//! Published failures of real systems, each as a schedule on this code: with the guard out the same failure, with it held.
//!
//! An exhibit is a file of `museum/`: what happened and who published it, in our words. Its schedule is the counterexample
//! of its guard, or a file of its own beside it where the published failure has another shape. Like a counterexample it is
//! never trusted: [`play`] plays it without the guard and with it. Some failures need what this code does not have, or
//! cannot be switched on here; they say so and have no schedule.
//!
//! | file | job |
//! |---|---|
//! | `exhibit` | what is known of one failure |
//! | `read` | its file, line by line |
//! | `collection` | all of them; an exhibit played |
//! | `page` | the story; the pages of `docs/museum/` |

mod collection;
mod exhibit;
mod page;
mod read;

pub use collection::{exhibit, exhibits, play};
pub use exhibit::{Exhibit, Shown, Source};
pub use page::{chapter, index, story};
