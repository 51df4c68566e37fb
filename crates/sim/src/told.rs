//! What is told of a run, and kept outside of it: a run that ends in a panic of the code under test leaves it behind too.
//!
//! Each event has two times: its actor's own clock, and virtual time, which all share. The last one is the broken promise.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use dataplane::Micros;
use trace::{Actor, Event, EventId, Kind, Tracer, emit};

use crate::ask::Ask;
use crate::checkers::Violation;
use crate::coverage::Coverage;
use crate::options::Options;

/// What is told of a run.
pub(crate) struct Told {
    /// Virtual time.
    clock: AtomicU64,
    /// Is a trace wanted?
    pub traces: bool,
    /// Is it counted what happens?
    pub counts: bool,
    /// The mechanisms that the run is without.
    out: String,
    kept: Mutex<Kept>,
}

/// What is kept.
#[derive(Default)]
pub(crate) struct Kept {
    /// The trace, as JSON Lines.
    pub lines: Vec<u8>,
    /// How many events were told.
    pub events: u64,
    pub coverage: Coverage,
    /// What clients asked.
    pub asks: Vec<Ask>,
    /// What happened at this moment.
    step: Vec<(EventId, &'static str)>,
    /// The last event of each actor.
    pub last: BTreeMap<Actor, EventId>,
    /// A client's call, and a gateway's reply, by gateway and token.
    pub calls: BTreeMap<(u32, u64), EventId>,
    pub replies: BTreeMap<(u32, u64), EventId>,
    /// A client's answer, by the moment of its call.
    pub answers: BTreeMap<u64, EventId>,
    /// What a checker judged, if it was not what happened just now.
    pub judged: Vec<EventId>,
}

/// What each checker judges, of what a replica or client did in a step; of others, the last thing that it did.
const JUDGED: [(&str, &[&str]); 7] = [
    ("log", &["CommitAdvanced", "EntriesSent"]),
    ("epochs", &["PrimaryElected"]),
    ("promises", &["DeviceOpened"]),
    ("sessions", &["ReplyReleased", "EntryApplied"]),
    ("reads", &["ReadAnswered", "EntryApplied"]),
    ("device", &["DeviceOpened", "CorruptionFound"]),
    ("clients", &["ClientAnswered"]),
];

impl Told {
    pub fn new(options: &Options) -> Arc<Told> {
        let (traces, counts) = (options.trace, options.coverage);
        let out = options.without.iter().map(|mechanism| mechanism.id()).collect::<Vec<_>>().join(", ");
        Arc::new(Told { clock: AtomicU64::new(0), traces, counts, out, kept: Mutex::default() })
    }

    /// Does anybody listen to events?
    pub fn listens(&self) -> bool {
        self.traces || self.counts
    }

    pub fn now(&self) -> Micros {
        self.clock.load(Ordering::Relaxed)
    }

    /// Something else happens, at `now`.
    pub fn begin(&self, now: Micros) {
        self.clock.store(now, Ordering::Relaxed);
        if self.listens() {
            self.kept().step.clear();
        }
    }

    pub fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no holder of the lock panics")
    }

    /// A tracer for one life of an actor.
    pub fn tracer(self: &Arc<Told>, actor: Actor, life: u32) -> Tracer {
        if !self.listens() {
            return Tracer::off();
        }
        let told = self.clone();
        Tracer::always(actor, life, Box::new(move |event| told.take(event)))
    }

    fn take(&self, mut event: Event) {
        event.wall = Some(self.now());
        let mut kept = self.kept();
        if let Actor::Gateway(gateway) = event.id.actor {
            match event.kind {
                Kind::CallTaken { call, .. } => event.parents.extend(kept.calls.remove(&(gateway, call))),
                Kind::RequestEnded { call, .. } => _ = kept.replies.insert((gateway, call), event.id),
                _ => {}
            }
        }
        kept.events += 1;
        kept.step.push((event.id, event.kind.name()));
        kept.last.insert(event.id.actor, event.id);
        if self.counts {
            kept.coverage.event(&event.kind);
        }
        if self.traces {
            kept.lines.extend_from_slice(trace::json::to_line(&event).as_bytes());
            kept.lines.push(b'\n');
        }
    }

    /// The last event of an actor.
    pub fn last(&self, actor: Actor) -> Option<EventId> {
        self.kept().last.get(&actor).copied()
    }

    /// The last event of a run: the promise that is broken. It follows from what the checker judged.
    pub fn broken(self: &Arc<Told>, violation: &Violation) {
        let mut causes = std::mem::take(&mut self.kept().judged);
        if causes.is_empty() {
            let kept = self.kept();
            let kinds =
                JUDGED.iter().find(|judged| judged.0 == violation.checker).map_or(&[][..], |judged| judged.1);
            causes.extend(kept.step.iter().filter(|event| kinds.contains(&event.1)).map(|event| event.0));
            if causes.is_empty() {
                causes.extend(kept.step.last().map(|event| event.0));
            }
        }
        let Violation { invariant, promise, checker, sentence, .. } = violation;
        // A run that panicked has taken the world's own tracer with it.
        let mut tracer = self.tracer(Actor::World, 2);
        tracer.begin(self.now(), causes);
        let out = match self.out.as_str() {
            "" => String::new(),
            ids => format!("; {ids} is out"),
        };
        let (invariant, checker, what) = (invariant.clone(), checker.to_string(), format!("{sentence}{out}"));
        emit!(tracer, Kind::PromiseBroken { promise: *promise, invariant, checker, what });
    }
}
