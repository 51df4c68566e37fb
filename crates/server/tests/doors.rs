//! Doors: clients and peers that stall, flood, lie or leave, against the real hosts of a gateway and three nodes.

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use common::*;
use dataplane::{Condition, Message, NodeId, Op, Query, RequestId};
use server::hello::{Greeting, Hello, NO_SHARD, VERSION};

const N1: NodeId = NodeId(1);

/// Asks a node how it is, over a connection of its own.
fn probe(cluster: &Cluster, node: NodeId) -> dataplane::NodeStatus {
    let mut peer = Peer::gateway(cluster.addresses[&node], node, NO_SHARD);
    peer.send(&frame(node, Message::Probe { attempt: 5 }));
    peer.until(|message| match message {
        Message::Status { attempt: 5, status } => Some(status),
        _ => None,
    })
}

#[test]
fn connections_that_say_nothing_do_not_keep_a_member_out_of_a_node() {
    let cluster = Cluster::new();
    let silent: Vec<_> = (0..400).map(|_| Peer::silent(cluster.addresses[&N1])).collect();
    assert_eq!(probe(&cluster, N1).pid, std::process::id());
    let mut data = Peer::gateway(cluster.addresses[&N1], N1, 0);
    data.send(&frame(N1, Message::Probe { attempt: 6 }));
    data.until(|message| matches!(message, Message::Status { attempt: 6, .. }).then_some(()));
    drop(silent);
}

#[test]
fn a_node_closes_a_connection_that_is_not_of_its_cluster_and_one_that_is_no_frame() {
    let cluster = Cluster::new();
    let address = cluster.addresses[&N1];
    let mut stranger = Peer::silent(address);
    let hello_of_another = Greeting::Hello(Hello { cluster: [8; 16], ..hello(N1, 0) });
    stranger.stream.write_all(&hello_of_another.encode()).unwrap();
    let mut said = Vec::new();
    stranger.stream.read_to_end(&mut said).unwrap();
    assert!(matches!(Greeting::decode(&said, VERSION), Ok(Some((Greeting::Refused(..), _)))), "it says why");
    for bytes in [&b"POST / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0xff; 64], &[0; 64], b"*1\r\n$4\r\nPING\r\n"]
    {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(bytes).unwrap();
        assert!(is_closed(&mut stream), "{}", bytes.escape_ascii());
    }
    // One that keeps promising a frame that never ends.
    let mut endless = Peer::silent(address);
    endless.stream.write_all(&(1_u32 << 20).to_le_bytes()).unwrap();
    let mut sent = 0;
    while endless.stream.write_all(&[1; 1024]).is_ok() {
        sent += 1;
        assert!(sent < 1 << 20, "it reads on for ever");
    }
}

#[test]
fn a_probe_is_answered_beside_more_values_than_its_sender_reads() {
    let cluster = Cluster::new();
    let mut client = cluster.client();
    let value = "v".repeat(1 << 20);
    (0..8).for_each(|n| assert_eq!(client.call(&["SET", &format!("k{n}"), &value]), "+OK"));
    let primary = NodeId(cluster.shard()["primary"].as_str().unwrap()[1..].parse().unwrap());
    let mut reader = Peer::gateway(cluster.addresses[&primary], primary, 0);
    for id in 0..300 {
        let key = format!("k{}", id % 8).into_bytes();
        reader.send(&frame(primary, Message::Read { id, query: Query::Get(key.into()) }));
    }
    let epoch = cluster.epoch();
    for _ in 0..20 {
        assert!(probe(&cluster, primary).serving);
        assert_eq!(client.call(&["GET", "ready"]), "yes");
    }
    assert_eq!(cluster.epoch(), epoch, "no takeover");
    drop(reader);
}

#[test]
fn a_frame_cut_at_any_byte_leaves_the_node_as_it_was() {
    let cluster = Cluster::new();
    let op = Op::Put { key: (*b"cut").into(), value: vec![7; 64].into(), condition: Condition::Always };
    let write = frame(N1, Message::Write { request: RequestId { session: 1, number: 1 }, op });
    let all = [Greeting::Hello(hello(N1, 0)).encode(), bytes(&write)].concat();
    for cut in 0..all.len() {
        let mut peer = Peer::silent(cluster.addresses[&N1]);
        peer.stream.write_all(&all[..cut]).unwrap();
        match cut % 3 {
            0 => drop(peer),
            1 => peer.stream.shutdown(Shutdown::Write).unwrap(),
            _ => peer.stream.set_nonblocking(true).unwrap(),
        }
    }
    assert_eq!(probe(&cluster, N1).pid, std::process::id());
    assert_eq!(cluster.client().call(&["GET", "cut"]), "$-1");
}

#[test]
fn a_command_cut_at_any_byte_has_no_effect_and_costs_nobody_anything() {
    let cluster = Cluster::new();
    let set = command(&["SET", "cut", "value"]);
    for cut in 0..set.len() {
        let mut client = cluster.client();
        client.stream.write_all(&set[..cut]).unwrap();
        client.stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.read(), "", "nothing to say to {}", set[..cut].escape_ascii());
    }
    assert_eq!(cluster.client().call(&["GET", "cut"]), "$-1");
}

#[test]
fn who_has_no_more_to_say_still_hears_the_answers() {
    let cluster = Cluster::new();
    let mut client = cluster.client();
    (0..50).for_each(|_| client.send(&["GET", "ready"]));
    client.stream.shutdown(Shutdown::Write).unwrap();
    (0..50).for_each(|_| assert_eq!(client.read(), "yes"));
    assert_eq!(client.read(), "");
}

#[test]
fn what_a_web_page_sends_to_the_redis_port_is_not_done() {
    let cluster = Cluster::new();
    let set = "SET pwned 1\r\n";
    let length = set.len();
    for request in [
        format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{set}"),
        format!("post /a HTTP/1.1\r\n\r\n{set}"),
        format!("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n{set}"),
        format!("PUT /v1/kv/pwned HTTP/1.1\r\nX: y\r\n\r\n{set}"),
        format!("OPTIONS / HTTP/1.0\r\n\r\n{set}"),
        format!("Host: 127.0.0.1\r\n{set}"),
    ] {
        let mut stream = TcpStream::connect(cluster.redis).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        assert!(is_closed(&mut stream), "{request}");
    }
    assert_eq!(cluster.client().call(&["GET", "pwned"]), "$-1");
}

#[test]
fn bodies_that_stall_do_not_keep_others_waiting() {
    let cluster = Cluster::new();
    let stalled: Vec<_> = (0..300)
        .map(|n| {
            let mut stream = TcpStream::connect(cluster.http).unwrap();
            let head =
                format!("PUT /v1/kv/s{n} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\nabc");
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    assert_eq!(http(cluster.http, "GET", "/v1/kv/ready", &[], b""), (200, b"yes".to_vec()));
    assert_eq!(http(cluster.http, "PUT", "/v1/kv/other", &[], b"x").0, 200);
    assert_eq!(http(cluster.http, "PUT", "/v1/kv/large", &[], &vec![1; 1 << 20]).0, 200);
    drop(stalled);
}

#[test]
#[cfg(target_os = "linux")]
fn readers_that_never_read_cost_a_bounded_amount_of_memory_which_is_given_back() {
    let cluster = Cluster::new();
    let mut client = cluster.client();
    let value = "v".repeat(1 << 20);
    (0..16).for_each(|n| assert_eq!(client.call(&["SET", &format!("k{n}"), &value]), "+OK"));
    let (before, epoch) = (resident(), cluster.epoch());
    let readers: Vec<_> = (0..40)
        .map(|_| {
            let mut reader = cluster.client();
            (0..300).for_each(|n| reader.send(&["GET", &format!("k{}", n % 16)]));
            reader
        })
        .collect();
    let (begin, mut most) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_secs(5) {
        assert_eq!(client.call(&["GET", "ready"]), "yes");
        most = most.max(resident());
        std::thread::sleep(Duration::from_millis(5));
    }
    // Nodes and gateway are one process here.
    assert!(most < before + (400 << 20), "from {before} to {most} bytes");
    // Others get long values too: whoever takes nothing makes room.
    assert_eq!(client.call(&["GET", "k3"]).len(), 1 << 20);
    assert_eq!(cluster.epoch(), epoch, "no takeover");
    drop(readers);
    eventually("memory is given back", || (resident() < before + (150 << 20)).then_some(()));
}

#[test]
fn a_pipeline_whose_replies_nobody_reads_before_all_of_it_is_sent_makes_progress() {
    let cluster = Cluster::new();
    let mut client = cluster.client();
    let value = "v".repeat(200);
    assert_eq!(client.call(&["SET", "k", &value]), "+OK");
    const COMMANDS: usize = 100_000;
    let all = command(&["GET", "k"]).repeat(COMMANDS);
    // More than the kernel keeps in both directions.
    client.stream.write_all(&all).unwrap();
    for n in 0..COMMANDS {
        assert_eq!(client.read(), value, "reply {n}");
    }
}

#[test]
fn a_connection_that_goes_on_reading_slowly_gets_everything() {
    let cluster = Cluster::new();
    let mut client = cluster.client();
    let value = "v".repeat(1 << 20);
    assert_eq!(client.call(&["SET", "k", &value]), "+OK");
    (0..8).for_each(|_| client.send(&["GET", "k"]));
    let (mut got, mut some) = (0, [0; 64 << 10]);
    while got < 8 * ((1 << 20) + 2 + 10) {
        got += client.stream.read(&mut some).unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(got, 8 * ((1 << 20) + 12));
}
