//! What the nodes of a shard said of themselves, and who of them is to be called to take over.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use dataplane::guard::majority;
use dataplane::patience::{PATIENCE_MAX, Typical};
use dataplane::{Epoch, Member, Membership, Micros, NodeId, NodeStatus, Proof, Seq, ShardId, Tail};

#[derive(Clone, Debug, Default)]
struct Heard {
    at: Micros,
    /// When the probe that the status answers was sent; 0 if it came unasked.
    asked_at: Micros,
    status: Option<NodeStatus>,
    /// What a probe and its answer take, and when that was last measured: one probe at a time, or a node that stands still
    /// once is measured as often as it was asked meanwhile.
    trip: Typical,
    measured_at: Micros,
    /// It is sent everything, and does not count.
    learns: bool,
    /// By the entry that made it so.
    since: Seq,
}

impl Heard {
    /// What the node usually takes for an answer that waits for its device; `None` if it is not heard.
    fn takes(&self) -> Option<Micros> {
        Some(self.trip.usually() + self.status.as_ref()?.sync_micros.min(PATIENCE_MAX))
    }

    /// May it vote?
    fn is_proven(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.proof == Proof::Proven)
    }

    /// Is it known not to support a candidate whose log ends at `tail`?
    fn opposes(&self, tail: Tail) -> bool {
        self.status.as_ref().is_some_and(|other| other.proof != Proof::Proven || other.voted_tail > tail)
    }
}

/// What the nodes said of themselves.
#[derive(Clone, Debug)]
pub(crate) struct Nodes {
    heard: BTreeMap<NodeId, Heard>,
    /// The epoch of the primary that said who belongs to the shard.
    met_in: Epoch,
}

/// Who is best called to take over.
pub(crate) struct Choice {
    pub node: NodeId,
    /// How many could have been called.
    pub answers: usize,
    /// A majority may support it, as far as is known.
    pub supported: bool,
}

impl Nodes {
    pub fn new(nodes: &[NodeId]) -> Nodes {
        let heard = nodes.iter().map(|node| (*node, Heard::default())).collect();
        Nodes { heard, met_in: Epoch(0) }
    }

    /// A node says who belongs to the shard. A primary that serves, in the newest epoch, knows: whom it does not name is gone. Of
    /// the others everybody may be behind, or cut off; of each node counts what the latest entry made of it.
    ///
    /// Without that: (1) n3 promotes n4, which has all of its log, and removes itself; (2) all lose power before n4 serves, and
    /// n1 its disk; (3) the gateways believe that n4 learns, and call for ever n2, whose log is shorter.
    pub fn meet(&mut self, from: NodeId, serves: Option<Epoch>, rows: &[(NodeId, Member)]) {
        let knows = serves.is_some_and(|epoch| epoch >= self.met_in);
        self.met_in = serves.filter(|_| knows).unwrap_or(self.met_in);
        let there = |node: &NodeId| rows.iter().any(|(id, row)| id == node && row.is != Membership::Gone);
        if knows {
            // Even if it was removed, it leads.
            self.heard.retain(|node, _| *node == from || there(node));
        }
        for (node, row) in rows {
            if there(node) || self.heard.contains_key(node) {
                let heard = self.heard.entry(*node).or_default();
                if knows || row.since >= heard.since {
                    (heard.learns, heard.since) = (row.is != Membership::Voter, row.since);
                }
            }
        }
    }

    /// All of them.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.heard.keys().copied()
    }

    fn voters(&self) -> impl Iterator<Item = (NodeId, &Heard)> {
        self.heard.iter().filter(|(_, heard)| !heard.learns).map(|(node, heard)| (*node, heard))
    }

    /// How many of them count.
    pub fn count(&self) -> usize {
        self.voters().count()
    }

    /// Hears a node; false if that is nobody's word, or a late one: a node's promise never goes back.
    pub fn hear(&mut self, now: Micros, from: NodeId, asked_at: Micros, status: &NodeStatus) -> bool {
        let Some(heard) = self.heard.get_mut(&from) else { return false };
        if heard.status.as_ref().is_some_and(|known| known.promised > status.promised) {
            return false;
        }
        // Asked after the last one was measured; or the clock has jumped back.
        if !(asked_at..=now).contains(&heard.measured_at) {
            heard.trip.note(now.saturating_sub(asked_at));
            heard.measured_at = now;
        }
        heard.at = now;
        heard.asked_at = asked_at;
        heard.status = Some(status.clone());
        true
    }

    /// It is gone, and what it said with it.
    pub fn forget(&mut self, node: NodeId) {
        self.heard.entry(node).and_modify(|heard| heard.status = None);
    }

    pub fn heard_at(&self, node: NodeId) -> Micros {
        self.heard.get(&node).map_or(0, |heard| heard.at)
    }

    /// What a node usually takes for an answer; 0 if that is not known.
    pub fn takes(&self, node: NodeId) -> Micros {
        self.heard.get(&node).and_then(Heard::takes).unwrap_or(0)
    }

    /// What one step of a takeover takes: the answer of a majority of those that vote, each after a sync. 0 if that is not
    /// known.
    pub fn majority_takes(&self) -> Micros {
        let voters = self.voters().filter(|(_, heard)| heard.is_proven());
        let mut takes: Vec<Micros> = voters.filter_map(|(_, heard)| heard.takes()).collect();
        takes.sort_unstable();
        takes.get(majority(self.count()) - 1).copied().unwrap_or(0)
    }

    fn statuses(&self) -> impl Iterator<Item = &NodeStatus> {
        self.heard.values().filter_map(|heard| heard.status.as_ref())
    }

    /// The greatest seq that some node said is committed.
    pub fn committed(&self) -> Seq {
        self.statuses().map(|status| status.committed).max().unwrap_or(0)
    }

    /// The greatest epoch that some node said it promised.
    pub fn promised(&self) -> Epoch {
        self.statuses().map(|status| status.promised).max().unwrap_or_default()
    }

    /// Per node, what it last said, and when.
    pub fn view(&self) -> Vec<(NodeId, Option<(Micros, NodeStatus)>)> {
        let said = |heard: &Heard| heard.status.clone().map(|status| (heard.at, status));
        self.heard.iter().map(|(node, heard)| (*node, said(heard))).collect()
    }

    /// The node to call: of those that answered a probe sent since `since`, the one with the most complete log, rather not
    /// `lost`. Whether it really is, the promises will show; this choice only saves attempts. Among equals the shard's number
    /// decides, so that the primaries of many shards spread over the nodes.
    pub fn choose(&self, shard: ShardId, since: Micros, lost: Option<NodeId>) -> Option<Choice> {
        let nodes = self.count();
        // One that lacks entries which it had does not stand.
        let stands = |status: &NodeStatus| status.proof == Proof::Proven && status.voted_tail == status.tail;
        let fresh = self.voters().filter(|(_, heard)| heard.asked_at >= since);
        let fresh: Vec<(NodeId, &NodeStatus)> = fresh
            .filter_map(|(node, heard)| Some((node, heard.status.as_ref().filter(|status| stands(status))?)))
            .collect();
        let supported =
            |tail| self.voters().filter(|(_, heard)| !heard.opposes(tail)).count() >= majority(nodes);
        let preference = |node: NodeId| (nodes as u32 + node.0 - 1 - shard % nodes as u32) % nodes as u32;
        let (node, status) = fresh.iter().max_by_key(|(node, status)| {
            (supported(status.tail), Some(*node) != lost, status.tail, Reverse(preference(*node)))
        })?;
        Some(Choice { node: *node, answers: fresh.len(), supported: supported(status.tail) })
    }
}

#[cfg(test)]
mod tests {
    use dataplane::{Place, RoleName};

    use super::*;

    fn rows(rows: &[(u32, Seq, Membership)]) -> Vec<(NodeId, Member)> {
        rows.iter()
            .map(|(n, since, is)| (NodeId(*n), Member { since: *since, is: *is, place: Place::UNKNOWN }))
            .collect()
    }

    #[test]
    fn whom_the_last_entry_made_a_voter_counts_although_nobody_serves() {
        use Membership::{Gone, Learner, Voter};
        let mut nodes = Nodes::new(&[1, 2, 3].map(NodeId));
        let founded = [(1, 0, Voter), (2, 0, Voter), (3, 0, Voter)];
        let learns = rows(&[&founded[..], &[(4, 8, Learner)]].concat());
        let count = |nodes: &Nodes| nodes.voters().map(|(node, _)| node.0).collect::<Vec<_>>();
        nodes.meet(NodeId(3), Some(Epoch(2)), &learns);
        assert_eq!(count(&nodes), [1, 2, 3]);
        // Whoever led after n3 has not served.
        let later = rows(&[(1, 0, Voter), (2, 0, Voter), (3, 11, Gone), (4, 10, Voter)]);
        nodes.meet(NodeId(2), None, &later);
        assert_eq!(count(&nodes), [1, 2, 4]);
        // Somebody who is behind changes nothing.
        nodes.meet(NodeId(1), None, &learns);
        assert_eq!(count(&nodes), [1, 2, 4]);
        // Who serves knows better: the change was undone.
        nodes.meet(NodeId(1), Some(Epoch(4)), &learns);
        assert_eq!(count(&nodes), [1, 2, 3]);
    }

    /// A node that is asked, and says this.
    fn hears(nodes: &mut Nodes, asked_at: Micros, takes: Micros) {
        let status = NodeStatus {
            pid: 1,
            role: RoleName::Backup,
            serving: false,
            proof: Proof::Proven,
            promised: Epoch(1),
            primary: None,
            tail: Tail::default(),
            voted_tail: Tail::default(),
            durable: 0,
            committed: 0,
            cut_off_micros: 0,
            sync_micros: 0,
        };
        assert!(nodes.hear(asked_at + takes, NodeId(1), asked_at, &status));
    }

    #[test]
    fn a_node_that_stood_still_once_is_measured_once_however_often_it_was_asked() {
        let mut nodes = Nodes::new(&[NodeId(1)]);
        // All of these were asked while it stood still.
        (1..=8).for_each(|n| hears(&mut nodes, n * 1_000, 100_000 - n * 1_000));
        assert_eq!(nodes.takes(NodeId(1)), 0, "one answer says nothing of the next");
        hears(&mut nodes, 200_000, 1_000);
        assert_eq!(nodes.takes(NodeId(1)), 1_250, "the second longest, and some more");
    }

    #[test]
    fn after_a_clock_has_jumped_back_answers_are_measured_again() {
        let mut nodes = Nodes::new(&[NodeId(1)]);
        [1_000_000, 2_000_000].into_iter().for_each(|at| hears(&mut nodes, at, 100_000));
        assert_eq!(nodes.takes(NodeId(1)), 125_000);
        (1..=8).for_each(|n| hears(&mut nodes, n * 10_000, 1_000));
        assert_eq!(nodes.takes(NodeId(1)), 1_250);
    }
}
