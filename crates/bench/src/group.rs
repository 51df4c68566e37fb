//! The group commit of a store that has none: all that waits becomes durable at once.
//!
//! Writers leave their puts in a queue. The first to find nobody writing takes all that waits, makes it durable and
//! wakes the others; meanwhile the next group gathers.

use std::io;
use std::sync::{Condvar, Mutex, PoisonError};

/// A put.
pub type Put = (Vec<u8>, Vec<u8>);

#[derive(Default)]
struct State {
    waiting: Vec<Put>,
    /// Puts that were ever left here, and how many of those are durable.
    arrived: u64,
    durable: u64,
    writing: bool,
    failed: Option<io::ErrorKind>,
}

/// The queue.
#[derive(Default)]
pub struct Group {
    state: Mutex<State>,
    settled: Condvar,
}

impl Group {
    /// Returns when the put is durable. `commit` makes a group durable; it is never called by two threads at once.
    pub fn put(&self, put: Put, commit: impl Fn(Vec<Put>) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting.push(put);
        state.arrived += 1;
        let mine = state.arrived;
        while state.durable < mine {
            if let Some(kind) = state.failed {
                return Err(kind.into());
            }
            if state.writing {
                state = self.settled.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.writing = true;
            let (group, upto) = (std::mem::take(&mut state.waiting), state.arrived);
            drop(state);
            let result = commit(group);
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.writing = false;
            match result {
                Ok(()) => state.durable = upto,
                Err(error) => state.failed = Some(error.kind()),
            }
            self.settled.notify_all();
        }
        Ok(())
    }
}
