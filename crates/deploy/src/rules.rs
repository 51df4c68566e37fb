//! What no part of the file can see alone.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::cluster::Deployment;
use crate::problem::Found;
use crate::words;

/// Tells of parts that contradict each other, and of ports that anybody could use.
pub fn check(cluster: &Deployment, insecure: bool, found: &mut Found<'_>) {
    one_place_each(cluster, found);
    for (n, node) in
        cluster.nodes.iter().filter(|(_, node)| node.added && !cluster.extensions.changes_members())
    {
        let why = "only a cluster that was founded with the extension \"membership\" takes further nodes";
        found.on(node.line, format!("n{n} cannot have been added: {why}"));
    }
    if cluster.founders().next().is_none() {
        found.on(1, "no node founds the cluster: one at least is there from the beginning");
    }
    if cluster.certs.is_none() && !insecure {
        let beyond = |address: &SocketAddr| !address.ip().is_loopback();
        for (line, name, address) in listens(cluster) {
            if beyond(&address) {
                found.on(line, open_port(&name, &address));
            }
        }
    }
}

/// Why a port beyond loopback is refused without TLS.
pub fn open_port(name: &str, address: &SocketAddr) -> String {
    format!(
        "{name} would listen on {address} without TLS, where everybody who reaches it reads and writes everything: describe \
         the cluster in a file with [tls], and say --deploy FILE; or say --insecure, on a network that is yours alone"
    )
}

/// Every port: the line of its member, the member, the port.
fn listens(cluster: &Deployment) -> Vec<(usize, String, SocketAddr)> {
    let nodes = cluster.nodes.iter().flat_map(|(n, node)| {
        let all = [Some(node.listen), node.metrics].into_iter().flatten();
        all.map(move |address| (node.line, format!("n{n}"), address))
    });
    let gateways = cluster.gateways.iter().flat_map(|(g, gateway)| {
        [gateway.redis, gateway.http].map(|address| (gateway.line, format!("g{g}"), address))
    });
    nodes.chain(gateways).collect()
}

fn one_place_each(cluster: &Deployment, found: &mut Found<'_>) {
    let mut addresses: BTreeMap<String, u32> = BTreeMap::new();
    let mut images = BTreeMap::new();
    for (n, node) in &cluster.nodes {
        if let Some(other) = addresses.insert(node.address.to_ascii_lowercase(), *n) {
            found.on(node.line, format!("n{n} and n{other} have one address, {}", node.address));
        }
        // Two machines may both have a /dev/sdb; one machine has one.
        let host = words::host(&node.address).to_ascii_lowercase();
        for image in &node.images {
            if let Some(other) = images.insert((host.clone(), image.clone()), *n) {
                let image = image.display();
                found.on(
                    node.line,
                    format!("{image} is the image of two replicas on {host}: of n{other} and n{n}"),
                );
            }
        }
    }
    let mut ports: BTreeMap<SocketAddr, String> = BTreeMap::new();
    for (line, name, address) in listens(cluster) {
        // Every machine has its own 0.0.0.0.
        let other = ports.insert(address, name.clone());
        if let Some(other) = other.filter(|other| *other == name || !address.ip().is_unspecified()) {
            found.on(line, format!("{name} and {other} would both listen on {address}"));
        }
    }
}
