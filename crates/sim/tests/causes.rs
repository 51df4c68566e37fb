//! What each event is said to follow from is what it really follows from.

use std::collections::BTreeMap;

use sim::{Options, Schedule, execute, run};
use trace::{Actor, Event, EventId, Kind};

type Events = BTreeMap<EventId, Event>;

fn events(trace: &[u8]) -> Events {
    let text = std::str::from_utf8(trace).expect("a trace is text");
    let event = |line| trace::json::from_line(line).expect("a line is an event");
    text.lines().map(event).map(|event: Event| (event.id, event)).collect()
}

/// The first event on the way back from `from` that is of the kind looked for; all on the way are of the same actor or
/// named as the sending of what came.
fn cause<'a>(events: &'a Events, from: &Event, what: &str, is: impl Fn(&Kind) -> bool) -> &'a Event {
    let found = from.parents.iter().filter_map(|id| events.get(id)).find(|event| is(&event.kind));
    let parents: Vec<_> = from.parents.iter().filter_map(|id| events.get(id)).map(Event::sentence).collect();
    found.unwrap_or_else(|| panic!("`{}` follows from {what}, not from {parents:?}", from.sentence()))
}

fn node(event: &Event) -> u32 {
    match event.id.actor {
        Actor::Node { node, .. } => node,
        other => panic!("{other} is no node"),
    }
}

/// Whom an event says something to.
fn told(kind: &Kind) -> Option<u32> {
    match kind {
        Kind::EntriesSent { to, .. }
        | Kind::HeartbeatSent { to, .. }
        | Kind::MatchAcknowledged { to, .. }
        | Kind::PromiseGranted { to, .. }
        | Kind::PromiseRefused { to, .. }
        | Kind::EpochConfirmed { to, .. }
        | Kind::TransferChunkSent { to, .. }
        | Kind::VoteWithheld { to } => Some(*to),
        _ => None,
    }
}

/// put → append on the primary → sent to a backup → append there → durable there → acknowledged → counted → committed →
/// applied → answered → reply to the client.
#[test]
fn every_link_of_a_put_is_told_as_it_was() {
    let options = Options { trace: true, ..Options::default() };
    let mut schedule = Schedule::generate(3, &options);
    schedule.steps.clear();
    let events = events(&execute(&schedule, &options).trace);
    let ended = |event: &&Event| match &event.kind {
        Kind::RequestEnded { request, reply, .. } => {
            request.starts_with("put") && reply.starts_with("written")
        }
        _ => false,
    };
    let puts = events.values().filter(ended);
    let counted = puts.filter(|end| follow_back(&events, end)).count();
    assert!(counted > 20, "{counted} puts were committed by the acknowledgement of a backup");
}

/// From a client's reply back to its call; true if a backup's acknowledgement committed the write, false if the primary's
/// own sync did.
fn follow_back(events: &Events, end: &Event) -> bool {
    let Kind::RequestEnded { call: token, .. } = end.kind else { panic!("{end:?}") };
    cause(events, end, "the call", |kind| matches!(kind, Kind::CallTaken { call, .. } if *call == token));
    let released = cause(events, end, "the answer", |kind| matches!(kind, Kind::ReplyReleased { .. }));
    let repeated =
        |id| events.get(id).is_some_and(|e: &Event| matches!(e.kind, Kind::RequestReceived { .. }));
    if released.parents.iter().any(repeated) {
        // It was applied before, and its result remembered.
        return false;
    }
    let applied = cause(events, released, "the applying", |kind| matches!(kind, Kind::EntryApplied { .. }));
    let Kind::EntryApplied { seq, .. } = applied.kind else { panic!("{applied:?}") };
    let has = |from: u64, upto: u64| (from..=upto).contains(&seq);
    let committed = cause(
        events,
        applied,
        "the commit",
        |kind| matches!(kind, Kind::CommitAdvanced { from, to, .. } if has(from + 1, *to)),
    );
    let appended = |kind: &Kind| matches!(kind, Kind::EntryAppended { seq: s, .. } if *s == seq);
    let is_append_of = |on: u32| {
        let mut all = events.values().filter(|event| appended(&event.kind));
        all.find(|event| node(event) == on).expect("it was appended before it was committed")
    };
    let primary = node(released);
    let own = is_append_of(primary);
    let received = cause(events, own, "the request", |kind| matches!(kind, Kind::RequestReceived { .. }));
    let routed = cause(events, received, "its sending", |kind| {
        matches!(kind, Kind::RequestRouted { .. } | Kind::RequestRetried { .. })
    });
    cause(events, routed, "the call", |kind| matches!(kind, Kind::CallTaken { call, .. } if *call == token));

    let by_ack = committed.parents.iter().filter_map(|id| events.get(id));
    let Some(counted) = by_ack.clone().find(|event| matches!(event.kind, Kind::AckCounted { .. })) else {
        cause(events, committed, "the primary's sync", |kind| matches!(kind, Kind::DeviceSynced { .. }));
        return false;
    };
    let Kind::AckCounted { from: backup, .. } = counted.kind else { panic!("{counted:?}") };
    let acknowledged = cause(
        events,
        counted,
        "the acknowledgement",
        |kind| matches!(kind, Kind::MatchAcknowledged { to, upto, .. } if *to == primary && *upto >= seq),
    );
    assert_eq!(node(acknowledged), backup);
    let last = cause(
        events,
        acknowledged,
        "the append of what it acknowledges",
        |kind| matches!(kind, Kind::EntryAppended { seq: s, .. } if *s >= seq),
    );
    let synced = cause(events, acknowledged, "the sync", |kind| matches!(kind, Kind::DeviceSynced { .. }));
    assert!(synced.parents.contains(&last.id), "the sync was for what was appended");
    let theirs = is_append_of(backup);
    assert!(synced.parents.contains(&theirs.id), "{:?}", synced.parents);
    let sent = cause(
        events,
        theirs,
        "the sending of entries to it",
        |kind| matches!(kind, Kind::EntriesSent { to, from, upto, .. } if *to == backup && has(*from, *upto)),
    );
    assert_eq!(node(sent), primary);
    assert!(sent.parents.contains(&own.id), "entries are sent because they were appended");
    true
}

#[test]
fn nothing_follows_from_what_was_said_to_somebody_else() {
    for seed in 0..20 {
        let events = events(&run(seed, &Options { trace: true, ..Options::default() }).trace);
        let mut links = 0;
        for event in events.values() {
            let Actor::Node { node: at, .. } = event.id.actor else { continue };
            for parent in event.parents.iter().filter_map(|id| events.get(id)) {
                let Some(to) = told(&parent.kind) else { continue };
                // What a node stores before it says a thing follows from its having decided to say it.
                let own = parent.id.actor == event.id.actor;
                assert!(own || to == at, "seed {seed}: {} because {}", event.sentence(), parent.sentence());
                links += usize::from(!own);
            }
        }
        assert!(links > 100, "seed {seed}: {links} links between nodes");
    }
}
