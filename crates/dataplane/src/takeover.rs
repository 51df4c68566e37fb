//! Becoming primary: epoch, promises, the most complete log.
//!
//! The steps, and what each is for:
//!
//! 1. A gateway that suspects the primary asks a replica to take over. It may be wrong, and several may ask at once:
//!    the rules below keep that safe.
//! 2. The candidate picks an epoch greater than any it has heard of and makes its own promise durable, so that it never
//!    supports another candidate of that epoch.
//! 3. It asks the others. A replica promises only a strictly greater epoch than ever before, durably, and answers with
//!    the tail of its log. From then on it refuses older primaries, so the tail can grow no more behind its back.
//! 4. With promises of a majority whose logs are no more complete than its own, the candidate has every committed
//!    entry: one of them took part in each commit.
//! 5. It appends a marker in its own epoch, and serves once that is committed: only then does it know which of its older
//!    entries are.

use std::collections::{BTreeMap, BTreeSet};

use trace::{Kind, Tracer, emit};

use crate::guard;
use crate::message::*;
use crate::patience::PATIENCE_MAX;
use crate::primary::Primary;
use crate::replica::{Effect, Replica, Role};
use crate::types::*;

/// A candidate's knowledge.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Candidate {
    pub epoch: Epoch,
    pub gives_up_at: Micros,
    pub asked_by: GatewayId,
    /// Who promised, and where their logs end; the candidate included.
    promises: BTreeMap<NodeId, Tail>,
    /// Who will not promise this epoch.
    refusals: BTreeSet<NodeId>,
}

impl Replica {
    /// `above` is the greatest epoch that the gateway has heard of: an attempt below it would only be fenced. `patience` is
    /// how long the gateway will wait, which knows what syncs and round trips take in this cluster.
    pub(crate) fn on_take_over(
        &mut self,
        now: Micros,
        gateway: GatewayId,
        above: Epoch,
        patience: Micros,
        t: &mut Tracer,
    ) {
        if above > self.promised {
            // Whatever it leads is over: somebody promised more.
            self.step_down(above, t);
        }
        // Someone who leads, or stands already, has nothing to take over; the gateway learns it from the status.
        // Nor can one lead whose log does not have what it had.
        if self.vote_withheld() || self.is_short() || !matches!(self.role, Role::Backup) {
            return self.tell_status(now, gateway, 0);
        }
        let epoch = Epoch(self.seen.max(above).0 + 1);
        emit!(t, Kind::TakeoverStarted { epoch_before: self.promised.0, epoch: epoch.0 });
        // The others are asked before the own promise is durable, so that all sync at the same time. If the candidate dies
        // in between and forgets, nothing is lost: it has counted no answer yet, since the effects behind this one wait for
        // the sync. A promise that was given to it and arrives in its next life was given to the same node for the same
        // epoch, by a log that cannot have grown meanwhile: it may count.
        for peer in self.peers() {
            self.send(Address::Node(peer), Message::PromiseRequest { epoch });
        }
        self.raise_promise(epoch);
        let promises = BTreeMap::from([(self.config.me, self.log.tail())]);
        let gives_up_at = now + self.config.timing.candidate_patience.max(patience.min(PATIENCE_MAX));
        let refusals = BTreeSet::new();
        self.role = Role::Candidate(Candidate { epoch, gives_up_at, asked_by: gateway, promises, refusals });
        self.lead_if_supported(now, t);
    }

    pub(crate) fn on_promise_request(&mut self, from: NodeId, epoch: Epoch, t: &mut Tracer) {
        if self.vote_withheld() {
            emit!(t, Kind::VoteWithheld { to: from.0, why: "its log is unproven".into() });
            return self.send(Address::Node(from), Message::Fenced { promised: epoch });
        }
        if !guard::one_candidate_per_epoch(self.config.mechanisms, self.promised, epoch) {
            emit!(
                t,
                Kind::PromiseRefused {
                    to: from.0,
                    epoch: epoch.0,
                    promised: self.promised.0,
                    why: format!("epoch {} is promised already", self.promised.0)
                }
            );
            return self.send(Address::Node(from), Message::Fenced { promised: self.promised });
        }
        let now = self.voted_tail();
        let tail = guard::tail_with_promise(self.config.mechanisms, now, self.reported);
        emit!(
            t,
            Kind::PromiseGranted {
                to: from.0,
                epoch_before: self.promised.0,
                epoch: epoch.0,
                tail_epoch: tail.epoch.0,
                tail_seq: tail.seq
            }
        );
        self.step_down(epoch, t);
        self.raise_promise(epoch);
        self.effect(Effect::Hold(Address::Node(from), Message::Promised { epoch, tail }));
    }

    pub(crate) fn on_promised(
        &mut self,
        now: Micros,
        from: NodeId,
        epoch: Epoch,
        tail: Tail,
        t: &mut Tracer,
    ) {
        let members = self.config.members.len();
        let Role::Candidate(candidate) = &mut self.role else { return };
        if candidate.epoch != epoch {
            return;
        }
        // A copy of the request may have been refused before.
        candidate.refusals.remove(&from);
        candidate.promises.insert(from, tail);
        emit!(
            t,
            Kind::PromiseCounted {
                from: from.0,
                epoch: epoch.0,
                have: candidate.promises.len() as u32,
                need: guard::majority(members) as u32
            }
        );
        self.lead_if_supported(now, t);
    }

    /// Leads with the support of a majority; gives up when a majority can no longer come together.
    fn lead_if_supported(&mut self, now: Micros, t: &mut Tracer) {
        let Role::Candidate(candidate) = &self.role else { return };
        let (on, members, own) = (self.config.mechanisms, self.config.members.len(), self.log.tail());
        let supports = |tail: &&Tail| guard::most_complete_log(on, own, **tail);
        let supporters = candidate.promises.values().filter(supports).count();
        let more_complete = candidate.promises.len() - supporters;
        let lost = more_complete + candidate.refusals.len();
        if guard::promise_majority(on, supporters, members) {
            self.lead(now, t);
        } else if lost > members - guard::majority(members) {
            let why = if more_complete > 0 { "another log is more complete" } else { "too many refused" };
            self.abandon(now, why.into(), t);
        }
    }

    fn lead(&mut self, now: Micros, t: &mut Tracer) {
        let Role::Candidate(candidate) = std::mem::replace(&mut self.role, Role::Backup) else { return };
        let tail = self.log.tail();
        emit!(t, Kind::PrimaryElected { epoch: candidate.epoch.0, tail: tail.seq });
        let pending = self.unapplied.iter().filter_map(|origin| match origin {
            Origin::Request(request) => Some(*request),
            Origin::Marker | Origin::Session(_) => None,
        });
        let marked = guard::epoch_marker(self.config.mechanisms);
        let mut primary = Primary::new(&candidate, tail.seq, pending.collect(), self.peers(), now);
        primary.serving = !marked;
        self.following = Some(self.config.me);
        self.role = Role::Primary(primary);
        if marked {
            let (seq, epoch) = (tail.seq + 1, candidate.epoch);
            self.append(Entry { seq, epoch, origin: Origin::Marker, op: Op::Nop }, t);
        }
    }

    fn abandon(&mut self, now: Micros, why: String, t: &mut Tracer) {
        if let Role::Candidate(candidate) = std::mem::replace(&mut self.role, Role::Backup) {
            emit!(t, Kind::TakeoverAbandoned { epoch: candidate.epoch.0, why });
            self.tell_status(now, candidate.asked_by, 0);
        }
    }

    pub(crate) fn candidate_tick(&mut self, now: Micros, t: &mut Tracer) {
        if let Role::Candidate(candidate) = &self.role
            && now >= candidate.gives_up_at
        {
            self.abandon(now, "no majority answered in time".into(), t);
        }
    }

    /// Somebody promised a greater epoch. A primary or candidate of a lower one cannot go on: that replica would refuse
    /// it for ever. The next takeover picks an epoch above. A candidate that too many refuse in its very epoch need not
    /// wait for its patience to end: two that collided with each other would stand in the way of a third.
    pub(crate) fn on_fenced(&mut self, now: Micros, from: NodeId, promised: Epoch, t: &mut Tracer) {
        self.seen = self.seen.max(promised);
        let own = match &mut self.role {
            Role::Backup => return,
            Role::Candidate(candidate) => {
                if candidate.epoch == promised && !candidate.promises.contains_key(&from) {
                    candidate.refusals.insert(from);
                }
                candidate.epoch
            }
            Role::Primary(primary) => primary.epoch,
        };
        if promised > own {
            self.step_down(promised, t);
        } else {
            self.lead_if_supported(now, t);
        }
    }
}
