//! Writing a copy, a shard after the other.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

use dataplane::ShardId;
use kv::{Item, Seq};

use crate::digest::{Digest, Digester};
use crate::format::{FormatError, Header, MAGIC, RawBlock, VERSION};

/// What was written of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The shard.
    pub shard: ShardId,
    /// The entry that its state is as of.
    pub seq: Seq,
    /// How many keys it has.
    pub keys: u64,
    /// Of what is in the file: of the state, if all values are.
    pub digest: Digest,
}

/// A copy being written.
pub struct Writer {
    file: File,
    at: u64,
    crc: u32,
    shard: Option<Shard>,
}

struct Shard {
    number: ShardId,
    seq: Seq,
    /// Position and CRC before its first block.
    from: (u64, u32),
    digester: Digester,
}

impl Writer {
    /// Begins a copy in an empty file.
    pub fn create(mut file: File, header: &Header) -> Result<Writer, FormatError> {
        let body = header.encode();
        let crc = crc32c::crc32c(&body);
        let numbers = [VERSION, body.len() as u32, crc].map(u32::to_le_bytes).concat();
        let bytes = [&MAGIC[..], &numbers, &body].concat();
        file.write_all(&bytes)?;
        Ok(Writer { file, at: bytes.len() as u64, crc, shard: None })
    }

    /// How many bytes are written.
    pub fn bytes(&self) -> u64 {
        self.at
    }

    /// Begins a shard, as of `seq`, without values of `since` and before. The same shard is begun anew: what was written of
    /// it is taken back.
    pub fn begin(&mut self, shard: ShardId, seq: Seq, since: Seq) -> Result<(), FormatError> {
        let from = match self.shard.take().filter(|open| open.number == shard) {
            Some(open) => {
                self.file.set_len(open.from.0)?;
                self.file.seek(SeekFrom::Start(open.from.0))?;
                (self.at, self.crc) = open.from;
                open.from
            }
            None => (self.at, self.crc),
        };
        self.shard = Some(Shard { number: shard, seq, from, digester: Digester::default() });
        self.block(&RawBlock::Begin { shard, seq, since })
    }

    /// The next items, in key order. Those of the base have empty values.
    pub fn items(&mut self, items: Vec<Item>) -> Result<(), FormatError> {
        if let Some(shard) = &mut self.shard {
            items.iter().for_each(|(key, version, value)| shard.digester.add(key, *version, value));
        }
        if items.is_empty() { Ok(()) } else { self.block(&RawBlock::Items(items)) }
    }

    /// Ends the shard that was begun; `None` if none was.
    pub fn end(&mut self) -> Result<Option<Written>, FormatError> {
        let Some(Shard { number, seq, digester, .. }) = self.shard.take() else { return Ok(None) };
        let (keys, digest) = digester.finish();
        self.block(&RawBlock::End { keys, digest })?;
        Ok(Some(Written { shard: number, seq, keys, digest }))
    }

    /// Ends the copy; it is durable when this returns.
    pub fn finish(mut self) -> Result<u64, FormatError> {
        self.block(&RawBlock::Over)?;
        self.file.sync_all()?;
        Ok(self.at)
    }

    fn block(&mut self, block: &RawBlock) -> Result<(), FormatError> {
        let payload = block.encode();
        self.crc = crc32c::crc32c_append(self.crc, &payload);
        let mut bytes = Vec::with_capacity(8 + payload.len());
        bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&self.crc.to_le_bytes());
        bytes.extend_from_slice(&payload);
        self.file.write_all(&bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}
