//! What clients did and saw, what can be concluded from it, and what must hold in every state, under the invariants'
//! numbers in ARCHITECTURE.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use dataplane::{
    Epoch, Message, NodeId, Origin, Outcome, Refusable, Replica, RequestId, RoleName, Seq, WriteResult,
};

use crate::shared::Shared;

/// What counts as broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Goal {
    /// Any invariant that does not hold, and any assertion of the rules that fails.
    #[default]
    Invariant,
    /// What a client sees: a write that it was told of is gone, took effect twice, or a read is wrong. A replica whose
    /// own assertion fails has stopped; such states lead nowhere.
    Betrayal,
    /// The same, and whether service is there and stays (P4): see `service`.
    Service,
}

/// Who wrote an entry, and why: with these equal, so is the content.
pub type Stamp = (Epoch, Origin);

/// What can be seen of one replica.
pub(crate) trait Sight {
    /// The rules; `None` while it is down.
    fn replica(&self) -> Option<&Replica>;
    /// Entries up to this one are in the checkpoint only.
    fn base(&self) -> Seq;
    /// The last entry.
    fn last(&self) -> Seq;
    /// An entry of the log behind the base, if it can be told.
    fn stamp(&self, seq: Seq) -> Option<Stamp>;
    /// Does the checkpoint lack what entry `seq` wrote?
    fn lacks(&self, seq: Seq, stamp: Stamp) -> bool;
    /// What the present action moved from the log to the checkpoint.
    fn dropped(&self) -> &[(Seq, Stamp)];
}

/// How a client came to know of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Shown {
    Acknowledged,
    Read,
}

/// What the clients did and saw. Most actions leave it alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct History {
    pub session: Seq,
    /// How often each write was sent.
    pub sent: Vec<u8>,
    /// What clients were told of their writes.
    pub answered: BTreeMap<RequestId, Outcome>,
    /// What was ever committed by anybody, and must stay so (D1, D4).
    pub committed: Vec<Stamp>,
    /// Entries that a client was told of, by an answer or by what it read; and which of the two.
    pub shown: Vec<(Seq, Stamp, Shown)>,
    /// Who ever was primary of an epoch (D2).
    pub leaders: BTreeMap<Epoch, NodeId>,
    /// Reads in flight: their ids, and the last entry that was committed, or acknowledged to a client, when they were asked.
    pub reading: Vec<(u64, Seq)>,
    /// How many reads were refused.
    pub refused: Aside,
    /// The first promise that broke.
    pub broken: Option<String>,
}

/// A number that is told and decides nothing: histories that differ in it alone are one and the same to the checker.
#[derive(Clone, Copy, Debug, Default)]
pub struct Aside(pub usize);

impl PartialEq for Aside {
    fn eq(&self, _: &Aside) -> bool {
        true
    }
}

impl Eq for Aside {}

impl Hash for Aside {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Shared<History> {
    /// A client asks for a read.
    pub(crate) fn asked(&mut self, id: u64) {
        let acknowledged = self.answered.values().map(version).max().unwrap_or(0);
        let known = acknowledged.max(self.committed.len() as Seq);
        self.change().reading.push((id, known));
    }

    /// A replica says this to a client.
    pub(crate) fn heard(&mut self, seats: &[impl Sight], from: NodeId, message: &Message) {
        match message {
            Message::SessionOpened { session } => self.change().session = *session,
            Message::Answer { request, result: WriteResult::Done(outcome) } => {
                let before = self.change().answered.insert(*request, *outcome);
                self.show(seats, from, version(outcome), Shown::Acknowledged);
                if before.is_some_and(|before| before != *outcome) {
                    let what = format!("write {} was answered twice, differently", request.number);
                    self.break_promise("D6, P2", what);
                }
            }
            Message::ReadAnswer { id, .. } => {
                let replica = seats[from.0 as usize - 1].replica();
                let applied = replica.map_or(0, |replica| replica.core().applied);
                self.show(seats, from, applied, Shown::Read);
                let asked = self.change().reading.extract_if(.., |(asked, _)| asked == id).next();
                if let Some((_, known)) = asked.filter(|(_, known)| applied < *known) {
                    let what = format!(
                        "a read got an outdated answer: entry {known} was committed before the read was asked"
                    );
                    self.break_promise("P2", what);
                }
            }
            Message::Refused { what: Refusable::Read(id), .. } => {
                let history = self.change();
                let before = history.reading.len();
                history.reading.retain(|(asked, _)| asked != id);
                history.refused.0 += before - history.reading.len();
            }
            _ => {}
        }
    }

    /// A client knows of this entry now, as `by` has it.
    pub(crate) fn show(&mut self, seats: &[impl Sight], by: NodeId, seq: Seq, how: Shown) {
        let sight = &seats[by.0 as usize - 1];
        let kept = (sight.base() + 1..=sight.last()).contains(&seq);
        if let Some(stamp) = sight.stamp(seq).filter(|_| kept) {
            self.note(seq, stamp, how);
        }
    }

    pub(crate) fn note(&mut self, seq: Seq, stamp: Stamp, how: Shown) {
        if !self.shown.contains(&(seq, stamp, how)) {
            self.change().shown.push((seq, stamp, how));
        }
    }

    /// What must hold in every state.
    pub(crate) fn observe(&mut self, seats: &[impl Sight], goal: Goal) {
        self.betrayed(seats);
        if goal != Goal::Invariant {
            return;
        }
        for (at, sight) in seats.iter().enumerate() {
            let Some(replica) = sight.replica() else { continue };
            let node = NodeId(at as u32 + 1);
            let (status, applied) = (replica.status(0), replica.core().applied);
            let (role, epoch, commit) = (status.role, status.promised, status.committed);
            if applied > commit {
                let what = format!("{node} applied entry {applied}, which is not committed");
                return self.break_promise("D5", what);
            }
            if role == RoleName::Primary && self.leader(epoch, node) != node {
                return self.break_promise("D2, P1", format!("two primaries in epoch {}", epoch.0));
            }
            if let Some(what) = self.commits(sight, node, commit) {
                return self.break_promise("D1, P1", what);
            }
        }
        let told = self.answered.values().map(version).max().unwrap_or(0);
        if told > self.committed.len() as Seq {
            self.break_promise("D4, P1", format!("entry {told} was acknowledged and is not committed"));
        }
        let (known, newest) = (self.committed.len() as Seq, self.newest_epoch());
        let lacking = seats.iter().find_map(|sight| {
            let status = sight.replica()?.status(0);
            let leads = status.serving && newest == Some(status.promised);
            (leads && known > sight.last()).then_some(status.promised)
        });
        if let Some(epoch) = lacking {
            let what =
                format!("entry {known} was committed, and the primary of epoch {} does not have it", epoch.0);
            self.break_promise("D4, P1", what);
        }
    }

    /// Takes in what a replica has committed. What contradicts what was committed before is the result.
    fn commits(&mut self, sight: &impl Sight, node: NodeId, commit: Seq) -> Option<String> {
        let (known, upto) = (self.committed.len() as Seq, commit.min(sight.last()));
        let differs =
            |seq: &Seq| sight.stamp(*seq).is_some_and(|stamp| stamp != self.committed[*seq as usize - 1]);
        if let Some(seq) = (sight.base() + 1..=upto.min(known)).find(differs) {
            return Some(format!("{node} committed another entry {seq} than was committed before"));
        }
        // What one action both commits and checkpoints is no longer in the log.
        let dropped = sight.dropped().iter().filter(|(seq, _)| *seq > known).map(|(_, stamp)| *stamp);
        let kept = (known.max(sight.base()) + 1..=upto).map_while(|seq| sight.stamp(seq));
        let new: Vec<Stamp> = dropped.chain(kept).collect();
        if !new.is_empty() {
            self.change().committed.extend(new);
        }
        None
    }

    /// P1, P2: whoever serves in the newest epoch has all that a client was ever told of.
    fn betrayed(&mut self, seats: &[impl Sight]) {
        for (at, sight) in seats.iter().enumerate() {
            if let Some(replica) = sight.replica().filter(|replica| replica.is_primary()) {
                self.leader(replica.status(0).promised, NodeId(at as u32 + 1));
            }
        }
        // A deposed primary that does not know it yet can do no harm: it cannot confirm its epoch.
        let Some(newest) = self.newest_epoch() else { return };
        for (at, sight) in seats.iter().enumerate() {
            let Some(status) = sight.replica().map(|replica| replica.status(0)) else { continue };
            if !status.serving || status.promised != newest {
                continue;
            }
            let has = |seq: Seq, stamp: Stamp| {
                (seq <= sight.base() && !sight.lacks(seq, stamp))
                    || (seq > sight.base() && seq <= sight.last() && sight.stamp(seq) == Some(stamp))
            };
            let gone = self.shown.iter().find(|(seq, stamp, _)| !has(*seq, *stamp));
            if let Some((seq, (epoch, _), how)) = gone {
                let (id, how) = match how {
                    Shown::Acknowledged => ("P1", "was acknowledged"),
                    Shown::Read => ("P2", "a client has read"),
                };
                return self.break_promise(
                    id,
                    format!("n{} serves without entry {seq} of epoch {}, which {how}", at + 1, epoch.0),
                );
            }
        }
    }

    /// The first who was primary of this epoch; `node`, if nobody was.
    fn leader(&mut self, epoch: Epoch, node: NodeId) -> NodeId {
        match self.leaders.get(&epoch) {
            Some(first) => *first,
            None => *self.change().leaders.entry(epoch).or_insert(node),
        }
    }

    fn newest_epoch(&self) -> Option<Epoch> {
        self.leaders.last_key_value().map(|(epoch, _)| *epoch)
    }

    pub(crate) fn break_promise(&mut self, id: &str, what: String) {
        self.change().broken.get_or_insert(format!("{id}: {what}"));
    }
}

/// The version that a write got.
pub(crate) fn version(outcome: &Outcome) -> Seq {
    match outcome {
        Outcome::Written(seq) => *seq,
        _ => 0,
    }
}
