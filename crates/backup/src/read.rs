//! Reading a copy as a stream, block by block, each checked before anything is made of it.

use std::io::Read;
use std::sync::Arc;

use dataplane::ShardId;
use kv::{Item, KEY_BYTES_MAX, Seq, VALUE_BYTES_MAX};

use crate::digest::{Digest, Digester};
use crate::format::{BLOCK_BYTES_MAX, FormatError, Header, MAGIC, RawBlock, VERSION};

/// What comes next in a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// A shard begins.
    Begin {
        /// Which.
        shard: ShardId,
        /// The entry that its state is as of.
        seq: Seq,
        /// Values of this entry and before are left out.
        since: Seq,
    },
    /// Its next keys.
    Items(Vec<Item>),
    /// It ends.
    End {
        /// How many keys it had.
        keys: u64,
        /// Of what the file has of it.
        digest: Digest,
    },
}

/// A whole copy, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// What it is of.
    pub header: Header,
    /// Each shard: the entry that it is as of, how many keys it has, and the digest of what the file has of it.
    pub shards: Vec<(Seq, u64, Digest)>,
    /// How many blocks there are.
    pub blocks: u64,
}

/// A copy being read.
pub struct Reader<R> {
    input: R,
    header: Header,
    at: u64,
    crc: u32,
    blocks: u64,
    shard: Option<Shard>,
    /// The shard that comes next.
    next: ShardId,
    over: bool,
}

struct Shard {
    seq: Seq,
    since: Seq,
    last: Option<Arc<[u8]>>,
    digester: Digester,
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    pub fn open(input: R) -> Result<Reader<R>, FormatError> {
        let none = Header {
            cluster: [0; 16],
            id: [0; 16],
            base: None,
            shards: 0,
            nodes: 0,
            extensions: String::new(),
        };
        let mut reader =
            Reader { input, header: none, at: 0, crc: 0, blocks: 0, shard: None, next: 0, over: false };
        let magic = reader.take(MAGIC.len()).map_err(|e| match e {
            FormatError::Cut { .. } => FormatError::NotABackup,
            other => other,
        })?;
        if magic != MAGIC {
            return Err(FormatError::NotABackup);
        }
        let version = reader.number()?;
        if version != VERSION {
            return Err(FormatError::OtherVersion(version));
        }
        let (begins, body) = reader.checked(0)?;
        let damaged = |why| FormatError::Damaged { at: begins, why };
        reader.header = Header::decode(&body).map_err(damaged)?;
        if reader.header.shards == 0 {
            return Err(damaged("a cluster has at least one shard".into()));
        }
        Ok(reader)
    }

    /// What the copy is of.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next block; `None` at the end, which is the file's end too.
    pub fn block(&mut self) -> Result<Option<Block>, FormatError> {
        if self.over {
            return Ok(None);
        }
        let (begins, bytes) = self.checked(self.crc)?;
        let damaged = |why: String| FormatError::Damaged { at: begins, why };
        let block = RawBlock::decode(&bytes).map_err(|e| damaged(e.to_string()))?;
        self.blocks += 1;
        let block = self.expected(block).map_err(damaged)?;
        if block.is_none() && self.input.read(&mut [0])? > 0 {
            return Err(FormatError::Damaged { at: self.at, why: "something stands behind its end".into() });
        }
        Ok(block)
    }

    /// Reads all that is left.
    pub fn check(mut self) -> Result<Summary, FormatError> {
        let (mut shards, mut as_of) = (Vec::new(), 0);
        while let Some(block) = self.block()? {
            match block {
                Block::Begin { seq, .. } => as_of = seq,
                Block::Items(_) => {}
                Block::End { keys, digest } => shards.push((as_of, keys, digest)),
            }
        }
        Ok(Summary { header: self.header, shards, blocks: self.blocks })
    }

    /// The block, if one like it can stand here.
    fn expected(&mut self, block: RawBlock) -> Result<Option<Block>, String> {
        match (block, self.shard.as_mut()) {
            (RawBlock::Begin { shard, seq, since }, None)
                if shard == self.next && shard < self.header.shards =>
            {
                if since > seq || since > 0 && self.header.base.is_none() {
                    return Err(format!("shard {shard} is as of entry {seq} without values before {since}"));
                }
                self.shard = Some(Shard { seq, since, last: None, digester: Digester::default() });
                self.next += 1;
                Ok(Some(Block::Begin { shard, seq, since }))
            }
            (RawBlock::Items(items), Some(shard)) => {
                items.iter().try_for_each(|item| shard.take(item))?;
                Ok(Some(Block::Items(items)))
            }
            (RawBlock::End { keys, digest }, Some(shard)) => {
                let found = std::mem::take(&mut shard.digester).finish();
                self.shard = None;
                match found == (keys, digest) {
                    true => Ok(Some(Block::End { keys, digest })),
                    false => {
                        Err(format!("{keys} keys with digest {digest} were written, {found:?} are there"))
                    }
                }
            }
            (RawBlock::Over, None) if self.next == self.header.shards => {
                self.over = true;
                Ok(None)
            }
            (block, _) => {
                let kind = format!("{block:?}");
                Err(format!("{} does not stand here", kind.split([' ', '(']).next().unwrap_or_default()))
            }
        }
    }

    /// Length, CRC, and as many bytes that have it; and where they begin.
    fn checked(&mut self, seed: u32) -> Result<(u64, Vec<u8>), FormatError> {
        let begins = self.at;
        let (length, crc) = (self.number()? as usize, self.number()?);
        if length > BLOCK_BYTES_MAX {
            let why = format!("a block of {length} bytes; the longest has {BLOCK_BYTES_MAX}");
            return Err(FormatError::Damaged { at: begins, why });
        }
        let bytes = self.take(length)?;
        let found = crc32c::crc32c_append(seed, &bytes);
        if found != crc {
            let why = format!("its checksum is {found:#010x} where {crc:#010x} was written");
            return Err(FormatError::Damaged { at: begins, why });
        }
        self.crc = crc;
        Ok((begins, bytes))
    }

    fn number(&mut self) -> Result<u32, FormatError> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// So many bytes; memory is taken as they come.
    fn take(&mut self, n: usize) -> Result<Vec<u8>, FormatError> {
        let mut bytes = Vec::new();
        let read = self.input.by_ref().take(n as u64).read_to_end(&mut bytes)?;
        self.at += read as u64;
        if read < n { Err(FormatError::Cut { at: self.at }) } else { Ok(bytes) }
    }
}

impl Shard {
    /// The next item, if it can be one.
    fn take(&mut self, (key, version, value): &Item) -> Result<(), String> {
        let named = || format!("key {}", kv::show(key));
        if !(1..=KEY_BYTES_MAX).contains(&key.len()) || value.len() > VALUE_BYTES_MAX {
            return Err(format!("{} is too long, or its value is", named()));
        }
        if !(1..=self.seq).contains(version) || *version <= self.since && !value.is_empty() {
            return Err(format!("{} has a value of entry {version}, which cannot be", named()));
        }
        if self.last.as_ref().is_some_and(|last| last >= key) {
            return Err(format!("{} is out of order", named()));
        }
        self.last = Some(key.clone());
        self.digester.add(key, *version, value);
        Ok(())
    }
}
