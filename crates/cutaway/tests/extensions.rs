//! Extensions are chosen when a cluster is founded, for good; `elections` needs no gateway to find a primary.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{Cluster, Process, eventually, program, signal};
use rustix::process::Signal;
use serde_json::Value;
use trace::{Actor, Kind};

fn founded_in(dir: &Path) -> Value {
    let text = std::fs::read_to_string(dir.join("cluster.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// `up` in a directory that has a cluster, which it refuses: what it says.
fn refused(dir: &Path, options: &[&str]) -> String {
    let output = program().arg("up").arg("--dir").arg(dir).args(options).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_cluster_keeps_the_extensions_that_it_was_founded_with_and_says_so() {
    let home = tempfile::tempdir().unwrap();
    let cluster = Cluster::start_in(home.path(), &["--with", "elections"]);
    assert_eq!(cluster.ready["extensions"][0], "elections");
    assert_eq!(cluster.status_of(1)["extensions"][0], "elections");
    assert!(cluster.ok(&["status"]).contains("founded with elections"));
    let dir = cluster.dir.clone();
    cluster.stop();
    assert_eq!(founded_in(&dir)["extensions"][0], "elections");
    let why = refused(&dir, &["--with", ""]);
    assert!(why.contains("was founded with elections, which cannot become no extension"), "{why}");
    assert!(why.contains("--with elections"), "the next command: {why}");
    // A start that does not speak of them goes on with them.
    let cluster = Cluster::start_in(home.path(), &[]);
    assert_eq!(cluster.status_of(1)["extensions"][0], "elections");
}

#[test]
fn a_cluster_without_extensions_is_described_as_ever_and_takes_on_none() {
    let home = tempfile::tempdir().unwrap();
    let cluster = Cluster::start_in(home.path(), &["--nodes", "1"]);
    assert_eq!(cluster.status_of(1)["extensions"], serde_json::json!([]));
    assert!(!cluster.ok(&["status"]).contains("founded with"));
    let dir = cluster.dir.clone();
    cluster.stop();
    let manifest = founded_in(&dir);
    assert_eq!((&manifest["format"], manifest.get("extensions")), (&Value::from(1), None));
    let why = refused(&dir, &["--with", "elections"]);
    assert!(why.contains("was founded with no extension, which cannot become elections"), "{why}");
}

#[test]
fn an_extension_that_does_not_exist_is_refused_with_the_names_of_those_that_do() {
    let output = program().args(["up", "--ephemeral", "--with", "election"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let why = String::from_utf8(output.stderr).unwrap();
    assert!(why.contains("there is no extension \"election\"") && why.contains("elections"), "{why}");
}

/// A cluster whose gateways are dead, and of which every event is recorded.
struct Orphans {
    cluster: Cluster,
    traces: tempfile::TempDir,
}

impl Orphans {
    fn new() -> Orphans {
        let traces = tempfile::tempdir().unwrap();
        let cluster = Cluster::new(&["--with", "elections", "--trace", traces.path().to_str().unwrap()]);
        cluster.ok(&["put", "k", "v"]);
        signal(cluster.pid("g1"), Signal::KILL);
        Orphans { cluster, traces }
    }

    /// The newest epoch in which somebody serves, who, and when it began, in microseconds since 1970.
    fn serving(&self) -> Option<(u64, u32, u64)> {
        let events = (1..=3).flat_map(|node| {
            let text = std::fs::read_to_string(self.traces.path().join(format!("n{node}.jsonl"))).unwrap();
            // The last line may be under way.
            let lines = text.lines().filter(|line| line.contains("primary_serving"));
            lines.filter_map(|line| trace::json::from_line(line).ok()).collect::<Vec<_>>()
        });
        let serving = events.filter_map(|event| match (event.kind, event.id.actor) {
            (Kind::PrimaryServing { epoch, .. }, Actor::Node { node, .. }) => {
                Some((epoch, node, event.wall?))
            }
            _ => None,
        });
        serving.max()
    }

    /// kill -9 of the primary: which it was, and how long nobody served.
    fn kill_primary(&self, pids: &BTreeMap<u32, i32>) -> (u32, Duration) {
        let (epoch, primary, _) = self.serving().unwrap();
        let killed_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        signal(pids[&primary], Signal::KILL);
        let (.., at) = eventually("another primary serves", || self.serving().filter(|last| last.0 > epoch));
        (primary, Duration::from_micros(at).saturating_sub(killed_at))
    }

    fn pids(&self) -> BTreeMap<u32, i32> {
        (1..=3).map(|node| (node, self.cluster.pid(&format!("n{node}")))).collect()
    }

    /// A gateway that nobody has told of a primary; its HTTP address.
    fn late_gateway(&self) -> (Process, String) {
        let id = self.cluster.ready["cluster"].as_str().unwrap();
        let port = common::free_port();
        let (redis, http) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{}", port + 1));
        let words = ["gateway", "--cluster", id, "--gateway", "g9", "--redis", &redis, "--http", &http];
        let mut words: Vec<String> = words.map(String::from).into();
        for node in self.cluster.ready["nodes"].as_array().unwrap() {
            let (name, listen) = (node["name"].as_str().unwrap(), node["listen"].as_str().unwrap());
            words.extend(["--node".into(), format!("{name}={listen}")]);
        }
        (Process::start(&words), http)
    }
}

#[test]
fn without_any_gateway_the_nodes_elect_another_primary_and_nothing_is_lost() {
    let orphans = Orphans::new();
    let (old, _) = orphans.kill_primary(&orphans.pids());
    let (epoch, new, _) = orphans.serving().unwrap();
    assert_ne!(old, new);
    let (_gateway, http) = orphans.late_gateway();
    let ask = |words: &[&str]| program().args(words).args(["--gateway", &http]).output().unwrap();
    let value = eventually("the late gateway finds the primary", || {
        let output = ask(&["get", "k"]);
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    });
    assert_eq!(value.trim(), "v");
    let status: Value = serde_json::from_slice(&ask(&["status", "--json"]).stdout).unwrap();
    assert_eq!(status["extensions"][0], "elections");
    let shard = &status["shards"][0];
    assert_eq!(shard["primary"], format!("n{new}"));
    assert_eq!(shard["epoch"], epoch, "nobody had to be called");
}

/// The process id of a node that was started again, as Linux knows it.
fn child(cluster: &Cluster, name: &str) -> i32 {
    let up = cluster.ready["pid"].as_u64().unwrap();
    let children = std::fs::read_to_string(format!("/proc/{up}/task/{up}/children")).unwrap();
    let named = |pid: &i32| {
        let words = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.contains(&format!("\0--node\0{name}\0"))
    };
    children.split_whitespace().map(|pid| pid.parse().unwrap()).find(named).expect("it runs")
}

#[test]
#[ignore = "it takes a minute: RUNS=20 cargo test --release -p cutaway --test extensions -- --ignored --nocapture"]
fn from_kill_to_serving_takes_a_timeout_and_a_half_in_the_median() {
    let runs: usize = std::env::var("RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(20);
    let orphans = Orphans::new();
    let (mut pids, mut took) = (orphans.pids(), Vec::new());
    for _ in 0..runs {
        let (old, silence) = orphans.kill_primary(&pids);
        took.push(silence.as_millis());
        let name = format!("n{old}");
        let restart = ["restart", &name, "--dir", orphans.cluster.dir.to_str().unwrap()];
        let output = program().args(restart).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        pids.insert(old, child(&orphans.cluster, &name));
        // It catches up, so that the next election has three voters.
        std::thread::sleep(Duration::from_secs(2));
    }
    took.sort_unstable();
    println!("{runs} runs, in ms: {took:?}; median {}", took[runs / 2]);
}
