//! `sim`: simulated cluster schedules, each drawn from a seed, all checked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use extensions::Chosen;
use indicatif::{ProgressBar, ProgressStyle};
use lab::replay;
use lab::why::{self, Shrunk};
use serde_json::json;
use sim::coverage::Row;
use sim::{Coverage, Options, Report, Violation, text};

use crate::failure::{Failure, me, quote, say, say_wrapped};
use crate::files;
use crate::play::mechanism;

/// Run whole clusters under simulated faults, and check every promise to their clients
///
/// Nodes and gateways run the real code; disks, network, clocks and clients are simulated, with every fault of the
/// fault model. A seed determines a schedule completely. Stops at the first violation.
#[derive(Debug, Args)]
pub struct Sim {
    /// Run the schedule of this seed only
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Run the schedules of this many seeds, from 0; or of a range, such as 1000..2000
    #[arg(long, value_name = "N|A..B", default_value = "1000")]
    seeds: Seeds,
    /// Remove a mechanism (may be given several times)
    #[arg(long, value_name = "MECHANISM")]
    without: Vec<String>,
    /// Write the trace of the schedule to this file: of `--seed`, or of the first with a violation; of the shrunk one, if it is
    /// shrunk
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Storage nodes of each cluster: 3 or 5; with `membership` 5, of which three found it [default: 3]
    #[arg(long, value_parser = nodes)]
    nodes: Option<u32>,
    /// Shards of each cluster
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4))]
    shards: u32,
    /// Extensions that each cluster is founded with: elections
    #[arg(long, value_name = "EXTENSION,…", default_value = "", hide_default_value = true)]
    with: Chosen,
    /// No gateway ever asks a node to take over: the nodes have to find out by themselves
    #[arg(long)]
    passive_gateways: bool,
    /// Shrink the first schedule with a violation to the steps that it needs, faults and clients' operations, and print it: a
    /// schedule that `play` plays. A wrong answer is preferred to a late one
    #[arg(long)]
    shrink: bool,
    /// Save the shrunk schedule in this file
    #[arg(long, value_name = "FILE", requires = "shrink")]
    out: Option<PathBuf>,
    /// Count what the runs exercised: each mechanism that had to stop something, each kind of message lost, duplicated
    /// and reordered, each fault, recovery and event; and list what never happened
    #[arg(long)]
    coverage: bool,
    /// Print the result as one line of JSON
    #[arg(long)]
    json: bool,
}

/// A cluster has a majority and a minority.
pub fn nodes(text: &str) -> Result<u32, String> {
    match text {
        "3" => Ok(3),
        "5" => Ok(5),
        _ => Err("a simulated cluster has 3 or 5 nodes".into()),
    }
}

/// Seeds from one to before another.
#[derive(Clone, Debug)]
pub struct Seeds(pub std::ops::Range<u64>);

impl std::str::FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Seeds, String> {
        let number = |text: &str| text.parse::<u64>().map_err(|e| format!("{text:?}: {e}"));
        let (from, to) = match text.split_once("..") {
            Some((from, to)) => (number(from)?, number(to)?),
            None => (0, number(text)?),
        };
        (from <= to).then_some(Seeds(from..to)).ok_or_else(|| "the range ends before it begins".into())
    }
}

impl Sim {
    /// So many nodes: where members change there have to be some that can be added.
    fn of(&self) -> u32 {
        self.nodes.unwrap_or(if self.with.changes_members() { 5 } else { 3 })
    }

    pub fn run(self) -> Result<(), Failure> {
        let without = self.without.iter().map(|id| mechanism(id)).collect::<Result<Vec<_>, _>>()?;
        let (nodes, shards, coverage) = (self.of(), self.shards, self.coverage);
        let (with, passive_gateways) = (self.with, self.passive_gateways);
        let options =
            Options { nodes, shards, with, passive_gateways, without, coverage, ..Options::default() };
        let Seeds(seeds) = self.seeds.clone();
        let bar = ProgressBar::new(self.seed.map_or(seeds.end - seeds.start, |_| 1));
        let style =
            ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} {per_sec}, {eta} left {msg}");
        bar.set_style(style.expect("a template of this file"));
        bar.enable_steady_tick(Duration::from_millis(200));
        let started = Instant::now();
        let summary = match self.seed {
            Some(seed) => sim::run_one(seed, &options),
            None => sim::run_many(seeds, &options, |progress| {
                bar.set_position(progress.seeds);
                bar.set_message(format!("{} faults", progress.faults.values().sum::<u64>()));
            }),
        };
        bar.finish_and_clear();
        let rate = (summary.seeds as f64 / started.elapsed().as_secs_f64()) as u64;
        let failed = summary.first.as_ref();
        let shrunk = match failed {
            Some(report) if self.shrink => self.shrunk(report, &options)?,
            _ => None,
        };
        if let Some(file) = &self.trace
            && shrunk.is_none()
            && let Some(seed) = self.seed.or(failed.map(|report| report.seed))
        {
            let traced = sim::run(seed, &Options { trace: true, ..options.clone() });
            files::write(file, traced.trace.as_ref(), files::TRACE)?;
        }
        let violation = failed.and_then(|report| Some((report.seed, report.violation.as_ref()?)));
        if self.json {
            let mut line = json!({
                "seeds": summary.seeds, "violations": summary.violations, "rate": rate,
                "operations": summary.operations, "unknown": summary.unknown, "failovers": summary.failovers,
                "virtual_seconds": summary.micros / 1_000_000, "faults": summary.faults,
            });
            if self.coverage {
                let rows = summary.coverage.rows();
                let row = |row: &Row| json!({ "group": row.group, "entry": row.entry, "count": row.count });
                line["coverage"] = rows.iter().map(row).collect();
            }
            if let Some((seed, v)) = violation {
                line["violation"] = json!({
                    "seed": seed, "invariant": v.invariant, "promise": v.promise, "checker": v.checker,
                    "sentence": v.sentence, "at_micros": v.at, "replay": self.replay(seed),
                });
            }
            if let Some(shrunk) = &shrunk {
                let sentence = shrunk.report.violation.as_ref().map_or("", |violation| &violation.sentence);
                line["shrunk"] = json!({
                    "schedule": shrunk.script.to_string(), "steps": shrunk.script.steps(), "of": shrunk.of,
                    "runs": shrunk.runs, "minimal": shrunk.minimal, "sentence": sentence,
                });
            }
            say(line);
        } else {
            say_wrapped(format!(
                "{} schedules ({rate}/s), {} s of virtual time: {} operations, of which {} with an unknown outcome, \
                 and {} takeovers",
                summary.seeds,
                summary.micros / 1_000_000,
                summary.operations,
                summary.unknown,
                summary.failovers
            ));
            say_wrapped(format!("faults: {}", told(&summary.faults)));
            if self.coverage {
                tell_coverage(&summary.coverage);
            }
        }
        match violation {
            None => {
                if !self.json {
                    say_wrapped("no violation");
                }
                Ok(())
            }
            Some((seed, violation)) => {
                if !self.json {
                    tell(failed, violation);
                }
                let what = format!("seed {seed} breaks promise {}", violation.promise);
                let next = match (&shrunk, &self.out) {
                    (Some(shrunk), file) => {
                        if !self.json {
                            say("");
                            shrunk.script.to_string().lines().for_each(say_wrapped);
                        }
                        file.as_deref().map_or(self.replay(seed), |file| self.replay_file(file))
                    }
                    (None, _) => self.replay(seed),
                };
                Err(Failure::error(what).next(next))
            }
        }
    }

    /// The schedule of the seed that failed, shrunk and saved; of another seed, if this one only keeps clients waiting and
    /// one of the next gives a wrong answer.
    fn shrunk(&self, failed: &Report, options: &Options) -> Result<Option<Shrunk>, Failure> {
        let options = Options { coverage: false, ..options.clone() };
        let late = failed.violation.as_ref().is_some_and(|violation| !why::is_safety(violation));
        let others = if self.seed.is_some() { 0..0 } else { failed.seed..self.seeds.0.end };
        let seed = if late { why::preferred_seed(failed.seed, others, &options) } else { failed.seed };
        let Some(mut shrunk) = why::shrink_seed(seed, &options) else { return Ok(None) };
        shrunk.script.notes = self.notes(seed, &shrunk);
        if let Some(file) = &self.out {
            files::write(file, shrunk.script.to_string().as_bytes(), files::SCHEDULE)?;
        }
        if let Some(file) = &self.trace {
            files::write(file, &replay::run_script(&shrunk.script, &options.without).trace, files::TRACE)?;
        }
        Ok(Some(shrunk))
    }

    fn notes(&self, seed: u64, shrunk: &Shrunk) -> Vec<String> {
        let (steps, of, runs) = (shrunk.script.steps(), shrunk.of, shrunk.runs);
        let needed = match shrunk.minimal {
            true => "without any single one it breaks nothing",
            false => "more runs might leave out more",
        };
        let without: String = self.without.iter().map(|id| format!(" without {id}")).collect();
        vec![
            format!(
                "A schedule of cutaway sim: seed {seed}{without}, {steps} of {of} steps, shrunk in {runs} runs;"
            ),
            format!("{needed}."),
            replay::verdict(&shrunk.report),
        ]
    }

    /// The command that plays a saved schedule.
    fn replay_file(&self, file: &Path) -> String {
        let without: String = self.without.iter().map(|id| format!(" --without {id}")).collect();
        format!("{} play {}{without}", me(), quote(file.display()))
    }

    /// The command that runs this very schedule again.
    fn replay(&self, seed: u64) -> String {
        let mut command = format!("{} sim --seed {seed}", me());
        if let Some(nodes) = self.nodes {
            command += &format!(" --nodes {nodes}");
        }
        if self.shards != 1 {
            command += &format!(" --shards {}", self.shards);
        }
        if self.with != Chosen::NONE {
            command += &format!(" --with {}", self.with);
        }
        if self.passive_gateways {
            command += " --passive-gateways";
        }
        self.without.iter().for_each(|id| command += &format!(" --without {id}"));
        let trace = self.trace.as_deref().unwrap_or("trace.jsonl".as_ref());
        command + &format!(" --trace {}", quote(trace.display()))
    }
}

fn told(faults: &BTreeMap<&'static str, u64>) -> String {
    faults.iter().map(|(kind, n)| format!("{kind} {n}")).collect::<Vec<_>>().join(", ")
}

/// A table of what happened, and a line of what never did.
fn tell_coverage(coverage: &Coverage) {
    let rows = coverage.rows();
    let wide = rows.iter().map(|row| row.entry.len()).max().unwrap_or(0);
    let mut group = "";
    for row in &rows {
        if row.group != group {
            say_wrapped(format!("\n{}", row.group));
        }
        group = row.group;
        say_wrapped(format!("  {:<wide$} {:>12}", row.entry, row.count));
    }
    let never = rows.iter().filter(|row| row.count == 0);
    let never: Vec<String> = never.map(|row| format!("{}: {}", row.group, row.entry)).collect();
    say_wrapped(format!(
        "\nnever in these schedules: {}",
        if never.is_empty() { "nothing".into() } else { never.join(", ") }
    ));
}

fn tell(report: Option<&Report>, violation: &Violation) {
    let seed = report.map_or(0, |report| report.seed);
    let at = text::show_time(violation.at);
    say_wrapped(format!("\nseed {seed}, after {at}: {}", violation.sentence));
    say_wrapped(format!("broken:    {}", violation.promise_in_words()));
    say_wrapped(format!("invariant: {} (noticed by {})", violation.invariant, violation.checker));
}
