//! The primary: it gives each write its place in the log, sends the log to its backups, and commits what a majority
//! has durable.
//!
//! Entries go out before the primary's own sync has returned, and again as soon as a backup's window has room: nobody
//! waits for anybody's disk but in the count.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use trace::{Kind, emit};

use crate::core::Core;
use crate::guard;
use crate::host::{Effect, Fits, Timing};
use crate::message::*;
use crate::roles::peer::{Mismatch, Next, Peer};
use crate::roles::reads::Reads;
use crate::roles::sender::{Pull, Senders};
use crate::sessions::Verdict;
use crate::types::*;
use crate::wire::Code;

/// A primary's knowledge.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Primary {
    pub epoch: Epoch,
    pub asked_by: Option<GatewayId>,
    /// Its first entry in this epoch; once it is committed, the primary serves.
    marker: Seq,
    pub serving: bool,
    peers: BTreeMap<NodeId, Peer>,
    /// Requests in the log that are not applied yet: a repetition of one waits for the same result.
    pending: BTreeSet<RequestId>,
    pub reads: Reads,
    senders: Senders,
}

impl Primary {
    /// Takes the lead in an epoch that a majority has promised.
    pub fn new(core: &Core, epoch: Epoch, asked_by: Option<GatewayId>) -> Primary {
        let next = core.log.tail().seq + 1;
        let pending = core.unapplied.iter().filter_map(|origin| match origin {
            Origin::Request(request) => Some(*request),
            Origin::Marker | Origin::Session(_) | Origin::Change(_) => None,
        });
        Primary {
            epoch,
            asked_by,
            marker: next,
            serving: !guard::epoch_marker(core.config.mechanisms),
            peers: core.peers().map(|id| (id, Peer::new(next, core.now))).collect(),
            pending: pending.collect(),
            reads: Reads::default(),
            senders: Senders::default(),
        }
    }

    /// For how long no majority has been heard.
    pub fn cut_off(&self, core: &Core, now: Micros) -> Micros {
        now.saturating_sub(guard::majority_mark(&self.marks(core, Micros::MAX, |peer| peer.heard_at)))
    }

    /// The marks of all that count: the primary's own first, while it is one of them; else the greatest, for none of the others
    /// has to be among a majority.
    fn marks(&self, core: &Core, own: u64, of: impl Fn(&Peer) -> u64) -> Vec<u64> {
        let (on, votes) = (core.config.mechanisms, core.members.votes(core.config.me));
        let own = guard::removed_does_not_count(on, votes).then_some(own);
        let voters = self.peers.iter().filter(|(id, _)| core.members.votes(**id));
        let mut others: Vec<u64> = voters.map(|(_, peer)| of(peer)).collect();
        others.sort_unstable_by_key(|mark| Reverse(*mark));
        // Counted although it was removed, it stands where one of those stands that are left.
        own.into_iter().chain(others).take(core.members.voters().count()).collect()
    }

    /// The members have changed: who is new is sent everything, who is gone nothing.
    pub fn meet(&mut self, core: &Core) {
        let next = core.log.tail().seq + 1;
        self.peers.retain(|id, _| core.members.membership(*id).is_some_and(|is| is != Membership::Gone));
        for id in core.peers() {
            self.peers.entry(id).or_insert_with(|| Peer::new(next, core.now));
        }
    }

    /// How far each of the others is known to be.
    pub fn progress(&self) -> impl Iterator<Item = Progress> + '_ {
        self.peers.iter().map(|(id, peer)| Progress {
            node: *id,
            matched: peer.matched,
            heard_at: peer.heard_at,
        })
    }

    pub fn next_deadline(&self, timing: &Timing) -> Option<Micros> {
        let heartbeat = self.peers.values().map(|peer| peer.sent_at + timing.heartbeat_every).min();
        heartbeat.into_iter().chain(self.reads.resend_at(timing.resend_after)).min()
    }

    /// The entry that makes it serve, as soon as it is committed.
    pub fn mark(&self, core: &mut Core) {
        if guard::epoch_marker(core.config.mechanisms) {
            core.append_own(self.epoch, Origin::Marker, Op::Nop);
        }
    }

    pub fn on_write(&mut self, core: &mut Core, gateway: GatewayId, request: RequestId, op: Op, fits: Fits) {
        if let Some(why) = self.refusal(core, &op) {
            return refuse(core, gateway, Refusable::Write(request), why);
        }
        match core.sessions.verdict(core.config.mechanisms, request) {
            Verdict::Repeated(outcome) => self.answer_write(core, request, WriteResult::Done(outcome)),
            Verdict::Unknown => {
                let result = WriteResult::SessionUnknown(core.sessions.remembered_from(request));
                core.send(Address::Gateway(gateway), Message::Answer { request, result });
            }
            Verdict::Fresh if self.pending.contains(&request) => {}
            // Where a checkpoint gives room, it is waited for.
            Verdict::Fresh if fits.entries == 0 => {
                refuse(core, gateway, Refusable::Write(request), Refusal::Busy)
            }
            Verdict::Fresh => {
                self.pending.insert(request);
                let op = if fits.never { Op::Nop } else { op };
                core.append_own(self.epoch, Origin::Request(request), op);
            }
        }
    }

    pub fn on_open_session(&mut self, core: &mut Core, gateway: GatewayId, fits: Fits) {
        let full = (fits.entries == 0).then_some(Refusal::Busy);
        match self.refusal(core, &Op::Nop).or(full) {
            Some(why) => refuse(core, gateway, Refusable::OpenSession, why),
            None => core.append_own(self.epoch, Origin::Session(gateway), Op::Nop),
        }
    }

    pub fn on_read(&mut self, core: &mut Core, gateway: GatewayId, id: u64, query: Query) {
        if self.serving {
            self.reads.on_read(core, gateway, id, query);
        } else {
            refuse(core, gateway, Refusable::Read(id), Refusal::NotServing);
        }
    }

    pub fn on_confirmed(&mut self, core: &mut Core, from: NodeId, epoch: Epoch, round: u64) {
        let Some(peer) = self.peers.get_mut(&from).filter(|_| epoch == self.epoch) else { return };
        if self.reads.on_confirmed(from, round) {
            peer.heard_at = core.now;
            self.reads.answer(core, epoch);
        }
    }

    /// A primary that does not serve yet gives its state as well: it may need the receiver to commit its marker.
    pub fn on_pull(&mut self, core: &mut Core, epoch: Epoch, pull: Pull) {
        if self.epoch == epoch && self.peers.contains_key(&pull.from) {
            self.senders.on_pull(core, epoch, pull);
        }
    }

    /// Does a receiver wait for a checkpoint?
    pub fn wants_checkpoint(&self, core: &Core) -> bool {
        self.senders.want_checkpoint(core)
    }

    /// Does it serve from this entry on? Then it does now.
    pub fn serves_from(&mut self, seq: Seq) -> bool {
        let marked = seq == self.marker;
        self.serving |= marked;
        marked
    }

    /// Why a write is not taken. It leaves no trace: a refusal must never be remembered as a request's result.
    fn refusal(&self, core: &Core, op: &Op) -> Option<Refusal> {
        let (on, waiting) = (core.config.mechanisms, core.unapplied.len() as u64);
        if !self.serving {
            Some(Refusal::NotServing)
        } else if !op.is_within_bounds() {
            Some(Refusal::Invalid)
        } else if !guard::backpressure(on, waiting, core.config.timing.waiting_max) {
            Some(Refusal::Busy)
        } else {
            None
        }
    }

    /// Sends each backup what it lacks, or a sign of life.
    pub fn replicate(&mut self, core: &mut Core) {
        core.peers().for_each(|to| self.replicate_to(core, to));
    }

    fn replicate_to(&mut self, core: &mut Core, to: NodeId) {
        let (epoch, commit) = (self.epoch, core.commit);
        let (prev, upto) = match self.peers.get_mut(&to).and_then(|peer| peer.next(core)) {
            None => return,
            Some(Next::Behind) => {
                let retained_from = core.log.base() + 1;
                return core.send(Address::Node(to), Message::Behind { epoch, retained_from });
            }
            Some(Next::Entries { prev, upto }) => {
                let (epoch, from) = (epoch.0, prev.seq + 1);
                emit!(core, Kind::EntriesSent { to: to.0, epoch, from, upto, commit });
                (prev, upto)
            }
            Some(Next::Heartbeat { prev }) => {
                emit!(core, Kind::HeartbeatSent { to: to.0, epoch: epoch.0, prev: prev.seq, commit });
                (prev, prev.seq)
            }
        };
        core.effect(Effect::SendEntries { to, epoch, prev, upto, commit });
    }

    pub fn on_sent(&mut self, core: &mut Core, to: NodeId, upto: Seq, bytes: u64) {
        if self.peers.get_mut(&to).is_some_and(|peer| peer.on_sent(core.now, upto, bytes)) {
            // What did not fit one frame goes out in the next, while the window has room. To this backup: the frame of
            // another one may be queued, and would be queued again.
            self.replicate_to(core, to);
        }
    }

    /// A repair is under way; until then the backup hears that the primary lives.
    pub fn on_unreadable(&mut self, core: &mut Core, to: NodeId) {
        let until = core.now + core.config.timing.resend_after;
        self.peers.entry(to).and_modify(|peer| peer.wait_until(until));
    }

    pub fn on_prepare_ok(&mut self, core: &mut Core, from: NodeId, epoch: Epoch, matched: Seq) {
        let (on, tail) = (core.config.mechanisms, core.log.tail().seq);
        if !guard::ack_bound_to_epoch(on, epoch, self.epoch) || matched > tail {
            let current = self.epoch.0;
            emit!(core, Kind::AckIgnored { from: from.0, epoch: epoch.0, current });
            return;
        }
        if self.peers.get_mut(&from).is_some_and(|peer| peer.on_ok(core.now, matched)) {
            emit!(core, Kind::AckCounted { from: from.0, upto: matched });
            self.advance_commit(core);
        }
    }

    pub fn on_prepare_refused(&mut self, core: &mut Core, from: NodeId, epoch: Epoch, mismatch: Mismatch) {
        let Some(peer) = self.peers.get_mut(&from).filter(|_| epoch == self.epoch) else { return };
        if peer.on_mismatch(core, &mismatch) {
            let acknowledged = peer.matched;
            core.send(Address::Node(from), Message::Contradicted { epoch, acknowledged });
        }
    }

    /// Commits what a majority has durable.
    pub fn advance_commit(&mut self, core: &mut Core) {
        let on = core.config.mechanisms;
        let marks = self.marks(core, core.durable, |peer| peer.matched);
        // One that was removed is none of the counted; it commits no further than its own log is durable all the same.
        let counted = guard::majority_commit(on, &marks).min(core.durable);
        if counted > core.commit && guard::own_epoch_commit(on, core.log.epoch_at(counted), self.epoch) {
            core.commit_upto(counted);
        }
    }

    /// What holds of every primary.
    pub fn check(&self, core: &Core) {
        assert_eq!(self.epoch, core.promised, "D2: a primary that has promised another epoch");
        assert_eq!(core.following, Some(core.config.me), "D2: a primary that follows another");
        assert!(self.marker > core.log.base() || self.serving, "D5: a marker in the checkpoint is committed");
        assert!(!self.serving || core.applied >= self.marker, "P2: it serves before its marker is applied");
        assert!(self.pending.len() <= core.unapplied.len(), "D6: a pending request is not in the log");
        let others = core.members.present().filter(|id| *id != core.config.me);
        assert!(others.eq(self.peers.keys().copied()), "D4: the others are its peers");
        self.peers.values().for_each(|peer| peer.check(core));
        self.reads.check();
    }

    /// Does a majority have this entry durable, the primary included?
    pub fn has_majority(&self, core: &Core, seq: Seq) -> bool {
        core.durable >= seq && guard::majority_mark(&self.marks(core, seq, |peer| peer.matched)) >= seq
    }

    /// Tells the gateway that owns the session what became of a request.
    pub fn answer_write(&mut self, core: &mut Core, request: RequestId, result: WriteResult) {
        self.pending.remove(&request);
        if let Some(GatewayId { gateway, life }) = core.sessions.gateway(request.session) {
            let RequestId { session, number } = request;
            let reply = || match result {
                WriteResult::Done(outcome) => outcome.to_string(),
                WriteResult::SessionUnknown(_) => "its session is not known".into(),
            };
            emit!(core, Kind::ReplyReleased { gateway, session, number, reply: reply() });
            core.send(Address::Gateway(GatewayId { gateway, life }), Message::Answer { request, result });
        }
    }
}

/// Tells a gateway that a request is not taken. It leaves no trace here.
pub(crate) fn refuse(core: &mut Core, gateway: GatewayId, what: Refusable, why: Refusal) {
    if let Refusable::Write(RequestId { session, number }) = what {
        emit!(core, Kind::RequestRefused { session, number, why: why.variant().into() });
    }
    core.send(Address::Gateway(gateway), Message::Refused { what, why });
}
