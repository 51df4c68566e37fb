//! How a replica changes its role: it follows, stands, leads, steps down, or loses its vote.

use trace::{Kind, emit};

use crate::guard;
use crate::host::Effect;
use crate::message::*;
use crate::replica::{Replica, Role};
use crate::roles::candidate::{self, Call, Candidate, Support};
use crate::roles::primary::{self, Primary};
use crate::types::*;

impl Replica {
    /// Listens to `primary`, speaking for `epoch`, unless a greater epoch is promised here.
    ///
    /// A greater epoch than the promised one is promised before anything is done in it: a promise forgotten over a
    /// restart could be given again, to an older candidate.
    pub(crate) fn follow(&mut self, primary: NodeId, epoch: Epoch) -> Option<Leader> {
        let promised = self.core.promised;
        if !guard::epoch_fence(self.core.config.mechanisms, promised, epoch) {
            let (from, epoch) = (primary.0, epoch.0);
            emit!(self.core, Kind::StaleEpochRefused { from, epoch, promised: promised.0 });
            self.core.send(Address::Node(primary), Message::Fenced { promised });
            return None;
        }
        self.step_down(epoch);
        if self.core.following != Some(primary) || (self.core.proven && epoch > promised) {
            let epoch_before = promised.0;
            emit!(self.core, Kind::EpochAdopted { epoch_before, epoch: epoch.0, primary: primary.0 });
            // An unproven replica promises nothing before its transfer is done; that makes the epoch its promise.
            if self.core.proven {
                self.core.raise_promise(epoch);
            }
            self.core.following = Some(primary);
        }
        self.core.seen = self.core.seen.max(epoch);
        self.core.give_up_damaged();
        Some(Leader { id: primary, epoch })
    }

    /// Leaves the role of candidate or primary, because `greater` exists. Writes in flight get no answer: they may yet
    /// be committed by a later primary, and the gateway asks again under the same identity.
    fn step_down(&mut self, greater: Epoch) {
        match std::mem::replace(&mut self.role, Role::Backup) {
            Role::Backup => {}
            Role::Candidate(candidate) => {
                let (epoch, why) = (candidate.epoch.0, "a later epoch exists".into());
                emit!(self.core, Kind::TakeoverAbandoned { epoch, why });
            }
            Role::Primary(primary) => {
                emit!(self.core, Kind::SteppedDown { epoch: primary.epoch.0, promised: greater.0 });
                for (gateway, id) in primary.reads.abandoned() {
                    let why = Refusal::NotPrimary { primary: None };
                    primary::refuse(&mut self.core, gateway, Refusable::Read(id), why);
                }
            }
        }
    }

    pub(crate) fn on_take_over(&mut self, call: Call) {
        if call.above > self.core.promised {
            // Whatever it leads is over: somebody promised more.
            self.step_down(call.above);
        }
        // Someone who leads, or stands already, has nothing to take over; the gateway learns it from the status.
        // Nor can one lead whose log does not have what it had, or that nobody would count.
        let outside = !self.core.members.votes(self.core.config.me);
        if outside || self.core.vote_withheld() || self.core.is_short() || !matches!(self.role, Role::Backup)
        {
            return self.tell_status(call.gateway, 0);
        }
        self.role = Role::Candidate(Candidate::stand(&mut self.core, &call));
        self.lead_if_supported();
    }

    /// An extension has the primary leave the lead. Nothing is promised and nothing is cut off: the log stays, and the next
    /// primary commits it. To lead again takes a greater epoch, as for everybody.
    pub(crate) fn on_step_down(&mut self) {
        if self.is_primary() {
            self.step_down(Epoch(0));
            // Whoever asks for the primary must not be sent back here.
            self.core.following = None;
        }
    }

    pub(crate) fn on_promise_request(&mut self, from: NodeId, epoch: Epoch) {
        if let Some(tail) = candidate::grant(&mut self.core, from, epoch) {
            self.step_down(epoch);
            self.core.raise_promise(epoch);
            self.core.effect(Effect::Hold(Address::Node(from), Message::Promised { epoch, tail }));
        }
    }

    pub(crate) fn on_promised(&mut self, from: NodeId, epoch: Epoch, tail: Tail) {
        if let Role::Candidate(candidate) = &mut self.role
            && candidate.epoch == epoch
            && self.core.members.votes(from)
        {
            candidate.on_promised(&mut self.core, from, tail);
            self.lead_if_supported();
        }
    }

    /// Leads with the support of a majority; gives up when a majority can no longer come together.
    fn lead_if_supported(&mut self) {
        let Role::Candidate(candidate) = &self.role else { return };
        match candidate.support(&self.core) {
            Support::Majority => {
                let (epoch, tail) = (candidate.epoch, self.core.log.tail());
                let (tail_epoch, tail) = (tail.epoch.0, tail.seq);
                emit!(self.core, Kind::PrimaryElected { epoch: epoch.0, tail_epoch, tail });
                let primary = Primary::new(&self.core, epoch, candidate.asked_by);
                self.core.following = Some(self.core.config.me);
                primary.mark(&mut self.core);
                self.role = Role::Primary(primary);
            }
            Support::Lost(why) => self.abandon(why),
            Support::Open => {}
        }
    }

    fn abandon(&mut self, why: &str) {
        if let Role::Candidate(candidate) = std::mem::replace(&mut self.role, Role::Backup) {
            emit!(self.core, Kind::TakeoverAbandoned { epoch: candidate.epoch.0, why: why.into() });
            self.tell_status(candidate.asked_by, 0);
        }
    }

    pub(crate) fn candidate_tick(&mut self) {
        if let Role::Candidate(candidate) = &self.role
            && self.core.now >= candidate.gives_up_at
        {
            self.abandon("no majority answered in time");
        }
    }

    /// Somebody promised a greater epoch. A primary or candidate of a lower one cannot go on: that replica would refuse
    /// it for ever. The next takeover picks an epoch above. A candidate that too many refuse in its very epoch need not
    /// wait for its patience to end: two that collided with each other would stand in the way of a third.
    pub(crate) fn on_fenced(&mut self, from: NodeId, promised: Epoch) {
        self.core.seen = self.core.seen.max(promised);
        let own = match &mut self.role {
            Role::Backup => return,
            Role::Candidate(candidate) => {
                candidate.on_fenced(&self.core, from, promised);
                candidate.epoch
            }
            Role::Primary(primary) => primary.epoch,
        };
        if promised > own {
            self.step_down(promised);
        } else {
            self.lead_if_supported();
        }
    }

    /// The primary counted this replica's acknowledgement of entries that its log does not have. Frames overtake one
    /// another, so the primary cannot tell a late refusal from a loss; the own log can: in the epoch in which entries were
    /// acknowledged nothing removes them. The device has lost what it had made durable (its last batch has rotted, or an
    /// older image was put back), and a replica that votes with such a log could elect a primary without them.
    ///
    /// So it stops voting, durably, and becomes the receiver of the next transfer.
    pub(crate) fn on_contradicted(&mut self, from: NodeId, epoch: Epoch, acknowledged: Seq) {
        let lost = self.core.proven
            && self.follow(from, epoch).is_some()
            && self.core.voted_tail().seq < acknowledged;
        if lost {
            emit!(self.core, Kind::VoteLost { acknowledged, last: self.core.log.tail().seq });
            self.core.following = None;
            self.core.proven = false;
            self.core.effect(Effect::Unprove);
        }
    }
}
