//! `check`: exhaustive exploration within a named scope: of the replication rules, or of one device and its crashes.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use lab::check::{Exploration, Progress, SCOPES, Saved, Scope};
use lab::device::{self, Bounds, Recoveries, Work};
use lab::nearest::unknown;
use lab::save::{self, SavedError};
use serde_json::{Value, json};
use trace::Mechanisms;

use crate::failure::{Failure, me, quote, say, say_wrapped};
use crate::{files, interrupt};

/// Visit every state that the replication rules, or one device and its crashes, can reach within a scope
///
/// The replicas run the step functions of real nodes, and the device runs the real engine. Without `--scope`, list the
/// scopes. While it runs, it shows how many states it has seen, how deep it is, how fast, and an estimate of what is left,
/// which is made of how the frontier grows and is no more than that.
///
/// Ctrl-C stops it: it prints the result so far and exits with 130. With `--save` it can be gone on with.
#[derive(Debug, Args)]
pub struct Check {
    /// Name of the scope, which sets the bounds
    #[arg(long, value_name = "SCOPE")]
    scope: Option<String>,
    /// Remove a mechanism (may be given several times)
    #[arg(long, value_name = "MECHANISM")]
    without: Vec<String>,
    /// Stop after about this many states
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
    states: u64,
    /// When stopped, or at the end of `--states`, write to this file what there is so far
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Go on from such a file: the result is that of a run that was never stopped
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scope", "without"])]
    resume: Option<PathBuf>,
    /// Print the result as one line of JSON
    #[arg(long)]
    json: bool,
}

/// What is explored.
enum Task {
    Rules(Box<Scope>, Box<Exploration>),
    Device(Bounds, Box<device::Exploration>),
}

/// What came of either exploration.
struct Told {
    states: u64,
    /// One line: how far it came.
    line: String,
    bounds: String,
    complete: bool,
    /// Where nothing is broken, in words.
    held: String,
    /// What only this exploration tells in its JSON.
    more: Value,
    found: Option<Found>,
}

struct Found {
    broken: String,
    steps: Vec<String>,
    end: Vec<String>,
}

/// How fast it goes: what a file held was not seen just now.
#[derive(Clone, Copy)]
struct Clock {
    started: Instant,
    before: u64,
}

impl Check {
    pub fn run(self) -> Result<(), Failure> {
        if self.scope.is_none() && self.resume.is_none() {
            let devices = Work::ALL.map(|work| (work.name(), work.about()));
            let scopes = SCOPES.iter().map(|scope| (scope.name, scope.about)).chain(devices);
            scopes.for_each(|(name, about)| say_wrapped(format!("{name:<18} {about}")));
            return Ok(());
        }
        self.save.iter().try_for_each(|file| files::can_replace(file, files::SAVED))?;
        let stop = interrupt::asked().map_err(Failure::error)?;
        let bar = ProgressBar::new_spinner();
        bar.set_style(ProgressStyle::with_template("{spinner} {wide_msg}").expect("a template of this file"));
        bar.enable_steady_tick(Duration::from_millis(200));
        // A failed assertion of the code under test is a finding, told below; not a crash of this program.
        std::panic::set_hook(Box::new(|_| {}));
        let explored = self.task(&bar).map(|mut task| {
            let told = task.explore(self.states, &stop, &bar);
            (task, told)
        });
        let _ = std::panic::take_hook();
        bar.finish_and_clear();
        let (task, told) = explored?;
        let saved = self.save.as_ref().filter(|_| !told.complete && told.found.is_none());
        saved.iter().try_for_each(|file| files::replace(file, &task.saved()?, files::SAVED))?;
        let stopped = stop.load(Ordering::Relaxed) && !told.complete && told.found.is_none();
        if self.json {
            say(task.as_json(&told, stopped));
        } else {
            say_wrapped(&told.line);
            say_wrapped(format!("scope {}: {}", task.name(), told.bounds));
        }
        match told.found {
            Some(found) => Err(self.broken(&task, &found)),
            None => {
                if !self.json {
                    let so_far = if stopped { " so far" } else { "" };
                    say_wrapped(format!("no violation{so_far} in {}", told.held));
                    saved.iter().for_each(|file| say(format!("saved in {}", file.display())));
                }
                if stopped { Err(self.stopped(saved.map(PathBuf::as_path))) } else { Ok(()) }
            }
        }
    }

    /// What to explore: from its beginning, or from where a file left it.
    fn task(&self, bar: &ProgressBar) -> Result<Task, Failure> {
        let Some(file) = &self.resume else {
            let mechanisms = lab::all_but(&self.without)
                .map_err(|why| Failure::usage(why).next(format!("{} why", me())))?;
            return Task::new(self.scope.as_deref().unwrap_or_default(), mechanisms);
        };
        let name = file.display();
        let bytes =
            std::fs::read(file).map_err(|error| Failure::error(format!("cannot read {name}: {error}")))?;
        bar.set_message(format!("going back to where {name} left it"));
        Task::resume(&bytes, bar).map_err(|why| {
            let kind = match why {
                SavedError::Damaged { .. } => Failure::corruption,
                _ => Failure::usage,
            };
            kind(format!("{name}: {why}")).next(format!("{} check --scope SCOPE --save {name}", me()))
        })
    }

    fn broken(&self, task: &Task, found: &Found) -> Failure {
        if !self.json {
            say_wrapped(format!("\nbroken: {}\n", found.broken).trim_end());
            say("");
            found.steps.iter().enumerate().for_each(|(n, step)| say_wrapped(format!("{:3}. {step}", n + 1)));
            say("");
            found.end.iter().for_each(|line| say_wrapped(format!("     | {line}")));
        }
        let without: String = task.off().iter().map(|id| format!(" --without {id}")).collect();
        let again = format!("{} check --scope {}{without}", me(), task.name());
        Failure::error(format!("a promise is broken: {}", found.broken)).next(again)
    }

    fn stopped(&self, saved: Option<&Path>) -> Failure {
        let failure = Failure::stopped("stopped before every state was visited");
        match saved {
            Some(file) => {
                failure.next(format!("{} check --resume {}, to go on", me(), quote(file.display())))
            }
            None => failure.next("the same with --save FILE, to go on later with --resume FILE"),
        }
    }
}

impl Task {
    fn new(name: &str, mechanisms: Mechanisms) -> Result<Task, Failure> {
        if let Some(work) = Work::named(name) {
            let bounds = Bounds { mechanisms, ..Bounds::large(work, threads()) };
            return Ok(Task::Device(bounds, Box::new(device::Exploration::new(&bounds))));
        }
        let scope = Scope::named(name).ok_or_else(|| {
            let names = SCOPES.iter().map(|scope| scope.name).chain(Work::ALL.map(Work::name));
            Failure::usage(unknown("scope", name, names)).next(format!("{} check", me()))
        })?;
        let scope = Scope { mechanisms, ..scope };
        Ok(Task::Rules(Box::new(scope), Box::new(Exploration::new(&scope))))
    }

    fn resume(bytes: &[u8], bar: &ProgressBar) -> Result<Task, SavedError> {
        let header = save::header(bytes)?;
        if Work::named(&header.scope).is_some() {
            let saved = device::Saved::decode(bytes, build())?;
            let bounds = Bounds { mechanisms: saved.mechanisms, ..Bounds::large(saved.work, threads()) };
            return Ok(Task::Device(bounds, Box::new(device::Exploration::resume(&bounds, &saved)?)));
        }
        let saved = Saved::decode(bytes)?;
        let whole = saved.states();
        let report = |progress: Progress| {
            bar.set_message(format!("going back: {} of {whole} states", progress.states));
        };
        Ok(Task::Rules(Box::new(saved.scope), Box::new(Exploration::resume(&saved, report)?)))
    }

    fn name(&self) -> &'static str {
        match self {
            Task::Rules(scope, _) => scope.name,
            Task::Device(bounds, _) => bounds.work.name(),
        }
    }

    fn off(&self) -> Vec<trace::Mechanism> {
        let mechanisms = match self {
            Task::Rules(scope, _) => scope.mechanisms,
            Task::Device(bounds, _) => bounds.mechanisms,
        };
        save::Header { scope: self.name().into(), mechanisms }.off()
    }

    /// The bytes of a file from which it can be gone on with.
    fn saved(&self) -> Result<Vec<u8>, Failure> {
        match self {
            Task::Rules(_, exploration) => Ok(exploration.save().encode()),
            Task::Device(_, exploration) => Ok(exploration.save().encode(build())),
        }
    }

    fn explore(&mut self, states_max: u64, stop: &AtomicBool, bar: &ProgressBar) -> Told {
        let go_on = || !stop.load(Ordering::Relaxed);
        match self {
            Task::Rules(scope, exploration) => {
                let clock = Clock { started: Instant::now(), before: exploration.progress().states };
                let outcome = exploration.run(states_max, threads(), |progress| {
                    bar.set_message(running(progress, clock));
                    go_on()
                });
                let Progress { states, depth, full, .. } = outcome.progress;
                let partly = if full < depth { ", and in some longer ones" } else { "" };
                Told {
                    states,
                    line: line(outcome.progress, clock),
                    bounds: bounds(scope),
                    complete: outcome.complete,
                    held: match outcome.complete {
                        true => "every state within these bounds".into(),
                        false => format!("every schedule of up to {full} steps{partly}"),
                    },
                    more: json!({ "depth": depth, "full": full, "rate": clock.rate(states) }),
                    found: outcome.found.map(|f| Found { broken: f.broken, steps: f.steps, end: f.end }),
                }
            }
            Task::Device(bounds, exploration) => {
                let clock = Clock { started: Instant::now(), before: 0 };
                bounds.states_max = states_max;
                let outcome = exploration.run(states_max, |progress| {
                    bar.set_message(device_line(progress, clock));
                    go_on()
                });
                let device::Progress { states, ops, crashes, .. } = outcome.progress;
                let rounds: Vec<String> = outcome.rounds.iter().map(round).collect();
                Told {
                    states,
                    line: device_line(outcome.progress, clock),
                    bounds: format!("{bounds}; complete: {}", rounds.join("; ")),
                    complete: outcome.complete,
                    held: match outcome.complete {
                        true => "every state within these bounds".into(),
                        false => "the states above".into(),
                    },
                    more: json!({
                        "ops": ops, "crashes": crashes, "rounds": rounds, "rate": clock.rate(states),
                    }),
                    found: outcome.found.map(|f| Found { broken: f.broken, steps: f.steps, end: Vec::new() }),
                }
            }
        }
    }

    fn as_json(&self, told: &Told, stopped: bool) -> Value {
        let mut result = json!({
            "scope": self.name(), "states": told.states, "complete": told.complete, "stopped": stopped,
            "violations": u8::from(told.found.is_some()),
            "broken": told.found.as_ref().map(|found| &found.broken),
            "steps": told.found.as_ref().map(|found| &found.steps),
        });
        if let (Value::Object(result), Value::Object(more)) = (&mut result, told.more.clone()) {
            result.extend(more);
        }
        result
    }
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

/// This build, by its bytes.
fn build() -> u32 {
    let me = std::env::current_exe().and_then(std::fs::read);
    me.map_or(0, |bytes| save::checksum(&bytes))
}

impl Clock {
    fn rate(self, states: u64) -> u64 {
        ((states - self.before.min(states)) as f64 / self.started.elapsed().as_secs_f64()) as u64
    }
}

/// What is shown while it runs, on a line of a terminal.
fn running(progress: Progress, clock: Clock) -> String {
    let Progress { states, depth, full, left, .. } = progress;
    let rate = clock.rate(states);
    let left = match left {
        Some(left) => {
            let time = HumanDuration(Duration::from_secs(left / rate.max(1)));
            format!("estimate: {} more, {time}", about(left))
        }
        None => "no estimate yet".into(),
    };
    format!("{states} states, depth {depth} ({full} in full), {rate}/s; {left}")
}

/// An estimate has no digits to spare.
fn about(states: u64) -> String {
    match states {
        0..10_000 => states.to_string(),
        10_000..10_000_000 => format!("{} thousand", states / 1_000),
        _ => format!("{} million", states / 1_000_000),
    }
}

fn line(progress: Progress, clock: Clock) -> String {
    let Progress { states, depth, .. } = progress;
    format!("{states} states, schedules of up to {depth} steps, {} states/s", clock.rate(states))
}

fn device_line(progress: device::Progress, clock: Clock) -> String {
    let device::Progress { states, ops, crashes, recoveries } = progress;
    let recoveries = recoveries.unwrap_or(Recoveries::Undisturbed);
    let (round, rate) = (round(&(ops, crashes, recoveries)), clock.rate(states));
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
    let mut more = String::new();
    let mut add = |if_any: usize, what: &str| {
        if if_any > 0 {
            more.push_str(&format!("{what}, "));
        }
    };
    let names: Vec<_> = scope.with.names().map(|name| name.id()).collect();
    add(names.len(), &format!("founded with {}", names.join(" and ")));
    add(scope.joining as usize, &format!("{} of them on empty devices", scope.joining));
    add(scope.begin.len(), &format!("after `{}`", scope.begin.join("`, `")));
    let changes: Vec<_> = scope.changes.iter().map(|change| format!("`{change}`")).collect();
    add(changes.len(), &format!("asked for {}", changes.join(" and ")));
    add(scope.wishes.into(), &format!("{} wishes of extensions", scope.wishes));
    add(scope.expiries.into(), &format!("{} expiries of one node's timers", scope.expiries));
    format!(
        "{} nodes, {more}{} takeovers, {} writes sent up to {} times, {} reads, {} crashes, {} wipes, \
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
