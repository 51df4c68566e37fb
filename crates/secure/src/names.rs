//! What a member's certificate calls it: a DNS name in the subject's alternative names, which no resolver knows.
//!
//! `n1.node.00112233445566778899aabbccddeeff.cutaway`, `g1.gateway.….cutaway`. The cluster's id is part of the name, so a
//! member of one cluster is nobody in another, even if one authority signs for both.

use rustls::pki_types::{DnsName, ServerName};

fn hex(cluster: &[u8; 16]) -> String {
    cluster.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The name of node `n`.
pub fn node(n: u32, cluster: &[u8; 16]) -> String {
    format!("n{n}.node.{}.cutaway", hex(cluster))
}

/// The name of gateway `g`.
pub fn gateway(g: u32, cluster: &[u8; 16]) -> String {
    format!("g{g}.gateway.{}.cutaway", hex(cluster))
}

/// The name of a client with a certificate: it is in no member's place.
pub fn client(name: &str, cluster: &[u8; 16]) -> String {
    format!("{name}.client.{}.cutaway", hex(cluster))
}

/// The name as TLS takes it.
pub(crate) fn server(name: &str) -> Option<ServerName<'static>> {
    DnsName::try_from(name.to_owned()).ok().map(ServerName::DnsName)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_one_that_tls_takes() {
        let cluster = [0xa5; 16];
        for name in [node(u32::MAX, &cluster), gateway(1, &cluster), client("app", &cluster)] {
            assert!(server(&name).is_some(), "{name}");
        }
        assert_ne!(node(1, &cluster), node(1, &[0xa4; 16]));
        assert_ne!(node(1, &cluster), gateway(1, &cluster));
    }
}
