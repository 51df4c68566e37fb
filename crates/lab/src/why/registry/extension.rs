//! The mechanisms that extensions bring.

use trace::Mechanism;

use super::entry::{BLANK, Entry};

const ELECTIONS: &str = "extensions/elections/src/guard.rs";

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        mechanism: Mechanism::PreVote,
        faults: "a node that was cut off",
        guard: Some((ELECTIONS, "pre_vote")),
        published: "Ongaro, 2014, section 9.6 (preventing disruptions when a server rejoins the cluster)",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::PreVoteAsStrict,
        faults: "a primary that dies, and a replica that lacks its last entries",
        guard: Some((ELECTIONS, "pre_vote_as_strict")),
        published: "Ongaro, 2014, section 9.6 (a pre-vote asks whether the vote would be granted)",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::LeaderStickiness,
        faults: "one link of three cut",
        guard: Some((ELECTIONS, "leader_stickiness")),
        published: "Ongaro, 2014, section 4.2.3 (disruptive servers: who hears a leader does not vote)",
        ..BLANK
    },
    Entry {
        mechanism: Mechanism::CheckQuorum,
        faults: "a primary that is heard and hears nobody",
        guard: Some((ELECTIONS, "check_quorum")),
        published: "Ongaro, 2014, section 6.2 (a leader steps down if it hears no majority)",
        ..BLANK
    },
];
