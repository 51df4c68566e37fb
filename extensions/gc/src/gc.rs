//! A share of the time for each, as the node has time.

use dataplane::wire::WireError;
use dataplane::{Epoch, Micros, NodeId, Proof};
use engine::{ReadError, Upkeep, WriteError};
use node::{Extension, Look, Wishes};
use trace::{Kind, emit};

use crate::budget::Budget;
use crate::collect::Collect;
use crate::scrub::Scrub;

/// Bytes per second that may be read and written to move values, and read to verify what is stored.
const COLLECT_BYTES: u64 = 128 << 20;
const SCRUB_BYTES: u64 = 4 << 20;
/// Less is not worth a step; and a step of the scrubbing takes about so much.
const STEP_BYTES: u64 = 32 << 10;
/// An idle node is woken so often for it.
const EVERY: Micros = 100_000;

/// The extension's state on one node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Gc {
    collect: Collect,
    collecting: Budget,
    scrub: Scrub,
    scrubbing: Budget,
    deadline: Option<Micros>,
}

/// What came of a step.
#[derive(Debug, Default)]
pub struct Done {
    /// What could not be read.
    pub damaged: Vec<ReadError>,
    /// Everything that is stored was verified.
    pub passed: Option<Passed>,
}

/// A whole pass of the scrubbing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Values, records and chunks that were read.
    pub pieces: u64,
    /// How many of them were damaged.
    pub damaged: u64,
}

impl Gc {
    /// Some of both, as much as the budgets allow at this time.
    pub fn step(&mut self, now: Micros, device: &mut dyn Upkeep) -> Result<Done, WriteError> {
        let mut done = Done::default();
        let bytes = self.collecting.at(now);
        if bytes >= STEP_BYTES {
            let spent = self.collect.step(device, bytes, &mut done.damaged)?;
            self.collecting.spend(spent);
        }
        if self.scrubbing.at(now) >= STEP_BYTES {
            let (spent, passed) = self.scrub.step(device, STEP_BYTES, &mut done.damaged);
            self.scrubbing.spend(spent);
            if passed {
                let Scrub { pieces, damaged, .. } = std::mem::take(&mut self.scrub);
                done.passed = Some(Passed { pieces, damaged });
            }
        }
        Ok(done)
    }
}

impl Default for Gc {
    fn default() -> Gc {
        Gc {
            collect: Collect::default(),
            collecting: Budget::new(COLLECT_BYTES),
            scrub: Scrub::default(),
            scrubbing: Budget::new(SCRUB_BYTES),
            deadline: None,
        }
    }
}

impl Extension for Gc {
    fn number(&self) -> u8 {
        2
    }

    fn tick(&mut self, look: &Look, _: &mut Wishes) {
        self.deadline = Some(look.now + EVERY);
    }

    /// It has nothing to say to others, so whatever is said is none of its words.
    fn hear(&mut self, _: &Look, _: (NodeId, Epoch), _: &[u8], _: &mut Wishes) -> Result<(), WireError> {
        Err(WireError::Length)
    }

    fn next_deadline(&self) -> Option<Micros> {
        self.deadline
    }

    fn work(
        &mut self,
        look: &Look,
        device: &mut dyn Upkeep,
        wishes: &mut Wishes,
    ) -> Result<Vec<ReadError>, WriteError> {
        // A replica whose state is about to be replaced needs its room for the new one.
        if look.status.proof != Proof::Proven {
            return Ok(Vec::new());
        }
        let Done { damaged, passed } = self.step(look.now, device)?;
        if let Some(Passed { pieces, damaged }) = passed {
            emit!(wishes, Kind::ScrubPassed { pieces, damaged });
        }
        Ok(damaged)
    }

    fn copy(&self) -> Box<dyn Extension> {
        Box::new(self.clone())
    }
}
