//! How far to play.

use lab::Machine;
use trace::{Event, Kind, Mechanism};

/// Where to stop.
pub enum Until {
    Step(usize),
    Event(&'static str),
    Mechanism(Mechanism),
    Violation,
}

impl Until {
    /// The place that a word names.
    pub fn read(word: &str) -> Result<Until, String> {
        if word == "violation" {
            return Ok(Until::Violation);
        }
        if let Ok(step) = word.parse() {
            return Ok(Until::Step(step));
        }
        if let Some(kind) = trace::Kind::NAMES.iter().find(|name| name.eq_ignore_ascii_case(word)) {
            return Ok(Until::Event(kind));
        }
        Mechanism::from_id(word).map(Until::Mechanism).ok_or_else(|| {
            format!("`{word}` is no step's number, kind of event or mechanism, and not `violation`")
        })
    }

    /// Is `machine` there, or can it go no further?
    pub fn is_reached(&self, machine: &Machine) -> bool {
        let events = machine.acts().last().into_iter().flat_map(|act| &act.events);
        machine.broken().is_some() || self.is_met(machine.at(), events)
    }

    /// Is it met after so many steps, by what happened in the last one?
    pub fn is_met<'a>(&self, steps: usize, mut events: impl Iterator<Item = &'a Event>) -> bool {
        match self {
            Until::Step(step) => steps >= *step,
            Until::Event(kind) => events.any(|event| event.kind.name() == *kind),
            Until::Mechanism(mechanism) => events.any(|event| event.kind.mechanism() == Some(*mechanism)),
            Until::Violation => events.any(|event| matches!(event.kind, Kind::PromiseBroken { .. })),
        }
    }
}
