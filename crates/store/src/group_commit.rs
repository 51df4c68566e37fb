//! Where the writers of one batch wait for it.
//!
//! Each batch has a place of its own, so that waking its writers does not hold up those who fill the next one: at the
//! store's lock, every one of thirty woken writers would be in the next leader's way.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The writers of one batch. `T` is what they are told when it is durable.
#[derive(Debug)]
pub struct Group<T> {
    turn: Mutex<Turn<T>>,
    changed: Condvar,
}

/// What a writer of a batch is to do.
#[derive(Clone, Debug)]
pub enum Turn<T> {
    /// Wait.
    Wait,
    /// Write the batch: for the first who sees it.
    Lead,
    /// Go: the batch is durable.
    Settled(T),
    /// Give up: it failed, or the one before it.
    Failed,
}

impl<T> Default for Group<T> {
    fn default() -> Group<T> {
        Group { turn: Mutex::new(Turn::Wait), changed: Condvar::new() }
    }
}

impl<T: Clone> Group<T> {
    /// Tells all writers of the batch, or the one who is to lead.
    pub fn announce(&self, turn: Turn<T>) {
        let everyone = !matches!(turn, Turn::Lead);
        *self.turn() = turn;
        if everyone { self.changed.notify_all() } else { self.changed.notify_one() }
    }

    /// Waits. `None` for the one who is to lead, and for no other.
    pub fn wait(&self) -> Option<Result<T, Failed>> {
        let waits = |turn: &mut Turn<T>| matches!(turn, Turn::Wait);
        let mut turn = self.changed.wait_while(self.turn(), waits).unwrap_or_else(PoisonError::into_inner);
        match &*turn {
            Turn::Settled(settled) => Some(Ok(settled.clone())),
            Turn::Failed => Some(Err(Failed)),
            Turn::Lead | Turn::Wait => {
                *turn = Turn::Wait;
                None
            }
        }
    }

    fn turn(&self) -> MutexGuard<'_, Turn<T>> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A batch failed, and whether its entries are durable is not known.
#[derive(Clone, Copy, Debug)]
pub struct Failed;
