//! A run without an end is followed in windows, within bounded memory.
//!
//! The state of the specification is carried from one window to the next. It would grow with the log, so entries that every
//! replica has applied are left behind: they are taken off all logs, and everything that counts entries counts from there.
//! What is lost by that is small, and always on the side of what is allowed: a request whose entry was left behind may be
//! repeated, and a primary's log that lacks such entries, or differs there, is forgotten.

use std::collections::BTreeMap;

use trace::{Actor, Event, Kind};

use super::{Choices, Follower, WAYS_MAX};
use crate::judge::Mismatch;
use crate::value::{Result, Value, Word};

/// Entries before the first one that is left behind are worth the work.
const BEHIND_MIN: u64 = 512;
/// Entries that every replica has applied and that are kept all the same.
const KEPT: u64 = 64;
/// Frames of one actor that are remembered, the last.
const FRAMES_MAX: u64 = 20_000;

impl Follower {
    /// Follows the events up to `enough`, and to the next place where no step is half told, except by nodes that tell
    /// nothing more: they died in the midst of a step, or stand still, while others go on. If there was something to choose
    /// before, the events behind it have to agree. The place, and the follower there; none, if there is no such place yet.
    pub fn window(self, enough: usize) -> std::result::Result<Option<(Follower, usize)>, Box<Mismatch>> {
        let last = self.last_words();
        let (first, mut way) = (self.clone(), self);
        let mut furthest: Option<Box<Mismatch>> = None;
        for _ in 0..WAYS_MAX {
            let (mut kept, mut found) = (None, None);
            for at in 0..way.run.events.len() {
                if kept.is_none() && at >= enough && way.is_told(&last, at) {
                    let mut here = way.clone();
                    here.nodes
                        .iter_mut()
                        .filter_map(|known| known.heard.as_mut())
                        .for_each(|heard| heard.at = 0);
                    kept = Some((here, at));
                    if way.choices.taken.is_empty() {
                        break;
                    }
                }
                if let Err(wrong) = way.item(at) {
                    found = Some(Box::new(way.tell(at, wrong)));
                    break;
                }
            }
            let Some(mismatch) = found else {
                return Ok(kept.map(|(kept, at)| (Follower { choices: Choices::default(), ..kept }, at)));
            };
            if furthest.as_ref().is_none_or(|other| other.at < mismatch.at) {
                furthest = Some(mismatch);
            }
            let Some(choices) = way.choices.other() else { break };
            way = Follower { choices, ..first.clone() };
        }
        furthest.map_or(Ok(None), Err)
    }

    /// The last event of each node.
    fn last_words(&self) -> BTreeMap<u32, usize> {
        let node = |event: &Event| match event.id.actor {
            Actor::Node { node, .. } => Some(node),
            _ => None,
        };
        self.run.events.iter().enumerate().filter_map(|(at, event)| Some((node(event)?, at))).collect()
    }

    /// Is nothing half told before this event that will be told behind it?
    fn is_told(&self, last: &BTreeMap<u32, usize>, at: usize) -> bool {
        let ends = |node: u32| last.get(&node).is_none_or(|last| *last < at);
        self.nodes.iter().zip(0..).all(|(known, node)| known.heard.is_none() || ends(node))
    }

    /// The same follower, before other events.
    pub fn before(mut self, events: Vec<Event>) -> Follower {
        self.run.events = events.into();
        self
    }

    /// Entries that were left behind.
    pub fn behind(&self) -> u64 {
        self.behind
    }

    /// Entries in the longest log.
    pub fn longest(&self) -> usize {
        (1..=self.run.nodes).map(|node| self.judge.log(node).len()).max().unwrap_or(0)
    }

    /// Leaves behind what every replica has applied, and forgets old frames.
    pub fn tidy(&mut self) -> Result<()> {
        let nodes = 1..=self.run.nodes;
        let applied = nodes.clone().map(|node| self.judge.number(node, "applied")).min().unwrap_or(0);
        let many = applied.saturating_sub(KEPT);
        let proven = |node| *self.judge.at(node, "proven") == Value::Bool(true);
        if many >= BEHIND_MIN && nodes.clone().all(proven) {
            let entry = |node| self.judge.log(node).get(many as usize - 1);
            let first = entry(1).cloned();
            if first.is_some() && nodes.clone().all(|node| entry(node) == first.as_ref()) {
                self.leave(many)?;
            }
        }
        let mut newest: BTreeMap<Actor, (u32, u64)> = BTreeMap::new();
        for id in self.sent.keys() {
            newest.insert(id.actor, (id.life, id.n));
        }
        let recent = |(life, n): (u32, u64), of: (u32, u64)| life == of.0 && n + FRAMES_MAX > of.1;
        self.sent.retain(|id, _| newest.get(&id.actor).is_none_or(|of| recent((id.life, id.n), *of)));
        Ok(())
    }

    fn leave(&mut self, many: u64) -> Result<()> {
        let gone: Vec<Value> = self.judge.log(1)[..many as usize].to_vec();
        let requests: Vec<i64> =
            gone.iter().filter_map(|entry| entry.at("request").ok()?.int().ok()).collect();
        self.requests.retain(|_, id| !requests.contains(id));
        self.sent.values_mut().for_each(|(prev, _)| *prev = prev.saturating_sub(many));
        for known in &mut self.nodes {
            let writes = known.writes.iter().filter_map(|log| shorter(log, many).ok());
            known.writes = writes.collect();
            let before = known.before.iter().filter_map(|log| shorter(log, many).ok());
            known.before = before.collect();
            if let Some(heard) = &mut known.heard {
                let back = |seq: &mut u64| *seq = seq.saturating_sub(many);
                heard.entries.iter_mut().for_each(|(seq, _)| back(seq));
                heard.sent.iter_mut().for_each(|(prev, _)| back(prev));
                heard.commit.iter_mut().for_each(|(from, to)| [from, to].into_iter().for_each(back));
                [&mut heard.cut, &mut heard.repeated].into_iter().for_each(back);
            }
        }
        let left = Left { many, last: gone.last().cloned().ok_or("nothing to leave")?, requests };
        let variables = self.judge.state.iter().map(|variable| left.of(variable, None));
        let state = variables.collect::<Result<_>>()?;
        let aside = self.judge.aside.iter().map(|word| left.of(word, None));
        self.judge.aside = aside.collect::<Result<_>>()?;
        self.judge.state = state;
        self.behind += many;
        Ok(())
    }
}

/// What is left behind: so many entries, of which this is the last, with these requests.
struct Left {
    many: u64,
    last: Value,
    requests: Vec<i64>,
}

impl Left {
    /// A value of the state, which a record has in this field.
    fn of(&self, value: &Value, field: Option<&str>) -> Result<Value> {
        match (field, value) {
            // Who remembers a request that is left behind would forget it by another name.
            (Some("took" | "answered"), Value::Set(set)) => Ok(Value::set(
                set.iter().filter(|id| id.int().is_ok_and(|id| !self.requests.contains(&id))).cloned(),
            )),
            (Some("shown"), _) => Ok(Value::set([])),
            (Some("log" | "committed"), Value::Seq(_)) => shorter(value, self.many),
            (Some("disk"), Value::Set(set)) => {
                Ok(Value::set(set.iter().map(|log| shorter(log, self.many)).collect::<Result<Vec<_>>>()?))
            }
            (Some("leads" | "states"), Value::Set(set)) => {
                let has =
                    |of: &&Value| of.at("log").and_then(|log| log.index(self.many as i64)) == Ok(&self.last);
                self.each(set.iter().filter(has), None).map(Value::set)
            }
            (Some("match"), Value::Seq(marks)) => self.each(marks.iter(), Some("seq")).map(Value::seq),
            (Some("durable" | "commit" | "applied" | "base" | "seq" | "after" | "known"), Value::Int(n)) => {
                Ok(Value::Int((n - self.many as i64).max(0)))
            }
            (_, Value::Seq(items)) => self.each(items.iter(), None).map(Value::seq),
            (_, Value::Set(set)) => self.each(set.iter(), None).map(Value::set),
            // A round is no entry.
            (_, Value::Record(_)) if value.at("kind") == Ok(&Value::str("Confirmed")) => Ok(value.clone()),
            (_, Value::Record(fields)) => {
                let fields =
                    fields.iter().map(|(name, value)| Ok((*name, self.of(value, Some(name.text()))?)));
                Ok(Value::of_fields(fields.collect::<Result<Vec<(Word, Value)>>>()?))
            }
            _ => Ok(value.clone()),
        }
    }

    fn each<'a>(&self, values: impl Iterator<Item = &'a Value>, field: Option<&str>) -> Result<Vec<Value>> {
        values.map(|value| self.of(value, field)).collect()
    }
}

fn shorter(log: &Value, many: u64) -> Result<Value> {
    let entries = log.items()?;
    let rest = entries.get(many as usize..).ok_or("a log that lacks what all have applied")?;
    Ok(Value::seq(rest.to_vec()))
}

/// The event with its entries counted from behind those that were left. None: a replica is behind them, so that its state is
/// no longer known.
pub(crate) fn counted(event: &Event, behind: u64) -> Option<Event> {
    let mut event = event.clone();
    let all_behind = |seq: u64| seq <= behind;
    let back = |seqs: &mut [&mut u64]| seqs.iter_mut().for_each(|seq| **seq = seq.saturating_sub(behind));
    let nothing = match &mut event.kind {
        Kind::EntryAppended { seq, .. } | Kind::TransferFinished { seq, .. }
            if behind > 0 && all_behind(*seq) =>
        {
            return None;
        }
        Kind::DeviceOpened { last, .. } | Kind::DamageGivenUp { last, .. }
            if behind > 0 && all_behind(*last) =>
        {
            return None;
        }
        Kind::EntryApplied { seq, applied_before, .. } => {
            back(&mut [&mut *seq, applied_before]);
            *seq == 0
        }
        Kind::CommitAdvanced { from, to, .. } => {
            back(&mut [&mut *from, &mut *to]);
            *to == *from
        }
        Kind::EntriesSent { from, upto, commit, .. } => {
            back(&mut [&mut *from, upto, commit]);
            *from = (*from).max(1);
            false
        }
        Kind::LogTruncated { from, last_before, last } => {
            back(&mut [&mut *from, last_before, last]);
            *from = (*from).max(1);
            false
        }
        Kind::EntryAppended { seq, last_before, .. } => {
            back(&mut [seq, last_before]);
            false
        }
        Kind::HeartbeatSent { prev, commit, .. } => {
            back(&mut [prev, commit]);
            false
        }
        Kind::DeviceOpened { checkpoint, last, .. } => {
            back(&mut [checkpoint, last]);
            false
        }
        Kind::DamageGivenUp { last, owed_seq, .. } => {
            back(&mut [last, owed_seq]);
            false
        }
        Kind::EntriesRepeated { upto: seq, .. }
        | Kind::MatchAcknowledged { upto: seq, .. }
        | Kind::AckCounted { upto: seq, .. }
        | Kind::PromiseGranted { tail_seq: seq, .. }
        | Kind::PrimaryElected { tail: seq, .. }
        | Kind::TransferChunkSent { seq, .. }
        | Kind::TransferFinished { seq, .. }
        | Kind::CheckpointDone { seq, .. } => {
            back(&mut [seq]);
            false
        }
        _ => false,
    };
    if nothing {
        event.kind = Kind::Restarted {};
    }
    Some(event)
}
