//! The mechanisms of membership, as functions that can be switched off. Above each stands the schedule that it prevents.

use dataplane::Seq;
use trace::{Mechanism as M, Mechanisms};

/// `one-change-at-a-time`: may the members be changed, while the latest change is committed, or is not (`open`)?
///
/// Without it: (1) n1 leads five, and removes n5 and n4 in one go; (2) it commits with n2, two of the three that are left;
/// (3) n3, n4 and n5 have heard of no change: three of five, and n3 leads.
pub fn one_change_at_a_time(on: Mechanisms, open: bool) -> bool {
    !on.stops(M::OneChangeAtATime, open)
}

/// `change-after-own-commit`: may a primary change the members, which has committed an entry of its own epoch (`serving`), or
/// has not?
///
/// Without it (Ongaro, raft-dev, 2015): (1) n1 leads four and removes n2, which nobody else has heard of; (2) n2 leads epoch 2,
/// removes n1 before anything else, and commits with n3, two of its three; (3) n1 leads epoch 3 with n4, two of its three.
pub fn change_after_own_commit(on: Mechanisms, serving: bool) -> bool {
    !on.stops(M::ChangeAfterOwnCommit, !serving)
}

/// `learner-catches-up`: may a node count that has the log up to `matched`, where the cluster had committed `committed` a
/// while ago?
///
/// Without it: (1) an empty node is added to n1, n2 and n3, and counts at once: three of four are a majority; (2) n3 stops;
/// (3) no write is acknowledged before the new node has fetched all of the state.
pub fn learner_catches_up(on: Mechanisms, matched: Seq, committed: Seq) -> bool {
    !on.stops(M::LearnerCatchesUp, matched < committed)
}

/// `hand-over`: must a primary whose removal is committed have another one lead?
///
/// Without it: (1) n1 removes itself, and leads on; (2) it is switched off, for it does not belong to the cluster any more;
/// (3) nobody serves until somebody finds out.
pub fn hand_over(on: Mechanisms) -> bool {
    on.stops(M::HandOver, true)
}
