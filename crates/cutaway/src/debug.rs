//! `debug`: the time machine behind an editor's debugger.
//!
//! | file | job |
//! |---|---|
//! | `protocol` | frames and messages of the Debug Adapter Protocol |
//! | `inbox` | what the editor has sent, read ahead, so that a long run can be interrupted |
//! | `launch` | what is to be debugged |
//! | `session` | the position, and how it moves |
//! | `breakpoints` | where to stop |
//! | `tree` | the lines of the sources that events are emitted at |
//! | `listing` | the schedule itself as a source |
//! | `frames` | an event and its causes as a stack |
//! | `values`, `scopes` | the state as variables |
//! | `evaluate` | what is typed into the console |
//! | `adapter` | requests, and what they are answered with |

mod adapter;
mod breakpoints;
mod evaluate;
mod frames;
mod inbox;
mod launch;
mod listing;
mod protocol;
mod scopes;
mod session;
pub mod tree;
mod values;

use clap::Args;

use crate::failure::Failure;
use adapter::{Adapter, Flow};
use inbox::{Inbox, Incoming};

/// Debug a schedule from an editor: the Debug Adapter Protocol on standard input and output
///
/// An editor starts this by itself; docs/debugging.md says how to tell it so. Each event is a line to stop at: step over
/// goes to the next event, step in to the next one of the same process, step back to the one before, and reverse to the
/// event that caused it. The schedule to debug, and the mechanisms to leave out, are in the editor's launch configuration.
#[derive(Debug, Args)]
pub struct Debug {}

impl Debug {
    pub fn run(self) -> Result<(), Failure> {
        let mut inbox = Inbox::of_stdin();
        let mut adapter = Adapter::new(std::io::stdout());
        loop {
            let flow = match inbox.next() {
                Incoming::Request(request) => {
                    adapter.obey(&request, &mut || inbox.wants_attention()).map_err(|error| {
                        Failure::error(format!("the editor does not read what it is told: {error}"))
                    })?
                }
                Incoming::NoRequest(why) => adapter.complain(&why).map_err(Failure::error)?,
                Incoming::End => Flow::Leave,
                Incoming::Garbage(why) => {
                    let next = "an editor speaks here, not a person: see docs/debugging.md";
                    return Err(Failure::error(why).next(next));
                }
            };
            if flow == Flow::Leave {
                return Ok(());
            }
        }
    }
}
