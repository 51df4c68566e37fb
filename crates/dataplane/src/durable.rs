//! What may leave only after a sync, made a matter of types.
//!
//! Without it: (1) a backup appends an entry and acknowledges; (2) the primary counts the majority and tells the client
//! OK; (3) power fails everywhere before the backup's sync; (4) the entry is on the primary alone, and a takeover by the
//! backup loses it.
//!
//! So a message that speaks of a write is wrapped in [`Held`], and the only way to its content is [`Held::release`],
//! which wants a [`Durable`]; and a `Durable` is made in one place, [`guard::durable_ack`](crate::guard::durable_ack),
//! from the receipt of a sync.

use crate::message::Message;
use crate::types::{Address, Seq};

/// Proof that the device has synced everything up to `position`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Durable {
    position: u64,
    seq: Seq,
}

impl Durable {
    /// Only `guard::durable_ack` calls this.
    pub(crate) fn minted(position: u64, seq: Seq) -> Durable {
        Durable { position, seq }
    }

    /// The last entry that is durable.
    pub fn seq(&self) -> Seq {
        self.seq
    }
}

/// A message that waits for a sync.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Held {
    needs: u64,
    to: Address,
    message: Message,
    cause: Option<trace::EventId>,
}

impl Held {
    /// `message` to `to`, not to be seen before the device has synced everything up to `position`.
    pub fn until(position: u64, to: Address, message: Message, cause: Option<trace::EventId>) -> Held {
        Held { needs: position, to, message, cause }
    }

    /// The message, if the proof covers it.
    #[expect(clippy::result_large_err, reason = "a message that is not covered is given back whole")]
    pub fn release(self, proof: &Durable) -> Result<(Address, Message, Option<trace::EventId>), Held> {
        if self.needs <= proof.position { Ok((self.to, self.message, self.cause)) } else { Err(self) }
    }

    /// Takes over a later acknowledgement of the same epoch to the same primary: acknowledgements are cumulative, so
    /// one frame tells both. Gives `other` back if it is something else.
    #[expect(clippy::result_large_err, reason = "what is not absorbed is given back whole")]
    pub fn absorb(&mut self, other: Held) -> Result<(), Held> {
        match (&mut self.message, &other.message) {
            (Message::PrepareOk { epoch, matched }, Message::PrepareOk { epoch: e, matched: m })
                if self.to == other.to && epoch == e =>
            {
                *matched = (*matched).max(*m);
                self.needs = self.needs.max(other.needs);
                self.cause = other.cause.or(self.cause);
                Ok(())
            }
            _ => Err(other),
        }
    }
}
