//! The last entries, whole and in memory, up to a number of bytes.
//!
//! Entries that are not durable can only be read from here. The others are kept because they are about to be read:
//! to be sent to another replica, which may well still want entries that a checkpoint has just dropped from the log.
//! No more of them than that takes: memory that comes round again soon is still in the processor's cache.

use std::collections::VecDeque;

use crate::types::{Entry, Op, Seq};

/// Bytes kept.
const RECENT_BYTES: usize = 1 << 20;

/// Entries without a gap, up to the last of the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recent {
    entries: VecDeque<Entry>,
    bytes: usize,
}

fn bytes(entry: &Entry) -> usize {
    let content = match &entry.op {
        Op::Put { key, value, .. } => key.len() + value.len(),
        Op::Delete { key, .. } => key.len(),
        Op::Nop => 0,
    };
    size_of::<Entry>() + entry.tag.len() + content
}

impl Recent {
    pub(crate) fn first(&self) -> Option<Seq> {
        self.entries.front().map(|entry| entry.seq)
    }

    pub(crate) fn get(&self, seq: Seq) -> Option<&Entry> {
        self.entries.get(usize::try_from(seq.checked_sub(self.first()?)?).ok()?)
    }

    /// Adds the next entry, and drops the oldest durable ones for it.
    pub(crate) fn push(&mut self, entry: Entry, durable: Seq) {
        self.bytes += bytes(&entry);
        self.entries.push_back(entry);
        while self.bytes > RECENT_BYTES && self.first().is_some_and(|seq| seq <= durable) {
            self.bytes -= self.entries.pop_front().map_or(0, |entry| bytes(&entry));
        }
    }

    /// Drops the entries from `from` on.
    pub(crate) fn truncate(&mut self, from: Seq) {
        let kept = self.first().map_or(0, |first| from.saturating_sub(first)) as usize;
        self.bytes -=
            self.entries.drain(kept.min(self.entries.len())..).map(|entry| bytes(&entry)).sum::<usize>();
    }
}
