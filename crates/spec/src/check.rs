//! Where traces come from: files, seeds of the simulator, schedules of the lab.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use lab::cluster::{Setting, Stage, Step};
use lab::why::Schedule;
use trace::{Actor, Event, Kind, Mechanism, Mechanisms};

use crate::eval::Spec;
use crate::follow::{Follower, Item};
use crate::judge::{Judge, Mismatch, cutaway, record};
use crate::value::{Value, Word};

/// What came of holding a trace against the specification.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Steps of the specification.
    pub steps: u64,
    /// The first step of each shard that is not allowed.
    pub mismatches: Vec<Mismatch>,
}

/// The counterexample of a mechanism, played without it: the first step that is not allowed. `None`: there is no schedule of
/// a cluster, or every step is.
pub fn necessity(mechanism: Mechanism) -> Result<Option<Mismatch>, String> {
    let Some(text) = lab::why::registry::entry(mechanism).counterexample else { return Ok(None) };
    let schedule: Schedule = text.parse()?;
    if schedule.is_local() {
        return Ok(None);
    }
    let without = lab::all_but(&[mechanism.id().to_string()])?;
    let verdict = Checker::new(schedule.setting()?.nodes)?.schedule(&schedule, without)?;
    Ok(verdict.mismatches.into_iter().next())
}

/// Holds whole runs, from the first event on, against the specification.
pub struct Checker {
    nodes: u32,
    spec: Arc<Spec>,
}

impl Checker {
    /// For shards with so many replicas.
    pub fn new(nodes: u32) -> Result<Checker, String> {
        Ok(Checker { nodes, spec: Arc::new(cutaway(nodes)?) })
    }

    /// The events of a cluster, all of them, in an order in which causes come first.
    pub fn events(&self, events: Vec<Event>) -> Result<Verdict, String> {
        let shards = events.iter().filter_map(|event| match event.id.actor {
            Actor::Node { shard, .. } => Some(shard),
            _ => None,
        });
        let shards: std::collections::BTreeSet<u32> = shards.collect();
        let items: Vec<Item> = events.into_iter().map(Item::Event).collect();
        let mut verdict = Verdict::default();
        for shard in shards {
            self.follow(Judge::new(self.spec.clone())?, shard, &items, &mut verdict);
        }
        Ok(verdict)
    }

    fn follow(&self, judge: Judge, shard: u32, items: &[Item], verdict: &mut Verdict) {
        let (steps, mismatch) = Follower::new(judge, self.nodes, shard, items).run();
        verdict.mismatches.extend(mismatch.map(|mismatch| *mismatch));
        verdict.steps += steps;
    }

    /// A trace as JSON Lines.
    pub fn lines(&self, lines: &str) -> Result<Verdict, String> {
        let events =
            lines.lines().filter(|line| !line.is_empty()).enumerate().map(|(at, line)| {
                trace::json::from_line(line).map_err(|why| format!("line {}: {why}", at + 1))
            });
        self.events(events.collect::<Result<_, _>>()?)
    }

    /// A seed of the simulator.
    pub fn seed(&self, seed: u64, options: &sim::Options) -> Result<Verdict, String> {
        let options = sim::Options { trace: true, nodes: self.nodes, ..options.clone() };
        let report = sim::run(seed, &options);
        let text = String::from_utf8(report.trace).map_err(|why| why.to_string())?;
        self.lines(&text)
    }

    /// A schedule of the lab, up to the step that breaks a promise. A local one has no cluster to be held against.
    pub fn schedule(&self, schedule: &Schedule, on: Mechanisms) -> Result<Verdict, String> {
        let setting = schedule.setting()?;
        let (session, items) = play(&setting, &schedule.steps, on)?;
        let mut judge = Judge::new(self.spec.clone())?;
        if !setting.cold {
            establish(&mut judge, self.nodes, session)?;
        }
        let mut verdict = Verdict::default();
        self.follow(judge, 0, &items, &mut verdict);
        Ok(verdict)
    }
}

/// What came of many seeds.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Seeds that were run.
    pub seeds: u64,
    /// Steps of the specification.
    pub steps: u64,
    /// Seeds with a step that is not allowed, and the first such step.
    pub mismatches: Vec<(u64, Mismatch)>,
}

/// Runs seeds on all cores. `report` is called after each.
pub fn seeds(
    seeds: std::ops::Range<u64>,
    options: &sim::Options,
    report: impl Fn(u64) + Sync,
) -> Result<Summary, String> {
    let checker = Checker::new(options.nodes)?;
    let (next, summary) = (AtomicU64::new(seeds.start), Mutex::new(Ok(Summary::default())));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let verdict = checker.seed(seed, options);
            let mut all = summary.lock().expect("nobody panics with the summary");
            match (&mut *all, verdict) {
                (Ok(all), Ok(verdict)) => {
                    all.seeds += 1;
                    all.steps += verdict.steps;
                    all.mismatches.extend(verdict.mismatches.into_iter().map(|mismatch| (seed, mismatch)));
                    report(all.seeds);
                }
                (all, Err(why)) => *all = Err(format!("seed {seed}: {why}")),
                (Err(_), _) => return,
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        (0..threads).for_each(|_| _ = scope.spawn(work));
    });
    let mut summary = summary.into_inner().expect("nobody panics with the summary")?;
    summary.mismatches.sort_by_key(|(seed, _)| *seed);
    Ok(summary)
}

/// Takes the steps, and notes what happens.
fn play(setting: &Setting, steps: &[String], on: Mechanisms) -> Result<(u64, Vec<Item>), String> {
    let mut stage = Stage::new(setting, on);
    let session = stage.session();
    stage.listen_to_devices();
    let mut items = Vec::new();
    for line in steps {
        let step: Step = line.parse().map_err(|why| format!("`{line}`: {why}"))?;
        // A replica that stops itself goes no further; neither does the schedule.
        let Ok(taken) = lab::caught(|| stage.take(&step)) else { break };
        let Ok(done) = taken else { continue };
        if let [moved] = &done.moved[..] {
            let behind = moved.split(" after entry ").nth(1).and_then(|rest| rest.split(' ').next());
            items.extend(behind.and_then(|seq| seq.parse().ok()).map(Item::Behind));
        }
        for event in done.events {
            let receiver = match (&event.kind, event.id.actor) {
                (Kind::TransferFinished { .. }, Actor::Node { node, .. }) => Some(node),
                _ => None,
            };
            items.extend(receiver.filter(|node| stage.is_half(*node)).map(Item::Half));
            items.push(Item::Event(event));
        }
        match step {
            Step::Crash { at: node, keep } | Step::StandAndCrash { at: node, keep, .. } => {
                items.push(Item::Crash { node, keep });
            }
            Step::Rot { at: node, keep } => items.push(Item::Rot { node, keep }),
            Step::Wipe(node) => items.push(Item::Wipe(node)),
            _ => {}
        }
        if stage.broken().is_some() {
            break;
        }
    }
    Ok((session, items))
}

/// The cluster that a schedule begins with: n1 serves in epoch 1, and a session is open, by the last entry.
fn establish(judge: &mut Judge, nodes: u32, session: u64) -> Result<(), String> {
    let entry = record(&[("epoch", 1i64.into()), ("request", 0i64.into())]);
    let (log, last) = (Value::seq((0..session).map(|_| entry.clone())), Value::from(session));
    let set = |state: &mut Value, name: &str, value: Value| -> Result<(), String> {
        *state = crate::eval::replaced(state, Word::of(name), value)?;
        Ok(())
    };
    let mut replicas = Vec::new();
    for node in 1..=nodes {
        let mut replica = judge.state[0].index(1)?.clone();
        let role = if node == 1 { "primary" } else { "backup" };
        for (name, value) in
            [("promise", Value::Int(1)), ("stored", Value::Int(1)), ("role", Value::str(role))]
        {
            set(&mut replica, name, value)?;
        }
        for name in ["durable", "commit", "applied"] {
            set(&mut replica, name, last.clone())?;
        }
        set(&mut replica, "log", log.clone())?;
        set(&mut replica, "disk", Value::set([log.clone()]))?;
        replicas.push(replica);
    }
    judge.state[0] = Value::seq(replicas);
    let lead = [
        ("by", 1i64.into()),
        ("epoch", 1i64.into()),
        ("log", log.clone()),
        ("commit", last),
        ("round", 0i64.into()),
    ];
    set(&mut judge.state[1], "leads", Value::set([record(&lead)]))?;
    set(&mut judge.state[1], "stands", Value::set([record(&lead[..2])]))?;
    set(&mut judge.state[2], "committed", log)
}
