//! How far a copy must reach to hold everything that was acknowledged before it was begun.

use dataplane::NodeId;
use kv::Seq;

/// What a replica said of its log when it was asked.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Which.
    pub node: NodeId,
    /// How far it is durable.
    pub durable: Seq,
    /// The entry that made the voters what they are; 0 for the founding.
    pub since: Seq,
    /// Who votes.
    pub voters: Vec<NodeId>,
}

/// The least entry that a copy must be as of, from what replicas of a shard said after it was begun; `None` if too few of
/// them spoke.
///
/// 1. A client is told OK when its write is durable on a majority of the voters.
/// 2. Each replica that is heard after that says how far its log is durable.
/// 3. Any majority has one replica in common with the one that acknowledged, and an entry that was acknowledged is never
///    truncated: so the furthest of them is at least that far.
///
/// Voters change one at a time, each change committed before the next one, and a majority before a change and one after it
/// have a replica in common. So a majority of the latest voters that any of those heard knows of will do: had the voters
/// changed twice since, one of the majority would know of the first change.
///
/// A replica that may have forgotten something, or is being filled, must not be among them. The copy may wait for more than
/// was acknowledged: entries that are on their way.
pub fn reach(heard: &[Heard]) -> Option<Seq> {
    let latest = heard.iter().max_by_key(|heard| heard.since)?;
    let votes = |heard: &&Heard| latest.voters.contains(&heard.node);
    let durable: Vec<Seq> = heard.iter().filter(votes).map(|heard| heard.durable).collect();
    durable.iter().max().copied().filter(|_| durable.len() > latest.voters.len() / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(node: u32, durable: Seq, since: Seq, voters: &[u32]) -> Heard {
        Heard { node: NodeId(node), durable, since, voters: voters.iter().map(|n| NodeId(*n)).collect() }
    }

    #[test]
    fn the_furthest_of_a_majority_has_everything_that_was_acknowledged() {
        let of = |voters: &[u32], ends: &[(u32, Seq)]| {
            reach(&ends.iter().map(|(node, durable)| said(*node, *durable, 0, voters)).collect::<Vec<_>>())
        };
        assert_eq!(of(&[1, 2, 3], &[(1, 4), (2, 7)]), Some(7));
        assert_eq!(of(&[1, 2, 3], &[(2, 7)]), None, "one of three may have missed all of it");
        assert_eq!(of(&[1, 2, 3, 4], &[(1, 7), (2, 7)]), None, "half of them are no majority");
        assert_eq!(of(&[1], &[(1, 7)]), Some(7));
        assert_eq!(of(&[1, 2, 3], &[]), None);
    }

    #[test]
    fn a_node_that_learns_or_was_removed_does_not_count() {
        let learner = said(4, 9, 0, &[1, 2, 3]);
        assert_eq!(reach(&[said(1, 7, 0, &[1, 2, 3]), learner.clone()]), None);
        assert_eq!(reach(&[said(1, 7, 0, &[1, 2, 3]), said(2, 8, 0, &[1, 2, 3]), learner]), Some(8));
        // n1 was removed and has not heard of it; n2 has, and is one of three that vote now.
        let removed = said(1, 3, 0, &[1, 2, 3]);
        let knows = |node, durable| said(node, durable, 5, &[2, 3, 4]);
        assert_eq!(reach(&[removed.clone(), knows(2, 8)]), None);
        assert_eq!(reach(&[removed, knows(2, 8), knows(4, 6)]), Some(8));
    }
}
