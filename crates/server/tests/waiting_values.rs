//! Memory of a gateway whose nodes take values and do not answer. A binary of its own: it looks at the whole process.

#![cfg(target_os = "linux")]

mod common;

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use common::*;

/// Sixty-four of the values are on their way to a node that does not answer; the others are whole, and wait.
#[test]
fn values_that_wait_for_room_have_a_bound_together() {
    let (_nodes, gateway, redis, http_door) = silent_on_writes();
    let mut client = Client::connect(redis);
    assert_eq!(client.call(&["GET", "k"]), "value");
    let before = resident();
    let mut waiting = Vec::new();
    let set = command(&["SET", "k", &"v".repeat((1 << 20) - 100)]);
    let mut put =
        format!("PUT /v1/kv/k HTTP/1.1\r\nHost: {http_door}\r\nContent-Length: 1048000\r\n\r\n").into_bytes();
    put.resize(put.len() + 1_048_000, b'v');
    for n in 0..600 {
        let (door, bytes) = if n % 2 == 0 { (redis, &set) } else { (http_door, &put) };
        let mut stream = TcpStream::connect(door).unwrap();
        // Whoever had to make room is told so, and closed.
        let _ = stream.write_all(bytes);
        waiting.push(stream);
    }
    let mut after = 0;
    for _ in 0..30 {
        after = resident().max(after);
        std::thread::sleep(Duration::from_millis(100));
    }
    // What `docs/limits.md` counts, and what each connection has read ahead.
    assert!(after < before + (700 << 20), "from {} to {} MiB", before >> 20, after >> 20);
    assert_eq!(client.call(&["GET", "k"]), "value");
    drop(gateway);
}
