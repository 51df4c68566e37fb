//! What a command line says cannot contradict what the cluster is: how many shards, which nodes, which cluster, which version.

mod common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use common::{Cluster, PATIENCE, Process, eventually, free_port, program};
use dataplane::{Address, GatewayId, NodeId};
use server::hello::{Greeting, Hello, IMAGE_VERSION, VERSION};
use server::manifest::unhex;

/// The address of node `n` of a cluster whose first port is this.
fn node_address(port: u16, n: u32) -> String {
    format!("n{n}=127.0.0.1:{}", port + 19 + n as u16)
}

/// A gateway beside those of `up`, with these nodes and options; and its HTTP address.
fn gateway_with(cluster: &Cluster, nodes: &[String], options: &[&str]) -> (Process, String) {
    let id = cluster.ready["cluster"].as_str().unwrap();
    let (redis, http) = (cluster.port + 8, format!("127.0.0.1:{}", cluster.port + 9));
    let redis = format!("127.0.0.1:{redis}");
    let mut arguments = vec!["gateway", "--gateway", "g7", "--redis", &redis, "--http", &http];
    if !options.contains(&"--cluster") {
        arguments.extend(["--cluster", id]);
    }
    nodes.iter().for_each(|node| arguments.extend(["--node", node]));
    arguments.extend(options);
    (Process::start(&arguments), http)
}

fn gateway(cluster: &Cluster, options: &[&str]) -> (Process, String) {
    let nodes: Vec<_> = (1..=3).map(|n| node_address(cluster.port, n)).collect();
    gateway_with(cluster, &nodes, options)
}

/// Runs a command against a gateway: exit code, standard output, standard error.
fn run(http: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = program().args(arguments).args(["--gateway", http]).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A gateway that does not fit the cluster: it takes nothing, and says why, and what to do.
fn is_refused(cluster: &Cluster, http: &str, words: &[&str]) {
    cluster.ok(&["put", "k", "right"]);
    let said = eventually("it hears that it is refused", || {
        let (code, _, said) = run(http, &["put", "k", "wrong"]);
        assert_eq!(code, Some(1), "{said}");
        said.contains("does not fit").then_some(said)
    });
    let (_, status, _) = run(http, &["status"]);
    for word in words {
        assert!(said.contains(word), "{word:?} in {said}");
        assert!(status.contains(word), "{word:?} in {status}");
    }
    assert_eq!(run(http, &["get", "k"]).0, Some(1), "no old value is read either");
    assert_eq!(cluster.ok(&["get", "k"]), "right");
}

#[test]
fn a_gateway_that_is_not_told_the_number_of_shards_learns_it() {
    let cluster = Cluster::new(&["--shards", "2"]);
    let (_gateway, http) = gateway(&cluster, &[]);
    for key in ["a", "b", "c", "d", "e", "f"] {
        cluster.ok(&["put", key, "first"]);
        let (code, _, said) = run(&http, &["put", key, "second"]);
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(cluster.ok(&["get", key]), "second", "what one gateway wrote, the other one reads");
    }
}

#[test]
fn a_gateway_that_is_told_another_number_of_shards_is_refused() {
    let cluster = Cluster::new(&["--shards", "2"]);
    let (_gateway, http) = gateway(&cluster, &["--shards", "1"]);
    is_refused(&cluster, &http, &["2 shard", "g7 1", "without --shards"]);
}

#[test]
fn a_gateway_that_is_given_other_nodes_or_another_cluster_is_refused() {
    let cluster = Cluster::new(&[]);
    let own: Vec<_> = (1..=3).map(|n| node_address(cluster.port, n)).collect();
    let (one, http) = gateway_with(&cluster, &own[..2], &[]);
    is_refused(&cluster, &http, &["n1, n2, n3", "--node"]);
    one.stop();
    let (two, http) = gateway_with(&cluster, &own, &["--cluster", &"77".repeat(16)]);
    is_refused(&cluster, &http, &[&"77".repeat(16), "--cluster"]);
    two.stop();
    let crossed: Vec<_> = (1..=3)
        .map(|n| {
            node_address(cluster.port, n % 3 + 1).replace(&format!("n{}=", n % 3 + 1), &format!("n{n}="))
        })
        .collect();
    let (_three, http) = gateway_with(&cluster, &crossed, &[]);
    is_refused(&cluster, &http, &["n1", "leads to n2"]);
}

/// A directory with a cluster that was founded and stopped, and its id.
fn founded(options: &[&str]) -> (tempfile::TempDir, PathBuf, String) {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let cluster = Cluster::start_in(&dir, &[options, &["--image-size", "16M"]].concat());
    let id = cluster.ready["cluster"].as_str().unwrap().to_owned();
    assert!(cluster.stop().success());
    (home, dir, id)
}

fn node(id: &str, dir: &Path, n: u32, port: u16, peers: &[String], shards: u32) -> Vec<String> {
    let listen = format!("127.0.0.1:{}", port + 19 + n as u16);
    let name = format!("n{n}");
    let mut arguments: Vec<String> =
        ["node", "--cluster", id, "--node", &name, "--listen", &listen].map(String::from).into();
    peers.iter().for_each(|peer| arguments.extend(["--peer".into(), peer.clone()]));
    for shard in 0..shards {
        let image = dir.join(format!("n{n}/shard-{shard}.img"));
        arguments.extend(["--image".into(), image.to_string_lossy().into_owned()]);
    }
    arguments
}

#[test]
fn a_node_with_other_peers_or_shards_than_its_images_say_does_not_start() {
    let (_home, dir, id) = founded(&["--shards", "2"]);
    let port = free_port();
    let peers = |ns: &[u32]| -> Vec<String> { ns.iter().map(|n| node_address(port, *n)).collect() };
    let refused = |peers: &[String], shards, words: &[&str]| {
        let started = Process::try_start(&node(&id, &dir, 1, port, peers, shards));
        let (code, said) = started.err().expect("it must not start");
        assert_eq!(code, Some(1), "{said}");
        for word in words {
            assert!(said.contains(word), "{word:?} in {said}");
        }
    };
    let all = "--peer n1=HOST:PORT --peer n2=HOST:PORT --peer n3=HOST:PORT";
    refused(&peers(&[1]), 2, &["[1, 2, 3]", "[1]", all]);
    refused(&peers(&[1, 2]), 2, &["[1, 2, 3]", "[1, 2]", all]);
    refused(&peers(&[1, 2, 3, 4]), 2, &["[1, 2, 3]", "[1, 2, 3, 4]", all]);
    refused(&peers(&[1, 2, 3]), 1, &["shard 0 of 2", "shard 0 of 1", "--image PATH --image PATH"]);
}

#[test]
fn a_node_whose_image_was_formatted_for_other_members_is_refused_by_its_peers() {
    let (_home, dir, id) = founded(&[]);
    let image = dir.join("n3/shard-0.img");
    std::fs::remove_file(&image).unwrap();
    let elsewhere = dir.join("n3/disk");
    let format = program()
        .args(["format", "--joining", "--cluster", &id, "--node", "n3", "--shard", "0", "--shards", "1"])
        .args(["--members", "n3", "--size", "16M"])
        .arg(&elsewhere)
        .output()
        .unwrap();
    assert!(format.status.success(), "{}", String::from_utf8_lossy(&format.stderr));
    std::fs::rename(&elsewhere, &image).unwrap();
    let port = free_port();
    let peers: Vec<_> = (1..=3).map(|n| node_address(port, n)).collect();
    let _n1 = Process::start(&node(&id, &dir, 1, port, &peers, 1));
    let _n3 = Process::start(&node(&id, &dir, 3, port, &peers[2..], 1));
    // n1 refuses what n3 says, with the command that mends it.
    let mut n1 = TcpStream::connect(("127.0.0.1", port + 20)).unwrap();
    let hello = Hello {
        version: VERSION,
        program: None,
        cluster: unhex(&id).unwrap(),
        images: Some(IMAGE_VERSION),
        from: Address::Node(NodeId(3)),
        to: Address::Node(NodeId(1)),
        shard: 0,
        shards: Some(1),
        members: vec![NodeId(3)],
        extensions: Some([].into()),
    };
    let why = refusal(&mut n1, &Greeting::Hello(hello).encode());
    let command = format!("--cluster {id} --node n3 --shard 0 --shards 1 --members n1,n2,n3 IMAGE");
    assert!(why.contains("n1, n2, n3") && why.contains(&command), "{why}");
}

#[test]
fn a_node_whose_name_does_not_resolve_yet_keeps_nobody_from_starting() {
    let (_home, dir, id) = founded(&[]);
    let port = free_port();
    let peers = [
        format!("n1=localhost:{}", port + 20),
        format!("n2=localhost:{}", port + 21),
        format!("n3=n3.invalid:{}", port + 22),
    ];
    let _n1 = Process::start(&node(&id, &dir, 1, port, &peers, 1));
    let _n2 = Process::start(&node(&id, &dir, 2, port, &peers, 1));
    let http = format!("127.0.0.1:{}", port + 1);
    let redis = format!("127.0.0.1:{port}");
    let mut arguments =
        vec!["gateway", "--cluster", &id, "--gateway", "g1", "--redis", &redis, "--http", &http];
    peers.iter().for_each(|node| arguments.extend(["--node", node]));
    let _gateway = Process::start(&arguments);
    let (code, _, said) = run(&http, &["put", "k", "v"]);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_gateway_that_reaches_too_few_nodes_to_know_the_cluster_says_so_and_takes_nothing() {
    let (_home, dir, id) = founded(&[]);
    let port = free_port();
    let peers: Vec<_> = (1..=3).map(|n| node_address(port, n)).collect();
    let _n1 = Process::start(&node(&id, &dir, 1, port, &peers, 1));
    let (redis, http) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{}", port + 1));
    let mut arguments =
        vec!["gateway", "--cluster", &id, "--gateway", "g1", "--redis", &redis, "--http", &http];
    peers.iter().for_each(|node| arguments.extend(["--node", node]));
    let _gateway = Process::start(&arguments);
    eventually("it has heard n1", || run(&http, &["status"]).1.contains("n1: 1 shard").then_some(()));
    let (code, _, said) = run(&http, &["put", "k", "v"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("majority") && said.contains("n2: "), "{said}");
    // With the majority it serves, without being started again.
    let _n2 = Process::start(&node(&id, &dir, 2, port, &peers, 1));
    let (code, _, said) = run(&http, &["put", "k", "v"]);
    assert_eq!(code, Some(0), "{said}");
}

/// Says something to a node, and reads why it does not want it.
fn refusal(stream: &mut TcpStream, said: &[u8]) -> String {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(said).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers and closes");
    match Greeting::decode(&answer, VERSION) {
        Ok(Some((Greeting::Refused(_, why), _))) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn whoever_speaks_another_version_or_something_else_to_a_node_is_told_so() {
    let cluster = Cluster::new(&["--nodes", "1"]);
    let connect = || TcpStream::connect(("127.0.0.1", cluster.port + 20)).unwrap();
    let hello = Hello {
        version: VERSION,
        program: None,
        cluster: unhex(cluster.ready["cluster"].as_str().unwrap()).unwrap(),
        images: None,
        from: Address::Gateway(GatewayId { gateway: 9, life: 9 }),
        to: Address::Node(NodeId(1)),
        shard: 0,
        shards: None,
        members: vec![NodeId(1)],
        extensions: None,
    };
    let good = Greeting::Hello(hello).encode();
    let mut newer = good.clone();
    newer[4..8].copy_from_slice(&(VERSION + 1).to_le_bytes());
    let why = refusal(&mut connect(), &newer);
    assert!(why.contains(&format!("version {}", VERSION + 1)), "{why}");
    assert!(why.contains(&format!("to {VERSION}")), "{why}");
    assert!(refusal(&mut connect(), b"GET / HTTP/1.1\r\n\r\n").contains("does not speak this protocol"));
    // The log names each once, however often they come.
    (0..5).for_each(|_| drop(refusal(&mut connect(), &newer)));
    let log = std::fs::read_to_string(cluster.dir.join("n1/log")).unwrap();
    let told = log.lines().filter(|line| line.contains(&format!("speaks version {}", VERSION + 1)));
    assert_eq!(told.count(), 1, "{log}");
    // And whoever fits is answered.
    let mut stream = connect();
    stream.write_all(&good).unwrap();
    let mut answer = [0; 4096];
    let read = stream.read(&mut answer).unwrap();
    let Ok(Some((Greeting::Hello(own), _))) = Greeting::decode(&answer[..read], VERSION) else { panic!() };
    assert_eq!((own.shards, own.images), (Some(1), Some(IMAGE_VERSION)));
}

#[test]
fn a_gateway_among_nodes_of_another_version_says_so() {
    let port = free_port();
    let listeners: Vec<_> =
        (1..=3).map(|n| TcpListener::bind(("127.0.0.1", port + 19 + n)).unwrap()).collect();
    for listener in listeners {
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut bytes = Greeting::Refused(2, "it speaks version 2 and I another one".into()).encode();
                bytes[4..8].copy_from_slice(&99_u32.to_le_bytes());
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]).and_then(|_| stream.write_all(&bytes));
            }
        });
    }
    let (redis, http) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{}", port + 1));
    let id = "5a".repeat(16);
    let mut arguments =
        vec!["gateway", "--cluster", &id, "--gateway", "g1", "--redis", &redis, "--http", &http];
    let nodes: Vec<_> = (1..=3).map(|n| node_address(port, n)).collect();
    nodes.iter().for_each(|node| arguments.extend(["--node", node]));
    let _gateway = Process::start(&arguments);
    let said = eventually("it hears of the other version", || {
        let (code, _, said) = run(&http, &["put", "k", "v"]);
        assert_eq!(code, Some(1));
        said.contains("does not fit").then_some(said)
    });
    assert!(said.contains("I another one"), "{said}");
}
