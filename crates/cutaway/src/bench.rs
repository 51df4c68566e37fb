//! `bench`: how fast, always beside something to compare with.

mod cluster;
mod failover;
mod fragments;
mod scale;
mod stages;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ::bench::cluster::peers::end_all;
use ::bench::cutaway::Cutaway;
use ::bench::floor::Floor;
use ::bench::load::{LOADS, Store, Turns, compare};
use ::bench::{large, table};
use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use server::child;

use crate::failure::{Failure, Result, note, say};

/// Measure speed, as ratios to a comparison in the same run
#[derive(Debug, Args)]
pub struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Engine(Engine),
    Cluster(cluster::Cluster),
    Compare(cluster::Compare),
    Failover(failover::Failovers),
    Stages(stages::Stages),
    Scale(scale::Scale),
    Gc(fragments::Gc),
    /// Open an image of `bench engine` and report the cost, in its own process so that its memory can be measured
    #[command(hide = true)]
    Open {
        image: PathBuf,
    },
    /// A process of the floor of `bench compare`
    #[command(hide = true)]
    FloorNode {
        #[arg(long)]
        listen: u16,
        #[arg(long)]
        file: PathBuf,
        #[arg(long = "backup")]
        backups: Vec<u16>,
    },
    /// A process of the floor of `bench compare`
    #[command(hide = true)]
    FloorGateway {
        #[arg(long)]
        listen: u16,
        #[arg(long)]
        primary: u16,
    },
}

/// The storage engine: durable puts compared with a floor, and a store with a million keys
///
/// The floor does only the unavoidable: a preallocated file, one write and one sync per group of puts, an index in
/// memory; no format, no checksum, no reclamation. The two run in alternating turns.
#[derive(Debug, Args)]
struct Engine {
    /// Seconds that each load runs on each store
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Keys of the large store
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=20_000_000))]
    keys: u64,
    /// Directory for temporary files, about 3 GB, on the disk to measure
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Print the result as one line of JSON
    #[arg(long)]
    json: bool,
}

/// Turns of each store.
const ROUNDS: u32 = 10;
/// The device of our engine, and what the floor goes round in.
const FILE_BYTES: u64 = 1 << 29;

impl Bench {
    pub fn run(self) -> Result {
        match self.what {
            What::Engine(engine) => engine.run(),
            What::Cluster(cluster) => with_processes(|| cluster.run()),
            What::Compare(compare) => with_processes(|| compare.run()),
            What::Failover(failovers) => with_processes(|| failovers.run()),
            What::Stages(stages) => with_processes(|| stages.run()),
            What::Gc(gc) => gc.run(),
            What::Scale(scale) => with_processes(|| scale.run()),
            What::FloorNode { listen, file, backups } => {
                ::bench::cluster::floor::node(listen, &file, FILE_BYTES, &backups).map_err(Failure::error)
            }
            What::FloorGateway { listen, primary } => {
                ::bench::cluster::floor::gateway(listen, primary).map_err(Failure::error)
            }
            What::Open { image } => {
                let opened = large::open(&image).map_err(Failure::error)?;
                say(json!(opened));
                Ok(())
            }
        }
    }
}

/// Whoever ends such a benchmark (SIGTERM, Ctrl-C) gets rid of a dozen processes and a folder of images as well:
/// 1. the processes are told to end;
/// 2. the measurement fails, because nobody answers it, and removes the folder on its way out.
fn with_processes(measure: impl FnOnce() -> Result) -> Result {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::error)?;
    let mut ended = runtime.block_on(async { child::signals() }).map_err(Failure::error)?;
    std::thread::spawn(move || {
        runtime.block_on(ended.recv());
        note("ending what was started\n");
        end_all();
        std::thread::sleep(END_PATIENCE);
        std::process::exit(1);
    });
    measure()
}

/// Longer than any process takes to end that is told to.
const END_PATIENCE: Duration = Duration::from_secs(15);

impl Engine {
    fn run(self) -> Result {
        let dir = tempfile::Builder::new().prefix("cutaway-bench-").tempdir_in(&self.dir);
        let dir = dir.map_err(|e| Failure::error(format!("cannot write in {}: {e}", self.dir.display())))?;
        let bar = ProgressBar::new(LOADS.len() as u64 * 2 * u64::from(ROUNDS + 1));
        let mut loads = Vec::new();
        for load in LOADS {
            let (ours, floor) = (dir.path().join("cutaway"), dir.path().join("floor"));
            let cutaway = Cutaway::create(&ours, FILE_BYTES).map_err(Failure::error)?;
            let unavoidable = Floor::create(&floor, FILE_BYTES).map_err(Failure::error)?;
            let stores: [(&str, &dyn Store); 2] = [("floor", &unavoidable), ("cutaway", &cutaway)];
            let turns = Turns { rounds: ROUNDS, turn: Duration::from_secs(self.seconds) / ROUNDS };
            let measured = compare(&load, &stores, turns, || bar.inc(1)).map_err(Failure::error)?;
            drop((cutaway, unavoidable));
            for file in [ours, floor] {
                std::fs::remove_file(file).map_err(Failure::error)?;
            }
            if !self.json {
                bar.suspend(|| say(table::of(&load, &measured, "floor")));
            }
            let ratio = measured[1].puts_per_second / measured[0].puts_per_second;
            loads.push(json!({"load": load, "stores": measured, "ratio_to_floor": ratio}));
        }
        bar.finish_and_clear();
        let large = [16, 100].map(|key_bytes| self.large(dir.path(), key_bytes));
        let [short, long] = large;
        if self.json {
            say(json!({"loads": loads, "large": [short?, long?]}));
        } else {
            short?;
            long?;
        }
        Ok(())
    }

    /// A store with many keys.
    fn large(&self, dir: &Path, key_bytes: usize) -> Result<Value> {
        let image = dir.join("large");
        large::fill(&image, self.keys, key_bytes).map_err(Failure::error)?;
        let opened = open_in_its_own_process(&image)?;
        let steps = large::checkpoint(&image, key_bytes).map_err(Failure::error)?;
        std::fs::remove_file(&image).map_err(Failure::error)?;
        if !self.json {
            let memory = opened["memory_bytes"]
                .as_u64()
                .map_or("unknown".into(), |bytes| format!("{} bytes per key", bytes / self.keys));
            say(format!(
                "{} keys of {key_bytes} bytes, values of 100\n  \
                 open from a checkpoint: {:.0} ms; memory: {memory}\n  \
                 checkpoint beside {} puts: {} steps; the most work of one {:.2} ms, the longest {:.2} ms;\n  \
                 the one that makes it count waits for {} syncs, {:.2} ms\n",
                self.keys,
                opened["millis"].as_f64().unwrap_or_default(),
                steps.puts,
                steps.steps,
                steps.worst_work_micros / 1e3,
                steps.worst_micros / 1e3,
                steps.flip_syncs,
                steps.flip_micros / 1e3,
            ));
        }
        Ok(json!({"keys": self.keys, "key_bytes": key_bytes, "open": opened, "checkpoint": steps}))
    }
}

fn open_in_its_own_process(image: &Path) -> Result<Value> {
    let me = std::env::current_exe().map_err(Failure::error)?;
    let output = Command::new(me).args(["bench", "open"]).arg(image).output().map_err(Failure::error)?;
    if !output.status.success() {
        return Err(Failure::error(String::from_utf8_lossy(&output.stderr)));
    }
    serde_json::from_slice(&output.stdout).map_err(Failure::error)
}
