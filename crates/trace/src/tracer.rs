//! Who is listening, and which event caused which.
//!
//! A tracer belongs to one actor. Before the actor handles an input, its host calls [`Tracer::begin`] with the event
//! that caused the input (it travels in the frame); each event of that step then names the one before it as its parent.
//!
//! Listening comes in two strengths. A simulator listens *always*. A live process listens only to inputs that carry a
//! cause: so one request that asks to be explained lights up every process it touches, because each frame sent from a
//! lit step carries a cause too, and all other requests pay for one branch.

use crate::event::{Actor, Event, EventId, Kind, Source};

/// Where events go.
pub trait Sink: Send {
    /// Takes one event. It must not block: the caller is in the middle of a state transition.
    fn record(&mut self, event: Event);
}

impl<F: FnMut(Event) + Send> Sink for F {
    fn record(&mut self, event: Event) {
        self(event)
    }
}

/// The event stream of one actor.
pub struct Tracer {
    sink: Option<Box<dyn Sink>>,
    always: bool,
    /// Microseconds since the Unix epoch, for live processes; simulations have no wall clock.
    wall: Option<fn() -> u64>,
    actor: Actor,
    life: u32,
    next: u64,
    on: bool,
    logical: u64,
    parents: Vec<EventId>,
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
            logical: 0,
            parents: Vec::new(),
        }
    }

    /// Every event of `actor` goes to `sink`. `life` tells the events of one run of the actor from those of the next.
    pub fn always(actor: Actor, life: u32, sink: Box<dyn Sink>) -> Tracer {
        Tracer { sink: Some(sink), always: true, on: true, actor, life, ..Tracer::off() }
    }

    /// Only events with a cause that travelled here are recorded, with wall-clock time from `wall`.
    pub fn followed(actor: Actor, life: u32, wall: fn() -> u64, sink: Box<dyn Sink>) -> Tracer {
        Tracer { sink: Some(sink), wall: Some(wall), actor, life, ..Tracer::off() }
    }

    /// Starts a step at logical time `now` (microseconds of the host's clock), caused by `cause`.
    pub fn begin(&mut self, now: u64, cause: Option<EventId>) {
        self.logical = now;
        self.parents.clear();
        self.parents.extend(cause);
        self.on = self.sink.is_some() && (self.always || cause.is_some());
    }

    /// Adds a further cause to the step: one sync answers several requests.
    pub fn also(&mut self, cause: Option<EventId>) {
        let Some(cause) = cause else { return };
        if self.sink.is_some() && !self.parents.contains(&cause) {
            self.parents.push(cause);
            self.on = true;
        }
    }

    /// Starts a causal root: the next events are recorded although nothing caused them (a client asks for an
    /// explanation).
    pub fn begin_root(&mut self, now: u64) {
        self.begin(now, None);
        self.on = self.sink.is_some();
    }

    /// Is this step recorded?
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Microseconds since the Unix epoch, if this step is recorded by a live process.
    pub fn wall(&self) -> Option<u64> {
        self.wall.filter(|_| self.on).map(|clock| clock())
    }

    /// The event that an outgoing frame of this step should name as its cause; `None` when nobody listens.
    pub fn cause(&self) -> Option<EventId> {
        if self.on { self.parents.first().copied() } else { None }
    }

    /// Records an event. Call it through [`emit!`](crate::emit), which builds `kind` only when somebody listens.
    pub fn record(&mut self, kind: Kind, source: Source) {
        let Some(sink) = self.sink.as_mut() else { return };
        let id = EventId { actor: self.actor, life: self.life, n: self.next };
        self.next += 1;
        let parents = std::mem::replace(&mut self.parents, vec![id]);
        let wall = self.wall.map(|clock| clock());
        sink.record(Event { id, parents, logical: self.logical, wall, kind, source });
    }
}

impl std::fmt::Debug for Tracer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tracer({}, {})", self.actor, if self.on { "on" } else { "off" })
    }
}

/// Emits an event: `emit!(tracer, Kind::Committed { from, to })`. The kind is built only when somebody listens.
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
