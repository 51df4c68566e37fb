//! What came of it: a table for people, a line for programs, and a page with the faults over throughput and latency.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use super::cluster::Size;
use super::faults::{Done, Kind};
use super::gauge::Second;

/// Everything that is told in the end.
pub struct Report {
    pub seed: u64,
    pub size: Size,
    pub clients: u32,
    pub micros: u64,
    /// Operations that were answered, certainly not done, and of unknown outcome.
    pub operations: [u64; 3],
    /// Keys whose histories were judged, and those that could not be.
    pub keys: u64,
    pub undecided: u64,
    pub faults: Vec<Done>,
    pub seconds: Vec<Second>,
    /// The promise that broke.
    pub broken: Option<String>,
}

/// Of one kind of fault: how often, and the longest and the median time without an answer, in microseconds.
struct Of {
    times: usize,
    longest: u64,
    median: u64,
}

impl Report {
    fn by_kind(&self) -> BTreeMap<Kind, Of> {
        let mut all: BTreeMap<Kind, Vec<u64>> = BTreeMap::new();
        self.faults.iter().for_each(|done| all.entry(done.kind).or_default().push(done.silence));
        let of = |mut silences: Vec<u64>| {
            silences.sort_unstable();
            let (times, longest) = (silences.len(), silences.last().copied().unwrap_or(0));
            Of { times, longest, median: silences[times / 2] }
        };
        all.into_iter().map(|(kind, silences)| (kind, of(silences))).collect()
    }

    /// For a person.
    pub fn lines(&self) -> Vec<String> {
        let Size { nodes, gateways, shards } = self.size;
        let [answered, not_done, unknown] = self.operations;
        let mut lines = vec![
            format!(
                "seed {}: {} s, {} clients, {nodes} nodes, {gateways} gateways, {shards} shard(s)",
                self.seed,
                self.micros / 1_000_000,
                self.clients
            ),
            format!("{answered} operations answered, {not_done} not done, {unknown} of unknown outcome"),
        ];
        let undecided =
            if self.undecided > 0 { format!(", {} could not be", self.undecided) } else { String::new() };
        lines.push(match &self.broken {
            None => format!("0 lost, 0 stale: the histories of {} keys were judged{undecided}", self.keys),
            Some(what) => format!("BROKEN  {what}"),
        });
        lines.push(String::new());
        lines.push(format!(
            "  {:<32}{:>6}{:>12}{:>12}",
            "without any answer, ms:", "times", "median", "longest"
        ));
        let millis = |micros: u64| format!("{:.0}", micros as f64 / 1e3);
        lines.extend(self.by_kind().iter().map(|(kind, of)| {
            format!(
                "  {:<32}{:>6}{:>12}{:>12}",
                kind.words(),
                of.times,
                millis(of.median),
                millis(of.longest)
            )
        }));
        lines
    }

    /// For a program.
    pub fn json(&self) -> Value {
        let Size { nodes, gateways, shards } = self.size;
        let [answered, not_done, unknown] = self.operations;
        let kinds: Vec<Value> = self.by_kind().iter().map(|(kind, of)| {
            json!({ "fault": kind.words(), "times": of.times, "median_micros": of.median, "longest_micros": of.longest })
        }).collect();
        json!({
            "seed": self.seed, "nodes": nodes, "gateways": gateways, "shards": shards, "clients": self.clients,
            "micros": self.micros, "answered": answered, "not_done": not_done, "unknown": unknown,
            "keys": self.keys, "undecided": self.undecided, "broken": self.broken, "faults": kinds,
        })
    }

    /// A page of its own: each second's throughput and slowest answer, with the faults behind them.
    pub fn page(&self) -> String {
        let seconds = self.seconds.len().max(1) as f64;
        let (width, height) = (1200.0, 160.0);
        let x = |micros: u64| micros as f64 / 1e6 / seconds * width;
        let most = |of: fn(&Second) -> u64| self.seconds.iter().map(of).max().unwrap_or(0).max(1);
        let chart = |title: &str, unit: &str, of: fn(&Second) -> u64| {
            let top = most(of);
            let point = |(at, second): (usize, &Second)| {
                let y = height - of(second) as f64 / top as f64 * (height - 8.0);
                format!("{:.1},{y:.1}", (at as f64 + 0.5) / seconds * width)
            };
            let points: Vec<String> = self.seconds.iter().enumerate().map(point).collect();
            format!(
                "<h2>{title} <small>at most {top}{unit}</small></h2><svg viewBox=\"0 0 {width} {height}\" role=\"img\" \
                 aria-label=\"{title}\">{}<polyline points=\"{}\"/></svg>",
                self.bands(&x, height),
                points.join(" ")
            )
        };
        let charts = [
            chart("Answers in each second", "", |second| second.answered),
            chart("The slowest of them", " ms", |second| second.slowest / 1000),
            chart("Not done or unknown", "", |second| second.others),
        ];
        let rows: String = self.faults.iter().fold(String::new(), |mut rows, done| {
            let millis = |micros: u64| micros as f64 / 1e3;
            let _ = write!(
                rows,
                "<tr><td>{:.1}</td><td>{}</td><td>{}</td><td>{:.0}</td><td>{:.0}</td><td>{:.0}</td></tr>",
                done.begin as f64 / 1e6,
                done.kind.words(),
                done.whom,
                millis(done.undone - done.begin),
                millis(done.well - done.undone),
                millis(done.silence)
            );
            rows
        });
        let told: String = self.lines().iter().map(|line| escaped(line) + "\n").collect();
        include_str!("page.html")
            .replace("<!--TOLD-->", &told)
            .replace("<!--CHARTS-->", &charts.concat())
            .replace("<!--ROWS-->", &rows)
    }

    fn bands(&self, x: &dyn Fn(u64) -> f64, height: f64) -> String {
        let band = |done: &Done| {
            let (from, to) = (x(done.begin), x(done.well));
            format!(
                "<rect x=\"{from:.1}\" y=\"0\" width=\"{:.1}\" height=\"{height}\"><title>{}: {}, {:.0} ms without an \
                 answer</title></rect>",
                (to - from).max(1.0),
                done.kind.words(),
                done.whom,
                done.silence as f64 / 1e3
            )
        };
        self.faults.iter().map(band).collect()
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
