//! Without a mechanism, the code takes a step that the specification forbids by the clause of that name.

use spec::{Checker, clause, cutaway, necessity, of_the_core, without};
use trace::{Mechanism, Mechanisms};

#[test]
fn each_counterexample_of_a_cluster_is_rejected_at_the_clause_of_its_mechanism() {
    let mut rejected = 0;
    for &mechanism in Mechanism::ALL {
        if of_the_core(mechanism).is_none() {
            continue;
        }
        let found =
            necessity(mechanism).unwrap().unwrap_or_else(|| panic!("{mechanism}: every step is allowed"));
        assert_eq!(found.clause, Some(mechanism), "{mechanism}: {found}");
        assert!(!found.event.source.file.is_empty() && found.step.is_some(), "{mechanism}: {found}");
        rejected += 1;
    }
    assert!(rejected >= 24, "only {rejected} counterexamples");
}

#[test]
fn the_same_schedules_are_allowed_with_the_mechanism_on() {
    for mechanism in Mechanism::ALL {
        let Some(schedule) = of_the_core(*mechanism) else { continue };
        let checker = Checker::new(schedule.setting().unwrap().nodes).unwrap();
        let verdict = checker.schedule(&schedule, Mechanisms::all()).unwrap();
        assert!(verdict.steps > 3, "{mechanism}: {} steps", verdict.steps);
        assert!(verdict.mismatches.is_empty(), "{mechanism}: {}", verdict.mismatches[0]);
    }
}

/// The other half: the specification without the clause is as wrong as the code without the mechanism.
#[test]
fn without_the_clause_the_specification_allows_the_counterexample_and_an_invariant_breaks() {
    let mut broken = 0;
    for &mechanism in Mechanism::ALL {
        let Some(verdict) = without(mechanism).unwrap() else { continue };
        // A log of the specification has no holes, and a commit point is of entries that match: docs/spec.md.
        if [Mechanism::LogMatching, Mechanism::TruncateOnConflict].contains(&mechanism) {
            assert_eq!(verdict.violated, None, "{mechanism}: then the page is out of date");
            continue;
        }
        assert!(verdict.mismatches.is_empty(), "{mechanism}: {}", verdict.mismatches[0]);
        assert!(verdict.violated.is_some(), "{mechanism}: {} steps, and all invariants hold", verdict.steps);
        broken += 1;
    }
    assert!(broken >= 22, "only {broken}");
}

#[test]
fn each_clause_is_named_in_the_specification_by_its_id() {
    let spec = cutaway(3).unwrap();
    let clauses: Vec<Mechanism> = spec.definitions().filter_map(clause).collect();
    assert!(clauses.len() >= 24, "{clauses:?}");
    for mechanism in clauses {
        assert!(spec::CUTAWAY.contains(&format!("\\* {}", mechanism.id())), "{mechanism} has no comment");
    }
}
