//! The group commit of a store that has none: all that waits becomes durable at once.
//!
//! Writers leave their puts in a queue. The first to find nobody writing lets the others run for as long as more puts
//! arrive, takes all that waits, and makes it durable; meanwhile the next group gathers. Those of one group are woken
//! together, and one of the next. It is what our engine's store does, so that what is compared is not this.

use std::io;
use std::sync::{Condvar, Mutex, PoisonError};

/// A put.
pub type Put = (Vec<u8>, Vec<u8>);

#[derive(Default)]
struct State {
    waiting: Vec<Put>,
    /// The number of the group that waits, and the size of the one before.
    number: usize,
    company: usize,
    /// Puts that were ever left here, and how many of those are durable.
    arrived: u64,
    durable: u64,
    busy: bool,
    failed: Option<io::ErrorKind>,
}

/// The queue.
#[derive(Default)]
pub struct Group {
    state: Mutex<State>,
    settled: [Condvar; 2],
}

impl Group {
    /// Returns when the put is durable. `commit` makes a group durable; it is never called by two threads at once.
    pub fn put(&self, put: Put, commit: impl Fn(Vec<Put>) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting.push(put);
        state.arrived += 1;
        let (mine, number) = (state.arrived, state.number);
        while state.durable < mine {
            if let Some(kind) = state.failed {
                return Err(kind.into());
            }
            if state.busy {
                state = self.settled[number % 2].wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.busy = true;
            let mut arrived = 0;
            while state.company > 1 && state.arrived > arrived {
                arrived = state.arrived;
                drop(state);
                std::thread::yield_now();
                state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            }
            let (group, upto, taken) = (std::mem::take(&mut state.waiting), state.arrived, state.number);
            (state.company, state.number) = (group.len(), taken + 1);
            drop(state);
            let result = commit(group);
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.busy = false;
            self.settled[taken % 2].notify_all();
            match result {
                Ok(()) => {
                    state.durable = upto;
                    self.settled[(taken + 1) % 2].notify_one();
                }
                Err(error) => {
                    state.failed = Some(error.kind());
                    self.settled[(taken + 1) % 2].notify_all();
                }
            }
        }
        Ok(())
    }
}
