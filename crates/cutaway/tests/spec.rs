//! A live cluster held against the specification: real processes, real kills, pauses and partitions.
//!
//! As long as one likes: `LIVE_SECONDS=600 cargo test --release -p cutaway --test spec -- --ignored --nocapture`.

mod common;

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{Cluster, eventually, program};

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

#[test]
fn a_cluster_that_validates_itself_goes_through_kill_pause_and_partition() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let cluster = Cluster::start_in(&data, &["--image-size", "8M", "--shards", "2", "--validate"]);
    let said = cluster.said.clone();
    for (harm, heal) in [("kill", "restart"), ("pause", "resume"), ("isolate", "heal")] {
        let node = cluster.primary(0, None);
        cluster.ok(&["put", "fruit", harm]);
        cluster.ok(&[harm, &node]);
        cluster.primary(0, Some(&node));
        cluster.ok(&["put", "fruit", heal]);
        cluster.ok(&[heal, &node]);
        assert_eq!(cluster.ok(&["get", "fruit"]).trim_end(), heal);
    }
    assert!(cluster.stop().success(), "{}", said.lock().unwrap());
    let (steps, mismatches) = validated(&said);
    assert!(steps > 200 && mismatches == 0, "{}", said.lock().unwrap());
    // What it did before is in no trace, so it cannot be judged when it goes on.
    let again = program().args(["up", "--validate", "--dir"]).arg(&data).output().unwrap();
    let told = String::from_utf8_lossy(&again.stderr);
    assert!(!again.status.success() && told.contains("what it did before is not known"), "{told}");
}

/// What `up --validate` says in the end: steps, and mismatches.
fn validated(said: &Mutex<String>) -> (u64, u64) {
    eventually("the result of the validation", || {
        let said = said.lock().unwrap();
        let (steps, rest) = said.split_once("validated: ")?.1.split_once(" steps of the specification, ")?;
        Some((steps.parse().ok()?, rest.split(' ').next()?.parse().ok()?))
    })
}

#[test]
fn a_busy_cluster_is_validated_while_a_node_is_killed_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start_in(&dir.path().join("data"), &["--image-size", "16M", "--validate"]);
    let said = cluster.said.clone();
    let done = with_clients(&cluster, || {
        // More happens while it is down than a window holds.
        for _ in 0..4 {
            let backup = if cluster.primary(0, None) == "n2" { "n3" } else { "n2" };
            cluster.ok(&["kill", backup]);
            std::thread::sleep(Duration::from_millis(1500));
            cluster.ok(&["restart", backup]);
            std::thread::sleep(Duration::from_millis(500));
        }
    });
    assert!(cluster.stop().success(), "{}", said.lock().unwrap());
    let (steps, mismatches) = validated(&said);
    // A write alone is appended, sent, synced, acknowledged and applied.
    assert!(
        mismatches == 0 && steps > 2 * done,
        "{steps} steps, {done} operations: {}",
        said.lock().unwrap()
    );
}

/// Ended with the test, whatever happens.
struct Checking(Child);

impl Drop for Checking {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_step_that_is_not_allowed_is_told_while_the_cluster_runs() {
    let dir = tempfile::tempdir().unwrap();
    let traces = dir.path().join("traces");
    let cluster = Cluster::start_in(
        &dir.path().join("data"),
        &["--image-size", "8M", "--trace", traces.to_str().unwrap()],
    );
    let mut check = program();
    let check =
        check.args(["spec", "check", "--live"]).arg(&traces).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut check = Checking(check.spawn().unwrap());
    cluster.ok(&["put", "fruit", "apple"]);
    // n1 says that it applied an entry, and says so again.
    let applied = eventually("n1 applies an entry", || {
        let lines = std::fs::read_to_string(traces.join("n1.jsonl")).ok()?;
        lines.lines().rev().find(|line| line.contains("entry_applied")).map(String::from)
    });
    append(&traces.join("n1.jsonl"), &applied);
    let code = eventually("the check ends", || check.0.try_wait().unwrap());
    let mut told = String::new();
    std::io::Read::read_to_string(&mut check.0.stdout.take().unwrap(), &mut told).unwrap();
    assert_eq!(code.code(), Some(1), "{told}");
    assert!(told.contains("Apply is not allowed: applied: ") && told.contains(" 1 mismatches"), "{told}");
    assert!(told.contains("crates/dataplane/src/") && told.contains("n1 in the specification"), "{told}");
    let kept = std::fs::read_to_string(traces.join("mismatch-0.jsonl")).unwrap();
    assert!(kept.contains(&applied), "{kept}");
    assert_eq!(cluster.ok(&["get", "fruit"]).trim_end(), "apple", "the cluster goes on");
}

fn append(file: &Path, line: &str) {
    let mut file = std::fs::OpenOptions::new().append(true).open(file).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

#[test]
#[ignore = "takes as long as one likes"]
fn a_busy_cluster_validates_itself_under_kill_pause_and_partition() {
    let seconds: u64 = std::env::var("LIVE_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(60);
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start_in(&dir.path().join("data"), &["--image-size", "64M", "--validate"]);
    let (said, begin) = (cluster.said.clone(), Instant::now());
    let mut harms = 0;
    let done = with_clients(&cluster, || {
        for (round, (harm, heal)) in
            [("kill", "restart"), ("pause", "resume"), ("isolate", "heal")].into_iter().cycle().enumerate()
        {
            if begin.elapsed() > Duration::from_secs(seconds) {
                break;
            }
            // The primary, or any.
            let node = if round % 2 == 0 { cluster.primary(0, None) } else { format!("n{}", round % 3 + 1) };
            cluster.ok(&[harm, &node]);
            std::thread::sleep(Duration::from_millis(500 + 700 * (round as u64 % 4)));
            cluster.ok(&[heal, &node]);
            std::thread::sleep(Duration::from_millis(3000));
            harms += 1;
        }
    });
    let pid = cluster.ready["pid"].as_u64().unwrap();
    let memory = Command::new("ps").args(["-o", "rss=", "-p", &pid.to_string()]).output().unwrap();
    let memory = String::from_utf8_lossy(&memory.stdout).trim().to_string();
    let stopped = cluster.stop();
    let (steps, mismatches) = validated(&said);
    println!(
        "{steps} steps, {mismatches} mismatches, {done} operations, {harms} harms, {} s, `up` has {memory} KiB",
        begin.elapsed().as_secs()
    );
    let said = said.lock().unwrap();
    if mismatches > 0 {
        let kept = std::env::temp_dir().join("mismatch.jsonl");
        std::fs::copy(dir.path().join("data/mismatch-0.jsonl"), &kept).unwrap();
        println!("the events around it are in {}", kept.display());
    }
    assert!(stopped.success() && mismatches == 0 && !said.contains("not validated any more"), "{said}");
    assert!(steps > done, "{steps} steps of {done} operations: the validation stands still");
}

/// Four clients write and read while `work` is done; how often they were answered.
fn with_clients(cluster: &Cluster, work: impl FnOnce()) -> u64 {
    let over = AtomicBool::new(false);
    // They end also when the work fails.
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    std::thread::scope(|scope| {
        let ends = Over(&over);
        let clients: Vec<_> = (0..4)
            .map(|name| {
                scope.spawn({
                    let over = &over;
                    move || client(cluster, name, over)
                })
            })
            .collect();
        work();
        drop(ends);
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    })
}

/// Writes and reads as fast as it is answered, whatever the answer is; how often it was answered.
fn client(cluster: &Cluster, name: usize, over: &AtomicBool) -> u64 {
    let mut redis = cluster.redis(1);
    let mut done = 0;
    for round in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let (key, value) = (format!("client{name}/{}", round % 50), format!("round {round}"));
        redis.call(&["SET", &key, &value]);
        redis.call(&["GET", &key]);
        done += 2;
    }
    done
}
