//! One shard's calls in flight: the session, the numbers, and sending again.
//!
//! A write is given its number when it is first sent, and keeps it. Numbers in flight span less than the replicas'
//! window, so a replica can always tell a repetition from a new request. When a new primary is learned, everything in
//! flight is sent to it, under the identities it already has.

use std::collections::{BTreeMap, VecDeque};

use dataplane::patience::{Measured, patience};
use dataplane::{
    Epoch, Member, Message, Micros, NodeId, NodeStatus, ReadResult, Refusable, Refusal, RequestId, Seq,
    ShardId, WriteResult,
};
use trace::{Kind, emit};

use crate::api::{Config, Request, Token};
use crate::core::{Core, Ended};
use crate::failover::Search;
use crate::guard;

/// How soon a primary that was busy is asked again, in microseconds.
const BUSY_PAUSE: Micros = 20_000;
/// An unanswered call makes a primary suspect after this many periods of silence, even if it answers probes.
const STUCK_AFTER: u64 = 6;

/// The wait for an answer doubles no more often than this: an answer may be lost many times in a row.
const RETRY_DOUBLINGS_MAX: u32 = 3;

/// One request to one shard.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub token: Token,
    pub what: Request,
    /// Does somebody listen to what becomes of it, whatever step that is in?
    pub followed: bool,
    pub attempts: u32,
    pub sent_at: Micros,
    /// When it is sent again.
    pub due: Micros,
    pub since: Micros,
    /// A write cannot have taken effect before this seq: that was committed before it was first sent.
    pub not_before: Seq,
}

impl Call {
    pub fn new(token: Token, what: Request, now: Micros, followed: bool) -> Call {
        Call { token, what, followed, attempts: 0, sent_at: 0, due: 0, since: now, not_before: 0 }
    }

    /// It is sent once more. Each time it is given longer: what takes long is not made quicker by a copy.
    fn sent(&mut self, core: &mut Core, least: Micros, answers: &Measured) {
        // A call that is followed is told of in whatever step it is sent.
        core.listened |= self.followed;
        self.sent_at = core.now;
        self.due = core.now + patience(least, answers.usually(), self.attempts.min(RETRY_DOUBLINGS_MAX));
        self.attempts += 1;
    }
}

/// The routing state of one shard.
#[derive(Clone, Debug)]
pub(crate) struct Shard {
    pub core: Core,
    config: Config,
    shard: ShardId,
    pub search: Search,
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
            core: Core::default(),
            config: config.clone(),
            shard,
            search: Search::new(config, shard, now),
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

    /// What holds of a shard's calls after every step.
    pub fn check(&self) {
        assert!(self.session.is_some() || self.writes.is_empty(), "P2: a write in flight has a session");
        assert!(self.session.is_none_or(|id| id == self.last_session), "P2: an old session is back");
        let (first, last) = (self.writes.first_key_value(), self.writes.last_key_value());
        assert!(last.is_none_or(|(number, _)| *number < self.next_number), "P2: a number is used twice");
        let span = first.map_or(0, |(number, _)| self.next_number - number);
        assert!(span <= self.config.limits.window, "P3: the replicas may have forgotten a write in flight");
        let last = self.reads.last_key_value();
        assert!(last.is_none_or(|(id, _)| *id < self.next_read), "P2: a read's id is used twice");
        self.search.check();
    }

    /// From here on it is `now`, and somebody listens, or nobody.
    pub fn begin(&mut self, now: Micros, listened: bool) {
        self.core.now = now;
        self.core.listened = listened;
    }

    pub fn call(&mut self, call: Box<Call>) {
        match call.what {
            Request::Write(_) => {
                self.queue.push_back(call);
                self.send_queued();
            }
            Request::Read(_) => {
                let id = self.next_read;
                self.next_read += 1;
                self.reads.insert(id, call);
                self.send_read(id);
            }
        }
    }

    /// Sends queued writes, while there is a primary, a session and room in the window.
    fn send_queued(&mut self) {
        let Some(primary) = self.search.primary() else { return };
        if self.session.is_none() {
            if !self.queue.is_empty() {
                self.ask_for_session(primary);
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
            self.send_write(number);
        }
    }

    fn ask_for_session(&mut self, primary: NodeId) {
        let (now, again) = (self.core.now, self.config.timing.retry_after);
        if self.session_asked_at.is_some_and(|at| now < at + again) {
            return;
        }
        emit!(self.core, Kind::SessionAsked { shard: self.shard, node: primary.0 });
        self.session_asked_at = Some(now);
        self.core.send(primary, Message::OpenSession);
    }

    fn send_write(&mut self, number: u64) {
        let (Some(primary), Some(session)) = (self.search.primary(), self.session) else { return };
        let Some(call) = self.writes.get_mut(&number) else { return };
        let Request::Write(op) = call.what.clone() else { return };
        if call.attempts == 0 {
            call.not_before = self.search.nodes.committed() + 1;
        }
        call.sent(&mut self.core, self.config.timing.retry_after, &self.answers);
        self.calls_due = self.calls_due.min(call.due);
        let (call, attempt, node, shard) = (call.token, call.attempts, primary.0, self.shard);
        let request = || op.to_string();
        if attempt == 1 {
            emit!(self.core, Kind::RequestRouted { call, request: request(), shard, node, session, number });
        } else {
            emit!(
                self.core,
                Kind::RequestRetried { call, request: request(), node, session, number, attempt }
            );
        }
        self.core.send(primary, Message::Write { request: RequestId { session, number }, op });
    }

    fn send_read(&mut self, id: u64) {
        let Some(primary) = self.search.primary() else { return };
        let Some(call) = self.reads.get_mut(&id) else { return };
        let Request::Read(query) = call.what.clone() else { return };
        call.sent(&mut self.core, self.config.timing.retry_after, &self.answers);
        self.calls_due = self.calls_due.min(call.due);
        let (call, attempt) = (call.token, call.attempts);
        emit!(self.core, Kind::ReadRouted { call, id, shard: self.shard, node: primary.0, attempt });
        self.core.send(primary, Message::Read { id, query });
    }

    /// Sends all calls that are due by then.
    fn resend(&mut self, due_by: Micros) {
        let due = |calls: &BTreeMap<u64, Box<Call>>| -> Vec<u64> {
            calls.iter().filter(|(_, call)| call.due <= due_by).map(|(number, _)| *number).collect()
        };
        due(&self.writes).into_iter().for_each(|number| self.send_write(number));
        due(&self.reads).into_iter().for_each(|id| self.send_read(id));
        self.send_queued();
    }

    pub fn on_answer(&mut self, from: NodeId, request: RequestId, result: WriteResult) {
        if self.session != Some(request.session) {
            return;
        }
        match result {
            // A primary of the past may not have heard of the session: its word is no reason to give it up.
            WriteResult::SessionUnknown(remembered_from) if self.search.primary() == Some(from) => {
                self.lose_session(request.session, remembered_from);
            }
            WriteResult::SessionUnknown(_) => {}
            WriteResult::Done(_) => {
                let call = self.writes.remove(&request.number);
                self.answered(call, Ended::Write(result));
            }
        }
        self.send_queued();
    }

    pub fn on_read_answer(&mut self, id: u64, result: ReadResult) {
        let call = self.reads.remove(&id);
        self.answered(call, Ended::Read(result));
    }

    fn answered(&mut self, call: Option<Box<Call>>, how: Ended) {
        let Some(call) = call else { return };
        if call.attempts == 1 {
            // Of a call that was sent again nobody knows which copy was answered (Karn and Partridge, 1987).
            self.answers.note(self.core.now.saturating_sub(call.sent_at));
        }
        self.core.end(call.token, how);
    }

    /// The replicas do not know the session (any more). What was in flight in it may have taken effect or not, and asking
    /// again under a new identity could make it take effect twice: its outcome is unknown. Not so what could only have taken
    /// effect at a seq from which on they remember everything: it did not, never will in this session, and begins anew. So
    /// a gateway that was idle while its session was evicted gives its next write an answer.
    fn lose_session(&mut self, session: Seq, remembered_from: Seq) {
        emit!(self.core, Kind::SessionLost { shard: self.shard, session });
        self.session = None;
        self.session_asked_at = None;
        self.next_number = 1;
        for mut call in std::mem::take(&mut self.writes).into_values().rev() {
            if call.not_before >= remembered_from {
                call.attempts = 0;
                self.queue.push_front(call);
            } else {
                let result = WriteResult::SessionUnknown(remembered_from);
                self.core.end(call.token, Ended::Write(result));
            }
        }
    }

    pub fn on_session_opened(&mut self, session: Seq) {
        if self.session.is_none() && guard::session_once(self.config.mechanisms, session, self.last_session) {
            self.last_session = session;
            emit!(self.core, Kind::SessionOpened { shard: self.shard, session });
            self.session = Some(session);
            self.session_asked_at = None;
            self.send_queued();
        }
    }

    /// A node did not take a call. That says nothing about earlier attempts, so a write that was sent before stays in
    /// flight until its outcome is known.
    pub fn on_refused(&mut self, from: NodeId, what: Refusable, why: Refusal) {
        match why {
            Refusal::NotPrimary { .. } => {
                self.search.not_primary(&mut self.core, from, "it says that it is not")
            }
            Refusal::NotServing => {}
            Refusal::Busy => self.postpone(what),
            // So would every attempt have been: the bounds are the same everywhere, and always.
            Refusal::Invalid => {
                let call = match what {
                    Refusable::Write(request) if self.session == Some(request.session) => {
                        self.writes.remove(&request.number)
                    }
                    Refusable::Read(id) => self.reads.remove(&id),
                    Refusable::Write(_) | Refusable::OpenSession => None,
                };
                call.into_iter().for_each(|call| self.core.end(call.token, Ended::Invalid));
            }
        }
    }

    /// Lets the call be sent again after a short pause instead of the usual wait.
    fn postpone(&mut self, what: Refusable) {
        let call = match what {
            Refusable::Write(request) => self.writes.get_mut(&request.number),
            Refusable::Read(id) => self.reads.get_mut(&id),
            Refusable::OpenSession => None,
        };
        if let Some(call) = call {
            call.due = self.core.now + BUSY_PAUSE;
            self.calls_due = self.calls_due.min(call.due);
        }
    }

    /// A node says who belongs to the shard.
    pub fn on_members(&mut self, from: NodeId, serves: Option<Epoch>, rows: &[(NodeId, Member)]) {
        self.search.on_members(self.core.now, from, serves, rows);
        self.search.advance(&mut self.core);
    }

    /// When a primary is learned, newly or again, everything in flight goes to it.
    pub fn on_status(&mut self, from: NodeId, asked_at: Micros, status: NodeStatus) {
        if self.search.on_status(&mut self.core, from, asked_at, &status) {
            self.session_asked_at = None;
            self.resend(Micros::MAX);
        }
        self.search.advance(&mut self.core);
    }

    pub fn on_unreachable(&mut self, node: NodeId) {
        self.search.unreachable(&mut self.core, node);
        self.search.advance(&mut self.core);
    }

    pub fn tick(&mut self) {
        let now = self.core.now;
        let stuck = self.search.silence_max() * STUCK_AFTER;
        let oldest = self.calls().map(|call| call.since).min();
        let learned_at = self.search.learned_at();
        if oldest.is_some_and(|since| now >= since.max(learned_at) + stuck) {
            self.search.stuck(&mut self.core);
        }
        self.search.advance(&mut self.core);
        self.resend(now);
        self.calls_due = self.calls().map(|call| call.due).min().unwrap_or(Micros::MAX);
    }

    /// All that were sent, or will be as soon as there is a primary.
    fn calls(&self) -> impl Iterator<Item = &Call> {
        self.writes.values().chain(self.reads.values()).map(|call| &**call)
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
}
