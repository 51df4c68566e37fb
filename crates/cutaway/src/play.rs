//! `play`: a schedule, and all that comes of it.

mod replay;
mod session;
mod until;

use std::io::{IsTerminal, stdin, stdout};
use std::path::{Path, PathBuf};

use clap::Args;
use lab::why::registry;
use lab::{Machine, Schedule, tell};
use trace::Mechanism;

use crate::failure::{Failure, me, say_wrapped};
use session::Session;
use until::Until;

/// Play a schedule, a story or a mechanism's counterexample, step by step
///
/// The nodes run the real rules on the real engine; only their disks and the network are simulated. On a terminal, each
/// step waits for you: go back, look at the state, take another step, take a mechanism out. Otherwise every step is told
/// with all that came of it.
#[derive(Debug, Args)]
pub struct Play {
    /// A file with a schedule or a story; the id of a mechanism: then its counterexample; or the address that `lab` shows
    #[arg(value_name = "FILE|MECHANISM|URL", required_unless_present = "seed")]
    what: Option<String>,
    /// Play this seed of the simulator: whole clusters, clients and faults; what happens all day is left out
    #[arg(long, conflicts_with = "what")]
    seed: Option<u64>,
    /// Remove a mechanism (may be given several times)
    #[arg(long, value_name = "MECHANISM")]
    without: Vec<String>,
    /// Stop after a step, or an event of a simulation: its number, the name of a kind of event (`PrimaryElected`), a mechanism at work, or `violation`
    #[arg(long, value_name = "STEP|EVENT|MECHANISM|violation")]
    until: Option<String>,
    /// Wait for commands after each step, also if this is no terminal
    #[arg(long, conflicts_with = "plain")]
    interactive: bool,
    /// Tell everything at once, also on a terminal
    #[arg(long)]
    plain: bool,
    /// Write the trace of a simulation to this file; `view` shows it
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

impl Play {
    pub fn run(self) -> Result<(), Failure> {
        let mut off: Vec<Mechanism> = self
            .without
            .iter()
            .map(|id| read_mechanism(id))
            .collect::<Result<_, _>>()
            .map_err(Failure::usage)?;
        let simulation = match (self.seed, &self.what) {
            (Some(seed), _) => Some(replay::of_seed(seed, &off)),
            (None, Some(name)) => replay::saved(name)?,
            (None, None) => None,
        };
        let until = self.until.as_deref().map(Until::read).transpose().map_err(Failure::usage)?;
        let terminal = stdin().is_terminal() && stdout().is_terminal();
        let interactive = self.interactive || (terminal && !self.plain);
        if let Some(script) = simulation {
            return replay::play(script, off, until, interactive, self.trace.as_deref());
        }
        if self.trace.is_some() {
            return Err(Failure::usage("--trace is for a simulation, which begins with `> simulation N`"));
        }
        let what = self.what.as_deref().unwrap_or_default();
        let schedule = match web::url::read(what).transpose().map_err(Failure::usage)? {
            Some(shown) => {
                off.extend(shown.without);
                shown.schedule
            }
            None => named(what)?.0,
        };
        let on = lab::without(&off);
        let mut machine =
            Machine::new(&schedule, on).map_err(|why| Failure::usage(format!("{what}: {why}")))?;
        if interactive {
            if let Some(until) = until {
                while !until.is_reached(&machine) && machine.advance().is_some() {}
            }
            return session::run(Session { machine, off });
        }
        let until = until.unwrap_or(Until::Violation);
        while !until.is_reached(&machine) && machine.advance().is_some() {}
        tell::tell(&schedule, &machine.play()).iter().for_each(say_wrapped);
        Ok(())
    }
}

/// The schedule in a file; or that of a mechanism, with the mechanism.
pub fn named(what: &str) -> Result<(Schedule, Option<Mechanism>), Failure> {
    let path = Path::new(what);
    if path.is_file() {
        return Ok((read(path)?, None));
    }
    let mechanism = lab::mechanism(what).map_err(|why| {
        let what = format!("{what} is neither a file nor a mechanism: {why}");
        Failure::usage(what).next(format!("{} why", me()))
    })?;
    let text = registry::entry(mechanism).counterexample.ok_or_else(|| {
        Failure::error(format!("{mechanism} has no schedule")).next(format!("{} why {mechanism}", me()))
    })?;
    Ok((text.parse().map_err(Failure::error)?, Some(mechanism)))
}

/// The schedule in a file.
pub fn read(path: &Path) -> Result<Schedule, Failure> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::error(format!("cannot read {name}: {error}")))?;
    text.parse().map_err(|why| Failure::usage(format!("{name}: {why}")))
}

/// The mechanism called `id`.
fn read_mechanism(id: &str) -> Result<Mechanism, String> {
    lab::mechanism(id)
}

/// The mechanism called `id`.
pub fn mechanism(id: &str) -> Result<Mechanism, Failure> {
    read_mechanism(id).map_err(|why| Failure::usage(why).next(format!("{} why", me())))
}
