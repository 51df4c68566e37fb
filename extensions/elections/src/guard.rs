//! The mechanisms of elections, as functions that can be switched off. Above each stands the schedule that it prevents.

use dataplane::{Micros, Tail};
use trace::{Mechanism as M, Mechanisms};

/// `pre-vote`: must a node hear that a majority would vote for it before it stands?
///
/// Without it: (1) n3 is cut off from all; it stands in epoch after epoch, and nobody hears it; (2) the link is there again,
/// and n1, which leads, sends it entries; (3) n3 has promised a greater epoch and says so, and n1 steps down.
pub fn pre_vote(on: Mechanisms) -> bool {
    on.stops(M::PreVote, true)
}

/// `pre-vote-as-strict`: would a node with a log that ends at `own`, which may vote if it is `proven`, vote for a candidate
/// whose log ends at `theirs`?
///
/// Without it: (1) n1 leads and dies; n3 lacks an entry that n2 has; (2) n3 asks first, and is told yes; (3) it stands, and
/// n2 promises and waits for it; (4) n3 cannot lead with the shorter log, and asks again: nobody leads.
pub fn pre_vote_as_strict(on: Mechanisms, own: Tail, proven: bool, theirs: Tail) -> bool {
    !on.stops(M::PreVoteAsStrict, own > theirs || !proven)
}

/// `leader-stickiness`: does a node that hears a primary, or has just promised somebody its vote (`alive`), say yes to a
/// pre-vote?
///
/// Without it: (1) the link between n1, which leads, and n3 is cut; n2 reaches both; (2) n3 hears no primary, asks n2, and
/// takes over; (3) n1 hears no primary, asks n2, and takes over; and so on.
pub fn leader_stickiness(on: Mechanisms, alive: bool) -> bool {
    !on.stops(M::LeaderStickiness, alive)
}

/// `check-quorum`: may a primary that has heard no majority, or served nobody, for so long go on, if others wait for `timeout`?
///
/// Without it: (1) nothing reaches n1, which leads, and what it says reaches the others; (2) they hear a primary, and wait;
/// (3) n1 hears no acknowledgement, and commits nothing: nobody serves.
pub fn check_quorum(on: Mechanisms, cut_off: Micros, timeout: Micros) -> bool {
    !on.stops(M::CheckQuorum, cut_off >= timeout)
}
