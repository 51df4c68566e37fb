//! `bench failover`: the primary is killed, and the clock runs until the next acknowledged write.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use ::bench::cluster::drive::Load;
use ::bench::cluster::failover::{Failover, etcd_leads, failover};
use ::bench::cluster::peers::{Peer, installed};
use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::cluster::{folder, ours};
use crate::client::GatewayArgs;
use crate::failure::{Failure, Result, say};

/// `kill -9` of the primary, compared with etcd's leader: time to the next acknowledged write, and lost writes
#[derive(Debug, Args)]
pub struct Failovers {
    /// Number of kills per store
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    rounds: u64,
    /// Directory for temporary files, on the disk to measure
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Print the result as one line of JSON
    #[arg(long)]
    json: bool,
}

/// Nobody takes longer to be whole again.
const PATIENCE: Duration = Duration::from_secs(60);

impl Failovers {
    pub fn run(self) -> Result<()> {
        let home = folder(&self.dir)?;
        let dir = home.path().canonicalize().map_err(Failure::error)?;
        let load = Load::puts(1, 100, 10_000);
        let ours = ours(&dir, 1, &load)?;
        let mut etcd = match installed("etcd") {
            true => Some(Peer::etcd(&dir).map_err(Failure::error)?),
            false => None,
        };
        let bar = ProgressBar::new(self.rounds);
        let (mut of_ours, mut of_etcd) = (Vec::new(), Vec::new());
        for round in 0..self.rounds {
            of_ours.push(kill_ours(&ours, &dir, round)?);
            if let Some(etcd) = &mut etcd {
                of_etcd.push(kill_etcd(etcd, &dir, round)?);
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        let stores = [("cutaway", &of_ours), ("etcd", &of_etcd)];
        let stores =
            stores.iter().filter(|(_, seen)| !seen.is_empty()).map(|(name, seen)| summary(name, seen));
        let stores: Vec<Value> = stores.collect();
        if self.json {
            say(json!({ "stores": stores }));
            return Ok(());
        }
        say(format!(
            "  {:<12}{:>13}{:>13}{:>13}{:>15}{:>8}",
            "", "median ms", "least ms", "most ms", "acknowledged", "lost"
        ));
        for store in &stores {
            let millis = |name: &str| format!("{:.1}", store[name].as_f64().unwrap_or_default());
            say(format!(
                "  {:<12}{:>13}{:>13}{:>13}{:>15}{:>8}",
                store["store"].as_str().unwrap_or_default(),
                millis("median_millis"),
                millis("least_millis"),
                millis("most_millis"),
                store["acknowledged"].to_string(),
                store["lost"].to_string()
            ));
        }
        if etcd.is_none() {
            say("etcd is not installed (Debian: etcd-server)");
        }
        Ok(())
    }
}

fn summary(name: &str, seen: &[Failover]) -> Value {
    let mut millis: Vec<f64> = seen.iter().map(|one| one.outage.as_secs_f64() * 1e3).collect();
    millis.sort_by(f64::total_cmp);
    json!({
        "store": name, "rounds": seen.len(), "median_millis": millis[millis.len() / 2], "least_millis": millis[0],
        "most_millis": millis[millis.len() - 1], "acknowledged": seen.iter().map(|one| one.acknowledged).sum::<u64>(),
        "lost": seen.iter().map(|one| one.lost).sum::<u64>(),
    })
}

/// Kills the primary of the first shard once the cluster is whole, and starts it again after the failover.
pub fn kill_ours(peer: &Peer, dir: &Path, round: u64) -> Result<Failover> {
    let door = GatewayArgs::at(format!("127.0.0.1:{}", peer.port + 1));
    let whole = |status: &Value| {
        let nodes = status["shards"][0]["nodes"].as_array().cloned().unwrap_or_default();
        nodes.iter().all(|node| ["serving", "following"].map(Value::from).contains(&node["state"]))
    };
    let begun = Instant::now();
    let status = loop {
        match door.status() {
            Ok(status) if whole(&status) => break status,
            _ if begun.elapsed() > PATIENCE => {
                return Err(Failure::error("the cluster does not become whole again"));
            }
            _ => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let shard = &status["shards"][0];
    let primary = shard["primary"].as_str().unwrap_or_default().to_string();
    let nodes = shard["nodes"].as_array().cloned().unwrap_or_default();
    let pid =
        nodes.iter().find(|node| node["node"] == primary.as_str()).and_then(|node| node["pid"].as_u64());
    let pid = pid.ok_or_else(|| Failure::error("nobody is the primary"))? as u32;
    let seen = failover(peer.protocol, peer.port, round, || peer.kill_child(pid)).map_err(Failure::error)?;
    let program = std::env::current_exe().map_err(Failure::error)?;
    let restart =
        Command::new(program).args(["restart", &primary, "--dir"]).arg(dir.join("cutaway")).output();
    let restart = restart.map_err(Failure::error)?;
    restart
        .status
        .success()
        .then_some(seen)
        .ok_or_else(|| Failure::error(String::from_utf8_lossy(&restart.stderr)))
}

fn kill_etcd(peer: &mut Peer, dir: &Path, round: u64) -> Result<Failover> {
    let begun = Instant::now();
    let leader = loop {
        let leader = (0..3).find(|n| etcd_leads(peer.port + n).unwrap_or(false));
        match leader {
            Some(leader) => break leader,
            None if begun.elapsed() > PATIENCE => return Err(Failure::error("etcd finds no leader")),
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    // Its clients are connected to another member.
    let (protocol, port) = (peer.protocol, peer.port + (leader + 1) % 3);
    let seen = failover(protocol, port, round, || peer.kill(leader.into())).map_err(Failure::error)?;
    peer.restart_etcd(dir, leader.into()).map_err(Failure::error)?;
    // Until it has caught up.
    std::thread::sleep(Duration::from_secs(2));
    Ok(seen)
}
