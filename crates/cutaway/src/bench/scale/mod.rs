//! `bench scale`: how what a cluster costs grows with what it holds and who uses it, one thing varied at a time.

mod fill;
mod law;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use ::bench::cluster::drive::Load;
use ::bench::cluster::peers::{Peer, Shape};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};
use server::doors;

use super::cluster::{Measured, fill, folder};
use super::failover::kill_ours;
use crate::failure::{Failure, Result, say};

/// A cluster at several sizes: keys, lengths of values, shards, clients and nodes, one of them varied at a time
///
/// Three nodes, one shard, 10,000 keys of 100 bytes and 64 clients, and from there along each axis. Each point is a new
/// cluster, first filled with all keys, then under durable puts; then a node is killed and restarted, and then the primary
/// is killed. Below each axis stands how each cost grows with it. The axis `fill` is another: how many keys a device of
/// 512 MiB takes, and durable overwrites of 4 KiB at several shares of that, with the extension gc and without.
#[derive(Debug, Args)]
pub struct Scale {
    /// What to vary; all by default
    #[arg(long, value_enum)]
    axis: Vec<Axis>,
    /// Go as far as 10,000,000 keys (2 GB of memory and 14 GB of disk for each node), 64 shards and 5,000 clients
    #[arg(long)]
    large: bool,
    /// Seconds of load per point
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Directory for temporary images, on the disk to measure
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Print the result as one line of JSON
    #[arg(long)]
    json: bool,
}

/// What is varied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Axis {
    Keys,
    Values,
    Shards,
    Clients,
    Nodes,
    Fill,
}

/// One cluster and its load.
#[derive(Clone, Copy, Debug)]
struct Point {
    keys: u64,
    value_bytes: u64,
    shards: u64,
    clients: u64,
    nodes: u64,
}

const BASE: Point = Point { keys: 10_000, value_bytes: 100, shards: 1, clients: 64, nodes: 3 };
/// An image is never smaller, so that few shards and few keys differ in nothing but their number.
const IMAGE_BYTES_MIN: u64 = 64 << 20;
/// And so much per shard, however many there are.
const SHARD_BYTES_MIN: u64 = 16 << 20;

/// What is measured at a point: its name in JSON, its name for people, the digits behind the point.
const COSTS: [(&str, &str, usize); 8] = [
    ("puts_per_second", "puts/s", 0),
    ("p99_millis", "p99 ms", 2),
    ("cpu_micros_per_put", "CPU µs/put", 1),
    ("written_per_user_byte", "written/user", 2),
    ("mib_per_node", "MiB per node", 0),
    ("mib_of_gateway", "MiB gateway", 0),
    ("restart_millis", "restart ms", 0),
    ("takeover_millis", "takeover ms", 0),
];

impl Axis {
    /// The values along it, the large ones only if they are wanted.
    fn values(self, large: bool) -> Vec<u64> {
        let (usual, more): (&[u64], &[u64]) = match self {
            Axis::Keys => (&[10_000, 100_000, 1_000_000], &[10_000_000]),
            Axis::Values => (&[10, 100, 1_000, 10_000, 100_000, 1 << 20], &[]),
            Axis::Shards => (&[1, 4, 16], &[64]),
            Axis::Clients => (&[1, 16, 64, 256, 1_000], &[5_000]),
            Axis::Nodes => (&[3, 5, 7], &[]),
            Axis::Fill => (&[], &[]),
        };
        usual.iter().chain(more.iter().filter(|_| large)).copied().collect()
    }

    fn point(self, value: u64) -> Point {
        match self {
            Axis::Keys => Point { keys: value, ..BASE },
            // Large values of many keys would measure the disk's size.
            Axis::Values => Point { value_bytes: value, keys: 1_000, ..BASE },
            Axis::Shards => Point { shards: value, ..BASE },
            Axis::Clients => Point { clients: value, ..BASE },
            Axis::Nodes => Point { nodes: value, ..BASE },
            Axis::Fill => BASE,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Axis::Keys => "keys",
            Axis::Values => "bytes",
            Axis::Shards => "shards",
            Axis::Clients => "clients",
            Axis::Nodes => "nodes",
            Axis::Fill => "fill",
        }
    }
}

impl Scale {
    pub fn run(self) -> Result<()> {
        doors::descriptors();
        let mut axes = self.axis.clone();
        if axes.is_empty() {
            axes = Axis::value_variants().to_vec();
        }
        axes.sort();
        axes.dedup();
        let points: usize = axes.iter().map(|axis| axis.values(self.large).len()).sum();
        let fills = axes.contains(&Axis::Fill);
        let bar = ProgressBar::new(points as u64 + if fills { fill::STEPS } else { 0 });
        let (mut all, mut text) = (Map::new(), Vec::new());
        for axis in axes {
            if axis == Axis::Fill {
                let measured = fill::measure(&self.dir, Duration::from_secs(self.seconds), || bar.inc(1))?;
                text.push(fill::table(&measured));
                all.insert(axis.name().into(), measured);
                continue;
            }
            let (mut rows, mut failed) = (Vec::new(), String::new());
            for value in axis.values(self.large) {
                // A point that is too large for this machine takes nothing from the others.
                match self.measure(axis.point(value)) {
                    Ok(costs) => rows.push((value, costs)),
                    Err(why) => failed += &format!("\n{value:>10}  not measured: {why}"),
                }
                bar.inc(1);
            }
            text.push(table(axis, &rows) + &failed);
            let rows = rows.into_iter().map(|(value, mut costs)| {
                costs.insert(axis.name().into(), value.into());
                Value::Object(costs)
            });
            all.insert(axis.name().into(), rows.collect());
        }
        bar.finish_and_clear();
        say(if self.json { json!(all).to_string() } else { text.join("\n\n") });
        Ok(())
    }

    fn measure(&self, point: Point) -> Result<Map<String, Value>> {
        let Point { keys, value_bytes, shards, clients, nodes } = point;
        let home = folder(&self.dir)?;
        let program = std::env::current_exe().map_err(Failure::error)?;
        let dir = home.path().canonicalize().map_err(Failure::error)?;
        let load = Load::puts(clients as usize, value_bytes as usize, keys);
        let least = (IMAGE_BYTES_MIN / shards).max(SHARD_BYTES_MIN);
        // What a value takes in units, its key in two checkpoints and the log; three quarters full, and then some.
        let image_bytes =
            (keys * (value_bytes.next_multiple_of(512) + 512) * 4 / 3 / shards).max(least) + least;
        let shape = Shape { nodes: nodes as u32, shards: shards as u32, image_bytes, with: "" };
        let peer = Peer::cutaway(&program, &dir, shape).map_err(Failure::error)?;
        fill(&peer, &load)?;
        let mut measured = Measured::new("cutaway");
        measured.turn(&peer, &load, Duration::from_secs(self.seconds), 2)?;
        let residents = peer.residents();
        let mean = |begins: char| {
            let of: Vec<u64> =
                residents.iter().filter(|(name, _)| name.starts_with(begins)).map(|(_, b)| *b).collect();
            of.iter().sum::<u64>() as f64 / of.len().max(1) as f64 / f64::from(1 << 20)
        };
        let (node, gateway) = (mean('n'), mean('g'));
        let restart = restart(home.path())?;
        let takeover = kill_ours(&peer, &dir, 0)?.outage;
        let costs = [
            measured.per_second(),
            measured.micros(0.99) as f64 / 1e3,
            measured.cpu_micros(),
            measured.written_per_user_byte(&load),
            node,
            gateway,
            restart.as_secs_f64() * 1e3,
            takeover.as_secs_f64() * 1e3,
        ];
        Ok(COSTS.iter().zip(costs).map(|((name, ..), cost)| (name.to_string(), cost.into())).collect())
    }
}

fn table(axis: Axis, rows: &[(u64, Map<String, Value>)]) -> String {
    let mut text = format!("{:>10}", axis.name());
    COSTS.iter().for_each(|(_, name, _)| text += &format!("{name:>14}"));
    for (value, costs) in rows {
        text += &format!("\n{value:>10}");
        for (name, _, digits) in COSTS {
            text += &format!("{:>14.digits$}", costs[name].as_f64().unwrap_or_default());
        }
    }
    for (name, shown, _) in COSTS {
        let points: Vec<_> = rows
            .iter()
            .map(|(value, costs)| (*value as f64, costs[name].as_f64().unwrap_or_default()))
            .collect();
        text += &format!("\n  {shown:<14}{}", law::law(&points, axis.name()));
    }
    text
}

/// Kills n3, and tells how long its restart takes until it has recovered and is ready.
fn restart(dir: &Path) -> Result<Duration> {
    let act = |action: &str| {
        let program = std::env::current_exe().map_err(Failure::error)?;
        let home = dir.canonicalize().map_err(Failure::error)?.join("cutaway");
        let output = Command::new(program).args([action, "n3", "--dir"]).arg(home).output();
        let output = output.map_err(Failure::error)?;
        output
            .status
            .success()
            .then_some(())
            .ok_or_else(|| Failure::error(String::from_utf8_lossy(&output.stderr)))
    };
    act("kill")?;
    let begun = Instant::now();
    act("restart")?;
    Ok(begun.elapsed())
}
