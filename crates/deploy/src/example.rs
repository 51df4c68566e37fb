//! A file to begin with.

use std::fmt::Write as _;

/// A cluster on this machine, each member at an address of its own.
pub fn example(cluster: &str, nodes: u32, gateways: u32) -> String {
    let mut text = format!(
        "# A cluster of Cutaway: every process is started from this file, by its name.
# Paths are relative to it. `cutaway deploy check` reads it as a whole.

cluster = {cluster:?}
shards = 1                 # fixed at the founding, as nodes and extensions are
image-size = \"256M\"        # of each image that `format` creates
data = \"data\"              # the images are DATA/NODE/shard-N.img
extensions = []            # such as \"elections\"

[tls]                      # without it, everything stays on loopback
certs = \"certs\"            # ca.pem, and NAME.pem with NAME.key for each member

[clients]
certificates = \"none\"      # or \"optional\", \"required\"
"
    );
    for n in 1..=nodes {
        write!(text, "\n[nodes.n{n}]\naddress = \"127.0.0.{}:7420\"\n", n + 1).expect("a string takes it");
    }
    for g in 1..=gateways {
        let ip = format!("127.0.0.{}", nodes + 1 + g);
        let ports = format!("redis = \"{ip}:7400\"\nhttp = \"{ip}:7401\"\n");
        write!(text, "\n[gateways.g{g}]\n{ports}").expect("a string takes it");
    }
    text += "\n# Without tokens, everybody who reaches a gateway reads and writes. `cutaway token app` makes one.\n";
    text
}
