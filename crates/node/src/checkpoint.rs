//! Checkpoints, one bounded step at a time.

use dataplane::{Chunk, Event, Micros, Seq};
use engine::{CheckpointProgress, Device, WriteError};

use crate::config::StopError;
use crate::node::Node;

/// A transfer in progress delays the next checkpoint by this long, in microseconds: a new checkpoint makes the receiver
/// start over.
const TRANSFER_PIN: Micros = 1_000_000;
/// Steps of a checkpoint in one round, when writes wait for the room that it gives back.
const STEPS_MAX: u32 = 8;

impl<D: Device> Node<D> {
    /// A bounded part of a running checkpoint, or the beginning of one that is due; and of what extensions do. It may sync several times: call it
    /// when everything that could leave has left.
    pub fn background(&mut self, now: Micros) -> Result<(), StopError> {
        if self.engine.damage().is_some() || self.parked() {
            return Ok(());
        }
        self.begin(now, None);
        let mut steps = if self.engine.short_of_room() { STEPS_MAX } else { 1 };
        if self.is_checkpoint_due() && !self.engine.checkpoint_running() && self.replica.is_proven() {
            // If it cannot be made, or does not reach far enough, whoever meets the damage next says so again.
            self.renew_checkpoint = false;
            let host_state = self.replica.host_state();
            self.told(|engine| engine.checkpoint_begin(host_state));
            // What is committed in a round is not forgotten in the same one: who watches sees all of it.
            steps = 1;
        }
        for _ in 0..steps {
            if !self.engine.checkpoint_running() {
                break;
            }
            match self.told(|engine| engine.checkpoint_step()) {
                Ok(CheckpointProgress::Done { seq }) => self.step(Event::Compacted(seq))?,
                // Without space it has given this one up; the log is as it was.
                Ok(_) | Err(WriteError::NoSpace { .. }) => {}
                Err(error) => return self.stop(error),
            }
        }
        self.work()
    }

    /// A piece of a checkpoint as of `at_least` or later, for a copy outside of the cluster: the host asks, no rule knows of
    /// it. `None` while there is none, which is made if it can be, or while what is damaged of it is repaired.
    pub fn backup(&mut self, now: Micros, at_least: Seq, since: Seq, cursor: &[u8]) -> Option<Chunk> {
        let reaches = self.engine.checkpoint_seq() >= at_least;
        self.renew_checkpoint |= !reaches && self.engine.applied_seq() >= at_least;
        self.begin(now, None);
        if reaches { self.chunk(cursor, since) } else { None }
    }

    /// Would a new checkpoint be of use now? A receiver may need a newer one than the log would call for, and waits for it.
    fn is_checkpoint_due(&self) -> bool {
        let space = self.engine.space();
        let pinned = self.chunk_sent_at.is_some_and(|at| self.now < at + TRANSFER_PIN)
            && space.wal_used < space.wal_bytes / 4 * 3;
        (self.engine.checkpoint_due() && !pinned) || self.replica.wants_checkpoint() || self.renew_checkpoint
    }
}
