//! The exercises.

use super::answers;
use super::exercise::Tell;

/// All of them, from easy to hard.
pub(in crate::learn) const TELLS: &[Tell] = &[
    Tell {
        name: "applied-is-committed",
        words: "A replica applies only what it knows to be committed (D5).",
        hints: [
            "Each node has two numbers that you compare.",
            "`now.nodes.iter().all(…)`, with `applied` and `committed`.",
        ],
        holds: answers::applied_is_committed,
        symbol: "applied_is_committed",
    },
    Tell {
        name: "one-primary",
        words: "An epoch has at most one primary (D2).",
        hints: [
            "Two primaries at once are no contradiction: the old one may not have heard yet. When are they?",
            "A primary's epoch is the one that it promised last. Compare each pair of nodes whose `role` is \"primary\".",
        ],
        holds: answers::one_primary,
        symbol: "one_primary",
    },
    Tell {
        name: "committed-agrees",
        words: "Two replicas that have committed a seq have the same entry there (D1).",
        hints: [
            "An entry is identified by its seq and by the epoch that wrote it: both are in a `Cell`.",
            "For each pair of nodes, for each cell of the one whose standing is at least `Standing::Committed`: what does the \
             other have at that seq, if it has committed it too?",
        ],
        holds: answers::committed_agrees,
        symbol: "committed_agrees",
    },
    Tell {
        name: "committed-is-durable",
        words: "An entry that some replica has committed is durable on a majority, as long as no replica is down or has lost its log.",
        hints: [
            "That an entry is in a log is not enough: up to where has that log been synced?",
            "Count the nodes that have the cell, with the same epoch, at most at `durable`; or whose `base` is at least its seq. \
             Say nothing while a node is `down`, or not `proven`.",
        ],
        holds: answers::committed_is_durable,
        symbol: "committed_is_durable",
    },
    Tell {
        name: "primary-is-complete",
        words: "The serving primary of the greatest epoch has every entry that any replica has committed (D4).",
        hints: [
            "An old primary may lack entries: it does not know that it was deposed. Which one may not?",
            "Entries up to `base` are in its checkpoint. A cell of another epoch at the same seq is not the same entry.",
        ],
        holds: answers::primary_is_complete,
        symbol: "primary_is_complete",
    },
];
