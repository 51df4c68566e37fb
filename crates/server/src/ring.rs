//! Where a live process keeps the events of followed requests: in memory, and only the latest.
//!
//! A process that nobody asks anything records nothing. One that is asked keeps at most [`EVENTS_MAX`] events per actor;
//! older ones make room. So an explanation may be cut short under heavy use, and never costs more than this memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use dataplane::TRACE_BYTES_MAX;
use trace::{Actor, Event, EventId, Tracer};

use crate::clock::wall_micros;

/// Most events kept per actor.
pub const EVENTS_MAX: usize = 4096;

/// The latest events of one actor.
#[derive(Clone, Default)]
pub struct Ring(Arc<Mutex<VecDeque<Event>>>);

impl Ring {
    /// A tracer of followed requests that writes here.
    pub fn tracer(&self, actor: Actor, life: u32) -> Tracer {
        let ring = self.clone();
        let sink = move |event| {
            let mut events = ring.0.lock().unwrap_or_else(PoisonError::into_inner);
            if events.len() == EVENTS_MAX {
                events.pop_front();
            }
            events.push_back(event);
        };
        Tracer::followed(actor, life, wall_micros, Box::new(sink))
    }

    /// The latest events as JSON Lines, as many as one frame holds.
    pub fn lines(&self) -> Vec<u8> {
        let lines: Vec<String> =
            self.events().iter().map(|event| trace::json::to_line(event) + "\n").collect();
        let mut room = TRACE_BYTES_MAX;
        let fits = lines.iter().rev().take_while(|line| {
            let fits = line.len() <= room;
            room = room.saturating_sub(line.len());
            fits
        });
        let kept = fits.count();
        lines[lines.len() - kept..].concat().into_bytes()
    }

    /// The events.
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// The latest event's id.
    pub fn latest(&self) -> Option<EventId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).back().map(|event| event.id)
    }
}
