//! `play`: a schedule, and all that comes of it.

use std::path::Path;

use clap::Args;
use lab::why::{self, Schedule, registry};
use trace::Mechanism;

use crate::failure::{Failure, me, say_wrapped};

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
}

impl Play {
    pub fn run(self) -> Result<(), Failure> {
        let off: Vec<Mechanism> = self.without.iter().map(|id| mechanism(id)).collect::<Result<_, _>>()?;
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
        let mechanism = lab::mechanism(&self.what).map_err(|why| {
            let what = format!("{} is neither a file nor a mechanism: {why}", self.what);
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
    lab::mechanism(id).map_err(|why| Failure::usage(why).next(format!("{} why", me())))
}
