//! The engine's vocabulary: positions, entries, and who a device belongs to.

use std::sync::Arc;

pub use kv::{Condition, Item, KEY_BYTES_MAX, Op, Outcome, Seq, Sizes, VALUE_BYTES_MAX};

/// A byte position in the endless virtual log. Physically it lies at `wal offset + lsn % wal bytes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl std::fmt::Display for Lsn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The allocation unit, and the sector: the most that a disk writes or tears as one. Bytes.
pub const UNIT: u64 = 512;
/// The version of the format on the device. Raised when the meaning of any byte changes; other versions are refused. Magic
/// number, CRC and version of a superblock stay where they are, so that each version can say which other one it met.
pub const FORMAT_VERSION: u16 = 4;
/// Longest tag, in bytes.
pub const TAG_BYTES_MAX: usize = 64;

/// Whose device this is, and of what cluster. It is written by `format` and compared by `open`, so that a device plugged
/// into the wrong node is an error and not a replica with a foreign log, and so that no command line can contradict what
/// safety rests on: a node that is told of fewer members takes fewer for a majority; with another number of shards, keys
/// lie elsewhere. When the members can change, an entry of the log will say so, and these are the ones it starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster.
    pub cluster: [u8; 16],
    /// The node, from 1 to [`NODE_MAX`].
    pub node: u32,
    /// The shard, from 0.
    pub shard: u32,
    /// How many shards the cluster has.
    pub shards: u32,
    /// The nodes that hold a replica of the shard, as [`members`] puts them.
    pub members: u64,
}

/// The greatest number of a node.
pub const NODE_MAX: u32 = u64::BITS;

/// A set of nodes: bit n - 1 stands for node n.
pub fn members(nodes: impl IntoIterator<Item = u32>) -> u64 {
    nodes.into_iter().fold(0, |set, node| set | 1 << (node - 1))
}

impl Identity {
    /// The members.
    pub fn nodes(&self) -> impl Iterator<Item = u32> {
        (1..=NODE_MAX).filter(|n| self.members >> (n - 1) & 1 == 1)
    }

    /// Is the shard one of the shards, and the node one of the members?
    pub fn is_possible(&self) -> bool {
        let own = 1_u64.checked_shl(self.node.wrapping_sub(1)).unwrap_or(0);
        self.shard < self.shards && self.members & own != 0
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Identity { cluster, node, shard, shards, .. } = self;
        let (cluster, nodes) = (u128::from_be_bytes(*cluster), self.nodes().collect::<Vec<_>>());
        write!(f, "cluster {cluster:032x}, node {node} of {nodes:?}, shard {shard} of {shards}")
    }
}

/// What the owner may conclude from what this device holds. The engine stores it and recovers the log the same way
/// in every standing; acting on it is the owner's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Formatted for a cluster that does not exist yet: an empty log is the whole truth.
    Founding = 1,
    /// Unproven: this log may have forgotten something that was acknowledged.
    Joining = 2,
    /// Everything this device ever acknowledged is here.
    Member = 3,
}

/// How `format` divides a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of the WAL ring. `format` rounds it down to whole units and caps it to a quarter of the device.
    pub wal_bytes: u64,
}

impl Default for Layout {
    fn default() -> Layout {
        Layout { wal_bytes: 64 << 20 }
    }
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the replicated order.
    pub seq: Seq,
    /// The owner's bytes; the engine never reads them.
    pub tag: Arc<[u8]>,
    /// What it does.
    pub op: Op,
}

/// A value and the entry that wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The entry that wrote it.
    pub version: Seq,
    /// The value.
    pub value: Arc<[u8]>,
}

/// A run of units in the data region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Extent {
    /// The first unit, counted from the start of the data region.
    pub unit: u64,
    /// How many.
    pub units: u64,
}

/// Proof that a sync has returned. Only the engine has one, from a sync, from opening or from an installation, so what must wait for durability can ask for it in its
/// signature (`ack-after-sync`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synced {
    pub(crate) durable_lsn: Lsn,
    pub(crate) durable_seq: Seq,
}

impl Synced {
    /// Everything that ends at or before this position is durable.
    pub fn durable_lsn(&self) -> Lsn {
        self.durable_lsn
    }

    /// Every entry up to this one is durable.
    pub fn durable_seq(&self) -> Seq {
        self.durable_seq
    }
}

impl kv::Receipt for Synced {
    fn position(&self) -> u64 {
        self.durable_lsn.0
    }

    fn seq(&self) -> Seq {
        self.durable_seq
    }
}

/// How far a checkpoint has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointProgress {
    /// None is running.
    Idle,
    /// One is running; call again between batches.
    Working,
    /// It is complete, and what it made reusable has been given back.
    Done {
        /// Its seq.
        seq: Seq,
    },
}

/// Where a transfer goes on. It names the checkpoint it belongs to, so that a receiver never mixes two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferCursor {
    /// The checkpoint's seq.
    pub seq: Seq,
    /// Bytes of the checkpoint's stream that have been read.
    pub at: u64,
}

/// One piece of a checkpoint on its way to another device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferChunk {
    /// The checkpoint's seq.
    pub seq: Seq,
    /// In ascending order of keys.
    pub items: Vec<Item>,
    /// Where to go on; `None` in the last chunk.
    pub next: Option<TransferCursor>,
    /// The owner's state as of the checkpoint, in the first chunk only.
    pub host_state: Option<Vec<u8>>,
}

/// How the device is used, for status and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Units of the data region.
    pub units: u64,
    /// Units of values that the index or the log holds, and of the checkpoint.
    pub live: u64,
    /// Units that are freed but may still be needed by a recovery.
    pub quarantined: u64,
    /// Units that can be allocated.
    pub free: u64,
    /// Of the free units, those kept back so that checkpoints, and with them deletes, always work.
    pub reserve: u64,
    /// Units that all keys and values may take at worst, and the checkpoints of them.
    pub claimed: u64,
    /// When so many are claimed, the device is full: what is beyond is for overwrites.
    pub claimable: u64,
    /// Bytes of the log that a recovery would read.
    pub wal_used: u64,
    /// Bytes of the ring.
    pub wal_bytes: u64,
    /// Bytes the index would take in a checkpoint.
    pub index_bytes: u64,
}

/// Room in the log that is not for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserve {
    /// All of it may be used: for truncations, which give room.
    Nothing,
    /// What truncations need is kept.
    Truncations,
    /// Beside that, room is kept for entries with which what is in the log can be committed, and then leave it. Without it
    /// (1) a log is full of entries of an old epoch; (2) each new primary finds no room for its marker; (3) nothing is
    /// ever committed again, so nothing ever leaves the log.
    Progress,
}
