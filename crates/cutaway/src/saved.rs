//! A saved run: its events in one order, whose lane each is in, and which message brought what.
//!
//! Everything that shows a trace reads it here, so a message is one journey in each of them.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use trace::{Actor, Event, EventId, Kind, json, merge};

use crate::failure::{Failure, Result};

/// A run. Events are named by their place in it, from 0.
#[derive(Debug)]
pub struct Run {
    pub events: Vec<Event>,
    /// Clients first, then gateways, nodes, and the world.
    pub lanes: Vec<Actor>,
    lane_of: Vec<usize>,
    places: HashMap<EventId, usize>,
    /// When it begins, in microseconds of the clock that all share.
    pub begin: u64,
}

/// A message: the event that sent it, and the one by which its receiver shows that it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Journey {
    pub sent: usize,
    pub came: usize,
}

/// Some of a run: the first and the last event, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window(usize, usize);

impl std::str::FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Window, String> {
        let bounds = text.split_once("..").and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        let (first, last) = bounds.ok_or("name the first and the last event, such as 100..250")?;
        if first == 0 || first > last {
            return Err("events are numbered from 1, and the first comes before the last".into());
        }
        Ok(Window(first, last))
    }
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}..{}", self.0, self.1)
    }
}

impl Window {
    /// The `size` events that end with the `last`, from 1.
    pub fn up_to(last: usize, size: usize) -> Window {
        Window(last.saturating_sub(size - 1).max(1), last)
    }
}

/// Reads the traces of one run: one file of all, or one of each node.
pub fn read(files: &[PathBuf], window: Option<Window>) -> Result<Run> {
    let read = |file: &PathBuf| {
        let named = |why: String| Failure::error(format!("{}: {why}", file.display()));
        let text = std::fs::read_to_string(file).map_err(|error| named(error.to_string()))?;
        json::read(&text).map_err(named)
    };
    let files = files.iter().map(read).collect::<Result<Vec<_>>>()?;
    let mut events = merge::merged(files);
    if events.is_empty() {
        return Err(Failure::error("the trace has no events"));
    }
    if let Some(Window(first, last)) = window {
        let all = events.len();
        if first > all {
            return Err(Failure::usage(format!(
                "--events begins at {first}, and the trace has {all} events"
            )));
        }
        events.truncate(last);
        events.drain(..first - 1);
    }
    Ok(Run::new(events))
}

/// Clients to the left, then gateways, then nodes, and the world at the right.
fn order(actor: &Actor) -> (u32, u32, u32) {
    match actor {
        Actor::Client(n) => (0, *n, 0),
        Actor::Gateway(n) => (1, *n, 0),
        Actor::Node { node, shard } => (2, *node, *shard),
        Actor::World => (3, 0, 0),
    }
}

/// Microseconds of the clock that all share; where there is none, of the actor's own.
fn common(event: &Event) -> u64 {
    event.wall.unwrap_or(event.logical)
}

impl Run {
    pub fn new(events: Vec<Event>) -> Run {
        let mut lanes: Vec<Actor> = events.iter().map(|event| event.id.actor).collect();
        lanes.sort_by_key(order);
        lanes.dedup();
        let numbers: HashMap<Actor, usize> = lanes.iter().copied().zip(0..).collect();
        let lane_of = events.iter().map(|event| numbers[&event.id.actor]).collect();
        let places = events.iter().enumerate().map(|(at, event)| (event.id, at)).collect();
        let begin = events.iter().map(common).min().unwrap_or(0);
        Run { events, lanes, lane_of, places, begin }
    }

    pub fn lane(&self, at: usize) -> usize {
        self.lane_of[at]
    }

    /// Microseconds since the run began.
    pub fn time(&self, at: usize) -> u64 {
        common(&self.events[at]) - self.begin
    }

    /// What an event follows from, as far as it is in the run.
    pub fn parents(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        self.events[at].parents.iter().filter_map(|parent| self.places.get(parent).copied())
    }

    /// From which lane to which one a message was lost.
    pub fn lost(&self, at: usize) -> Option<(usize, usize)> {
        let Kind::MessageLost { from, to, .. } = &self.events[at].kind else { return None };
        let lane = |name: &str| {
            let actor = name.parse::<Actor>().ok()?;
            self.lanes.iter().position(|lane| *lane == actor)
        };
        Some((lane(from)?, lane(to)?))
    }

    /// The messages that came, in the order in which they did. An event that follows from another lane's has heard of it, and
    /// the first one of its lane is when the message came. What the world does to an actor, and sees of it, is no message.
    pub fn journeys(&self) -> Vec<Journey> {
        let mut heard = HashSet::new();
        let mut journeys = Vec::new();
        for (came, event) in self.events.iter().enumerate() {
            if event.id.actor == Actor::World {
                continue;
            }
            for sent in self.parents(came) {
                let from = self.events[sent].id.actor;
                if from != event.id.actor && from != Actor::World && heard.insert((sent, self.lane(came))) {
                    journeys.push(Journey { sent, came });
                }
            }
        }
        journeys
    }

    /// Where the first promise to a client is seen broken.
    pub fn broken(&self) -> Option<usize> {
        self.events.iter().position(|event| matches!(event.kind, Kind::PromiseBroken { .. }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trace::Source;

    const N1: Actor = Actor::Node { node: 1, shard: 0 };
    const N2: Actor = Actor::Node { node: 2, shard: 0 };

    fn event(actor: Actor, n: u64, parents: &[&Event]) -> Event {
        Event {
            id: EventId { actor, life: 1, n },
            parents: parents.iter().map(|parent| parent.id).collect(),
            logical: 0,
            wall: Some(10 * n),
            kind: Kind::Restarted {},
            source: Source { file: "f".into(), symbol: "s".into() },
        }
    }

    #[test]
    fn a_message_came_with_the_first_event_that_heard_of_it_and_the_world_sends_none() {
        let sent = event(N1, 0, &[]);
        let came = event(N2, 0, &[&sent]);
        let again = event(N2, 1, &[&sent, &came]);
        let fault = event(Actor::World, 0, &[&sent]);
        let struck = event(N2, 2, &[&fault]);
        let elsewhere = event(Actor::Gateway(1), 0, &[&sent]);
        let run = Run::new(vec![sent, came, again, fault, struck, elsewhere]);
        assert_eq!(run.journeys(), [Journey { sent: 0, came: 1 }, Journey { sent: 0, came: 5 }]);
        assert_eq!(run.lanes, [Actor::Gateway(1), N1, N2, Actor::World]);
    }

    #[test]
    fn a_window_is_read_as_people_count() {
        assert_eq!("1..2".parse(), Ok(Window(1, 2)));
        for bad in ["0..2", "3..2", "3", "..", "a..b"] {
            assert!(bad.parse::<Window>().is_err(), "{bad}");
        }
        assert_eq!(
            (Window::up_to(300, 150).to_string(), Window::up_to(3, 150)),
            ("151..300".into(), Window(1, 3))
        );
    }
}
