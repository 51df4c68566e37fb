//! The bytes of a copy.
//!
//! ```text
//! "CUTAWAYB" | version | length | CRC | header
//! length | CRC | Begin shard 0, as of entry 812, without values of entry 0 and before
//! length | CRC | Items: keys with versions and values, in key order …
//! length | CRC | End: how many keys, and the digest of what is in the file
//! length | CRC | Begin shard 1 …
//! length | CRC | Over
//! ```
//!
//! Integers are little-endian, the rest is coded as in the protocol (`dataplane::wire`). The CRC-32C of a block goes on from
//! that of the block before, so that no block can be missing, doubled, or of another copy. A file without `Over` was cut.

use std::fmt;
use std::io;

use dataplane::wire::{self, Code};
use dataplane::{ClusterId, ShardId};
use kv::{Item, Seq};

use crate::digest::Digest;

/// The first bytes of a file.
pub const MAGIC: &[u8; 8] = b"CUTAWAYB";
/// Raised when the bytes change their meaning.
pub const VERSION: u32 = 1;
/// The longest block or header; a longer one is damage, and nothing is allocated for it.
pub const BLOCK_BYTES_MAX: usize = wire::FRAME_BYTES_MAX;

/// Which copy it is: random.
pub type BackupId = [u8; 16];

/// What a copy is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The cluster that it was taken from.
    pub cluster: ClusterId,
    /// Which copy this is.
    pub id: BackupId,
    /// The copy that has the values which this one leaves out.
    pub base: Option<BackupId>,
    /// How many shards the cluster has.
    pub shards: u32,
    /// How many nodes it had.
    pub nodes: u32,
    /// The extensions that it was founded with, by name, with commas.
    pub extensions: String,
}

/// How far each shard of a base reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// The base.
    pub header: Header,
    /// The entry that each shard's state is as of.
    pub seqs: Vec<Seq>,
}

/// Why bytes are not a copy, or not a whole one.
#[derive(Debug)]
pub enum FormatError {
    /// The file is of another kind.
    NotABackup,
    /// It was written by another version.
    OtherVersion(u32),
    /// The file ends before its end record: writing it was interrupted, or it was cut.
    Cut {
        /// Where it ends.
        at: u64,
    },
    /// Bytes that are not what was written.
    Damaged {
        /// Where the block begins.
        at: u64,
        /// What is wrong.
        why: String,
    },
    /// The file cannot be read or written.
    Io(io::Error),
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FormatError::NotABackup => f.write_str("it is no backup"),
            FormatError::OtherVersion(found) => {
                write!(f, "it is a backup of format {found}, and this program knows format {VERSION}")
            }
            FormatError::Cut { at } => {
                write!(f, "it was cut: it ends at byte {at}, before its end record")
            }
            FormatError::Damaged { at, why } => write!(f, "it is damaged at byte {at}: {why}"),
            FormatError::Io(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for FormatError {}

impl From<io::Error> for FormatError {
    fn from(e: io::Error) -> FormatError {
        FormatError::Io(e)
    }
}

/// One block, as it lies in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RawBlock {
    Begin { shard: ShardId, seq: Seq, since: Seq },
    Items(Vec<Item>),
    End { keys: u64, digest: Digest },
    Over,
}

impl RawBlock {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            RawBlock::Begin { shard, seq, since } => (1u8, *shard, (*seq, *since)).put(&mut out),
            RawBlock::Items(items) => {
                out.push(2);
                items.put(&mut out);
            }
            RawBlock::End { keys, digest } => {
                (3u8, *keys, digest.0.to_vec()).put(&mut out);
            }
            RawBlock::Over => out.push(4),
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<RawBlock, wire::WireError> {
        let Some((&kind, rest)) = bytes.split_first() else { return Err(wire::WireError::Length) };
        match kind {
            1 => wire::decode_all::<(ShardId, (Seq, Seq))>(rest)
                .map(|(shard, (seq, since))| RawBlock::Begin { shard, seq, since }),
            2 => wire::decode_all(rest).map(RawBlock::Items),
            3 => {
                let (keys, digest): (u64, Vec<u8>) = wire::decode_all(rest)?;
                let digest = digest.try_into().map_err(|_| wire::WireError::Length)?;
                Ok(RawBlock::End { keys, digest: Digest(digest) })
            }
            4 if rest.is_empty() => Ok(RawBlock::Over),
            other => Err(wire::WireError::UnknownVariant(other)),
        }
    }
}

impl Header {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let Header { cluster, id, base, shards, nodes, extensions } = self;
        let extensions = extensions.clone().into_bytes();
        wire::encode_value(&((*cluster, *id, *base), (*shards, *nodes), extensions))
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Header, String> {
        type Coded = ((ClusterId, BackupId, Option<BackupId>), (u32, u32), Vec<u8>);
        let ((cluster, id, base), (shards, nodes), extensions): Coded =
            wire::decode_all(bytes).map_err(|e| format!("its header is {e}"))?;
        let extensions = String::from_utf8(extensions).map_err(|_| "its extensions have no names")?;
        Ok(Header { cluster, id, base, shards, nodes, extensions })
    }
}
