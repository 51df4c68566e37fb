//! What came of it: a table for people, a line for programs, and a page with the faults over throughput and latency.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use super::cluster::Size;
use super::faults::Done;
use super::gauge::Second;
use super::kinds::Kind;

/// Points of a line on the page: two for each of its pixels.
const POINTS_MAX: usize = 2_400;

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
    /// Kinds of faults that could not be had here, and why.
    pub skipped: Vec<(Kind, String)>,
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
        let [available, seconds] = self.available();
        lines.push(format!("somebody was answered in {available} of {seconds} seconds"));
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
        lines.extend(self.skipped.iter().map(|(kind, why)| format!("  {:<32}SKIPPED: {why}", kind.words())));
        lines
    }

    /// For a program.
    pub fn json(&self) -> Value {
        let Size { nodes, gateways, shards } = self.size;
        let [answered, not_done, unknown] = self.operations;
        let kinds: Vec<Value> = self.by_kind().iter().map(|(kind, of)| {
            json!({ "id": kind.row().id, "fault": kind.words(), "times": of.times, "median_micros": of.median, "longest_micros": of.longest })
        }).collect();
        let skipped: Vec<Value> =
            self.skipped.iter().map(|(kind, why)| json!({ "id": kind.row().id, "why": why })).collect();
        json!({
            "seed": self.seed, "nodes": nodes, "gateways": gateways, "shards": shards, "clients": self.clients,
            "micros": self.micros, "answered": answered, "not_done": not_done, "unknown": unknown, "seconds": self.seconds.len(), "seconds_with_answers": self.available()[0],
            "keys": self.keys, "undecided": self.undecided, "broken": self.broken, "faults": kinds,
            "skipped": skipped,
        })
    }

    /// Each fault, in order.
    pub fn timeline(&self) -> Vec<Value> {
        let one = |done: &Done| {
            json!({
                "id": done.kind.row().id, "whom": done.whom, "begin_micros": done.begin, "undone_micros": done.undone,
                "well_micros": done.well, "silence_micros": done.silence,
            })
        };
        self.faults.iter().map(one).collect()
    }

    /// Seconds in which somebody was answered, and all.
    fn available(&self) -> [usize; 2] {
        [self.seconds.iter().filter(|second| second.answered > 0).count(), self.seconds.len()]
    }

    /// The seconds, as many of them in one as it takes for a page that can be drawn: the mean of the answers, the slowest.
    fn points(&self) -> Vec<Second> {
        let mean = |seconds: &[Second], of: fn(&Second) -> u64| {
            seconds.iter().map(of).sum::<u64>() / seconds.len() as u64
        };
        let point = |seconds: &[Second]| Second {
            answered: mean(seconds, |second| second.answered),
            others: mean(seconds, |second| second.others),
            slowest: seconds.iter().map(|second| second.slowest).max().unwrap_or(0),
        };
        self.seconds.chunks(self.seconds.len().div_ceil(POINTS_MAX).max(1)).map(point).collect()
    }

    /// A page of its own: each second's throughput and slowest answer, with the faults behind them.
    pub fn page(&self) -> String {
        let (seconds, all) = (self.seconds.len().max(1) as f64, self.points());
        let (width, height) = (1200.0, 160.0);
        let x = |micros: u64| micros as f64 / 1e6 / seconds * width;
        let most = |of: fn(&Second) -> u64| all.iter().map(of).max().unwrap_or(0).max(1);
        let chart = |title: &str, unit: &str, of: fn(&Second) -> u64| {
            let top = most(of);
            let point = |(at, second): (usize, &Second)| {
                let y = height - of(second) as f64 / top as f64 * (height - 8.0);
                format!("{:.1},{y:.1}", (at as f64 + 0.5) / all.len() as f64 * width)
            };
            let points: Vec<String> = all.iter().enumerate().map(point).collect();
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
