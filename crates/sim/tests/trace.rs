//! What a trace tells: who did what in whose lane, at one time that all share, and at its end the promise that broke.

use std::collections::{BTreeMap, BTreeSet};

use sim::{Options, Report, Schedule, execute, run, run_many};
use trace::{Actor, Event, EventId, Kind, Mechanism};

fn traced(seed: u64) -> Vec<Event> {
    run(seed, &Options { trace: true, ..Options::default() }).events().expect("its own trace")
}

/// The first of the seeds that breaks a promise without a mechanism, with its trace.
fn broken(mechanism: Mechanism, is: impl Fn(&Report) -> bool) -> (Report, Vec<Event>) {
    let options = Options { without: vec![mechanism], ..Options::default() };
    let seed = (0..200).find(|seed| is(&run(*seed, &options))).expect("a seed that breaks");
    let report = run(seed, &Options { trace: true, ..options });
    let events = report.events().expect("its own trace");
    (report, events)
}

#[test]
fn the_violation_is_the_last_event_and_follows_from_what_was_judged() {
    let cases = [
        (Mechanism::MostCompleteLog, "epochs", "PrimaryElected"),
        (Mechanism::EpochMarker, "reads", "ReadAnswered"),
        (Mechanism::RequestDedup, "sessions", "ReplyReleased"),
        (Mechanism::DurablePromise, "promises", "DeviceOpened"),
    ];
    for (mechanism, checker, cause) in cases {
        let noticed = |report: &Report| report.violation.as_ref().is_some_and(|v| v.checker == checker);
        let (report, events) = broken(mechanism, noticed);
        let (violation, last) = (report.violation.expect("it is broken"), events.last().expect("events"));
        let Kind::PromiseBroken { promise, invariant, what, .. } = &last.kind else { panic!("{last:?}") };
        assert_eq!(
            (promise, invariant, what),
            (
                &violation.promise,
                &violation.invariant,
                &format!("{}; {mechanism} is out", violation.sentence)
            )
        );
        let causes: Vec<_> = events.iter().filter(|event| last.parents.contains(&event.id)).collect();
        assert!(causes.iter().any(|event| event.kind.name() == cause), "{mechanism}: {causes:?}");
        assert_eq!(events.iter().filter(|e| matches!(e.kind, Kind::PromiseBroken { .. })).count(), 1);
    }
}

#[test]
fn a_run_that_ends_in_a_panic_has_its_trace_up_to_there() {
    let panics = |report: &Report| report.violation.as_ref().is_some_and(|v| v.checker == "assertion");
    let (report, events) = broken(Mechanism::NeverOverwriteLive, panics);
    assert!(events.len() > 20 && !report.asks.is_empty(), "{}", events.len());
    let last = events.last().expect("events");
    assert!(matches!(last.kind, Kind::PromiseBroken { .. }), "{last:?}");
    assert_eq!(last.parents.len(), 1, "what was done last: {last:?}");
}

#[test]
fn calls_and_answers_are_in_the_clients_own_lanes_and_gateways_between_them() {
    let events = traced(3);
    let by_id: BTreeMap<EventId, &Event> = events.iter().map(|event| (event.id, event)).collect();
    let mut seen = BTreeSet::new();
    for event in &events {
        let parents: Vec<&Kind> =
            event.parents.iter().filter_map(|id| by_id.get(id)).map(|e| &e.kind).collect();
        match (&event.kind, event.id.actor) {
            (Kind::ClientCalled { .. }, actor) => assert!(matches!(actor, Actor::Client(_)), "{event:?}"),
            (Kind::ClientAnswered { .. }, actor) => {
                assert!(matches!(actor, Actor::Client(_)), "{event:?}");
                let told = |kind: &&Kind| matches!(kind, Kind::RequestEnded { .. } | Kind::Crashed { .. });
                assert!(parents.iter().any(told), "{event:?} because {parents:?}");
                seen.insert(event.id.actor);
            }
            (Kind::CallTaken { .. }, actor) => {
                assert!(matches!(actor, Actor::Gateway(_)), "{event:?}");
                assert!(parents.iter().any(|kind| matches!(kind, Kind::ClientCalled { .. })), "{event:?}");
            }
            _ => {}
        }
    }
    assert_eq!(seen.len(), 4, "each client has a lane: {seen:?}");
}

#[test]
fn a_process_crashes_and_restarts_in_its_own_lane() {
    let (mut crashes, mut restarts, mut gateways) = (0, 0, 0);
    for seed in 0..10 {
        let options = Options { shards: 2, trace: true, ..Options::default() };
        let events = run(seed, &options).events().expect("its own trace");
        let by_id: BTreeMap<EventId, &Event> = events.iter().map(|event| (event.id, event)).collect();
        for event in &events {
            match (&event.kind, event.id.actor) {
                (Kind::Crashed { .. }, Actor::Node { .. } | Actor::Gateway(_)) => crashes += 1,
                (Kind::Restarted {}, Actor::Node { .. } | Actor::Gateway(_)) => {
                    let before = event.parents.iter().filter_map(|id| by_id.get(id));
                    let own = |parent: &&&Event| parent.id.actor == event.id.actor;
                    let crash = |parent: &Event| matches!(parent.kind, Kind::Crashed { .. });
                    assert!(before.filter(own).any(|parent| crash(parent)), "{event:?}");
                    restarts += 1;
                    gateways += usize::from(matches!(event.id.actor, Actor::Gateway(_)));
                }
                (Kind::Crashed { .. } | Kind::Restarted {}, actor) => {
                    panic!("{actor} is no process: {event:?}")
                }
                _ => {}
            }
        }
    }
    assert!(crashes >= restarts && restarts > 50 && gateways > 0, "{crashes}, {restarts}, {gateways}");
}

#[test]
fn one_time_is_shared_by_all_beside_each_ones_own_clock() {
    let events = traced(7);
    let shared: Vec<u64> = events.iter().map(|event| event.wall.expect("each has it")).collect();
    assert!(shared.is_sorted(), "what happens later is told later");
    assert_eq!(
        events.iter().map(|event| event.id).collect::<BTreeSet<_>>().len(),
        events.len(),
        "ids are unique"
    );
    let differs = events.iter().filter(|event| event.wall != Some(event.logical)).count();
    assert!(differs > events.len() / 2, "clocks of processes begin anywhere");
}

/// Of a message that is lost and was not doubled nothing is heard, and the lanes of its journey are real ones.
#[test]
fn lost_messages_are_lost_between_lanes_that_exist() {
    let mut lost = 0;
    for seed in 0..20 {
        let options = Options { trace: true, ..Options::default() };
        let mut schedule = Schedule::generate(seed, &options);
        (schedule.weather.duplication, schedule.weather.misdelivery) = (0, 0);
        let events = execute(&schedule, &options).events().expect("its own trace");
        let lanes: BTreeSet<String> = events.iter().map(|event| event.id.actor.to_string()).collect();
        for event in &events {
            let Kind::MessageLost { from, to, .. } = &event.kind else { continue };
            lost += 1;
            assert!(lanes.contains(from), "{from} of {lanes:?}");
            // Somebody who never came up has no lane.
            let Ok(to) = to.parse::<Actor>() else { panic!("{to}") };
            let Some(parent) = event.parents.first() else { continue };
            let sent = events.iter().find(|event| event.id == *parent).expect("it was sent");
            // Of what is said to several at once, one may arrive and one be lost.
            if matches!(
                sent.kind,
                Kind::EntriesSent { .. } | Kind::MatchAcknowledged { .. } | Kind::PromiseGranted { .. }
            ) {
                let heard = events.iter().find(|e| e.id.actor == to && e.parents.contains(parent));
                assert!(heard.is_none(), "seed {seed}: {event:?} was heard of in {heard:?}");
            }
        }
    }
    assert!(lost > 500, "{lost}");
}

#[test]
fn every_fault_is_told_in_the_words_of_its_schedule() {
    let options = Options { trace: true, ..Options::default() };
    let mut told = 0;
    for seed in 0..10 {
        let schedule = Schedule::generate(seed, &options);
        let events = execute(&schedule, &options).events().expect("its own trace");
        for step in &schedule.steps {
            let words = step.fault.to_string();
            let injected = |event: &&Event| {
                event.wall == Some(step.at) && event.kind == Kind::FaultInjected { what: words.clone() }
            };
            assert_eq!(events.iter().filter(injected).count(), 1, "seed {seed}: {words}");
            told += 1;
        }
    }
    assert!(told > 60);
    assert!(run_many(0..1, &options, |_| ()).first.is_none());
}
