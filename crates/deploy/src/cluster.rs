//! A cluster, as a file describes it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use extensions::Chosen;
use secure::files::Files;
use secure::identity::Asks;
use secure::names;
use secure::token::Known;

use crate::words;

/// A cluster.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The file.
    pub file: PathBuf,
    /// The cluster's id.
    pub cluster: [u8; 16],
    /// How many shards it has.
    pub shards: u32,
    /// Bytes of each image that `format` creates.
    pub image_bytes: u64,
    /// What it is founded with beside the core.
    pub extensions: Chosen,
    /// The folder of certificates, if connections are encrypted.
    pub certs: Option<PathBuf>,
    /// Which certificates are asked of clients.
    pub asks: Asks,
    /// Storage nodes by number.
    pub nodes: BTreeMap<u32, NodePart>,
    /// Gateways by number.
    pub gateways: BTreeMap<u32, GatewayPart>,
    /// The tokens that clients may show; none: everybody may do everything.
    pub tokens: Vec<Known>,
}

/// A node's part.
#[derive(Clone, Debug)]
pub struct NodePart {
    /// HOST:PORT at which all others reach it.
    pub address: String,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where it tells of itself.
    pub metrics: Option<SocketAddr>,
    /// The image of each shard.
    pub images: Vec<PathBuf>,
    /// It did not found the cluster, and was added later.
    pub added: bool,
    /// The line of its name.
    pub line: usize,
}

/// A gateway's part.
#[derive(Clone, Debug)]
pub struct GatewayPart {
    /// Where it serves the Redis protocol.
    pub redis: SocketAddr,
    /// Where it serves HTTP.
    pub http: SocketAddr,
    /// Host names that clients use.
    pub hosts: Vec<String>,
    /// Certificate and key shown to clients, if not the member's.
    pub public: Option<(PathBuf, PathBuf)>,
    /// The line of its name.
    pub line: usize,
}

impl Deployment {
    /// The member's files, if connections are encrypted.
    pub fn files(&self, member: &str) -> Option<Files> {
        let certs = self.certs.as_ref()?;
        Some(Files {
            ca: certs.join(secure::authority::CA),
            cert: certs.join(format!("{member}.pem")),
            key: certs.join(format!("{member}.key")),
        })
    }

    /// What its certificate calls a member.
    pub fn certified_name(&self, member: &str) -> Option<String> {
        let node = words::node(member).ok().map(|n| names::node(n, &self.cluster));
        node.or_else(|| words::gateway(member).ok().map(|g| names::gateway(g, &self.cluster)))
    }

    /// The nodes that found the cluster, whom every image names.
    pub fn founders(&self) -> impl Iterator<Item = (u32, &NodePart)> {
        self.nodes.iter().filter(|(_, node)| !node.added).map(|(n, node)| (*n, node))
    }

    /// All members by name.
    pub fn members(&self) -> impl Iterator<Item = String> + '_ {
        let nodes = self.nodes.keys().map(|n| format!("n{n}"));
        nodes.chain(self.gateways.keys().map(|g| format!("g{g}")))
    }
}
