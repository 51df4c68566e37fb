//! What begins and ends in a run, found by the facts of its events and by what they follow from.
//!
//! | span | from | to | child of |
//! |---|---|---|---|
//! | call | a client asks | it has its reply | |
//! | request | a gateway takes on a call | it replies | the call |
//! | write, read | a replica receives it | it answers or refuses | the request |
//! | sync | its device began it, as far as is told | it returned | |
//! | takeover | a replica stands for an epoch | it is elected, or gives up | |
//! | primary | it is elected | it steps down, or stands again | |
//! | transfer | a replica fetches a state | it has it | |
//!
//! A sync's links are the writes and reads in its batch, also on a backup: the entry is the same one. What a process had
//! open when it ended, ends with it.

use std::collections::HashMap;

use trace::{Actor, Event, Kind};

use crate::saved::Run;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Call,
    Request,
    Write,
    Read,
    Sync,
    Takeover,
    Primary,
    Transfer,
}

#[derive(Debug)]
pub struct Span {
    pub what: What,
    pub name: String,
    pub lane: usize,
    /// The event that opened it; for a sync, the one that tells of its return.
    pub open: usize,
    /// The event that closed it; `None` if it was cut off.
    pub close: Option<usize>,
    /// Microseconds since the run began.
    pub begin: u64,
    pub end: u64,
    pub parent: Option<usize>,
    pub links: Vec<usize>,
}

/// Under what an open span is found again, in its lane.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Asked(String),
    Call(u64),
    Write(u64, u64),
    Read(u32, u64),
    Role,
    Transfer,
}

struct Finder<'a> {
    run: &'a Run,
    spans: Vec<Span>,
    open: HashMap<(usize, Key), Vec<usize>>,
    /// The span that an event opened.
    opened: HashMap<usize, usize>,
    /// The write that each entry came of, by shard, epoch and seq.
    entries: HashMap<(u32, u64, u64), usize>,
    lives: HashMap<usize, u32>,
}

/// The spans of a run, by when they end as it is told.
pub fn spans(run: &Run) -> Vec<Span> {
    let mut finder = Finder {
        run,
        spans: Vec::new(),
        open: HashMap::new(),
        opened: HashMap::new(),
        entries: HashMap::new(),
        lives: HashMap::new(),
    };
    for (at, event) in run.events.iter().enumerate() {
        finder.life(at, event);
        finder.opens_or_closes(at, event);
    }
    let last = (0..run.events.len()).map(|at| run.time(at)).max().unwrap_or(0);
    let open: Vec<_> = finder.open.drain().flat_map(|(_, spans)| spans).collect();
    for span in open {
        finder.spans[span].end = last;
    }
    finder.spans
}

impl Finder<'_> {
    /// A process that ended has nothing open any more.
    fn life(&mut self, at: usize, event: &Event) {
        let lane = self.run.lane(at);
        let before = self.lives.insert(lane, event.id.life);
        let ended =
            before.is_some_and(|life| life != event.id.life) || matches!(event.kind, Kind::Crashed { .. });
        if !ended {
            return;
        }
        let now = self.run.time(at);
        let mut cut = Vec::new();
        self.open.retain(|(other, _), spans| {
            if *other == lane {
                cut.append(spans);
            }
            *other != lane
        });
        for span in cut {
            self.spans[span].end = now.max(self.spans[span].begin);
        }
    }

    fn opens_or_closes(&mut self, at: usize, event: &Event) {
        match &event.kind {
            Kind::ClientCalled { request, .. } => {
                self.begin(at, What::Call, request.clone(), Key::Asked(request.clone()), None);
            }
            Kind::ClientAnswered { request, .. } => self.end_first(at, Key::Asked(request.clone())),
            Kind::CallTaken { call, request } => {
                let parent = self.of_a_parent(at);
                self.begin(at, What::Request, request.clone(), Key::Call(*call), parent);
            }
            Kind::RequestEnded { call, .. } => self.end(at, Key::Call(*call)),
            Kind::RequestReceived { session, number, op } => {
                let parent = self.routed(at);
                self.begin(at, What::Write, op.clone(), Key::Write(*session, *number), parent);
            }
            Kind::ReplyReleased { session, number, .. } | Kind::RequestRefused { session, number, .. } => {
                self.end(at, Key::Write(*session, *number));
            }
            Kind::ReadWaiting { gateway, id, .. } => {
                let parent = self.routed(at);
                self.begin(at, What::Read, format!("read {id}"), Key::Read(*gateway, *id), parent);
            }
            Kind::ReadAnswered { gateway, id, .. } => self.end(at, Key::Read(*gateway, *id)),
            Kind::EntryAppended { epoch, seq, .. } => self.appended(at, event.id.actor, *epoch, *seq),
            Kind::DeviceSynced { micros, batch, .. } => self.synced(at, *micros, *batch),
            Kind::TakeoverStarted { epoch, .. } => {
                self.end(at, Key::Role);
                self.begin(at, What::Takeover, format!("candidate for epoch {epoch}"), Key::Role, None);
            }
            Kind::PrimaryElected { epoch, .. } => {
                self.end(at, Key::Role);
                self.begin(at, What::Primary, format!("primary of epoch {epoch}"), Key::Role, None);
            }
            Kind::TakeoverAbandoned { .. } | Kind::SteppedDown { .. } | Kind::EpochAdopted { .. } => {
                self.end(at, Key::Role);
            }
            Kind::TransferStarted { from, .. } => {
                self.end(at, Key::Transfer);
                self.begin(at, What::Transfer, format!("state of n{from}"), Key::Transfer, None);
            }
            Kind::TransferFinished { .. } => self.end(at, Key::Transfer),
            _ => {}
        }
    }

    fn begin(&mut self, at: usize, what: What, name: String, key: Key, parent: Option<usize>) {
        let (lane, now) = (self.run.lane(at), self.run.time(at));
        let span =
            Span { what, name, lane, open: at, close: None, begin: now, end: now, parent, links: Vec::new() };
        self.opened.insert(at, self.spans.len());
        self.open.entry((lane, key)).or_default().push(self.spans.len());
        self.spans.push(span);
    }

    /// Ends all spans of this key: one reply answers a request, however often it came.
    fn end(&mut self, at: usize, key: Key) {
        for span in self.open.remove(&(self.run.lane(at), key)).unwrap_or_default() {
            self.close(span, at);
        }
    }

    /// Ends the oldest one: a client asks in turn.
    fn end_first(&mut self, at: usize, key: Key) {
        let key = (self.run.lane(at), key);
        let Some(waiting) = self.open.get_mut(&key) else { return };
        let first = waiting.remove(0);
        if waiting.is_empty() {
            self.open.remove(&key);
        }
        self.close(first, at);
    }

    fn close(&mut self, span: usize, at: usize) {
        let now = self.run.time(at);
        let span = &mut self.spans[span];
        // A wall clock may have been put back.
        (span.close, span.end) = (Some(at), now.max(span.begin));
    }

    /// The span that one of an event's causes opened.
    fn of_a_parent(&self, at: usize) -> Option<usize> {
        self.run.parents(at).find_map(|parent| self.opened.get(&parent).copied())
    }

    /// The request of a gateway whose sending an event follows from.
    fn routed(&self, at: usize) -> Option<usize> {
        let call = |sent: usize| match &self.run.events[sent].kind {
            Kind::RequestRouted { call, .. }
            | Kind::RequestRetried { call, .. }
            | Kind::ReadRouted { call, .. } => Some((self.run.lane(sent), Key::Call(*call))),
            _ => None,
        };
        let key = self.run.parents(at).find_map(call)?;
        self.open.get(&key)?.last().copied()
    }

    /// An entry of the same shard, epoch and seq is the same one on every replica.
    fn appended(&mut self, at: usize, actor: Actor, epoch: u64, seq: u64) {
        let Actor::Node { shard, .. } = actor else { return };
        if let Some(write) = self.of_a_parent(at) {
            self.entries.insert((shard, epoch, seq), write);
        }
    }

    fn synced(&mut self, at: usize, micros: u64, batch: u64) {
        let (run, now) = (self.run, self.run.time(at));
        // A simulated device does not say how long it took: it has had what it syncs since then.
        let own = run.parents(at).filter(|parent| run.lane(*parent) == run.lane(at));
        let given = own.map(|parent| run.time(parent)).max().unwrap_or(now);
        let begin = if micros > 0 { now.saturating_sub(micros) } else { given.min(now) };
        let of = |parent: usize| match (&run.events[parent].kind, run.events[parent].id.actor) {
            (Kind::EntryAppended { epoch, seq, .. }, Actor::Node { shard, .. }) => {
                self.entries.get(&(shard, *epoch, *seq)).copied()
            }
            _ => self.opened.get(&parent).copied(),
        };
        let mut links: Vec<usize> = run.parents(at).filter_map(of).collect();
        links.sort_unstable();
        links.dedup();
        self.spans.push(Span {
            what: What::Sync,
            name: format!("sync batch {batch}"),
            lane: run.lane(at),
            open: at,
            close: Some(at),
            begin,
            end: now,
            parent: None,
            links,
        });
    }
}
