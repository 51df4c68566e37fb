//! How a replica changes its role: it follows, stands, leads, steps down, or may not vote any more.

use trace::{Kind, Tracer, emit};

use crate::guard;
use crate::host::Effect;
use crate::message::*;
use crate::replica::{Replica, Role};
use crate::roles::candidate::{self, Call, Candidate, Support};
use crate::roles::primary::Primary;
use crate::types::*;

impl Replica {
    /// Listens to `primary`, speaking for `epoch`; false if a greater epoch is promised here.
    ///
    /// A greater epoch than the promised one is promised before anything is done in it: a promise forgotten over a
    /// restart could be given again, to an older candidate.
    pub(crate) fn follow(&mut self, primary: NodeId, epoch: Epoch, t: &mut Tracer) -> bool {
        if !guard::epoch_fence(self.core.config.mechanisms, self.core.promised, epoch) {
            emit!(
                t,
                Kind::StaleEpochRefused { from: primary.0, epoch: epoch.0, promised: self.core.promised.0 }
            );
            self.core.send(Address::Node(primary), Message::Fenced { promised: self.core.promised });
            return false;
        }
        self.step_down(epoch, t);
        if self.core.following != Some(primary) || (self.core.proven && epoch > self.core.promised) {
            emit!(
                t,
                Kind::EpochAdopted { epoch_before: self.core.promised.0, epoch: epoch.0, primary: primary.0 }
            );
            // An unproven replica promises nothing before its transfer is done; that makes the epoch its promise.
            if self.core.proven {
                self.core.raise_promise(epoch);
            }
            self.core.following = Some(primary);
        }
        self.core.seen = self.core.seen.max(epoch);
        self.core.give_up_damaged();
        true
    }

    /// Leaves the role of candidate or primary, because `greater` exists. Writes in flight get no answer: they may yet
    /// be committed by a later primary, and the gateway asks again under the same identity.
    fn step_down(&mut self, greater: Epoch, t: &mut Tracer) {
        match std::mem::replace(&mut self.role, Role::Backup) {
            Role::Backup => {}
            Role::Candidate(candidate) => {
                emit!(
                    t,
                    Kind::TakeoverAbandoned {
                        epoch: candidate.epoch.0,
                        why: format!("epoch {} exists", greater.0)
                    }
                );
            }
            Role::Primary(primary) => {
                emit!(t, Kind::SteppedDown { epoch: primary.epoch.0, promised: greater.0 });
                for (gateway, id) in primary.reads.abandoned() {
                    let why = Refusal::NotPrimary { primary: None };
                    self.core
                        .send(Address::Gateway(gateway), Message::Refused { what: Refusable::Read(id), why });
                }
            }
        }
    }

    pub(crate) fn on_take_over(&mut self, now: Micros, call: Call, t: &mut Tracer) {
        if call.above > self.core.promised {
            // Whatever it leads is over: somebody promised more.
            self.step_down(call.above, t);
        }
        // Someone who leads, or stands already, has nothing to take over; the gateway learns it from the status.
        // Nor can one lead whose log does not have what it had.
        if self.core.vote_withheld() || self.core.is_short() || !matches!(self.role, Role::Backup) {
            return self.tell_status(now, call.gateway, 0);
        }
        self.role = Role::Candidate(Candidate::stand(&mut self.core, now, &call, t));
        self.lead_if_supported(now, t);
    }

    pub(crate) fn on_promise_request(&mut self, from: NodeId, epoch: Epoch, t: &mut Tracer) {
        if let Some(tail) = candidate::grant(&mut self.core, from, epoch, t) {
            self.step_down(epoch, t);
            self.core.raise_promise(epoch);
            self.core.effect(Effect::Hold(Address::Node(from), Message::Promised { epoch, tail }));
        }
    }

    pub(crate) fn on_promised(
        &mut self,
        now: Micros,
        from: NodeId,
        epoch: Epoch,
        tail: Tail,
        t: &mut Tracer,
    ) {
        if let Role::Candidate(candidate) = &mut self.role
            && candidate.epoch == epoch
        {
            candidate.on_promised(&self.core, from, tail, t);
            self.lead_if_supported(now, t);
        }
    }

    /// Leads with the support of a majority; gives up when a majority can no longer come together.
    fn lead_if_supported(&mut self, now: Micros, t: &mut Tracer) {
        let Role::Candidate(candidate) = &self.role else { return };
        match candidate.support(&self.core) {
            Support::Majority => {
                let (epoch, gateway, tail) = (candidate.epoch, candidate.asked_by, self.core.log.tail().seq);
                emit!(t, Kind::PrimaryElected { epoch: epoch.0, tail });
                let primary = Primary::new(&self.core, epoch, gateway, now);
                self.core.following = Some(self.core.config.me);
                primary.mark(&mut self.core, t);
                self.role = Role::Primary(primary);
            }
            Support::Lost(why) => self.abandon(now, why.into(), t),
            Support::Open => {}
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
        self.core.seen = self.core.seen.max(promised);
        let own = match &mut self.role {
            Role::Backup => return,
            Role::Candidate(candidate) => {
                candidate.on_fenced(from, promised);
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

    /// The primary counted this replica's acknowledgement of entries that its log does not have. Frames overtake one
    /// another, so the primary cannot tell a late refusal from a loss; the own log can: in the epoch in which entries were
    /// acknowledged nothing removes them. The device has lost what it had made durable (its last batch has rotted, or an
    /// older image was put back), and a replica that votes with such a log could elect a primary without them.
    pub(crate) fn on_contradicted(&mut self, from: NodeId, epoch: Epoch, acknowledged: Seq, t: &mut Tracer) {
        if self.core.proven && self.follow(from, epoch, t) && self.core.voted_tail().seq < acknowledged {
            let last = self.core.log.tail().seq;
            self.unprove(
                &format!("it acknowledged entries up to {acknowledged} and its log ends at {last}: its device lost them"),
                t,
            );
        }
    }

    /// This replica has forgotten something, or is about to: it stops voting, durably, and becomes the receiver of the
    /// next transfer. A primary leaves its role first, for whoever has the data whole.
    fn unprove(&mut self, why: &str, t: &mut Tracer) {
        if self.core.proven {
            emit!(t, Kind::VoteWithheld { to: 0, why: why.to_string() });
            self.step_down(self.core.promised, t);
            self.core.following = None;
            self.core.proven = false;
            self.core.effect(Effect::Unprove);
        }
    }
}
