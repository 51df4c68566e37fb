//! A live cluster held against the specification: real processes, real kills.

mod common;

use common::{Cluster, program};

#[test]
fn every_step_of_a_live_cluster_is_allowed_and_a_trace_that_lacks_a_node_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let traces = dir.path().join("traces");
    let data = dir.path().join("data");
    let cluster = Cluster::start_in(&data, &["--image-size", "8M", "--trace", traces.to_str().unwrap()]);
    let steps: [&[&str]; 6] = [
        &["put", "fruit", "apple"],
        &["kill", "n1"],
        &["put", "fruit", "pear"],
        &["restart", "n1"],
        &["get", "fruit"],
        &["put", "fruit", "plum"],
    ];
    steps.iter().for_each(|step| _ = cluster.ok(step));
    cluster.stop();
    let file = |node: u32| traces.join(format!("n{node}.jsonl"));
    let check = |nodes: &[u32]| {
        program().args(["spec", "check"]).args(nodes.iter().map(|node| file(*node))).output().unwrap()
    };
    let all = check(&[3, 1, 2]);
    let told = String::from_utf8_lossy(&all.stdout);
    assert!(all.status.success() && told.contains(" 0 mismatches"), "{told}");
    // Whoever counts on n2's and n3's words counts on what nobody said.
    let some = check(&[1]);
    let told = String::from_utf8_lossy(&some.stdout);
    assert_eq!(some.status.code(), Some(1), "{told}");
    assert!(told.contains("never said") && told.contains("crates/dataplane/src/"), "{told}");
}
