//! Members that change, step by step: real nodes on simulated disks, as the lab plays them.

use lab::{Machine, Schedule};
use trace::{Mechanism, Mechanisms};

/// Plays a schedule to its end; what it came to.
fn played(text: &str, on: Mechanisms) -> Machine {
    let schedule: Schedule = text.parse().expect("a schedule");
    let mut machine = Machine::new(&schedule, on).expect("a cluster");
    while machine.advance().is_some() {}
    assert_eq!(machine.stopped(), None, "{text}");
    for act in machine.acts() {
        assert_eq!(act.skipped, None, "{}", act.words);
    }
    machine
}

fn heard(machine: &Machine) -> Vec<String> {
    machine.acts().iter().flat_map(|act| act.client.clone()).collect()
}

fn told(machine: &Machine) -> String {
    let sentences = machine.acts().iter().flat_map(|act| &act.events).map(|event| {
        let name = event.id.actor.to_string();
        format!("{} {}\n", name.split('/').next().unwrap_or(&name), event.kind.sentence())
    });
    sentences.collect()
}

#[test]
fn a_node_is_replaced_by_another_while_clients_write() {
    let machine = played(
        "> cluster 4\n> founders 3\n> with membership\n> judge service\n> write 1 to n1\n> add n4 at n1\n> wait 6\n\
         > write 2 to n1\n> calm\n> remove n3 at n1\n> calm\n> write 3 to n1\n> calm without n3\n",
        Mechanisms::all(),
    );
    assert_eq!(machine.broken(), None);
    let told = told(&machine);
    assert!(told.contains("(promote n4): from now on n1, n2, n3, n4 count"), "{told}");
    assert!(told.contains("(remove n3): from now on n1, n2, n4 count"), "{told}");
    let heard = heard(&machine);
    assert_eq!(heard.iter().filter(|line| line.contains("is written as version")).count(), 3, "{heard:?}");
}

#[test]
fn a_primary_that_is_removed_has_another_lead() {
    let text = "> cluster 4\n> with membership\n> remove n1 at n1\n> wait 6\n";
    let handed = told(&played(text, Mechanisms::all()));
    assert!(handed.contains("n1 was removed, and has n"), "{handed}");
    assert!(handed.contains("starts to serve in epoch 2"), "{handed}");
    let kept = told(&played(text, Mechanisms::all().without(Mechanism::HandOver)));
    assert!(!kept.contains("epoch 2"), "{kept}");
}

#[test]
fn a_removal_of_the_primary_needs_a_majority_of_those_left_and_not_the_first_of_them() {
    let told = told(&played(
        "> cluster 4\n> with membership\n> cut n1 n2\n> remove n1 at n1\n> wait 6\n",
        Mechanisms::all(),
    ));
    assert!(
        told.contains("n1 was removed, and has n") && told.contains("starts to serve in epoch 2"),
        "{told}"
    );
}

#[test]
fn a_primary_that_is_removed_commits_nothing_before_its_own_sync_returns() {
    let acknowledged = "> cluster 4\n> with membership\n> remove n1 at n1\n> deliver n1 n2\n> deliver n1 n3\n> sync n2\n\
                        > sync n3\n> deliver n2 n1\n> deliver n3 n1\n";
    let commits = "n1 commits entry 3";
    let before = told(&played(acknowledged, Mechanisms::all()));
    assert!(before.contains("n1 counts n3") && !before.contains(commits), "{before}");
    let after = told(&played(&format!("{acknowledged}> sync n1\n"), Mechanisms::all()));
    assert!(after.contains(commits), "{after}");
}

#[test]
fn a_primary_that_is_removed_and_added_again_at_once_counts_in_the_end() {
    let told = told(&played(
        "> cluster 4\n> with membership\n> remove n1 at n1\n> calm\n> add n1 at n1\n> calm\n> wait 10\n",
        Mechanisms::all(),
    ));
    assert!(told.contains("(promote n1): from now on n1, n2, n3, n4 count"), "{told}");
}

#[test]
fn whoever_leads_next_goes_on_with_a_change_that_is_under_way() {
    // n4 learns, and n1, which added it, is gone before it counts.
    let told = told(&played(
        "> cluster 4\n> founders 3\n> with membership\n> add n4 at n1\n> calm\n> cut n1 n2\n> cut n1 n3\n> cut n1 n4\n\
         > takeover n2 above 1\n> calm\n> wait 8\n",
        Mechanisms::all(),
    ));
    assert!(
        told.contains("n2 has entry") && told.contains("(promote n4): from now on n1, n2, n3, n4"),
        "{told}"
    );
}

#[test]
fn a_change_that_would_leave_no_majority_that_answers_is_refused() {
    let machine = played(
        "> cluster 3\n> with membership\n> cut n1 n3\n> wait 20\n> remove n2 at n1\n> calm\n> write 1 to n1\n> calm\n",
        Mechanisms::all(),
    );
    let heard = heard(&machine);
    assert!(heard[0].contains("of n1, n3 only 1 answer, and 2 make a majority"), "{heard:?}");
    assert!(heard[1].contains("is written"), "{heard:?}");
}

#[test]
fn a_late_acknowledgement_from_a_former_life_counts_for_nothing() {
    // What n3 acknowledges is slow. It is removed, loses its disk, and is added again; then the frame arrives.
    let commits = "> deliver n1 n2 Prepare\n> sync n1\n> sync n2\n> deliver n2 n1 PrepareOk\n";
    let late = format!(
        "> cluster 3\n> with membership\n> write 1 to n1\n> deliver n1 n3 Prepare\n> sync n3\n{commits}\
         > remove n3 at n1\n{commits}> wipe n3\n> add n3 at n1\n{commits}> deliver n3 n1 PrepareOk\n"
    );
    let now = told(&played(&format!("{late}> tick n1\n> tick n1\n> tick n1\n"), Mechanisms::all()));
    assert!(now.contains("n1 counts n3 as having entries up to 3"), "{now}");
    assert!(!now.contains("promote n3"), "n3 has nothing of it: {now}");
    let machine =
        played(&format!("{late}> wait 8\n> takeover n3 above 1\n> calm without n1\n"), Mechanisms::all());
    assert_eq!(machine.broken(), None, "it has got all of it, and leads");
    let later = told(&machine);
    assert!(later.contains("promote n3") && later.contains("n3 starts to serve in epoch 2"), "{later}");
}

#[test]
fn who_was_never_told_that_it_was_removed_leads_nobody() {
    let machine = played(
        "> cluster 3\n> with membership\n> remove n3 at n1\n> calm without n3\n> write 1 to n1\n> calm without n3\n\
         > takeover n3 above 1\n> calm\n> tick n3\n> calm\n> takeover n2 above 2\n> calm\n> state\n",
        Mechanisms::all(),
    );
    assert_eq!(machine.broken(), None);
    let told = told(&machine);
    assert!(!told.contains("n3 becomes primary") && told.contains("n2 starts to serve"), "{told}");
}
