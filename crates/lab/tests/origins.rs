//! What is claimed of a counterexample's length, and how it was found.

use lab::Schedule;
use lab::why::{self, FoundBy, registry};
use trace::Mechanism;

/// Searches that end after more states are not run again here.
const STATES: u64 = 20_000;

fn stored() -> impl Iterator<Item = (Mechanism, Schedule)> {
    registry::entries().filter_map(|entry| Some((entry.mechanism, entry.counterexample?.parse().unwrap())))
}

#[test]
fn every_counterexample_says_how_it_was_found_in_a_form_that_is_understood() {
    for (mechanism, schedule) in stored() {
        assert!(schedule.says_how_it_was_found(), "{mechanism}: {:?}", schedule.notes);
        let searched = schedule.found_by() == FoundBy::Exhaustive;
        // Whoever says so names a scope in which it can be found again.
        assert!(!searched || registry::entry(mechanism).scope.is_some(), "{mechanism}: {:?}", schedule.notes);
    }
}

fn noted(note: &str) -> Schedule {
    format!("# {note}\n> cluster 3\n> write 1 to n1\n").parse().unwrap()
}

#[test]
fn only_what_breadth_first_search_found_and_nobody_shortened_is_called_the_shortest() {
    let found = "Found by exhaustive search of scope failover for what a client sees, after 960 states";
    let cases = [
        (format!("{found}: one of the shortest there."), FoundBy::Exhaustive, true),
        (format!("{found}; then shortened."), FoundBy::Exhaustive, false),
        ("Found by seed 7 of the simulator; then shortened.".into(), FoundBy::Seed, false),
        ("Written by hand; then shortened.".into(), FoundBy::Hand, false),
        ("From mine: one of the shortest there.".into(), FoundBy::Hand, false),
    ];
    for (note, found_by, shortest) in cases {
        let schedule = noted(&note);
        assert_eq!((schedule.found_by(), schedule.is_shortest()), (found_by, shortest), "{note}");
    }
}

#[test]
fn a_fresh_search_finds_none_shorter_than_what_is_called_the_shortest() {
    let mut searched = 0;
    for (mechanism, schedule) in stored().filter(|(_, schedule)| schedule.is_shortest()) {
        let Some(found) = why::search(mechanism, STATES, 2).unwrap() else { continue };
        searched += 1;
        assert_eq!(found.steps.len(), schedule.steps.len(), "{mechanism}: {found}");
        assert!(found.is_shortest(), "{mechanism}: {:?}", found.notes);
    }
    assert!(searched > 0, "some are found within {STATES} states");
}

/// A device's schedules are tried depth first.
#[test]
fn nothing_is_called_the_shortest_of_a_device() {
    let found = why::search(Mechanism::AckAfterSync, STATES, 2).unwrap().expect("it is found at once");
    assert!(found.found_by() == FoundBy::Exhaustive && !found.is_shortest(), "{:?}", found.notes);
    assert!(stored().all(|(_, schedule)| !(schedule.is_local() && schedule.is_shortest())));
}
