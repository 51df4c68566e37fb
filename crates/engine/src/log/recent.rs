//! The last entries, whole and in memory, up to a number of bytes.
//!
//! Entries that are not durable can only be read from here. The others are kept because they are about to be read:
//! to be sent to another replica, which may well still want entries that a checkpoint has just dropped from the log.
//! No more of them than that takes: memory that comes round again soon is still in the processor's cache.

use std::collections::VecDeque;

use crate::types::{Entry, Seq, Sizes};

/// Bytes kept.
const RECENT_BYTES: usize = 512 << 10;

/// Entries without a gap, up to the last of the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recent {
    entries: VecDeque<Entry>,
    bytes: usize,
}

fn bytes(entry: &Entry) -> usize {
    let Sizes { key_bytes, value_bytes } = Sizes::from(&entry.op);
    size_of::<Entry>() + entry.tag.len() + key_bytes + value_bytes.unwrap_or(0)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Condition, Op};

    fn put(seq: Seq, value: usize) -> Entry {
        let op = Op::Put { key: [1; 3].into(), value: vec![0; value].into(), condition: Condition::Always };
        Entry { seq, tag: [2; 5].into(), op }
    }

    /// What an entry takes beside its value.
    const FIXED: usize = size_of::<Entry>() + 3 + 5;

    #[test]
    fn what_is_added_counts_and_what_is_truncated_counts_no_more() {
        let mut recent = Recent::default();
        recent.push(put(4, 100), 0);
        assert_eq!(recent.bytes, FIXED + 100);
        recent.push(
            Entry { op: Op::Delete { key: [1; 3].into(), condition: Condition::Always }, ..put(5, 0) },
            0,
        );
        recent.push(Entry { op: Op::Nop, ..put(6, 0) }, 0);
        assert_eq!(recent.bytes, FIXED + 100 + FIXED + FIXED - 3);
        recent.truncate(5);
        assert_eq!((recent.bytes, recent.first()), (FIXED + 100, Some(4)));
        recent.truncate(3);
        assert_eq!((recent.bytes, recent.first()), (0, None));
    }

    #[test]
    fn the_oldest_make_room_if_they_are_durable_and_the_others_stay_whatever_they_take() {
        let half = RECENT_BYTES / 2 - FIXED;
        let mut recent = Recent::default();
        for seq in 1..=2 {
            recent.push(put(seq, half), 2);
        }
        assert_eq!((recent.bytes, recent.first()), (RECENT_BYTES, Some(1)), "full, and not too full");
        recent.push(put(3, half), 2);
        assert_eq!((recent.bytes, recent.first()), (RECENT_BYTES, Some(2)));
        recent.push(put(4, 0), 1);
        assert_eq!(
            (recent.bytes, recent.first()),
            (RECENT_BYTES + FIXED, Some(2)),
            "2 is not durable (any more)"
        );
        recent.push(put(5, 0), 4);
        assert_eq!((recent.bytes, recent.first()), (RECENT_BYTES / 2 + 2 * FIXED, Some(3)));
    }
}
