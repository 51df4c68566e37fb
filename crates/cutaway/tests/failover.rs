//! Processes are killed, stopped and cut off; what was acknowledged stays, and service returns.

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Cluster, Reply, bulk, eventually, is_gone, ok, signal};
use rustix::process::Signal;

#[test]
fn the_first_write_after_a_start_needs_no_second_failover() {
    // In an earlier prototype the first put failed and deposed a primary that was fine.
    let cluster = Cluster::new(&[]);
    let before = cluster.shard(0);
    assert!(before["primary"].is_string(), "`up` says ready once the cluster serves");
    cluster.ok(&["put", "k", "v"]);
    let after = cluster.shard(0);
    assert_eq!(before["epoch"], after["epoch"]);
    assert_eq!(before["primary"], after["primary"]);
}

#[test]
fn killing_the_primary_costs_the_client_one_slow_answer_and_no_error() {
    let cluster = Cluster::new(&[]);
    let mut redis = cluster.redis(1);
    assert_eq!(redis.call(&["SET", "before", "1"]), ok());
    let old = cluster.primary(0, None);
    signal(cluster.pid(&old), Signal::KILL);
    assert_eq!(redis.call(&["SET", "after", "2"]), ok());
    assert_eq!(redis.call(&["GET", "before"]), bulk("1"));
    assert_eq!(redis.call(&["GET", "after"]), bulk("2"));
    let status = cluster.shard(0);
    assert_ne!(status["primary"], old.as_str());
    assert_eq!(status["last_failover"]["from"], old.as_str());
    assert_eq!(status["last_failover"]["to"], status["primary"]);
    assert!(status["last_failover"]["why"].as_str().is_some_and(|why| !why.is_empty()));
    assert!(status["last_failover"]["at"].as_str().is_some_and(|at| at.ends_with('Z')));
}

#[test]
fn kill_primary_means_whoever_leads_now() {
    // In an earlier prototype it killed a fixed node, whoever led.
    let cluster = Cluster::new(&[]);
    let first = cluster.primary(0, None);
    assert!(cluster.ok(&["kill", "primary"]).contains(&first));
    let second = cluster.primary(0, Some(&first));
    cluster.ok(&["restart", &first]);
    cluster.caught_up(&first, 0);
    assert!(cluster.ok(&["kill", "primary"]).contains(&second));
    let third = cluster.primary(0, Some(&second));
    assert_ne!(third, second);
    cluster.ok(&["put", "k", "v"]);
}

#[test]
fn a_get_fails_over_as_a_put_does() {
    let cluster = Cluster::new(&[]);
    cluster.ok(&["put", "k", "v"]);
    cluster.ok(&["kill", "primary"]);
    assert_eq!(cluster.ok(&["get", "k"]), "v");
}

#[test]
fn a_restarted_primary_comes_back_as_a_backup_and_catches_up() {
    let cluster = Cluster::new(&[]);
    let mut redis = cluster.redis(1);
    let old = cluster.primary(0, None);
    let epoch = cluster.shard(0)["epoch"].as_u64();
    cluster.ok(&["kill", &old]);
    (0..50).for_each(|i| assert_eq!(redis.call(&["SET", &format!("k{i}"), "v"]), ok()));
    cluster.ok(&["restart", &old]);
    cluster.caught_up(&old, 0);
    let shard = cluster.shard(0);
    assert!(shard["epoch"].as_u64() > epoch);
    let node = shard["nodes"].as_array().unwrap().iter().find(|n| n["node"] == old.as_str()).unwrap();
    assert_eq!(node["role"], "backup");
    // And it counts: with the other backup gone, it makes the majority.
    let primary = cluster.primary(0, None);
    let third = ["n1", "n2", "n3"].into_iter().find(|n| *n != old && *n != primary).unwrap();
    cluster.ok(&["kill", third]);
    assert_eq!(redis.call(&["SET", "with", "two"]), ok());
}

#[test]
fn killing_every_process_and_starting_again_loses_nothing() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let cluster = Cluster::start_in(&dir, &["--image-size", "32M"]);
    let mut redis = cluster.redis(1);
    (0..100).for_each(|i| assert_eq!(redis.call(&["SET", &format!("k{i}"), &format!("v{i}")]), ok()));
    let epoch = cluster.shard(0)["epoch"].as_u64();
    cluster.kill_all();

    let cluster = Cluster::start_in(&dir, &[]);
    let mut redis = cluster.redis(1);
    (0..100).for_each(|i| assert_eq!(redis.call(&["GET", &format!("k{i}")]), bulk(&format!("v{i}"))));
    assert!(cluster.shard(0)["epoch"].as_u64() > epoch, "a cold start is a takeover like any other");
    // Roles come back by themselves, and the first write works.
    assert_eq!(redis.call(&["SET", "again", "1"]), ok());
    let seqs: Vec<_> =
        cluster.shard(0)["nodes"].as_array().unwrap().iter().map(|n| n["last_seq"].as_u64()).collect();
    assert!(seqs.iter().all(|seq| *seq > Some(100)), "seqs go on where they were: {seqs:?}");
    assert!(cluster.stop().success());
}

#[test]
fn when_up_is_killed_its_children_end_even_a_paused_one() {
    let cluster = Cluster::new(&[]);
    cluster.ok(&["pause", "n2"]);
    let pids = cluster.kill_up_alone();
    for pid in pids {
        eventually("no orphans", || is_gone(pid).then_some(()));
    }
}

#[test]
fn ctrl_c_drains_and_leaves_nothing_running() {
    let cluster = Cluster::new(&["--gateways", "2"]);
    let pids: Vec<_> = ["n1", "n2", "n3", "g1", "g2"].iter().map(|name| cluster.pid(name)).collect();
    cluster.ok(&["pause", "n3"]);
    assert_eq!(cluster.stop().code(), Some(0));
    assert!(pids.into_iter().all(is_gone));
}

#[test]
fn a_paused_primary_that_wakes_up_neither_acknowledges_nor_answers_with_an_old_value() {
    let cluster = Cluster::new(&["--gateways", "2"]);
    let mut redis = cluster.redis(1);
    for round in 0..3 {
        let (old_value, new_value) = (format!("old{round}"), format!("new{round}"));
        assert_eq!(redis.call(&["SET", "k", &old_value]), ok());
        let old = cluster.primary(0, None);
        cluster.ok(&["pause", &old]);
        assert_eq!(redis.call(&["SET", "k", &new_value]), ok());
        // Readers over both gateways while it wakes: one of them may still believe in it.
        let stop = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = [1, 2]
            .into_iter()
            .map(|g| {
                let (mut redis, stop, expected) = (cluster.redis(g), stop.clone(), bulk(&new_value));
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        assert_eq!(redis.call(&["GET", "k"]), expected);
                    }
                })
            })
            .collect();
        cluster.ok(&["resume", &old]);
        // Where the machine is busy, a gateway may by now suspect the other primary and have called this one to lead again.
        cluster.caught_up_as(&["following", "serving"], &old, 0);
        stop.store(true, Ordering::Relaxed);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        assert_eq!(redis.call(&["GET", "k"]), bulk(&new_value));
    }
}

#[test]
fn an_isolated_primary_is_replaced_and_rejoins_when_healed() {
    let cluster = Cluster::new(&[]);
    let mut redis = cluster.redis(1);
    assert_eq!(redis.call(&["SET", "k", "1"]), ok());
    let old = cluster.primary(0, None);
    cluster.ok(&["isolate", &old]);
    assert_eq!(redis.call(&["SET", "k", "2"]), ok());
    assert_ne!(cluster.primary(0, Some(&old)), old);
    cluster.ok(&["heal", &old]);
    cluster.caught_up(&old, 0);
    assert_eq!(redis.call(&["GET", "k"]), bulk("2"));
}

#[test]
fn without_a_majority_nothing_is_acknowledged_and_with_one_again_everything_goes_on() {
    let cluster = Cluster::new(&[]);
    cluster.ok(&["put", "k", "1"]);
    cluster.ok(&["isolate", "n1"]);
    cluster.ok(&["isolate", "n2"]);
    let put = cluster.run(&["put", "k", "2"]);
    assert!(matches!(put.status.code(), Some(1 | 3)), "not acknowledged: {put:?}");
    let refused = put.status.code() == Some(1);
    cluster.ok(&["heal", "n1"]);
    cluster.ok(&["heal", "n2"]);
    let value = cluster.ok(&["get", "k"]);
    assert!(
        value == "1" || (value == "2" && !refused),
        "a write told as refused had no effect, but k is {value}"
    );
    cluster.ok(&["put", "k", "3"]);
    assert_eq!(cluster.ok(&["get", "k"]), "3");
}

#[test]
fn two_gateways_serve_side_by_side_and_both_survive_a_failover() {
    let cluster = Cluster::new(&["--gateways", "2"]);
    let (mut one, mut two) = (cluster.redis(1), cluster.redis(2));
    assert_eq!(one.call(&["SET", "k", "1"]), ok());
    assert_eq!(two.call(&["GET", "k"]), bulk("1"));
    // Both see the primary go, and both may ask for a takeover.
    signal(cluster.pid(&cluster.primary(0, None)), Signal::KILL);
    let other = std::thread::spawn(move || {
        assert_eq!(two.call(&["SET", "two", "2"]), ok());
        two
    });
    assert_eq!(one.call(&["SET", "one", "1"]), ok());
    let mut two = other.join().unwrap();
    assert_eq!(two.call(&["GET", "one"]), bulk("1"));
    assert_eq!(one.call(&["GET", "two"]), bulk("2"));
    // A gateway has no state worth keeping.
    cluster.ok(&["kill", "g2"]);
    assert_eq!(one.call(&["SET", "k", "3"]), ok());
    cluster.ok(&["restart", "g2"]);
    assert_eq!(cluster.redis(2).call(&["GET", "k"]), bulk("3"));
}

#[test]
fn shards_have_primaries_of_their_own_and_fail_over_on_their_own() {
    let cluster = Cluster::new(&["--shards", "4"]);
    let primaries =
        |cluster: &Cluster| -> Vec<String> { (0..4).map(|shard| cluster.primary(shard, None)).collect() };
    let before = primaries(&cluster);
    let distinct: std::collections::BTreeSet<_> = before.iter().collect();
    assert!(distinct.len() >= 2, "primaries are spread over the nodes: {before:?}");
    let epochs =
        |cluster: &Cluster| -> Vec<_> { (0..4).map(|s| cluster.shard(s)["epoch"].as_u64()).collect() };
    let old_epochs = epochs(&cluster);
    let mut redis = cluster.redis(1);
    (0..40).for_each(|i| assert_eq!(redis.call(&["SET", &format!("k{i}"), "v"]), ok()));

    let killed = before[0].clone();
    cluster.ok(&["kill", "primary", "--shard", "0"]);
    (0..40).for_each(|i| assert_eq!(redis.call(&["GET", &format!("k{i}")]), bulk("v")));
    let after: Vec<_> = (0..4).map(|shard| cluster.primary(shard, Some(&killed))).collect();
    for shard in 0..4 {
        if before[shard] != killed {
            assert_eq!(after[shard], before[shard], "shard {shard} was not concerned");
            assert_eq!(epochs(&cluster)[shard], old_epochs[shard], "shard {shard} keeps its epoch");
        }
    }
}

#[test]
fn every_key_acknowledged_to_200_writers_is_there_after_ten_kills() {
    const WRITERS: usize = 200;
    let cluster = Cluster::new(&["--gateways", "2", "--image-size", "128M"]);
    let stop = Arc::new(AtomicBool::new(false));
    let acknowledged = Arc::new(Mutex::new(BTreeMap::new()));
    let total = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> = (0..WRITERS)
        .map(|w| {
            let mut redis = cluster.redis(1 + (w % 2) as u16);
            let (stop, acknowledged, total) = (stop.clone(), acknowledged.clone(), total.clone());
            std::thread::spawn(move || {
                for i in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let (key, value) = (format!("w{w}-{i}"), format!("{w}:{i}"));
                    match redis.call(&["SET", &key, &value]) {
                        Reply::Simple(_) => {
                            total.fetch_add(1, Ordering::Relaxed);
                            acknowledged.lock().unwrap().insert(key, value);
                        }
                        // Neither promises anything.
                        Reply::Error(e) if e.starts_with("UNKNOWN") || e.starts_with("UNAVAILABLE") => (),
                        other => panic!("{other:?}"),
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
            })
        })
        .collect();
    let mut random: u32 = std::process::id() | 1;
    for round in 0..10 {
        let before = total.load(Ordering::Relaxed);
        eventually("writes are acknowledged", || {
            (total.load(Ordering::Relaxed) > before + 200).then_some(())
        });
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        // Any node, and every other time surely the one that leads.
        let victim = if round % 2 == 0 { cluster.primary(0, None) } else { format!("n{}", 1 + random % 3) };
        eprintln!("round {round}: {victim} is killed after {before} writes");
        cluster.ok(&["kill", &victim]);
        let before = total.load(Ordering::Relaxed);
        eventually("service returns", || (total.load(Ordering::Relaxed) > before + 200).then_some(()));
        cluster.ok(&["restart", &victim]);
    }
    stop.store(true, Ordering::Relaxed);
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    let acknowledged = acknowledged.lock().unwrap();
    let mut redis = cluster.redis(2);
    let keys: Vec<_> = acknowledged.keys().collect();
    for keys in keys.chunks(100) {
        let mut call = vec!["MGET"];
        call.extend(keys.iter().map(|key| key.as_str()));
        let Reply::List(found) = redis.call(&call) else { panic!("a list was due") };
        for (key, found) in keys.iter().zip(found) {
            assert_eq!(found, bulk(&acknowledged[*key]), "{key} was acknowledged");
        }
    }
}
