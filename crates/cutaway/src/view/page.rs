//! The page of a saved run, as one document that needs nothing else.
//!
//! It is `viewer/trace/`, and the parts of the lab's page that draw the same things. The events are a table, with kinds,
//! mechanisms and places in the source by number, so that a hundred thousand of them stay small.

use std::collections::HashMap;

use serde_json::{Value, json};
use trace::{Event, Kind, Mechanism};
use web::bundle;

use super::picture::Painter;
use crate::saved::Run;

const PAGE: &str = include_str!("../../../../viewer/trace/page.html");
const STYLES: [&str; 2] =
    [include_str!("../../../../viewer/lab/style.css"), include_str!("../../../../viewer/trace/style.css")];
/// In the order of their imports.
const MODULES: [&str; 12] = [
    include_str!("../../../../viewer/lab/parts.js"),
    include_str!("../../../../viewer/lab/picture.js"),
    include_str!("../../../../viewer/lab/logs.js"),
    include_str!("../../../../viewer/lab/time.js"),
    include_str!("../../../../viewer/lab/panel.js"),
    include_str!("../../../../viewer/trace/model.js"),
    include_str!("../../../../viewer/trace/state.js"),
    include_str!("../../../../viewer/trace/marks.js"),
    include_str!("../../../../viewer/trace/pen.js"),
    include_str!("../../../../viewer/trace/lanes.js"),
    include_str!("../../../../viewer/trace/events.js"),
    include_str!("../../../../viewer/trace/app.js"),
];

/// The document. `nonce` is what lets its own script and style run, and no other.
pub fn document(title: &str, run: &Run, nonce: &str) -> String {
    let policy = format!(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; \
         script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'\">"
    );
    let page = PAGE.replacen("<!--POLICY-->", &policy, 1).replace("NONCE", nonce);
    let page = page.replacen("/*STYLE*/", &STYLES.concat(), 1);
    let page = page.replacen("/*SCRIPT*/", &bundle::script(&MODULES), 1);
    let page = page.replacen("/*LIBRARY*/", &bundle::data(&library()), 1);
    // The run comes last: it holds words that somebody chose.
    page.replacen("/*RUN*/", &bundle::data(&data(title, run)), 1)
}

/// The promises, and every mechanism with the text of its guard.
fn library() -> Value {
    let all = lab::page::library();
    json!({ "mechanisms": all["mechanisms"], "promises": all["promises"] })
}

/// Texts by number; 0 is no text.
struct Table {
    numbers: HashMap<String, usize>,
    texts: Vec<String>,
}

impl Table {
    fn new() -> Table {
        Table { numbers: HashMap::from([(String::new(), 0)]), texts: vec![String::new()] }
    }

    fn number(&mut self, text: &str) -> usize {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        self.texts.push(text.to_string());
        self.numbers.insert(text.to_string(), self.texts.len() - 1);
        self.texts.len() - 1
    }
}

/// What the page shows: the rows in the columns of `viewer/trace/model.js`.
fn data(title: &str, run: &Run) -> Value {
    let mut came: Vec<Vec<usize>> = vec![Vec::new(); run.events.len()];
    run.journeys().iter().for_each(|journey| came[journey.came].push(journey.sent));
    let (mut kinds, mut mechanisms, mut sources) = (Table::new(), Table::new(), Table::new());
    let mut painter = Painter::default();
    let rows: Vec<Value> = run
        .events
        .iter()
        .enumerate()
        .map(|(at, event)| {
            let lane = run.lane(at);
            let (mechanism, source) = (event.kind.mechanism().map_or("", Mechanism::id), place(event));
            let change = event.kind.delta();
            let numbers =
                [kinds.number(event.kind.name()), mechanisms.number(mechanism), sources.number(&source)];
            short(vec![
                json!(lane),
                json!(run.time(at)),
                json!(numbers[0]),
                json!(numbers[1]),
                json!(numbers[2]),
                json!(event.kind.sentence()),
                some(run.parents(at).collect()),
                some(painter.changes(lane, event)),
                some(std::mem::take(&mut came[at])),
                change.map_or(json!(0), |change| json!([change.field, change.before, change.after])),
                some(run.lost(at).map_or(Vec::new(), |(from, to)| vec![from, to])),
                match event.kind {
                    Kind::PromiseBroken { promise, .. } => json!(promise),
                    _ => json!(0),
                },
            ])
        })
        .collect();
    let lanes: Vec<String> = run.lanes.iter().map(ToString::to_string).collect();
    json!({
        "title": title, "lanes": lanes, "rows": rows,
        "kinds": kinds.texts, "mechanisms": mechanisms.texts, "sources": sources.texts,
    })
}

fn place(event: &Event) -> String {
    format!("{} in {}", event.source.symbol, event.source.file)
}

/// A list, or 0 if it is empty.
fn some(list: Vec<impl Into<Value>>) -> Value {
    if list.is_empty() { json!(0) } else { Value::Array(list.into_iter().map(Into::into).collect()) }
}

/// A row without the zeros at its end.
fn short(mut row: Vec<Value>) -> Value {
    while row.last().is_some_and(|last| *last == 0) {
        row.pop();
    }
    Value::Array(row)
}
