//! `play`: a schedule, and all that comes of it.

use std::path::{Path, PathBuf};

use clap::Args;
use lab::why::{self, Schedule, registry};
use trace::Mechanism;

use crate::failure::{Failure, me, say_wrapped};
use crate::sim;

/// Play a schedule, a story or a mechanism's counterexample, and tell every step with all that came of it
///
/// The replicas run the real rules, and the devices the real engine. Change a step, and see what comes of it.
#[derive(Debug, Args)]
pub struct Play {
    /// A file with a schedule or a story, or the id of a mechanism: then its counterexample
    #[arg(value_name = "FILE|MECHANISM")]
    what: String,
    /// Remove a mechanism (may be given several times)
    #[arg(long, value_name = "MECHANISM")]
    without: Vec<String>,
    /// Write the trace of a simulation to this file; `view` shows it
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

impl Play {
    pub fn run(self) -> Result<(), Failure> {
        let off: Vec<Mechanism> = self.without.iter().map(|id| mechanism(id)).collect::<Result<_, _>>()?;
        // A schedule that `sim` saved.
        if let Some(text) =
            std::fs::read_to_string(&self.what).ok().filter(|text| ::sim::text::is_simulation(text))
        {
            return sim::play(&self.what, &text, &off, self.trace.as_deref());
        }
        if self.trace.is_some() {
            return Err(Failure::usage("--trace is for a simulation, which begins with `> simulation N`"));
        }
        let schedule = self.schedule()?;
        let play =
            schedule.play_without(&off).map_err(|why| Failure::usage(format!("{}: {why}", self.what)))?;
        why::tell(&schedule, &play).iter().for_each(say_wrapped);
        Ok(())
    }

    fn schedule(&self) -> Result<Schedule, Failure> {
        let path = Path::new(&self.what);
        if path.is_file() {
            return read(path);
        }
        let mechanism = Mechanism::from_id(&self.what).ok_or_else(|| {
            let what = format!("{} is neither a file nor a mechanism", self.what);
            Failure::usage(what).next(format!("{} why", me()))
        })?;
        let text = registry::entry(mechanism).counterexample.ok_or_else(|| {
            Failure::error(format!("{mechanism} has no schedule")).next(format!("{} why {mechanism}", me()))
        })?;
        text.parse().map_err(Failure::error)
    }
}

/// The schedule in a file.
pub fn read(path: &Path) -> Result<Schedule, Failure> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::error(format!("cannot read {name}: {error}")))?;
    text.parse().map_err(|why| Failure::usage(format!("{name}: {why}")))
}

/// The mechanism called `id`.
pub fn mechanism(id: &str) -> Result<Mechanism, Failure> {
    Mechanism::from_id(id)
        .ok_or_else(|| Failure::usage(format!("there is no mechanism {id}")).next(format!("{} why", me())))
}
