//! Confirming that the primary still is one, for reads.
//!
//! Without it a primary that was paused, or cut off, answers from the past: others may have promised a greater epoch
//! and committed newer values meanwhile. So a read waits until a majority has said, *after* the read arrived, that it
//! promised nothing greater: at that moment no newer primary can have committed anything, and what this one has
//! committed is all there is (Raft section 6.4; the dissertation calls it ReadIndex).
//!
//! One round serves all reads that wait for it, and a confirmation of a later round confirms the earlier ones.

use std::collections::{BTreeMap, VecDeque};

use trace::{Kind, emit};

use crate::core::Core;
use crate::guard;
use crate::host::Effect;
use crate::message::*;
use crate::types::*;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Waiting {
    gateway: GatewayId,
    id: u64,
    query: Query,
    /// The round that must be confirmed: one that began after the read arrived.
    round: u64,
}

/// A primary's reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Reads {
    waiting: VecDeque<Waiting>,
    /// The last round that began.
    begun: u64,
    begun_at: Micros,
    /// The last round each peer confirmed.
    confirmed: BTreeMap<NodeId, u64>,
}

impl Reads {
    /// What holds of the reads of every primary.
    pub fn check(&self) {
        let (first, last) = (self.waiting.front(), self.waiting.back());
        let (first, last) = (first.map(|read| read.round), last.map(|read| read.round));
        assert!(first <= last, "P2: reads wait in the order of their arrival");
        assert!(last <= Some(self.next_round()), "P2: a read waits for a round after the next");
        let asked = self.confirmed.values().all(|round| *round <= self.begun);
        assert!(asked, "P2: a round was confirmed that never began");
    }

    /// The last round that a majority confirmed; the primary counts itself, unless it was removed.
    fn confirmed_round(&self, core: &Core) -> u64 {
        let of = |peer| self.confirmed.get(&peer).copied().unwrap_or(0);
        let of = |node| if node == core.config.me { self.begun } else { of(node) };
        let marks: Vec<u64> = core.members.voters().map(of).collect();
        guard::majority_mark(&marks)
    }

    /// Who is to be told that no answer comes.
    pub fn abandoned(self) -> impl Iterator<Item = (GatewayId, u64)> {
        self.waiting.into_iter().map(|read| (read.gateway, read.id))
    }

    /// The round that a question asked now has to wait for; it begins with the next batch.
    fn next_round(&self) -> u64 {
        self.begun + 1
    }

    /// When the current round has to be asked for again.
    pub fn resend_at(&self, after: Micros) -> Option<Micros> {
        (!self.waiting.is_empty()).then_some(self.begun_at + after)
    }

    /// A read arrives at a primary that serves.
    pub fn on_read(&mut self, core: &mut Core, gateway: GatewayId, id: u64, query: Query) {
        let on = core.config.mechanisms;
        if !guard::backpressure(on, self.waiting.len() as u64, core.config.timing.waiting_max) {
            let (what, why) = (Refusable::Read(id), Refusal::Busy);
            return core.send(Address::Gateway(gateway), Message::Refused { what, why });
        }
        if !guard::read_confirmation(on) {
            return core.effect(Effect::Read { gateway, id, query });
        }
        let round = self.next_round();
        emit!(core, Kind::ReadWaiting { gateway: gateway.gateway, id, round });
        self.waiting.push_back(Waiting { gateway, id, query, round });
    }

    /// Begins a round if a read waits for one that has not begun.
    pub fn settle(&mut self, core: &mut Core, epoch: Epoch) {
        let next = self.next_round();
        if self.waiting.back().is_none_or(|read| read.round != next) {
            return;
        }
        self.begun = next;
        self.ask(core, epoch);
        self.answer(core, epoch);
    }

    /// Asks again, if a round takes too long.
    pub fn tick(&mut self, core: &mut Core, epoch: Epoch) {
        if self.resend_at(core.config.timing.resend_after).is_some_and(|at| core.now >= at) {
            self.ask(core, epoch);
        }
    }

    fn ask(&mut self, core: &mut Core, epoch: Epoch) {
        self.begun_at = core.now;
        let round = self.begun;
        emit!(core, Kind::ConfirmationAsked { round, epoch: epoch.0 });
        core.peers().for_each(|peer| core.send(Address::Node(peer), Message::Confirm { epoch, round }));
    }

    /// A backup has promised nothing beyond this epoch; true if that is an answer to a question that was asked.
    pub fn on_confirmed(&mut self, from: NodeId, round: u64) -> bool {
        if round > self.begun {
            return false;
        }
        let known = self.confirmed.entry(from).or_default();
        *known = (*known).max(round);
        true
    }

    /// Answers the reads whose round is confirmed. The primary has applied everything it committed, and it committed
    /// everything that was ever acknowledged in its epoch or before: its marker is committed.
    pub fn answer(&mut self, core: &mut Core, epoch: Epoch) {
        let confirmed = self.confirmed_round(core);
        if core.applied < core.commit || self.waiting.front().is_none_or(|read| read.round > confirmed) {
            return;
        }
        emit!(core, Kind::ReadConfirmed { round: confirmed, epoch: epoch.0 });
        let ready = self.waiting.iter().take_while(|read| read.round <= confirmed).count();
        for Waiting { gateway, id, query, .. } in self.waiting.drain(..ready) {
            core.effect(Effect::Read { gateway, id, query });
        }
    }
}
