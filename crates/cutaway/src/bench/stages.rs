//! `bench stages`: where the time of a put goes, taken from the stories that the processes tell of it.

use std::path::PathBuf;
use std::time::Duration;

use ::bench::cluster::drive::{Load, drive};
use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use ureq::http::Method;

use super::cluster::{fill, folder, ours};
use crate::client::GatewayArgs;
use crate::failure::{Failure, Result, say};
use crate::kv::EXPLAIN;

/// Where the time of a put goes, stage by stage, from the trace
///
/// Puts are traced one after the other, as with `put --explain`: alone, or among other clients that put as fast as they
/// can. The result is the median of each stage.
#[derive(Debug, Args)]
pub struct Stages {
    /// Number of other clients, each with its own connection
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=1024))]
    clients: u64,
    /// Number of traced puts
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    puts: u64,
    /// Directory for temporary images, on the disk to measure
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Print the result as one line of JSON
    #[arg(long)]
    json: bool,
}

/// The path of a put, along the backup that was counted first: what each stage is, and the event that ends it.
const PATH: [(&str, &str); 7] = [
    ("the gateway, and the way to the primary", "request_received"),
    ("the primary orders it and sends it to the backups", "entries_sent"),
    ("the way to the backup", "entry_appended"),
    ("the backup writes its batch and syncs it", "match_acknowledged"),
    ("the way back, and until the primary's own sync is over", "ack_counted"),
    ("the primary commits and applies it", "reply_released"),
    ("the way to the gateway", "request_ended"),
];

impl Stages {
    pub fn run(self) -> Result<()> {
        let home = folder(&self.dir)?;
        let load = Load::puts(self.clients as usize, 100, 20_000);
        let peer = ours(home.path(), 1, &load)?;
        fill(&peer, &load)?;
        let door = GatewayArgs::at(format!("127.0.0.1:{}", peer.port + 1));
        let bar = ProgressBar::new(self.puts);
        let mut followed = Vec::new();
        // Each story takes about a tenth of a second to collect.
        let length = Duration::from_millis(self.puts * 150);
        std::thread::scope(|scope| {
            let others =
                (self.clients > 0).then(|| scope.spawn(|| drive(peer.protocol, peer.port, &load, length, 3)));
            std::thread::sleep(Duration::from_millis(300));
            for n in 0..self.puts {
                if others.as_ref().is_some_and(|others| others.is_finished()) {
                    break;
                }
                let answer =
                    door.ask(Method::PUT, &format!("/v1/kv/followed-{n}"), &[EXPLAIN], &[b'x'; 100])?;
                followed.extend(stages(&answer.json()?));
                bar.inc(1);
            }
            others.map_or(Ok(()), |others| match others.join() {
                Ok(seen) => seen.map(drop).map_err(Failure::error),
                Err(_) => Err(Failure::error("the other clients ended in a panic")),
            })
        })?;
        bar.finish_and_clear();
        if followed.is_empty() {
            return Err(Failure::error("not one story was complete"));
        }
        let median = |of: &dyn Fn(&[u64]) -> u64| {
            let mut values: Vec<u64> = followed.iter().map(|stages| of(stages)).collect();
            values.sort_unstable();
            values[values.len() / 2]
        };
        let rows: Vec<(&str, u64)> =
            PATH.iter().enumerate().map(|(n, (name, _))| (*name, median(&|stages| stages[n]))).collect();
        let (total, own_sync) =
            (median(&|stages| stages[..PATH.len()].iter().sum()), median(&|stages| stages[PATH.len()]));
        if self.json {
            let stages: Vec<Value> =
                rows.iter().map(|(name, micros)| json!({"stage": name, "micros": micros})).collect();
            say(json!({
                "clients": self.clients, "followed": followed.len(), "stages": stages, "total_micros": total,
                "primary_sync_micros": own_sync,
            }));
            return Ok(());
        }
        say(format!("{} puts followed, {} other clients; medians\n", followed.len(), self.clients));
        rows.iter().for_each(|(name, micros)| say(format!("  {name:<58}{micros:>8} µs")));
        say(format!("  {:<58}{total:>8} µs", "from call to reply"));
        say(format!("  {:<58}{own_sync:>8} µs", "meanwhile, the primary's own write and sync"));
        Ok(())
    }
}

/// How long each stage of [`PATH`] took, and the primary's own sync; nothing of a story with a gap.
fn stages(answer: &Value) -> Option<Vec<u64>> {
    let events = answer["events"].as_array()?;
    let find = |kind: &str, node: &str| events.iter().find(|e| e["kind"] == kind && e["node"] == node);
    let wall = |event: &Value| event["wall"].as_u64();
    let called = events.iter().find(|e| e["kind"] == "call_taken")?;
    let received = events.iter().find(|e| e["kind"] == "request_received")?;
    let (gateway, primary) = (called["node"].as_str()?, received["node"].as_str()?);
    let counted = find("ack_counted", primary)?;
    let backup = format!("n{}/{}", counted["facts"]["from"], primary.split_once('/')?.1);
    let mut ends = vec![wall(called)?];
    for (_, kind) in PATH {
        let node = match kind {
            "entry_appended" | "match_acknowledged" => backup.as_str(),
            "request_ended" => gateway,
            _ => primary,
        };
        ends.push(wall(find(kind, node)?)?);
    }
    let mut stages: Vec<u64> = ends.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    stages.push(find("device_synced", primary)?["facts"]["micros"].as_u64()?);
    Some(stages)
}
