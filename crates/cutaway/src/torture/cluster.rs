//! The cluster under torture: an `up` of its own, in a folder of its own, on ports that were free.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::GatewayArgs;
use crate::failure::{Failure, Result};
use crate::members;

/// A cluster that has not come up by then does not.
const UP_PATIENCE: Duration = Duration::from_secs(60);
/// One that has not ended by then is killed.
const END_PATIENCE: Duration = Duration::from_secs(20);
/// Ports behind the first: gateways from there, nodes from 20 on.
const PORTS: u16 = 40;

/// Processes of the cluster.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub nodes: u32,
    pub gateways: u32,
    pub shards: u32,
}

/// Ended when it is dropped.
pub struct Cluster {
    up: Child,
    pub dir: PathBuf,
    port: u16,
    pub size: Size,
}

impl Cluster {
    /// Founds a cluster in `dir`, and waits until it serves. What its processes log goes to `up.log` beside it.
    pub fn found(dir: &Path, size: Size, with: Option<&str>) -> Result<Cluster> {
        let port =
            free_ports().ok_or_else(|| Failure::error(format!("no {PORTS} ports in a row are free")))?;
        let log = File::create(dir.with_extension("log")).map_err(Failure::error)?;
        let program = std::env::current_exe().map_err(Failure::error)?;
        let Size { nodes, gateways, shards } = size;
        let mut up = Command::new(program)
            .args(["up", "--json", "--image-size", "32M", "--dir"])
            .arg(dir)
            .args(["--port", &port.to_string(), "--nodes", &nodes.to_string()])
            .args(["--gateways", &gateways.to_string(), "--shards", &shards.to_string()])
            .args(with.iter().flat_map(|with| ["--with", with]))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(Failure::error)?;
        let ready = up.stdout.take().map(BufReader::new);
        let cluster = Cluster { up, dir: dir.to_owned(), port, size };
        let mut line = String::new();
        ready.and_then(|mut ready| ready.read_line(&mut line).ok());
        if line.is_empty() {
            let log = dir.with_extension("log");
            return Err(Failure::error(format!("the cluster did not start; {} says why", log.display())));
        }
        let begin = Instant::now();
        while !cluster.serves() {
            if begin.elapsed() > UP_PATIENCE {
                return Err(Failure::error("the cluster has no primary a minute after its start"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(cluster)
    }

    /// The HTTP address of each gateway.
    pub fn gateways(&self) -> Vec<String> {
        (0..self.size.gateways).map(|n| format!("127.0.0.1:{}", self.port + 1 + 2 * n as u16)).collect()
    }

    /// Does something to a member, as `kill n1` does. What cannot be done is told, and nothing has happened.
    pub fn act(&self, name: &str, action: &str) -> std::result::Result<(), String> {
        match members::order(&self.dir, name, action) {
            Ok(done) => done.map(|_| ()),
            Err(failure) => Err(failure.to_string()),
        }
    }

    /// What a gateway says of the cluster.
    pub fn status(&self) -> Option<Value> {
        self.gateways().into_iter().find_map(|gateway| GatewayArgs::at(gateway).status().ok())
    }

    /// Has every shard a primary that serves?
    pub fn serves(&self) -> bool {
        let shards = self.status().map(|status| status["shards"].clone());
        let shards = shards.as_ref().and_then(Value::as_array);
        shards.is_some_and(|shards| {
            !shards.is_empty() && shards.iter().all(|shard| shard["primary"].is_string())
        })
    }

    /// Is every replica up, proven, and as far as its primary?
    pub fn is_whole(&self) -> bool {
        let Some(status) = self.status() else { return false };
        let well = |node: &Value| node["state"] == "serving" || node["state"] == "following";
        let shards = status["shards"].as_array().cloned().unwrap_or_default();
        !shards.is_empty()
            && shards.iter().all(|shard| {
                let nodes = shard["nodes"].as_array().cloned().unwrap_or_default();
                shard["primary"].is_string()
                    && nodes.len() == self.size.nodes as usize
                    && nodes.iter().all(well)
            })
    }

    /// The image of a replica.
    pub fn image(&self, node: u32, shard: u32) -> PathBuf {
        self.dir.join(format!("n{node}/shard-{shard}.img"))
    }

    /// Runs a command of this program on an image.
    pub fn format_joining(&self, node: u32, shard: u32) -> std::result::Result<(), String> {
        let program = std::env::current_exe().map_err(|e| e.to_string())?;
        let mut format = Command::new(program);
        format.args(["format", "--joining", "--overwrite"]).arg(self.image(node, shard));
        let done = format.output().map_err(|e| e.to_string())?;
        if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Asked to end, `up` ends all its children first.
        let pid = self.up.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let begin = Instant::now();
        while begin.elapsed() < END_PATIENCE {
            if matches!(self.up.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.up.kill();
        let _ = self.up.wait();
    }
}

/// The first of so many ports in a row that nobody listens on.
fn free_ports() -> Option<u16> {
    (0..50).find_map(|_| {
        let first = TcpListener::bind(("127.0.0.1", 0)).ok()?.local_addr().ok()?.port();
        let all: Option<Vec<TcpListener>> = (first..first.checked_add(PORTS)?)
            .map(|port| TcpListener::bind(("127.0.0.1", port)).ok())
            .collect();
        all.map(|_| first)
    })
}
