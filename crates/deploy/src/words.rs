//! Names, addresses and sizes as people write them.

use std::net::SocketAddr;

use engine::NODE_MAX;

/// The number of a node, from its name.
pub fn node(text: &str) -> Result<u32, String> {
    let number =
        text.strip_prefix('n').filter(|digits| !digits.starts_with(['0', '+'])).and_then(|n| n.parse().ok());
    number
        .filter(|n| (1..=NODE_MAX).contains(n))
        .ok_or(format!("{text:?} is no node: nodes are called n1, n2, … n{NODE_MAX}"))
}

/// The number of a gateway, from its name.
pub fn gateway(text: &str) -> Result<u32, String> {
    let number =
        text.strip_prefix('g').filter(|digits| !digits.starts_with(['0', '+'])).and_then(|n| n.parse().ok());
    number.ok_or(format!("{text:?} is no gateway: gateways are called g1, g2, …"))
}

/// A cluster's id.
pub fn cluster(text: &str) -> Result<[u8; 16], String> {
    let digits = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let number = u128::from_str_radix(text, 16).ok().filter(|_| digits);
    let form = "a cluster's id has 32 hexadecimal digits; make one with: cutaway deploy example";
    number.map(u128::to_be_bytes).ok_or(form.into())
}

/// HOST:PORT, with an IPv6 address in brackets. The name is resolved when it is dialled, so it need not exist yet.
pub fn address(text: &str) -> Result<String, String> {
    let form = || format!("{text:?} is not HOST:PORT, with an IPv6 address in brackets");
    let (host, port) = text.rsplit_once(':').ok_or_else(form)?;
    let bare = !host.starts_with('[') && host.contains(':');
    let odd = host.is_empty() || host.contains(['/', ' ', '"', '\'']);
    if bare || odd || !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Err(form());
    }
    Ok(text.into())
}

/// The host of a HOST:PORT.
pub fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// The port of a HOST:PORT.
pub fn port(address: &str) -> &str {
    address.rsplit_once(':').map_or("", |(_, port)| port)
}

/// IP:PORT to listen on.
pub fn listen(text: &str) -> Result<SocketAddr, String> {
    let parsed = text.parse().ok().filter(|address: &SocketAddr| address.port() > 0);
    parsed.ok_or(format!("{text:?} is not IP:PORT, such as 10.0.0.1:7420, 0.0.0.0:7420 or [::]:7420"))
}

/// A name as it may stand in a certificate and in an HTTP request.
pub fn host_name(text: &str) -> Result<String, String> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    match text.len() <= 253 && text.split('.').all(label) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(format!("{text:?} is no host name, such as store.example.org")),
    }
}

/// A number of bytes, as `256M` or `4G`.
pub fn size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.trim_end_matches(['B', 'b', 'i']).to_ascii_uppercase() {
        t if t.ends_with('K') => (t[..t.len() - 1].to_string(), 10),
        t if t.ends_with('M') => (t[..t.len() - 1].to_string(), 20),
        t if t.ends_with('G') => (t[..t.len() - 1].to_string(), 30),
        t if t.ends_with('T') => (t[..t.len() - 1].to_string(), 40),
        t => (t, 0),
    };
    let number: u64 = digits.parse().map_err(|_| format!("{text:?} is not a size such as 256M"))?;
    number.checked_mul(1 << shift).ok_or(format!("{text:?} is too much"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(size("256M"), Ok(256 << 20));
        assert_eq!(size("4GiB"), Ok(4 << 30));
        assert_eq!(size("512"), Ok(512));
        for bad in ["", "M", "-1", "1.5G", "99999999999T"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_and_addresses_that_mean_nothing_are_refused() {
        assert_eq!((node("n3"), gateway("g12")), (Ok(3), Ok(12)));
        for bad in ["n0", "n", "3", "n01", "n+1", "N1", "n4294967296", "nü"] {
            assert!(node(bad).is_err(), "{bad}");
        }
        assert!(["g0", "g", "g-1"].iter().all(|bad| gateway(bad).is_err()));
        assert!(["h:1", "[::1]:1", "10.0.0.1:7420"].iter().all(|good| address(good).is_ok()));
        assert!(["h", "::1:1", ":1", "h:0", "h:70000", "a b:1"].iter().all(|bad| address(bad).is_err()));
        assert_eq!((host("[::1]:7"), port("[::1]:7")), ("::1", "7"));
        assert!(["a.b-c", "localhost"].iter().all(|good| host_name(good).is_ok()));
        assert!(["", "a..b", "-a", "a b", "ä"].iter().all(|bad| host_name(bad).is_err()));
        assert!(cluster(&"5a".repeat(16)).is_ok() && cluster("+a").is_err());
        assert!(cluster(&format!("+{}", "5".repeat(31))).is_err());
    }
}
