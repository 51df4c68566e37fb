//! `torture`: real processes under faults, and what is left of it.
//!
//! For as long as one likes: `cutaway torture --seconds 3600`.

mod common;

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::{Reply, eventually, program, redis_at};
use serde_json::Value;

/// A run with these options, in this folder.
fn torture(dir: &Path, options: &[&str]) -> Command {
    let mut torture = program();
    torture.args(["torture", "--json", "--seed", "3", "--clients", "6", "--dir"]).arg(dir).args(options);
    torture
}

fn report(output: &Output) -> Value {
    let told = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{told}"))
}

/// A run of nothing but these faults breaks no promise and leaves nothing behind. Each of them came at least once, or was
/// skipped, which is said.
fn holds_under(faults: &[&str], options: &[&str]) -> Value {
    let home = tempfile::tempdir().unwrap();
    let (dir, list) = (home.path().join("torture"), faults.join(","));
    // Time for each of them, and for the cluster to be whole again.
    let seconds = (4 * faults.len() + 1).to_string();
    let output =
        torture(&dir, &[&["--seconds", &seconds, "--faults", &list], options].concat()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    if let Some((_, why)) = told.split_once("none of these faults can be had here: ") {
        println!("*** SKIPPED: {why}");
        return Value::Null;
    }
    assert!(output.status.success(), "{told}");
    let report = report(&output);
    assert_eq!(report["broken"], Value::Null, "{report}");
    assert!(report["answered"].as_u64().unwrap() > 50, "{report}");
    let of = |what: &str| report[what].as_array().unwrap().clone();
    let skipped = of("skipped");
    skipped.iter().for_each(|skipped| println!("*** SKIPPED: {skipped}"));
    let known = |id: &&&str| of("faults").iter().chain(&skipped).any(|told| told["id"] == **id);
    assert!(faults.iter().any(|id| known(&id)), "{report}");
    assert!(!dir.exists(), "a run in which all is well leaves no folder");
    report
}

/// How often this fault came.
fn times(report: &Value, id: &str) -> u64 {
    let faults = report["faults"].as_array().into_iter().flatten();
    faults.filter(|fault| fault["id"] == id).map(|fault| fault["times"].as_u64().unwrap()).sum()
}

#[test]
fn a_few_seconds_of_faults_break_no_promise_and_leave_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let (dir, page) = (home.path().join("torture"), home.path().join("page.html"));
    let output = torture(&dir, &["--seconds", "8", "--html"]).arg(&page).output().unwrap();
    let report = report(&output);
    assert!(output.status.success(), "{report}");
    assert_eq!((&report["broken"], &report["seed"]), (&Value::Null, &3.into()), "{report}");
    assert!(report["answered"].as_u64().unwrap() > 50 && report["keys"].as_u64().unwrap() >= 96, "{report}");
    assert!(!report["faults"].as_array().unwrap().is_empty(), "{report}");
    assert!(!dir.exists(), "a run in which all is well leaves no folder");
    let page = fs::read_to_string(&page).unwrap();
    assert!(page.contains("<polyline") && page.contains("<rect") && !page.contains("<script"), "{page}");
    // A folder that is there is somebody's.
    fs::create_dir(&dir).unwrap();
    let output = torture(&dir, &["--seconds", "8"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("next: name another folder"), "{told}");
}

#[test]
fn nodes_that_are_cut_one_way_cost_no_write_and_no_stale_read() {
    holds_under(&["mute-primary", "deafen-primary", "cut-one-way"], &[]);
}

#[test]
fn frames_that_are_lost_late_and_out_of_order_cost_no_write_and_no_stale_read() {
    holds_under(&["lose-frames", "delay-frames", "reorder-frames"], &[]);
}

#[test]
fn a_node_whose_write_or_sync_fails_stops_and_comes_back_and_the_cluster_goes_on() {
    // That it stops is asserted by each of these faults: one that goes on is told, and exits 1.
    holds_under(&["fail-write", "fail-sync", "no-space"], &["--with", "elections"]);
}

#[test]
fn a_primary_that_cannot_read_has_the_values_from_the_others() {
    let report = holds_under(&["fail-read"], &[]);
    if report["faults"].is_array() {
        assert!(times(&report, "fail-read") > 0, "{report}");
    }
}

#[test]
fn a_cluster_whose_disks_are_full_reads_and_deletes_and_has_room_again() {
    let report = holds_under(&["fill-disks"], &["--shards", "2"]);
    assert!(times(&report, "fill-disks") > 0, "{report}");
    // Clients met it, and were told that nothing was done.
    assert!(report["not_done"].as_u64().unwrap() > 0, "{report}");
}

#[test]
fn clocks_that_jump_by_days_and_years_change_nothing() {
    // That they jump is asserted by each of these faults, from the dates of the members' logs.
    holds_under(&["jump-clock", "jump-all-clocks"], &[]);
}

#[test]
fn members_are_replaced_under_load() {
    let report = holds_under(&["replace-node", "kill-gateway"], &["--with", "membership"]);
    assert!(times(&report, "replace-node") > 0, "{report}");
}

#[test]
fn in_a_namespace_of_its_own_packets_are_lost_or_it_says_why_not() {
    if Command::new("unshare")
        .args(["--map-root-user", "--net", "true"])
        .status()
        .is_ok_and(|done| done.success())
    {
        holds_under(&["lose-packets", "delay-packets", "reorder-packets", "kill-node"], &["--namespace"]);
    } else {
        println!("*** SKIPPED: network namespaces cannot be made here");
    }
}

#[test]
fn a_fault_that_is_not_known_is_refused_and_one_that_cannot_be_had_is_told() {
    let home = tempfile::tempdir().unwrap();
    let refused = |faults: &str, code| {
        let output = torture(&home.path().join(faults), &["--faults", faults]).output().unwrap();
        assert_eq!(output.status.code(), Some(code));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(refused("kill", 2).contains("kill-primary, kill-node"));
    assert!(refused("replace-node", 1).contains("needs --with membership"));
}

#[test]
fn a_broken_promise_leaves_a_folder_with_all_that_it_takes_to_find_out_why() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("torture");
    let options = ["--seconds", "60", "--faults", "cut-one-way", "--trace"];
    let mut run = torture(&dir, &options);
    let run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Somebody deletes behind the clients' backs: for them, acknowledged writes are gone.
    let founded = dir.join("cluster/cluster.json");
    let port = eventually("it is founded", || {
        let manifest: Value = serde_json::from_slice(&fs::read(&founded).ok()?).ok()?;
        manifest["port"].as_u64()
    });
    let port = u16::try_from(port).unwrap();
    eventually("its gateway takes connections", || TcpStream::connect(("127.0.0.1", port)).ok());
    eventually("there is something to delete", || {
        let mut redis = redis_at(port);
        let keys =
            (0..96).map(|key| format!("t{key}")).filter(|key| redis.call(&["DEL", key]) == Reply::Integer(1));
        (keys.count() > 0).then_some(())
    });
    let output = run.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("P1, P2: no order of the operations on t"), "{told}");
    let run: Value = serde_json::from_slice(&fs::read(dir.join("run.json")).unwrap()).unwrap();
    assert_eq!((&run["seed"], &run["report"]["seed"]), (&3.into(), &3.into()));
    let again = run["again"].as_str().unwrap();
    assert!(again.contains("--seed 3") && again.contains("--faults cut-one-way"), "{again}");
    assert!(told.contains(again), "{told}");
    let lines = |name: &str| fs::read_to_string(dir.join(name)).unwrap().lines().count();
    assert!(lines("history.jsonl") > 96 && lines("history.edn") > 192);
    assert!(lines("traces/n1.jsonl") > 10, "what the nodes recorded");
    assert!(fs::read_to_string(dir.join("page.html")).unwrap().contains("BROKEN"));
    assert!(dir.join("cluster/n1/shard-0.img").exists() && dir.join("cluster.log").exists());
    let events: Vec<Value> = fs::read_to_string(dir.join("trace.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(!events.is_empty(), "what all members did since");
}
