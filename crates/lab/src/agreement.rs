//! The checker's model of a node is held against the real one: what `check` finds out about the model is true of what runs.

use std::path::Path;

use extensions::Name;
use sim::rng::Rng;
use trace::Mechanisms;

use crate::check::cluster::Model;
use crate::cluster::nodes::Nodes;
use crate::cluster::stage::Cluster;
use crate::cluster::{Goal, Setting};
use crate::machine::{Machine, TimeMachine};
use crate::schedule::Schedule;
use crate::why::registry;

/// What clients learned at each step, and what broke.
#[derive(Debug, PartialEq)]
struct Outcome {
    client: Vec<(String, Vec<String>)>,
    broken: Option<String>,
}

fn outcome<C: Cluster>(schedule: &Schedule, on: Mechanisms) -> Outcome {
    let mut machine = TimeMachine::<C>::new(schedule, on).expect("the schedule can be played");
    machine.run_out();
    machine.settle();
    let play = machine.play();
    let told = play.acts.into_iter().filter(|act| !act.client.is_empty());
    // The model knows that a state is half, not which half: so the promise counts, not the entry.
    let promise = play.broken.map(|broken| broken.split(':').next().unwrap_or_default().to_string());
    let broken = promise.or(play.stopped.map(|_| "stopped".into()));
    Outcome { client: told.map(|act| (act.step, act.client)).collect(), broken }
}

fn agree(name: &str, schedule: &Schedule, on: Mechanisms) {
    let (model, real) = (outcome::<Model>(schedule, on), outcome::<Nodes>(schedule, on));
    assert_eq!(model, real, "{name}: the model (left) and real nodes (right) differ");
}

#[test]
fn every_counterexample_goes_the_same_on_the_model_and_on_real_nodes() {
    for entry in registry::entries() {
        let Some(text) = entry.counterexample else { continue };
        let schedule: Schedule = text.parse().expect("a stored schedule");
        // The model has no devices for `gc` to work on, and does not judge service.
        let other = |setting: Setting| setting.with.has(Name::Gc) || setting.goal == Goal::Service;
        if !schedule.is_local() && !schedule.setting().is_ok_and(other) {
            agree(entry.mechanism.id(), &schedule, Mechanisms::all());
            agree(entry.mechanism.id(), &schedule, Mechanisms::all().without(entry.mechanism));
        }
    }
}

#[test]
fn every_story_goes_the_same_on_the_model_and_on_real_nodes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../stories");
    for entry in std::fs::read_dir(folder).expect("the stories") {
        let path = entry.expect("a story").path();
        let text = std::fs::read_to_string(&path).expect("a story");
        let schedule: Schedule = text.parse().expect("a story is a schedule");
        if !schedule.is_local() && !schedule.setting().expect("a cluster").with.has(Name::Gc) {
            agree(&path.display().to_string(), &schedule, Mechanisms::all());
        }
    }
}

/// Random steps of everything that is possible; at each of them model and nodes also look the same.
#[test]
fn random_schedules_go_the_same_on_the_model_and_on_real_nodes() {
    for seed in 0..150 {
        let mut rng = Rng::stream(seed, "agreement", 0);
        let nodes = if rng.chance(250_000) { 5 } else { 3 };
        let with = ["", "", "> with elections\n", "> with membership\n", "> with elections,membership\n"];
        let with = *rng.pick(&with);
        let more = with.contains("membership") && rng.chance(500_000);
        let (joining, founders) = (u32::from(more), format!("> founders {nodes}\n"));
        let text = format!(
            "> cluster {}{}\n{with}{}",
            nodes + joining,
            if rng.chance(200_000) { " cold" } else { "" },
            if more { &founders } else { "" },
        );
        let begin: Schedule = text.parse().expect("a setting");
        let mut real = Machine::new(&begin, Mechanisms::all()).expect("a cluster");
        let mut model = TimeMachine::<Model>::new(&begin, Mechanisms::all()).expect("a cluster");
        for _ in 0..60 {
            let mut steps = real.steps();
            // Cut links say nothing of nodes, and a wipe of more than one loses what nobody could keep.
            steps.retain(|step| !step.starts_with("cut") && !step.starts_with("heal"));
            if real.acts().iter().any(|act| act.step.starts_with("wipe")) {
                steps.retain(|step| !step.starts_with("wipe"));
            }
            let mut node = || rng.between(1, u64::from(nodes + joining));
            // An extension may wish for anything at any time, and a client for any change of the members.
            steps.push(format!("wish n{} stand above {}", node(), node()));
            steps.push(format!("wish n{} step-down", node()));
            steps.push(format!("pass {}", node() * 3));
            if with.contains("membership") {
                steps.push(format!("add n{} at n{}", node(), node()));
                steps.push(format!("remove n{} at n{}", node(), node()));
            }
            let step = rng.pick(&steps).clone();
            let told = real.take(&step).map(|act| (act.client.clone(), act.state.clone()));
            let same = model.take(&step).map(|act| (act.client.clone(), act.state.clone()));
            assert_eq!(
                same,
                told,
                "seed {seed}, after\n{}the model (left) and real nodes (right) differ",
                real.schedule()
            );
            assert_eq!(real.broken(), None, "seed {seed}:\n{}", real.schedule());
        }
    }
}
