//! What is told of a run, and kept outside of it: a run that ends in a panic of the code under test leaves it behind too.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use dataplane::Micros;
use trace::{Actor, Event, Kind, Tracer, emit};

use crate::ask::Ask;
use crate::coverage::Coverage;
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
}

impl Told {
    pub fn new(options: &Options) -> Arc<Told> {
        let (traces, counts) = (options.trace, options.coverage);
        Arc::new(Told { clock: AtomicU64::new(0), traces, counts, kept: Mutex::default() })
    }

    pub fn now(&self) -> Micros {
        self.clock.load(Ordering::Relaxed)
    }

    pub fn set_now(&self, now: Micros) {
        self.clock.store(now, Ordering::Relaxed);
    }

    pub fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no holder of the lock panics")
    }

    fn take(&self, event: &Event) {
        let mut kept = self.kept();
        if self.counts {
            kept.coverage.event(&event.kind);
        }
        if self.traces {
            kept.lines.extend_from_slice(trace::json::to_line(event).as_bytes());
            kept.lines.push(b'\n');
        }
    }
}

impl World<'_> {
    /// Does anybody listen to events?
    pub fn listens(&self) -> bool {
        self.told.traces || self.told.counts
    }

    /// Counts something that happened, if somebody counts.
    pub fn cover(&self, group: &'static str, entry: &'static str) {
        if self.told.counts {
            self.told.kept().coverage.count(group, entry, 1);
        }
    }

    /// A tracer for one life of an actor.
    pub fn tracer_of(&self, actor: Actor, life: u32) -> Tracer {
        if !self.listens() {
            return Tracer::off();
        }
        let told = self.told.clone();
        Tracer::always(actor, life, Box::new(move |event| told.take(&event)))
    }

    /// An event of the world itself.
    pub fn tell(&mut self, kind: Kind) {
        self.tracer.begin(self.queue.now(), None);
        emit!(self.tracer, kind);
    }
}
