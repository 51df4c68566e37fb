//! One node of the cluster: the real one, its disk, and what can be seen of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use dataplane::{Origin, Replica, RequestId, Seq, wire};
use disk::Disk;
use engine::format::superblock::{Superblock, WAL_OFFSET};
use engine::format::wal_record::WalRecord;
use engine::{Device, UNIT};
use node::Node;

use super::witness::{Sight, Stamp};

/// Bytes of the log ring.
pub(super) const WAL_BYTES: u64 = 32 << 10;

/// One node.
pub(crate) struct Seat {
    pub(crate) id: u32,
    /// `Err`: why it is down.
    pub(crate) running: Result<Node<Disk>, String>,
    pub(crate) disk: Disk,
    pub(super) life: u32,
    /// The key of each write that a client sent.
    pub(super) keys: Keys,
}

/// A record in the log ring.
pub(super) struct Found {
    pub(super) batch: u64,
    pub(super) seq: Seq,
    /// Bytes from the beginning of the ring.
    pub(super) at: u64,
    pub(super) end: u64,
    pub(super) tag: Vec<u8>,
}

/// The key of each write that a client sent, shared by all.
pub(super) type Keys = Arc<Mutex<BTreeMap<RequestId, Written>>>;

/// What a client's write does: to which key; a value, or its removal.
pub(crate) struct Written {
    pub(super) key: Arc<[u8]>,
    pub(super) removes: bool,
}

impl Sight for Seat {
    fn replica(&self) -> Option<&Replica> {
        self.running.as_ref().ok().map(Node::replica)
    }

    fn base(&self) -> Seq {
        self.replica().map_or(0, |replica| replica.core().log.base())
    }

    fn last(&self) -> Seq {
        self.replica().map_or(0, |replica| replica.core().log.tail().seq)
    }

    fn stamp(&self, seq: Seq) -> Option<Stamp> {
        let engine = self.running.as_ref().ok()?.engine();
        match engine.tag(seq) {
            Some(tag) => wire::decode_all(tag).ok(),
            None => match engine.entry(seq) {
                Ok(entry) => wire::decode_all(&entry?.tag).ok(),
                // Its value is damaged: who wrote it is in the record all the same.
                Err(_) => {
                    let found = self.records().ok()?;
                    let newest =
                        found.iter().filter(|found| found.seq == seq).max_by_key(|found| found.batch)?;
                    wire::decode_all(&newest.tag).ok()
                }
            },
        }
    }

    fn lacks(&self, seq: Seq, stamp: Stamp) -> bool {
        let (Ok(node), Origin::Request(request)) = (&self.running, stamp.1) else { return false };
        let keys = self.keys.lock().expect("nobody panics here");
        let Some(Written { key, .. }) = keys.get(&request) else { return false };
        // Where the key may have been removed since, its absence says nothing.
        let removed = keys.values().any(|other| other.removes && other.key == *key);
        !removed && node.engine().version_of(key).is_none_or(|version| version < seq)
    }

    fn dropped(&self) -> &[(Seq, Stamp)] {
        &[]
    }
}

impl Seat {
    /// In one line.
    pub(super) fn in_words(&self) -> String {
        let node = match &self.running {
            Ok(node) => node,
            Err(why) => return format!("n{}: down: {why}", self.id),
        };
        let (status, shape) = (node.status(0), &node.replica().core().log);
        let entry = |seq: Seq| Some(format!("{seq}@{}", shape.epoch_at(seq)?.0));
        let log: Vec<String> = (self.base() + 1..=self.last()).filter_map(entry).collect();
        format!(
            "n{}: {:?} in epoch {}, log [{}] (durable {}, committed {}, end {})",
            self.id,
            status.role,
            status.promised.0,
            log.join(" "),
            status.durable,
            status.committed,
            status.tail.seq
        )
    }

    /// All records that the ring holds, whatever they are worth.
    pub(super) fn records(&self) -> Result<Vec<Found>, String> {
        let mut ring = vec![0; WAL_BYTES as usize];
        self.disk.read_at(WAL_OFFSET, &mut ring).map_err(|error| error.to_string())?;
        let (mut at, mut found) = (0, Vec::new());
        while at < ring.len() {
            match WalRecord::decode(&ring[at..], true) {
                Ok(record) => {
                    let end = at + record.header.length as usize;
                    let (batch, seq) = (record.header.batch, record.header.seq);
                    found.push(Found {
                        batch,
                        seq,
                        at: at as u64,
                        end: end as u64,
                        tag: record.tag.to_vec(),
                    });
                    at = if record.header.last == 1 { end.next_multiple_of(UNIT as usize) } else { end };
                }
                Err(_) => at = (at / UNIT as usize + 1) * UNIT as usize,
            }
        }
        Ok(found)
    }

    /// Where the record of entry `seq` is on the disk, if it is not of the last batch.
    pub(super) fn record(&self, seq: Seq) -> Result<u64, String> {
        let (found, node) = (self.records()?, self.id);
        let last = found.iter().map(|record| record.batch).max().unwrap_or(0);
        match found.iter().filter(|record| record.seq == seq).max_by_key(|record| (record.batch, record.at)) {
            Some(Found { batch, at, .. }) if *batch < last => Ok(WAL_OFFSET + at),
            Some(_) => Err(format!(
                "entry {seq} is of n{node}'s last batch: damage there cannot be told from a torn tail"
            )),
            None => Err(format!("entry {seq} is not in n{node}'s log")),
        }
    }
}

/// The superblock in this slot, if it can be read.
pub(crate) fn superblock(disk: &Disk, slot: u64) -> Option<Superblock> {
    let mut bytes = vec![0; UNIT as usize];
    disk.read_at(slot, &mut bytes).ok()?;
    Superblock::decode(&bytes).ok()
}
