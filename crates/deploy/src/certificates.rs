//! Whose certificates a cluster needs, and whether those there are good.

use std::collections::BTreeSet;

use secure::TlsError;
use secure::authority::Wanted;
use secure::{identity, names};

use crate::cluster::Deployment;
use crate::words;

/// What the certificate of a member stands for: its name in the cluster, and the addresses at which clients know it.
pub fn wanted(cluster: &Deployment, member: &str, days: i64) -> Option<Wanted> {
    let certified = cluster.certified_name(member)?;
    let mut names = vec![certified];
    if let Some(gateway) = words::gateway(member).ok().and_then(|g| cluster.gateways.get(&g)) {
        let ips = [gateway.redis, gateway.http].map(|address| address.ip());
        let own = ips.iter().filter(|ip| !ip.is_unspecified()).map(ToString::to_string);
        let known: BTreeSet<String> = own.chain(gateway.hosts.iter().cloned()).chain(local()).collect();
        names.extend(known);
    }
    if let Some(node) = words::node(member).ok().and_then(|n| cluster.nodes.get(&n)) {
        // Peers know it by its name alone; who asks for its metrics dials an address.
        let own = node.metrics.map(|metrics| metrics.ip()).into_iter().chain([node.listen.ip()]);
        let own = own.filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string());
        let known: BTreeSet<String> = own.chain(local()).collect();
        names.extend(known.into_iter().filter(|_| node.metrics.is_some()));
    }
    Some(Wanted { file: member.into(), names, days })
}

/// Whoever asks from the same machine.
fn local() -> [String; 3] {
    ["localhost", "127.0.0.1", "::1"].map(String::from)
}

/// What the certificate of a client stands for.
pub fn of_client(cluster: &Deployment, name: &str, days: i64) -> Wanted {
    Wanted { file: name.into(), names: vec![names::client(name, &cluster.cluster)], days }
}

/// Are the files of this member good, here and now? Says what else is to be known of them.
pub fn check(cluster: &Deployment, member: &str) -> Result<Option<String>, TlsError> {
    let (Some(files), Some(name)) = (cluster.files(member), cluster.certified_name(member)) else {
        return Ok(None);
    };
    let ends = identity::member(&files, &name)?.now();
    if let Some(gateway) = words::gateway(member).ok().and_then(|g| cluster.gateways.get(&g)) {
        let (cert, key) = gateway.public.clone().unwrap_or((files.cert.clone(), files.key.clone()));
        identity::door(&cert, &key, &cluster.asks)?;
    }
    Ok(ends.ends_soon.then(|| format!("{} expires within a week", files.cert.display())))
}
