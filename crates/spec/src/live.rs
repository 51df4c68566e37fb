//! Traces of a cluster that runs, held against the specification as they grow.
//!
//! The events of all nodes are brought into one order, in which causes come first, and each shard's are followed in windows.
//! What is kept is bounded: events that wait for a cause, one window, and the state of the specification.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use trace::{Actor, Event, EventId};

use crate::eval::Spec;
use crate::follow::window::counted;
use crate::follow::{Follower, Run};
use crate::judge::{Judge, Mismatch, cutaway};

/// Events of a shard that are followed at once. As many behind them are waited for, because a later event may tell what an
/// earlier one did not.
const WINDOW: usize = 1000;
/// Most events that are looked at for the end of a window, where steps are half told one after the other.
const REACH_MAX: usize = 16 * WINDOW;
/// Microseconds after which an event is followed, however few are behind it.
const SETTLED: u64 = 2_000_000;
/// Milliseconds after which nothing is waited for that somebody wrote before an event came. Whoever reads a trace may be late
/// by that much.
pub const QUIET: u64 = 1_000;
/// Entries of the longest log. One replica that is down for long keeps all the others' entries from being left behind.
const ENTRIES_MAX: usize = 20_000;

/// A step of a shard that is not allowed, and the events around it.
#[derive(Clone, Debug)]
pub struct Found {
    /// The shard.
    pub shard: u32,
    /// The step.
    pub mismatch: Mismatch,
    /// The events of the window, up to some behind it.
    pub events: Vec<Event>,
}

/// A cluster that is followed.
pub struct Live {
    nodes: u32,
    spec: Arc<Spec>,
    /// Of each node, what is not in the order yet, and when it came.
    files: Vec<VecDeque<(Event, u64)>>,
    /// The last event of each actor that was brought into the order.
    told: BTreeMap<Actor, (u32, u64)>,
    shards: BTreeMap<u32, Shard>,
}

struct Shard {
    follower: Follower,
    /// Events that were not followed yet, as they are in the trace.
    events: VecDeque<Event>,
    followed: usize,
    /// How far behind a window's events its end is looked for.
    reach: usize,
    /// Why it is followed no longer.
    over: Option<String>,
}

impl Live {
    /// A cluster of so many nodes, each with a trace from its founding on.
    pub fn new(nodes: u32) -> Result<Live, String> {
        let files = (0..nodes).map(|_| VecDeque::new()).collect();
        let (spec, told, shards) = (Arc::new(cutaway(nodes)?), BTreeMap::new(), BTreeMap::new());
        Ok(Live { nodes, spec, files, told, shards })
    }

    /// The next event of a node's trace, from 0, which came at `now`, in milliseconds.
    pub fn hear(&mut self, file: usize, event: Event, now: u64) {
        self.files[file].push_back((event, now));
    }

    /// Of which traces there is nothing.
    fn dry(&self) -> Vec<bool> {
        self.files.iter().map(VecDeque::is_empty).collect()
    }

    /// Events of a node's trace, from 0, that wait for others to come before them.
    pub fn waiting(&self, file: usize) -> usize {
        self.files[file].len()
    }

    /// Steps of the specification that were taken.
    pub fn steps(&self) -> u64 {
        self.shards.values().map(|shard| shard.follower.judge.steps).sum()
    }

    /// Entries of a shard that were left behind because every replica has applied them.
    pub fn behind(&self, shard: u32) -> u64 {
        self.shards.get(&shard).map_or(0, |shard| shard.follower.behind())
    }

    /// Shards that are followed no longer, and why.
    pub fn over(&self) -> impl Iterator<Item = (u32, &str)> {
        self.shards.iter().filter_map(|(number, shard)| Some((*number, shard.over.as_deref()?)))
    }

    /// Follows what can be followed at `now`, after all that there was to read was handed over, of each trace or as much as its
    /// reader wants to keep. `end`: nothing will come any more.
    pub fn follow(&mut self, now: u64, end: bool) -> Result<Vec<Found>, String> {
        let dry = self.dry();
        while let Some(event) = self.next(&dry, now, end) {
            let Actor::Node { shard, .. } = event.id.actor else { continue };
            if !self.shards.contains_key(&shard) {
                let run = Run { shard, nodes: self.nodes, ..Run::of(Arc::from([])) };
                let follower = Follower::new(Judge::new(self.spec.clone())?, run);
                let new = Shard { follower, events: VecDeque::new(), followed: 0, reach: WINDOW, over: None };
                self.shards.insert(shard, new);
            }
            let Some(shard) = self.shards.get_mut(&shard) else { continue };
            if shard.over.is_none() {
                shard.events.push_back(event);
            }
        }
        let mut all = Vec::new();
        for (number, shard) in &mut self.shards {
            while let Some(found) = shard.follow(end)? {
                all.extend(found.map(|(mismatch, events)| Found { shard: *number, mismatch, events }));
            }
        }
        Ok(all)
    }

    /// The next event in the order, if its causes are told. A node writes an event before anybody hears of it: so the earliest
    /// of the events that are there is the next one, once there is one of each node; or a node has written nothing for long
    /// since that event came.
    ///
    /// Of a trace that has only just been used up (it is not `dry`) there may be more to read.
    fn next(&mut self, dry: &[bool], now: u64, end: bool) -> Option<Event> {
        let empty = |file: usize| self.files[file].is_empty();
        if !end && (0..self.files.len()).any(|file| empty(file) && !dry[file]) {
            return None;
        }
        let ripe = |came: u64| end || came + QUIET <= now;
        let comes = |id: &EventId, came: u64| match id.actor {
            Actor::Node { node, .. } if (1..=self.nodes).contains(&node) => {
                let told = self.told.get(&id.actor).is_some_and(|last| *last >= (id.life, id.n));
                let never = empty(node as usize - 1) && ripe(came);
                !told && !never
            }
            _ => false,
        };
        // Where all wait although each node said something, clocks or circles are to blame.
        let waits = |(event, came): &(Event, u64)| event.parents.iter().any(|parent| comes(parent, *came));
        let heads = self.files.iter().enumerate().filter_map(|(file, events)| Some((file, events.front()?)));
        let first = heads.map(|(file, head)| (waits(head), head.0.wall, file, head.1)).min()?;
        if (0..self.files.len()).any(empty) && !ripe(first.3) {
            return None;
        }
        let (event, _) = self.files[first.2].pop_front()?;
        self.told.insert(event.id.actor, (event.id.life, event.id.n));
        Some(event)
    }
}

type Judged = Option<(Mismatch, Vec<Event>)>;

impl Shard {
    /// One window, if there are events enough: the outer option says whether to go on.
    fn follow(&mut self, end: bool) -> Result<Option<Judged>, String> {
        if self.over.is_some() || self.events.is_empty() {
            return Ok(None);
        }
        let newest = self.events.back().and_then(|event| event.wall).unwrap_or(0);
        let settled = |event: &Event| event.wall.unwrap_or(0) + SETTLED <= newest;
        let old = self.events.iter().take(WINDOW).take_while(|event| settled(event)).count();
        let enough = match self.events.len() {
            many if many >= 2 * WINDOW => WINDOW,
            _ if old >= 32 && 2 * old >= self.events.len() => old,
            many if end => many,
            _ => return Ok(None),
        };
        let behind = self.follower.behind();
        let ahead = self.events.iter().take(enough + self.reach);
        let Some(events) = ahead.map(|event| counted(event, behind)).collect::<Option<Vec<Event>>>() else {
            return Ok(self.stop("a replica's log ends before the entries that all had applied".into()));
        };
        let all = end && events.len() == self.events.len();
        let follower = self.follower.clone().before(events);
        let judged = if all {
            let (judge, mismatch) = follower.run();
            self.follower.judge = judge;
            mismatch.map_or(Ok(None), Err)
        } else {
            follower.window(enough)
        };
        match judged {
            Err(mut mismatch) => {
                let behind_it = self.events.len() - mismatch.at;
                let event = self.events[mismatch.at].clone();
                if !end && !settled(&event) && behind_it < WINDOW {
                    return Ok(None); // what is told later may explain it
                }
                let kept = self.events.drain(..).take(mismatch.at + 32).collect();
                mismatch.at += self.followed;
                mismatch.event = event;
                if behind > 0 {
                    mismatch.difference.push(format!("(the specification counts entries from {behind} on)"));
                }
                self.over = Some("a step is not allowed".into());
                Ok(Some(Some((*mismatch, kept))))
            }
            Ok(None) if all => {
                self.events.clear();
                Ok(None)
            }
            Ok(None) if self.events.len() < enough + self.reach => Ok(None),
            Ok(None) if self.reach >= REACH_MAX => {
                Ok(self.stop(format!("a step of a node is half told for more than {REACH_MAX} events")))
            }
            Ok(None) => {
                self.reach *= 2;
                Ok(Some(None))
            }
            Ok(Some((mut follower, at))) => {
                follower.tidy()?;
                let longest = follower.longest();
                self.follower = follower;
                self.events.drain(..at);
                self.followed += at;
                self.reach = WINDOW;
                if longest > ENTRIES_MAX {
                    let why = format!("a replica is more than {ENTRIES_MAX} entries behind the others");
                    return Ok(self.stop(why));
                }
                Ok(Some(None))
            }
        }
    }

    fn stop(&mut self, why: String) -> Option<Judged> {
        self.events.clear();
        self.over = Some(why);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trace::{Kind, Source};

    fn event(node: u32, n: u64, wall: u64) -> Event {
        Event {
            id: EventId { actor: Actor::Node { node, shard: 0 }, life: 1, n },
            parents: Vec::new(),
            logical: 0,
            wall: Some(wall),
            kind: Kind::Restarted {},
            source: Source { file: "f".into(), symbol: "s".into() },
        }
    }

    fn next(live: &mut Live, now: u64, end: bool) -> Option<Event> {
        let dry = live.dry();
        live.next(&dry, now, end)
    }

    #[test]
    fn who_was_read_to_the_end_a_moment_ago_may_have_more_to_say() {
        let mut live = Live::new(3).unwrap();
        // All of it came long ago.
        (1..=3).for_each(|node| live.hear(node as usize - 1, event(node, 0, 100 + u64::from(node)), 0));
        let dry = live.dry();
        assert_eq!(live.next(&dry, 9 * QUIET, false), Some(event(1, 0, 101)));
        assert_eq!(live.next(&dry, 9 * QUIET, false), None, "n1's trace has to be read first");
        assert_eq!(next(&mut live, 9 * QUIET, false), Some(event(2, 0, 102)), "there was nothing in it");
    }

    #[test]
    fn what_was_written_earlier_is_told_earlier_although_it_is_read_later() {
        let mut live = Live::new(3).unwrap();
        let (asked, confirmed, other) = (event(2, 0, 100), event(1, 0, 110), event(3, 0, 120));
        live.hear(0, confirmed.clone(), 0);
        live.hear(2, other.clone(), 0);
        assert_eq!(next(&mut live, 10, false), None, "n2 may have asked for it");
        live.hear(1, asked.clone(), 20);
        assert_eq!(next(&mut live, 20, false), Some(asked));
        assert_eq!(next(&mut live, QUIET - 1, false), None);
        // n2 says nothing for long: it has nothing to say.
        assert_eq!(next(&mut live, QUIET, false), Some(confirmed));
        // Of what came later it may have heard first, however long it said nothing before.
        let later = event(1, 1, 130);
        live.hear(0, later.clone(), 2 * QUIET);
        assert_eq!(next(&mut live, 2 * QUIET, false), Some(other));
        assert_eq!(next(&mut live, 2 * QUIET + 1, false), None);
        assert_eq!(next(&mut live, 2 * QUIET + 1, true), Some(later));
    }
}
