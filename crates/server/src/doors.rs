//! How many connections a process takes, and how it learns that one is dead.
//!
//! A process has so many descriptors, and each connection is one. Clients get what is left when the process's own links
//! and files are counted: however many clients there are, a gateway can always dial its nodes. The soft limit, often 1024,
//! is there for programs that use `select`; it is raised to the hard one.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Most clients of the Redis protocol, with all the descriptors in the world.
const REDIS_MAX: usize = 10_000;
/// Most HTTP connections.
const HTTP_MAX: usize = 1024;
/// Descriptors for standard streams, listeners, files, the runtime's own, and connections that are being refused.
const SPARE: usize = 64;
/// No system allows a process more.
const DESCRIPTORS_MAX: u64 = 1 << 20;
/// A peer that has said nothing for this long is asked by the kernel whether it is still there, a few times.
const ASK_AFTER: Duration = Duration::from_secs(60);
const ASK_EVERY: Duration = Duration::from_secs(10);

/// Raises the limit of descriptors as far as it goes, and says how many there are.
pub fn descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(DESCRIPTORS_MAX).min(DESCRIPTORS_MAX);
    if limit.current.is_some_and(|now| now < most) {
        let raised = Rlimit { current: Some(most), maximum: limit.maximum };
        if let Err(e) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!("the limit of open files stays what it is: {e}");
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(DESCRIPTORS_MAX) as usize
}

/// How many connections clients may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doors {
    /// Of the Redis protocol.
    pub redis: usize,
    /// Of HTTP.
    pub http: usize,
}

impl Doors {
    /// Shares out what `own` links leave of the descriptors.
    pub fn new(descriptors: usize, own: usize) -> Doors {
        let rest = descriptors.saturating_sub(own + SPARE).max(2);
        let http = (rest / 4).clamp(1, HTTP_MAX);
        Doors { http, redis: (rest - http).min(REDIS_MAX) }
    }
}

/// Lets the kernel find out when the other side is gone without a word.
pub fn keep_alive(stream: &TcpStream) -> std::io::Result<()> {
    let keep = TcpKeepalive::new().with_time(ASK_AFTER).with_interval(ASK_EVERY);
    SockRef::from(stream).set_tcp_keepalive(&keep)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_what_the_own_links_leave() {
        assert_eq!(Doors::new(1 << 20, 6), Doors { redis: REDIS_MAX, http: HTTP_MAX });
        assert_eq!(Doors::new(1024, 6), Doors { redis: 716, http: 238 });
        assert_eq!(Doors::new(64, 300), Doors { redis: 1, http: 1 });
    }
}
