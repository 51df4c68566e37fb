//! The cluster under torture: an `up` of its own, in a folder of its own, on ports that were free.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use ::bench::cluster::peers::free_ports;
use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::Request;

use crate::client::GatewayArgs;
use crate::failure::{Failure, Result};
use crate::members;

/// A cluster that has not come up by then does not.
const UP_PATIENCE: Duration = Duration::from_secs(60);
/// One that has not ended by then is killed.
const END_PATIENCE: Duration = Duration::from_secs(20);
/// Ports behind the first: gateways from there, nodes from 20 on, those that replace others too.
const PORTS: u16 = 400;

/// A gateway answers by then, if only that it does not know.
pub const PATIENCE: Duration = Duration::from_secs(15);
/// The console gives no longer trace.
const TRACE_BYTES_MAX: u64 = 64 << 20;

/// Processes of the cluster.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub nodes: u32,
    pub gateways: u32,
    pub shards: u32,
}

/// How it is founded, beside its size.
pub struct Founding<'a> {
    /// Extensions.
    pub with: Option<&'a str>,
    /// libfaketime, if clocks are to jump.
    pub clock: Option<&'a Path>,
    /// Where every event of each node is recorded.
    pub trace: Option<&'a Path>,
}

/// Where a gateway is reached.
#[derive(Clone, Debug)]
pub struct Doors {
    pub redis: String,
    pub http: String,
}

/// Ended when it is dropped.
pub struct Cluster {
    up: Child,
    pub dir: PathBuf,
    port: u16,
    pub size: Size,
    /// Address and token of the console.
    console: (String, String),
}

/// The file in a member's folder that moves its clock.
const CLOCK: &str = "clock";

impl Cluster {
    /// Founds a cluster in `dir`, and waits until it serves. What its processes log goes to `up.log` beside it.
    pub fn found(dir: &Path, size: Size, founding: &Founding<'_>) -> Result<Cluster> {
        let port = free_ports(PORTS).map_err(Failure::error)?;
        let log = File::create(dir.with_extension("log")).map_err(Failure::error)?;
        let program = std::env::current_exe().map_err(Failure::error)?;
        let Size { nodes, gateways, shards } = size;
        let mut up = Command::new(program)
            .args(["up", "--json", "--image-size", "32M", "--dir"])
            .arg(dir)
            .args(["--port", &port.to_string(), "--nodes", &nodes.to_string()])
            .args(["--gateways", &gateways.to_string(), "--shards", &shards.to_string()])
            .args(founding.with.iter().flat_map(|with| ["--with", with]))
            .args(founding.trace.iter().flat_map(|dir| [Path::new("--trace"), dir]))
            .envs(founding.clock.iter().flat_map(|library| moved_by(library)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(Failure::error)?;
        let ready = up.stdout.take().map(BufReader::new);
        let mut cluster = Cluster { up, dir: dir.to_owned(), port, size, console: Default::default() };
        let mut line = String::new();
        ready.and_then(|mut ready| ready.read_line(&mut line).ok());
        if line.is_empty() {
            let log = dir.with_extension("log");
            return Err(Failure::error(format!("the cluster did not start; {} says why", log.display())));
        }
        let told: Value = serde_json::from_str(&line).map_err(Failure::error)?;
        let console = told["console"].as_str().and_then(|console| console.split_once("/#t="));
        cluster.console = console.map(|(site, token)| (site.into(), token.into())).unwrap_or_default();
        let begin = Instant::now();
        while !cluster.serves() {
            if begin.elapsed() > UP_PATIENCE {
                return Err(Failure::error("the cluster has no primary a minute after its start"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(cluster)
    }

    /// The addresses of each gateway.
    pub fn doors(&self) -> Vec<Doors> {
        let at = |port: u16| format!("127.0.0.1:{port}");
        let ports = (0..self.size.gateways).map(|n| self.port + 2 * n as u16);
        ports.map(|port| Doors { redis: at(port), http: at(port + 1) }).collect()
    }

    /// The HTTP address of each gateway.
    pub fn gateways(&self) -> Vec<String> {
        self.doors().into_iter().map(|doors| doors.http).collect()
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

    /// Makes the disk of a replica an empty one.
    pub fn format_joining(&self, node: u32, shard: u32) -> std::result::Result<(), String> {
        let format = ["format", "--joining", "--overwrite"].map(Path::new);
        command(&[&format[..], &[&self.image(node, shard)]].concat())
    }

    /// Replaces a member by one with an empty disk. Its number may have been a member's before.
    pub fn replace(&self, old: u32, new: u32) -> std::result::Result<(), String> {
        for shard in 0..self.size.shards {
            match fs::remove_file(self.image(new, shard)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.to_string()),
                _ => (),
            }
        }
        let (old, new, gateway) = (format!("n{old}"), format!("n{new}"), self.gateways().remove(0));
        command(&["replace", &old, "--with", &new, "--gateway", &gateway].map(Path::new))
    }

    /// The process of a node.
    pub fn pid(&self, node: &str) -> Option<u64> {
        let status = self.status()?;
        let nodes = status["shards"][0]["nodes"].as_array()?;
        nodes.iter().find(|said| said["node"] == node)?["pid"].as_u64()
    }

    /// Moves the clock of a member by this; it notices within a second.
    pub fn set_clock(&self, name: &str, by: &str) -> std::result::Result<(), String> {
        let file = self.dir.join(name).join(CLOCK);
        let new = file.with_extension("new");
        // Renamed, so that nobody reads half of it.
        let written = fs::write(&new, format!("{by}\n")).and_then(|()| fs::rename(&new, &file));
        written.map_err(|error| format!("{}: {error}", file.display()))
    }

    /// The date as a member has it: that of the last line of its log, which tells of an order that changes nothing.
    pub fn date(&self, name: &str) -> std::result::Result<String, String> {
        let log = self.dir.join(name).join("log");
        let lines = || {
            let text = fs::read_to_string(&log).map_err(|error| format!("{}: {error}", log.display()))?;
            Ok::<_, String>(text.lines().map(String::from).collect::<Vec<_>>())
        };
        let before = lines()?.len();
        self.act(name, "heal")?;
        for _ in 0..100 {
            let healed = lines()?.into_iter().skip(before).find(|line| line.contains("healed"));
            if let Some(date) = healed.as_ref().and_then(|line| line.get(.."2000-01-01".len())) {
                return Ok(date.to_owned());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("{name} does not log that it was healed"))
    }

    /// What all members record within two seconds from now, as JSON Lines.
    pub fn trace(&self) -> Result<String> {
        let (site, token) = &self.console;
        let ask = |path: &str, question: Value| -> Result<Value> {
            let request = Request::post(format!("{site}{path}"))
                .header("x-cutaway-token", token)
                .header("content-type", "application/json");
            let request = request.body(question.to_string()).map_err(Failure::error)?;
            let mut answer = agent().run(request).map_err(Failure::error)?;
            let body = answer.body_mut().with_config().limit(TRACE_BYTES_MAX).read_to_vec();
            serde_json::from_slice(&body.map_err(Failure::error)?).map_err(Failure::error)
        };
        ask("/record", json!({ "on": true }))?;
        std::thread::sleep(Duration::from_secs(2));
        Ok(ask("/trace", json!({}))?["lines"].as_str().unwrap_or_default().to_string())
    }
}

/// Asks over HTTP, and hears every answer.
pub fn agent() -> Agent {
    let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
    config.proxy(None).build().into()
}

/// Runs a command of this program.
fn command(arguments: &[&Path]) -> std::result::Result<(), String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let Output { status, stderr, .. } =
        Command::new(program).args(arguments).output().map_err(|e| e.to_string())?;
    if status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&stderr).into_owned()) }
}

/// The environment in which each member finds its clock in its own folder. Only the calendar: no clock of a machine that
/// somebody sets makes the monotonic one jump.
fn moved_by(library: &Path) -> [(&'static str, &Path); 4] {
    [
        ("LD_PRELOAD", library),
        ("FAKETIME_TIMESTAMP_FILE", Path::new(CLOCK)),
        ("FAKETIME_DONT_FAKE_MONOTONIC", Path::new("1")),
        ("FAKETIME_CACHE_DURATION", Path::new("1")),
    ]
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
