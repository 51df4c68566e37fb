//! `check`: exhaustive exploration within a named scope: of the replication rules, or of one device and its crashes.

use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use lab::check::{Progress, SCOPES, Scope, explore};
use lab::device::{self, Bounds, Recoveries, explore_device};
use serde_json::{Value, json};
use trace::Mechanisms;

use crate::failure::{Failure, me, say};

/// Visit every state that the replication rules, or one device and its crashes, can reach within a scope
///
/// The replicas run the step functions of real nodes, and the device runs the real engine. Without `--scope`, list the
/// scopes.
#[derive(Debug, Args)]
pub struct Check {
    /// Name of the scope, which sets the bounds
    #[arg(long)]
    scope: Option<String>,
    /// Remove a mechanism (may be given several times)
    #[arg(long, value_name = "MECHANISM")]
    without: Vec<String>,
    /// Stop after about this many states
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
    states: u64,
    /// Print the result as one line of JSON
    #[arg(long)]
    json: bool,
}

/// The scope of the engine.
const DEVICE: (&str, &str) =
    ("device", "one device: small workloads, crashes anywhere, whatever the disk kept of its cache");

/// What came of either exploration.
struct Told {
    states: u64,
    /// One line: how far it came.
    line: String,
    bounds: String,
    complete: bool,
    /// What only this exploration tells in its JSON.
    more: Value,
    found: Option<Found>,
}

struct Found {
    broken: String,
    steps: Vec<String>,
    end: Vec<String>,
}

impl Check {
    pub fn run(self) -> Result<(), Failure> {
        let Some(name) = &self.scope else {
            let scopes = SCOPES.iter().map(|scope| (scope.name, scope.about)).chain([DEVICE]);
            scopes.for_each(|(name, about)| say(format!("{name:<10} {about}")));
            return Ok(());
        };
        let mechanisms = lab::all_but(&self.without).map_err(Failure::usage)?;
        let started = Instant::now();
        let bar = ProgressBar::new_spinner();
        bar.set_style(ProgressStyle::with_template("{spinner} {msg}").expect("a template of this file"));
        bar.enable_steady_tick(Duration::from_millis(200));
        // A failed assertion of the code under test is a finding, told below; not a crash of this program.
        std::panic::set_hook(Box::new(|_| {}));
        let told = self.explore(name, mechanisms, started, &bar);
        let _ = std::panic::take_hook();
        bar.finish_and_clear();
        let told = told?;
        if self.json {
            let mut result = json!({
                "scope": name, "states": told.states, "complete": told.complete,
                "rate": rate(told.states, started), "violations": u8::from(told.found.is_some()),
                "broken": told.found.as_ref().map(|found| &found.broken),
                "steps": told.found.as_ref().map(|found| &found.steps),
            });
            if let (Value::Object(result), Value::Object(more)) = (&mut result, told.more) {
                result.extend(more);
            }
            say(result);
        } else {
            say(format!("{}\nscope {name}: {}", told.line, told.bounds));
        }
        let Some(found) = told.found else {
            if !self.json {
                let all = if told.complete { "every state within these bounds" } else { "the states above" };
                say(format!("no violation in {all}"));
            }
            return Ok(());
        };
        if !self.json {
            say(format!("\nbroken: {}\n", found.broken));
            found.steps.iter().enumerate().for_each(|(n, step)| say(format!("{:3}. {step}", n + 1)));
            say("");
            found.end.iter().for_each(|line| say(format!("     {line}")));
        }
        let without: String = self.without.iter().map(|id| format!(" --without {id}")).collect();
        let again = format!("{} check --scope {name}{without}", me());
        Err(Failure::error(format!("a promise is broken: {}", found.broken)).next(again))
    }

    fn explore(
        &self,
        name: &str,
        mechanisms: Mechanisms,
        started: Instant,
        bar: &ProgressBar,
    ) -> Result<Told, Failure> {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        if name == DEVICE.0 {
            let bounds = Bounds { states_max: self.states, mechanisms, ..Bounds::large(threads) };
            let outcome = explore_device(&bounds, |progress| bar.set_message(device_line(progress, started)));
            let device::Progress { states, ops, crashes, .. } = outcome.progress;
            let complete = outcome.rounds.iter().map(round).collect::<Vec<_>>().join("; ");
            return Ok(Told {
                states,
                line: device_line(outcome.progress, started),
                bounds: format!("{bounds}; complete: {complete}"),
                complete: outcome.complete,
                more: json!({ "ops": ops, "crashes": crashes, "rounds": outcome.rounds.iter().map(round).collect::<Vec<_>>() }),
                found: outcome.found.map(|f| Found { broken: f.broken, steps: f.steps, end: Vec::new() }),
            });
        }
        let scope = Scope::named(name).ok_or_else(|| {
            Failure::usage(format!("there is no scope {name}")).next(format!("{} check", me()))
        })?;
        let scope = Scope { mechanisms, ..scope };
        let report = |progress| bar.set_message(line(progress, started));
        let outcome = explore(&scope, self.states, threads, report);
        Ok(Told {
            states: outcome.progress.states,
            line: line(outcome.progress, started),
            bounds: bounds(&scope),
            complete: outcome.complete,
            more: json!({ "depth": outcome.progress.depth }),
            found: outcome.found.map(|f| Found { broken: f.broken, steps: f.steps, end: f.end }),
        })
    }
}

fn rate(states: u64, started: Instant) -> u64 {
    (states as f64 / started.elapsed().as_secs_f64()) as u64
}

fn line(progress: Progress, started: Instant) -> String {
    let Progress { states, depth, .. } = progress;
    format!("{states} states, schedules of up to {depth} steps, {} states/s", rate(states, started))
}

fn device_line(progress: device::Progress, started: Instant) -> String {
    let device::Progress { states, ops, crashes, recoveries } = progress;
    let recoveries = recoveries.unwrap_or(Recoveries::Undisturbed);
    let (round, rate) = (round(&(ops, crashes, recoveries)), rate(states, started));
    format!("{states} states, schedules of {round}, {rate} states/s")
}

fn round((ops, crashes, recoveries): &device::Round) -> String {
    let recoveries = match recoveries {
        Recoveries::Undisturbed => "recoveries undisturbed",
        Recoveries::CutOffOnce => "one recovery cut off",
        Recoveries::CutOff => "recoveries cut off however deep",
        Recoveries::CutOffTorn => "recoveries cut off however deep, sectors torn",
    };
    format!("{ops} steps, {crashes} crashed, {recoveries}")
}

fn bounds(scope: &Scope) -> String {
    format!(
        "{} nodes, {} takeovers, {} writes sent up to {} times, {} reads, {} crashes, {} wipes, \
         {} duplicates, {} timer expiries, up to {} messages on their way, up to {} steps",
        scope.nodes,
        scope.takeovers,
        scope.writes,
        scope.sends,
        scope.reads,
        scope.crashes,
        scope.wipes,
        scope.duplicates,
        scope.ticks,
        scope.messages_max,
        scope.depth_max
    )
}
