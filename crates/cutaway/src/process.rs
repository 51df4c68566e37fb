//! `node`, `gateway`, `format`: one process, or one device, of a deployment that is not `up`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use dataplane::{ClusterId, NodeId};
use engine::{NODE_MAX, Standing};
use extensions::Chosen;
use server::founding::{self, FoundingError};
use server::gateway_host::{self, GatewayOptions};
use server::hello::names;
use server::manifest::{Manifest, hex, unhex};
use server::node_host::{self, NodeFailure, NodeOptions};
use server::ring::Record;
use server::{child, manifest};
use store::{FileDevice, FileError};

use crate::failure::{Failure, Result, me, quote, say};
use crate::files::parse_size;

/// Runs a future on this thread, together with tasks that must stay on it.
pub fn local_runtime<T>(run: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::error)?;
    tokio::task::LocalSet::new().block_on(&runtime, run)
}

/// A cluster's id.
pub fn parse_cluster(text: &str) -> std::result::Result<ClusterId, String> {
    unhex(text).ok_or("a cluster id has 32 hexadecimal digits".into())
}

/// A node's name.
pub fn parse_node(text: &str) -> std::result::Result<NodeId, String> {
    let number = text.strip_prefix('n').and_then(|n| n.parse().ok()).filter(|n| (1..=NODE_MAX).contains(n));
    number.map(NodeId).ok_or(format!("nodes are called n1, n2, … n{NODE_MAX}"))
}

fn parse_gateway(text: &str) -> std::result::Result<u32, String> {
    let number = text.strip_prefix('g').and_then(|n| n.parse().ok()).filter(|n| *n > 0);
    number.ok_or("gateways are called g1, g2, …".into())
}

/// The host's name is resolved when it is dialled, so it need not exist yet.
fn parse_peer(text: &str) -> std::result::Result<(NodeId, String), String> {
    let form = "a node's address is given as n1=HOST:PORT, with an IPv6 address in brackets";
    let (node, address) = text.split_once('=').ok_or(form)?;
    let (host, port) = address.rsplit_once(':').ok_or(form)?;
    let bare = !host.starts_with('[') && host.contains(':');
    if host.is_empty() || bare || port.parse::<u16>().is_err() {
        return Err(form.into());
    }
    Ok((parse_node(node)?, address.to_owned()))
}

/// Run one storage node
///
/// Connections between nodes and gateways are neither encrypted nor authenticated: use a private network.
#[derive(Debug, Args)]
pub struct NodeArgs {
    /// The cluster's id, 32 hexadecimal digits
    #[arg(long, value_parser = parse_cluster)]
    cluster: ClusterId,
    /// This node's name, such as n1
    #[arg(long, value_parser = parse_node)]
    node: NodeId,
    /// Address to listen on for nodes and gateways
    #[arg(long, value_name = "IP:PORT")]
    listen: SocketAddr,
    /// Address of each storage node, this one included; once per member in the images
    #[arg(long = "peer", value_name = "n1=HOST:PORT", value_parser = parse_peer, required = true)]
    peers: Vec<(NodeId, String)>,
    /// Address of a node that was added to the cluster, if the one that its members agreed on is not right any more
    #[arg(long = "added", value_name = "n4=HOST:PORT", value_parser = parse_peer)]
    added: Vec<(NodeId, String)>,
    /// Image or block device of each shard, in shard order; prepared with `format`
    #[arg(long = "image", value_name = "PATH", required = true)]
    images: Vec<PathBuf>,
    /// Add every event to this file, for `spec check` and `view`. Slow: a line is written for each
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Data directory of the cluster, whose manifest says which extensions it was founded with
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Take commands from `up` on standard input, and stop at its end
    #[arg(long, hide = true)]
    supervised: bool,
}

impl NodeArgs {
    /// Runs the command.
    pub fn run(self) -> Result {
        let nodes: BTreeMap<_, _> = self.peers.iter().cloned().collect();
        let extensions = self.founded_with()?;
        // Where members change, those who founded the cluster are named: this one may have been added.
        let is_named = nodes.contains_key(&self.node) || extensions.changes_members();
        if nodes.len() != self.peers.len() || !is_named {
            return Err(Failure::usage("every node is named exactly once with --peer, this one included"));
        }
        let record = self.trace.as_deref().map(|path| {
            Record::open(path)
                .map_err(|why| Failure::error(format!("cannot write {}: {why}", path.display())))
        });
        let options = NodeOptions {
            cluster: self.cluster,
            node: self.node,
            nodes,
            added: self.added.into_iter().collect(),
            listen: self.listen,
            extensions,
            images: self.images,
            record: record.transpose()?,
        };
        child::end_with_panics();
        local_runtime(async move {
            let orders = child::listen(self.supervised).map_err(Failure::error)?;
            let asked = options.clone();
            node_host::run(options, orders).await.map_err(|failure| advise(&failure, &asked))
        })
    }

    /// What the manifest says: no option could contradict it.
    fn founded_with(&self) -> Result<Chosen> {
        let Some(dir) = &self.dir else { return Ok(Chosen::NONE) };
        let next = || {
            format!("name the data directory that `{} up` founded the cluster in, or leave --dir out", me())
        };
        let found = Manifest::read(dir).map_err(|why| Failure::error(why).next(next()))?;
        let found = found.filter(|manifest| manifest.cluster_id() == self.cluster);
        let manifest = found.ok_or_else(|| {
            let file = dir.join(manifest::FILE);
            let why = format!("{} does not describe cluster {}", file.display(), hex(&self.cluster));
            Failure::error(why).next(next())
        })?;
        Ok(manifest.chosen())
    }
}

fn advise(failure: &NodeFailure, options: &NodeOptions) -> Failure {
    use engine::OpenError as E;
    use node::OpenError::Engine;
    match failure {
        NodeFailure::Open(path, Engine(E::Corrupt(_))) => Failure::corruption(failure).next(format!(
            "replace the device and let it be filled from its peers: {}",
            joining(options, path, "")
        )),
        NodeFailure::Open(path, Engine(E::NotFormatted)) => {
            Failure::error(failure).next(joining(options, path, ""))
        }
        NodeFailure::Open(path, Engine(E::OtherVersion { .. })) => Failure::error(failure).next(format!(
            "start it with the cutaway that wrote it; or give its data up, and let it be filled from its peers: {}",
            joining(options, path, "--overwrite ")
        )),
        NodeFailure::Open(path, Engine(E::WrongIdentity { expected, found })) => {
            Failure::error(failure).next(other_facts(path, expected, found))
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

/// The command that prepares one of the images again.
fn joining(options: &NodeOptions, path: &Path, how: &str) -> String {
    let (cluster, node, shards) = (hex(&options.cluster), options.node, options.images.len());
    let shard = options.images.iter().position(|image| image == path).unwrap_or(0);
    let members: Vec<_> = options.nodes.keys().map(NodeId::to_string).collect();
    format!(
        "{} format --joining {how}--cluster {cluster} --node {node} --shard {shard} --shards {shards} --members {} {}",
        me(),
        members.join(","),
        quote(path.display())
    )
}

/// What to do about a device that is not what the command line says.
fn other_facts(path: &Path, expected: &engine::Identity, found: &engine::Identity) -> String {
    let path = path.display();
    if (found.cluster, found.node, found.shard) != (expected.cluster, expected.node, expected.shard) {
        format!("put the right file in the place of {path}, or name the cluster and node that it belongs to")
    } else if found.members != expected.members {
        let peers: Vec<_> = found.nodes().map(|n| format!("--peer n{n}=HOST:PORT")).collect();
        format!("start the node with all nodes of its cluster: {}", peers.join(" "))
    } else {
        let images = vec!["--image PATH"; found.shards as usize].join(" ");
        format!("start the node with all its images, in the order of the shards: {images}")
    }
}

/// Run one gateway
///
/// There is no authentication and no encryption: anyone who can reach the gateway can read and write.
#[derive(Debug, Args)]
pub struct GatewayArgs {
    /// The cluster's id, 32 hexadecimal digits
    #[arg(long, value_parser = parse_cluster)]
    cluster: ClusterId,
    /// This gateway's name, such as g1; unique in the cluster
    #[arg(long, value_parser = parse_gateway)]
    gateway: u32,
    /// Address of each storage node; once per node
    #[arg(long = "node", value_name = "n1=HOST:PORT", value_parser = parse_peer, required = true)]
    nodes: Vec<(NodeId, String)>,
    /// Number of shards that the cluster must have; by default, learned from the nodes
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    shards: Option<u32>,
    /// Address to serve the Redis protocol on
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:7400")]
    redis: SocketAddr,
    /// Address to serve HTTP on
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:7401")]
    http: SocketAddr,
    /// Host name to accept in HTTP requests, besides IP addresses and localhost
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Data directory of the `up` that started this
    #[arg(long, hide = true)]
    dir: Option<PathBuf>,
    /// Take commands from `up` on standard input, and stop at its end
    #[arg(long, hide = true)]
    supervised: bool,
}

impl GatewayArgs {
    /// Runs the command.
    pub fn run(self) -> Result {
        let nodes: BTreeMap<_, _> = self.nodes.iter().cloned().collect();
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
            let orders = child::listen(self.supervised).map_err(Failure::error)?;
            let run = gateway_host::run(options, orders).await;
            run.map_err(|e| {
                Failure::error(e).next("choose another --redis or --http, or stop who listens there")
            })
        })
    }
}

/// Prepare an image or a block device for one replica
///
/// For a cluster that `up` created, the path says everything: DIR/n2/shard-0.img. Otherwise give the cluster, all its
/// nodes, the number of its shards, and the node and shard that the image is for. All of this is written to the image,
/// and a node refuses to start on an image that contradicts its command line. A formatted image is never changed
/// without --overwrite.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("standing").required(true).args(["joining", "founding"]))]
pub struct Format {
    /// The image to create, or the block device
    image: PathBuf,
    /// The replica has no log, or lost it: it does not vote until a state transfer from its peers has finished
    #[arg(long)]
    joining: bool,
    /// The cluster is new, and nothing was ever stored in it. Using this for a replica of an existing cluster can lose
    /// acknowledged writes
    #[arg(long)]
    founding: bool,
    /// The cluster's id, 32 hexadecimal digits
    #[arg(long, value_parser = parse_cluster)]
    cluster: Option<ClusterId>,
    /// The node that will use the image, such as n1
    #[arg(long, value_parser = parse_node)]
    node: Option<NodeId>,
    /// The shard that the image will hold, from 0
    #[arg(long)]
    shard: Option<u32>,
    /// Number of shards of the cluster
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    shards: Option<u32>,
    /// All nodes of the cluster, such as n1,n2,n3
    #[arg(long, value_parser = parse_node, value_delimiter = ',', value_name = "NAMES")]
    members: Vec<NodeId>,
    /// Size of a new image, such as 256M
    #[arg(long, value_parser = parse_size)]
    size: Option<u64>,
    /// Overwrite existing data
    #[arg(long)]
    overwrite: bool,
}

impl Format {
    /// Runs the command.
    pub fn run(self) -> Result {
        let place = Place::of(&self.image)?;
        let identity = self.identity(place.as_ref())?;
        if self.founding && place.is_some() {
            return Err(Failure::usage(format!(
                "{} belongs to a cluster that exists: formatting it as founding would let it vote on what it has forgotten",
                self.image.display()
            ))
            .next(format!("{} format --joining {}", me(), quote(self.image.display()))));
        }
        let standing = if self.joining { Standing::Joining } else { Standing::Founding };
        let failed = |e: FoundingError| {
            use engine::FormatError as E;
            let kept = matches!(e, FoundingError::Format(_, E::AlreadyFormatted(_) | E::OtherVersion { .. }));
            let next =
                if kept { "the same with --overwrite, if what it holds may be lost" } else { "see --help" };
            Failure::error(e).next(next)
        };
        if self.image.exists() {
            let in_use = |e: FileError| failed(FoundingError::File(self.image.clone(), e));
            let device = FileDevice::open(&self.image).map_err(in_use)?;
            let layout = engine::Layout::default();
            let formatted = if self.overwrite {
                engine::reformat(&device, &identity, standing, layout, trace::Mechanisms::all())
            } else {
                engine::format(&device, &identity, standing, layout)
            };
            formatted.map_err(|e| failed(FoundingError::Format(self.image.clone(), e)))?;
        } else {
            let usual = place.map(|p| p.manifest.image_bytes);
            let bytes = self.size.or(usual).ok_or_else(|| self.missing("size"))?;
            founding::create(&self.image, bytes, &identity, standing).map_err(failed)?;
        }
        say(format!("{} is formatted for {identity}", self.image.display()));
        Ok(())
    }

    fn missing(&self, what: &str) -> Failure {
        Failure::usage(format!("{}: which {what}? Say --{what}", self.image.display()))
    }

    /// Whose device it will be: what is said and what the path says, which must not contradict each other.
    fn identity(&self, place: Option<&Place>) -> Result<engine::Identity> {
        fn one<T: PartialEq>(format: &Format, what: &str, said: Option<T>, place: Option<T>) -> Result<T> {
            match (said, place) {
                (Some(said), Some(place)) if said != place => Err(Failure::usage(format!(
                    "--{what} contradicts {} and what its directory was founded as",
                    format.image.display()
                ))
                .next(format!("leave --{what} away, or use another path"))),
                (said, place) => said.or(place).ok_or_else(|| format.missing(what)),
            }
        }
        let cluster = one(self, "cluster", self.cluster, place.map(|p| p.manifest.cluster_id()))?;
        let node = one(self, "node", self.node, place.map(|p| p.node))?;
        let shard = one(self, "shard", self.shard, place.map(|p| p.shard))?;
        let shards = one(self, "shards", self.shards, place.map(|p| p.manifest.shards))?;
        let members = Some(self.members.iter().copied().collect()).filter(|m: &BTreeSet<_>| !m.is_empty());
        let founded = place.map(|p| p.manifest.members().into_iter().collect());
        let members: Vec<_> = one(self, "members", members, founded)?.into_iter().collect();
        let identity = founding::identity(cluster, node, &members, shard, shards);
        // A node that joins may be one that the founders add.
        let belongs = self.joining || members.contains(&node);
        if !identity.is_possible() || !belongs {
            return Err(Failure::usage(format!(
                "there is no such replica: {node} must be one of {}, and shard {shard} below {shards}",
                names(&members)
            )));
        }
        Ok(identity)
    }
}

/// What the path of an image in a data directory says.
struct Place {
    manifest: Manifest,
    node: NodeId,
    shard: u32,
}

impl Place {
    /// However the path is written: from inside the directory, or through a link.
    fn of(image: &Path) -> Result<Option<Place>> {
        let above = manifest::above(image).canonicalize().ok();
        let direct = above.and_then(|above| Some(above.join(image.file_name()?)));
        let ways = [std::path::absolute(image).ok(), direct, image.canonicalize().ok()];
        for way in ways.into_iter().flatten() {
            if let Some(place) = Place::of_absolute(&way)? {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    fn of_absolute(image: &Path) -> Result<Option<Place>> {
        let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).map(String::from);
        let shard = |name: String| name.strip_prefix("shard-")?.strip_suffix(".img")?.parse().ok();
        let node_dir = manifest::above(image);
        let (shard, node) = (name(image).and_then(shard), name(node_dir).and_then(|n| parse_node(&n).ok()));
        let (Some(shard), Some(node)) = (shard, node) else { return Ok(None) };
        let dir = manifest::above(node_dir);
        // A manifest that cannot be read is one, and what it says must not be overlooked.
        let manifest =
            Manifest::read(dir).map_err(|e| Failure::error(e).next("mend or put back that file"))?;
        let known = |m: &Manifest| (m.started().contains(&node) || node.0 <= m.nodes) && shard < m.shards;
        let manifest = manifest.filter(known).filter(|_| manifest::image_path(dir, node, shard) == image);
        Ok(manifest.map(|manifest| Place { manifest, node, shard }))
    }
}
