//! The file as it is written. Every value knows where it stands, so that what is wrong with it is told with its line.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Raw {
    /// The cluster's id, 32 hexadecimal digits.
    pub cluster: Spanned<String>,
    /// Number of shards, fixed at the founding.
    #[serde(default)]
    pub shards: Option<Spanned<u32>>,
    /// Size of each image that `format` creates.
    #[serde(default)]
    pub image_size: Option<Spanned<String>>,
    /// What the cluster is founded with beside the core.
    #[serde(default)]
    pub extensions: Option<Spanned<Vec<String>>>,
    /// Folder of the images, as DATA/NODE/shard-N.img.
    #[serde(default)]
    pub data: Option<Spanned<String>>,
    /// Encryption; without it everything stays on loopback.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// What is asked of clients.
    #[serde(default)]
    pub clients: Option<Clients>,
    /// Storage nodes, by name.
    #[serde(default)]
    pub nodes: BTreeMap<Spanned<String>, Node>,
    /// Gateways, by name.
    #[serde(default)]
    pub gateways: BTreeMap<Spanned<String>, Gateway>,
    /// Tokens that clients show.
    #[serde(default)]
    pub tokens: Vec<Token>,
}

/// Encryption.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Folder with ca.pem, and NAME.pem and NAME.key of each member.
    pub certs: Spanned<String>,
}

/// What is asked of clients.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clients {
    /// `none`, `optional` or `required`.
    pub certificates: Spanned<String>,
    /// The authority that signs them; by default that of the members.
    #[serde(default)]
    pub ca: Option<Spanned<String>>,
}

/// A storage node.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// HOST:PORT at which all others reach it.
    pub address: Spanned<String>,
    /// IP:PORT on which it listens; by default its address.
    #[serde(default)]
    pub listen: Option<Spanned<String>>,
    /// IP:PORT on which it tells of itself: metrics and probes; by default nowhere.
    #[serde(default)]
    pub metrics: Option<Spanned<String>>,
    /// It did not found the cluster, and was added later.
    #[serde(default)]
    pub added: Option<Spanned<bool>>,
    /// Image or block device of each shard; by default in `data`.
    #[serde(default)]
    pub images: Option<Spanned<Vec<String>>>,
}

/// A gateway.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Gateway {
    /// IP:PORT of the Redis protocol.
    pub redis: Spanned<String>,
    /// IP:PORT of HTTP.
    pub http: Spanned<String>,
    /// Host names, besides IP addresses and localhost, that clients use.
    #[serde(default)]
    pub hosts: Vec<Spanned<String>>,
    /// Certificate shown to clients; by default that of the member.
    #[serde(default)]
    pub public_cert: Option<Spanned<String>>,
    /// Its key.
    #[serde(default)]
    pub public_key: Option<Spanned<String>>,
}

/// A token.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Whose it is.
    pub name: Spanned<String>,
    /// `read-only` or `read-write`.
    pub access: Spanned<String>,
    /// As `cutaway token` prints it.
    pub hash: Spanned<String>,
}
