//! A cluster whose devices fill up: who hears of it, and what goes on.

mod common;

use std::fs;

use common::{Cluster, Reply, eventually, ok};

const FULL: &str = "the device is full";

#[test]
fn a_device_that_fills_up_says_so_refuses_what_has_no_room_and_goes_on_with_the_rest() {
    let cluster = Cluster::new(&["--image-size", "8M"]);
    let mut redis = cluster.redis(1);
    let value = "v".repeat(50_000);
    assert!(!cluster.ok(&["status"]).contains("nearly full"));
    let mut keys = 0;
    let refused = loop {
        match redis.call(&["SET", &format!("k{keys}"), &value]) {
            taken if taken == ok() => keys += 1,
            refused => break refused,
        }
        assert!(keys < 1000, "8 MiB hold no more");
    };
    assert!(keys > 50, "{keys}");
    assert!(matches!(&refused, Reply::Error(why) if why.contains(FULL)), "{refused:?}");

    // Everybody who asks is told, and who does not ask finds it in the log.
    eventually("status tells how full each replica is", || {
        let full = |node: &serde_json::Value| node["full_percent"].as_u64().is_some_and(|full| full > 95);
        cluster.shard(0)["nodes"].as_array()?.iter().all(full).then_some(())
    });
    assert!(cluster.ok(&["status"]).contains("with up --image-size"), "and what to do about it");
    for node in ["n1", "n2", "n3"] {
        let log = fs::read_to_string(cluster.dir.join(node).join("log")).unwrap();
        let lines =
            log.lines().filter(|line| line.contains("WARN") && line.contains("% nearly full")).count();
        assert!((1..=4).contains(&lines), "{lines} of\n{log}");
    }

    // What takes no more room is written, as often as one likes.
    for key in (0..keys).chain(0..keys) {
        assert_eq!(redis.call(&["SET", &format!("k{key}"), &value]), ok(), "{key} of {keys}");
    }
    let more = cluster.run(&["put", "more", &value]);
    assert_eq!(more.status.code(), Some(1), "it certainly had no effect");
    assert!(String::from_utf8_lossy(&more.stderr).contains(FULL));
    assert_eq!(cluster.run(&["get", "more"]).status.code(), Some(1));

    // What is deleted gives room.
    for key in 0..20 {
        assert_eq!(redis.call(&["DEL", &format!("k{key}")]), Reply::Integer(1));
    }
    cluster.ok(&["put", "more", &value]);
}
