//! `why`: takes a mechanism out, and shows what a client loses.

use std::io::{BufRead, IsTerminal, stderr, stdin, stdout};
use std::time::Instant;

use clap::Args;
use lab::Schedule;
use lab::why::{self, Case, FoundBy, Pair, Verdict, registry};
use serde_json::json;
use trace::Mechanism;
use web::url::Shown;

use crate::failure::{Failure, me, note, say, say_wrapped};
use crate::page;
use crate::play::{mechanism, read};

/// States that `--search` visits at most: some minutes.
const STATES: u64 = 30_000_000;

/// Remove one mechanism: show a short schedule that breaks a promise, and the same schedule with it on
///
/// The schedules are stored but not trusted: every run plays the schedule without the mechanism and with it, and checks
/// that no single step can be dropped (1-minimal). A shorter schedule may exist, unless the page says that breadth-first
/// search of a scope found this one. No real process can run with a mechanism missing.
#[derive(Debug, Args)]
pub struct Why {
    /// Id of the mechanism; without it, list them all
    #[arg(value_name = "MECHANISM", conflicts_with_all = ["all", "pairs"])]
    mechanism: Option<String>,
    /// Print the necessity table: every mechanism, its counterexample, and what was tried
    #[arg(long)]
    all: bool,
    /// Show which mechanisms mask each other: play each counterexample with a second mechanism removed
    #[arg(long, conflicts_with = "all")]
    pairs: bool,
    /// Print the schedule itself
    #[arg(long, requires = "mechanism")]
    schedule: bool,
    /// Write the page of `lab` with both runs, side by side, as one file
    #[arg(long, requires = "mechanism", value_name = "FILE", conflicts_with_all = ["schedule", "search"])]
    html: Option<std::path::PathBuf>,
    /// Play your own schedule without the mechanism: if it breaks a promise, shrink it and show it; else tell all of it
    #[arg(long = "try", requires = "mechanism", value_name = "FILE", conflicts_with_all = ["schedule", "search"])]
    own: Option<std::path::PathBuf>,
    /// Search exhaustively for a new counterexample, and print it as a schedule
    #[arg(long, requires = "mechanism", conflicts_with = "schedule")]
    search: bool,
    /// Name the clause of the TLA+ specification that rejects the counterexample
    #[arg(long, requires = "mechanism", conflicts_with_all = ["schedule", "search", "html", "own"])]
    spec: bool,
    /// Print one line of JSON for each mechanism
    #[arg(long)]
    json: bool,
}

impl Why {
    pub fn run(self) -> Result<(), Failure> {
        if self.pairs {
            return pairs(self.json);
        }
        let Some(id) = &self.mechanism else { return all(self.json) };
        let mechanism = mechanism(id)?;
        if self.spec {
            return crate::spec::rejected(mechanism, self.json);
        }
        if self.search {
            let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
            let found = why::search(mechanism, STATES, threads).map_err(Failure::usage)?;
            let found =
                found.ok_or_else(|| Failure::error(format!("nothing was found in {STATES} states")))?;
            say(found.to_string().trim_end());
            return Ok(());
        }
        let started = Instant::now();
        let verdict = match &self.own {
            Some(file) => match own(mechanism, file)? {
                Some(verdict) => verdict,
                None => return Ok(()),
            },
            None => why::examine(mechanism).map_err(Failure::error)?,
        };
        if self.json {
            say(row(mechanism, &verdict, started));
            return Ok(());
        }
        match verdict {
            Verdict::Counterexample(case) if self.html.is_some() => {
                let shown = Shown { schedule: case.schedule, without: vec![mechanism] };
                page::write(&self.html.expect("it was just looked at"), &shown)?;
            }
            Verdict::Counterexample(case) if self.schedule => say(case.schedule.to_string().trim_end()),
            Verdict::Counterexample(case) => tell(&case),
            other if self.html.is_some() || self.schedule => {
                let what =
                    format!("there is no schedule without {mechanism}: {}", why::why_none(mechanism, &other));
                return Err(Failure::error(what));
            }
            other => nothing(mechanism, &other),
        }
        Ok(())
    }
}

/// A schedule that somebody wrote, shortened; one that breaks nothing is told as it is.
fn own(mechanism: Mechanism, file: &std::path::Path) -> Result<Option<Verdict>, Failure> {
    let (name, schedule) = (file.display(), read(file)?);
    let wrong = |why| Failure::usage(format!("{name}: {why}"));
    let play = schedule.play_without(&[mechanism]).map_err(wrong)?;
    if play.broken.is_none() {
        lab::tell::tell(&schedule, &play).iter().for_each(say_wrapped);
        say_wrapped(format!("Without {mechanism} this schedule breaks nothing."));
        let stored: Option<Schedule> =
            registry::entry(mechanism).counterexample.and_then(|text| text.parse().ok());
        let departs =
            stored.and_then(|stored| lab::tell::departure(&stored.play_without(&[mechanism]).ok()?, &play));
        departs.iter().for_each(|how| say_wrapped(format!("It departs from the stored one: {how}.")));
        return Ok(None);
    }
    let whole = schedule.steps.len();
    let mut case = why::case(mechanism, schedule.shrunk(mechanism)).map_err(wrong)?;
    case.schedule.notes = vec![format!("From {name}, of {whole} steps; shortened.")];
    Ok(Some(Verdict::Counterexample(Box::new(case))))
}

/// The story, with a pause at its question if somebody sits there.
fn tell(case: &Case) {
    let narration = why::narrate(case);
    narration.before.iter().for_each(say_wrapped);
    if stdin().is_terminal() && stdout().is_terminal() {
        note("     (Enter for the answer) ");
        let _ = stdin().lock().read_line(&mut String::new());
    }
    narration.after.iter().for_each(say_wrapped);
    if stderr().is_terminal() {
        note("\n");
    }
}

fn nothing(mechanism: Mechanism, verdict: &Verdict) {
    let entry = registry::entry(mechanism);
    say_wrapped(format!("WITHOUT {mechanism}: {}", mechanism.does()));
    say_wrapped(why::why_none(mechanism, verdict));
    say_wrapped(format!("Try          {}", entry.variation));
    entry.choice.iter().for_each(|choice| say_wrapped(format!("Instead      {choice}")));
}

/// What is known of the length of its schedule, and no more.
fn minimal(case: &Case) -> Option<&'static str> {
    match (case.schedule.is_shortest(), case.minimal) {
        (true, true) => Some("shortest"),
        (false, true) => Some("1-minimal"),
        (_, false) => None,
    }
}

fn row(mechanism: Mechanism, verdict: &Verdict, started: Instant) -> serde_json::Value {
    let millis = started.elapsed().as_millis() as u64;
    let class = why::class(mechanism);
    let (id, faults) = (mechanism.id(), registry::entry(mechanism).faults);
    match verdict {
        Verdict::Counterexample(case) => json!({
            "id": id, "class": class, "verdict": "counterexample", "faults": faults,
            "steps": case.off.length(), "lines": case.schedule.steps.len(), "promise": mechanism.promise(), "checker": case.checker(),
            "broken": case.off.broken, "held_with_mechanism_on": case.held(), "minimal_checked": case.minimal,
            "found_by": case.schedule.found_by().word(), "minimal": minimal(case),
            "found": case.schedule.notes.first(), "millis": millis,
        }),
        other => json!({
            "id": id, "class": class, "faults": faults,
            "verdict": match other {
                Verdict::Seed(_) => "seed",
                Verdict::Liveness(_) => "liveness",
                _ => "none_within_bound",
            },
            "steps": null, "promise": mechanism.promise(), "checker": null, "broken": why::why_none(mechanism, other),
            "held_with_mechanism_on": true, "minimal_checked": false, "found": null, "millis": millis,
            "found_by": matches!(other, Verdict::Seed(_)).then_some(FoundBy::Seed.word()), "minimal": null,
        }),
    }
}

fn all(json: bool) -> Result<(), Failure> {
    if !json {
        say_wrapped(format!(
            "{:<30} {:<10} {:>5}  {:<7} {:<8} {:<5} {:<7} {}",
            "without", "class", "steps", "promise", "checker", "held", "1-min", "faults"
        ));
    }
    let mut wrong = Vec::new();
    for &mechanism in Mechanism::ALL {
        let started = Instant::now();
        let verdict = why::examine(mechanism).map_err(Failure::error)?;
        if let Verdict::Counterexample(case) = &verdict
            && !(case.held() && case.minimal)
        {
            wrong.push(mechanism.id());
        }
        if json {
            say(row(mechanism, &verdict, started));
            continue;
        }
        let faults = registry::entry(mechanism).faults;
        match verdict {
            Verdict::Counterexample(case) => say_wrapped(format!(
                "{:<30} {:<10} {:>5}  {:<7} {:<8} {:<5} {:<7} {faults}",
                mechanism.id(),
                why::class(mechanism),
                case.off.length(),
                mechanism.promise(),
                case.checker(),
                if case.held() { "yes" } else { "NO" },
                if case.minimal { "yes" } else { "NO" },
            )),
            other => say_wrapped(format!(
                "{:<30} {:<10} {:>5}  {}",
                mechanism.id(),
                why::class(mechanism),
                "-",
                why::why_none(mechanism, &other)
            )),
        }
    }
    if !json {
        say("");
        say_wrapped(
            "Each schedule was played just now, without its mechanism and with it, and each step tried to be dropped.",
        );
        say_wrapped("The claim holds for this fault model and this choice of mechanisms; it is no proof.");
        say_wrapped(format!("The story of one: {} why MECHANISM", me()));
    }
    match &wrong[..] {
        [] => Ok(()),
        wrong => Err(Failure::error(format!(
            "not held with the mechanism on, or not minimal: {}",
            wrong.join(", ")
        ))),
    }
}

fn pairs(json: bool) -> Result<(), Failure> {
    for &first in Mechanism::ALL {
        let played = Mechanism::ALL.iter().filter(|second| **second != first);
        let found: Vec<_> = played.filter_map(|&second| Some((second, why::pair(first, second)?))).collect();
        if found.is_empty() {
            continue;
        }
        let masked = found.iter().filter(|(_, pair)| *pair == Pair::Masked).map(|(second, _)| second.id());
        let masked: Vec<&str> = masked.collect();
        if json {
            say(json!({ "id": first.id(), "pairs": found.len(), "masked_by": masked }));
        } else if masked.is_empty() {
            say_wrapped(format!("{:<30} betrays with any second one out as well", first.id()));
        } else {
            say_wrapped(format!(
                "{:<30} its schedule leads nowhere with one of these out as well: {}",
                first.id(),
                masked.join(" ")
            ));
        }
    }
    Ok(())
}
