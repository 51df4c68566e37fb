//! `node`, `gateway`: one process of a deployment that is not `up`'s.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use dataplane::{ClusterId, NodeId};
use deploy::{Deployment, NodePart, words};
use extensions::Chosen;
use secure::identity::{self, Watched};
use secure::token::Tokens;
use server::gateway_host::{self, GatewayOptions};
use server::hello::{VERSION, VERSION_MIN};
use server::manifest::{Manifest, hex};
use server::node_host::{self, NodeFailure, NodeOptions, Tells};
use server::ring::Record;
use server::{child, manifest};

use crate::deployed::{self, FromFile, agreed, node_number};
use crate::failure::{Failure, Result, me, quote};

/// Runs a future on this thread, together with tasks that must stay on it.
pub fn local_runtime<T>(run: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::error)?;
    tokio::task::LocalSet::new().block_on(&runtime, run)
}

/// The versions of the protocol that this program speaks.
fn spoken() -> RangeInclusive<i64> {
    VERSION_MIN.into()..=VERSION.into()
}

fn parse_peer(text: &str) -> std::result::Result<(NodeId, String), String> {
    let form = "a node's address is given as n1=HOST:PORT, with an IPv6 address in brackets";
    let (node, address) = text.split_once('=').ok_or(form)?;
    Ok((node_number(node)?, words::address(address).map_err(|_| form)?))
}

/// Run one storage node
///
/// With --deploy, a file says everything, and connections are encrypted as it says. Without, everything stays on loopback.
#[derive(Debug, Args)]
pub struct NodeArgs {
    #[command(flatten)]
    file: FromFile,
    /// The cluster's id, 32 hexadecimal digits
    #[arg(long, value_parser = words::cluster, required_unless_present = "deploy")]
    cluster: Option<ClusterId>,
    /// This node's name, such as n1
    #[arg(long, value_parser = node_number, required_unless_present = "deploy")]
    node: Option<NodeId>,
    /// Address to listen on for nodes and gateways
    #[arg(long, value_name = "IP:PORT", required_unless_present = "deploy")]
    listen: Option<SocketAddr>,
    /// Address of each storage node, this one included; once per member in the images
    #[arg(long = "peer", value_name = "n1=HOST:PORT", value_parser = parse_peer, required_unless_present = "deploy")]
    peers: Vec<(NodeId, String)>,
    /// Address of a node that was added to the cluster, if the one that its members agreed on is not right any more
    #[arg(long = "added", value_name = "n4=HOST:PORT", value_parser = parse_peer)]
    added: Vec<(NodeId, String)>,
    /// Image or block device of each shard, in shard order; prepared with `format`
    #[arg(long = "image", value_name = "PATH", required_unless_present = "deploy")]
    images: Vec<PathBuf>,
    /// Address to tell of itself on, over HTTP: /metrics, /livez and /readyz; by default nowhere
    #[arg(long, value_name = "IP:PORT")]
    metrics: Option<SocketAddr>,
    /// Add every event to this file, for `spec check` and `view`. Slow: a line is written for each
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Data directory of the cluster, whose manifest says which extensions it was founded with
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Speak no newer version of the protocol than this, as a cutaway of that time does; to rehearse an update
    #[arg(long, value_name = "VERSION", default_value_t = VERSION, value_parser = clap::value_parser!(u32).range(spoken()))]
    protocol: u32,
    /// Take commands from `up` on standard input, and stop at its end
    #[arg(long, hide = true)]
    supervised: bool,
}

impl NodeArgs {
    /// Runs the command.
    pub fn run(self) -> Result {
        let mut options = match self.file.read()? {
            Some(cluster) => self.by_file(&cluster)?,
            None => self.by_options()?,
        };
        let record = self.trace.as_deref().map(|path| {
            Record::open(path)
                .map_err(|why| Failure::error(format!("cannot write {}: {why}", path.display())))
        });
        options.record = record.transpose()?;
        let name = options.node.to_string();
        self.file.may_listen(&name, options.listen, options.identity.is_some())?;
        if let Some(tells) = &options.tells {
            self.file.may_listen(&name, tells.listen, tells.door.is_some())?;
        }
        child::end_with_panics();
        local_runtime(async move {
            let orders = child::listen(self.supervised).map_err(Failure::error)?;
            let asked = options.clone();
            node_host::run(options, orders).await.map_err(|failure| advise(&failure, &asked))
        })
    }

    fn by_file(&self, cluster: &Deployment) -> Result<NodeOptions> {
        let file = cluster.file.as_path();
        let said = ("--node", self.node.map(|node| node.0));
        let number = deployed::number(file, words::node, self.file.name.as_deref(), said)?;
        let (node, name) = (NodeId(number), NodeId(number).to_string());
        let part = cluster.nodes.get(&number).ok_or_else(|| deployed::unknown(cluster, &name))?;
        if self.dir.is_some() {
            return Err(Failure::usage(
                "--dir is of `up`'s clusters; the file says what this one was founded with",
            ));
        }
        let some = |said: &[PathBuf]| (!said.is_empty()).then(|| said.to_vec());
        let peers = (!self.peers.is_empty()).then(|| self.peers.iter().cloned().collect());
        let added = (!self.added.is_empty()).then(|| self.added.iter().cloned().collect());
        Ok(NodeOptions {
            cluster: agreed(file, "--cluster", self.cluster, cluster.cluster)?,
            node,
            nodes: agreed(file, "--peer", peers, deployed::nodes(cluster))?,
            listen: agreed(file, "--listen", self.listen, part.listen)?,
            added: agreed(file, "--added", added, deployed::added(cluster))?,
            tells: self.tells(cluster, &name, part)?,
            extensions: cluster.extensions,
            identity: deployed::identity_of(cluster, &name)?,
            images: agreed(file, "--image", some(&self.images), part.images.clone())?,
            protocol: self.protocol,
            record: None,
        })
    }

    /// Where the node tells of itself, as the file says.
    fn tells(&self, cluster: &Deployment, name: &str, part: &NodePart) -> Result<Option<Tells>> {
        let file = cluster.file.as_path();
        let Some(listen) = agreed(file, "--metrics", self.metrics.map(Some), part.metrics)? else {
            return Ok(None);
        };
        let unusable = |e| deployed::unusable(cluster, name, e);
        let door = cluster.files(name).map(|files| identity::door(&files.cert, &files.key, &cluster.asks));
        Ok(Some(Tells {
            listen,
            door: door.transpose().map_err(unusable)?.map(Arc::new),
            tokens: Arc::new(self.file.tokens(file).map_err(unusable)?),
            host_names: vec![words::host(&part.address).into()],
        }))
    }

    fn by_options(&self) -> Result<NodeOptions> {
        let missing = || Failure::usage("without --deploy, --cluster, --node and --listen are needed");
        let (cluster, node) = (self.cluster.ok_or_else(missing)?, self.node.ok_or_else(missing)?);
        let nodes: BTreeMap<_, _> = self.peers.iter().cloned().collect();
        let extensions = self.founded_with(cluster)?;
        // Where members change, those who founded the cluster are named: this one may have been added.
        let is_named = nodes.contains_key(&node) || extensions.changes_members();
        if nodes.len() != self.peers.len() || !is_named {
            return Err(Failure::usage("every node is named exactly once with --peer, this one included"));
        }
        Ok(NodeOptions {
            cluster,
            node,
            nodes,
            listen: self.listen.ok_or_else(missing)?,
            tells: self.metrics.map(|listen| Tells {
                listen,
                door: None,
                tokens: Arc::new(Watched::fixed(Tokens::default())),
                host_names: Vec::new(),
            }),
            added: self.added.iter().cloned().collect(),
            extensions,
            identity: None,
            images: self.images.clone(),
            protocol: self.protocol,
            record: None,
        })
    }

    /// What the manifest says: no option could contradict it.
    fn founded_with(&self, cluster: ClusterId) -> Result<Chosen> {
        let Some(dir) = &self.dir else { return Ok(Chosen::NONE) };
        let next = || {
            format!("name the data directory that `{} up` founded the cluster in, or leave --dir out", me())
        };
        let found = Manifest::read(dir).map_err(|why| Failure::error(why).next(next()))?;
        let found = found.filter(|manifest| manifest.cluster_id() == cluster);
        let manifest = found.ok_or_else(|| {
            let file = dir.join(manifest::FILE);
            let why = format!("{} does not describe cluster {}", file.display(), hex(&cluster));
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
/// With --deploy, a file says everything: connections are encrypted, and clients show tokens or certificates, as it says.
/// Without, everything stays on loopback, and whoever reaches it reads and writes.
#[derive(Debug, Args)]
pub struct GatewayArgs {
    #[command(flatten)]
    file: FromFile,
    /// The cluster's id, 32 hexadecimal digits
    #[arg(long, value_parser = words::cluster, required_unless_present = "deploy")]
    cluster: Option<ClusterId>,
    /// This gateway's name, such as g1; unique in the cluster
    #[arg(long, value_parser = words::gateway, required_unless_present = "deploy")]
    gateway: Option<u32>,
    /// Address of each storage node; once per node
    #[arg(long = "node", value_name = "n1=HOST:PORT", value_parser = parse_peer, required_unless_present = "deploy")]
    nodes: Vec<(NodeId, String)>,
    /// Number of shards that the cluster must have; by default, learned from the nodes
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    shards: Option<u32>,
    /// Address to serve the Redis protocol on; by default 127.0.0.1:7400
    #[arg(long, value_name = "IP:PORT")]
    redis: Option<SocketAddr>,
    /// Address to serve HTTP on; by default 127.0.0.1:7401
    #[arg(long, value_name = "IP:PORT")]
    http: Option<SocketAddr>,
    /// Host name to accept in HTTP requests, besides IP addresses and localhost
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Data directory of the `up` that started this
    #[arg(long, hide = true)]
    dir: Option<PathBuf>,
    /// Speak no newer version of the protocol than this, as a cutaway of that time does; to rehearse an update
    #[arg(long, value_name = "VERSION", default_value_t = VERSION, value_parser = clap::value_parser!(u32).range(spoken()))]
    protocol: u32,
    /// Take commands from `up` on standard input, and stop at its end
    #[arg(long, hide = true)]
    supervised: bool,
}

impl GatewayArgs {
    /// Runs the command.
    pub fn run(self) -> Result {
        let options = match self.file.read()? {
            Some(cluster) => self.by_file(&cluster)?,
            None => self.by_options()?,
        };
        for address in [options.redis, options.http] {
            let name = format!("g{}", options.gateway);
            self.file.may_listen(&name, address, options.door.is_some())?;
        }
        child::end_with_panics();
        local_runtime(async move {
            let orders = child::listen(self.supervised).map_err(Failure::error)?;
            let run = gateway_host::run(options, orders).await;
            run.map_err(|e| {
                Failure::error(e).next("choose another --redis or --http, or stop who listens there")
            })
        })
    }

    fn by_file(&self, cluster: &Deployment) -> Result<GatewayOptions> {
        let file = cluster.file.as_path();
        let name = self.file.name.as_deref();
        let gateway = deployed::number(file, words::gateway, name, ("--gateway", self.gateway))?;
        let name = format!("g{gateway}");
        let part = cluster.gateways.get(&gateway).ok_or_else(|| deployed::unknown(cluster, &name))?;
        let nodes = (!self.nodes.is_empty()).then(|| self.nodes.iter().cloned().collect());
        let hosts = (!self.hosts.is_empty()).then(|| self.hosts.clone());
        let door = cluster.files(&name).map(|files| {
            let (cert, key) = part.public.clone().unwrap_or((files.cert, files.key));
            identity::door(&cert, &key, &cluster.asks).map_err(|e| deployed::unusable(cluster, &name, e))
        });
        let unusable = |e| deployed::unusable(cluster, &name, e);
        Ok(GatewayOptions {
            cluster: agreed(file, "--cluster", self.cluster, cluster.cluster)?,
            gateway,
            nodes: agreed(file, "--node", nodes, deployed::nodes(cluster))?,
            shards: Some(agreed(file, "--shards", self.shards, cluster.shards)?),
            redis: agreed(file, "--redis", self.redis, part.redis)?,
            http: agreed(file, "--http", self.http, part.http)?,
            identity: deployed::identity_of(cluster, &name)?,
            door: door.transpose()?.map(Arc::new),
            tokens: Arc::new(self.file.tokens(file).map_err(unusable)?),
            host_names: agreed(file, "--host", hosts, part.hosts.clone())?,
            dir: None,
            protocol: self.protocol,
        })
    }

    fn by_options(&self) -> Result<GatewayOptions> {
        let missing = || Failure::usage("without --deploy, --cluster and --gateway are needed");
        let nodes: BTreeMap<_, _> = self.nodes.iter().cloned().collect();
        if nodes.len() != self.nodes.len() {
            return Err(Failure::usage("every node is named exactly once with --node"));
        }
        let usual = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Ok(GatewayOptions {
            cluster: self.cluster.ok_or_else(missing)?,
            gateway: self.gateway.ok_or_else(missing)?,
            nodes,
            shards: self.shards,
            redis: self.redis.unwrap_or(usual(7400)),
            http: self.http.unwrap_or(usual(7401)),
            identity: None,
            door: None,
            tokens: Arc::new(Watched::fixed(Tokens::default())),
            host_names: self.hosts.clone(),
            dir: self.dir.clone(),
            protocol: self.protocol,
        })
    }
}
