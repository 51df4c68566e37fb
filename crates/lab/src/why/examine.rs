//! One mechanism taken out: its schedule played without it and with it, shortened, and looked for anew.

use sim::Options;
use trace::mechanism::Class;
use trace::{Mechanism, Mechanisms};

use crate::check::{Scope, explore};
use crate::cluster::Goal;
use crate::device::{Bounds, Recoveries, Work, explore_device};
use crate::play::Play;
use crate::schedule::Schedule;

use super::origin;
use super::registry;
use super::shrink::{is_minimal, shrink};

impl Schedule {
    /// Does it break a promise without `off`?
    pub fn betrays(&self, off: Mechanism) -> bool {
        self.play(Mechanisms::all().without(off)).is_ok_and(|play| play.broken.is_some())
    }

    /// The same with everything gone that it does not need: nodes, what is special about its setting, steps.
    #[must_use]
    pub fn shrunk(&self, off: Mechanism) -> Schedule {
        let mut setting = self.setting.clone();
        if let Some(small) = setting[0].strip_prefix("cluster 5").map(|rest| format!("cluster 3{rest}")) {
            let with = |first: String| Schedule { setting: vec![first], ..self.clone() };
            setting[0] = if with(small.clone()).betrays(off) { small } else { setting[0].clone() };
        }
        let first = setting.remove(0);
        let with = |rest: &[String]| {
            let setting = std::iter::once(&first).chain(rest).cloned().collect();
            Schedule { setting, ..self.clone() }
        };
        let setting = with(&shrink(setting, |rest| with(rest).betrays(off))).setting;
        let with =
            |steps: &[String]| Schedule { steps: steps.to_vec(), setting: setting.clone(), ..self.clone() };
        with(&shrink(self.steps.clone(), |steps| with(steps).betrays(off)))
    }

    /// Has each single step been tried, and found to be needed?
    pub fn is_minimal(&self, off: Mechanism) -> bool {
        let with = |steps: &[String]| Schedule { steps: steps.to_vec(), ..self.clone() };
        is_minimal(&self.steps, |steps| with(steps).betrays(off))
    }
}

/// A counterexample that was played just now, without the mechanism and with it.
#[derive(Clone, Debug)]
pub struct Case {
    /// What was taken out.
    pub mechanism: Mechanism,
    /// By what name `play` finds the schedule.
    pub called: String,
    /// The schedule.
    pub schedule: Schedule,
    /// Without the mechanism; a promise is broken.
    pub off: Play,
    /// With it.
    pub on: Play,
    /// Is each step needed?
    pub minimal: bool,
}

impl Case {
    /// Does the same schedule break nothing with the mechanism on?
    pub fn held(&self) -> bool {
        self.on.broken.is_none() && self.on.stopped.is_none()
    }

    /// The broken promise's number as the checker names it, and the checker.
    pub fn checker(&self) -> &str {
        let broken = self.off.broken.as_deref().unwrap_or_default();
        let number = broken.split(':').next().unwrap_or_default();
        // A device that was merely crashed must be found undamaged: E1.
        if number.contains(' ') && !number.contains(',') { "E1" } else { number }
    }

    /// The first step that goes differently with the mechanism on.
    pub fn parts_at(&self) -> usize {
        self.off.parts_at(&self.on).unwrap_or(self.off.acts.len() - 1)
    }
}

/// What comes of taking a mechanism out.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// A schedule that breaks a promise.
    Counterexample(Box<Case>),
    /// This seed of the simulator, run just now without it and with it, breaks a promise without it and holds with it.
    Seed(u64),
    /// So many seeds of the simulator, run just now without it, answer nothing wrong and come to rest; service may suffer.
    Liveness(u64),
    /// It cannot be taken out.
    NoneWithinBound,
}

/// Seeds that are run without a mechanism that has no counterexample.
const SEEDS: u64 = 50;

/// Safety, liveness, or the shape of the code.
pub fn class(mechanism: Mechanism) -> &'static str {
    match (registry::entry(mechanism).guard, mechanism.class()) {
        (None, _) => "structural",
        (_, Class::Liveness) => "liveness",
        (_, Class::Safety) => "safety",
    }
}

/// Plays the counterexample of `mechanism`, if there is one. An error says what is wrong with the stored schedule.
pub fn examine(mechanism: Mechanism) -> Result<Verdict, String> {
    let Some(text) = registry::entry(mechanism).counterexample else {
        if class(mechanism) == "structural" {
            return Ok(Verdict::NoneWithinBound);
        }
        let options = Options { without: vec![mechanism], ..Options::default() };
        if let Some(seed) = registry::entry(mechanism).seed {
            return shown_by(seed, &options).map(|()| Verdict::Seed(seed));
        }
        return match sim::run_many(0..SEEDS, &options, |_| ()).first {
            None => Ok(Verdict::Liveness(SEEDS)),
            Some(report) => Err(format!(
                "seed {} breaks a promise without {mechanism}: it wants a counterexample of its own",
                report.seed
            )),
        };
    };
    let schedule: Schedule = text.parse().map_err(|why| format!("{mechanism}: {why}"))?;
    case(mechanism, schedule).map(|case| Verdict::Counterexample(Box::new(case)))
}

/// Does `seed` break a promise under `options`, and none with all mechanisms on?
fn shown_by(seed: u64, options: &Options) -> Result<(), String> {
    let breaks = |options: &Options| {
        let options = Options { trace: false, ..options.clone() };
        sim::execute(&sim::Schedule::generate(seed, &options), &options).violation.is_some()
    };
    if !breaks(options) {
        return Err(format!(
            "seed {seed} breaks no promise without {:?}: look for another one",
            options.without
        ));
    }
    if breaks(&Options { without: Vec::new(), ..options.clone() }) {
        return Err(format!("seed {seed} breaks a promise with all mechanisms on"));
    }
    Ok(())
}

/// What it means that there is no schedule.
pub fn why_none(mechanism: Mechanism, verdict: &Verdict) -> String {
    match (verdict, mechanism) {
        (Verdict::Liveness(seeds), _) => {
            format!(
                "no failure found within {seeds} seeds of the simulator: liveness, nothing wrong is answered"
            )
        }
        (Verdict::Seed(seed), _) => {
            format!(
                "seed {seed} of the simulator breaks a promise: `cutaway sim --seed {seed} --without {mechanism}`"
            )
        }
        _ => format!("structural: {}", registry::entry(mechanism).structural),
    }
}

/// Plays `schedule` without `mechanism` and with it.
pub fn case(mechanism: Mechanism, schedule: Schedule) -> Result<Case, String> {
    let off = schedule.play(Mechanisms::all().without(mechanism))?;
    if off.broken.is_none() {
        return Err(format!("without {mechanism}, this schedule breaks nothing:\n{schedule}"));
    }
    let on = schedule.play_to_the_end(Mechanisms::all())?;
    let minimal = schedule.is_minimal(mechanism);
    Ok(Case { mechanism, called: mechanism.to_string(), schedule, off, on, minimal })
}

/// Two mechanisms, of which one may mask the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pair {
    /// The counterexample of the first still breaks a promise with the second out as well.
    Breaks,
    /// It does not: without the second, it does not come so far.
    Masked,
}

/// The counterexample of `first`, played without `second` as well.
pub fn pair(first: Mechanism, second: Mechanism) -> Option<Pair> {
    let schedule: Schedule = registry::entry(first).counterexample?.parse().ok()?;
    let play = schedule.play(Mechanisms::all().without(first).without(second)).ok()?;
    Some(if play.broken.is_some() { Pair::Breaks } else { Pair::Masked })
}

/// Looks for a counterexample anew, among at most about `states` states, and shortens it. `None`: none was found. An
/// error says that this one has no scope in which it is found.
pub fn search(mechanism: Mechanism, states: u64, threads: usize) -> Result<Option<Schedule>, String> {
    let name = registry::entry(mechanism).scope.ok_or_else(|| {
        format!("the schedule without {mechanism} is written by hand: no scope of `check` leads there in reasonable time")
    })?;
    let (script, seen) = if let Some(work) = Work::named(name) {
        let large = Bounds {
            states_max: states,
            mechanisms: Mechanisms::all().without(mechanism),
            ..Bounds::large(work, threads)
        };
        let bounds = match work {
            Work::Anything => {
                Bounds { ops: 2, crashes: 2, recoveries: Recoveries::CutOffOnce, transfers: false, ..large }
            }
            Work::Moves => large,
        };
        let outcome = explore_device(&bounds, |_| {});
        (outcome.found.map(|found| found.script), outcome.progress.states)
    } else {
        let scope = Scope::named(name).expect("a test looks up every scope");
        let messages_max = scope.messages_max.min(5);
        // To see a value that is not committed somebody has to read.
        let reads = scope.reads.max(u8::from(mechanism == Mechanism::ApplyOnlyCommitted));
        let scope = Scope { goal: Goal::Betrayal, messages_max, reads, ..scope }.without(mechanism);
        let outcome = explore(&scope, states, threads, |_| ());
        (outcome.found.map(|found| found.script), outcome.progress.states)
    };
    let Some(script) = script else { return Ok(None) };
    let text: String = script.iter().map(|line| format!("> {line}\n")).collect();
    let found: Schedule = text.parse()?;
    let mut short = found.shrunk(mechanism);
    // A device's schedules are searched depth first, so the first one need not be a shortest one.
    let untouched = !short.is_local() && short == found;
    short.notes = vec![origin::of_search(name, seen, untouched)];
    Ok(Some(short))
}
