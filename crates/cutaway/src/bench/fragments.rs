//! `bench gc`: what a batch takes on a device that fills up, with and without the extension `gc`.

use std::path::PathBuf;
use std::time::Duration;

use ::bench::fragments::{Fragments, Level};
use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;

use super::cluster::folder;
use crate::failure::{Failure, Result, say};

/// The extension gc: the writes that a batch takes and the speed, on a device that fills up, with and without it
///
/// Each level has three new images: two are filled to so many percent of what fits, one is almost empty. Random keys are
/// overwritten until the free space lies scattered; then overwriting goes on in turns, on one of the two with gc. `of empty`
/// is the speed beside the almost empty one, and `disk alone` the same ratio of a file that is written in as many places, and
/// by nobody who thinks about it.
#[derive(Debug, Args)]
pub struct Gc {
    /// Seconds per level and setting
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Size of the image in MiB
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u64).range(8..=65536))]
    mib: u64,
    /// Bytes of each value
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u64).range(1..=1048576))]
    value: u64,
    /// Puts in a batch
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=1024))]
    batch: u64,
    /// Overwrites before anything is measured
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(0..=1_000_000_000))]
    overwrites: u64,
    /// How full, in percent of what fits: one or more of them
    #[arg(long, value_delimiter = ',', default_values_t = LEVELS, value_parser = clap::value_parser!(u64).range(1..=95))]
    percent: Vec<u64>,
    /// Directory for the temporary image, on the disk to measure
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Print the result as one line of JSON
    #[arg(long)]
    json: bool,
}

/// Shares of what fits, in percent.
const LEVELS: [u64; 5] = [10, 50, 70, 85, 95];
/// Turns of each setting, the one that is not counted among them.
const TURNS: u32 = 6;

impl Gc {
    pub fn run(self) -> Result {
        let what = Fragments {
            image_bytes: self.mib << 20,
            value_bytes: self.value as usize,
            batch: self.batch,
            overwrites: self.overwrites,
        };
        let (bar, turn) =
            (ProgressBar::new(self.percent.len() as u64), Duration::from_secs(self.seconds) / TURNS);
        let mut levels = Vec::new();
        for percent in self.percent {
            let home = folder(&self.dir)?;
            levels.push(what.level(home.path(), percent, turn).map_err(Failure::error)?);
            bar.inc(1);
        }
        bar.finish_and_clear();
        if self.json {
            say(json!({ "what": what, "levels": levels }));
        } else {
            say(table(&levels));
        }
        Ok(())
    }
}

/// Each level beside an almost empty device.
fn table(levels: &[Level]) -> String {
    let names = ["% full", "keys", "gc", "writes/batch", "bytes/byte", "puts/s", "of empty", "disk alone"];
    let widths = [8, 8, 9, 14, 12, 9, 10, 12];
    let mut text: String = names.iter().zip(widths).map(|(name, width)| format!("{name:>width$}")).collect();
    for Level { percent, keys, without, with } in levels {
        for (gc, speed) in [("without", without), ("with", with)] {
            text += &format!(
                "\n{percent:>8}{keys:>8}{gc:>9}{:>14.2}{:>12.2}{:>9.0}{:>10.2}{:>12.2}",
                speed.writes_per_batch,
                speed.bytes_per_value_byte,
                speed.puts_per_second,
                speed.of_empty,
                speed.disk_of_empty
            );
        }
    }
    text
}
