//! Nodes as no program of ours is, against the real host of a gateway: they stop in the middle, end one direction, do not
//! read, and say what nobody asked for.

mod common;

use std::io::Write;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::*;
use dataplane::{Message, ReadResult};

#[test]
fn an_answer_cut_at_any_byte_is_no_answer_and_is_asked_for_again() {
    let asked = Arc::<AtomicUsize>::default();
    let counted = asked.clone();
    let (nodes, gateway, redis, _) = scripted(move |frame, stream| {
        let Some(reply) = reply_to(&frame).map(|reply| bytes(&reply)) else { return true };
        // Every other time less than all of it.
        let n = counted.fetch_add(1, Ordering::Relaxed);
        let cut = if n.is_multiple_of(2) { n / 2 % reply.len() } else { reply.len() };
        stream.write_all(&reply[..cut]).is_ok() && cut == reply.len()
    });
    let mut client = Client::connect(redis);
    let mut calls = 0;
    // A connection that broke is a reason to look for another primary: the one that is found is the old one.
    while asked.load(Ordering::Relaxed) < 120 {
        assert_eq!(client.call(&["GET", "k"]), "value");
        nodes[0].epoch.fetch_add(1, Ordering::Relaxed);
        calls += 1;
    }
    assert!(calls >= 60, "{calls}");
    drop(gateway);
}

#[test]
fn a_node_that_ends_its_direction_is_dialled_again() {
    let ended = Arc::<AtomicUsize>::default();
    let times = ended.clone();
    let (_nodes, gateway, redis, _) = scripted(move |frame, stream| {
        let Some(reply) = reply_to(&frame) else { return true };
        if times.fetch_add(1, Ordering::Relaxed) < 3 {
            stream.shutdown(Shutdown::Write).unwrap();
            return true;
        }
        stream.write_all(&bytes(&reply)).is_ok()
    });
    let mut client = Client::connect(redis);
    assert_eq!(client.call(&["GET", "k"]), "value");
    assert!(ended.load(Ordering::Relaxed) > 3);
    drop(gateway);
}

#[test]
fn of_a_node_that_takes_a_write_and_never_answers_the_outcome_is_unknown() {
    let (_nodes, gateway, redis, http_door) = silent_on_writes();
    let mut client = Client::connect(redis);
    assert_eq!(client.call(&["GET", "k"]), "value");
    let said = client.call(&["SET", "k", "v"]);
    assert!(said.starts_with("-UNKNOWN"), "{said}");
    // Others are served meanwhile, and afterwards.
    assert_eq!(http(http_door, "GET", "/v1/kv/k", &[], b""), (200, b"value".to_vec()));
    drop(gateway);
}

#[test]
#[cfg(target_os = "linux")]
fn answers_that_nobody_asked_for_cost_nothing_but_their_reading() {
    let (_nodes, gateway, redis, _) = scripted(|frame, stream| {
        let Some(reply) = reply_to(&frame) else { return true };
        let mut flood = Vec::new();
        for id in 0..20_000 {
            let result = ReadResult::Value(7, vec![1; 200].into());
            flood.extend(bytes(&answer(&frame, Message::ReadAnswer { id: 1 << 40 | id, result })));
        }
        flood.extend(bytes(&reply));
        stream.write_all(&flood).is_ok()
    });
    let mut client = Client::connect(redis);
    assert_eq!(client.call(&["GET", "k"]), "value");
    let before = resident();
    (0..20).for_each(|_| assert_eq!(client.call(&["GET", "k"]), "value"));
    let after = resident();
    assert!(after < before + (64 << 20), "from {before} to {after} bytes");
    drop(gateway);
}

#[test]
fn a_frame_that_cannot_be_read_ends_the_connection_and_nothing_else() {
    let spoilt = Arc::<AtomicUsize>::default();
    let times = spoilt.clone();
    let (nodes, gateway, redis, _) = scripted(move |frame, stream| {
        let Some(reply) = reply_to(&frame) else { return true };
        let mut bytes = bytes(&reply);
        let n = times.fetch_add(1, Ordering::Relaxed);
        if n.is_multiple_of(2) {
            // A length that is too great, a kind that does not exist, a byte too few or too many, of every kind.
            let at = n / 2 % bytes.len();
            bytes[at] ^= 0xff;
            return {
                let _ = stream.write_all(&bytes);
                false
            };
        }
        stream.write_all(&bytes).is_ok()
    });
    let mut client = Client::connect(redis);
    while spoilt.load(Ordering::Relaxed) < 100 {
        let said = client.call(&["GET", "k"]);
        assert!(!said.is_empty() && !said.starts_with('-'), "{said}");
        nodes[0].epoch.fetch_add(1, Ordering::Relaxed);
    }
    drop(gateway);
}
