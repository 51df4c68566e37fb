//! With every mechanism on, no state of the small scopes breaks a promise; with one taken out, some state does.

use lab::check::{Outcome, Progress, SCOPES, Scope, explore};
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
    for scope in SCOPES {
        let outcome = run(*scope, 30_000);
        assert!(outcome.found.is_none(), "scope {}: {:#?}", scope.name, outcome.found);
        let Progress { states, .. } = outcome.progress;
        assert!(outcome.complete || states >= 30_000, "scope {}: only {states} states", scope.name);
    }
}

/// One mechanism taken out, the scope in which its absence shows, and the promise that is broken then.
fn breaks(mechanism: Mechanism, scope: &str, id: &str) {
    breaks_in(named(scope), mechanism, id);
}

fn breaks_in(scope: Scope, mechanism: Mechanism, id: &str) {
    let outcome = run(scope.without(mechanism), 400_000);
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

/// The scope in which the absence of a mechanism of `membership` shows; narrower here, where that takes no more.
fn of_members(mechanism: Mechanism) -> Scope {
    match mechanism {
        Mechanism::OneChangeAtATime => named("removals"),
        Mechanism::ConfigWhenAppended => Scope { messages_max: 2, ..named("removal-forgotten") },
        Mechanism::RemovedDoesNotCount => Scope { messages_max: 2, ..named("primary-removed") },
        Mechanism::MembersInState => Scope { crashes: 0, ..named("five-to-three") },
        Mechanism::ChangeAfterOwnCommit => named("rival-removals"),
        other => panic!("{other} is no mechanism of members"),
    }
}

#[test]
fn every_state_in_which_members_are_removed_keeps_its_promises() {
    for (mechanism, states) in [
        (Mechanism::OneChangeAtATime, 100_000),
        (Mechanism::ConfigWhenAppended, 7_000),
        (Mechanism::MembersInState, 10_000),
    ] {
        let scope = of_members(mechanism);
        let outcome = run(scope, u64::MAX);
        assert!(outcome.found.is_none(), "{}: {:#?}", scope.name, outcome.found);
        assert!(
            outcome.complete && outcome.progress.states > states,
            "{}: {:?}",
            scope.name,
            outcome.progress
        );
    }
}

#[test]
fn without_a_mechanism_of_membership_two_majorities_commit_two_truths() {
    for (mechanism, id) in [
        (Mechanism::OneChangeAtATime, "D7"),
        (Mechanism::ConfigWhenAppended, "D7"),
        (Mechanism::RemovedDoesNotCount, "P1"),
        (Mechanism::MembersInState, "D7"),
        (Mechanism::ChangeAfterOwnCommit, "D7"),
    ] {
        breaks_in(of_members(mechanism), mechanism, id);
    }
}

/// What elections wish for is safe whichever of their own mechanisms is out: those are for liveness.
#[test]
fn the_first_states_of_elections_keep_their_promises_without_any_of_their_own_mechanisms() {
    for mechanism in
        [Mechanism::PreVote, Mechanism::PreVoteAsStrict, Mechanism::LeaderStickiness, Mechanism::CheckQuorum]
    {
        let outcome = run(named("elections").without(mechanism), 30_000);
        assert!(outcome.found.is_none(), "without {mechanism}: {:#?}", outcome.found);
        assert!(outcome.progress.states >= 30_000, "without {mechanism}: {:?}", outcome.progress);
    }
}

/// Elections that went past the rules would be silent as well: that the scopes ask them shows without one of the rules'.
#[test]
fn without_a_promise_mechanism_two_nodes_elect_themselves_or_are_wished_into_one_epoch() {
    breaks(Mechanism::PromiseMajority, "elections-rivals", "D2");
    breaks(Mechanism::OneCandidatePerEpoch, "elections-rivals", "D2");
    breaks(Mechanism::PromiseMajority, "wishes", "D2");
    breaks(Mechanism::OneCandidatePerEpoch, "wishes", "D2");
    breaks(Mechanism::DurablePromise, "wishes", "D2");
    breaks(Mechanism::MajorityCommit, "wishes", "P1");
}
