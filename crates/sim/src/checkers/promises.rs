//! D3: a promise never goes back, over any restart.
//!
//! A promise counts from the moment that a frame speaks of it: then somebody may rely on it. A candidate's request does not
//! speak of its own promise, which it is still making durable; a primary's entries do.

use dataplane::{Epoch, Message};

use super::sight::{Finding, Sight, broken};

/// The greatest epoch of which each replica has spoken.
pub(super) struct Promises {
    spoken: Vec<Epoch>,
}

impl Promises {
    pub fn new(seats: usize) -> Promises {
        Promises { spoken: vec![Epoch(0); seats] }
    }

    pub fn spoken(&mut self, seat: usize, message: &Message) {
        let epoch = match message {
            Message::Promised { epoch, .. }
            | Message::Prepare { epoch, .. }
            | Message::PrepareOk { epoch, .. }
            | Message::Confirmed { epoch, .. } => *epoch,
            _ => return,
        };
        self.spoken[seat] = self.spoken[seat].max(epoch);
    }

    pub fn forgotten(&mut self, seat: usize) {
        self.spoken[seat] = Epoch(0);
    }

    pub fn opened(&mut self, sight: &Sight) -> Finding {
        let spoken = self.spoken[sight.seat];
        if sight.proven && sight.promised < spoken {
            return broken(
                "promises",
                "D3",
                1,
                format!(
                    "{} promised epoch {}, and knows only of {} after its restart",
                    sight.node, spoken.0, sight.promised.0
                ),
            );
        }
        Ok(())
    }
}
