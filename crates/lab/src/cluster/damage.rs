//! Damage to one block of a node's device, chosen by what is in it.

use std::ops::Range;

use dataplane::Seq;
use disk::Harm;
use engine::format::superblock::{SLOTS, WAL_OFFSET};
use engine::{Extent, Owner, UNIT};

use super::seat::{Found, Seat};

/// A class of blocks of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Block {
    /// The first superblock.
    SuperblockA,
    /// The second one.
    SuperblockB,
    /// The record of the first entry behind the checkpoint.
    LogFirst,
    /// One between the first and the last.
    LogMiddle,
    /// That of the last entry, in the last batch.
    LogLast,
    /// The first chunk of the checkpoint.
    Checkpoint,
    /// The value of the last key, in their order.
    Value,
}

impl Block {
    /// Every class, with the word for it.
    pub const ALL: [(&'static str, Block); 7] = [
        ("superblock-a", Block::SuperblockA),
        ("superblock-b", Block::SuperblockB),
        ("log-first", Block::LogFirst),
        ("log-middle", Block::LogMiddle),
        ("log-last", Block::LogLast),
        ("checkpoint", Block::Checkpoint),
        ("value", Block::Value),
    ];

    /// What it is, for a person.
    pub fn words(self) -> &'static str {
        match self {
            Block::SuperblockA => "superblock A",
            Block::SuperblockB => "superblock B",
            Block::LogFirst => "the first record of its log",
            Block::LogMiddle => "a record in the middle of its log",
            Block::LogLast => "the last record of its log",
            Block::Checkpoint => "a chunk of its checkpoint",
            Block::Value => "a value",
        }
    }
}

impl std::fmt::Display for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = Block::ALL.iter().find(|named| named.1 == *self).map_or("", |named| named.0);
        f.write_str(word)
    }
}

/// What a step does to a block, for a person.
pub(crate) fn words(node: u32, block: Block, harm: Harm) -> String {
    let what = block.words();
    match harm {
        Harm::Rot => format!("n{node} restarts, and a bit of {what} has turned"),
        Harm::Torn => format!("n{node} restarts, and of {what} only the front is there"),
        Harm::Lost => format!("n{node} restarts, and the last write of {what} has never reached the medium"),
        Harm::Misdirected => format!("n{node} restarts, and the last write of {what} lies in another place"),
        Harm::Old => format!("n{node} restarts, and {what} is again what was first written there"),
        Harm::Wiped => format!("n{node} restarts, and {what} is zeros"),
        Harm::Unreadable => format!("n{node} restarts, and {what} cannot be read"),
    }
}

type Bytes = Range<u64>;

impl Seat {
    /// Does this to a block of the device.
    pub(super) fn harm(&self, block: Block, harm: Harm) -> Result<(), String> {
        let (bytes, other) = self.place(block)?;
        self.disk.lose_unsynced();
        if self.disk.harm(bytes, harm, other) {
            Ok(())
        } else {
            Err(format!(
                "n{}'s {block} was written once only: there is nothing that it could be instead",
                self.id
            ))
        }
    }

    /// Where a block of this class is, and another one of its kind.
    fn place(&self, block: Block) -> Result<(Bytes, Option<Bytes>), String> {
        let slots = SLOTS.map(|slot| slot..slot + UNIT);
        match block {
            Block::SuperblockA => Ok((slots[0].clone(), Some(slots[1].clone()))),
            Block::SuperblockB => Ok((slots[1].clone(), Some(slots[0].clone()))),
            Block::LogFirst | Block::LogMiddle | Block::LogLast => self.log_block(block),
            Block::Checkpoint => self.data_block(|owner| matches!(owner, Owner::Chunk(_))),
            Block::Value => self.data_block(
                |owner| matches!(owner, Owner::Key(key, _) if Some(key) == self.last_key().as_ref()),
            ),
        }
    }

    fn last_key(&self) -> Option<std::sync::Arc<[u8]>> {
        let owners = self.running.as_ref().ok()?.engine().owners();
        let keys = owners.into_iter().filter_map(|(_, owner)| match owner {
            Owner::Key(key, _) => Some(key),
            _ => None,
        });
        keys.max()
    }

    fn log_block(&self, block: Block) -> Result<(Bytes, Option<Bytes>), String> {
        let running = self.running.as_ref().map_err(|_| format!("n{} is down", self.id))?;
        let base = running.engine().checkpoint_seq();
        let durable = running.engine().durable_seq();
        let all = self.records()?;
        let newest = |seq: Seq| all.iter().filter(|found| found.seq == seq).max_by_key(|found| found.batch);
        let live: Vec<Bytes> = (base + 1..=durable).filter_map(newest).map(Found::sectors).collect();
        let (first, last) = (live.first().cloned(), live.last().cloned());
        let middle = live.get(live.len() / 2).cloned();
        let (Some(first), Some(middle), Some(last)) = (first, middle, last) else {
            return Err(format!("n{}'s log has no entry behind its checkpoint", self.id));
        };
        if live.len() < 3 || middle == first || middle == last {
            return Err(format!("n{}'s log has no three batches behind its checkpoint", self.id));
        }
        Ok(match block {
            Block::LogFirst => (first, Some(middle)),
            Block::LogMiddle => (middle, Some(first)),
            _ => (last, Some(middle)),
        })
    }

    fn data_block(&self, is: impl Fn(&Owner) -> bool) -> Result<(Bytes, Option<Bytes>), String> {
        let running = self.running.as_ref().map_err(|_| format!("n{} is down", self.id))?;
        let owners = running.engine().owners();
        let mut wanted = owners.iter().filter(|(_, owner)| is(owner)).map(|(extent, _)| *extent);
        let Some(block) = wanted.next() else { return Err(format!("n{} has no such block", self.id)) };
        let other = wanted.next().or_else(|| owners.iter().map(|(extent, _)| *extent).find(|e| *e != block));
        let bytes = |extent: Extent| {
            let start = self.disk.data_offset() + extent.unit * UNIT;
            start..start + extent.units * UNIT
        };
        Ok((bytes(block), other.map(bytes)))
    }
}

impl Found {
    fn sectors(&self) -> Bytes {
        let start = WAL_OFFSET + self.at;
        start - start % UNIT..(WAL_OFFSET + self.end).next_multiple_of(UNIT)
    }
}
