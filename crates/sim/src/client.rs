//! What one client remembers, and how it draws a question.

use std::sync::Arc;

use dataplane::{Query, Seq};
use gateway::{Request, Token};

use crate::history::Call;
use crate::rng::Rng;
use crate::schedule::Load;

/// A client.
pub(crate) struct Client {
    pub id: u32,
    pub rng: Rng,
    /// Operations still to do.
    pub left: u32,
    /// After those, each client reads its share of the keys once more.
    pub read_last: u64,
    /// The operation under way, by its place in the history, and where it is.
    pub current: Option<(usize, usize, Token)>,
    /// The version this client last saw of each key.
    pub versions: Vec<Seq>,
    /// The scan under way.
    pub scan: Option<Scan>,
}

/// What a scan asks for.
pub(crate) struct Scan {
    pub after: Option<Arc<[u8]>>,
    pub limit: u32,
}

/// Stands for the key of a question about all of them.
pub(crate) const NO_KEY: u32 = u32::MAX;

impl Client {
    pub fn new(id: u32, rng: Rng, left: u32) -> Client {
        Client { id, rng, left, read_last: 0, current: None, versions: vec![0; 32], scan: None }
    }

    /// The next of the keys that it reads at the end.
    pub fn last_key(&self, keys: u64, clients: u32) -> Option<u32> {
        (self.read_last..keys)
            .find(|key| key % u64::from(clients) == u64::from(self.id) - 1)
            .map(|key| key as u32)
    }

    /// A question about all keys, or about those behind one.
    pub fn ask_for_all(&mut self, load: &Load) -> (u32, Call, Request) {
        let rng = &mut self.rng;
        if rng.chance(300_000) {
            return (NO_KEY, Call::Count, Request::Read(Query::Count));
        }
        let after = rng.chance(500_000).then(|| key_bytes(load, rng.below(load.keys) as u32));
        let limit = if rng.chance(500_000) { 1_000 } else { rng.between(1, 3) as u32 };
        self.scan = Some(Scan { after: after.clone(), limit });
        (NO_KEY, Call::Scan, Request::Read(Query::Scan { prefix: b"k"[..].into(), after, limit }))
    }

    pub fn is_done(&self, keys: u64, clients: u32) -> bool {
        self.left == 0 && self.current.is_none() && self.last_key(keys, clients).is_none()
    }
}

/// The key with this number; some clusters have long ones, so that a log record takes several sectors.
pub(crate) fn key_bytes(load: &Load, key: u32) -> Arc<[u8]> {
    let mut bytes = format!("k{key}").into_bytes();
    bytes.resize(bytes.len().max(load.key_length as usize), b'.');
    bytes.into()
}
