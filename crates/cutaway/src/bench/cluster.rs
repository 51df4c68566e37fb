//! `bench cluster` and `bench compare`: whole clusters under load, in processes that the benchmark starts and ends.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ::bench::cluster::drive::{Keys, Load, drive};
use ::bench::cluster::peers::{Peer, Shape, Used, installed};
use clap::Args;
use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::failure::{Failure, Result, say};

/// Length of the keys.
const KEY_BYTES: u64 = 16;

/// A new cluster under load
#[derive(Debug, Args)]
pub struct Cluster {
    /// Number of clients
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=4096))]
    clients: u64,
    /// Connections that the clients share; by default each has its own, as clients in separate processes have
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=4096))]
    connections: Option<u64>,
    /// Length of the values in bytes
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(0..=1_048_576))]
    value: u64,
    /// Percentage of operations that are reads
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    reads: u32,
    /// Number of distinct keys
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    keys: u64,
    /// Number of shards
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    shards: u32,
    /// Choose keys by a Zipf distribution (exponent 0.99)
    #[arg(long)]
    zipf: bool,
    /// Operations per second, in an open loop; by default a closed loop: each client sends its next request when the
    /// last one is answered
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rate: Option<u64>,
    /// Seconds to run
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Directory for temporary images, on the disk to measure
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Print the result as one line of JSON
    #[arg(long)]
    json: bool,
}

/// Compare with etcd (three members) and Redis (`appendfsync always`, alone and with two replicas and `WAIT 1`)
///
/// All run the same loads in turns on one machine; a turn starts when the background work of the others is done. Stores
/// that are not installed are skipped, with a message.
#[derive(Debug, Args)]
pub struct Compare {
    /// Seconds that each load runs on each store
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Turns per store and load
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    rounds: u64,
    /// Connections that the clients share; by default each has its own, as clients in separate processes have
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=4096))]
    connections: Option<u64>,
    /// Directory for temporary files, on the disk to measure
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Print the result as one line of JSON
    #[arg(long)]
    json: bool,
}

/// The loads of a comparison: durable puts and confirmed gets.
const LOADS: [(&str, usize, usize, u32); 5] = [
    ("puts of 100 bytes, 64 clients", 64, 100, 0),
    ("puts of 100 bytes, 256 clients", 256, 100, 0),
    ("puts of 100 bytes, 1 client", 1, 100, 0),
    ("puts of 4 KiB, 64 clients", 64, 4096, 0),
    ("gets of 100 bytes, 64 clients", 64, 100, 100),
];

/// What one store did under one load.
pub struct Measured {
    name: &'static str,
    turns: Vec<f64>,
    latency: Histogram<u64>,
    operations: u64,
    pub used: Used,
}

impl Measured {
    pub fn new(name: &'static str) -> Measured {
        let latency = Histogram::new_with_bounds(1, 60_000_000, 3).expect("bounds of this file");
        Measured { name, turns: Vec::new(), latency, operations: 0, used: Used::default() }
    }

    /// One turn more.
    pub fn turn(&mut self, peer: &Peer, load: &Load, length: Duration, seed: u64) -> Result<()> {
        let before = peer.used();
        let seen = drive(peer.protocol, peer.port, load, length, seed)
            .map_err(|error| Failure::error(format!("{} refuses: {error}", peer.name)))?;
        let after = peer.used();
        self.turns.push(seen.per_second);
        self.operations += seen.operations;
        self.used.cpu += after.cpu - before.cpu;
        self.used.written += after.written.saturating_sub(before.written);
        self.used.flushes += after.flushes.saturating_sub(before.flushes);
        self.used.resident = after.resident;
        self.latency.add(&seen.latency).expect("the same bounds");
        Ok(())
    }

    /// The median of the turns.
    pub fn per_second(&self) -> f64 {
        let mut turns = self.turns.clone();
        turns.sort_by(f64::total_cmp);
        turns.get(turns.len() / 2).copied().unwrap_or_default()
    }

    pub fn micros(&self, quantile: f64) -> u64 {
        self.latency.value_at_quantile(quantile)
    }

    pub fn cpu_micros(&self) -> f64 {
        self.used.cpu * 1e6 / self.operations.max(1) as f64
    }

    fn flushes(&self) -> f64 {
        self.used.flushes as f64 / self.operations.max(1) as f64
    }

    pub fn written_per_user_byte(&self, load: &Load) -> f64 {
        let share = f64::from(100 - load.reads) / 100.0;
        let user = (KEY_BYTES + load.value_bytes as u64) as f64 * share * self.operations.max(1) as f64;
        if user > 0.0 { self.used.written as f64 / user } else { 0.0 }
    }

    fn json(&self, load: &Load) -> Value {
        json!({
            "store": self.name, "per_second": self.per_second(), "turns": self.turns,
            "p50_micros": self.micros(0.5), "p99_micros": self.micros(0.99), "p999_micros": self.micros(0.999),
            "max_micros": self.latency.max(), "cpu_micros_per_operation": self.cpu_micros(),
            "flushes_per_operation": self.flushes(),
            "written_per_user_byte": self.written_per_user_byte(load), "resident_bytes": self.used.resident,
        })
    }
}

fn table(title: &str, load: &Load, measured: &[Measured]) -> String {
    let base = measured.first().map_or(0.0, Measured::per_second);
    let head = [
        "per s",
        "ours is ×",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "max ms",
        "CPU µs/op",
        "flushes/op",
        "written/user",
        "MiB",
    ];
    let shared = load.connections.filter(|connections| *connections < load.clients);
    let shared = shared.map_or(String::new(), |n| format!(", who share {n} connections"));
    let mut text = format!("{title}{shared}\n  {:<12}", "");
    head.iter().for_each(|name| text += &format!("{name:>13}"));
    for m in measured {
        let millis = |micros: u64| format!("{:.2}", micros as f64 / 1e3);
        let cells = [
            format!("{:.0}", m.per_second()),
            format!("{:.2}", base / m.per_second()),
            millis(m.micros(0.5)),
            millis(m.micros(0.99)),
            millis(m.micros(0.999)),
            millis(m.latency.max()),
            format!("{:.1}", m.cpu_micros()),
            format!("{:.3}", m.flushes()),
            format!("{:.2}", m.written_per_user_byte(load)),
            format!("{}", m.used.resident >> 20),
        ];
        text += &format!("\n  {:<12}", m.name);
        cells.iter().for_each(|cell| text += &format!("{cell:>13}"));
    }
    text + "\n"
}

pub fn folder(dir: &Path) -> Result<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix("cutaway-bench-")
        .tempdir_in(dir)
        .map_err(|error| Failure::error(format!("cannot write in {}: {error}", dir.display())))
}

/// A cluster of three nodes whose images have room for `load` twice, and then some.
pub fn ours(dir: &Path, shards: u32, load: &Load) -> Result<Peer> {
    let program = std::env::current_exe().map_err(Failure::error)?;
    let dir = dir.canonicalize().map_err(Failure::error)?;
    let values = load.keys * (load.value_bytes as u64 + 1024) * 2 / u64::from(shards);
    let image_bytes = values.max(256 << 20) + (256 << 20);
    let shape = Shape { nodes: 3, shards, image_bytes, with: "" };
    Peer::cutaway(&program, &dir, shape).map_err(Failure::error)
}

/// Every key once, so that reads find something and nothing grows afterwards.
pub fn fill(peer: &Peer, load: &Load) -> Result<()> {
    let clients = load.clients.max(64);
    let puts = Load { reads: 0, rate: None, clients, distribution: Keys::Once, ..*load };
    drive(peer.protocol, peer.port, &puts, Duration::from_secs(600), 1).map(drop).map_err(Failure::error)
}

/// Waits until nobody computes and nobody writes: what one store has put off (a log to be rewritten, a checkpoint) is
/// not to be paid in the next one's turn. Heartbeats never end, so a little is quiet enough.
fn come_to_rest(peers: &[Peer]) {
    // Seconds of CPU of all together; bytes written by anybody.
    let used = || peers.iter().map(Peer::used).fold((0.0, 0), |sum, used| (sum.0 + used.cpu, used.written));
    let begun = Instant::now();
    while begun.elapsed() < REST_PATIENCE {
        let before = used();
        std::thread::sleep(REST);
        let after = used();
        let cores = (after.0 - before.0) / REST.as_secs_f64();
        if cores < REST_CORES && after.1 - before.1 < REST_BYTES {
            return;
        }
    }
}

/// How long it has to be quiet before a turn.
const REST: Duration = Duration::from_millis(250);
/// And how long that is waited for.
const REST_PATIENCE: Duration = Duration::from_secs(10);
/// Quiet: fewer cores in use than this, by all stores together,
const REST_CORES: f64 = 0.2;
/// and fewer bytes written.
const REST_BYTES: u64 = 1 << 20;

impl Cluster {
    pub fn run(self) -> Result<()> {
        let home = folder(&self.dir)?;
        let distribution = if self.zipf { Keys::Zipf } else { Keys::Uniform };
        let load = Load {
            connections: self.connections.map(|n| n as usize),
            reads: self.reads,
            distribution,
            rate: self.rate,
            ..Load::puts(self.clients as usize, self.value as usize, self.keys)
        };
        let peer = ours(home.path(), self.shards, &load)?;
        fill(&peer, &load)?;
        let mut measured = Measured::new("cutaway");
        let length = Duration::from_secs(self.seconds);
        let (measuring, memory) = std::thread::scope(|scope| {
            let memory = scope.spawn(|| QUARTERS.map(|_| resident_after(&peer, length / 4)));
            (measured.turn(&peer, &load, length, 2), memory.join())
        });
        measuring?;
        let memory = memory.map_err(|_| Failure::error("the memory could not be watched"))?;
        if self.json {
            let mut line = measured.json(&load);
            line["load"] = json!(load);
            line["resident_bytes_after_quarters"] = json!(memory);
            say(line);
        } else {
            let title = format!(
                "{} % reads, values of {} bytes, {} clients",
                load.reads, load.value_bytes, load.clients
            );
            say(table(&title, &load, &[measured]));
            say(memory_table(&memory));
        }
        Ok(())
    }
}

/// When the memory of each process is looked at, in quarters of the run.
const QUARTERS: [(); 3] = [(); 3];

/// Bytes resident in memory of each process, by name.
type Resident = Vec<(String, u64)>;

fn resident_after(peer: &Peer, wait: Duration) -> Resident {
    std::thread::sleep(wait);
    peer.residents()
}

fn memory_table(memory: &[Resident]) -> String {
    let mut text = "MiB resident after a quarter, a half and three quarters".to_string();
    for (n, (name, _)) in memory[0].iter().enumerate() {
        let mib = memory.iter().map(|at| at.get(n).map_or(0, |(_, bytes)| bytes >> 20));
        text += &format!("\n  {name:<12}");
        mib.for_each(|mib| text += &format!("{mib:>13}"));
    }
    text + "\n"
}

impl Compare {
    pub fn run(self) -> Result<()> {
        let home = folder(&self.dir)?;
        let dir = home.path().canonicalize().map_err(Failure::error)?;
        let program = std::env::current_exe().map_err(Failure::error)?;
        let loads = LOADS.map(|(title, clients, value_bytes, reads)| {
            let connections = self.connections.map(|n| n as usize);
            (title, Load { connections, reads, ..Load::puts(clients, value_bytes, 20_000) })
        });
        let mut peers =
            vec![ours(&dir, 1, &loads[3].1)?, Peer::floor(&program, &dir).map_err(Failure::error)?];
        let mut missing = Vec::new();
        if installed("etcd") {
            peers.push(Peer::etcd(&dir).map_err(Failure::error)?);
        } else {
            missing.push("etcd is not installed (Debian: etcd-server)");
        }
        if installed("redis-server") {
            peers.push(Peer::redis(&dir, 0).map_err(Failure::error)?);
            peers.push(Peer::redis(&dir, 2).map_err(Failure::error)?);
        } else {
            missing.push("redis-server is not installed (Debian: redis-server)");
        }
        let bar = ProgressBar::new(LOADS.len() as u64 * self.rounds * peers.len() as u64);
        let mut results = Vec::new();
        for (title, load) in loads {
            let mut measured: Vec<Measured> = peers.iter().map(|peer| Measured::new(peer.name)).collect();
            for peer in &peers {
                fill(peer, &load)?;
            }
            let turn = Duration::from_secs(self.seconds) / self.rounds as u32;
            for round in 0..self.rounds {
                for (peer, measured) in peers.iter().zip(&mut measured) {
                    come_to_rest(&peers);
                    measured.turn(peer, &load, turn, round)?;
                    bar.inc(1);
                }
            }
            if !self.json {
                bar.suspend(|| say(table(title, &load, &measured)));
            }
            let stores: Vec<Value> = measured.iter().map(|m| m.json(&load)).collect();
            results.push(json!({ "load": load, "title": title, "stores": stores }));
        }
        bar.finish_and_clear();
        if self.json {
            say(json!({ "loads": results, "missing": missing }));
        } else {
            missing.iter().for_each(say);
        }
        Ok(())
    }
}
