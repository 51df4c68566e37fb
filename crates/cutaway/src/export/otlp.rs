//! OpenTelemetry's traces as OTLP/JSON: what a collector takes at `/v1/traces`.
//!
//! Every lane is a resource. A request is one trace: the call, the gateway's part, and the replica's. A sync serves many
//! requests, so it is a trace of its own with links to their spans; so are a takeover, a time as primary and a transfer.
//! Integers of 64 bits are strings and ids are hex digits: both are rules of the format. A simulation's time begins with
//! the Unix epoch.

use serde_json::{Value, json};
use trace::{Actor, Kind};

use super::spans::{Span, What, spans};
use crate::saved::Run;

pub const BEGINS: &str = "{\"resourceSpans\":[\n{\"resource\":{\"attributes\":[{\"key\":\"service.namespace\",\"value\":{\"stringValue\":\"cutaway\"}},";

pub fn text(run: &Run) -> String {
    let spans = spans(run);
    let ids: Vec<Id> = (0..spans.len()).map(|span| Id::of(run, &spans, span)).collect();
    let told = told(run, &spans);
    let mut lanes: Vec<Vec<Value>> = vec![Vec::new(); run.lanes.len()];
    for (n, span) in spans.iter().enumerate() {
        lanes[span.lane].push(one(run, &spans, &ids, n, &told[n]));
    }
    for (at, event) in run.events.iter().enumerate() {
        if event.id.actor == Actor::World {
            lanes[run.lane(at)].push(of_the_world(run, at));
        }
    }
    let resources: Vec<String> = run.lanes.iter().zip(lanes).map(resource).collect();
    format!("{{\"resourceSpans\":[\n{}\n]}}\n", resources.join(",\n"))
}

/// In this order, so that a file of ours is known by how it begins.
fn resource((actor, spans): (&Actor, Vec<Value>)) -> String {
    let namespace = text_of("service.namespace", "cutaway");
    let name = text_of("service.name", &actor.to_string());
    let scope = json!([{ "scope": { "name": "cutaway.trace", "version": env!("CARGO_PKG_VERSION") }, "spans": spans }]);
    format!("{{\"resource\":{{\"attributes\":[{namespace},{name}]}},\"scopeSpans\":{scope}}}")
}

/// A span's ids, made of the name of the event that opened it: the same file gives the same ids.
struct Id {
    trace: String,
    span: String,
}

impl Id {
    fn of(run: &Run, spans: &[Span], span: usize) -> Id {
        let mut root = span;
        while let Some(parent) = spans[root].parent {
            root = parent;
        }
        Id::at(run, spans[root].open, spans[span].open)
    }

    fn at(run: &Run, root: usize, open: usize) -> Id {
        let name = |at: usize| format!("{} {}", run.begin, run.events[at].id);
        // An id of zeros would be none.
        let (trace, span) = (fnv(&name(root)).max(1), (fnv(&name(open)) as u64).max(1));
        Id { trace: format!("{trace:032x}"), span: format!("{span:016x}") }
    }
}

/// FNV-1a of 128 bits.
fn fnv(text: &str) -> u128 {
    let step = |hash: u128, byte: u8| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    };
    text.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, step)
}

fn text_of(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn nanos(run: &Run, micros: u64) -> String {
    (u128::from(run.begin + micros) * 1000).to_string()
}

fn one(run: &Run, spans: &[Span], ids: &[Id], n: usize, told: &[usize]) -> Value {
    let span = &spans[n];
    let kind = match span.what {
        What::Call => 3,
        What::Request | What::Write | What::Read => 2,
        What::Sync | What::Takeover | What::Primary | What::Transfer => 1,
    };
    let links: Vec<Value> = span
        .links
        .iter()
        .map(|link| json!({ "traceId": ids[*link].trace, "spanId": ids[*link].span }))
        .collect();
    let events: Vec<Value> = told
        .iter()
        .map(|at| {
            let event = &run.events[*at];
            let mut about = vec![
                text_of("cutaway.what", &event.kind.sentence()),
                text_of("code.function.name", &event.source.symbol),
            ];
            about.extend(event.kind.mechanism().map(|mechanism| text_of("cutaway.mechanism", mechanism.id())));
            json!({ "timeUnixNano": nanos(run, run.time(*at)), "name": event.kind.name(), "attributes": about })
        })
        .collect();
    let mut value = json!({
        "traceId": ids[n].trace, "spanId": ids[n].span, "name": span.name, "kind": kind,
        "startTimeUnixNano": nanos(run, span.begin), "endTimeUnixNano": nanos(run, span.end),
        "attributes": [text_of("cutaway.event", &run.events[span.open].id.to_string())],
        "events": events, "links": links, "status": status(run, span),
    });
    if let Some(parent) = span.parent {
        value["parentSpanId"] = json!(ids[parent].span);
    }
    value
}

/// An error where the client does not get what it asked for, or nobody can say.
fn status(run: &Run, span: &Span) -> Value {
    let Some(close) = span.close else {
        return match span.what {
            // To be primary at the end is no error.
            What::Primary => json!({}),
            _ => json!({ "code": 2, "message": "cut off: the process ended, or the trace" }),
        };
    };
    match &run.events[close].kind {
        Kind::RequestEnded { reply, .. } | Kind::ClientAnswered { reply, .. }
            if reply.starts_with("UNKNOWN") =>
        {
            json!({ "code": 2, "message": reply })
        }
        kind @ (Kind::RequestRefused { .. } | Kind::TakeoverAbandoned { .. }) => {
            json!({ "code": 2, "message": kind.sentence() })
        }
        _ => json!({}),
    }
}

/// Faults, and the promise that broke: each a trace of its own, without a length.
fn of_the_world(run: &Run, at: usize) -> Value {
    let kind = &run.events[at].kind;
    let id = Id::at(run, at, at);
    let now = nanos(run, run.time(at));
    let broken = matches!(kind, Kind::PromiseBroken { .. });
    let status = if broken { json!({ "code": 2, "message": kind.sentence() }) } else { json!({}) };
    json!({
        "traceId": id.trace, "spanId": id.span, "name": kind.name(), "kind": 1, "startTimeUnixNano": now,
        "endTimeUnixNano": now, "attributes": [text_of("cutaway.what", &kind.sentence())], "status": status,
    })
}

/// The events of each span: what opened and closed it, and what followed in its lane while it was open.
fn told(run: &Run, spans: &[Span]) -> Vec<Vec<usize>> {
    let mut of: Vec<Option<usize>> = vec![None; run.events.len()];
    for (n, span) in spans.iter().enumerate() {
        of[span.open] = Some(n);
    }
    let mut told = vec![Vec::new(); spans.len()];
    for at in 0..run.events.len() {
        let own = run.parents(at).filter(|parent| *parent < at && run.lane(*parent) == run.lane(at));
        let open = |span: &usize| run.time(at) <= spans[*span].end;
        of[at] = of[at].or_else(|| own.filter_map(|parent| of[parent]).find(open));
        if let Some(span) = of[at] {
            told[span].push(at);
        }
    }
    told
}
