//! How a counterexample was found, and what may be claimed of its length.
//!
//! The first line of a schedule says it, in one of these forms:
//!
//! | line | found by | claim |
//! |---|---|---|
//! | `Found by exhaustive search of scope S …: one of the shortest there.` | breadth-first search, and left as it was | shortest |
//! | `Found by exhaustive search of scope S …; then shortened.` | search | 1-minimal |
//! | `Found by seed N …` | the simulator | 1-minimal |
//! | `Written by hand …` | a person | 1-minimal |
//!
//! *Shortest* holds for the scope: no schedule of fewer steps within its bounds breaks a promise that a client sees. Another
//! scope may have a shorter one. *1-minimal* says only that no single step can go. A schedule that was found and then
//! shortened is no longer within the bounds that were searched, so nothing is known of others of its length.

use crate::device::Work;
use crate::schedule::Schedule;

/// How a schedule was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundBy {
    /// By visiting every state of a scope, up to this one.
    Exhaustive,
    /// By a seed of the simulator.
    Seed,
    /// By a person.
    Hand,
}

impl FoundBy {
    /// The word for it in JSON.
    pub fn word(self) -> &'static str {
        match self {
            FoundBy::Exhaustive => "exhaustive",
            FoundBy::Seed => "seed",
            FoundBy::Hand => "hand",
        }
    }
}

const EXHAUSTIVE: &str = "Found by exhaustive search of scope ";
const SEED: &str = "Found by seed ";
const HAND: &str = "Written by hand";
const SHORTEST: &str = ": one of the shortest there.";

/// What a search says of what it found in `scope`. `untouched`: breadth-first search found these very steps.
pub(super) fn of_search(scope: &str, states: u64, untouched: bool) -> String {
    let seen = if Work::named(scope).is_some() { "" } else { " for what a client sees" };
    let then = if untouched { SHORTEST } else { "; then shortened." };
    format!("{EXHAUSTIVE}{scope}{seen}, after {states} states{then}")
}

impl Schedule {
    fn origin(&self) -> &str {
        self.notes.first().map_or("", String::as_str)
    }

    /// How it was found. What nobody says was found is written by hand.
    pub fn found_by(&self) -> FoundBy {
        match self.origin() {
            note if note.starts_with(EXHAUSTIVE) => FoundBy::Exhaustive,
            note if note.starts_with(SEED) => FoundBy::Seed,
            _ => FoundBy::Hand,
        }
    }

    /// Is it known to be the shortest of its scope?
    pub fn is_shortest(&self) -> bool {
        self.origin().starts_with(EXHAUSTIVE) && self.origin().ends_with(SHORTEST)
    }

    /// Does its first line say how it was found, in one of the known forms?
    pub fn says_how_it_was_found(&self) -> bool {
        [EXHAUSTIVE, SEED, HAND].iter().any(|form| self.origin().starts_with(form))
    }
}
