//! The primary: it gives each write its place in the log, sends the log to its backups, and commits what a majority
//! has durable.
//!
//! Entries go out before the primary's own sync has returned, and again as soon as a backup's window has room: nobody
//! waits for anybody's disk but in the count. Per backup the primary knows what it acknowledged (`matched`) and what
//! was sent (`next`). While unsure where the logs part, it sends one message at a time (`probing`); once an
//! acknowledgement came, it streams.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use trace::{Kind, Tracer, emit};

use crate::core::Core;
use crate::guard;
use crate::host::{Effect, Timing};
use crate::message::*;
use crate::patience::{Measured, patience};
use crate::roles::reads::Reads;
use crate::roles::sender::{Pull, Senders};
use crate::sessions::Verdict;
use crate::types::*;

/// Most entries in one `Prepare`: bounds the work of one step, beside the bytes that the host bounds.
const ENTRIES_PER_FRAME_MAX: u64 = 512;

/// One frame of entries on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct InFlight {
    from: Seq,
    upto: Seq,
    bytes: u64,
    sent_at: Micros,
}

/// What the primary knows of one backup.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Peer {
    /// Everything up to here is durable there, and the same as here.
    matched: Seq,
    /// The next entry to send.
    next: Seq,
    /// One message at a time, until the logs are known to match.
    probing: bool,
    /// Sent and not acknowledged.
    in_flight: VecDeque<InFlight>,
    sent_at: Micros,
    /// When it last answered in this epoch.
    heard_at: Micros,
    /// When it last acknowledged something new, or had nothing to acknowledge.
    progress_at: Micros,
    /// What an acknowledgement takes, and how often in a row none came in time.
    answers: Measured,
    failures: u32,
    /// What it needs next is damaged here: not to be looked for before this.
    unreadable_until: Micros,
}

/// A primary's knowledge.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Primary {
    pub epoch: Epoch,
    pub asked_by: GatewayId,
    /// Its first entry in this epoch; once it is committed, the primary serves.
    marker: Seq,
    pub serving: bool,
    peers: BTreeMap<NodeId, Peer>,
    /// Requests in the log that are not applied yet: a repetition of one waits for the same result.
    pending: BTreeSet<RequestId>,
    pub reads: Reads,
    senders: Senders,
}

impl Peer {
    fn bytes_in_flight(&self) -> u64 {
        self.in_flight.iter().map(|frame| frame.bytes).sum()
    }
}

impl Primary {
    /// Takes the lead in an epoch that a majority has promised.
    pub fn new(core: &Core, epoch: Epoch, asked_by: GatewayId, now: Micros) -> Primary {
        let tail = core.log.tail().seq;
        let pending = core.unapplied.iter().filter_map(|origin| match origin {
            Origin::Request(request) => Some(*request),
            Origin::Marker | Origin::Session(_) => None,
        });
        let peer = Peer {
            matched: 0,
            next: tail + 1,
            probing: true,
            in_flight: VecDeque::new(),
            sent_at: 0,
            heard_at: now,
            progress_at: now,
            answers: Measured::default(),
            failures: 0,
            unreadable_until: 0,
        };
        Primary {
            epoch,
            asked_by,
            marker: tail + 1,
            serving: !guard::epoch_marker(core.config.mechanisms),
            peers: core.peers().map(|id| (id, peer.clone())).collect(),
            pending: pending.collect(),
            reads: Reads::default(),
            senders: Senders::default(),
        }
    }

    pub fn heard(&mut self, from: NodeId, now: Micros) {
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.heard_at = now;
        }
    }

    /// For how long no majority has been heard.
    pub fn cut_off(&self, now: Micros, members: usize) -> Micros {
        let mut heard: Vec<Micros> = self.peers.values().map(|peer| peer.heard_at).collect();
        heard.sort_unstable_by(|a, b| b.cmp(a));
        match guard::majority(members) - 1 {
            0 => 0,
            need => now.saturating_sub(heard[need - 1]),
        }
    }

    pub fn next_deadline(&self, timing: &Timing) -> Option<Micros> {
        let heartbeat = self.peers.values().map(|peer| peer.sent_at + timing.heartbeat_every).min();
        heartbeat.into_iter().chain(self.reads.resend_at(timing.resend_after)).min()
    }

    /// The entry that makes it serve, as soon as it is committed.
    pub fn mark(&self, core: &mut Core, t: &mut Tracer) {
        if guard::epoch_marker(core.config.mechanisms) {
            core.append_own(self.epoch, Origin::Marker, Op::Nop, t);
        }
    }

    pub fn on_write(
        &mut self,
        core: &mut Core,
        gateway: GatewayId,
        request: RequestId,
        op: Op,
        t: &mut Tracer,
    ) {
        if let Some(why) = self.refusal(core, &op) {
            return refuse_write(core, gateway, request, why, t);
        }
        match core.sessions.verdict(core.config.mechanisms, request) {
            Verdict::Repeated(outcome) => self.answer_write(core, request, WriteResult::Done(outcome), t),
            Verdict::Unknown => {
                let result = WriteResult::SessionUnknown(core.sessions.remembered_from(request));
                core.send(Address::Gateway(gateway), Message::Answer { request, result });
            }
            Verdict::Fresh if self.pending.insert(request) => {
                core.append_own(self.epoch, Origin::Request(request), op, t);
            }
            Verdict::Fresh => {}
        }
    }

    pub fn on_open_session(&mut self, core: &mut Core, gateway: GatewayId, t: &mut Tracer) {
        match self.refusal(core, &Op::Nop) {
            Some(why) => {
                core.send(Address::Gateway(gateway), Message::Refused { what: Refusable::OpenSession, why })
            }
            None => core.append_own(self.epoch, Origin::Session(gateway), Op::Nop, t),
        }
    }

    pub fn on_read(&mut self, core: &mut Core, gateway: GatewayId, id: u64, query: Query, t: &mut Tracer) {
        if self.serving {
            return self.reads.on_read(core, gateway, id, query, t);
        }
        let (what, why) = (Refusable::Read(id), Refusal::NotServing);
        core.send(Address::Gateway(gateway), Message::Refused { what, why });
    }

    pub fn on_confirmed(
        &mut self,
        core: &mut Core,
        now: Micros,
        from: NodeId,
        epoch: Epoch,
        round: u64,
        t: &mut Tracer,
    ) {
        if self.epoch == epoch && self.reads.on_confirmed(from, round) {
            self.heard(from, now);
            self.reads.answer(core, epoch, t);
        }
    }

    /// A primary that does not serve yet gives its state as well: it may need the receiver to commit its marker.
    pub fn on_pull(&mut self, core: &mut Core, pull: Pull, t: &mut Tracer) {
        if self.epoch == pull.epoch {
            self.senders.on_pull(core, pull, t);
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
    pub fn replicate(&mut self, core: &mut Core, now: Micros, t: &mut Tracer) {
        core.peers().for_each(|to| self.replicate_to(core, to, now, t));
    }

    fn replicate_to(&mut self, core: &mut Core, to: NodeId, now: Micros, t: &mut Tracer) {
        let (timing, tail, commit) = (&core.config.timing, core.log.tail().seq, core.commit);
        let epoch = self.epoch;
        let Some(peer) = self.peers.get_mut(&to) else { return };
        if peer.in_flight.is_empty() {
            peer.progress_at = now;
        } else if now
            >= peer.progress_at + patience(timing.resend_after, peer.answers.usually(), peer.failures)
        {
            // Nothing was acknowledged for long: frames were lost. Go back to what is certain, but not behind the
            // retained log: what was lost may be the acknowledgement.
            let from = peer.in_flight.front().map_or(peer.next, |frame| frame.from);
            peer.next = from.max(core.log.base() + 1);
            peer.in_flight.clear();
            peer.probing = true;
            peer.progress_at = now;
            peer.failures += 1;
        }
        let room = if peer.probing {
            peer.in_flight.is_empty()
        } else {
            peer.bytes_in_flight() < timing.window_bytes
        };
        let prev_epoch = core.log.epoch_at(peer.next - 1);
        let wanted = peer.next <= tail && room && prev_epoch.is_some() && now >= peer.unreadable_until;
        if !wanted && now < peer.sent_at + timing.heartbeat_every {
            return;
        }
        peer.sent_at = now;
        let Some(prev_epoch) = prev_epoch else {
            let retained_from = core.log.base() + 1;
            return core.send(Address::Node(to), Message::Behind { epoch, retained_from });
        };
        let prev = Tail { epoch: prev_epoch, seq: peer.next - 1 };
        let upto = if wanted { tail.min(prev.seq + ENTRIES_PER_FRAME_MAX) } else { prev.seq };
        emit!(
            t,
            match wanted {
                true => Kind::EntriesSent { to: to.0, epoch: epoch.0, from: prev.seq + 1, upto, commit },
                false => Kind::HeartbeatSent { to: to.0, epoch: epoch.0, prev: prev.seq, commit },
            }
        );
        core.effect(Effect::SendEntries { to, epoch, prev, upto, commit });
    }

    pub fn on_sent(
        &mut self,
        core: &mut Core,
        now: Micros,
        to: NodeId,
        upto: Seq,
        bytes: u64,
        t: &mut Tracer,
    ) {
        let Some(peer) = self.peers.get_mut(&to) else { return };
        if upto < peer.next {
            return;
        }
        peer.in_flight.push_back(InFlight { from: peer.next, upto, bytes, sent_at: now });
        peer.next = upto + 1;
        // What did not fit one frame goes out in the next, while the window has room. To this backup: the frame of another
        // one may be queued, and would be queued again.
        self.replicate_to(core, to, now, t);
    }

    /// A repair is under way; until then the backup hears that the primary lives.
    pub fn on_unreadable(&mut self, core: &mut Core, now: Micros, to: NodeId) {
        let after = core.config.timing.resend_after;
        if let Some(peer) = self.peers.get_mut(&to) {
            peer.unreadable_until = now + after;
        }
    }

    pub fn on_prepare_ok(
        &mut self,
        core: &mut Core,
        now: Micros,
        from: NodeId,
        epoch: Epoch,
        matched: Seq,
        t: &mut Tracer,
    ) {
        let (on, tail) = (core.config.mechanisms, core.log.tail().seq);
        if !guard::ack_bound_to_epoch(on, epoch, self.epoch) || matched > tail {
            emit!(t, Kind::AckIgnored { from: from.0, epoch: epoch.0, current: self.epoch.0 });
            return;
        }
        let Some(peer) = self.peers.get_mut(&from) else { return };
        peer.heard_at = now;
        peer.probing = false;
        while let Some(frame) = peer.in_flight.front().filter(|frame| frame.upto <= matched) {
            peer.answers.note(now.saturating_sub(frame.sent_at));
            peer.in_flight.pop_front();
            (peer.progress_at, peer.failures) = (now, 0);
        }
        peer.next = peer.next.max(matched + 1);
        if matched > peer.matched {
            emit!(t, Kind::AckCounted { from: from.0, upto: matched });
            peer.matched = matched;
            self.advance_commit(core, t);
        }
    }

    #[allow(clippy::too_many_arguments)]
    pub fn on_prepare_refused(
        &mut self,
        core: &mut Core,
        now: Micros,
        from: NodeId,
        epoch: Epoch,
        prev: Seq,
        last: Seq,
        lost: bool,
    ) {
        let Some(peer) = self.peers.get_mut(&from).filter(|_| epoch == self.epoch) else { return };
        peer.heard_at = now;
        if lost {
            // What it acknowledged and lost is sent again. (If this is an old frame, it has it again already, and says so.)
            peer.matched = peer.matched.min(last);
        }
        let acknowledged = peer.matched;
        // Of several frames in flight each is refused; only the first refusal says something new.
        if prev < acknowledged || (peer.probing && prev >= peer.next) {
            return;
        }
        // A hint may lead behind the retained log although the two match where it begins: a backup that forgot its commit
        // point over a restart gives up a whole run. So the beginning is tried before a transfer is called for.
        let retained = if prev > core.log.base() { core.log.base() + 1 } else { 0 };
        peer.next = (last + 1).min(prev).max(acknowledged + 1).max(retained);
        peer.in_flight.clear();
        peer.probing = true;
        if last < acknowledged {
            // It lacks what it acknowledged in this epoch. Unless this is a late frame, its device has lost it, and what
            // comes behind would be refused for ever.
            core.send(Address::Node(from), Message::Contradicted { epoch, acknowledged });
        }
    }

    /// Commits what a majority has durable.
    pub fn advance_commit(&mut self, core: &mut Core, t: &mut Tracer) {
        let on = core.config.mechanisms;
        let marks: Vec<Seq> =
            std::iter::once(core.durable).chain(self.peers.values().map(|peer| peer.matched)).collect();
        let counted = guard::majority_commit(on, &marks).min(core.log.tail().seq);
        if counted > core.commit && guard::own_epoch_commit(on, core.log.epoch_at(counted), self.epoch) {
            core.commit_upto(counted, t);
        }
    }

    /// Does a majority have this entry durable, the primary included?
    pub fn has_majority(&self, core: &Core, seq: Seq) -> bool {
        let others = self.peers.values().filter(|peer| peer.matched >= seq).count();
        core.durable >= seq && others + 1 >= guard::majority(core.config.members.len())
    }

    /// Tells the gateway that owns the session what became of a request.
    pub fn answer_write(&mut self, core: &mut Core, request: RequestId, result: WriteResult, t: &mut Tracer) {
        self.pending.remove(&request);
        if let Some(gateway) = core.sessions.gateway(request.session) {
            emit!(
                t,
                Kind::ReplyReleased {
                    gateway: gateway.gateway,
                    session: request.session,
                    number: request.number,
                    reply: format!("{result:?}")
                }
            );
            core.send(Address::Gateway(gateway), Message::Answer { request, result });
        }
    }
}

/// Tells a gateway that a write leaves no trace here.
pub(crate) fn refuse_write(
    core: &mut Core,
    gateway: GatewayId,
    request: RequestId,
    why: Refusal,
    t: &mut Tracer,
) {
    let RequestId { session, number } = request;
    emit!(t, Kind::RequestRefused { session, number, why: format!("{why:?}") });
    core.send(Address::Gateway(gateway), Message::Refused { what: Refusable::Write(request), why });
}
