//! What one client remembers, and how it draws a question.

use std::collections::VecDeque;
use std::sync::Arc;

use dataplane::{Condition, Op, Query, Seq};
use gateway::{Request, Token};
use trace::Tracer;

use crate::ask::{Ask, What, When};
use crate::history::{Call, ValueId};
use crate::rng::Rng;
use crate::schedule::Load;

/// A client.
pub(crate) struct Client {
    pub id: u32,
    pub rng: Rng,
    /// Dice for what it does at the end, when all has healed: they are the same whatever it did before.
    pub last_rng: Rng,
    /// Operations still to do.
    pub left: u32,
    /// What they are, if a list says so.
    pub listed: VecDeque<Ask>,
    /// After those, each client reads its share of the keys once more.
    pub read_last: u64,
    /// The operation under way, by its place in the history, and where it is.
    pub current: Option<(usize, usize, Token)>,
    /// The version this client last saw of each key.
    pub versions: Vec<Seq>,
    /// The scan under way.
    pub scan: Option<Scan>,
    pub tracer: Tracer,
}

/// What a scan asks for.
pub(crate) struct Scan {
    pub after: Option<Arc<[u8]>>,
    pub limit: u32,
}

/// Stands for the key of a question about all of them.
pub(crate) const NO_KEY: u32 = u32::MAX;

impl Client {
    pub fn new(seed: u64, id: u32, left: u32, listed: VecDeque<Ask>, tracer: Tracer) -> Client {
        let index = u64::from(id) - 1;
        Client {
            id,
            rng: Rng::stream(seed, "client", index),
            last_rng: Rng::stream(seed, "client, at the end", index),
            left,
            listed,
            read_last: 0,
            current: None,
            versions: vec![0; 32],
            scan: None,
            tracer,
        }
    }

    /// The next of the keys that it reads at the end.
    pub fn last_key(&self, keys: u64, clients: u32) -> Option<u32> {
        (self.read_last..keys)
            .find(|key| key % u64::from(clients) == u64::from(self.id) - 1)
            .map(|key| key as u32)
    }

    /// The dice choose what it asks next; a value that it puts is called `name`.
    pub fn draw(&mut self, load: &Load, name: ValueId) -> What {
        let rng = &mut self.rng;
        let key = rng.below(load.keys) as u32;
        let (dice, whole) = (rng.below(100), rng.below(100) < load.scans);
        let when = match rng.below(100) < load.conditional {
            false => When::Always,
            true => match rng.below(4) {
                0 => When::Absent,
                1 => When::Present,
                _ => When::Unchanged,
            },
        };
        if dice < load.reads && whole {
            if rng.chance(300_000) {
                return What::Count;
            }
            let after = rng.chance(500_000).then(|| rng.below(load.keys) as u32);
            let limit = if rng.chance(500_000) { SCAN_LIMIT } else { rng.between(1, 3) as u32 };
            What::Scan { after, limit }
        } else if dice < load.reads && rng.chance(100_000) {
            What::GetUpTo { key, most: rng.below(load.value_max + 1) as u32 }
        } else if dice < load.reads {
            What::Get { key }
        } else if dice < load.reads + load.deletes {
            What::Delete { key, when }
        } else {
            What::Put { key, value: name, bytes: load.value_length(rng), when }
        }
    }

    /// What that asks of a gateway.
    pub fn request(&mut self, load: &Load, what: &What) -> (u32, Call, Request) {
        let bytes = |key: u32| key_bytes(load, key);
        let condition = |key: u32, when: When| match when {
            When::Always => Condition::Always,
            When::Absent => Condition::Absent,
            When::Present => Condition::Present,
            When::Unchanged => Condition::Version(self.versions[key as usize]),
        };
        match *what {
            What::Put { key, value, bytes: length, when } => {
                let condition = condition(key, when);
                let op = Op::Put { key: bytes(key), value: value_bytes(value, length), condition };
                (key, Call::Put(value, condition), Request::Write(op))
            }
            What::Delete { key, when } => {
                let condition = condition(key, when);
                let op = Op::Delete { key: bytes(key), condition };
                (key, Call::Delete(condition), Request::Write(op))
            }
            What::Get { key } => (key, Call::Get, Request::Read(Query::Get(bytes(key)))),
            What::GetUpTo { key, most } => (key, Call::Get, Request::Read(Query::GetUpTo(bytes(key), most))),
            What::Count => (NO_KEY, Call::Count, Request::Read(Query::Count)),
            What::Scan { after, limit } => {
                let after = after.map(bytes);
                self.scan = Some(Scan { after: after.clone(), limit });
                (NO_KEY, Call::Scan, Request::Read(Query::Scan { prefix: b"k"[..].into(), after, limit }))
            }
        }
    }

    pub fn is_done(&self, keys: u64, clients: u32) -> bool {
        self.left == 0 && self.current.is_none() && self.last_key(keys, clients).is_none()
    }
}

/// How many keys a scan lists, if nothing says otherwise.
pub(crate) const SCAN_LIMIT: u32 = 1_000;

/// The value with this name: its bytes tell every value from every other, whatever its length.
pub(crate) fn value_bytes(value: ValueId, len: u64) -> Arc<[u8]> {
    let name = format!("v{value};");
    name.bytes().cycle().take(name.len().max(len as usize)).collect()
}

/// The key with this number; some clusters have long ones, so that a log record takes several sectors.
pub(crate) fn key_bytes(load: &Load, key: u32) -> Arc<[u8]> {
    let mut bytes = format!("k{key}").into_bytes();
    bytes.resize(bytes.len().max(load.key_length as usize), b'.');
    bytes.into()
}
