//! `bench scale`: how the cost of a put, the time to come back and the memory grow with shards and with keys; and how a
//! device that fills up keeps its speed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use ::bench::cluster::drive::Load;
use ::bench::cluster::peers::Peer;
use ::bench::large::{Fits, fits};
use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::cluster::{Measured, fill, folder, ours};
use crate::failure::{Failure, Result, say};

/// A cluster at several sizes: 1, 2 and 4 shards, and 10,000, 100,000 and 1,000,000 keys; and on devices that fill up
///
/// Each size is a new cluster, first filled with all keys, then under durable puts of 64 clients; then one node is
/// killed and restarted. Then: how many keys a device of 512 MiB takes, with values of 100 B and of 4 KiB, and durable
/// overwrites of 4 KiB by 64 clients at several shares of that, with the extension gc and without.
#[derive(Debug, Args)]
pub struct Scale {
    /// Seconds of load per size
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Directory for temporary images, up to 8 GB, on the disk to measure
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Print the result as one line of JSON
    #[arg(long)]
    json: bool,
}

/// Shards and keys.
const SIZES: [(u32, u64); 5] = [(1, 10_000), (2, 10_000), (4, 10_000), (1, 100_000), (1, 1_000_000)];

/// Shares of the keys that fit, in percent, and the image that they are put into.
const LEVELS: [u64; 5] = [10, 50, 70, 85, 95];
const IMAGE_BYTES: u64 = 512 << 20;

impl Scale {
    pub fn run(self) -> Result<()> {
        let bar = ProgressBar::new((SIZES.len() + 2 * LEVELS.len()) as u64);
        let mut rows = Vec::new();
        for (shards, keys) in SIZES {
            rows.push(self.size(shards, keys)?);
            bar.inc(1);
        }
        let fits = [100, 4096].map(|value_bytes| self.fits(value_bytes));
        let [small, large] = fits;
        let (small, large) = (small?, large?);
        let mut levels = Vec::new();
        for level in LEVELS {
            for with in ["", "gc"] {
                levels.push(self.level(level, large.keys, with)?);
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        if self.json {
            say(json!({ "sizes": rows, "fits": [small, large], "levels": levels }));
            return Ok(());
        }
        let names = ["shards", "keys", "puts/s", "p99 ms", "CPU µs/put", "MiB per node", "restart ms"];
        let mut text = String::new();
        names.iter().for_each(|name| text += &format!("{name:>14}"));
        for row in rows {
            let number =
                |name: &str, digits: usize| format!("{:>14.digits$}", row[name].as_f64().unwrap_or_default());
            text += "\n";
            text += &[
                number("shards", 0),
                number("keys", 0),
                number("puts_per_second", 0),
                number("p99_millis", 2),
                number("cpu_micros_per_put", 1),
                number("mib_per_node", 0),
                number("restart_millis", 0),
            ]
            .concat();
        }
        say(text);
        for Fits { value_bytes, keys, percent } in [small, large] {
            say(format!(
                "values of {value_bytes} B: {keys} fit, in {percent:.1} % of the units of the data region"
            ));
        }
        say(format!("{:>14}{:>14}{:>14}{:>14}{:>14}", "% full", "keys", "with", "puts/s", "p99 ms"));
        for row in levels {
            say(format!(
                "{:>14}{:>14}{:>14}{:>14.0}{:>14.2}",
                row["percent"],
                row["keys"],
                row["with"].as_str().unwrap_or_default(),
                row["puts_per_second"].as_f64().unwrap_or_default(),
                row["p99_millis"].as_f64().unwrap_or_default()
            ));
        }
        Ok(())
    }

    fn fits(&self, value_bytes: usize) -> Result<Fits> {
        let home = folder(&self.dir)?;
        fits(&home.path().join("full.img"), IMAGE_BYTES, value_bytes).map_err(Failure::error)
    }

    /// Durable overwrites with so many percent of these keys on each device.
    fn level(&self, percent: u64, keys: u64, with: &str) -> Result<Value> {
        let home = folder(&self.dir)?;
        let program = std::env::current_exe().map_err(Failure::error)?;
        let dir = home.path().canonicalize().map_err(Failure::error)?;
        let load = Load::puts(64, 4096, keys * percent / 100);
        let peer = Peer::cutaway(&program, &dir, (1, IMAGE_BYTES), with).map_err(Failure::error)?;
        fill(&peer, &load)?;
        let mut measured = Measured::new("cutaway");
        measured.turn(&peer, &load, Duration::from_secs(self.seconds), 2)?;
        Ok(json!({
            "percent": percent, "with": with, "keys": load.keys, "puts_per_second": measured.per_second(),
            "p99_millis": measured.micros(0.99) as f64 / 1e3,
        }))
    }

    fn size(&self, shards: u32, keys: u64) -> Result<Value> {
        let home = folder(&self.dir)?;
        let load = Load::puts(64, 100, keys);
        let peer = ours(home.path(), shards, &load)?;
        fill(&peer, &load)?;
        let mut measured = Measured::new("cutaway");
        measured.turn(&peer, &load, Duration::from_secs(self.seconds), 2)?;
        let nodes: Vec<u64> =
            peer.residents().into_iter().filter(|(name, _)| name.starts_with('n')).map(|(_, b)| b).collect();
        let node_bytes = nodes.iter().sum::<u64>() / nodes.len().max(1) as u64;
        Ok(json!({
            "shards": shards, "keys": keys, "puts_per_second": measured.per_second(),
            "p99_millis": measured.micros(0.99) as f64 / 1e3, "cpu_micros_per_put": measured.cpu_micros(),
            "mib_per_node": node_bytes as f64 / f64::from(1 << 20),
            "restart_millis": restart(home.path())?.as_secs_f64() * 1e3,
        }))
    }
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
