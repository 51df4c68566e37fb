//! The group commit of a store that has none: all that waits becomes durable at once.
//!
//! Writers leave their puts in a queue. The first to find nobody writing lets the others run for as long as more puts
//! arrive, takes all that waits, and makes it durable; meanwhile the next group gathers. It is what our engine's store
//! does, step for step and with the same place to wait, so that what is compared is not this.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::{Failed, Group, Turn};

/// A put.
pub type Put = (Vec<u8>, Vec<u8>);

/// The queue.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<Put>,
    /// Those whose puts are waiting.
    group: Arc<Group<()>>,
    /// Somebody leads: gathers a group, commits one, or has been told to.
    led: bool,
    /// Puts of the last group.
    last: usize,
}

impl Queue {
    /// Returns when the put is durable. `commit` makes a group durable; it is never called by two threads at once.
    pub fn put(&self, put: Put, commit: impl Fn(Vec<Put>) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.lock();
        state.waiting.push(put);
        let group = state.group.clone();
        if std::mem::replace(&mut state.led, true) {
            drop(state);
        } else {
            self.lead(state, &commit)?;
        }
        loop {
            match group.wait() {
                Some(settled) => {
                    return settled
                        .map_err(|Failed| io::Error::other("a group that failed: reopen the store"));
                }
                None => self.lead(self.lock(), &commit)?,
            }
        }
    }

    /// Makes what waits durable, and passes the lead on.
    fn lead<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        commit: &impl Fn(Vec<Put>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut arrived = 0;
        while state.last > 1 && state.waiting.len() > arrived {
            arrived = state.waiting.len();
            drop(state);
            std::thread::yield_now();
            state = self.lock();
        }
        let (puts, group) = (std::mem::take(&mut state.waiting), std::mem::take(&mut state.group));
        state.last = puts.len();
        drop(state);
        let result = commit(puts);
        let mut state = self.lock();
        let next = state.group.clone();
        state.led = result.is_ok() && !state.waiting.is_empty();
        if state.led {
            next.announce(Turn::Lead);
        }
        drop(state);
        match &result {
            Ok(()) => group.announce(Turn::Settled(())),
            Err(_) => [group, next].iter().for_each(|group| group.announce(Turn::Failed)),
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
