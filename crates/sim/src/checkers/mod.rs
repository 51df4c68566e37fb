//! Checkers: what must hold, said once more and in another way than the code under test says it.
//!
//! They see everything at once: each replica after each of its steps, each frame when it leaves, each answer when a
//! client gets it. From the first replica that calls an entry committed they keep **the** log, and replay it themselves.
//!
//! | checker | invariant | says |
//! |---|---|---|
//! | `log` | D1, D4, D8 | one value per position; committed means durable on a majority; one content per epoch and seq |
//! | `epochs` | D2, D4 | one primary per epoch, and it has everything that was committed before |
//! | `promises` | D3 | a promise that was spoken is still known after a restart |
//! | `sessions` | D6 | a request has one result, and all replicas remember the same of requests at the same seq |
//! | `reads` | D5, P2, P5 | what is read was committed, is what was written, and is not older than the question |
//! | `linearizability` | P2 | an order of all operations explains all answers |
//! | device (in `process`, `inject`) | P1, P5, E… | a device opens again, calls nothing damaged that is not, and only in its own node; extents with two owners are found by the engine's own count (E3) |

mod epochs;
pub mod linearizability;
mod log;
mod model;
mod promises;
mod reads;
mod sessions;
mod sight;

use dataplane::{Frame, Limits, Message, Seq};
use disk::Disk;
use engine::Engine;

pub use self::sight::Violation;
pub(crate) use self::sight::{Broken, Finding, Sight, broken};

/// Everything that is watched about one shard.
pub(crate) struct Watch {
    log: log::Log,
    epochs: epochs::Epochs,
    promises: promises::Promises,
    model: model::Model,
    reads: reads::Reads,
    tables: sessions::Tables,
}

impl Watch {
    pub fn new(seats: usize, limits: Limits) -> Watch {
        Watch {
            log: log::Log::new(seats),
            epochs: epochs::Epochs::new(seats),
            promises: promises::Promises::new(seats),
            model: model::Model::new(limits),
            reads: reads::Reads::default(),
            tables: sessions::Tables::default(),
        }
    }

    /// After each step of a replica, before its frames leave.
    pub fn step(&mut self, sight: &Sight, frames: &[Frame]) -> Finding {
        for frame in frames {
            if let Message::Prepare { entries, .. } = &frame.message {
                entries.iter().try_for_each(|entry| self.log.content(sight.node, entry))?;
            }
        }
        self.log.observe(sight, &mut self.model)?;
        self.epochs.observe(sight, &self.log)?;
        if sight.applied.1 > sight.commit {
            return broken(
                "reads",
                "D5",
                2,
                format!(
                    "{} applied entry {}, but only {} are committed",
                    sight.node, sight.applied.1, sight.commit
                ),
            );
        }
        self.tables.compare(sight)?;
        for frame in frames {
            self.promises.spoken(sight.seat, &frame.message);
            sessions::answered(&self.model, sight, &frame.message)?;
            self.reads.answered(&self.model, sight, frame)?;
        }
        Ok(())
    }

    /// A gateway's frame leaves.
    pub fn asked(&mut self, frame: &Frame) {
        self.reads.asked(&self.model, frame);
    }

    /// A replica has opened its device.
    pub fn opened(&mut self, sight: &Sight) -> Finding {
        self.log.opened(sight);
        self.epochs.opened(sight.seat);
        self.tables.compare(sight)?;
        self.promises.opened(sight)
    }

    /// A replica has died, or is about to lose its disk: what it had durable is remembered.
    pub fn died(&mut self, seat: usize, engine: &Engine<Disk>, proven: bool) {
        self.log.died(seat, engine, proven);
        self.epochs.opened(seat);
    }

    /// A replica's disk was replaced: it owes nothing that it said before.
    pub fn wiped(&mut self, seat: usize) {
        self.promises.forgotten(seat);
    }

    /// At the end: the state of a replica with a proven log is the one that the log gives, byte for byte.
    pub fn finish(&mut self, sight: &Sight) -> Finding {
        if !sight.proven {
            return Ok(());
        }
        self.reads.state(&self.model, sight)?;
        sessions::state(&self.model, sight)
    }

    /// How often the limits of what is remembered made themselves felt.
    pub fn coverage(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.model.felt.iter().map(|(what, times)| (*what, *times))
    }

    /// How many entries are known to be committed.
    pub fn committed(&self) -> Seq {
        self.log.len()
    }
}
