//! `check`: exhaustive exploration within a named scope.

use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use lab::check::{Progress, SCOPES, Scope, explore};
use trace::Mechanism;

use crate::failure::{Failure, me};

/// Visits every state that the replication rules can reach within a scope
///
/// The replicas run the step functions that real nodes run. Without `--scope`, lists the scopes.
#[derive(Debug, Args)]
pub struct Check {
    /// The bounds, by name
    #[arg(long)]
    scope: Option<String>,
    /// Takes a mechanism out (may be given several times)
    #[arg(long, value_name = "MECHANISM")]
    without: Vec<String>,
    /// Stops after about this many states
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
    states: u64,
    /// Prints the result as one line of JSON
    #[arg(long)]
    json: bool,
}

impl Check {
    pub fn run(self) -> Result<(), Failure> {
        let Some(name) = &self.scope else {
            SCOPES.iter().for_each(|scope| println!("{:<10} {}", scope.name, scope.about));
            return Ok(());
        };
        let mut scope = Scope::named(name).ok_or_else(|| {
            Failure::usage(format!("there is no scope {name}")).next(format!("{} check", me()))
        })?;
        for id in &self.without {
            let mechanism = Mechanism::from_id(id).ok_or_else(|| {
                let ids: Vec<_> = Mechanism::ALL.iter().map(|m| m.id()).collect();
                Failure::usage(format!("there is no mechanism {id}; there are {}", ids.join(" ")))
            })?;
            scope = scope.without(mechanism);
        }
        let started = Instant::now();
        let bar = ProgressBar::new_spinner();
        bar.set_style(ProgressStyle::with_template("{spinner} {msg}").expect("a template of this file"));
        bar.enable_steady_tick(Duration::from_millis(200));
        // A failed assertion of the rules is a finding, told below; not a crash of this program.
        std::panic::set_hook(Box::new(|_| {}));
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        let outcome =
            explore(&scope, self.states, threads, |progress| bar.set_message(line(progress, started)));
        let _ = std::panic::take_hook();
        bar.finish_and_clear();
        let rate = rate(outcome.progress.states, started);
        if self.json {
            println!(
                "{}",
                serde_json::json!({
                    "scope": scope.name, "states": outcome.progress.states, "depth": outcome.progress.depth,
                    "complete": outcome.complete, "rate": rate, "violations": u8::from(outcome.found.is_some()),
                    "broken": outcome.found.as_ref().map(|found| &found.broken),
                    "steps": outcome.found.as_ref().map(|found| &found.steps),
                })
            );
        } else {
            println!("{}", line(outcome.progress, started));
            println!("{}", bounds(&scope));
        }
        let Some(found) = outcome.found else {
            if !self.json {
                let all =
                    if outcome.complete { "every state within these bounds" } else { "the states above" };
                println!("no violation in {all}");
            }
            return Ok(());
        };
        if !self.json {
            println!("\nbroken: {}\n", found.broken);
            found.steps.iter().enumerate().for_each(|(n, step)| println!("{:3}. {step}", n + 1));
            println!();
            found.end.iter().for_each(|line| println!("     {line}"));
        }
        let without: String = self.without.iter().map(|id| format!(" --without {id}")).collect();
        let again = format!("{} check --scope {}{without}", me(), scope.name);
        Err(Failure::error(format!("a promise is broken: {}", found.broken)).next(again))
    }
}

fn rate(states: u64, started: Instant) -> u64 {
    (states as f64 / started.elapsed().as_secs_f64()) as u64
}

fn line(progress: Progress, started: Instant) -> String {
    let Progress { states, depth, .. } = progress;
    format!("{states} states, schedules of up to {depth} steps, {} states/s", rate(states, started))
}

fn bounds(scope: &Scope) -> String {
    format!(
        "scope {}: {} nodes, {} takeovers, {} writes sent up to {} times, {} reads, {} crashes, {} wipes, \
         {} duplicates, {} timer expiries, up to {} messages on their way, up to {} steps",
        scope.name,
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
