//! Where a member that was added can be reached: an address as the log carries it.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 16 | the IPv6 address; of an IPv4 address the mapped one |
//! | 16 | 2 | the port, big-endian |

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use dataplane::{Member, Membership, NodeId, Place};

/// An address for the log.
pub fn of(address: SocketAddr) -> Place {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let mut bytes = [0; 18];
    bytes[..16].copy_from_slice(&ip.octets());
    bytes[16..].copy_from_slice(&address.port().to_be_bytes());
    Place(bytes)
}

/// The address in the log, if it has one.
pub fn address(place: Place) -> Option<SocketAddr> {
    let ip: [u8; 16] = place.0[..16].try_into().expect("sixteen of eighteen bytes");
    let port = u16::from_be_bytes([place.0[16], place.0[17]]);
    (port > 0).then(|| SocketAddr::new(Ipv6Addr::from(ip).to_canonical(), port))
}

/// Of these members, those that belong to the shard and are not known yet, with their addresses.
pub fn new_ones<'a>(
    rows: impl IntoIterator<Item = (&'a NodeId, &'a Member)>,
    known: impl Fn(NodeId) -> bool,
) -> Vec<(NodeId, String)> {
    let there = rows.into_iter().filter(|(_, member)| member.is != Membership::Gone);
    let new = there.filter(|(node, _)| (1..=engine::NODE_MAX).contains(&node.0) && !known(**node));
    new.filter_map(|(node, member)| Some((*node, address(member.place)?.to_string()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_back_and_none_is_none() {
        for text in ["127.0.0.1:7420", "[2001:db8::1]:1", "[::1]:65535"] {
            let wanted: SocketAddr = text.parse().unwrap();
            assert_eq!(address(of(wanted)), Some(wanted));
        }
        assert_eq!(address(Place::UNKNOWN), None);
    }
}
