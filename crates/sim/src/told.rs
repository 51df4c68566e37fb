//! What is told of a run, and kept outside of it: a run that ends in a panic of the code under test leaves it behind too.
//!
//! Nodes and gateways tell of themselves. What is between and around them is told here: clients have lanes of their own, a
//! process crashes and restarts in its own lane, messages are lost by the world, and the last event is the broken promise.
//! Each event has two times: its actor's own clock, and virtual time, which all share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use dataplane::{Address, Frame, Micros};
use trace::{Actor, Event, EventId, Kind, Tracer, emit};

use crate::ask::Ask;
use crate::checkers::Violation;
use crate::coverage::Coverage;
use crate::history::Operation;
use crate::options::Options;
use crate::world::World;

/// What is told of a run.
pub(crate) struct Told {
    /// Virtual time.
    clock: AtomicU64,
    /// Is a trace wanted?
    pub traces: bool,
    /// Is it counted what happens?
    pub counts: bool,
    kept: Mutex<Kept>,
}

/// What is kept.
#[derive(Default)]
pub(crate) struct Kept {
    /// The trace, as JSON Lines.
    pub lines: Vec<u8>,
    pub coverage: Coverage,
    /// What clients asked.
    pub asks: Vec<Ask>,
    /// What happened at this moment.
    step: Vec<(EventId, &'static str)>,
    /// The last event of each actor.
    last: BTreeMap<Actor, EventId>,
    /// A client's call, and a gateway's reply, by gateway and token.
    calls: BTreeMap<(u32, u64), EventId>,
    replies: BTreeMap<(u32, u64), EventId>,
    /// A client's answer, by the moment of its call.
    answers: BTreeMap<u64, EventId>,
    /// What a checker judged, if it was not what happened just now.
    judged: Vec<EventId>,
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
        Arc::new(Told { clock: AtomicU64::new(0), traces, counts, kept: Mutex::default() })
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
        let (invariant, checker, what) = (invariant.clone(), checker.to_string(), sentence.clone());
        emit!(tracer, Kind::PromiseBroken { promise: *promise, invariant, checker, what });
    }
}

/// An actor as traces name it.
fn name(address: Address, shard: u32) -> String {
    let actor = match address {
        Address::Node(node) => Actor::Node { node: node.0, shard },
        Address::Gateway(id) => Actor::Gateway(id.gateway),
    };
    actor.to_string()
}

impl World<'_> {
    /// Does anybody listen to events?
    pub fn listens(&self) -> bool {
        self.told.listens()
    }

    /// Counts something that happened, if somebody counts.
    pub fn cover(&self, group: &'static str, entry: &'static str) {
        if self.told.counts {
            self.told.kept().coverage.count(group, entry, 1);
        }
    }

    /// An event of the world itself, which follows from the fault that is being injected.
    pub fn tell(&mut self, kind: impl FnOnce() -> Kind) {
        self.tracer.begin(self.queue.now(), self.because);
        emit!(self.tracer, kind());
    }

    /// A fault is injected: what happens until the next one is because of it.
    pub fn tell_fault(&mut self, what: impl FnOnce() -> String) {
        self.because = None;
        self.tell(|| Kind::FaultInjected { what: what() });
        self.because = if self.listens() { self.told.last(Actor::World) } else { None };
    }

    /// A fault ends.
    pub fn tell_end(&mut self, what: impl FnOnce() -> String) {
        self.tell(|| Kind::FaultEnded { what: what() });
    }

    /// Says in a process's own lane that it crashes, or restarts: after what it did last, and because of a fault.
    pub fn tell_of(&self, tracer: &mut Tracer, actor: Actor, clock: Micros, kind: Kind) {
        if self.listens() {
            tracer.begin(clock, self.told.last(actor).into_iter().chain(self.because));
            emit!(tracer, kind);
        }
    }

    /// A message that arrives nowhere.
    pub fn tell_lost(&mut self, frame: &Frame, why: impl FnOnce() -> String) {
        self.tracer.begin(self.queue.now(), frame.cause);
        let lost = || Kind::MessageLost {
            from: name(frame.from, frame.shard),
            to: name(frame.to, frame.shard),
            message: frame.message.name().to_string(),
            why: why(),
        };
        emit!(self.tracer, lost());
    }

    /// A client calls, and some gateway will take it on under this token.
    pub fn tell_call(&mut self, client: usize, gateway: u32, call: u64, operation: &Operation) {
        let (now, tracer) = (self.queue.now(), &mut self.clients[client].tracer);
        tracer.begin(now, None);
        emit!(tracer, Kind::ClientCalled { call, request: operation.asked() });
        if self.listens() {
            let mut kept = self.told.kept();
            let id = kept.last.get(&Actor::Client(operation.client)).copied();
            kept.calls.extend(id.map(|id| ((gateway, call), id)));
        }
    }

    /// A client is told something, by a gateway's reply or by its silence.
    pub fn tell_answer(&mut self, client: usize, gateway: u32, call: u64, operation: &Operation) {
        if !self.listens() {
            return;
        }
        let cause = {
            let mut kept = self.told.kept();
            kept.replies.remove(&(gateway, call)).or(kept.last.get(&Actor::Gateway(gateway)).copied())
        };
        let (now, tracer) = (self.queue.now(), &mut self.clients[client].tracer);
        tracer.begin(now, cause);
        emit!(tracer, Kind::ClientAnswered { request: operation.asked(), reply: operation.told() });
        let mut kept = self.told.kept();
        let id = kept.last.get(&Actor::Client(operation.client)).copied();
        kept.answers.extend(id.map(|id| (operation.called, id)));
    }

    /// A checker judged the answer to this operation.
    pub fn judged(&self, operation: &Operation) {
        let mut kept = self.told.kept();
        let answer = kept.answers.get(&operation.called).copied();
        kept.judged.extend(answer);
    }
}
