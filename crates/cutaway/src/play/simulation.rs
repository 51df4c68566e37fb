//! A simulation that is played: a saved one, or that of a seed.

use std::path::Path;

use lab::why;
use sim::text::{self, Script};
use sim::{Options, Schedule};
use trace::Mechanism;

use crate::failure::{Failure, say_wrapped};
use crate::files;

/// The simulation whose text a file holds, if that is what it holds.
pub fn saved(name: &str) -> Result<Option<Script>, Failure> {
    let Some(text) = std::fs::read_to_string(name).ok().filter(|text| text::is_simulation(text)) else {
        return Ok(None);
    };
    text::parse(&text).map(Some).map_err(|wrong| Failure::usage(format!("{name}: {wrong}")))
}

/// The simulation of a seed.
pub fn of_seed(seed: u64, off: &[Mechanism]) -> Script {
    let options = Options { without: off.to_vec(), ..Options::default() };
    Script::new(Schedule::generate(seed, &options), &options)
}

/// Tells its events from the first step on, and how it ended.
pub fn play(script: &Script, off: &[Mechanism], trace: Option<&Path>) -> Result<(), Failure> {
    let report = why::run_script(script, off);
    why::tell_run(script, &report).map_err(Failure::error)?.iter().for_each(say_wrapped);
    trace.map_or(Ok(()), |file| files::write(file, &report.trace, files::TRACE))
}
