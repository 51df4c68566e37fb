//! With every mechanism on, no state of the small scopes breaks a promise; with one taken out, some state does.

use lab::check::{Outcome, Scope, explore};
use trace::Mechanism;

fn run(scope: Scope, states_max: u64) -> Outcome {
    explore(&scope, states_max, 2, |_| ())
}

fn named(name: &str) -> Scope {
    Scope::named(name).expect("a scope of this name")
}

#[test]
fn every_state_of_a_serving_cluster_with_a_crash_keeps_its_promises() {
    let outcome = run(named("crash"), u64::MAX);
    assert!(outcome.found.is_none(), "{:#?}", outcome.found);
    assert!(outcome.complete && outcome.progress.states > 100_000, "{:?}", outcome.progress);
}

#[test]
fn the_first_states_of_every_scope_keep_their_promises() {
    for scope in lab::check::SCOPES {
        let outcome = run(*scope, 30_000);
        assert!(outcome.found.is_none(), "scope {}: {:#?}", scope.name, outcome.found);
    }
}

/// One mechanism taken out, the scope in which its absence shows, and the promise that is broken then.
fn breaks(mechanism: Mechanism, scope: &str, id: &str) {
    let outcome = run(named(scope).without(mechanism), 400_000);
    let found =
        outcome.found.unwrap_or_else(|| panic!("without {mechanism}: nothing in {:?}", outcome.progress));
    assert!(found.broken.starts_with(id), "without {mechanism}: {}", found.broken);
    assert!(!found.steps.is_empty());
}

#[test]
fn without_a_promise_mechanism_two_primaries_share_an_epoch() {
    breaks(Mechanism::OneCandidatePerEpoch, "takeover", "D2");
    breaks(Mechanism::PromiseMajority, "takeover", "D2");
    breaks(Mechanism::DurablePromise, "takeover", "D2");
}

#[test]
fn without_a_log_mechanism_what_was_committed_is_contradicted() {
    breaks(Mechanism::EpochFence, "takeover", "D7");
    breaks(Mechanism::MostCompleteLog, "takeover", "D7");
    breaks(Mechanism::TailWithPromise, "takeover", "D7");
    breaks(Mechanism::MajorityCommit, "takeover", "D7");
    breaks(Mechanism::DurableAck, "takeover", "D7");
    breaks(Mechanism::LogMatching, "failover", "D7");
    breaks(Mechanism::TruncateOnlyOnConflict, "failover", "D7");
    breaks(Mechanism::TruncateOnConflict, "wipe", "D1");
    breaks(Mechanism::UnprovenLogDoesNotVote, "wipe", "D7");
}

#[test]
fn without_a_client_mechanism_a_client_is_told_two_truths() {
    breaks(Mechanism::ReadConfirmation, "reads", "P2");
    breaks(Mechanism::RequestDedup, "retry", "D6");
    breaks(Mechanism::ApplyOnlyCommitted, "failover", "D5");
}
