//! Traces that are followed while they grow: the same verdict as over the whole, within bounded memory.

use sim::schedule::{Bounds, Death, Fault, Load, Schedule, Step, Weather};
use sim::{Options, execute};
use spec::{Checker, Found, Live, QUIET};
use trace::json::read;
use trace::{Actor, Event, Kind};

fn trace(seed: u64, options: &Options) -> Vec<Event> {
    events(sim::run(seed, &Options { trace: true, ..options.clone() }))
}

fn events(report: sim::Report) -> Vec<Event> {
    assert_eq!(report.violation, None);
    read(&String::from_utf8(report.trace).unwrap()).unwrap()
}

/// As `up --trace` would write it: a file of each node, read in pieces of which none knows of the others.
fn followed(events: &[Event], nodes: u32) -> (Live, Vec<Found>) {
    let mut live = Live::new(nodes).unwrap();
    let mut found = Vec::new();
    for (piece, events) in events.chunks(300).enumerate() {
        for node in (1..=nodes).map(|n| (n + piece as u32) % nodes + 1) {
            let own =
                events.iter().filter(|e| matches!(e.id.actor, Actor::Node { node: n, .. } if n == node));
            own.for_each(|event| live.hear(node as usize - 1, event.clone(), 0));
            found.extend(live.follow(0, false).unwrap());
        }
    }
    found.extend(live.follow(0, true).unwrap());
    (live, found)
}

#[test]
fn what_is_allowed_over_the_whole_is_allowed_piece_by_piece() {
    for seed in 0..5 {
        let events = trace(seed, &Options::default());
        let (live, found) = followed(&events, 3);
        assert!(found.is_empty(), "seed {seed}: {}", found[0].mismatch);
        let whole = Checker::new(3).unwrap().events(events).unwrap();
        assert_eq!(live.steps(), whole.steps, "seed {seed}");
    }
}

#[test]
fn entries_that_all_have_applied_are_left_behind_and_a_false_step_behind_them_is_told() {
    let long = Options { operations: 1800, clients: 4, ..Options::default() };
    let mut events = trace(1, &long);
    let (live, found) = followed(&events, 3);
    assert!(found.is_empty(), "{}", found[0].mismatch);
    assert_eq!(live.over().next(), None);
    let behind = live.behind(0);
    assert!(behind > 500, "only {behind} entries were left behind");
    // A replica says that it has applied an entry before its turn, long after that.
    let late = |event: &&mut Event| matches!(event.kind, Kind::EntryApplied { seq, .. } if seq > behind + 70);
    let event = events.iter_mut().find(late).expect("an entry is applied");
    let Kind::EntryApplied { applied_before, .. } = &mut event.kind else { unreachable!() };
    *applied_before -= 1;
    let forged = event.clone();
    let (live, found) = followed(&events, 3);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].mismatch.event, forged);
    assert!(found[0].events.contains(&forged), "the events around it are kept");
    assert!(found[0].mismatch.why.contains("applied"), "{}", found[0].mismatch);
    assert_eq!(live.over().count(), 1, "the shard is followed no longer");
}

/// How many steps are taken before the traces end, and with their end.
fn before_and_after_the_end(events: &[Event]) -> (u64, u64) {
    let mut live = Live::new(3).unwrap();
    for event in events {
        let Actor::Node { node, .. } = event.id.actor else { continue };
        live.hear(node as usize - 1, event.clone(), 0);
    }
    // Twice: a trace that has just been used up is read again.
    let mut steps = [0; 2];
    for end in [false, false, true] {
        let found = live.follow(10 * QUIET, end).unwrap();
        assert!(found.is_empty(), "{}", found[0].mismatch);
        steps[usize::from(end)] = live.steps();
    }
    (steps[0], steps[1])
}

#[test]
fn a_node_that_dies_in_the_midst_of_a_step_holds_nobody_up() {
    const DIES_AT: u64 = 400_000;
    let options = Options { operations: 1500, clients: 4, trace: true, ..Options::default() };
    let load = Load { operations: options.operations, think_max: 1_000, ..Load::usual() };
    // Whoever leads is one of them; the others are backups.
    for node in 1..=3 {
        let fault = Fault::CrashAtIo { node, shard: 0, death: Death::Kill, ios: 3, down: 600_000_000 };
        let steps = vec![Step { at: DIES_AT, fault }];
        let (weather, bounds, load) = (Weather::fair(), Bounds::usual(), load.clone());
        let schedule = Schedule { seed: 1, bounds, weather, load, asks: None, steps, heal_at: 600_000_000 };
        let mut events = events(execute(&schedule, &options));
        events.retain(|event| event.wall.is_some_and(|wall| wall < DIES_AT + 20_000_000));
        // A kill may come between any two events of which nobody else has heard.
        let its = |event: &Event| matches!(event.id.actor, Actor::Node { node: n, .. } if n == node);
        for lost in 0.. {
            let (before, after) = before_and_after_the_end(&events);
            // All but the step that is half told.
            let waits = after - before;
            assert!(waits <= 1, "n{node} dies {lost} events earlier: {waits} steps wait for the end");
            let last = events.iter().rposition(its).unwrap();
            if events.iter().any(|event| event.parents.contains(&events[last].id)) {
                break;
            }
            events.remove(last);
        }
    }
}
