//! A full copy and the incremental ones behind it, as one stream of keys with values.
//!
//! The last copy says which keys there are, and of which entry each value is. A value that it leaves out is in the copy
//! before, under the same key and of the same entry, or in one before that. All of them are in key order, so each is read
//! once, side by side.

use std::collections::VecDeque;
use std::fmt;
use std::io::Read;
use std::sync::Arc;

use dataplane::ShardId;
use kv::{Item, Seq};

use crate::digest::{Digest, Digester};
use crate::format::{BackupId, FormatError, Header};
use crate::read::{Block, Reader};

/// Why several copies are no chain. The number says which file, from 0.
#[derive(Debug)]
pub enum ChainError {
    /// A file is no whole copy.
    Format(usize, FormatError),
    /// The first copy is an incremental one.
    NeedsBase(BackupId),
    /// A copy's base is not the one before it.
    WrongBase {
        /// The copy.
        file: usize,
        /// What it was made on; `None`: on nothing, it is a full one.
        wanted: Option<BackupId>,
        /// What stands before it.
        found: BackupId,
    },
    /// A copy leaves out a value that the ones before do not have.
    Lacks(usize, String),
}

impl fmt::Display for ChainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = |id: &BackupId| id.iter().map(|b| format!("{b:02x}")).collect::<String>();
        match self {
            ChainError::Format(_, e) => e.fmt(f),
            ChainError::NeedsBase(base) => {
                write!(f, "it holds what changed since backup {}, which must stand before it", id(base))
            }
            ChainError::WrongBase { wanted: Some(wanted), found, .. } => write!(
                f,
                "it holds what changed since backup {}, and the one before it is {}",
                id(wanted),
                id(found)
            ),
            ChainError::WrongBase { wanted: None, .. } => {
                f.write_str("it is a full backup, and stands alone or first")
            }
            ChainError::Lacks(_, what) => write!(f, "its base lacks {what}"),
        }
    }
}

impl std::error::Error for ChainError {}

/// The shard whose items come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardHead {
    /// Which.
    pub shard: ShardId,
    /// The entry that its state is as of.
    pub seq: Seq,
}

/// Copies being read side by side, the full one first.
pub struct Chain<R> {
    layers: Vec<Layer<R>>,
    digester: Digester,
}

struct Layer<R> {
    reader: Reader<R>,
    since: Seq,
    items: VecDeque<Item>,
    /// In a shard whose end has not come.
    open: bool,
}

impl<R: Read> Chain<R> {
    /// Opens the copies, the full one first, then each behind its base.
    pub fn open(inputs: Vec<R>) -> Result<Chain<R>, ChainError> {
        let mut layers: Vec<Layer<R>> = Vec::new();
        for (file, input) in inputs.into_iter().enumerate() {
            let reader = Reader::open(input).map_err(|e| ChainError::Format(file, e))?;
            let wanted = reader.header().base;
            match (layers.last().map(|before| before.reader.header()), wanted) {
                (None, Some(base)) => return Err(ChainError::NeedsBase(base)),
                (Some(before), wanted) if wanted != Some(before.id) => {
                    return Err(ChainError::WrongBase { file, wanted, found: before.id });
                }
                _ => {}
            }
            layers.push(Layer { reader, since: 0, items: VecDeque::new(), open: false });
        }
        Ok(Chain { layers, digester: Digester::default() })
    }

    /// What the last copy is of. A chain has at least one.
    pub fn header(&self) -> Option<&Header> {
        self.layers.last().map(|layer| layer.reader.header())
    }

    /// The next shard; `None` after the last, when all files have been read to their ends.
    pub fn shard(&mut self) -> Result<Option<ShardHead>, ChainError> {
        let (mut head, mut before) = (None, 0);
        self.digester = Digester::default();
        for (file, layer) in self.layers.iter_mut().enumerate() {
            let begun = layer.begin().map_err(|e| ChainError::Format(file, e))?;
            if let Some((head, since)) = begun
                && since > before
            {
                let what = format!("shard {} as of entry {since}; it is as of entry {before}", head.shard);
                return Err(ChainError::Lacks(file, what));
            }
            head = begun.map(|(head, _)| head);
            before = head.map_or(0, |head| head.seq);
        }
        Ok(head)
    }

    /// The next key of the shard, with its value.
    pub fn item(&mut self) -> Result<Option<Item>, ChainError> {
        let top = self.layers.len() - 1;
        let next = self.layers[top].next().map_err(|e| ChainError::Format(top, e))?;
        let Some((key, version, value)) = next else { return Ok(None) };
        let value = if version <= self.layers[top].since { self.find(top, &key, version)? } else { value };
        self.digester.add(&key, version, &value);
        Ok(Some((key, version, value)))
    }

    /// How many keys the shard had, and the digest of its state, after its last key.
    pub fn digest(&mut self) -> (u64, Digest) {
        std::mem::take(&mut self.digester).finish()
    }

    /// The value that `file` leaves out.
    fn find(&mut self, file: usize, key: &[u8], version: Seq) -> Result<Arc<[u8]>, ChainError> {
        for below in (0..file).rev() {
            let layer = &mut self.layers[below];
            loop {
                let at = layer.peek().map_err(|e| ChainError::Format(below, e))?;
                if at.is_none_or(|(found, ..)| **found >= *key) {
                    break;
                }
                layer.items.pop_front();
            }
            let since = layer.since;
            match layer.items.front() {
                Some((found, at, value)) if **found == *key && *at == version => {
                    if version > since {
                        return Ok(value.clone());
                    }
                }
                _ => break,
            }
        }
        Err(ChainError::Lacks(file, format!("key {} of entry {version}", kv::show(key))))
    }
}

impl<R: Read> Layer<R> {
    /// Goes to the beginning of the next shard.
    fn begin(&mut self) -> Result<Option<(ShardHead, Seq)>, FormatError> {
        while self.next()?.is_some() {}
        match self.reader.block()? {
            Some(Block::Begin { shard, seq, since }) => {
                (self.open, self.since) = (true, since);
                Ok(Some((ShardHead { shard, seq }, since)))
            }
            // The reader lets nothing else stand here.
            _ => Ok(None),
        }
    }

    fn peek(&mut self) -> Result<Option<&Item>, FormatError> {
        while self.items.is_empty() && self.open {
            match self.reader.block()? {
                Some(Block::Items(items)) => self.items = items.into(),
                _ => self.open = false,
            }
        }
        Ok(self.items.front())
    }

    fn next(&mut self) -> Result<Option<Item>, FormatError> {
        self.peek()?;
        Ok(self.items.pop_front())
    }
}
