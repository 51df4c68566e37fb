//! Who is listening, and which event follows from which.
//!
//! A tracer belongs to one actor. Before the actor handles an input, its host calls [`Tracer::begin`] with the event
//! that caused the input (it travels in the frame). What the rules say happened in that step is recorded as they said it,
//! and each event names what it really follows from:
//!
//! - by default what its step was given, or the last event of the step that led on (an acknowledgement is counted, so an
//!   entry is committed);
//! - where the facts of the event name a cause of an earlier step, that one: entries are sent because they were appended,
//!   an entry is applied because it was committed, a sync was made for the batch.
//!
//! A frame follows from the event that tells of its sending, if there is one, else from what the step follows from. So
//! what is done on one node never seems to follow from what was sent to another one.
//!
//! Listening comes in two strengths. A simulator listens *always*. A live process records only what follows from a cause
//! that travelled here: so one request that asks to be explained lights up every process it touches, because each frame
//! that follows from it carries a cause too, and all other requests pay for one branch.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::{Actor, Event, EventId, Kind, Leads, Source};

/// Most events that one batch is told to follow from.
const BATCH_MAX: usize = 64;
/// Most entries, reads and calls remembered, each; the oldest are forgotten.
const KNOWN_MAX: usize = 16 << 10;

/// Takes one event. It must not block: the caller is in the middle of a state transition.
pub type Sink = dyn Fn(Event) + Send + Sync;

/// The event stream of one actor.
#[derive(Clone)]
pub struct Tracer {
    sink: Option<Arc<Sink>>,
    always: bool,
    /// Microseconds since the Unix epoch, for live processes; simulations have no wall clock.
    wall: Option<fn() -> u64>,
    actor: Actor,
    life: u32,
    next: u64,
    on: bool,
    /// Is the next event recorded although nothing caused it?
    root: bool,
    logical: u64,
    /// What the step follows from, as far as it has come.
    given: Vec<EventId>,
    /// What tells of the sending of the next frame; within it `None` if nobody follows that frame.
    said: Option<Option<EventId>>,
    known: Known,
}

/// Events of earlier steps that later ones follow from.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The appending of each entry, by seq.
    entries: BTreeMap<u64, EventId>,
    /// Reads that wait, by gateway and id.
    reads: BTreeMap<(u32, u64), EventId>,
    /// A gateway's calls that have no reply yet.
    calls: BTreeMap<u64, EventId>,
    /// What the next sync is made for.
    batch: Vec<EventId>,
    /// The last entry that was committed, and when.
    committed: Option<(u64, EventId)>,
    /// The last entry that this step appended.
    appended: Option<EventId>,
    /// The sync that returned in this step.
    synced: Option<EventId>,
}

/// What an event follows from.
enum Causes {
    /// What its step follows from.
    Given,
    /// Time alone.
    Time,
    /// What its facts name; if nothing of that is known, what its step follows from.
    Named(Vec<EventId>),
    /// What its step follows from, for somebody who has waited since this event.
    For(Option<EventId>),
}

impl Known {
    fn causes(&self, kind: &Kind) -> Causes {
        match kind {
            Kind::HeartbeatSent { .. } => Causes::Time,
            Kind::DeviceSynced { .. } => Causes::Named(self.batch.clone()),
            Kind::EntriesSent { from, upto, .. } => {
                let appended = self.entries.range(from..=upto).map(|(_, id)| *id);
                Causes::Named(appended.take(BATCH_MAX).collect())
            }
            Kind::RecordWritten { seq, .. } => {
                Causes::Named(self.entries.get(seq).copied().into_iter().collect())
            }
            Kind::EntryApplied { seq, .. } => {
                let committed = self.committed.filter(|(upto, _)| seq <= upto).map(|(_, id)| id);
                let appended = self.entries.get(seq).copied();
                Causes::Named(appended.map(|id| committed.unwrap_or(id)).into_iter().collect())
            }
            Kind::ReadAnswered { gateway, id, .. } => Causes::For(self.reads.get(&(*gateway, *id)).copied()),
            Kind::RequestRouted { call, .. }
            | Kind::RequestRetried { call, .. }
            | Kind::ReadRouted { call, .. }
            | Kind::RequestEnded { call, .. } => Causes::For(self.calls.get(call).copied()),
            _ => Causes::Given,
        }
    }

    /// Remembers an event that later ones will follow from.
    fn note(&mut self, kind: &Kind, id: EventId) {
        match kind {
            Kind::EntryAppended { seq, .. } => {
                self.entries.split_off(seq);
                remember(&mut self.entries, *seq, id);
                self.appended = Some(id);
                self.open(id);
            }
            Kind::ReadWaiting { gateway, id: read, .. } => {
                remember(&mut self.reads, (*gateway, *read), id);
                self.open(id);
            }
            Kind::ReadAnswered { gateway, id: read, .. } => _ = self.reads.remove(&(*gateway, *read)),
            Kind::CallTaken { call, .. } => remember(&mut self.calls, *call, id),
            Kind::RequestEnded { call, .. } => _ = self.calls.remove(call),
            Kind::CommitAdvanced { to, .. } => self.committed = Some((*to, id)),
            Kind::DeviceSynced { .. } => self.synced = Some(id),
            _ => {}
        }
    }

    fn open(&mut self, id: EventId) {
        if self.batch.len() < BATCH_MAX {
            self.batch.push(id);
        }
    }
}

fn remember<K: Ord>(known: &mut BTreeMap<K, EventId>, key: K, id: EventId) {
    if known.len() >= KNOWN_MAX {
        known.pop_first();
    }
    known.insert(key, id);
}

impl Tracer {
    /// Nobody listens.
    pub fn off() -> Tracer {
        Tracer {
            sink: None,
            always: false,
            wall: None,
            actor: Actor::World,
            life: 0,
            next: 0,
            on: false,
            root: false,
            logical: 0,
            given: Vec::new(),
            said: None,
            known: Known::default(),
        }
    }

    /// Every event of `actor` goes to `sink`. `life` tells the events of one run of the actor from those of the next.
    pub fn always(actor: Actor, life: u32, sink: Box<Sink>) -> Tracer {
        Tracer { sink: Some(sink.into()), always: true, on: true, actor, life, ..Tracer::off() }
    }

    /// Only events with a cause that travelled here are recorded, with wall-clock time from `wall`.
    pub fn followed(actor: Actor, life: u32, wall: fn() -> u64, sink: Box<Sink>) -> Tracer {
        Tracer { sink: Some(sink.into()), wall: Some(wall), actor, life, ..Tracer::off() }
    }

    /// Every event of `actor`, with wall-clock time from `wall`: for a live process of which everything is recorded.
    pub fn recorded(actor: Actor, life: u32, wall: fn() -> u64, sink: Box<Sink>) -> Tracer {
        Tracer { wall: Some(wall), ..Tracer::always(actor, life, sink) }
    }

    /// Starts a step at logical time `now` (microseconds of the host's clock), caused by `causes`.
    pub fn begin(&mut self, now: u64, causes: impl IntoIterator<Item = EventId>) {
        self.logical = now;
        self.given.clear();
        self.given.extend(causes);
        self.step();
    }

    /// Starts a step that goes on with all that waits for the next sync.
    pub fn begin_batch(&mut self, now: u64) {
        self.logical = now;
        self.given.clone_from(&self.known.batch);
        self.step();
    }

    fn step(&mut self) {
        self.root = false;
        (self.said, self.known.appended, self.known.synced) = (None, None, None);
        self.on = self.sink.is_some() && (self.always || !self.given.is_empty());
    }

    /// Nothing waits for the next sync any more.
    pub fn end_batch(&mut self) {
        self.known.batch.clear();
    }

    /// The step goes on with what waited since `cause`: for the sync that returned in this step, if one did.
    pub fn resume(&mut self, cause: Option<EventId>) {
        self.given.clear();
        self.given.extend(cause);
        self.given.extend(self.known.synced);
        self.on |= self.sink.is_some() && !self.given.is_empty();
    }

    /// Starts a step that nothing caused. If it is `followed`, its first event is recorded all the same: a client asks for an
    /// explanation.
    pub fn begin_root(&mut self, now: u64, followed: bool) {
        self.begin(now, None);
        self.root = followed;
        self.on |= followed && self.sink.is_some();
    }

    /// Is this step recorded?
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Microseconds since the Unix epoch, if this step is recorded by a live process.
    pub fn wall(&self) -> Option<u64> {
        self.wall.filter(|_| self.on).map(|clock| clock())
    }

    /// The event that the next frame names as its cause; `None` when nobody listens.
    pub fn cause(&mut self) -> Option<EventId> {
        self.said.take().unwrap_or(self.given.first().copied())
    }

    /// The event that a frame follows from which waits for a sync: the entry that it speaks of was appended.
    pub fn cause_of_held(&self) -> Option<EventId> {
        self.known.appended.or(self.given.first().copied())
    }

    /// Records an event. Call it through [`emit!`](crate::emit), which builds `kind` only when somebody listens.
    pub fn record(&mut self, kind: Kind, source: Source) {
        let Some(sink) = &self.sink else { return };
        let parents = self.parents(&kind);
        let recorded = self.always || std::mem::take(&mut self.root) || !parents.is_empty();
        let id = EventId { actor: self.actor, life: self.life, n: self.next };
        // What follows from an event that nobody follows is nobody's either.
        let cause = recorded.then_some(id);
        self.said = None;
        match kind.leads() {
            Leads::On => self.given = cause.into_iter().collect(),
            Leads::ToAFrame => self.said = Some(cause),
            Leads::Nowhere => {}
        }
        if !recorded {
            return;
        }
        self.next += 1;
        self.known.note(&kind, id);
        let wall = self.wall.map(|clock| clock());
        sink(Event { id, parents, logical: self.logical, wall, kind, source });
    }

    /// What an event of this kind follows from now. Of what nobody follows a live process records nothing, whatever its step
    /// was given.
    fn parents(&self, kind: &Kind) -> Vec<EventId> {
        match self.known.causes(kind) {
            Causes::Time => Vec::new(),
            Causes::Named(ids) if !ids.is_empty() || !self.always => ids,
            Causes::For(None) if !self.always => Vec::new(),
            Causes::For(Some(since)) if !self.given.contains(&since) => {
                self.given.iter().copied().chain([since]).collect()
            }
            Causes::Given | Causes::Named(_) | Causes::For(_) => self.given.clone(),
        }
    }
}

impl std::fmt::Debug for Tracer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tracer({}, {})", self.actor, if self.on { "on" } else { "off" })
    }
}

/// Says what happened: `emit!(tracer, Kind::Committed { from, to })`, where `tracer` is a [`Tracer`], or rules that carry
/// it to one. The kind is built only when somebody listens.
#[macro_export]
macro_rules! emit {
    ($tracer:expr, $kind:expr) => {
        if $tracer.is_on() {
            fn here() {}
            let source =
                $crate::Source { file: file!().into(), symbol: $crate::event::symbol_of(here).into() };
            $tracer.record($kind, source);
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    type Told = Arc<Mutex<Vec<Event>>>;

    const ME: Actor = Actor::Node { node: 1, shard: 0 };

    fn sink(told: &Told) -> Box<Sink> {
        let told = told.clone();
        Box::new(move |event| told.lock().unwrap().push(event))
    }

    fn cause(n: u64) -> Option<EventId> {
        Some(EventId { actor: Actor::Gateway(1), life: 1, n })
    }

    fn append(t: &mut Tracer, seq: u64) {
        emit!(t, Kind::EntryAppended { epoch: 1, seq, last_before: seq - 1 });
    }

    fn send(t: &mut Tracer, to: u32, from: u64, upto: u64) -> Option<EventId> {
        emit!(t, Kind::EntriesSent { to, epoch: 1, from, upto, commit: 0 });
        t.cause()
    }

    #[test]
    fn each_frame_follows_from_its_own_sending_and_that_from_the_entries_in_it() {
        let told = Told::default();
        let mut t = Tracer::always(ME, 1, sink(&told));
        for seq in 1..=2 {
            t.begin(0, cause(seq));
            append(&mut t, seq);
        }
        t.begin_batch(1);
        let frames = [send(&mut t, 2, 1, 2), send(&mut t, 3, 2, 2)];
        // Nothing tells of this one: it follows from what the step does.
        assert_eq!(t.cause(), Some(told.lock().unwrap()[0].id));
        let told = told.lock().unwrap();
        let appended = [told[0].id, told[1].id];
        assert_eq!([&told[0].parents[..], &told[1].parents], [[cause(1).unwrap()], [cause(2).unwrap()]]);
        assert_eq!(frames, [Some(told[2].id), Some(told[3].id)]);
        assert_eq!((&told[2].parents[..], &told[3].parents[..]), (&appended[..], &appended[1..]));
    }

    #[test]
    fn what_waited_for_a_sync_follows_from_it_and_from_why_it_waited() {
        let told = Told::default();
        let mut t = Tracer::always(ME, 1, sink(&told));
        t.begin(0, cause(1));
        append(&mut t, 1);
        let held = t.cause_of_held();
        t.begin_batch(1);
        let sync =
            Kind::DeviceSynced { batch: 1, durable_before: 0, durable: 9, writes: 1, bytes: 9, micros: 0 };
        emit!(t, sync);
        t.resume(held);
        emit!(t, Kind::MatchAcknowledged { to: 2, epoch: 1, upto: 1 });
        let told = told.lock().unwrap();
        assert_eq!(told[1].parents, [told[0].id], "the batch is what was appended");
        assert_eq!(told[2].parents, [told[0].id, told[1].id]);
    }

    #[test]
    fn a_live_process_tells_only_of_what_somebody_follows() {
        let told = Told::default();
        let mut t = Tracer::followed(ME, 1, || 7, sink(&told));
        t.begin(0, None);
        append(&mut t, 1);
        assert!(!t.is_on());
        t.begin(0, cause(2));
        append(&mut t, 2);
        t.begin_batch(1);
        assert_eq!(send(&mut t, 2, 1, 1), None, "nobody follows entry 1");
        assert!(send(&mut t, 2, 1, 2).is_some());
        t.begin(2, cause(3));
        emit!(t, Kind::CommitAdvanced { from: 0, to: 2, epoch: 1 });
        for seq in 1..=2 {
            emit!(t, Kind::EntryApplied { seq, outcome: String::new(), applied_before: seq - 1 });
            let (gateway, session, reply) = (1, 9, String::new());
            emit!(t, Kind::ReplyReleased { gateway, session, number: seq, reply });
            assert_eq!(t.cause().is_some(), seq == 2, "the answer to request {seq}");
        }
        let names: Vec<_> = told.lock().unwrap().iter().map(|event| event.kind.name()).collect();
        assert_eq!(
            names,
            ["EntryAppended", "EntriesSent", "CommitAdvanced", "EntryApplied", "ReplyReleased"]
        );
        t.begin(3, None);
        assert!(!t.is_on(), "a step that nobody caused is dark");
        t.begin_root(4, true);
        emit!(t, Kind::CallTaken { call: 5, request: String::new() });
        t.begin(5, None);
        t.record(
            Kind::ReadRouted { call: 5, id: 1, shard: 0, node: 1, attempt: 1 },
            Source { file: "".into(), symbol: "".into() },
        );
        assert!(t.cause().is_some(), "a call is followed into whatever step sends it");
    }
}
