//! Trace events as JSON, which Perfetto and Chrome's own viewer read.
//!
//! A process of the viewer is a process of the cluster (all clients are one), and each lane has three threads: what it did,
//! its disk, and its role. An event is a slice, since an arrow needs one at each end; events of one microsecond stand
//! side by side in it, so that each arrow has its own. Requests overlap, so they are asynchronous slices.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use trace::{Actor, Kind};

use super::spans::{Span, What, spans};
use crate::saved::Run;

pub const BEGINS: &str =
    "{\"otherData\":{\"written by\":\"cutaway\"},\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n";

pub fn text(run: &Run) -> String {
    let tracks = Tracks::of(run);
    let slices = slices(run);
    let mut events = tracks.names(run);
    for (at, slice) in slices.iter().enumerate() {
        events.push(event(run, at, *slice, &tracks));
        events.extend(instant(run, at, *slice, &tracks));
    }
    let spans = spans(run);
    events.extend(spans.iter().enumerate().flat_map(|(n, span)| drawn(n, span, &tracks)));
    events.extend(disks(&spans, &tracks));
    for (n, journey) in run.journeys().iter().enumerate() {
        for (phase, at) in [("s", journey.sent), ("f", journey.came)] {
            let middle = slices[at].begin.saturating_add(slices[at].width / 2);
            events.push(tracks.at(run.lane(at), 0, json!({
                "ph": phase, "bp": "e", "id": n + 1, "name": "message", "cat": "message", "ts": micros(middle),
            })));
        }
    }
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    format!("{BEGINS}{}\n]}}\n", lines.join(",\n"))
}

/// Which process and which threads of the viewer each lane has.
struct Tracks {
    processes: Vec<String>,
    process_of: Vec<usize>,
}

impl Tracks {
    fn of(run: &Run) -> Tracks {
        let name = |actor: &Actor| match actor {
            Actor::Client(_) => "clients".to_string(),
            Actor::Node { node, .. } => format!("n{node}"),
            other => other.to_string(),
        };
        let mut processes: Vec<String> = run.lanes.iter().map(name).collect();
        processes.dedup();
        let place = |lane| processes.iter().position(|process| *process == name(lane)).unwrap_or(0);
        let process_of = run.lanes.iter().map(place).collect();
        Tracks { processes, process_of }
    }

    /// Puts an event on a lane's thread: 0 what it did, 1 its disk, 2 its role.
    fn at(&self, lane: usize, thread: usize, mut event: Value) -> Value {
        event["pid"] = json!(self.process_of[lane] + 1);
        event["tid"] = json!(3 * lane + thread + 1);
        event
    }

    fn names(&self, run: &Run) -> Vec<Value> {
        let mut events = Vec::new();
        for (pid, name) in (1..).zip(&self.processes) {
            events.push(json!({ "ph": "M", "pid": pid, "name": "process_name", "args": { "name": name } }));
            events.push(
                json!({ "ph": "M", "pid": pid, "name": "process_sort_index", "args": { "sort_index": pid } }),
            );
        }
        for (lane, actor) in run.lanes.iter().enumerate() {
            let threads: &[&str] =
                if matches!(actor, Actor::Node { .. }) { &["", " disk", " role"] } else { &[""] };
            for (thread, what) in threads.iter().enumerate() {
                let name = json!({ "name": format!("{actor}{what}") });
                events.push(self.at(lane, thread, json!({ "ph": "M", "name": "thread_name", "args": name })));
            }
        }
        events
    }
}

/// Where an event stands, in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Slice {
    begin: u64,
    width: u64,
}

/// No two slices of a lane overlap, and what is told later in a microsecond stands later in it, so that no arrow points back.
fn slices(run: &Run) -> Vec<Slice> {
    let mut free = vec![0; run.lanes.len()];
    let mut slices = Vec::with_capacity(run.events.len());
    let all: Vec<usize> = (0..run.events.len()).collect();
    for together in all.chunk_by(|a, b| run.time(*a) == run.time(*b)) {
        let width = (1000 / together.len() as u64).max(2);
        for (n, at) in (0..).zip(together) {
            // A wall clock may have been put back: what happened later in a lane stands later all the same.
            let free = &mut free[run.lane(*at)];
            let begin = run.time(*at).saturating_mul(1000).saturating_add(n * width).max(*free);
            *free = begin.saturating_add(width);
            slices.push(Slice { begin, width });
        }
    }
    slices
}

/// Nanoseconds in the microseconds of the format.
fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1000.0
}

fn event(run: &Run, at: usize, slice: Slice, tracks: &Tracks) -> Value {
    let event = &run.events[at];
    let parents: Vec<String> = event.parents.iter().map(ToString::to_string).collect();
    let mut args = json!({
        "what": event.kind.sentence(), "id": event.id.to_string(), "because of": parents.join(" "),
        "own clock": event.logical, "source": format!("{} in {}", event.source.symbol, event.source.file),
    });
    if let Some(mechanism) = event.kind.mechanism() {
        args["mechanism"] = json!(mechanism.id());
    }
    if let Some(change) = event.kind.delta() {
        args["changes"] = json!(format!("{}: {} → {}", change.field, change.before, change.after));
    }
    tracks.at(run.lane(at), 0, json!({
        "ph": "X", "name": event.kind.name(), "cat": "event", "ts": micros(slice.begin), "dur": micros(slice.width),
        "args": args,
    }))
}

/// A mark through a whole process for a role, through everything for a fault or a broken promise.
fn instant(run: &Run, at: usize, slice: Slice, tracks: &Tracks) -> Option<Value> {
    let kind = &run.events[at].kind;
    let (scope, cat) = match kind {
        Kind::PromiseBroken { .. } => ("g", "promise"),
        Kind::FaultInjected { .. } | Kind::FaultEnded { .. } | Kind::DeviceDamaged { .. } => ("g", "fault"),
        Kind::Crashed { .. } | Kind::Restarted { .. } => ("p", "fault"),
        Kind::TakeoverStarted { .. }
        | Kind::TakeoverAbandoned { .. }
        | Kind::PrimaryElected { .. }
        | Kind::PrimaryServing { .. }
        | Kind::SteppedDown { .. }
        | Kind::EpochAdopted { .. } => ("p", "role"),
        _ => return None,
    };
    Some(tracks.at(
        run.lane(at),
        0,
        json!({
            "ph": "i", "s": scope, "cat": cat, "name": kind.sentence(), "ts": micros(slice.begin),
        }),
    ))
}

/// What begins and ends, other than syncs. Roles follow each other; the rest may overlap.
fn drawn(n: usize, span: &Span, tracks: &Tracks) -> Vec<Value> {
    let cat = match span.what {
        What::Sync => return Vec::new(),
        What::Takeover | What::Primary => {
            return vec![tracks.at(span.lane, 2, json!({
                "ph": "X", "name": span.name, "cat": "role", "ts": span.begin, "dur": span.end - span.begin,
            }))];
        }
        What::Call => "call",
        What::Request => "request",
        What::Write => "write",
        What::Read => "read",
        What::Transfer => "transfer",
    };
    let end = |phase: &str, at: u64| {
        let name = &span.name;
        tracks.at(
            span.lane,
            0,
            json!({ "ph": phase, "cat": cat, "name": name, "id": format!("0x{:x}", n + 1), "ts": at }),
        )
    };
    let mut begin = end("b", span.begin);
    begin["args"] = json!({ "answered": span.close.is_some() });
    vec![begin, end("e", span.end)]
}

/// Syncs, one after the other on each disk: the next begins when the one before has returned.
fn disks(spans: &[Span], tracks: &Tracks) -> Vec<Value> {
    let mut free: BTreeMap<usize, u64> = BTreeMap::new();
    let syncs = spans.iter().filter(|span| span.what == What::Sync);
    syncs
        .map(|span| {
            let begin = span.begin.max(free.insert(span.lane, span.end).unwrap_or(0)).min(span.end);
            tracks.at(
                span.lane,
                1,
                json!({
                    "ph": "X", "name": span.name, "cat": "sync", "ts": begin, "dur": span.end - begin,
                    "args": { "requests": span.links.len() },
                }),
            )
        })
        .collect()
}
