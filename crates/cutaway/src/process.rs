//! `node`, `gateway`, `format`: one process, or one device, of a deployment that is not `up`'s.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use dataplane::{ClusterId, NodeId};
use engine::Standing;
use engine::file::{FileDevice, FileError};
use server::founding::{self, FoundingError};
use server::gateway_host::{self, GatewayOptions};
use server::manifest::{Manifest, unhex};
use server::node_host::{self, NodeFailure, NodeOptions};
use server::{child, manifest};

use crate::failure::{Failure, Result, me, quote, say};
use crate::up::parse_size;

/// Runs a future on this thread, together with tasks that must stay on it.
pub fn local_runtime<T>(run: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::error)?;
    tokio::task::LocalSet::new().block_on(&runtime, run)
}

fn parse_cluster(text: &str) -> std::result::Result<ClusterId, String> {
    unhex(text).ok_or("a cluster id has 32 hexadecimal digits".into())
}

fn parse_node(text: &str) -> std::result::Result<NodeId, String> {
    let number = text.strip_prefix('n').and_then(|n| n.parse().ok()).filter(|n| *n > 0);
    number.map(NodeId).ok_or("nodes are called n1, n2, …".into())
}

fn parse_gateway(text: &str) -> std::result::Result<u32, String> {
    let number = text.strip_prefix('g').and_then(|n| n.parse().ok()).filter(|n| *n > 0);
    number.ok_or("gateways are called g1, g2, …".into())
}

fn parse_peer(text: &str) -> std::result::Result<(NodeId, SocketAddr), String> {
    let (node, address) = text.split_once('=').ok_or("a node's address is given as n1=HOST:PORT")?;
    use std::net::ToSocketAddrs;
    let address = address.to_socket_addrs().map_err(|e| e.to_string())?.next();
    Ok((parse_node(node)?, address.ok_or("the host has no address")?))
}

/// Runs one storage node
///
/// Connections between nodes and gateways are neither encrypted nor authenticated: use a network of their own.
#[derive(Debug, Args)]
pub struct NodeArgs {
    /// The cluster's id, 32 hexadecimal digits
    #[arg(long, value_parser = parse_cluster)]
    cluster: ClusterId,
    /// This node's name, such as n1
    #[arg(long, value_parser = parse_node)]
    node: NodeId,
    /// Where to listen for nodes and gateways
    #[arg(long, value_name = "HOST:PORT")]
    listen: SocketAddr,
    /// Address of each storage node, this one included; once per node
    #[arg(long = "peer", value_name = "n1=HOST:PORT", value_parser = parse_peer, required = true)]
    peers: Vec<(NodeId, SocketAddr)>,
    /// Image or block device of each shard, in the order of the shards; prepared with `format`
    #[arg(long = "image", value_name = "PATH", required = true)]
    images: Vec<PathBuf>,
    /// Memory for values in each shard, so that reads of them need no disk; 0 for none
    #[arg(long, value_parser = parse_size, value_name = "SIZE", default_value = "64M")]
    cache: u64,
    /// Take orders from `up` on standard input, and stop at its end
    #[arg(long, hide = true)]
    supervised: bool,
}

impl NodeArgs {
    /// Runs the command.
    pub fn run(self) -> Result {
        let nodes: BTreeMap<_, _> = self.peers.iter().copied().collect();
        if nodes.len() != self.peers.len() || !nodes.contains_key(&self.node) {
            return Err(Failure::usage("every node is named exactly once with --peer, this one included"));
        }
        let options = NodeOptions {
            cluster: self.cluster,
            node: self.node,
            nodes,
            listen: self.listen,
            images: self.images,
            cache_bytes: usize::try_from(self.cache).unwrap_or(usize::MAX),
        };
        child::end_with_panics();
        local_runtime(async move {
            let (stop, cut) = child::listen(self.supervised).map_err(Failure::error)?;
            node_host::run(options, stop, cut).await.map_err(|failure| advise(&failure))
        })
    }
}

fn advise(failure: &NodeFailure) -> Failure {
    let me = me();
    match failure {
        NodeFailure::Open(path, node::OpenError::Engine(engine::OpenError::Corrupt(_))) => {
            Failure::corruption(failure).next(format!(
                "replace the device and let it be filled from its peers: {me} format --joining {}",
                quote(path.display())
            ))
        }
        NodeFailure::Open(path, node::OpenError::Engine(engine::OpenError::NotFormatted)) => {
            Failure::error(failure).next(format!("{me} format --joining {}", quote(path.display())))
        }
        NodeFailure::Open(path, node::OpenError::Engine(engine::OpenError::WrongIdentity { .. })) => {
            Failure::error(failure).next(format!(
                "put the right file in the place of {}, or name the cluster and node that it belongs to",
                path.display()
            ))
        }
        NodeFailure::Open(path, _) | NodeFailure::File(path, _) => {
            Failure::error(failure).next(format!("make {} usable and start the node again", path.display()))
        }
        NodeFailure::Device(..) => {
            Failure::error(failure).next("look at the device; started again, the node recovers")
        }
        NodeFailure::Listen(..) => {
            Failure::error(failure).next("choose another --listen, or stop who listens there")
        }
        NodeFailure::System(_) => Failure::error(failure),
    }
}

/// Runs one gateway
///
/// It has no passwords and no encryption: whoever reaches it reads and writes.
#[derive(Debug, Args)]
pub struct GatewayArgs {
    /// The cluster's id, 32 hexadecimal digits
    #[arg(long, value_parser = parse_cluster)]
    cluster: ClusterId,
    /// This gateway's name, such as g1; no two gateways of a cluster share one
    #[arg(long, value_parser = parse_gateway)]
    gateway: u32,
    /// Address of each storage node; once per node
    #[arg(long = "node", value_name = "n1=HOST:PORT", value_parser = parse_peer, required = true)]
    nodes: Vec<(NodeId, SocketAddr)>,
    /// Shards of the cluster, as many as each node has images
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    shards: u32,
    /// Where to serve the Redis protocol
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7400")]
    redis: SocketAddr,
    /// Where to serve HTTP
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7401")]
    http: SocketAddr,
    /// Host name that HTTP requests may be addressed to, besides IP addresses and localhost
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Data directory of the `up` that started this
    #[arg(long, hide = true)]
    dir: Option<PathBuf>,
    /// Take orders from `up` on standard input, and stop at its end
    #[arg(long, hide = true)]
    supervised: bool,
}

impl GatewayArgs {
    /// Runs the command.
    pub fn run(self) -> Result {
        let nodes: BTreeMap<_, _> = self.nodes.iter().copied().collect();
        if nodes.len() != self.nodes.len() {
            return Err(Failure::usage("every node is named exactly once with --node"));
        }
        let options = GatewayOptions {
            cluster: self.cluster,
            gateway: self.gateway,
            nodes,
            shards: self.shards,
            redis: self.redis,
            http: self.http,
            host_names: self.hosts,
            dir: self.dir,
        };
        child::end_with_panics();
        local_runtime(async move {
            let (stop, cut) = child::listen(self.supervised).map_err(Failure::error)?;
            let run = gateway_host::run(options, stop, cut).await;
            run.map_err(|e| {
                Failure::error(e).next("choose another --redis or --http, or stop who listens there")
            })
        })
    }
}

/// Prepares an image or a block device for one replica
///
/// For an image of a cluster that `up` founded, the path says everything: DIR/n2/shard-0.img. Otherwise name the cluster,
/// node and shard. Nothing that is formatted already is touched without --overwrite.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("standing").required(true).args(["joining", "founding"]))]
pub struct Format {
    /// The image, which is created, or the block device
    image: PathBuf,
    /// The replica's earlier log is gone, or never was: it does not vote until its peers have filled it
    #[arg(long)]
    joining: bool,
    /// The cluster is new, and nothing was ever stored in it. Saying so of a replica of an existing cluster can lose
    /// acknowledged writes
    #[arg(long)]
    founding: bool,
    /// The cluster's id, 32 hexadecimal digits
    #[arg(long, value_parser = parse_cluster)]
    cluster: Option<ClusterId>,
    /// The node that will use it, such as n1
    #[arg(long, value_parser = parse_node)]
    node: Option<NodeId>,
    /// The shard it will hold
    #[arg(long)]
    shard: Option<u32>,
    /// Size of an image that is created, such as 256M
    #[arg(long, value_parser = parse_size)]
    size: Option<u64>,
    /// Destroy what is there
    #[arg(long)]
    overwrite: bool,
}

impl Format {
    /// Runs the command.
    pub fn run(self) -> Result {
        let place = Place::of(&self.image);
        let usage =
            |what: &str| Failure::usage(format!("{}: which {what}? Say --{what}", self.image.display()));
        let cluster = self
            .cluster
            .or(place.as_ref().map(|p| p.manifest.cluster_id()))
            .ok_or_else(|| usage("cluster"))?;
        let node = self.node.or(place.as_ref().map(|p| p.node)).ok_or_else(|| usage("node"))?;
        let shard = self.shard.or(place.as_ref().map(|p| p.shard)).ok_or_else(|| usage("shard"))?;
        if self.founding && place.is_some() {
            return Err(Failure::usage(format!(
                "{} belongs to a cluster that exists: formatting it as founding would let it vote on what it has forgotten",
                self.image.display()
            ))
            .next(format!("{} format --joining {}", me(), quote(self.image.display()))));
        }
        let identity = founding::identity(cluster, node, shard);
        let standing = if self.joining { Standing::Joining } else { Standing::Founding };
        let failed = |e: FoundingError| Failure::error(e).next(format!("{} format --help", me()));
        if self.image.exists() {
            let in_use = |e: FileError| failed(FoundingError::File(self.image.clone(), e));
            let device = FileDevice::open(&self.image).map_err(in_use)?;
            let layout = engine::Layout::default();
            let formatted = if self.overwrite {
                engine::reformat(&device, &identity, standing, layout)
            } else {
                engine::format(&device, &identity, standing, layout)
            };
            formatted.map_err(|e| failed(FoundingError::Format(self.image.clone(), e)))?;
        } else {
            let bytes = self.size.or(place.map(|p| p.manifest.image_bytes)).ok_or_else(|| usage("size"))?;
            founding::create(&self.image, bytes, &identity, standing).map_err(failed)?;
        }
        say(format!("{} is formatted for {node}, shard {shard}", self.image.display()));
        Ok(())
    }
}

/// What the path of an image in a data directory says.
struct Place {
    manifest: Manifest,
    node: NodeId,
    shard: u32,
}

impl Place {
    fn of(image: &Path) -> Option<Place> {
        let shard =
            image.file_name()?.to_str()?.strip_prefix("shard-")?.strip_suffix(".img")?.parse().ok()?;
        let node_dir = image.parent()?;
        let node = parse_node(node_dir.file_name()?.to_str()?).ok()?;
        let manifest = Manifest::read(node_dir.parent()?).ok()??;
        let known = node.0 <= manifest.nodes && shard < manifest.shards;
        (known && manifest::image_path(node_dir.parent()?, node, shard) == image).then_some(Place {
            manifest,
            node,
            shard,
        })
    }
}
