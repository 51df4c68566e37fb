//! `spec`: what the code did, held against the TLA+ specification.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use sim::Options;
use spec::{Checker, Mismatch};
use trace::{Event, Mechanism, Source};

use crate::debug::tree::Tree;
use crate::failure::{Failure, me, note, quote, say};
use crate::live::{News, Traces};
use crate::sim::{Seeds, nodes};

/// Hold traces against the TLA+ specification in `spec/`
#[derive(Debug, Args)]
pub struct Spec {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(Check),
}

/// Check that each step of a run is one that the specification allows
///
/// A step that it does not allow is told with the event, the clause that forbids it, and the two states' difference.
#[derive(Debug, Args)]
struct Check {
    /// Traces with every event of a cluster, from its founding on: one (`sim --trace`), or one of each node (`up --trace`)
    #[arg(value_name = "TRACE", conflicts_with_all = ["seed", "seeds", "live"])]
    traces: Vec<PathBuf>,
    /// Run the schedule of this seed of the simulator
    #[arg(long, conflicts_with_all = ["seeds", "live"])]
    seed: Option<u64>,
    /// Run the schedules of this many seeds, from 0; or of a range, such as 1000..2000
    #[arg(long, value_name = "N|A..B", conflicts_with = "live")]
    seeds: Option<Seeds>,
    /// Follow the traces that a running cluster writes into this directory (`up --trace DIR`), until Ctrl-C or the first
    /// step that is not allowed
    #[arg(long, value_name = "DIR")]
    live: Option<PathBuf>,
    /// Storage nodes of the cluster
    #[arg(long, default_value_t = 3, value_parser = nodes)]
    nodes: u32,
    /// Print the result as one line of JSON
    #[arg(long)]
    json: bool,
}

impl Spec {
    pub fn run(self) -> Result<(), Failure> {
        let Command::Check(check) = self.command;
        check.run()
    }
}

impl Check {
    fn run(self) -> Result<(), Failure> {
        if let Some(dir) = &self.live {
            return self.follow(dir);
        }
        let (seeds, steps, found) = match (self.traces.is_empty(), self.seed, &self.seeds) {
            (false, ..) => self.traces()?,
            (true, Some(seed), _) => self.seeds(seed..seed + 1)?,
            (true, None, Some(Seeds(seeds))) => self.seeds(seeds.clone())?,
            (true, None, None) => {
                return Err(Failure::usage(
                    "name a trace, or --seed N, or --seeds N, or --live DIR".to_string(),
                ));
            }
        };
        if self.json {
            let mismatches: Vec<Value> = found.iter().map(|(seed, found)| row(*seed, found)).collect();
            say(json!({ "seeds": seeds, "steps": steps, "mismatches": mismatches }));
        } else {
            for (seed, found) in &found {
                seed.iter().for_each(|seed| say(format!("seed {seed}")));
                tell(found);
            }
            let runs = if self.traces.is_empty() { format!("{seeds} seeds, ") } else { String::new() };
            say(format!("{runs}{steps} steps of the specification, {} mismatches", found.len()));
        }
        let Some((seed, first)) = found.first() else { return Ok(()) };
        let failure = Failure::error(forbids(first));
        Err(match seed {
            Some(seed) => {
                failure.next(format!("{} sim --seed {seed} --trace {}", me(), quote("trace.jsonl")))
            }
            None => failure,
        })
    }

    /// A cluster that runs.
    fn follow(&self, dir: &Path) -> Result<(), Failure> {
        if !dir.is_dir() {
            let start = format!("{} up --trace {}", me(), quote(dir.display()));
            return Err(Failure::error(format!("there is no directory {}", dir.display())).next(start));
        }
        let stop = crate::interrupt::asked().map_err(Failure::error)?;
        let traces = Traces::of(dir, self.nodes, dir.to_owned()).map_err(Failure::error)?;
        let (mut found, mut over) = (None, None);
        let steps = traces.follow(&stop, |news| match news {
            News::Found(step, kept) => {
                found = Some((step.mismatch.clone(), kept.to_owned()));
                true
            }
            News::Over(why) => {
                over = Some(why);
                true
            }
            News::Steps(steps) => {
                note(format!("{steps} steps so far, 0 mismatches\n"));
                false
            }
        });
        let mismatches: Vec<Value> = found.iter().map(|(found, _)| row(None, found)).collect();
        if self.json {
            say(json!({ "seeds": 0, "steps": steps, "mismatches": mismatches }));
        } else {
            found.iter().for_each(|(found, _)| tell(found));
            say(format!("{steps} steps of the specification, {} mismatches", mismatches.len()));
        }
        match (found, over) {
            (Some((first, kept)), _) => {
                let view = format!("{} view {} --html mismatch.html", me(), quote(kept.display()));
                Err(Failure::error(forbids(&first)).next(view))
            }
            (None, Some(why)) => Err(Failure::error(why)),
            (None, None) => Ok(()),
        }
    }

    fn traces(&self) -> Result<(u64, u64, Found), Failure> {
        let read = |file: &PathBuf| {
            let named = |why: String| Failure::error(format!("{}: {why}", file.display()));
            let text = std::fs::read_to_string(file).map_err(|why| named(why.to_string()))?;
            trace::json::read(&text).map_err(named)
        };
        let traces = self.traces.iter().map(read).collect::<Result<_, _>>()?;
        let verdict = Checker::new(self.nodes).and_then(|checker| checker.traces(traces));
        let verdict = verdict.map_err(Failure::error)?;
        Ok((0, verdict.steps, verdict.mismatches.into_iter().map(|found| (None, found)).collect()))
    }

    fn seeds(&self, seeds: std::ops::Range<u64>) -> Result<(u64, u64, Found), Failure> {
        let options = Options { nodes: self.nodes, ..Options::default() };
        let bar = ProgressBar::new(seeds.end - seeds.start);
        let summary = spec::seeds(seeds, &options, |done| bar.set_position(done)).map_err(Failure::error)?;
        bar.finish_and_clear();
        let found = summary.mismatches.into_iter().map(|(seed, found)| (Some(seed), found)).collect();
        Ok((summary.seeds, summary.steps, found))
    }
}

type Found = Vec<(Option<u64>, Mismatch)>;

fn row(seed: Option<u64>, found: &Mismatch) -> Value {
    let Mismatch { at, event, step, action, clause, why, difference } = found;
    json!({
        "seed": seed, "step": step, "event": at, "sentence": event.sentence(), "file": event.source.file,
        "line": line(event), "symbol": event.source.symbol, "action": action, "clause": clause.map(Mechanism::id),
        "why": why, "difference": difference,
    })
}

/// The line of code that tells of the event, if the sources are here.
fn line(event: &Event) -> Option<usize> {
    Tree::find(None).line_of_event(&event.source, event.kind.name())
}

fn forbids(found: &Mismatch) -> String {
    match found.clause {
        Some(clause) => format!("the specification's clause {} forbids a step", clause.variant()),
        None => "the specification does not allow a step".to_string(),
    }
}

/// The mismatch in words, with the line of code.
pub fn told(found: &Mismatch) -> String {
    let Source { file, .. } = &found.event.source;
    let place = line(&found.event).map_or(file.to_string(), |line| format!("{file}:{line}"));
    found.to_string().replacen(&**file, &place, 1).trim_end().to_string()
}

fn tell(found: &Mismatch) {
    say(told(found));
}

/// `why ID --spec`: the clause that rejects the counterexample.
pub fn rejected(mechanism: Mechanism, json: bool) -> Result<(), Failure> {
    let found = spec::necessity(mechanism).map_err(Failure::error)?;
    let Some(found) = found else {
        return Err(Failure::error(format!("the specification does not speak of {mechanism}")));
    };
    if json {
        let mut line = row(None, &found);
        line["id"] = json!(mechanism.id());
        say(line);
    } else {
        tell(&found);
    }
    Ok(())
}
