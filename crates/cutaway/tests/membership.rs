//! Members that change, with real processes: nodes are added, removed and replaced while clients write.

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;
use std::time::Duration;

use common::{Cluster, Reply, eventually, ok, program};
use serde_json::Value;

/// Clients at a time.
const CLIENTS: usize = 64;

fn cluster(options: &[&str]) -> Cluster {
    Cluster::new(&[&["--with", "membership", "--image-size", "32M"], options].concat())
}

/// Writes until it is over, each write once, and remembers what was acknowledged. Every one has to be.
fn write(cluster: &Cluster, client: usize, over: &AtomicBool) -> BTreeMap<String, String> {
    let (mut redis, mut written) = (cluster.redis(1), BTreeMap::new());
    for round in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let (key, value) = (format!("client{client}/{}", round % 20), format!("round {round}"));
        assert_eq!(redis.call(&["SET", &key, &value]), ok(), "client {client}, round {round}");
        written.insert(key, value);
    }
    written
}

/// Does something while clients write; then everything that was acknowledged is there.
fn under_load(cluster: &Cluster, change: impl FnOnce()) {
    let over = AtomicBool::new(false);
    let written = scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let over = &over;
                scope.spawn(move || write(cluster, client, over))
            })
            .collect();
        // Whatever happens, the clients end.
        let changed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(change));
        over.store(true, Ordering::Relaxed);
        let written: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
        changed.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        written.into_iter().map(|client| client.expect("no request fails")).collect::<Vec<_>>()
    });
    let mut redis = cluster.redis(1);
    for (key, value) in written.into_iter().flatten() {
        assert_eq!(redis.call(&["GET", &key]), Reply::Bulk(value.into_bytes()), "{key}");
    }
}

/// Those that count in a shard, as its primary says.
fn voters(cluster: &Cluster, shard: usize) -> Vec<String> {
    let mut http = ureq::get(format!("http://{}/v1/members", cluster.http(1))).call().unwrap();
    let body: Value = serde_json::from_str(&http.body_mut().read_to_string().unwrap()).unwrap();
    let members = body["shards"][shard]["members"].as_array().unwrap().clone();
    let voters = members.iter().filter(|member| member["is"] == "voter");
    voters.map(|member| member["node"].as_str().unwrap().to_string()).collect()
}

/// A gateway hears of the members with the next status.
fn expect(cluster: &Cluster, shard: usize, wanted: &[&str]) {
    eventually(&format!("{wanted:?} count"), || (voters(cluster, shard) == wanted).then_some(()));
}

#[test]
fn all_three_nodes_are_replaced_one_after_the_other_and_no_request_fails() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let found = ["--with", "membership", "--image-size", "32M", "--shards", "2"];
    let cluster = Cluster::start_in(&dir, &found);
    under_load(&cluster, || {
        for (old, new) in [("n1", "n4"), ("n2", "n5"), ("n3", "n6")] {
            let said = cluster.ok(&["replace", old, "--with", new]);
            assert!(said.contains(&format!("{new} counts in every shard, and {old} is removed")), "{said}");
        }
    });
    (0..2).for_each(|shard| expect(&cluster, shard, &["n4", "n5", "n6"]));
    // A gateway that starts now learns of the present nodes, although the founders are gone; and so does a node.
    cluster.ok(&["restart", "g1"]);
    cluster.ok(&["put", "fruit", "pear"]);
    cluster.ok(&["restart", "n5"]);
    cluster.caught_up("n5", 0);
    // Those who founded the cluster are gone; it starts without them, and has what it had.
    cluster.ok(&["put", "fruit", "apple"]);
    cluster.stop();
    let cluster = Cluster::start_in(&dir, &[]);
    assert_eq!(cluster.ok(&["get", "fruit"]).trim_end(), "apple");
    expect(&cluster, 0, &["n4", "n5", "n6"]);
}

#[test]
fn a_cluster_grows_from_three_to_five_and_back_and_no_request_fails() {
    let cluster = cluster(&[]);
    under_load(&cluster, || {
        for change in [["add", "n4"], ["add", "n5"]] {
            cluster.ok(&change);
        }
        expect(&cluster, 0, &["n1", "n2", "n3", "n4", "n5"]);
        for change in [["remove", "n1"], ["remove", "n2"]] {
            cluster.ok(&change);
        }
    });
    expect(&cluster, 0, &["n3", "n4", "n5"]);
}

#[test]
fn a_node_that_was_removed_comes_back_with_what_it_had_or_with_an_empty_disk() {
    let cluster = cluster(&[]);
    cluster.ok(&["put", "fruit", "apple"]);
    for wiped in [false, true] {
        cluster.ok(&["remove", "n3"]);
        cluster.ok(&["put", "fruit", if wiped { "plum" } else { "pear" }]);
        if wiped {
            std::fs::remove_file(cluster.dir.join("n3/shard-0.img")).unwrap();
        }
        cluster.ok(&["add", "n3"]);
        expect(&cluster, 0, &["n1", "n2", "n3"]);
        cluster.caught_up("n3", 0);
    }
    // It counts: with n1 or n2 gone, whichever leads, it is one of two.
    let primary = cluster.primary(0, None);
    cluster.ok(&["kill", &primary]);
    assert_eq!(cluster.ok(&["get", "fruit"]).trim_end(), "plum");
}

#[test]
fn what_cannot_be_is_refused_with_the_reason_and_changes_nothing() {
    let cluster = cluster(&[]);
    let refused = |arguments: &[&str]| {
        let output = cluster.run(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let why = refused(&["replace", "n3", "--with", "n3"]);
    assert!(why.contains("format --joining"), "{why}");
    let why = refused(&["add", "n99"]);
    assert!(why.contains("n1 to n10"), "{why}");
    cluster.primary(0, None);
    cluster.ok(&["kill", "n3"]);
    // It has said nothing for long.
    std::thread::sleep(Duration::from_secs(1));
    let why = refused(&["remove", "n2", "--patience", "1"]);
    assert!(why.contains("of n1, n3 only 1 answer, and 2 make a majority"), "{why}");
    expect(&cluster, 0, &["n1", "n2", "n3"]);
    // Without the extension nobody is asked.
    let plain = Cluster::new(&["--image-size", "8M"]);
    let output = program().args(["add", "n4", "--gateway", &plain.http(1)]).output().unwrap();
    let why = String::from_utf8(output.stderr).unwrap();
    assert!(why.contains("--with membership"), "{why}");
}
