//! Where a live process keeps its events: those of followed requests in memory, and only the latest; all of them there while
//! `up` asks for that, and in a file, if it was started so.
//!
//! A process that nobody asks anything records nothing. One that is asked keeps at most [`EVENTS_MAX`] events per actor;
//! older ones make room. So an explanation may be cut short under heavy use, and never costs more than this memory.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use dataplane::TRACE_BYTES_MAX;
use trace::{Actor, Event, EventId, Tracer};

use crate::clock::wall_micros;

/// Most events kept per actor.
pub const EVENTS_MAX: usize = 4096;

/// The latest events of one actor.
#[derive(Clone, Default)]
pub struct Ring(Arc<Mutex<VecDeque<Event>>>);

/// A file to which a process adds all its events, as JSON Lines.
#[derive(Clone, Debug)]
pub struct Record(Arc<File>);

impl Record {
    /// Behind what earlier processes wrote there.
    pub fn open(path: &Path) -> io::Result<Record> {
        Ok(Record(Arc::new(OpenOptions::new().create(true).append(true).open(path)?)))
    }

    /// At once, and not through a buffer: whoever kills the process wants to see what it did last.
    fn add(&self, event: &Event) {
        let line = trace::json::to_line(event) + "\n";
        if let Err(error) = (&*self.0).write_all(line.as_bytes()) {
            tracing::error!("the trace lacks an event: {error}");
        }
    }
}

impl Ring {
    /// A tracer that writes here: of followed requests, or of everything if there is a record to keep.
    pub fn tracer(&self, actor: Actor, life: u32, record: Option<Record>) -> Tracer {
        let new = if record.is_some() { Tracer::recorded } else { Tracer::followed };
        new(actor, life, wall_micros, self.sink(record))
    }

    /// A tracer that writes everything here, and nowhere else.
    pub fn recorder(&self, actor: Actor, life: u32) -> Tracer {
        Tracer::recorded(actor, life, wall_micros, self.sink(None))
    }

    fn sink(&self, record: Option<Record>) -> Box<trace::Sink> {
        let ring = self.clone();
        Box::new(move |event| {
            record.iter().for_each(|record| record.add(&event));
            let mut events = ring.0.lock().unwrap_or_else(PoisonError::into_inner);
            if events.len() == EVENTS_MAX {
                events.pop_front();
            }
            events.push_back(event);
        })
    }

    /// The latest events as JSON Lines, as many as one frame holds.
    pub fn lines(&self) -> Vec<u8> {
        self.latest_lines(TRACE_BYTES_MAX)
    }

    fn latest_lines(&self, bytes_max: usize) -> Vec<u8> {
        let lines: Vec<String> =
            self.events().iter().map(|event| trace::json::to_line(event) + "\n").collect();
        let mut room = bytes_max;
        let fits = lines.iter().rev().take_while(|line| {
            let fits = line.len() <= room;
            room = room.saturating_sub(line.len());
            fits
        });
        let kept = fits.count();
        lines[lines.len() - kept..].concat().into_bytes()
    }

    /// The same as a text of JSON, and one of `parts` that share the room.
    pub fn text(&self, parts: usize) -> serde_json::Value {
        String::from_utf8_lossy(&self.latest_lines(TRACE_BYTES_MAX / parts)).into_owned().into()
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
