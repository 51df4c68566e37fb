//! D1, D4, D8: there is one log, and what it holds is durable on a majority.
//!
//! The first replica that moves its commit point over an entry fixes that position for ever. At that moment a majority
//! must have the entry durably: a client may have its answer in the next.

use std::collections::BTreeMap;

use dataplane::{Entry, Epoch, NodeId, Seq, guard::majority};
use disk::Disk;
use engine::Engine;

use super::model::Model;
use super::sight::{Finding, Sight, Stamp, broken, stamp};

/// What a replica has durably.
#[derive(Clone, Debug, Default)]
pub(super) struct Holding {
    checkpoint: Seq,
    entries: BTreeMap<Seq, Stamp>,
}

impl Holding {
    fn has(&self, seq: Seq, stamp: &Stamp) -> bool {
        seq <= self.checkpoint || self.entries.get(&seq) == Some(stamp)
    }
}

/// The log, as first committed.
pub(super) struct Log {
    /// Who wrote each committed entry, and in which epoch somebody first called it committed; from entry 1 on.
    entries: Vec<(Stamp, Epoch)>,
    /// What each primary put where.
    contents: BTreeMap<(Seq, Epoch), Entry>,
    /// How far each replica's commits were compared.
    compared: Vec<Seq>,
    /// What each replica has durably.
    now: Vec<Holding>,
    /// What a replica had before its log was damaged, as long as it lacks some of that.
    had: Vec<Option<Holding>>,
}

impl Log {
    pub fn new(seats: usize) -> Log {
        Log {
            entries: Vec::new(),
            contents: BTreeMap::new(),
            compared: vec![0; seats],
            now: vec![Holding::default(); seats],
            had: vec![None; seats],
        }
    }

    pub fn len(&self) -> Seq {
        self.entries.len() as Seq
    }

    /// The committed entries with the epoch in which each was first called so.
    pub fn committed(&self) -> impl DoubleEndedIterator<Item = (Seq, Stamp, Epoch)> + '_ {
        self.entries.iter().enumerate().map(|(at, (stamp, epoch))| (at as Seq + 1, *stamp, *epoch))
    }

    /// Who wrote entry `seq` of a replica's log. An engine keeps the tags of old entries on its device only; what was
    /// durable was noted here when it became so.
    pub fn stamp_at(&self, sight: &Sight, seq: Seq) -> Option<Stamp> {
        stamp(sight.engine, seq).or_else(|| self.now[sight.seat].entries.get(&seq).copied())
    }

    /// A primary sends an entry.
    pub fn content(&mut self, node: NodeId, entry: &Entry) -> Finding {
        match self.contents.get(&(entry.seq, entry.epoch)) {
            Some(known) if known != entry => broken(
                "log",
                "D8",
                1,
                format!(
                    "entry {} of epoch {} was \"{}\" and is \"{}\" when {node} sends it",
                    entry.seq, entry.epoch.0, known.op, entry.op
                ),
            ),
            Some(_) => Ok(()),
            None => {
                self.contents.insert((entry.seq, entry.epoch), entry.clone());
                Ok(())
            }
        }
    }

    pub fn opened(&mut self, sight: &Sight) {
        self.compared[sight.seat] = if sight.proven { sight.engine.checkpoint_seq() } else { 0 };
        self.remember(sight);
        // A log that lost entries is remembered with them, as far as its device can still tell of them.
        if let Some(had) = &mut self.had[sight.seat] {
            let known = |seq| Some((seq, stamp(sight.engine, seq)?));
            let first = sight.engine.checkpoint_seq() + 1;
            had.entries.extend((first..=sight.engine.durable_seq()).filter_map(known));
        }
        // Now, while nothing is applied yet, the engine knows all tags.
        self.refresh(sight.seat, sight.engine);
    }

    /// What a replica had counts as long as it lacks some of that: it has it, or owes it.
    fn remember(&mut self, sight: &Sight) {
        let (had, now) = (&mut self.had[sight.seat], &self.now[sight.seat]);
        match sight.proven {
            true => *had = None,
            false => _ = had.get_or_insert_with(|| now.clone()),
        }
    }

    pub fn died(&mut self, seat: usize, engine: &Engine<Disk>, proven: bool) {
        if proven {
            self.refresh(seat, engine);
        }
    }

    fn refresh(&mut self, seat: usize, engine: &Engine<Disk>) {
        let holding = &mut self.now[seat];
        holding.checkpoint = engine.checkpoint_seq();
        let first = engine.retained_from().max(holding.checkpoint + 1);
        // What was applied in this life its engine cannot tell any more; it was noted when the device was opened.
        holding.entries = holding.entries.split_off(&first);
        holding.entries.split_off(&(engine.durable_seq() + 1));
        for seq in first..=engine.durable_seq() {
            holding.entries.extend(stamp(engine, seq).map(|stamp| (seq, stamp)));
        }
    }

    /// Compares what a replica calls committed. It needs the devices of the others only when the log grows; their
    /// holdings are kept up to date by their own steps.
    pub fn observe(&mut self, sight: &Sight, model: &mut Model) -> Finding {
        let seat = sight.seat;
        self.remember(sight);
        self.track(sight);
        for seq in self.compared[seat] + 1..=sight.commit {
            let Some(found) = self.stamp_at(sight, seq) else { continue };
            match self.entries.get(seq as usize - 1) {
                Some((known, _)) if *known != found => {
                    let told = |stamp: &Stamp| {
                        let content = self.contents.get(&(seq, stamp.0)).map(|entry| entry.op.to_string());
                        let content = content.unwrap_or_else(|| format!("{:?}", stamp.1));
                        format!("\"{content}\" of epoch {} ({:?})", stamp.0.0, stamp.1)
                    };
                    return broken(
                        "log",
                        "D1",
                        1,
                        format!(
                            "entry {seq} was committed as {}, and {} commits {}",
                            told(known),
                            sight.node,
                            told(&found)
                        ),
                    );
                }
                Some(_) => {}
                None if seq == self.len() + 1 => self.extend(sight, seq, found, model)?,
                None => {
                    return broken(
                        "log",
                        "D1",
                        1,
                        format!(
                            "{} commits entry {seq}, but nobody committed {}",
                            sight.node,
                            self.len() + 1
                        ),
                    );
                }
            }
        }
        self.compared[seat] = self.compared[seat].max(sight.commit);
        Ok(())
    }

    /// Follows what a replica has durably, at the cost of what changed.
    fn track(&mut self, sight: &Sight) {
        let (seat, engine) = (sight.seat, sight.engine);
        let holding = &mut self.now[seat];
        if engine.checkpoint_seq() > holding.checkpoint {
            holding.checkpoint = engine.checkpoint_seq();
            holding.entries = holding.entries.split_off(&(holding.checkpoint + 1));
        }
        let durable = engine.durable_seq();
        // From the end back to where nothing has changed: a log changes only at its end.
        holding.entries.split_off(&(durable + 1));
        let mut seq = durable;
        while seq > holding.checkpoint {
            let Some(found) = stamp(engine, seq) else { break };
            if holding.entries.insert(seq, found) == Some(found) {
                break;
            }
            seq -= 1;
        }
    }

    fn extend(&mut self, sight: &Sight, seq: Seq, found: Stamp, model: &mut Model) -> Finding {
        let holdings = self.had.iter().zip(&self.now).map(|(had, now)| had.as_ref().unwrap_or(now));
        // The first to commit an entry is its primary. It may have changed the members in the same step, behind the entry.
        let holds: Vec<NodeId> = holdings
            .zip(1..)
            .filter(|(holding, _)| holding.has(seq, &found))
            .map(|(_, node)| NodeId(node))
            .collect();
        let count = |voters: &Vec<NodeId>| voters.iter().filter(|node| holds.contains(node)).count();
        let configurations: Vec<Vec<NodeId>> = sight.members.voters_since(seq).collect();
        let enough = configurations.iter().any(|voters| count(voters) >= majority(voters.len()));
        let content = match self.contents.get(&(seq, found.0)) {
            Some(entry) => Some(entry.op.clone()),
            None => model.op_from_device(sight.engine, seq),
        };
        if !enough {
            return broken(
                "log",
                "D4",
                1,
                format!(
                    "{} calls entry {seq} (\"{}\") committed, but only {} of {} replicas have it durably",
                    sight.node,
                    content.map(|op| op.to_string()).unwrap_or_default(),
                    count(&configurations[0]),
                    configurations[0].len(),
                ),
            );
        }
        self.entries.push((found, sight.promised));
        model.apply(seq, found.1, content);
        Ok(())
    }
}
