//! Where traces come from: files, seeds of the simulator, schedules of the lab.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use lab::facts::NodeState;
use lab::{Facts, Machine, Schedule};
use trace::mechanism::Room;
use trace::{Actor, Event, EventId, Kind, Mechanism, Mechanisms};

use crate::eval::Spec;
use crate::follow::{Follower, Run};
use crate::judge::{Judge, Mismatch, cutaway, cutaway_without, record};
use crate::value::{Value, Word};

/// What came of holding a trace against the specification.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Steps of the specification.
    pub steps: u64,
    /// The first step of each shard that is not allowed.
    pub mismatches: Vec<Mismatch>,
    /// Which actions the steps were.
    pub actions: BTreeSet<String>,
    /// The first invariant that a state does not satisfy, and after how many steps, where that was asked.
    pub violated: Option<(&'static str, u64)>,
}

/// The counterexample of a mechanism that the specification is about: of a cluster, and not of an extension.
pub fn of_the_core(mechanism: Mechanism) -> Option<Schedule> {
    let text = lab::why::registry::entry(mechanism).counterexample?;
    let schedule: Schedule = text.parse().ok()?;
    (mechanism.room() == Room::Cluster && !schedule.is_local()).then_some(schedule)
}

/// The counterexample of a mechanism, played without it: the first step that is not allowed. `None`: there is no schedule of
/// a cluster, or every step is.
pub fn necessity(mechanism: Mechanism) -> Result<Option<Mismatch>, String> {
    let Some(schedule) = of_the_core(mechanism) else { return Ok(None) };
    let verdict = Checker::new(schedule.setting()?.nodes)?.schedule(&schedule, lab::without([&mechanism]))?;
    Ok(verdict.mismatches.into_iter().next())
}

/// The same run, held against the specification without the clause of that name: what it allows, and which invariant then
/// does not hold.
pub fn without(mechanism: Mechanism) -> Result<Option<Verdict>, String> {
    let Some(schedule) = of_the_core(mechanism) else { return Ok(None) };
    let nodes = schedule.setting()?.nodes;
    let checker = Checker { nodes, spec: Arc::new(cutaway_without(nodes, &[mechanism])?), watches: true };
    checker.schedule(&schedule, lab::without([&mechanism])).map(Some)
}

/// Holds whole runs, from the first event on, against the specification.
pub struct Checker {
    nodes: u32,
    spec: Arc<Spec>,
    watches: bool,
}

impl Checker {
    /// For shards with so many replicas.
    pub fn new(nodes: u32) -> Result<Checker, String> {
        Ok(Checker { nodes, spec: Arc::new(cutaway(nodes)?), watches: false })
    }

    /// The events of a cluster, all of them, in an order in which causes come first.
    pub fn events(&self, events: Vec<Event>) -> Result<Verdict, String> {
        let events: Arc<[Event]> = events.into();
        let shards: BTreeSet<u32> = events.iter().filter_map(|event| shard_of(event.id.actor)).collect();
        let mut verdict = Verdict::default();
        for shard in shards {
            let run = Run { shard, nodes: self.nodes, ..Run::of(events.clone()) };
            self.follow(Judge::new(self.spec.clone())?, run, &mut verdict);
        }
        Ok(verdict)
    }

    fn follow(&self, mut judge: Judge, run: Run, verdict: &mut Verdict) {
        judge.watches = self.watches;
        let (judge, mismatch) = Follower::new(judge, run).run();
        verdict.mismatches.extend(mismatch.map(|mismatch| *mismatch));
        verdict.steps += judge.steps;
        verdict.actions.extend(judge.actions);
        verdict.violated = verdict.violated.or(judge.violated);
    }

    /// Traces of all processes of a cluster, or one of the whole, in any order.
    pub fn traces(&self, traces: Vec<Vec<Event>>) -> Result<Verdict, String> {
        self.events(trace::merge::merged(traces))
    }

    /// A seed of the simulator.
    pub fn seed(&self, seed: u64, options: &sim::Options) -> Result<Verdict, String> {
        let options = sim::Options { trace: true, nodes: self.nodes, ..options.clone() };
        let report = sim::run(seed, &options);
        let text = String::from_utf8(report.trace).map_err(|why| why.to_string())?;
        self.events(trace::json::read(&text)?)
    }

    /// A schedule of the lab, up to the step that breaks a promise. A local one has no cluster to be held against.
    pub fn schedule(&self, schedule: &Schedule, on: Mechanisms) -> Result<Verdict, String> {
        let played = play(schedule, on)?;
        let mut judge = Judge::new(self.spec.clone())?;
        establish(&mut judge, &played.begin)?;
        let generation = |node: &NodeState| {
            node.disk.superblocks.iter().flatten().map(|slot| slot.generation).max().unwrap_or(0)
        };
        let run = Run {
            nodes: self.nodes,
            generations: played.begin.iter().map(generation).collect(),
            partial: played.partial,
            ..Run::of(played.events.into())
        };
        let mut verdict = Verdict::default();
        self.follow(judge, run, &mut verdict);
        for mismatch in &mut verdict.mismatches {
            mismatch.step = played.steps.get(mismatch.at).cloned();
        }
        Ok(verdict)
    }
}

fn shard_of(actor: Actor) -> Option<u32> {
    if let Actor::Node { shard, .. } = actor { Some(shard) } else { None }
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

/// A schedule that was played, up to the step that breaks a promise.
struct Played {
    begin: Vec<NodeState>,
    events: Vec<Event>,
    /// Which step of the schedule each event is of.
    steps: Vec<String>,
    /// Transfers after which the receiver had only a part of the state. No event tells that: the rules take it for whole.
    partial: BTreeSet<EventId>,
}

fn nodes_of(machine: &Machine) -> Result<Vec<NodeState>, String> {
    match machine.state() {
        Facts::Cluster(state) => Ok(state.nodes),
        Facts::Device(_) => Err("a schedule of a device, and not of a cluster".to_string()),
    }
}

fn play(schedule: &Schedule, on: Mechanisms) -> Result<Played, String> {
    let mut machine = Machine::new(schedule, on)?;
    let mut played = Played {
        begin: nodes_of(&machine)?,
        events: Vec::new(),
        steps: Vec::new(),
        partial: BTreeSet::new(),
    };
    while machine.broken().is_none() {
        let number = machine.at() + 1;
        let Some(act) = machine.advance() else { break };
        let (step, events) = (format!("{number}: {}", act.step), act.events.clone());
        let after = nodes_of(&machine)?;
        for event in events {
            if is_partial(&event, &after) {
                played.partial.insert(event.id);
            }
            played.events.push(event);
            played.steps.push(step.clone());
        }
    }
    Ok(played)
}

/// Has the replica whose transfer is finished fewer keys than the primary that sent it the state?
fn is_partial(event: &Event, after: &[NodeState]) -> bool {
    let (Kind::TransferFinished { from, seq, .. }, Actor::Node { node, .. }) = (&event.kind, event.id.actor)
    else {
        return false;
    };
    let keys = |node: u32| after.get(node as usize - 1).map_or(&[][..], |node| &node.keys);
    let has = |(key, version, _): &(String, u64, String)| {
        keys(node).iter().any(|(other, is, _)| other == key && is >= version)
    };
    keys(*from).iter().any(|key| key.1 <= *seq && !has(key))
}

/// The cluster that a schedule begins with: what was said before is over, and all that is in a log is durable.
fn establish(judge: &mut Judge, begin: &[NodeState]) -> Result<(), String> {
    let mut replicas = Vec::new();
    let mut committed = Value::seq([]);
    for node in begin {
        let log = Value::seq(node.log.iter().map(|cell| entry(cell.epoch)));
        let last = node.log.last().map_or(0, |cell| cell.epoch);
        let tail = record(&[("epoch", last.into()), ("seq", (node.log.len() as u64).into())]);
        let mut replica = judge.state[0].index(1)?.clone();
        for (name, value) in [
            ("promise", node.promised.into()),
            ("stored", node.promised.into()),
            ("role", Value::str(node.role)),
            ("proven", node.proven.into()),
            ("log", log.clone()),
            ("disk", Value::set([log.clone()])),
            ("durable", node.durable.into()),
            ("commit", node.committed.into()),
            ("applied", node.applied.into()),
            ("base", node.base.into()),
            ("reported", tail),
        ] {
            set(&mut replica, name, value)?;
        }
        replicas.push(replica);
        if committed.items()?.len() < node.committed as usize {
            committed = log;
        }
    }
    judge.state[0] = Value::seq(replicas);
    let primary = begin.iter().zip(1i64..).find(|(node, _)| node.role == "primary");
    if let Some((node, by)) = primary {
        let lead = [
            ("by", by.into()),
            ("epoch", node.promised.into()),
            ("log", judge.state[0].index(by)?.at("log")?.clone()),
            ("commit", node.committed.into()),
            ("round", 0i64.into()),
        ];
        set(&mut judge.state[1], "leads", Value::set([record(&lead)]))?;
        set(&mut judge.state[1], "stands", Value::set([record(&lead[..2])]))?;
    }
    set(&mut judge.state[2], "committed", committed)
}

/// A marker, or the opening of a session.
fn entry(epoch: u64) -> Value {
    record(&[("epoch", epoch.into()), ("request", 0i64.into())])
}

fn set(state: &mut Value, name: &str, value: Value) -> Result<(), String> {
    *state = crate::eval::replaced(state, Word::of(name), value)?;
    Ok(())
}
