//! What may leave only after a sync, made a matter of types.
//!
//! Without it: (1) a backup appends an entry and acknowledges; (2) the primary counts the majority and tells the client
//! OK; (3) power fails everywhere before the backup's sync; (4) the entry is on the primary alone, and a takeover by the
//! backup loses it.
//!
//! So a message that speaks of a write is wrapped in [`Held`], and the only way to its content is [`Held::release`],
//! which wants a [`Durable`]; and a `Durable` is made in one place, [`guard::durable_ack`](crate::guard::durable_ack),
//! from a [`Receipt`]: the engine makes its own only where a sync has returned, in a batch, at open and after an install.

use crate::message::Message;
use crate::types::{Address, Receipt, Seq};

/// What a device has taken, durable or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Where its log ends.
    pub position: u64,
    /// The last entry in it.
    pub seq: Seq,
}

/// Proof that the device has synced everything up to `position`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Durable {
    position: u64,
    seq: Seq,
}

impl Durable {
    /// Only `guard::durable_ack` calls this.
    pub(crate) fn of(receipt: &impl Receipt) -> Durable {
        Durable { position: receipt.position(), seq: receipt.seq() }
    }

    /// No proof of anything: what the guard goes by when it is switched off.
    pub(crate) fn hoped(appended: Appended) -> Durable {
        Durable { position: appended.position, seq: appended.seq }
    }

    /// The last entry that is durable.
    pub fn seq(&self) -> Seq {
        self.seq
    }
}

/// A message that may leave, and why it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Released {
    /// To whom.
    pub to: Address,
    /// What is said.
    pub message: Message,
    /// The event that it follows from, when somebody listens.
    pub cause: Option<trace::EventId>,
}

/// A message that waits for a sync.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Held {
    needs: u64,
    content: Released,
}

impl Held {
    /// Not to be seen before the device has synced everything up to `position`.
    pub fn until(position: u64, content: Released) -> Held {
        Held { needs: position, content }
    }

    /// What is to be said, to look at.
    pub fn content(&self) -> &Released {
        &self.content
    }

    /// Does the proof cover it?
    pub fn is_covered(&self, proof: &Durable) -> bool {
        self.needs <= proof.position
    }

    /// The message, if the proof covers it.
    #[expect(clippy::result_large_err, reason = "a message that is not covered is given back whole")]
    pub fn release(self, proof: &Durable) -> Result<Released, Held> {
        if self.is_covered(proof) { Ok(self.content) } else { Err(self) }
    }

    /// Waits with the others. Acknowledgements of one epoch to one primary are cumulative, so one frame tells several.
    pub fn join(self, others: &mut Vec<Held>) {
        let Message::PrepareOk { epoch, matched } = self.content.message else { return others.push(self) };
        for other in &mut *others {
            if let Message::PrepareOk { epoch: same, matched: upto } = &mut other.content.message
                && *same == epoch
                && other.content.to == self.content.to
            {
                *upto = matched.max(*upto);
                other.needs = self.needs.max(other.needs);
                other.content.cause = self.content.cause.or(other.content.cause);
                return;
            }
        }
        others.push(self);
    }
}
