//! Traces of several processes in one order, in which causes come first.

use std::collections::{BTreeSet, VecDeque};

use crate::event::{Event, EventId};

/// Each file's events stay in their order. Among those whose causes are all told, the earliest by wall clock comes next; a
/// cause that is in no file was lost with its process, and is not waited for.
pub fn merged(files: Vec<Vec<Event>>) -> Vec<Event> {
    let mut untold: BTreeSet<EventId> = files.iter().flatten().map(|event| event.id).collect();
    let mut files: Vec<VecDeque<Event>> = files.into_iter().map(VecDeque::from).collect();
    let mut told = Vec::new();
    loop {
        let heads = files.iter().enumerate().filter_map(|(file, events)| Some((file, events.front()?)));
        // Where clocks or circles leave none that is ready, the earliest goes on all the same.
        let next = heads.min_by_key(|(_, event)| {
            let waits = event.parents.iter().any(|parent| untold.contains(parent));
            (waits, event.wall)
        });
        let Some((file, _)) = next else { return told };
        if let Some(event) = files[file].pop_front() {
            untold.remove(&event.id);
            told.push(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Actor, Kind, Source};

    fn event(node: u32, n: u64, parents: &[EventId], wall: u64) -> Event {
        Event {
            id: EventId { actor: Actor::Node { node, shard: 0 }, life: 1, n },
            parents: parents.to_vec(),
            logical: 0,
            wall: Some(wall),
            kind: Kind::Restarted {},
            source: Source { file: "f".into(), symbol: "s".into() },
        }
    }

    #[test]
    fn an_effect_is_told_behind_its_cause_whatever_the_clocks_say() {
        let sent = event(1, 0, &[], 100);
        // The clock of n2 is behind.
        let heard = event(2, 1, &[sent.id], 90);
        let first = event(2, 0, &[], 80);
        let later = event(1, 1, &[heard.id], 101);
        let told = merged(vec![vec![sent.clone(), later.clone()], vec![first.clone(), heard.clone()]]);
        assert_eq!(told, [first, sent, heard, later]);
    }

    #[test]
    fn a_cause_that_nobody_has_is_not_waited_for_and_one_file_stays_as_it_is() {
        let lost = event(3, 9, &[], 0).id;
        let all = vec![event(1, 0, &[lost], 5), event(1, 1, &[], 3)];
        assert_eq!(merged(vec![all.clone()]), all);
    }
}
