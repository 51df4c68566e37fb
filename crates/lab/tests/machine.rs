//! The time machine: forward, back, branches; and what it says of a step that is not possible.

use std::path::Path;

use lab::why::registry;
use lab::{Facts, Machine, Schedule};
use sim::rng::Rng;
use trace::{Mechanism, Mechanisms};

fn machine(text: &str) -> Machine {
    Machine::new(&text.parse().expect("a schedule"), Mechanisms::all()).expect("a cluster")
}

/// Every schedule of the repository, with a mechanism that may be out.
fn all() -> Vec<(String, Schedule, Option<Mechanism>)> {
    let stories = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../stories");
    let stories = std::fs::read_dir(stories).unwrap().map(|entry| entry.unwrap().path()).map(|path| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path.display().to_string(), text.parse().unwrap(), None)
    });
    let schedules = registry::entries().filter_map(|entry| {
        let schedule = entry.counterexample?.parse().unwrap();
        Some((entry.mechanism.id().to_string(), schedule, Some(entry.mechanism)))
    });
    schedules.chain(stories).collect()
}

/// To the end, noting each state; then back, and each is as it was.
fn forth_and_back(name: &str, mut machine: Machine) {
    machine.goto(0);
    let mut hashes = vec![machine.hash()];
    while machine.advance().is_some() {
        hashes.push(machine.hash());
    }
    while machine.back() {
        assert_eq!(machine.hash(), hashes[machine.at()], "{name}: back at step {}", machine.at());
    }
    assert_eq!(machine.at(), 0);
    machine.goto(hashes.len() - 1);
    assert_eq!(Some(&machine.hash()), hashes.last(), "{name}: at the end again");
}

#[test]
fn every_schedule_goes_forth_and_back_to_the_same_states() {
    for (name, schedule, off) in all() {
        let on = off.map_or(Mechanisms::all(), |off| Mechanisms::all().without(off));
        forth_and_back(&name, Machine::new(&schedule, on).unwrap());
        forth_and_back(&name, Machine::new(&schedule, Mechanisms::all()).unwrap());
    }
}

/// A walk over steps that are possible, chosen by the seed.
fn walk(seed: u64, steps: usize) -> Machine {
    let mut rng = Rng::stream(seed, "walk", 0);
    let gateways = if rng.chance(500_000) { "> gateways 2\n" } else { "" };
    let cold = if rng.chance(200_000) { " cold" } else { "" };
    let mut machine = machine(&format!("> cluster 3{cold}\n{gateways}"));
    for _ in 0..steps {
        let possible = machine.steps();
        let step = rng.pick(&possible).clone();
        machine.take(&step).unwrap_or_else(|why| panic!("seed {seed}, `{step}`: {why}"));
    }
    machine
}

#[test]
fn a_thousand_random_walks_go_forth_and_back_to_the_same_states() {
    for seed in 0..1_000 {
        let walked = walk(seed, 16);
        let (end, schedule) = (walked.hash(), walked.schedule());
        let mut again = Machine::new(&schedule, Mechanisms::all()).unwrap();
        while again.advance().is_some() {}
        assert_eq!(again.hash(), end, "seed {seed}: the schedule as text gives the same\n{schedule}");
        forth_and_back(&format!("seed {seed}"), again);
    }
}

#[test]
fn whatever_is_listed_as_possible_is() {
    for seed in 0..40 {
        let mut walked = walk(seed, 12);
        let begin = walked.schedule();
        for step in walked.steps() {
            let mut machine = Machine::new(&begin, Mechanisms::all()).unwrap();
            machine.goto(begin.steps.len());
            machine.take(&step).unwrap_or_else(|why| panic!("seed {seed}, `{step}`: {why}\n{begin}"));
        }
    }
}

#[test]
fn another_step_than_the_planned_one_begins_a_branch() {
    let mut machine = machine("> cluster 3\n> write 1 to n1\n> sync n1\n> deliver n1 n2\n");
    machine.advance();
    machine.take("crash n1 keep 0").unwrap();
    assert_eq!(machine.schedule().steps, ["write 1 to n1", "crash n1 keep 0"]);
    assert_eq!(machine.branches(), [["write 1 to n1", "sync n1", "deliver n1 n2"]]);
    assert!(machine.branch(0));
    assert_eq!((machine.at(), machine.ahead().len()), (1, 2), "at the place where they part");
    assert_eq!(machine.branches(), [["write 1 to n1", "crash n1 keep 0"]]);
    assert!(!machine.branch(7));
    // The planned step is no branch.
    machine.take("sync n1").unwrap();
    assert_eq!(machine.branches().len(), 1);
}

#[test]
fn a_step_that_is_not_possible_says_why_and_changes_nothing() {
    let mut machine = machine("> cluster 3\n> takeover n2\n> deliver n2 n3\n");
    machine.goto(2);
    let before = (machine.hash(), machine.schedule());
    let mut refused = |step: &str| machine.take(step).map(|act| act.words.clone()).unwrap_err();
    assert_eq!(
        refused("deliver n3 n1 Promised"),
        "no Promised is on its way from n3 to n1; on its way from n3: Promised to n2"
    );
    assert_eq!(refused("deliver n1 n9"), "there is no n9");
    assert_eq!(refused("crash n3 keep 2"), "n3 has 0 unsynced records");
    assert_eq!(
        refused("crash n3"),
        "the line ends too early; what can: `keep` (`crash nX keep K` or `crash gX`)"
    );
    assert_eq!(
        refused("deliver n3 x2"),
        "`x2` cannot stand there; what can: n1 to n9, or g1 to g9 (`deliver nX nY [NAME [I]]`)"
    );
    assert!(
        refused("delver n3 n2")
            .starts_with("`delver` is no step; did you mean deliver? There are: put, get, ")
    );
    assert_eq!(refused("put k v via g1"), "there is no gateway; a setting `gateways 1` makes one");
    assert_eq!((machine.hash(), machine.schedule()), before);
}

#[test]
fn a_message_that_waits_for_a_sync_is_not_on_its_way() {
    let mut machine = machine("> cluster 3\n> write 1 to n1\n> deliver n1 n2\n");
    machine.goto(2);
    let why = machine.take("deliver n2 n1 PrepareOk").map(|_| ()).unwrap_err();
    assert_eq!(why, "no PrepareOk is on its way from n2 to n1: it is held back until n2's sync");
    machine.take("sync n2").unwrap();
    machine.take("deliver n2 n1 PrepareOk").unwrap();
}

#[test]
fn clients_of_real_gateways_get_their_answers() {
    let mut machine = machine("> cluster 3\n> gateways 1\n");
    for step in [
        "calm",
        "put a 1 via g1",
        "calm",
        "get a via g1",
        "calm",
        "delete a via g1",
        "calm",
        "get a via g1",
        "calm",
    ] {
        machine.take(step).unwrap();
    }
    let told: Vec<&String> = machine.acts().iter().flat_map(|act| &act.client).collect();
    assert!(told[0].starts_with("put a 1 via g1: written as version "), "{told:?}");
    assert!(told[1].starts_with("get a via g1: 1, version "), "{told:?}");
    assert!(told[2].starts_with("delete a via g1: "), "{told:?}");
    assert_eq!(told[3], "get a via g1: there is no such key");
    assert!(machine.verdict().iter().all(|promise| promise.broken.is_none()));
}

#[test]
fn a_gateway_that_hears_nothing_of_the_primary_has_another_one_elected() {
    let mut machine = machine("> cluster 3\n> gateways 1\n> calm\n> put a 1 via g1\n> calm\n");
    machine.goto(3);
    for link in ["g1 n1", "n1 n2", "n1 n3"] {
        machine.take(&format!("cut {link}")).unwrap();
    }
    machine.take("put a 2 via g1").unwrap();
    for _ in 0..40 {
        machine.take("tick g1").unwrap();
        machine.take("calm").unwrap();
    }
    let Facts::Cluster(state) = machine.state() else { panic!("a cluster") };
    let serving: Vec<&str> =
        state.nodes.iter().filter(|node| node.serving && node.promised > 1).map(|node| &*node.name).collect();
    assert_eq!(serving.len(), 1, "{state:#?}");
    let told: Vec<&String> = machine.acts().iter().flat_map(|act| &act.client).collect();
    assert!(told.iter().any(|line| line.starts_with("put a 2 via g1: written as version ")), "{told:?}");
    assert_eq!(machine.broken(), None);
}

#[test]
fn a_device_says_what_can_come_next_and_what_a_crash_cut_off() {
    let mut machine =
        machine("> device a device just formatted\n> open\n> put a new key, and sync\n> cut 1\n");
    machine.goto(2);
    let act = &machine.acts()[1];
    assert!(act.words.contains("cut off after the data; not done: the log and the sync"), "{}", act.words);
    assert_eq!(act.client, [] as [String; 0], "nobody was told how it ended");
    assert!(!act.events.iter().any(|event| event.kind.name() == "DeviceSynced"), "{:?}", act.events);
    let possible = machine.steps();
    assert!(possible.iter().any(|step| step.starts_with("cut 1")), "{possible:?}");
    forth_and_back("a device", machine);
}
