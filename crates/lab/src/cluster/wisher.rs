//! An extension that wishes for what a schedule says, whenever it says so.
//!
//! All that an extension can do to its replica is to wish (`node::Wish`). So whatever an extension does of its own, one that
//! wishes for anything at any time does as well; and what holds with this one holds with every other that has no more wishes.
//! A change of the members is none of them: which changes are safe, `membership` itself decides, and runs as it is.

use dataplane::wire::{self, WireError};
use dataplane::{Epoch, GatewayId, Message, Micros, NodeId};
use node::{Extension, Look, Wish, Wishes};

/// Tells its messages from those of other extensions; real ones count from 1.
pub(crate) const NUMBER: u8 = u8::MAX;

/// What it is told to wish for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wished {
    /// That its replica stands, above this epoch.
    Stand(Epoch),
    /// That its replica leaves the lead.
    StepDown,
}

impl Wished {
    /// The message that tells it.
    pub(crate) fn message(self) -> Message {
        let words = wire::encode_value(&match self {
            Wished::Stand(above) => (1u8, above),
            Wished::StepDown => (2, Epoch(0)),
        });
        Message::Extension { extension: NUMBER, epoch: Epoch(0), words }
    }
}

/// It has no state, and does nothing of its own.
#[derive(Clone, Debug)]
pub(crate) struct Wisher;

impl Extension for Wisher {
    fn number(&self) -> u8 {
        NUMBER
    }

    fn tick(&mut self, _: &Look, _: &mut Wishes) {}

    fn hear(&mut self, _: &Look, _: (NodeId, Epoch), _: &[u8], _: &mut Wishes) -> Result<(), WireError> {
        Err(WireError::UnknownVariant(NUMBER))
    }

    fn asked(&mut self, _: &Look, _: GatewayId, words: &[u8], wishes: &mut Wishes) -> Result<(), WireError> {
        wishes.add(match wire::decode_all(words)? {
            // As long as a candidate of a gateway that does not know any better.
            (1u8, above) => Wish::TakeOver(above, 0),
            (2, Epoch(_)) => Wish::StepDown,
            (kind, _) => return Err(WireError::UnknownVariant(kind)),
        });
        Ok(())
    }

    fn next_deadline(&self) -> Option<Micros> {
        None
    }

    fn copy(&self) -> Box<dyn Extension> {
        Box::new(self.clone())
    }
}
