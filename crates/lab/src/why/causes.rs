//! Why a promise broke: from the step at which the check is missing, each link being a cause of the next.

use std::collections::BTreeMap;

use trace::{Event, EventId, Kind};

use crate::play::{Act, Mark, Play};
use crate::tell::events::{plain, weight};

/// One link: the step, and what happened in it.
pub(super) struct Link {
    pub(super) step: usize,
    pub(super) words: String,
}

/// From `parts`, where the runs part, to what a client was told, if that came of it; and to the last step.
pub(super) fn chain(off: &Play, on: &Play, parts: usize) -> Vec<Link> {
    let last = off.acts.len() - 1;
    let answers = |at: usize| off.acts[at].events.iter().filter(|event| is_answer(event)).collect::<Vec<_>>();
    let end: Vec<&Event> = off.acts[last].events.iter().rev().filter(|event| weight(event) > 1).collect();
    let answer = (parts..=last).map(answers).find_map(|answers| by_events(off, on, parts, &answers));
    let crime = crime(off, on, parts);
    let alone = || crime.map(|event| vec![(parts, Some(event))]);
    let by_end = || by_events(off, on, parts, &end);
    let mut way = answer.or_else(by_end).or_else(alone).unwrap_or_else(|| by_steps(off, parts));
    // How what the client was told came to be lost.
    let from = way.first().map_or(parts, |(at, _)| *at);
    let mut lost: Way = Vec::new();
    for at in from + 1..=last {
        let act = &off.acts[at];
        if act.skipped.is_none() && matches!(act.mark, Mark::At(_, 'X' | 'W' | 'R')) {
            lost.push((at, None));
        }
        lost.extend(act.events.iter().filter(|event| is_loss(event)).map(|event| (at, Some(event))));
    }
    way.extend(lost);
    way.push((last, end.first().copied()));
    // That bytes are written and synced goes without saying.
    way.retain(|(_, event)| {
        let is_crime = |event: &Event| crime.is_some_and(|crime| crime.id == event.id);
        event.is_none_or(|event| {
            weight(event) > 1 || is_crime(event) || matches!(event.kind, Kind::EntryApplied { .. })
        })
    });
    let place = |at: usize, event: &Event| off.acts[at].events.iter().position(|other| other.id == event.id);
    way.sort_by_key(|(at, event)| (*at, event.and_then(|event| place(*at, event))));
    way.dedup_by_key(|(at, event)| (*at, event.map(|event| event.id)));
    way.into_iter().map(|(step, event)| Link { step, words: words(&off.acts[step], event) }).collect()
}

/// What the run without the mechanism has in step `parts`, and the other has not: of several, what decides something.
fn crime<'a>(off: &'a Play, on: &Play, parts: usize) -> Option<&'a Event> {
    let with: Vec<String> = on.acts.get(parts)?.events.iter().map(plain).collect();
    let missing = || off.acts[parts].events.iter().filter(|event| !with.contains(&plain(event)));
    // On a device, where the bytes go is what matters.
    let least = if off.lanes.len() == 2 { 0 } else { 1 };
    let heavy = |least: u32| missing().find(|event| weight(event) >= least);
    heavy(2).or_else(|| heavy(least))
}

/// What happened: the event, or what weighs most in the step.
fn words(act: &Act, event: Option<&Event>) -> String {
    event.map_or_else(|| act.words.clone(), plain)
}

/// A way.
type Way<'a> = Vec<(usize, Option<&'a Event>)>;

/// Does what a client was told go with it, or does somebody come to lead without it?
fn is_loss(event: &Event) -> bool {
    matches!(
        event.kind,
        Kind::LogTruncated { .. }
            | Kind::PrimaryElected { .. }
            | Kind::StateInstalled { .. }
            | Kind::StateGivenUp { .. }
            | Kind::DamageGivenUp { .. }
    )
}

/// Does a client hear of it?
fn is_answer(event: &Event) -> bool {
    matches!(event.kind, Kind::ReplyReleased { .. } | Kind::ReadAnswered { .. })
}

/// Along the causes that the events themselves name, to one of `ends`.
fn by_events<'a>(off: &'a Play, on: &Play, parts: usize, ends: &[&'a Event]) -> Option<Way<'a>> {
    let all =
        off.acts.iter().enumerate().flat_map(|(at, act)| act.events.iter().map(move |event| (at, event)));
    let known: BTreeMap<&EventId, (usize, &Event)> =
        all.map(|(at, event)| (&event.id, (at, event))).collect();
    let with: Vec<String> = on.acts.get(parts)?.events.iter().map(plain).collect();
    let missing: Vec<&EventId> = off.acts[parts]
        .events
        .iter()
        .filter(|event| weight(event) > 1 && !with.contains(&plain(event)))
        .map(|event| &event.id)
        .collect();
    // From the first of them, if that leads there.
    let first = missing.first().map(std::slice::from_ref).unwrap_or_default();
    search(&known, parts, first, ends).or_else(|| search(&known, parts, &missing, ends))
}

/// A shortest way from one of `from` to one of `ends`, along causes from step `parts` on.
fn search<'a>(
    known: &BTreeMap<&EventId, (usize, &'a Event)>,
    parts: usize,
    from: &[&EventId],
    ends: &[&'a Event],
) -> Option<Way<'a>> {
    let mut ways: Vec<Vec<&Event>> = ends.iter().map(|event| vec![*event]).collect();
    let mut seen: Vec<&EventId> = ways.iter().map(|way| &way[0].id).collect();
    // Breadth first from the end, so the chain is a shortest one.
    while !ways.is_empty() {
        let way = ways.remove(0);
        let event = way[way.len() - 1];
        if from.contains(&&event.id) {
            return Some(way.into_iter().rev().map(|event| (known[&event.id].0, Some(event))).collect());
        }
        for parent in event.parents.iter().filter_map(|parent| known.get(parent)) {
            if parent.0 >= parts && !seen.contains(&&parent.1.id) {
                seen.push(&parent.1.id);
                ways.push(way.iter().copied().chain([parent.1]).collect());
            }
        }
    }
    None
}

/// Where a crash or a loss is among the causes, no event names it: along the lanes of the diagram.
fn by_steps(play: &Play, parts: usize) -> Way<'_> {
    let target = |at: usize| match play.acts[at].mark {
        Mark::Arrow(_, to) | Mark::Lost(_, to) => Some(to),
        Mark::At(lane, _) => Some(lane),
        Mark::All(_) | Mark::Nothing => None,
    };
    let before = |at: usize, lane: usize| {
        (0..at).rev().find(|n| play.acts[*n].skipped.is_none() && target(*n).is_none_or(|to| to == lane))
    };
    let causes = |at: usize| -> Vec<usize> {
        let from = match play.acts[at].mark {
            Mark::Arrow(from, _) if from > 0 => before(at, from),
            _ => None,
        };
        let lanes = target(at).map_or(Vec::new(), |lane| before(at, lane).into_iter().collect());
        from.into_iter().chain(lanes).collect()
    };
    let last = play.acts.len() - 1;
    let (mut ways, mut seen) = (vec![vec![last]], vec![last]);
    while !ways.is_empty() {
        let way = ways.remove(0);
        let at = way[way.len() - 1];
        if at == parts {
            return way.into_iter().rev().map(|at| (at, None)).collect();
        }
        for cause in causes(at).into_iter().filter(|cause| *cause >= parts) {
            if !seen.contains(&cause) {
                seen.push(cause);
                ways.push(way.iter().copied().chain([cause]).collect());
            }
        }
    }
    vec![(parts, None), (last, None)]
}
