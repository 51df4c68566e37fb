//! Extents that are no longer used but may still be needed.
//!
//! An extent is freed in memory long before it is freed for a recovery. Two ways lead there, each with its own wait:
//!
//! An entry replaced or deleted the value, or was applied without effect:
//! 1. Entry 7 overwrites a key; the old value's extent is reused for another key at once, and that value is written.
//! 2. Power fails. Recovery starts from the checkpoint at 5: the index points at the old value.
//! 3. Entry 7 may be truncated now (its owner decides), and the key's bytes are those of another key.
//!
//! So the extent waits until a durable checkpoint covers the entry: then no recovery looks at the old value again.
//!
//! An entry was truncated, unapplied:
//! 1. Entry 7 is truncated, the truncation is only in memory; its extent is reused, and that value is written.
//! 2. Power fails. The log still ends with entry 7, whose value is gone.
//!
//! So the extent waits until the truncation is durable.

use std::collections::VecDeque;

use super::claim::Claim;
use crate::format::value_ref::ValueRef;
use crate::types::{Lsn, Seq};

/// What must be durable before the extents of a value that is not used any more may be used again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// A checkpoint that covers this entry.
    Checkpoint(Seq),
    /// The log up to here.
    Durable(Lsn),
}

/// The values whose extents wait, each with the length of its key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quarantine {
    /// With the entry that freed it, ascending.
    freed: VecDeque<(Seq, usize, ValueRef)>,
    /// With the end of the truncation's record, ascending.
    truncated: VecDeque<(Lsn, usize, ValueRef)>,
    /// Of all that waits.
    pub(crate) claim: Claim,
}

impl Quarantine {
    pub(crate) fn add(&mut self, key_bytes: usize, value: ValueRef, until: Until) {
        self.claim = self.claim + Claim::of(key_bytes, value.value_bytes() as usize);
        match until {
            Until::Checkpoint(seq) => {
                let last = self.freed.back().map_or(0, |freed| freed.0);
                assert!(last <= seq, "E3: what entry {seq} freed waits for a checkpoint, behind {last}");
                self.freed.push_back((seq, key_bytes, value));
            }
            Until::Durable(lsn) => self.truncated.push_back((lsn, key_bytes, value)),
        }
    }

    /// The next value that need not wait any more, now that this is durable.
    pub(crate) fn next(&mut self, durable: Until) -> Option<(usize, ValueRef)> {
        let next = match durable {
            Until::Checkpoint(seq) if self.freed.front()?.0 <= seq => {
                self.freed.pop_front().map(|f| (f.1, f.2))
            }
            Until::Durable(lsn) if self.truncated.front()?.0 <= lsn => {
                self.truncated.pop_front().map(|t| (t.1, t.2))
            }
            _ => None,
        };
        let (key_bytes, value) = next?;
        self.claim = self.claim - Claim::of(key_bytes, value.value_bytes() as usize);
        Some((key_bytes, value))
    }
}
