//! Confirming that the primary still is one, for reads.
//!
//! Without it a primary that was paused, or cut off, answers from the past: others may have promised a greater epoch
//! and committed newer values meanwhile. So a read waits until a majority has said, *after* the read arrived, that it
//! promised nothing greater: at that moment no newer primary can have committed anything, and what this one has
//! committed is all there is (Raft section 6.4; the dissertation calls it ReadIndex).
//!
//! One round serves all reads that wait for it, and a confirmation of a later round confirms the earlier ones.

use std::collections::{BTreeMap, VecDeque};

use trace::{Kind, Tracer, emit};

use crate::guard;
use crate::message::*;
use crate::replica::{Effect, Replica, Role};
use crate::types::*;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Waiting {
    gateway: GatewayId,
    id: u64,
    query: Query,
    /// The round that must be confirmed: one that began after the read arrived.
    round: u64,
    cause: Option<trace::EventId>,
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
    /// The last round that a majority confirmed; the primary counts itself.
    fn confirmed_round(&self, members: usize) -> u64 {
        let need = guard::majority(members) - 1;
        let mut rounds: Vec<u64> = self.confirmed.values().copied().collect();
        rounds.sort_unstable_by(|a, b| b.cmp(a));
        match need {
            0 => self.begun,
            _ => rounds.get(need - 1).copied().unwrap_or(0),
        }
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
}

impl Replica {
    pub(crate) fn on_read(&mut self, gateway: GatewayId, id: u64, query: Query, t: &mut Tracer) {
        let max = self.config.timing.waiting_max;
        let refusal = match &self.role {
            Role::Primary(primary) if !primary.serving => Some(Refusal::NotServing),
            Role::Primary(primary) => {
                let room =
                    guard::backpressure(self.config.mechanisms, primary.reads.waiting.len() as u64, max);
                (!room).then_some(Refusal::Busy)
            }
            Role::Backup | Role::Candidate(_) => Some(Refusal::NotPrimary { primary: self.following }),
        };
        if let Some(why) = refusal {
            return self.send(Address::Gateway(gateway), Message::Refused { what: Refusable::Read(id), why });
        }
        if !guard::read_confirmation(self.config.mechanisms) {
            return self.effect(Effect::Read { gateway, id, query });
        }
        if let Role::Primary(primary) = &mut self.role {
            let round = primary.reads.next_round();
            emit!(t, Kind::ReadWaiting { id, round });
            primary.reads.waiting.push_back(Waiting { gateway, id, query, round, cause: t.cause() });
        }
    }

    /// Begins a round if a read waits for one that has not begun.
    pub(crate) fn reads_settle(&mut self, now: Micros, t: &mut Tracer) {
        let Role::Primary(primary) = &mut self.role else { return };
        let next = primary.reads.next_round();
        if primary.reads.waiting.back().is_none_or(|read| read.round != next) {
            return;
        }
        primary.reads.begun = next;
        self.send_confirm(now);
        self.answer_reads(t);
    }

    pub(crate) fn reads_tick(&mut self, now: Micros) {
        let after = self.config.timing.resend_after;
        if let Role::Primary(primary) = &self.role
            && primary.reads.resend_at(after).is_some_and(|at| now >= at)
        {
            self.send_confirm(now);
        }
    }

    fn send_confirm(&mut self, now: Micros) {
        let Role::Primary(primary) = &mut self.role else { return };
        primary.reads.begun_at = now;
        let (epoch, round) = (primary.epoch, primary.reads.begun);
        for peer in self.peers() {
            self.send(Address::Node(peer), Message::Confirm { epoch, round });
        }
    }

    pub(crate) fn on_confirm(&mut self, from: NodeId, epoch: Epoch, round: u64, t: &mut Tracer) {
        if !self.follow(from, epoch, t) || self.vote_withheld() {
            return;
        }
        emit!(t, Kind::EpochConfirmed { to: from.0, epoch: epoch.0, round });
        self.send(Address::Node(from), Message::Confirmed { epoch, round });
    }

    pub(crate) fn on_confirmed(
        &mut self,
        now: Micros,
        from: NodeId,
        epoch: Epoch,
        round: u64,
        t: &mut Tracer,
    ) {
        let Role::Primary(primary) = &mut self.role else { return };
        if primary.epoch != epoch || round > primary.reads.begun {
            return;
        }
        let known = primary.reads.confirmed.entry(from).or_default();
        *known = (*known).max(round);
        primary.heard(from, now);
        self.answer_reads(t);
    }

    /// Answers the reads whose round is confirmed. The primary has applied everything it committed, and it committed
    /// everything that was ever acknowledged in its epoch or before: its marker is committed.
    pub(crate) fn answer_reads(&mut self, t: &mut Tracer) {
        let (members, applied, commit) = (self.config.members.len(), self.applied, self.commit);
        let Role::Primary(primary) = &mut self.role else { return };
        let confirmed = primary.reads.confirmed_round(members);
        if applied < commit || primary.reads.waiting.front().is_none_or(|read| read.round > confirmed) {
            return;
        }
        emit!(t, Kind::ReadConfirmed { round: confirmed, epoch: primary.epoch.0 });
        let ready = primary.reads.waiting.iter().take_while(|read| read.round <= confirmed).count();
        let answers: Vec<Waiting> = primary.reads.waiting.drain(..ready).collect();
        for Waiting { gateway, id, query, cause, .. } in answers {
            t.also(cause);
            self.effect(Effect::Read { gateway, id, query });
        }
    }
}
