//! A device that fills up: how many keys it takes, and how fast it is on the way there.

use std::path::Path;
use std::time::Duration;

use ::bench::cluster::drive::Load;
use ::bench::cluster::peers::{Peer, Shape};
use ::bench::large::{Fits, fits};
use serde_json::{Value, json};

use super::super::cluster::{Measured, fill, folder};
use crate::failure::{Failure, Result};

/// Shares of the keys that fit, in percent, and the image that they are put into.
const LEVELS: [u64; 5] = [10, 50, 70, 85, 95];
const IMAGE_BYTES: u64 = 512 << 20;

/// What fits on a device, and how fast it is when so much of that is there.
pub fn measure(dir: &Path, length: Duration, mut done: impl FnMut()) -> Result<Value> {
    let (small, large) = (takes(dir, 100)?, takes(dir, 4096)?);
    let mut levels = Vec::new();
    for percent in LEVELS {
        for with in ["", "gc"] {
            levels.push(level(dir, length, large.keys * percent / 100, (percent, with))?);
            done();
        }
    }
    Ok(json!({ "fits": [small, large], "levels": levels }))
}

/// How often `done` is called.
pub const STEPS: u64 = 2 * LEVELS.len() as u64;

/// The same for people.
pub fn table(measured: &Value) -> String {
    let mut text = String::new();
    for fits in measured["fits"].as_array().into_iter().flatten() {
        text += &format!(
            "values of {} B: {} fit, in {:.1} % of the units of the data region\n",
            fits["value_bytes"],
            fits["keys"],
            fits["percent"].as_f64().unwrap_or_default()
        );
    }
    text += &format!("{:>10}{:>12}{:>8}{:>12}{:>12}", "% full", "keys", "with", "puts/s", "p99 ms");
    for row in measured["levels"].as_array().into_iter().flatten() {
        text += &format!(
            "\n{:>10}{:>12}{:>8}{:>12.0}{:>12.2}",
            row["percent"].as_u64().unwrap_or_default(),
            row["keys"].as_u64().unwrap_or_default(),
            row["with"].as_str().unwrap_or_default(),
            row["puts_per_second"].as_f64().unwrap_or_default(),
            row["p99_millis"].as_f64().unwrap_or_default()
        );
    }
    text
}

fn takes(dir: &Path, value_bytes: usize) -> Result<Fits> {
    let home = folder(dir)?;
    fits(&home.path().join("full.img"), IMAGE_BYTES, value_bytes).map_err(Failure::error)
}

/// Durable overwrites with so many keys on each device.
fn level(dir: &Path, length: Duration, keys: u64, (percent, with): (u64, &str)) -> Result<Value> {
    let home = folder(dir)?;
    let program = std::env::current_exe().map_err(Failure::error)?;
    let dir = home.path().canonicalize().map_err(Failure::error)?;
    let load = Load::puts(64, 4096, keys);
    let shape = Shape { nodes: 3, shards: 1, image_bytes: IMAGE_BYTES, with };
    let peer = Peer::cutaway(&program, &dir, shape).map_err(Failure::error)?;
    fill(&peer, &load)?;
    let mut measured = Measured::new("cutaway");
    measured.turn(&peer, &load, length, 2)?;
    Ok(json!({
        "percent": percent, "with": with, "keys": keys, "puts_per_second": measured.per_second(),
        "p99_millis": measured.micros(0.99) as f64 / 1e3,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_their_names() {
        let row = |with| json!({ "percent": 10, "keys": 10_445, "with": with, "puts_per_second": 9e3, "p99_millis": 1.5 });
        let text = table(&json!({ "fits": [], "levels": [row(""), row("gc")] }));
        let width = text.lines().next().unwrap().len();
        assert!(text.lines().all(|line| line.len() == width), "{text}");
        assert!(text.contains("  10       10445      gc"), "{text}");
    }
}
