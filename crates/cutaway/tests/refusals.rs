//! Starts that must not succeed: each says why and what to do, and leaves nothing half-started behind.

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Output, Stdio};

use common::{Cluster, eventually, free_port, program};
use rustix::process::Signal;

/// Tries `up`, which must fail; returns its exit code and what it said.
fn fails(dir: &Path, options: &[&str]) -> (i32, String) {
    let port = free_port().to_string();
    let ports: &[&str] = if options.contains(&"--port") { &[] } else { &["--port", &port] };
    let mut up = program()
        .args(["up", "--json", "--dir"])
        .arg(dir)
        .args(options)
        .args(ports)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A line means that it is up, although it must not be; the end of the output comes with the end of the process.
    let mut line = String::new();
    BufReader::new(up.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if !line.is_empty() {
        common::signal(up.id() as i32, Signal::TERM);
    }
    let Output { status, stderr, .. } = up.wait_with_output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(line, "", "it must never be ready; it said {said}");
    assert!(said.contains("error: ") && said.contains("next: "), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    (status.code().unwrap(), said)
}

/// A directory with a cluster that was founded and stopped.
fn founded(options: &[&str]) -> (tempfile::TempDir, std::path::PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let cluster = Cluster::start_in(&dir, &[options, &["--image-size", "16M"]].concat());
    cluster.ok(&["put", "k", "v"]);
    assert!(cluster.stop().success());
    (home, dir)
}

#[test]
fn another_number_of_shards_or_nodes_than_the_directory_was_founded_with() {
    let (_home, dir) = founded(&[]);
    for (option, founded) in [("--shards", "1"), ("--nodes", "3")] {
        let (code, said) = fails(&dir, &[option, "2"]);
        assert_eq!(code, 1);
        assert!(said.contains(&format!("{option} {founded}")), "it names the number that works: {said}");
    }
    // Gateways hold no state, so their number may change; and nothing was harmed.
    let cluster = Cluster::start_in(&dir, &["--gateways", "2"]);
    assert_eq!(cluster.ok(&["get", "k"]), "v");
}

#[test]
fn a_port_that_is_taken_is_named_before_anything_is_made() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let port = free_port();
    for taken in [port, port + 1, port + 22] {
        let _somebody = TcpListener::bind(("127.0.0.1", taken)).unwrap();
        let (code, said) = fails(&dir, &["--port", &port.to_string()]);
        assert_eq!(code, 1);
        assert!(said.contains(&format!("127.0.0.1:{taken}")) && said.contains("--port"), "{said}");
    }
    assert!(!dir.join("cluster.json").exists() && !dir.join("n1").exists());
}

#[test]
fn a_directory_whose_cluster_is_up() {
    let cluster = Cluster::new(&[]);
    let (code, said) = fails(&cluster.dir, &[]);
    assert_eq!(code, 1);
    assert!(said.contains("another cluster is up"), "{said}");
    cluster.ok(&["put", "k", "v"]);
}

#[test]
fn an_image_of_another_cluster_stops_the_start_and_everything_started_with_it() {
    let (_home_a, a) = founded(&[]);
    let (_home_b, b) = founded(&[]);
    fs::copy(a.join("n2/shard-0.img"), b.join("n2/shard-0.img")).unwrap();
    let (code, said) = fails(&b, &[]);
    assert_eq!(code, 1);
    assert!(said.contains("n2 ended while starting") && said.contains("belongs to"), "{said}");
    nothing_runs_in(&b);
}

#[test]
fn a_missing_image_is_never_replaced_by_an_empty_one_that_votes() {
    let (_home, dir) = founded(&[]);
    let image = dir.join("n3/shard-0.img");
    fs::remove_file(&image).unwrap();
    let (code, said) = fails(&dir, &[]);
    assert_eq!(code, 1);
    assert!(said.contains("format --joining") && said.contains("n3/shard-0.img"), "{said}");
    assert!(!image.exists());
    nothing_runs_in(&dir);

    // The command that it named works, and the replica is filled by its peers.
    let founding = program().args(["format", "--founding"]).arg(&image).output().unwrap();
    assert_eq!(
        founding.status.code(),
        Some(2),
        "an existing cluster's image must not vote on what it forgot"
    );
    let format = program().args(["format", "--joining"]).arg(&image).output().unwrap();
    assert!(format.status.success(), "{}", String::from_utf8_lossy(&format.stderr));
    let cluster = Cluster::start_in(&dir, &[]);
    cluster.ok(&["put", "l", "w"]);
    cluster.caught_up("n3", 0);
    assert_eq!(cluster.ok(&["get", "k"]), "v");
}

#[test]
fn an_image_is_recognised_as_an_existing_clusters_however_its_path_is_written() {
    let (home, dir) = founded(&["--nodes", "1"]);
    let manifest = fs::read_to_string(dir.join("cluster.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let node = dir.join("n1");
    fs::remove_file(node.join("shard-0.img")).unwrap();
    std::os::unix::fs::symlink(&node, home.path().join("link")).unwrap();
    fs::create_dir(node.join("sub")).unwrap();
    let facts = ["--node", "n1", "--shard", "0", "--shards", "1", "--members", "n1", "--size", "16M"];
    for (from, path) in [
        (&node, "shard-0.img"),
        (&node, "./shard-0.img"),
        (&node.join("sub"), "../shard-0.img"),
        (&dir, "n1/shard-0.img"),
        (&node, "../n1/shard-0.img"),
        (&home.path().to_owned(), "link/shard-0.img"),
    ] {
        let format = |how: &str| {
            let mut command = program();
            command.current_dir(from).args(["format", how, path]).args(facts);
            command.args(["--cluster", manifest["cluster"].as_str().unwrap()]).output().unwrap()
        };
        let founding = format("--founding");
        let said = String::from_utf8_lossy(&founding.stderr).into_owned();
        assert_eq!(founding.status.code(), Some(2), "{path} in {}: {said}", from.display());
        assert!(said.contains("format --joining"), "{said}");
        let joining = format("--joining");
        assert!(joining.status.success(), "{}", String::from_utf8_lossy(&joining.stderr));
        fs::remove_file(node.join("shard-0.img")).unwrap();
    }
    // Nor is it formatted for somebody else, or by the word of a manifest that cannot be read.
    let format = || {
        let arguments = ["format", "--joining", "shard-0.img", "--shards", "2"];
        program().current_dir(&node).args(arguments).output().unwrap()
    };
    let said = String::from_utf8(format().stderr).unwrap();
    assert!(said.contains("--shards contradicts"), "{said}");
    fs::write(dir.join("cluster.json"), "{").unwrap();
    assert_eq!(format().status.code(), Some(1));
}

#[test]
fn an_image_is_for_its_owners_eyes_only() {
    use std::os::unix::fs::PermissionsExt;
    let (_home, dir) = founded(&["--nodes", "1"]);
    for file in ["n1/shard-0.img", "n1/log", "g1/log"] {
        let mode = fs::metadata(dir.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file} has mode {mode:o}");
    }
}

#[test]
fn an_image_of_another_version_is_named_and_left_alone() {
    let (_home, dir) = founded(&[]);
    let image = dir.join("n1/shard-0.img");
    let mut bytes = fs::read(&image).unwrap();
    for slot in [0, 4096] {
        bytes[slot + 8..slot + 10].copy_from_slice(&2_u16.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[slot + 8..slot + 512]);
        bytes[slot + 4..slot + 8].copy_from_slice(&crc.to_le_bytes());
    }
    fs::write(&image, &bytes).unwrap();
    let (code, said) = fails(&dir, &[]);
    assert_eq!(code, 1, "it is not damaged: {said}");
    assert!(said.contains("format version 2") && said.contains("the cutaway that wrote it"), "{said}");
    let format = program().args(["format", "--joining"]).arg(&image).output().unwrap();
    let said = String::from_utf8(format.stderr).unwrap();
    assert!(said.contains("format version 2") && said.contains("--overwrite"), "{said}");
    assert!(fs::read(&image).unwrap() == bytes);
}

#[test]
fn images_without_a_manifest_are_left_alone_if_they_hold_anything() {
    let (_home, dir) = founded(&[]);
    fs::rename(dir.join("cluster.json"), dir.join("elsewhere.json")).unwrap();
    let before = fs::read(dir.join("n1/shard-0.img")).unwrap();
    let (code, said) = fails(&dir, &[]);
    assert_eq!(code, 1);
    assert!(said.contains("cluster.json"), "{said}");
    assert!(fs::metadata(dir.join("n1/shard-0.img")).unwrap().len() == before.len() as u64);
    fs::rename(dir.join("elsewhere.json"), dir.join("cluster.json")).unwrap();
    assert_eq!(Cluster::start_in(&dir, &[]).ok(&["get", "k"]), "v");
}

#[test]
fn a_founding_that_was_interrupted_can_be_done_again() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    // As a crash before the manifest leaves it: an image formatted for a cluster nobody heard of, and a half-made one.
    fs::create_dir_all(dir.join("n1")).unwrap();
    fs::create_dir_all(dir.join("n2")).unwrap();
    let format = program()
        .args([
            "format",
            "--founding",
            "--cluster",
            &"ab".repeat(16),
            "--node",
            "n1",
            "--shard",
            "0",
            "--shards",
            "1",
            "--members",
            "n1,n2,n3",
            "--size",
            "16M",
        ])
        .arg(dir.join("n1/shard-0.img"))
        .output()
        .unwrap();
    assert!(format.status.success(), "{}", String::from_utf8_lossy(&format.stderr));
    fs::write(dir.join("n2/shard-0.img"), vec![0; 1 << 20]).unwrap();
    let cluster = Cluster::start_in(&dir, &["--image-size", "16M"]);
    cluster.ok(&["put", "k", "v"]);
    assert_eq!(cluster.ok(&["get", "k"]), "v");
}

#[test]
fn a_device_that_somebody_else_has_open() {
    let (_home, dir) = founded(&[]);
    let image = fs::OpenOptions::new().read(true).write(true).open(dir.join("n2/shard-0.img")).unwrap();
    image.lock().unwrap();
    let (code, said) = fails(&dir, &[]);
    assert_eq!(code, 1);
    assert!(said.contains("n2 ended while starting") && said.contains("in use"), "{said}");
    drop(image);
    nothing_runs_in(&dir);
    assert_eq!(Cluster::start_in(&dir, &[]).ok(&["get", "k"]), "v");
}

/// The processes whose parent is `pid`.
#[cfg(target_os = "linux")]
fn children_of(pid: u32) -> Vec<i32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    fs::read_to_string(path)
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

#[test]
#[cfg(target_os = "linux")]
fn a_child_that_is_killed_while_starting_takes_the_others_with_it() {
    let (_home, dir) = founded(&[]);
    // The kill is a race against a start that takes some milliseconds; a start that won it is stopped, and tried again.
    for _ in 0..20 {
        let mut up = program()
            .args(["up", "--json", "--dir"])
            .arg(&dir)
            .args(["--port", &free_port().to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut seen = Vec::new();
        while seen.is_empty() && up.try_wait().unwrap().is_none() {
            seen = children_of(up.id());
        }
        for pid in &seen {
            common::signal(*pid, Signal::KILL);
        }
        // Should it be up after all, this ends it.
        let pid = up.id() as i32;
        let output = std::thread::spawn(move || up.wait_with_output().unwrap());
        eventually("it ends or serves", || {
            (output.is_finished() || dir.join("control.json").exists()).then_some(())
        });
        if !output.is_finished() {
            common::signal(pid, Signal::TERM);
        }
        let output = output.join().unwrap();
        nothing_runs_in(&dir);
        if output.status.code() == Some(1) {
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains("ended while starting") && said.contains("next: "), "{said}");
            return;
        }
    }
    panic!("the start was never caught");
}

#[test]
fn up_again_right_after_up_was_killed_waits_for_its_children_to_end() {
    let (_home, dir) = founded(&[]);
    let cluster = Cluster::start_in(&dir, &[]);
    let port = cluster.port.to_string();
    cluster.kill_up_alone();
    let again = program()
        .args(["up", "--json", "--dir"])
        .arg(&dir)
        .args(["--port", &port])
        .stdout(Stdio::piped())
        .spawn();
    let mut again = again.unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(again.stdout.take().unwrap()), &mut line)
        .unwrap();
    common::signal(again.id() as i32, Signal::TERM);
    again.wait().unwrap();
    assert!(line.starts_with('{'), "it served: {line:?}");
}

#[test]
fn both_superblocks_damaged_is_told_as_damage() {
    let (_home, dir) = founded(&[]);
    let image = dir.join("n1/shard-0.img");
    let mut bytes = fs::read(&image).unwrap();
    bytes[16..400].fill(0xa5);
    bytes[4096 + 16..4096 + 400].fill(0xa5);
    fs::write(&image, bytes).unwrap();
    let (code, said) = fails(&dir, &[]);
    assert_eq!(code, 4, "{said}");
    nothing_runs_in(&dir);
}

#[test]
fn a_manifest_that_cannot_be_read_is_not_taken_for_a_new_directory() {
    let (_home, dir) = founded(&[]);
    fs::write(dir.join("cluster.json"), "{}").unwrap();
    let (code, said) = fails(&dir, &[]);
    assert_eq!(code, 1);
    assert!(said.contains("cluster.json"), "{said}");
}

#[test]
fn impossible_numbers_are_refused() {
    let home = tempfile::tempdir().unwrap();
    for options in [&["--nodes", "0"][..], &["--shards", "1000"], &["--gateways", "99"], &["--port", "65530"]]
    {
        let (code, _) = fails(&home.path().join("data"), options);
        assert_eq!(code, 1);
    }
    assert_eq!(program().args(["up", "--image-size", "much"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn actions_on_nobody_are_refused() {
    let cluster = Cluster::new(&[]);
    for (arguments, code) in [
        (&["kill", "n9"][..], 1),
        (&["kill", "../n1"], 2),
        (&["kill", "primary", "--shard", "7"], 2),
        (&["isolate", "g1"], 1),
        (&["kill", "n1", "--dir", "/nowhere"], 1),
    ] {
        let output = cluster.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
    }
    cluster.ok(&["kill", "n2"]);
    let again = cluster.run(&["kill", "n2"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("restart n2"));
}

#[test]
fn restarts_of_one_node_at_the_same_time_leave_one_that_runs() {
    let cluster = Cluster::new(&[]);
    let restarts: Vec<_> = std::thread::scope(|scope| {
        let restart = || cluster.run(&["restart", "n2"]);
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(restart)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for output in restarts {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    cluster.ok(&["put", "k", "v"]);
    cluster.caught_up("n2", 0);
    cluster.ok(&["kill", "n2"]); // It is the one that `up` knows: nobody else answers for n2 any more.
    eventually("n2 is gone", || {
        let nodes = cluster.shard(0)["nodes"].as_array().unwrap().clone();
        nodes.iter().find(|n| n["node"] == "n2").filter(|n| n["state"] == "silent").map(drop)
    });
}

/// Nobody holds the directory or an image of it.
fn nothing_runs_in(dir: &Path) {
    for file in ["lock", "n1/shard-0.img", "n2/shard-0.img", "n3/shard-0.img"] {
        let path = dir.join(file);
        if let Ok(file) = fs::OpenOptions::new().read(true).write(true).open(&path) {
            eventually("the lock is free", || file.try_lock().ok());
        }
    }
    assert!(!dir.join("control.json").exists());
}
