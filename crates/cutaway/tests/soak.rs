//! Polite clients among impolite ones, for as long as you like: `SOAK_SECONDS=600 cargo test --release -p cutaway --test soak
//! -- --nocapture` prints what it came to.

#![cfg(target_os = "linux")] // It looks into `/proc`.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{Cluster, Redis, Reply, eventually, ok};

const CLIENTS: usize = 64;
const SLOW_READERS: usize = 3;
/// Of each of the three kinds.
const SILENT: usize = 100;
const STALLED: usize = 100;
const LARGE: usize = 1 << 20;
/// `docs/limits.md`: values and replies, 750 connections, the rest.
const GATEWAY_BYTES_MAX: u64 = (128 + 192 + 128 + 64 + 64 + 750 * 150 / 1024) << 20;
/// The same: cache, keys, unsent frames, what gateways are owed, frames that arrive, what the allocator keeps.
const NODE_BYTES_MAX: u64 = 384 << 20;

/// What a connection says before it says nothing any more.
struct Nuisance {
    port: u16,
    says: Vec<u8>,
}

impl Nuisance {
    fn connect(&self) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        // Whoever is closed at once may not even get to say it.
        let _ = stream.write_all(&self.says);
        stream.set_nonblocking(true).unwrap();
        stream
    }
}

fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 4096]) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

/// Three hundred that never say anything, three hundred that begin and stop.
fn nuisances(cluster: &Cluster) -> Vec<Nuisance> {
    let node = cluster.port + 20;
    let mut all = Vec::new();
    for n in 0..SILENT.max(STALLED) {
        for port in [cluster.port, cluster.port + 1, node + (n % 3) as u16] {
            all.extend((n < SILENT).then(|| Nuisance { port, says: Vec::new() }));
        }
        let put =
            format!("PUT /v1/kv/stalled{n} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nbegins");
        let set = b"*3\r\n$3\r\nSET\r\n$7\r\nstalled\r\n$1000000\r\nbegins".to_vec();
        // A frame that goes on for longer than it is.
        let half = (1_u32 << 20).to_le_bytes().to_vec();
        let kinds =
            [(cluster.port + 1, put.into_bytes()), (cluster.port, set), (node + (n % 3) as u16, half)];
        all.extend(kinds.into_iter().filter(|_| n < STALLED).map(|(port, says)| Nuisance { port, says }));
    }
    all
}

/// Writes and reads until the end; every answer has to be the right one.
fn polite_client(
    mut redis: Redis,
    name: usize,
    over: &AtomicBool,
    operations: &AtomicU64,
    slowest: &Mutex<Duration>,
) {
    for round in 0.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let key = format!("client{name}/{}", round % 7);
        let bytes = if round % 50 == 0 { 100_000 } else { 10 + round % 900 };
        let value = format!("{round} {}", "v".repeat(bytes));
        let begin = Instant::now();
        assert_eq!(redis.call(&["SET", &key, &value]), ok(), "client {name}");
        assert_eq!(redis.call(&["GET", &key]), Reply::Bulk(value.into_bytes()), "client {name}");
        operations.fetch_add(2, Ordering::Relaxed);
        let took = begin.elapsed();
        let mut slowest = slowest.lock().unwrap();
        *slowest = took.max(*slowest);
    }
}

/// Asks for forty megabytes and takes a little at a time; asks again when it has them, or was sent away.
fn slow_reader(port: u16, over: &AtomicBool) {
    let ask = "GET large\r\n".repeat(40);
    while !over.load(Ordering::Relaxed) {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let mut left = 40 * LARGE as i64;
        let mut some = [0; 16 << 10];
        let mut taken = stream.write_all(ask.as_bytes());
        while taken.is_ok() && left > 0 && !over.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(100));
            taken = stream.read(&mut some).map(|bytes| left -= if bytes == 0 { left } else { bytes as i64 });
        }
    }
}

/// Bytes of memory that a process has.
fn resident(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it has memory");
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn sixty_four_clients_notice_nothing_of_slow_readers_and_of_connections_that_say_nothing_or_stop() {
    let seconds: u64 = std::env::var("SOAK_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(15);
    let cluster = Cluster::new(&["--image-size", "256M"]);
    let mut redis = cluster.redis(1);
    assert_eq!(redis.call(&["SET", "large", &"v".repeat(LARGE)]), ok());
    let members =
        [("g1", GATEWAY_BYTES_MAX), ("n1", NODE_BYTES_MAX), ("n2", NODE_BYTES_MAX), ("n3", NODE_BYTES_MAX)];
    let members = members.map(|(name, max)| (name, cluster.pid(name), max));
    let before = members.map(|(_, pid, _)| resident(pid));
    let (epoch, nuisances) = (cluster.shard(0)["epoch"].clone(), nuisances(&cluster));
    let (over, operations, slowest) = (AtomicBool::new(false), AtomicU64::new(0), Mutex::new(Duration::ZERO));
    let (mut most, mut reopened) = ([0; 4], 0);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|name| {
                let redis = cluster.redis(1);
                let (over, operations, slowest) = (&over, &operations, &slowest);
                scope.spawn(move || polite_client(redis, name, over, operations, slowest))
            })
            .collect();
        (0..SLOW_READERS).for_each(|_| drop(scope.spawn(|| slow_reader(cluster.port, &over))));
        let mut open: Vec<_> = nuisances.iter().map(|nuisance| (nuisance, nuisance.connect())).collect();
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(seconds)
            && !clients.iter().any(|client| client.is_finished())
        {
            std::thread::sleep(Duration::from_millis(500));
            for (nuisance, stream) in &mut open {
                if is_closed(stream) {
                    *stream = nuisance.connect();
                    reopened += 1;
                }
            }
            for (most, (name, pid, max)) in most.iter_mut().zip(members) {
                *most = resident(pid).max(*most);
                assert!(*most <= max, "{name} takes {} MiB", *most >> 20);
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    let shown: Vec<_> =
        members.iter().zip(most).map(|((name, ..), most)| format!("{name} {} MiB", most >> 20)).collect();
    println!(
        "{seconds} s: {} operations without an error, the slowest pair in {:?}; {reopened} connections sent away; most \
         memory: {}",
        operations.load(Ordering::Relaxed),
        slowest.lock().unwrap(),
        shown.join(", ")
    );
    assert_eq!(cluster.shard(0)["epoch"], epoch, "no takeover");
    assert!(operations.load(Ordering::Relaxed) > 0);
    for ((name, pid, _), before) in members.into_iter().zip(before) {
        eventually(&format!("{name} gives memory back"), || {
            (resident(pid) < before + (128 << 20)).then_some(())
        });
    }
}
