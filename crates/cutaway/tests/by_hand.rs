//! A cluster without `up`: devices formatted, nodes and a gateway started one by one, as a real deployment does.

mod common;

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use common::{eventually, free_port, program, signal};
use rustix::process::Signal;

/// A process that is ended with the test, whatever happens.
struct Process(Child);

impl Process {
    fn start(arguments: &[String]) -> Process {
        let mut child = program()
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // The file system under the log is full; that harms nobody.
            .stderr(OpenOptions::new().write(true).open("/dev/full").map_or(Stdio::null(), Stdio::from))
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("ready "), "{arguments:?}: {line:?}");
        Process(child)
    }

    fn stop(mut self) {
        signal(self.0.id() as i32, Signal::TERM);
        let status = eventually("it stops", || self.0.try_wait().unwrap());
        assert_eq!(status.code(), Some(0));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn three_nodes_and_a_gateway_started_one_by_one() {
    let home = tempfile::tempdir().unwrap();
    let first = free_port();
    let cluster = "5a".repeat(16);
    let node = |n: u16| format!("n{n}=127.0.0.1:{}", first + n);
    let image = |n: u16| home.path().join(format!("disk{n}"));
    for n in 1..=3 {
        let format = program()
            .args([
                "format",
                "--founding",
                "--cluster",
                &cluster,
                "--node",
                &format!("n{n}"),
                "--shard",
                "0",
                "--shards",
                "1",
                "--members",
                "n1,n2,n3",
                "--size",
                "16M",
            ])
            .arg(image(n))
            .output()
            .unwrap();
        assert!(format.status.success(), "{}", String::from_utf8_lossy(&format.stderr));
    }
    // What is formatted stays as it is, unless somebody insists.
    let again = program()
        .args(["format", "--joining", "--cluster", &cluster, "--node", "n1", "--shard", "0"])
        .args(["--shards", "1", "--members", "n1,n2,n3"])
        .arg(image(1))
        .output()
        .unwrap();
    assert_eq!(again.status.code(), Some(1));

    let start = |n: u16| {
        let mut arguments: Vec<String> = [
            "node",
            "--cluster",
            &cluster,
            "--node",
            &format!("n{n}"),
            "--listen",
            &format!("127.0.0.1:{}", first + n),
        ]
        .map(String::from)
        .into();
        (1..=3).for_each(|peer| arguments.extend(["--peer".into(), node(peer)]));
        arguments.extend(["--image".into(), image(n).to_string_lossy().into_owned()]);
        Process::start(&arguments)
    };
    let mut nodes: Vec<_> = (1..=3).map(start).collect();
    let http = format!("127.0.0.1:{}", first + 5);
    let mut arguments: Vec<String> = [
        "gateway",
        "--cluster",
        &cluster,
        "--gateway",
        "g1",
        "--redis",
        &format!("127.0.0.1:{}", first + 4),
        "--http",
        &http,
    ]
    .map(String::from)
    .into();
    (1..=3).for_each(|peer| arguments.extend(["--node".into(), node(peer)]));
    let gateway = Process::start(&arguments);

    let run = |arguments: &[&str]| program().args(arguments).args(["--gateway", &http]).output().unwrap();
    assert!(run(&["put", "k", "v"]).status.success());
    drop(nodes.remove(0)); // kill -9
    assert_eq!(run(&["get", "k"]).stdout, b"v");
    nodes.insert(0, start(1));

    // Nobody here was started by `up`, so nobody here can be acted on.
    let kill = run(&["kill", "n1"]);
    assert_eq!(kill.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&kill.stderr).contains("next: "));
    gateway.stop();
    nodes.into_iter().for_each(Process::stop);
}

#[test]
fn a_node_of_another_cluster_is_not_listened_to() {
    let home = tempfile::tempdir().unwrap();
    let cluster = common::Cluster::new(&[]);
    // It claims to be n2 of this cluster's peers, under another cluster id.
    let image = home.path().join("disk");
    let other = "77".repeat(16);
    let format = program()
        .args(["format", "--founding", "--cluster", &other, "--node", "n2", "--shard", "0", "--size", "16M"])
        .args(["--shards", "1", "--members", "n1,n2,n3"])
        .arg(&image)
        .output()
        .unwrap();
    assert!(format.status.success());
    let mut arguments: Vec<String> =
        ["node", "--cluster", &other, "--node", "n2", "--listen", &format!("127.0.0.1:{}", free_port())]
            .map(String::from)
            .into();
    (1..=3).for_each(|n: u16| {
        arguments.extend(["--peer".into(), format!("n{n}=127.0.0.1:{}", cluster.port + 19 + n)])
    });
    arguments.extend(["--image".into(), image.to_string_lossy().into_owned()]);
    let stranger = Process::start(&arguments);
    let before = cluster.shard(0)["epoch"].clone();
    for i in 0..20 {
        cluster.ok(&["put", &format!("k{i}"), "v"]);
    }
    assert_eq!(cluster.shard(0)["epoch"], before);
    stranger.stop();
}
