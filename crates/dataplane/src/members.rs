//! Who belongs to the shard: a function of its log.
//!
//! A cluster is founded with members that all vote. An entry of the log may add a node, which learns; let it vote; or remove
//! it: one node at a time, so that any majority before the entry and any majority after it share a replica (Ongaro, 2014,
//! section 4.1). Who may append such an entry, and when, is for the `membership` extension to decide. Here is what follows
//! from one that is in the log, committed or not; and what is truncated never was.

use std::collections::BTreeMap;

use crate::guard;
use crate::types::*;
use crate::wire::{Code, WireError, code_struct};

/// One node, as the log has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// The entry that made it so; 0 for the founding.
    pub since: Seq,
    /// What it is.
    pub is: Membership,
    /// Where it can be reached; not known of the founders, whom everybody is started with.
    pub place: Place,
}

/// The members of a shard, as the log of one replica has them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Members {
    /// Those of the checkpoint, or of the founding.
    base: BTreeMap<NodeId, Member>,
    /// What the entries behind it change.
    changes: Vec<(Seq, Change)>,
    /// What is in effect.
    now: BTreeMap<NodeId, Member>,
}

impl Members {
    /// Those of a state; without one, the founders.
    pub(crate) fn of(state: Option<BTreeMap<NodeId, Member>>, founders: &[NodeId]) -> Members {
        let founder = Member { since: 0, is: Membership::Voter, place: Place::UNKNOWN };
        let base = state.unwrap_or_else(|| founders.iter().map(|id| (*id, founder)).collect());
        Members { now: base.clone(), base, changes: Vec::new() }
    }

    /// Those of a new cluster.
    pub fn founded(founders: &[NodeId]) -> Members {
        Members::of(None, founders)
    }

    /// Entry `seq` makes this change.
    pub(crate) fn append(&mut self, seq: Seq, change: Change) {
        self.changes.push((seq, change));
    }

    /// The entries from `from` on are gone.
    pub(crate) fn truncate(&mut self, from: Seq) {
        self.changes.retain(|(seq, _)| *seq < from);
    }

    /// What is in the log up to `upto` is in effect from now on.
    pub(crate) fn take_effect(&mut self, upto: Seq) {
        self.now = self.as_of(upto);
    }

    /// Is there an entry behind the state that changes something?
    pub(crate) fn changing(&self) -> bool {
        !self.changes.is_empty()
    }

    /// The members as of an entry at or behind the checkpoint.
    pub(crate) fn as_of(&self, upto: Seq) -> BTreeMap<NodeId, Member> {
        let mut rows = self.base.clone();
        for (seq, change) in self.changes.iter().filter(|(seq, _)| *seq <= upto) {
            change.make(*seq, &mut rows);
        }
        rows
    }

    /// The entries up to `seq` are in the checkpoint, and committed.
    pub(crate) fn compact(&mut self, seq: Seq) {
        self.base = self.as_of(seq);
        self.changes.retain(|(at, _)| *at > seq);
    }

    /// Everybody who ever belonged to the shard, as it is in effect.
    pub fn rows(&self) -> &BTreeMap<NodeId, Member> {
        &self.now
    }

    /// The entry of the latest change in the log, if it has one that is behind the checkpoint.
    pub fn latest(&self) -> Option<Seq> {
        self.changes.last().map(|(seq, _)| *seq)
    }

    /// Who counted since the log ended with entry `seq`: one list for each change behind it, for checkers.
    pub fn voters_since(&self, seq: Seq) -> impl Iterator<Item = Vec<NodeId>> + '_ {
        let later = self.changes.iter().map(|(at, _)| *at).filter(move |at| *at > seq);
        std::iter::once(seq).chain(later).map(|upto| {
            let rows = self.as_of(upto).into_iter();
            rows.filter(|(_, member)| member.is == Membership::Voter).map(|(id, _)| id).collect()
        })
    }

    /// What this node is, if it ever belonged to the shard.
    pub fn membership(&self, node: NodeId) -> Option<Membership> {
        self.now.get(&node).map(|member| member.is)
    }

    /// Does it count?
    pub fn votes(&self, node: NodeId) -> bool {
        self.membership(node) == Some(Membership::Voter)
    }

    /// Those that count.
    pub fn voters(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.now.iter().filter(|(_, member)| member.is == Membership::Voter).map(|(id, _)| *id)
    }

    /// Those that are sent everything: they vote, or learn.
    pub fn present(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.now.iter().filter(|(_, member)| member.is != Membership::Gone).map(|(id, _)| *id)
    }

    /// How many make a majority.
    pub fn majority(&self) -> usize {
        guard::majority(self.voters().count())
    }
}

impl Change {
    /// A shard in which nobody counts has no log: who would leave it so stays.
    fn make(self, seq: Seq, rows: &mut BTreeMap<NodeId, Member>) {
        let others = |rows: &BTreeMap<NodeId, Member>, node: NodeId| {
            rows.iter().any(|(id, member)| *id != node && member.is == Membership::Voter)
        };
        let (node, is) = match self {
            Change::Add(node, _) => (node, Membership::Learner),
            Change::Promote(node) => (node, Membership::Voter),
            Change::Remove(node) => (node, Membership::Gone),
        };
        if is != Membership::Voter && !others(rows, node) {
            return;
        }
        let known = rows.get(&node).map_or(Place::UNKNOWN, |member| member.place);
        let place = if let Change::Add(_, place) = self { place } else { known };
        rows.insert(node, Member { since: seq, is, place });
    }
}

code_struct! {
    Member { since, is, place }
}

/// In a state. One whose members are the founders says nothing of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Rows(pub Option<BTreeMap<NodeId, Member>>);

impl Code for Rows {
    fn put(&self, out: &mut Vec<u8>) {
        if let Some(rows) = &self.0 {
            rows.iter().map(|(id, member)| (*id, *member)).collect::<Vec<_>>().put(out);
        }
    }
    fn get(bytes: &mut &[u8]) -> Result<Self, WireError> {
        if bytes.is_empty() {
            return Ok(Rows(None));
        }
        Ok(Rows(Some(Vec::<(NodeId, Member)>::get(bytes)?.into_iter().collect())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Members {
        Members::of(None, &[NodeId(1), NodeId(2), NodeId(3)])
    }

    #[test]
    fn a_change_that_is_truncated_never_was() {
        let (mut members, founded) = (three(), three());
        members.append(5, Change::Add(NodeId(4), Place::UNKNOWN));
        members.append(6, Change::Promote(NodeId(4)));
        members.take_effect(6);
        assert!(members.votes(NodeId(4)) && members.majority() == 3);
        members.truncate(5);
        members.take_effect(4);
        assert_eq!(members, founded);
    }

    #[test]
    fn a_state_has_the_members_of_its_last_entry_and_none_of_those_behind() {
        let mut members = three();
        members.append(5, Change::Add(NodeId(4), Place([7; 18])));
        members.append(9, Change::Remove(NodeId(1)));
        members.take_effect(9);
        let rows = members.as_of(5);
        assert_eq!((rows[&NodeId(4)].place, rows[&NodeId(1)].is), (Place([7; 18]), Membership::Voter));
        members.compact(5);
        assert_eq!((members.as_of(5), members.latest()), (rows.clone(), Some(9)));
        let bytes = crate::wire::encode_value(&Rows(Some(rows.clone())));
        assert_eq!(crate::wire::decode_all::<Rows>(&bytes).unwrap().0, Some(rows));
        assert_eq!(crate::wire::decode_all::<Rows>(&[]).unwrap(), Rows(None));
    }
}
