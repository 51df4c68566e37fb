//! `museum`: published failures of real systems, on this code.

use std::path::PathBuf;

use clap::Args;
use lab::museum::{self, Exhibit, Shown};
use lab::why::Case;
use serde_json::{Value, json};

use crate::failure::{Failure, me, say, say_wrapped};
use crate::page;
use crate::play::exhibited;

/// Show published failures of real systems on this code: guard out, the same failure; guard in, it holds
///
/// Each exhibit names who published the failure, what users saw, and the mechanism that holds it here. Its schedule is
/// played just now, without the mechanism and with it. Failures that need what this code does not have are listed as such.
#[derive(Debug, Args)]
pub struct Museum {
    /// Id of an exhibit; without it, list them all
    #[arg(value_name = "EXHIBIT")]
    exhibit: Option<String>,
    /// Print the schedule itself
    #[arg(long, requires = "exhibit", conflicts_with = "json")]
    schedule: bool,
    /// Write the page of `lab` with both runs, side by side, as one file
    #[arg(long, requires = "exhibit", value_name = "FILE", conflicts_with_all = ["schedule", "json"])]
    html: Option<PathBuf>,
    /// Print one line of JSON for each exhibit that can be shown here
    #[arg(long)]
    json: bool,
}

impl Museum {
    pub fn run(self) -> Result<(), Failure> {
        let Some(id) = &self.exhibit else { return all(self.json) };
        let exhibit =
            museum::exhibit(id).map_err(|why| Failure::usage(why).next(format!("{} museum", me())))?;
        if self.schedule {
            say(exhibited(&exhibit)?.0.to_string().trim_end());
            return Ok(());
        }
        if let Some(file) = &self.html {
            let (schedule, guard) = exhibited(&exhibit)?;
            return page::write(file, &web::url::Shown { schedule, without: vec![guard] });
        }
        let case = museum::play(&exhibit).map_err(Failure::error)?;
        if self.json {
            say(row(&exhibit, case.as_ref()));
        } else {
            museum::story(&exhibit, case.as_ref()).iter().for_each(say_wrapped);
        }
        Ok(())
    }
}

fn row(exhibit: &Exhibit, case: Option<&Case>) -> Value {
    let urls: Vec<&str> = exhibit.sources.iter().map(|source| source.url.as_str()).collect();
    let mut row = json!({
        "id": exhibit.id, "title": exhibit.title, "system": exhibit.system, "year": exhibit.year,
        "citation": exhibit.citation(), "urls": urls, "seen": exhibit.seen,
    });
    let more = match (case, &exhibit.shown) {
        (Some(case), _) => json!({
            "guard": case.mechanism.id(), "promise": case.mechanism.promise(), "steps": case.off.length(),
            "broken_without": case.off.broken.is_some(), "held_with": case.held(), "broken": case.off.broken,
        }),
        (None, Shown::Missing(what)) => json!({ "missing": what }),
        (None, Shown::Without(_)) => json!({}),
    };
    if let (Value::Object(row), Value::Object(more)) = (&mut row, more) {
        row.extend(more);
    }
    row
}

fn all(json: bool) -> Result<(), Failure> {
    let mut wrong = Vec::new();
    let mut others = Vec::new();
    if !json {
        say(format!("{:<22} {:<19} {:<4} {}", "exhibit", "system", "year", "holds only with"));
    }
    for exhibit in museum::exhibits() {
        let Exhibit { id, system, year, .. } = &exhibit;
        let Some(case) = museum::play(&exhibit).map_err(Failure::error)? else {
            others.push(exhibit);
            continue;
        };
        if !case.held() {
            wrong.push(*id);
        }
        if json {
            say(row(&exhibit, Some(&case)));
        } else {
            say(format!("{id:<22} {system:<19} {year:<4} {}", case.mechanism.id()));
        }
    }
    if !json {
        say("\nNot in the core:");
        for Exhibit { id, system, year, shown, .. } in &others {
            let Shown::Missing(what) = shown else { continue };
            say_wrapped(format!("{id:<23} {system}, {year}: {what}"));
        }
        say("");
        say_wrapped("Each was played just now: guard out, a promise breaks; guard in, it holds.");
        say_wrapped(format!("The story of one: {} museum EXHIBIT", me()));
    }
    match &wrong[..] {
        [] => Ok(()),
        wrong => Err(Failure::error(format!("not held with the guard on: {}", wrong.join(", ")))),
    }
}
