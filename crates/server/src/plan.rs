//! What `up` starts, and whether it can be started: directory, lock, numbers, ports, and how each process is called. All of
//! it is checked before the first process is.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use dataplane::NodeId;
use extensions::Chosen;
use serde_json::json;

use crate::control_file;
use crate::founding::FoundingError;
use crate::manifest::{Manifest, ManifestError, create_dirs, image_path, random, sync_dir};

/// Most nodes, and most gateways: their ports must not meet.
pub const MEMBERS_MAX: u32 = 10;
/// Most shards.
pub const SHARDS_MAX: u32 = 64;
/// Nodes listen from this far above the first port.
const NODE_PORTS: u16 = 20;
/// A process told to drain gets this long.
pub(crate) const DRAIN_PATIENCE: Duration = Duration::from_secs(4);

/// What `up` is asked for.
#[derive(Clone, Debug)]
pub struct UpOptions {
    /// The data directory.
    pub dir: PathBuf,
    /// How many nodes; the manifest's number, or 3.
    pub nodes: Option<u32>,
    /// How many shards; the manifest's number, or 1.
    pub shards: Option<u32>,
    /// How many gateways; the manifest's number, or 1.
    pub gateways: Option<u32>,
    /// The first port; the manifest's, or 7400.
    pub port: Option<u16>,
    /// The address that everything listens on.
    pub bind: IpAddr,
    /// Bytes of each image; the manifest's, or 1 GiB divided among a node's shards, but at least 32 MiB.
    pub image_bytes: Option<u64>,
    /// The extensions; the manifest's, or none.
    pub extensions: Option<Chosen>,
    /// Host names that HTTP requests may be addressed to.
    pub host_names: Vec<String>,
    /// The directory in which each node records every event.
    pub trace: Option<PathBuf>,
}

/// Why a cluster was not started.
#[derive(Debug)]
pub enum UpFailure {
    /// Another `up` holds the directory.
    Locked(PathBuf),
    /// The directory was founded with another number.
    Mismatch {
        /// Of what.
        what: &'static str,
        /// In the manifest.
        founded: u64,
        /// Asked for.
        asked: u64,
        /// The directory.
        dir: PathBuf,
    },
    /// The directory was founded with other extensions.
    Extensions {
        /// In the manifest.
        founded: Chosen,
        /// Asked for.
        asked: Chosen,
        /// The directory.
        dir: PathBuf,
    },
    /// A number outside its bounds.
    Bounds(String),
    /// The directory's content.
    Founding(FoundingError),
    /// Somebody listens there already.
    Port(SocketAddr, io::Error),
    /// A child ended while starting.
    Child {
        /// Its name.
        name: String,
        /// How it ended.
        how: String,
        /// The end of its log.
        last_lines: String,
        /// Where the whole log is.
        log: PathBuf,
    },
    /// It was told to stop before the cluster stood.
    Interrupted,
    /// The operating system refused something.
    Io(PathBuf, io::Error),
}

impl std::fmt::Display for UpFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            UpFailure::Locked(dir) => write!(f, "another cluster is up in {}", dir.display()),
            UpFailure::Mismatch { what, founded, asked, dir } => {
                write!(f, "{} was founded with {founded} {what}, which cannot become {asked}", dir.display())
            }
            UpFailure::Extensions { founded, asked, dir } => {
                let named = |chosen: &Chosen| match chosen.to_string() {
                    none if none.is_empty() => "no extension".into(),
                    some => some,
                };
                let (founded, asked) = (named(founded), named(asked));
                write!(f, "{} was founded with {founded}, which cannot become {asked}", dir.display())
            }
            UpFailure::Bounds(why) => f.write_str(why),
            UpFailure::Founding(e) => e.fmt(f),
            UpFailure::Port(address, e) => write!(f, "{address} cannot be listened on: {e}"),
            UpFailure::Child { name, how, last_lines, log } => {
                write!(f, "{name} ended while starting ({how}); the end of {}:\n{last_lines}", log.display())
            }
            UpFailure::Interrupted => f.write_str("told to stop before the cluster stood"),
            UpFailure::Io(path, e) => write!(f, "{}: {e}", path.display()),
        }
    }
}

impl From<FoundingError> for UpFailure {
    fn from(e: FoundingError) -> UpFailure {
        UpFailure::Founding(e)
    }
}

impl From<ManifestError> for UpFailure {
    fn from(e: ManifestError) -> UpFailure {
        UpFailure::Founding(FoundingError::Manifest(e))
    }
}

/// How one process of the cluster is started.
pub(crate) struct Process {
    pub arguments: Vec<String>,
    pub log: PathBuf,
    /// What people are shown, in order.
    pub facts: serde_json::Map<String, serde_json::Value>,
}

pub(crate) fn prepare_dir(dir: &Path) -> Result<PathBuf, UpFailure> {
    create_dirs(dir, &mut sync_dir).map_err(|e| UpFailure::Io(dir.to_owned(), e))?;
    dir.canonicalize().map_err(|e| UpFailure::Io(dir.to_owned(), e))
}

pub(crate) fn lock(dir: &Path) -> Result<File, UpFailure> {
    let path = dir.join("lock");
    let open = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = open.map_err(|e| UpFailure::Io(path.clone(), e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(UpFailure::Locked(dir.to_owned())),
        Err(TryLockError::Error(e)) => Err(UpFailure::Io(path, e)),
    }
}

/// A node's images take 1 GiB together, as long as none gets too small to be useful. It is set aside at once, so more would
/// be missing on a laptop's disk; and a quarter of it is filled, which is most of what a founding waits for.
pub fn usual_image_bytes(shards: u32) -> u64 {
    ((1 << 30) / u64::from(shards.max(1))).max(32 << 20)
}

/// What the cluster is, from what is asked and what the directory was founded as.
pub(crate) fn reconcile(
    options: &UpOptions,
    before: Option<&Manifest>,
    dir: &Path,
) -> Result<Manifest, UpFailure> {
    let fixed = |what, asked: Option<u64>, founded: Option<u64>, usual| match (asked, founded) {
        (Some(asked), Some(founded)) if asked != founded => {
            Err(UpFailure::Mismatch { what, founded, asked, dir: dir.to_owned() })
        }
        (asked, founded) => Ok(founded.or(asked).unwrap_or(usual)),
    };
    let nodes = fixed("nodes", options.nodes.map(u64::from), before.map(|m| m.nodes.into()), 3)? as u32;
    let shards = fixed("shards", options.shards.map(u64::from), before.map(|m| m.shards.into()), 1)? as u32;
    let image_bytes = fixed(
        "bytes per image",
        options.image_bytes,
        before.map(|m| m.image_bytes),
        usual_image_bytes(shards),
    )?;
    let gateways = options.gateways.or(before.map(|m| m.gateways)).unwrap_or(1);
    let port = options.port.or(before.map(|m| m.port)).unwrap_or(7400);
    for (what, number, most) in
        [("nodes", nodes, MEMBERS_MAX), ("gateways", gateways, MEMBERS_MAX), ("shards", shards, SHARDS_MAX)]
    {
        if !(1..=most).contains(&number) {
            return Err(UpFailure::Bounds(format!("{number} {what} are not possible: 1 to {most} are")));
        }
    }
    if port == 0 || port.checked_add(NODE_PORTS + MEMBERS_MAX as u16).is_none() {
        return Err(UpFailure::Bounds(format!(
            "port {port} is not possible: ports up to {} beyond it are used",
            NODE_PORTS + MEMBERS_MAX as u16
        )));
    }
    let cluster = before.map_or_else(random, Manifest::cluster_id);
    let chosen = match (options.extensions, before.map(Manifest::chosen)) {
        (Some(asked), Some(founded)) if asked != founded => {
            return Err(UpFailure::Extensions { founded, asked, dir: dir.to_owned() });
        }
        (asked, founded) => founded.or(asked).unwrap_or_default(),
    };
    let manifest = Manifest::new(cluster, nodes, shards, gateways, port, image_bytes).with(chosen);
    Ok(Manifest { present: before.map_or(Vec::new(), |before| before.present.clone()), ..manifest })
}

/// `up` has refused addresses beyond loopback, unless it was told to take them: its processes need not ask again.
fn also(bind: IpAddr) -> Option<String> {
    (!bind.is_loopback()).then(|| "--insecure".into())
}

fn node_port(manifest: &Manifest, node: u32) -> u16 {
    manifest.port + NODE_PORTS + node as u16 - 1
}

fn gateway_ports(manifest: &Manifest, gateway: u32) -> (u16, u16) {
    let redis = manifest.port + 2 * (gateway as u16 - 1);
    (redis, redis + 1)
}

/// Checks the ports. A control file that nobody withdrew tells of an `up` that was killed: its children end by themselves,
/// and are given the time.
pub(crate) async fn await_ports(dir: &Path, manifest: &Manifest, bind: IpAddr) -> Result<(), UpFailure> {
    let patience = if dir.join(control_file::FILE).exists() { DRAIN_PATIENCE } else { Duration::ZERO };
    let start = tokio::time::Instant::now();
    loop {
        match check_ports(manifest, bind) {
            Err(_) if start.elapsed() < patience => tokio::time::sleep(Duration::from_millis(50)).await,
            result => {
                control_file::withdraw(dir);
                return result;
            }
        }
    }
}

/// Who else listens on our ports is told before anything is started.
fn check_ports(manifest: &Manifest, bind: IpAddr) -> Result<(), UpFailure> {
    let nodes = manifest.started().into_iter().map(|node| node_port(manifest, node.0));
    let gateways = (1..=manifest.gateways).flat_map(|g| {
        let (redis, http) = gateway_ports(manifest, g);
        [redis, http]
    });
    for port in gateways.chain(nodes) {
        let address = SocketAddr::new(bind, port);
        TcpListener::bind(address).map_err(|e| UpFailure::Port(address, e))?;
    }
    Ok(())
}

/// The address that children of one machine reach each other at.
fn reachable(bind: IpAddr) -> IpAddr {
    match bind {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        ip => ip,
    }
}

pub(crate) fn members(dir: &Path, manifest: &Manifest, options: &UpOptions) -> BTreeMap<String, Process> {
    let mut members = BTreeMap::new();
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let address = |n| SocketAddr::new(reachable(options.bind), node_port(manifest, n));
    // Gateways learn of other nodes, from those that are there.
    let nodes: Vec<String> =
        manifest.started().into_iter().map(|NodeId(n)| format!("n{n}={}", address(n))).collect();
    for node in manifest.started() {
        members.insert(node.to_string(), storage_node(dir, manifest, options, node));
    }
    for g in 1..=manifest.gateways {
        let name = format!("g{g}");
        let (redis, http) = gateway_ports(manifest, g);
        let (redis, http) = (SocketAddr::new(options.bind, redis), SocketAddr::new(options.bind, http));
        let mut arguments: Vec<String> =
            ["gateway", "--supervised", "--cluster", &manifest.cluster, "--gateway", &name]
                .map(String::from)
                .into();
        arguments.extend(["--redis".into(), redis.to_string(), "--http".into(), http.to_string()]);
        arguments.extend(["--dir".into(), text(dir.to_owned())]);
        nodes.iter().for_each(|node| arguments.extend(["--node".into(), node.clone()]));
        arguments.extend(also(options.bind));
        options.host_names.iter().for_each(|host| arguments.extend(["--host".into(), host.clone()]));
        add(&mut members, dir, name, arguments, json!({ "redis": redis, "http": http }));
    }
    members
}

/// How a storage node is started. It is told of the founders; of other nodes it learns from its log.
pub(crate) fn storage_node(dir: &Path, manifest: &Manifest, options: &UpOptions, node: NodeId) -> Process {
    let (text, name) = (|path: PathBuf| path.to_string_lossy().into_owned(), node.to_string());
    let listen = SocketAddr::new(options.bind, node_port(manifest, node.0));
    let mut arguments: Vec<String> =
        ["node", "--supervised", "--cluster", &manifest.cluster, "--node", &name].map(String::from).into();
    arguments.extend(["--listen".into(), listen.to_string(), "--dir".into(), text(dir.to_owned())]);
    for founder in manifest.members() {
        let address = SocketAddr::new(reachable(options.bind), node_port(manifest, founder.0));
        arguments.extend(["--peer".into(), format!("{founder}={address}")]);
    }
    // The first port may be another one than when they were added.
    for other in manifest.started().into_iter().filter(|other| other.0 > manifest.nodes) {
        let address = SocketAddr::new(reachable(options.bind), node_port(manifest, other.0));
        arguments.extend(["--added".into(), format!("{other}={address}")]);
    }
    for shard in 0..manifest.shards {
        arguments.extend(["--image".into(), text(image_path(dir, node, shard))]);
    }
    arguments.extend(also(options.bind));
    if let Some(traces) = &options.trace {
        arguments.extend(["--trace".into(), text(traces.join(format!("{name}.jsonl")))]);
    }
    process(dir, name, arguments, json!({ "listen": listen }))
}

fn add(
    members: &mut BTreeMap<String, Process>,
    dir: &Path,
    name: String,
    arguments: Vec<String>,
    addresses: serde_json::Value,
) {
    members.insert(name.clone(), process(dir, name, arguments, addresses));
}

fn process(dir: &Path, name: String, arguments: Vec<String>, addresses: serde_json::Value) -> Process {
    let mut facts = serde_json::Map::new();
    facts.insert("name".into(), json!(name));
    facts.extend(addresses.as_object().cloned().unwrap_or_default());
    let log = dir.join(&name).join("log");
    Process { arguments, log, facts }
}
