//! The story of one request, put together from the events of every process that it touched.
//!
//! 1. The gateway takes the request as *followed*: it records the request's first event, and every frame that this causes
//!    carries the event's id.
//! 2. Whoever receives such a frame records its step, and its own frames carry the cause on. Requests that nobody follows
//!    pay one branch.
//! 3. After the reply the gateway waits a moment (what backups learn last, they learn after the reply), asks every replica
//!    for the events it kept, and keeps those that descend from the request's first event.
//!
//! All processes of one machine read the same wall clock, which gives the times; the order never contradicts causality,
//! whatever the clocks say: an event stands behind all its parents.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gateway::{Reply, Request};
use tokio::sync::mpsc;
use trace::{Event, EventId};

use crate::core::Handle;

/// What happens after the reply belongs to the story as well.
const AFTERMATH: Duration = Duration::from_millis(50);
/// Replicas that have not sent their events by then are left out.
const COLLECT_PATIENCE: Duration = Duration::from_millis(500);

/// Runs `request`, and tells its story. The caller sees to it that only one story is being collected at a time.
pub async fn explain(core: &Handle, request: Request) -> (Option<Reply>, Vec<Event>) {
    let (reply, root) = core.borrow_mut().submit_explained(request);
    let reply = reply.await.ok();
    tokio::time::sleep(AFTERMATH).await;

    let (tx, mut rx) = mpsc::unbounded_channel();
    let expected = {
        let mut core = core.borrow_mut();
        core.trace_replies = Some(tx);
        core.ask_for_traces()
    };
    let mut events = core.borrow().ring.events();
    let collect = async {
        for _ in 0..expected {
            let Some(lines) = rx.recv().await else { return };
            events.extend(read_lines(&lines));
        }
    };
    let _ = tokio::time::timeout(COLLECT_PATIENCE, collect).await;
    core.borrow_mut().trace_replies = None;
    (reply, root.map_or(Vec::new(), |root| story(events, root)))
}

/// The events in `lines`; a line of another version of the schema is left out.
pub fn read_lines(lines: &[u8]) -> Vec<Event> {
    let text = String::from_utf8_lossy(lines);
    text.lines().filter_map(|line| trace::json::from_line(line).ok()).collect()
}

/// The descendants of `root`, by wall clock, but each behind its parents.
fn story(events: Vec<Event>, root: EventId) -> Vec<Event> {
    let mut by_id: BTreeMap<EventId, Event> = events.into_iter().map(|event| (event.id, event)).collect();
    let mut children: BTreeMap<EventId, Vec<EventId>> = BTreeMap::new();
    for event in by_id.values() {
        for &parent in &event.parents {
            children.entry(parent).or_default().push(event.id);
        }
    }
    let mut kept = BTreeSet::new();
    let mut open = vec![root];
    while let Some(id) = open.pop() {
        if by_id.contains_key(&id) && kept.insert(id) {
            open.extend(children.get(&id).into_iter().flatten());
        }
    }
    // Kahn's algorithm; of those whose parents are told, the earliest by wall clock comes next.
    let mut untold: BTreeMap<EventId, usize> = BTreeMap::new();
    for id in &kept {
        untold.insert(*id, by_id[id].parents.iter().filter(|parent| kept.contains(parent)).count());
    }
    let mut ready: BTreeSet<(Option<u64>, EventId)> =
        untold.iter().filter(|(_, n)| **n == 0).map(|(id, _)| (by_id[id].wall, *id)).collect();
    let mut told = Vec::new();
    while let Some((_, id)) = ready.pop_first() {
        for child in children.get(&id).into_iter().flatten() {
            let Some(n) = untold.get_mut(child) else { continue };
            *n -= 1;
            if *n == 0 {
                ready.insert((by_id[child].wall, *child));
            }
        }
        told.extend(by_id.remove(&id));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use trace::{Actor, Kind, Source};

    fn event(actor: Actor, n: u64, parents: &[EventId], wall: u64) -> Event {
        let source = Source { file: "f".into(), symbol: "s".into() };
        let id = EventId { actor, life: 1, n };
        Event {
            id,
            parents: parents.to_vec(),
            logical: 0,
            wall: Some(wall),
            kind: Kind::Restarted {},
            source,
        }
    }

    #[test]
    fn a_story_holds_what_descends_from_the_request_and_never_tells_an_effect_before_its_cause() {
        let gateway = Actor::Gateway(1);
        let node = Actor::Node { node: 1, shard: 0 };
        let root = event(gateway, 5, &[], 100);
        let sent = event(gateway, 6, &[root.id], 101);
        // The node's clock is behind: it seems to act before it was asked.
        let done = event(node, 0, &[sent.id], 90);
        let other = event(node, 1, &[], 95);
        let joined = event(node, 2, &[done.id, other.id], 120);
        let told = story(vec![joined.clone(), other, done.clone(), sent.clone(), root.clone()], root.id);
        let order: Vec<_> = told.iter().map(|e| e.id).collect();
        assert_eq!(order, [root.id, sent.id, done.id, joined.id]);
    }

    #[test]
    fn a_story_survives_events_that_name_each_other_as_cause() {
        let actor = Actor::Gateway(1);
        let id = |n| EventId { actor, life: 1, n };
        let told = story(vec![event(actor, 0, &[id(1)], 1), event(actor, 1, &[id(0)], 2)], id(0));
        assert!(told.is_empty(), "a circle has no beginning, so nothing of it can be told in order");
    }
}
