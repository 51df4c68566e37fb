//! `--deploy FILE --name NAME`: a process that takes its part of a cluster from the file that describes it.
//!
//! What the file says, no option overrides: an option that contradicts it is refused by its name. Else one process of a
//! cluster would hold something for true that the others do not.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use dataplane::NodeId;
use deploy::{Deployment, rules, words};
use secure::TlsError;
use secure::identity::{self, Identity, Watched};
use secure::token::Tokens;

use crate::failure::{Failure, Result, me, quote};

/// Where a process finds what the cluster is.
#[derive(Debug, Args)]
pub struct FromFile {
    /// File that describes the cluster; see `deploy`
    #[arg(long, value_name = "FILE")]
    pub deploy: Option<PathBuf>,
    /// Whose part of the file this process takes, such as n1 or g1
    #[arg(long, value_name = "NAME", requires = "deploy")]
    pub name: Option<String>,
    /// Listen beyond loopback without TLS: everybody who reaches the port reads and writes everything
    #[arg(long)]
    pub insecure: bool,
}

impl FromFile {
    /// The cluster, if a file describes it.
    pub fn read(&self) -> Result<Option<Deployment>> {
        self.deploy.as_deref().map(|file| read(file, self.insecure)).transpose()
    }

    /// The tokens that the file has, now and whenever it changes. Of the rest of the file, nothing is taken anew.
    pub fn tokens(&self, file: &Path) -> std::result::Result<Watched<Tokens>, TlsError> {
        let (path, insecure) = (file.to_owned(), self.insecure);
        Watched::new(vec![path.clone()], move || {
            let cluster =
                Deployment::read(&path, insecure).map_err(|problems| TlsError::File(problems.to_string()))?;
            Tokens::new(cluster.tokens)
        })
    }

    /// May it listen there? Without a file there is no TLS.
    pub fn may_listen(&self, name: &str, address: SocketAddr, encrypted: bool) -> Result {
        if encrypted || address.ip().is_loopback() {
            return Ok(());
        }
        if !self.insecure {
            return Err(Failure::usage(rules::open_port(name, &address))
                .next(format!("{} deploy example > cluster.toml", me())));
        }
        tracing::warn!(
            "INSECURE: {name} listens on {address} without TLS; everybody who reaches it reads and writes everything"
        );
        Ok(())
    }
}

/// Reads and checks a file.
pub fn read(file: &Path, insecure: bool) -> Result<Deployment> {
    Deployment::read(file, insecure).map_err(|problems| {
        let next = format!("mend that, then: {} deploy check {}", me(), quote(file.display()));
        Failure::usage(problems).next(next)
    })
}

/// What the file says, unless an option contradicts it.
pub fn agreed<T: PartialEq>(file: &Path, option: &str, said: Option<T>, written: T) -> Result<T> {
    match said {
        Some(said) if said != written => {
            let why = format!("{option} contradicts {}", file.display());
            Err(Failure::usage(why).next(format!("leave {option} away: the file says it")))
        }
        _ => Ok(written),
    }
}

/// The number of the member whose part it is, by its name or by the option that named it before there were files.
pub fn number(
    file: &Path,
    parse: fn(&str) -> std::result::Result<u32, String>,
    name: Option<&str>,
    (option, said): (&str, Option<u32>),
) -> Result<u32> {
    match (name, said) {
        (Some(name), said) => agreed(file, option, said, parse(name).map_err(Failure::usage)?),
        (None, Some(said)) => Ok(said),
        (None, None) => Err(Failure::usage("which member of the cluster? Say --name")),
    }
}

/// There is no such member.
pub fn unknown(cluster: &Deployment, name: &str) -> Failure {
    let there: Vec<_> = cluster.members().collect();
    let why = format!("{} describes no {name}; there are {}", cluster.file.display(), there.join(", "));
    Failure::usage(why).next("name one of them with --name, or add it to the file")
}

/// The addresses of the nodes that founded the cluster.
pub fn nodes(cluster: &Deployment) -> BTreeMap<NodeId, String> {
    cluster.founders().map(|(n, node)| (NodeId(n), node.address.clone())).collect()
}

/// And of those that were added.
pub fn added(cluster: &Deployment) -> BTreeMap<NodeId, String> {
    let added = cluster.nodes.iter().filter(|(_, node)| node.added);
    added.map(|(n, node)| (NodeId(*n), node.address.clone())).collect()
}

/// What a member shows, if connections are encrypted.
pub fn identity_of(cluster: &Deployment, member: &str) -> Result<Option<Arc<Identity>>> {
    let (Some(files), Some(name)) = (cluster.files(member), cluster.certified_name(member)) else {
        return Ok(None);
    };
    let identity = identity::member(&files, &name).map_err(|e| unusable(cluster, member, e))?;
    Ok(Some(Arc::new(identity)))
}

/// A certificate that is of no use.
pub fn unusable(cluster: &Deployment, member: &str, e: TlsError) -> Failure {
    let file = quote(cluster.file.display());
    let dir = cluster.certs.as_deref().unwrap_or(Path::new("certs")).display();
    let next = match &e {
        TlsError::Processor => "run it on another machine, or without [tls] on loopback".to_string(),
        TlsError::Io(..) => format!("{} certs {} --deploy {file}, or put {member}'s there", me(), quote(dir)),
        _ => format!("{} certs {} --deploy {file} --only {member} --renew", me(), quote(dir)),
    };
    Failure::error(e).next(next)
}

/// The number of a node.
pub fn node_number(text: &str) -> std::result::Result<NodeId, String> {
    words::node(text).map(NodeId)
}
