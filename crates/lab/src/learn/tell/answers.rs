//! The known answers. Their text is what a learner sees who has passed.

use crate::facts::{Cell, NodeState, Standing, State};

/// `applied` may lag behind what is committed, and is never ahead of it.
pub(super) fn applied_is_committed(_before: &State, now: &State) -> bool {
    now.nodes.iter().all(|node| node.applied <= node.committed)
}

/// A primary that promises a greater epoch is none any more: the promise is the epoch that it leads.
pub(super) fn one_primary(_before: &State, now: &State) -> bool {
    let primaries: Vec<_> = now.nodes.iter().filter(|node| node.role == "primary").collect();
    primaries
        .iter()
        .enumerate()
        .all(|(at, one)| primaries[at + 1..].iter().all(|other| one.promised != other.promised))
}

/// Entries with the same seq and epoch are the same; both have to be committed before they may be compared.
pub(super) fn committed_agrees(_before: &State, now: &State) -> bool {
    let committed = |node: &NodeState| -> Vec<Cell> {
        node.log.iter().filter(|cell| cell.standing >= Standing::Committed).cloned().collect()
    };
    now.nodes.iter().all(|one| {
        now.nodes.iter().all(|other| {
            let theirs = committed(other);
            committed(one).iter().all(|cell| {
                theirs.iter().filter(|their| their.seq == cell.seq).all(|their| their.epoch == cell.epoch)
            })
        })
    })
}

/// A replica that lost its log, or is down, may have been one of those that were counted.
pub(super) fn committed_is_durable(_before: &State, now: &State) -> bool {
    if now.nodes.iter().any(|node| node.down.is_some() || !node.proven) {
        return true;
    }
    let has = |node: &NodeState, cell: &Cell| {
        let same = node.log.iter().any(|own| own.seq == cell.seq && own.epoch == cell.epoch);
        cell.seq <= node.base || (same && cell.seq <= node.durable)
    };
    let mut committed =
        now.nodes.iter().flat_map(|node| &node.log).filter(|cell| cell.standing >= Standing::Committed);
    committed.all(|cell| 2 * now.nodes.iter().filter(|node| has(node, cell)).count() > now.nodes.len())
}

/// An older primary may lack entries: it has not heard yet that there is another one.
pub(super) fn primary_is_complete(_before: &State, now: &State) -> bool {
    let newest = now.nodes.iter().map(|node| node.promised).max().unwrap_or(0);
    let leads = |node: &&NodeState| node.role == "primary" && node.serving && node.promised == newest;
    now.nodes.iter().filter(leads).all(|primary| {
        let has = |cell: &Cell| {
            let own = primary.log.iter().find(|own| own.seq == cell.seq);
            cell.seq <= primary.base || own.is_some_and(|own| own.epoch == cell.epoch)
        };
        let committed =
            now.nodes.iter().flat_map(|node| &node.log).filter(|cell| cell.standing >= Standing::Committed);
        committed.into_iter().all(has)
    })
}
