//! The connections of a gateway, and what is told of each.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Notify, Semaphore};

/// So many commands that go over all keys run at a time in a gateway; further ones wait.
const WALKS_MAX: usize = 2;

/// The connections of this gateway.
pub struct Clients {
    pub(super) next_id: u64,
    pub(super) infos: BTreeMap<u64, Info>,
    pub(super) busy: usize,
    pub(super) commands: u64,
    /// Of which each command that goes over all keys takes one.
    pub(super) walks: Arc<Semaphore>,
}

impl Default for Clients {
    fn default() -> Clients {
        let walks = Arc::new(Semaphore::new(WALKS_MAX));
        Clients { next_id: 0, infos: BTreeMap::new(), busy: 0, commands: 0, walks }
    }
}

impl Clients {
    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.infos.len()
    }

    /// How many are working on requests.
    pub fn busy(&self) -> usize {
        self.busy
    }
}

/// What `CLIENT LIST` tells of a connection.
pub(super) struct Info {
    pub(super) from: Option<SocketAddr>,
    pub(super) to: Option<SocketAddr>,
    pub(super) since: Instant,
    pub(super) version: u8,
    pub(super) name: String,
    pub(super) library: String,
    pub(super) library_version: String,
    pub(super) last: Rc<Cell<(&'static str, Instant)>>,
    /// It is to make room for others.
    pub(super) leave: Rc<Notify>,
}

impl Info {
    /// One line of `CLIENT LIST`.
    pub(super) fn line(&self, id: u64) -> String {
        let address = |a: Option<std::net::SocketAddr>| a.map_or("?:0".into(), |a| a.to_string());
        let (command, at) = self.last.get();
        format!(
            "id={id} addr={} laddr={} name={} age={} idle={} flags=N db=0 sub=0 psub=0 multi=-1 cmd={command} user=default \
             resp={} lib-name={} lib-ver={}\n",
            address(self.from),
            address(self.to),
            self.name,
            self.since.elapsed().as_secs(),
            at.elapsed().as_secs(),
            self.version,
            self.library,
            self.library_version,
        )
    }
}
