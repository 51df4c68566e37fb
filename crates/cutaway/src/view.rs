//! `view`: a trace as one page that needs nothing else.
//!
//! The page is `viewer/`: a template, a style sheet and modules, put into one file. The events are a table, with kinds,
//! mechanisms and places in the source by number, so that a hundred thousand of them stay small.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use trace::{Actor, Event, EventId, Kind, json};
use web::bundle;

use crate::failure::{Failure, say};
use crate::files;

const PAGE: &str = include_str!("../../../viewer/page.html");
const STYLE: &str = include_str!("../../../viewer/style.css");
const MODULES: [&str; 3] = [
    include_str!("../../../viewer/model.js"),
    include_str!("../../../viewer/draw.js"),
    include_str!("../../../viewer/app.js"),
];

/// Write a trace as an HTML page: lanes, messages, causes, epochs
///
/// The page is self-contained and needs no network. Press `?` for the keyboard shortcuts.
#[derive(Debug, Args)]
pub struct View {
    /// A trace file, from `sim --trace` or from a cluster's processes
    trace: PathBuf,
    /// The page to write
    #[arg(long, value_name = "FILE")]
    html: PathBuf,
}

impl View {
    pub fn run(self) -> Result<(), Failure> {
        let name = self.trace.display();
        let text = std::fs::read_to_string(&self.trace)
            .map_err(|error| Failure::error(format!("cannot read {name}: {error}")))?;
        let mut events = Vec::new();
        for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let event = json::from_line(line)
                .map_err(|error| Failure::error(format!("line {} of {name} is no event: {error}", n + 1)))?;
            events.push(event);
        }
        if events.is_empty() {
            return Err(Failure::error(format!("{name} has no events")));
        }
        let about = format!("{} events. Press ? for the keys.", events.len());
        let title = self.trace.file_name().unwrap_or_default().to_string_lossy().into_owned();
        write(&self.html, &json!({ "title": title, "about": [about], "run": of_trace(&events) }))?;
        say(format!("{} events in {}", events.len(), self.html.display()));
        Ok(())
    }
}

fn write(file: &Path, data: &Value) -> Result<(), Failure> {
    let (script, data) = (bundle::script(&MODULES), bundle::data(data));
    let page = PAGE.replace("/*STYLE*/", STYLE).replace("/*SCRIPT*/", &script).replacen("/*DATA*/", &data, 1);
    files::write(file, page.as_bytes(), files::PAGE)
}

/// Texts by number; 0 is no text.
#[derive(Default)]
struct Table {
    numbers: HashMap<String, usize>,
    texts: Vec<String>,
}

impl Table {
    fn number(&mut self, text: &str) -> usize {
        if text.is_empty() {
            return 0;
        }
        if self.texts.is_empty() {
            self.texts.push(String::new());
        }
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        self.texts.push(text.to_string());
        self.numbers.insert(text.to_string(), self.texts.len() - 1);
        self.texts.len() - 1
    }
}

/// The rows of a run, in the columns of `viewer/model.js`.
#[derive(Default)]
struct Rows {
    kinds: Table,
    mechanisms: Table,
    sources: Table,
    rows: Vec<Value>,
}

/// What a row has beside its event.
#[derive(Default)]
struct More {
    parents: Vec<usize>,
    from: Option<usize>,
    lost: bool,
    /// Microseconds of the time that all share.
    time: u64,
}

impl Rows {
    fn event(&mut self, lane: usize, event: &Event, more: More) {
        let mechanism = event.kind.mechanism().map_or("", |mechanism| mechanism.id());
        let source = format!("{}, {}", event.source.file, event.source.symbol);
        let none = json!(0);
        let delta = event.kind.delta();
        let delta = delta.map_or(none.clone(), |change| json!([change.field, change.before, change.after]));
        let mut row = vec![
            json!(lane),
            json!(more.time),
            json!(self.kinds.number(event.kind.name())),
            json!(self.mechanisms.number(mechanism)),
            json!(self.sources.number(&source)),
            json!(event.kind.sentence()),
            if more.parents.is_empty() { none.clone() } else { json!(more.parents) },
            delta,
            json!(epoch(&event.kind)),
            json!(more.from.map_or(0, |from| from + 1)),
            json!(u32::from(more.lost)),
            json!(event.logical),
        ];
        while row.last() == Some(&none) {
            row.pop();
        }
        self.rows.push(Value::Array(row));
    }

    fn run(self, lanes: &[String]) -> Value {
        let texts = |table: Table| if table.texts.is_empty() { vec![String::new()] } else { table.texts };
        json!({
            "lanes": lanes, "kinds": texts(self.kinds), "mechanisms": texts(self.mechanisms),
            "sources": texts(self.sources), "rows": self.rows,
        })
    }
}

/// The epoch that an event is of, if it names one that its actor goes along with.
fn epoch(kind: &Kind) -> u64 {
    let facts = serde_json::to_value(kind).unwrap_or_default();
    let refused = kind.name().contains("Refus") || kind.name().contains("Fenced");
    if refused { 0 } else { facts["facts"]["epoch"].as_u64().unwrap_or(0) }
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

fn of_trace(events: &[Event]) -> Value {
    let mut actors: Vec<Actor> = events.iter().map(|event| event.id.actor).collect();
    actors.sort_by_key(order);
    actors.dedup();
    let lane =
        |actor: &Actor| actors.binary_search_by_key(&order(actor), order).expect("all of them are there");
    let places: HashMap<EventId, usize> =
        events.iter().enumerate().map(|(at, event)| (event.id, at)).collect();
    let named =
        |name: &str| name.parse::<Actor>().ok().and_then(|actor| actors.iter().position(|a| *a == actor));
    let mut rows = Rows::default();
    // Time since the first event: an epoch of a wall clock would say nothing.
    let common = |event: &Event| event.wall.unwrap_or(event.logical);
    let begin = events.iter().map(common).min().unwrap_or(0);
    for event in events {
        let mut more = More {
            time: common(event) - begin,
            parents: event.parents.iter().filter_map(|parent| places.get(parent).copied()).collect(),
            ..More::default()
        };
        let mut at = lane(&event.id.actor);
        // A lost message shows where it was sent, and ends half way.
        if let Kind::MessageLost { from, to, .. } = &event.kind
            && let (Some(from), Some(to)) = (named(from), named(to))
        {
            (more.from, more.lost, at) = (Some(from), true, to);
        }
        rows.event(at, event, more);
    }
    let lanes: Vec<String> = actors.iter().map(Actor::to_string).collect();
    rows.run(&lanes)
}
