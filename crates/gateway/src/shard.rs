//! One shard's calls in flight: the session, the numbers, and sending again.
//!
//! A write is given its number when it is first sent, and keeps it. Numbers in flight span less than the replicas'
//! window, so a replica can always tell a repetition from a new request. When a new primary is learned, everything in
//! flight is sent to it, under the identities it already has.

use std::collections::{BTreeMap, VecDeque};

use dataplane::patience::{Measured, patience};
use dataplane::{
    Address, Frame, Message, Micros, NodeId, NodeStatus, Op, Query, ReadResult, Refusable, Refusal,
    RequestId, Seq, ShardId, WriteResult,
};
use trace::{EventId, Kind, Tracer, emit};

use crate::api::{Config, Failover, ShardView, Token};
use crate::failover::Search;
use crate::guard;

/// How soon a primary that was busy is asked again, in microseconds.
const BUSY_PAUSE: Micros = 20_000;
/// An unanswered call makes a primary suspect after this many periods of silence, even if it answers probes.
const STUCK_AFTER: u64 = 6;

/// The wait for an answer doubles no more often than this: an answer may be lost many times in a row.
const RETRY_DOUBLINGS_MAX: u32 = 3;

/// What a call asks of the shard.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Write(Op),
    Read(Query),
}

/// One request to one shard.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub token: Token,
    pub what: What,
    /// The event that made it, if it is followed.
    pub cause: Option<EventId>,
    pub attempts: u32,
    pub sent_at: Micros,
    /// When it is sent again.
    pub due: Micros,
    pub since: Micros,
    /// A write cannot have taken effect before this seq: that was committed before it was first sent.
    pub not_before: Seq,
}

impl Call {
    /// It is sent once more. Each time it is given longer: what takes long is not made quicker by a copy.
    fn sent(&mut self, now: Micros, least: Micros, answers: &Measured) {
        (self.sent_at, self.due) =
            (now, now + patience(least, answers.usually(), self.attempts.min(RETRY_DOUBLINGS_MAX)));
        self.attempts += 1;
    }
}

/// How a call ended.
#[derive(Clone, Debug)]
pub(crate) enum Ended {
    Write(WriteResult),
    Read(ReadResult),
    /// It was sent, and what became of it cannot be learned.
    Unknown(String),
    /// It certainly had no effect.
    Unavailable(String),
    /// It certainly had no effect, and never will.
    Invalid,
}

/// The routing state of one shard.
#[derive(Clone, Debug)]
pub(crate) struct Shard {
    pub config: Config,
    pub shard: ShardId,
    pub search: Search,
    pub out: Vec<Frame>,
    /// The calls that have ended.
    pub ended: VecDeque<(Token, Ended)>,
    session: Option<Seq>,
    /// The last session it had.
    last_session: Seq,
    session_asked_at: Option<Micros>,
    next_number: u64,
    next_read: u64,
    /// Writes without a number: they wait for a session, a primary or room in the window.
    queue: VecDeque<Box<Call>>,
    writes: BTreeMap<u64, Box<Call>>,
    reads: BTreeMap<u64, Box<Call>>,
    /// What the answer to a call takes.
    answers: Measured,
    /// No call has to be sent again before this; looked up anew at each tick, not at each answer.
    calls_due: Micros,
}

impl Shard {
    pub fn new(config: &Config, shard: ShardId, now: Micros) -> Shard {
        Shard {
            search: Search::new(config, shard, now),
            config: config.clone(),
            shard,
            out: Vec::new(),
            ended: VecDeque::new(),
            session: None,
            last_session: 0,
            session_asked_at: None,
            next_number: 1,
            next_read: 1,
            queue: VecDeque::new(),
            writes: BTreeMap::new(),
            reads: BTreeMap::new(),
            answers: Measured::default(),
            calls_due: Micros::MAX,
        }
    }

    pub fn call(&mut self, now: Micros, call: Box<Call>, t: &mut Tracer) {
        match call.what {
            What::Write(_) => {
                self.queue.push_back(call);
                self.send_queued(now, t);
            }
            What::Read(_) => {
                let id = self.next_read;
                self.next_read += 1;
                self.reads.insert(id, call);
                self.send_read(now, id, t);
            }
        }
    }

    pub fn post(&mut self, to: NodeId, message: Message, cause: Option<EventId>) {
        let from = Address::Gateway(self.config.id);
        let frame = Frame {
            cluster: self.config.cluster,
            shard: self.shard,
            from,
            to: Address::Node(to),
            cause,
            message,
        };
        self.out.push(frame);
    }

    /// Sends queued writes, while there is a primary, a session and room in the window.
    fn send_queued(&mut self, now: Micros, t: &mut Tracer) {
        let Some(primary) = self.search.primary() else { return };
        if self.session.is_none() {
            if !self.queue.is_empty() {
                self.ask_for_session(now, primary, t);
            }
            return;
        }
        while !self.queue.is_empty() {
            let lowest = self.writes.first_key_value().map_or(self.next_number, |(number, _)| *number);
            if self.next_number >= lowest + self.config.limits.window {
                break;
            }
            let call = self.queue.pop_front().expect("not empty");
            let number = self.next_number;
            self.next_number += 1;
            self.writes.insert(number, call);
            self.send_write(now, number, t);
        }
    }

    fn ask_for_session(&mut self, now: Micros, primary: NodeId, t: &mut Tracer) {
        let again = self.config.timing.retry_after;
        if self.session_asked_at.is_some_and(|at| now < at + again) {
            return;
        }
        emit!(t, Kind::SessionAsked { shard: self.shard, node: primary.0 });
        self.session_asked_at = Some(now);
        self.post(primary, Message::OpenSession, t.cause());
    }

    fn send_write(&mut self, now: Micros, number: u64, t: &mut Tracer) {
        let (Some(primary), Some(session)) = (self.search.primary(), self.session) else { return };
        let Some(call) = self.writes.get_mut(&number) else { return };
        let What::Write(op) = call.what.clone() else { return };
        if call.attempts == 0 {
            call.not_before = self.search.committed() + 1;
        }
        call.sent(now, self.config.timing.retry_after, &self.answers);
        self.calls_due = self.calls_due.min(call.due);
        follow(t, call);
        let (attempt, node, shard) = (call.attempts, primary.0, self.shard);
        if attempt == 1 {
            emit!(t, Kind::RequestRouted { request: op.to_string(), shard, node, session, number });
        } else {
            emit!(t, Kind::RequestRetried { request: op.to_string(), node, session, number, attempt });
        }
        let cause = call.cause.and(t.cause());
        self.post(primary, Message::Write { request: RequestId { session, number }, op }, cause);
    }

    fn send_read(&mut self, now: Micros, id: u64, t: &mut Tracer) {
        let Some(primary) = self.search.primary() else { return };
        let Some(call) = self.reads.get_mut(&id) else { return };
        let What::Read(query) = call.what.clone() else { return };
        call.sent(now, self.config.timing.retry_after, &self.answers);
        self.calls_due = self.calls_due.min(call.due);
        follow(t, call);
        emit!(t, Kind::ReadRouted { id, shard: self.shard, node: primary.0, attempt: call.attempts });
        let cause = call.cause.and(t.cause());
        self.post(primary, Message::Read { id, query }, cause);
    }

    /// A primary is known, newly or again: everything in flight goes to it.
    pub fn resend_all(&mut self, now: Micros, t: &mut Tracer) {
        self.session_asked_at = None;
        let writes: Vec<u64> = self.writes.keys().copied().collect();
        writes.into_iter().for_each(|number| self.send_write(now, number, t));
        let reads: Vec<u64> = self.reads.keys().copied().collect();
        reads.into_iter().for_each(|id| self.send_read(now, id, t));
        self.send_queued(now, t);
    }

    pub fn on_answer(
        &mut self,
        now: Micros,
        from: NodeId,
        request: RequestId,
        result: WriteResult,
        t: &mut Tracer,
    ) {
        if self.session != Some(request.session) {
            return;
        }
        if let WriteResult::SessionUnknown(remembered_from) = result {
            // A primary of the past may not have heard of the session: its word is no reason to give it up.
            if self.search.primary() == Some(from) {
                self.lose_session(request.session, remembered_from, t);
            }
            return self.send_queued(now, t);
        }
        if let Some(call) = self.writes.remove(&request.number) {
            if call.attempts == 1 {
                // Of a call that was sent again nobody knows which copy was answered (Karn and Partridge, 1987).
                self.answers.note(now.saturating_sub(call.sent_at));
            }
            self.ended.push_back((call.token, Ended::Write(result)));
        }
        self.send_queued(now, t);
    }

    /// The replicas do not know the session (any more). What was in flight in it may have taken effect or not, and asking
    /// again under a new identity could make it take effect twice: its outcome is unknown. Not so what could only have taken
    /// effect at a seq from which on they remember everything: it did not, never will in this session, and begins anew. So
    /// a gateway that was idle while its session was evicted gives its next write an answer.
    fn lose_session(&mut self, session: Seq, remembered_from: Seq, t: &mut Tracer) {
        emit!(t, Kind::SessionLost { shard: self.shard, session });
        self.session = None;
        self.session_asked_at = None;
        self.next_number = 1;
        for mut call in std::mem::take(&mut self.writes).into_values().rev() {
            if call.not_before >= remembered_from {
                call.attempts = 0;
                self.queue.push_front(call);
            } else {
                let result = WriteResult::SessionUnknown(remembered_from);
                self.ended.push_back((call.token, Ended::Write(result)));
            }
        }
    }

    pub fn on_session_opened(&mut self, now: Micros, session: Seq, t: &mut Tracer) {
        if self.session.is_none() && guard::session_once(self.config.mechanisms, session, self.last_session) {
            self.last_session = session;
            emit!(t, Kind::SessionOpened { shard: self.shard, session });
            self.session = Some(session);
            self.session_asked_at = None;
            self.send_queued(now, t);
        }
    }

    pub fn on_read_answer(&mut self, now: Micros, id: u64, result: ReadResult) {
        if let Some(call) = self.reads.remove(&id) {
            if call.attempts == 1 {
                self.answers.note(now.saturating_sub(call.sent_at));
            }
            self.ended.push_back((call.token, Ended::Read(result)));
        }
    }

    /// A node did not take a call. That says nothing about earlier attempts, so a write that was sent before stays in
    /// flight until its outcome is known.
    pub fn on_refused(&mut self, now: Micros, from: NodeId, what: Refusable, why: Refusal, t: &mut Tracer) {
        match why {
            Refusal::NotPrimary { .. } => self.search.not_primary(now, from, "it says that it is not", t),
            Refusal::NotServing => {}
            Refusal::Busy => self.postpone(now, what),
            // So would every attempt have been: the bounds are the same everywhere, and always.
            Refusal::Invalid => {
                let call = match what {
                    Refusable::Write(request) if self.session == Some(request.session) => {
                        self.writes.remove(&request.number)
                    }
                    Refusable::Read(id) => self.reads.remove(&id),
                    Refusable::Write(_) | Refusable::OpenSession => None,
                };
                self.ended.extend(call.map(|call| (call.token, Ended::Invalid)));
            }
        }
    }

    /// Lets the call be sent again after a short pause instead of the usual wait.
    fn postpone(&mut self, now: Micros, what: Refusable) {
        let call = match what {
            Refusable::Write(request) => self.writes.get_mut(&request.number),
            Refusable::Read(id) => self.reads.get_mut(&id),
            Refusable::OpenSession => None,
        };
        if let Some(call) = call {
            call.due = now + BUSY_PAUSE;
            self.calls_due = self.calls_due.min(call.due);
        }
    }

    pub fn on_status(
        &mut self,
        now: Micros,
        from: NodeId,
        asked_at: Micros,
        status: NodeStatus,
        t: &mut Tracer,
    ) {
        if self.search.on_status(now, from, asked_at, status, t) {
            self.resend_all(now, t);
        }
        self.search_on(now, t);
    }

    pub fn on_unreachable(&mut self, now: Micros, node: NodeId, t: &mut Tracer) {
        self.search.unreachable(now, node, t);
        self.search_on(now, t);
    }

    pub fn tick(&mut self, now: Micros, t: &mut Tracer) {
        let stuck = self.search.silence_max() * STUCK_AFTER;
        let oldest = self.writes.values().chain(self.reads.values()).map(|call| call.since).min();
        let learned_at = self.search.learned_at();
        if oldest.is_some_and(|since| now >= since.max(learned_at) + stuck) {
            self.search.stuck(now, t);
        }
        self.search_on(now, t);
        let writes: Vec<u64> =
            self.writes.iter().filter(|(_, call)| now >= call.due).map(|(n, _)| *n).collect();
        writes.into_iter().for_each(|number| self.send_write(now, number, t));
        let reads: Vec<u64> =
            self.reads.iter().filter(|(_, call)| now >= call.due).map(|(id, _)| *id).collect();
        reads.into_iter().for_each(|id| self.send_read(now, id, t));
        self.send_queued(now, t);
        let calls = self.writes.values().chain(self.reads.values());
        self.calls_due = calls.map(|call| call.due).min().unwrap_or(Micros::MAX);
    }

    /// Sends what the search for a primary wants sent.
    fn search_on(&mut self, now: Micros, t: &mut Tracer) {
        for (to, message) in self.search.advance(now, t) {
            self.post(to, message, t.cause());
        }
    }

    /// Forgets the calls of a request; true if a write among them was ever sent.
    pub fn give_up(&mut self, token: Token) -> bool {
        let sent = self.writes.values().any(|call| call.token == token && call.attempts > 0);
        self.queue.retain(|call| call.token != token);
        self.writes.retain(|_, call| call.token != token);
        self.reads.retain(|_, call| call.token != token);
        sent
    }

    pub fn next_deadline(&self) -> Micros {
        let due = self.search.next_deadline();
        if self.search.primary().is_some() { due.min(self.calls_due) } else { due }
    }

    pub fn view(&self) -> ShardView {
        let failover: Option<Failover> = self.search.last_failover().cloned();
        ShardView {
            shard: self.shard,
            epoch: self.search.epoch(),
            primary: self.search.primary(),
            nodes: self.search.nodes(),
            suspected: self.search.suspected().cloned(),
            last_failover: failover,
        }
    }
}

/// A call that is followed lights up the step that sends it, whatever that step was about.
fn follow(t: &mut Tracer, call: &Call) {
    t.also(call.cause);
}
