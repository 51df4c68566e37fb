//! An event and the chain of its causes as a stack, each at the line that emits it; behind an event of a mechanism, its
//! guard; at the bottom, the step of the schedule that began it all.

use lab::tell;
use lab::why::registry;
use serde_json::{Value, json};
use trace::{Event, EventId, Kind};

use super::session::Session;
use super::tree::function;

/// Causes that are shown at most.
const FRAMES_MAX: usize = 1_000;

/// One frame.
pub struct Frame {
    pub name: String,
    /// The source, and the line in it.
    pub place: Option<(Value, usize)>,
    /// The lane whose state it shows.
    pub lane: usize,
    /// The event that it shows.
    pub event: Option<EventId>,
}

/// The stack of a lane. That of the position is the first to look at; in the others it is the last event there.
pub fn stack(session: &mut Session, lane: usize) -> Vec<Frame> {
    let (step, number) = session.position();
    let here = (session.lane() == lane).then_some((step, session.event().map(|_| number)));
    let place = here.or_else(|| last_of(session, lane).map(|(step, number)| (step, Some(number))));
    let Some((step, number)) = place.filter(|(step, _)| *step > 0) else {
        let name = "nothing has happened here yet".to_string();
        let first = (lane == session.lane()).then(|| step_frame(session, 1, lane).place).flatten();
        return vec![Frame { name, place: first, lane, event: None }];
    };
    let mut frames = Vec::new();
    let mut next = number.map(|number| (step, number));
    let mut root = step;
    while let Some((step, number)) = next.filter(|_| frames.len() < FRAMES_MAX) {
        let Some(event) = session.machine.acts()[step - 1].events.get(number) else { break };
        frames.push(event_frame(session, event, step, number));
        frames.extend(guard_frame(session, event));
        root = step;
        let cause = event.parents.iter().find_map(|cause| tell::place(session.machine.acts(), cause));
        next = cause.map(|(step, number)| (step, number - 1));
    }
    let lane = frames.last().map_or(lane, |frame| frame.lane);
    frames.push(step_frame(session, root, lane));
    frames
}

/// The last event in a lane, up to the position.
fn last_of(session: &Session, lane: usize) -> Option<(usize, usize)> {
    let (here, upto) = session.position();
    let acts = session.machine.acts().iter().enumerate().rev();
    acts.filter_map(|(at, act)| {
        let most = if at + 1 == here { upto + 1 } else { usize::MAX };
        let events = &act.events[..act.events.len().min(most)];
        let number = events.iter().rposition(|event| session.lane_of(event) == lane)?;
        Some((at + 1, number))
    })
    .next()
}

fn event_frame(session: &Session, event: &Event, step: usize, number: usize) -> Frame {
    let tree = &session.tree;
    let line = tree.line_of_event(&event.source, event.kind.name());
    let place = line.and_then(|line| Some((source(session, &event.source.file)?, line)));
    let name = format!("{step}.{} {}", number + 1, tell::plain(event));
    let name = match place {
        Some(_) => name,
        None => format!("{name} (fn {} in {})", function(&event.source.symbol), event.source.file),
    };
    Frame { name, place, lane: session.lane_of(event), event: Some(event.id) }
}

fn guard_frame(session: &Session, event: &Event) -> Option<Frame> {
    let mechanism = event.kind.mechanism()?;
    let (file, guard) = registry::entry(mechanism).guard?;
    let line = session.tree.line_of_function(file, guard);
    let place = line.and_then(|line| Some((source(session, file)?, line)));
    let name = match place {
        Some(_) => format!("{mechanism}: its guard, fn {guard}"),
        None => format!("{mechanism}: its guard, fn {guard} in {file}"),
    };
    Some(Frame { name, place, lane: session.lane_of(event), event: Some(event.id) })
}

fn step_frame(session: &mut Session, step: usize, lane: usize) -> Frame {
    let schedule = session.machine.schedule();
    let words = session.machine.acts().get(step - 1).map_or("", |act| &act.words);
    let name = format!("step {step} of the schedule: {words}");
    Frame { name, place: Some(session.listing.place(&schedule, step)), lane, event: None }
}

/// A file of the repository as a source.
fn source(session: &Session, file: &str) -> Option<Value> {
    let place = session.tree.place(file)?;
    let name = place.file_name()?.to_string_lossy().into_owned();
    Some(json!({ "name": name, "path": place.to_string_lossy() }))
}

/// The event of a frame.
pub fn event<'a>(session: &'a Session, frame: &Frame) -> Option<&'a Event> {
    let (step, number) = tell::place(session.machine.acts(), frame.event.as_ref()?)?;
    session.machine.acts()[step - 1].events.get(number - 1)
}

/// What an event carries, as it is in a trace.
pub fn facts(kind: &Kind) -> Vec<(String, Value)> {
    match serde_json::to_value(kind) {
        Ok(Value::Object(mut kind)) => match kind.remove("facts") {
            Some(Value::Object(facts)) => facts.into_iter().collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}
