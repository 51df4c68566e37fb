//! The first step that the specification does not allow: in seeds of the simulator, then in the lab's counterexamples and
//! in the stories. `spec/mutants` asks this of changed code.
//!
//! `cargo run -p spec --example first -- SEEDS`

use std::process::ExitCode;

use lab::Schedule;
use lab::why::registry::entries;
use sim::Options;
use spec::{Checker, Mismatch};
use trace::Mechanisms;

fn main() -> ExitCode {
    let seeds = std::env::args().nth(1).and_then(|seeds| seeds.parse().ok()).unwrap_or(100);
    match first(seeds) {
        Ok(Some((place, found))) => {
            let clause = match found.clause {
                Some(clause) => clause.variant(),
                None => &found.action,
            };
            println!("{clause} | {place} | {}", found.event.kind.name());
            eprintln!("{found}");
            ExitCode::SUCCESS
        }
        Ok(None) => {
            println!("allowed | |");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn first(seeds: u64) -> Result<Option<(String, Mismatch)>, String> {
    for (name, schedule) in schedules()? {
        let checker = Checker::new(schedule.setting()?.nodes)?;
        // Changed code may not come as far as to where a schedule begins.
        let Ok(verdict) = checker.schedule(&schedule, Mechanisms::all()) else { continue };
        if let Some(found) = verdict.mismatches.into_iter().next() {
            return Ok(Some((name, found)));
        }
    }
    let checker = Checker::new(3)?;
    for seed in 0..seeds {
        let verdict = checker.seed(seed, &Options::default())?;
        if let Some(found) = verdict.mismatches.into_iter().next() {
            return Ok(Some((format!("seed {seed}"), found)));
        }
    }
    Ok(None)
}

/// Those of clusters, with their names.
fn schedules() -> Result<Vec<(String, Schedule)>, String> {
    let mut all = Vec::new();
    for entry in entries() {
        let Some(text) = entry.counterexample else { continue };
        all.push((format!("counterexample {}", entry.mechanism), text.parse::<Schedule>()?));
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../stories");
    let files = std::fs::read_dir(folder).map_err(|why| why.to_string())?;
    let mut files: Vec<_> = files.filter_map(|file| Some(file.ok()?.path())).collect();
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(|why| why.to_string())?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        all.push((format!("story {name}"), text.parse()?));
    }
    all.retain(|(_, schedule)| !schedule.is_local());
    Ok(all)
}
