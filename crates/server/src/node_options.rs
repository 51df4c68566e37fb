//! What a node process is told at its start, and why it ends.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use dataplane::{Address, ClusterId, NodeId, ShardId};
use extensions::Chosen;
use node::OpenError;
use secure::identity::{Door, Identity, Watched};
use secure::token::Tokens;
use store::FileError;

use crate::hello::{Hello, IMAGE_VERSION, program};
use crate::ring::Record;

/// What a node process is told at its start.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// The cluster.
    pub cluster: ClusterId,
    /// Which node this is.
    pub node: NodeId,
    /// The storage nodes that founded the cluster with their addresses, HOST:PORT; this one may have been added.
    pub nodes: BTreeMap<NodeId, String>,
    /// Addresses of nodes that were added, where the log has others by now.
    pub added: BTreeMap<NodeId, String>,
    /// Where to listen.
    pub listen: SocketAddr,
    /// What the cluster was founded with beside the core.
    pub extensions: Chosen,
    /// Its certificate and those it believes; without, connections are not encrypted.
    pub identity: Option<Arc<Identity>>,
    /// The device of each shard; its place in the list is the shard's number.
    pub images: Vec<PathBuf>,
    /// Where it tells of itself over HTTP, to whom: [`crate::http::of_node`].
    pub tells: Option<Tells>,
    /// The newest version of the protocol that it speaks.
    pub protocol: u32,
    /// Where every event is recorded; `None`: only followed requests are, in memory.
    pub record: Option<Record>,
}

/// Where a node tells of itself.
#[derive(Clone, Debug)]
pub struct Tells {
    /// The address.
    pub listen: SocketAddr,
    /// The certificate that is shown; without, connections are not encrypted.
    pub door: Option<Arc<Door>>,
    /// The tokens that are asked for.
    pub tokens: Arc<Watched<Tokens>>,
    /// Host names, besides IP addresses and `localhost`, that requests may be addressed to.
    pub host_names: Vec<String>,
}

impl NodeOptions {
    /// What this node says to `to` before anything else.
    pub(crate) fn hello(&self, to: Address, shard: ShardId) -> Hello {
        Hello {
            version: self.protocol,
            program: program(),
            cluster: self.cluster,
            images: Some(IMAGE_VERSION),
            from: Address::Node(self.node),
            to,
            shard,
            shards: Some(self.images.len() as u32),
            members: self.nodes.keys().copied().collect(),
            extensions: Some(self.extensions.to_string().into_bytes().into()),
        }
    }
}

/// Why a node process ended, or never began.
#[derive(Debug)]
pub enum NodeFailure {
    /// The address cannot be listened on.
    Listen(SocketAddr, io::Error),
    /// A device file cannot be opened.
    File(PathBuf, FileError),
    /// What is on a device is not usable.
    Open(PathBuf, OpenError),
    /// A device failed; it must not be used before it was opened again.
    Device(PathBuf, String),
    /// The operating system refused something the process needs.
    System(io::Error),
}

impl std::fmt::Display for NodeFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NodeFailure::Listen(address, e) => write!(f, "cannot listen on {address}: {e}"),
            NodeFailure::File(path, e) => write!(f, "{}: {e}", path.display()),
            NodeFailure::Open(path, e) => write!(f, "{}: {e}", path.display()),
            NodeFailure::Device(path, e) => write!(f, "{}: {e}; this node has stopped", path.display()),
            NodeFailure::System(e) => write!(f, "{e}"),
        }
    }
}

impl From<io::Error> for NodeFailure {
    fn from(e: io::Error) -> NodeFailure {
        NodeFailure::System(e)
    }
}
