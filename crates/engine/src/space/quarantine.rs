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

use super::allocator::Allocator;
use super::claim::Claim;
use crate::format::slot::Slot;
use crate::types::{Extent, Lsn, Seq};

/// The waiting extents.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quarantine {
    /// With the entry that freed it, ascending.
    freed: VecDeque<(Seq, Waiting)>,
    /// With the end of the truncation's record, ascending.
    truncated: VecDeque<(Lsn, Waiting)>,
    claim: Claim,
    units: u64,
}

/// The extent of a value, and the room that it and its key claim until it is free.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) extent: Extent,
    pub(crate) claim: Claim,
}

impl Waiting {
    /// The value in `slot`, which is that of `key`.
    pub(crate) fn new(key: &[u8], slot: Slot) -> Waiting {
        Waiting { extent: slot.extent(), claim: Claim::of_slot(key, &slot) }
    }
}

impl Quarantine {
    /// Units of all that waits, but for what being in pieces costs.
    pub(crate) fn units(&self) -> u64 {
        self.units
    }

    /// The room of all that waits.
    pub(crate) fn claim(&self) -> Claim {
        self.claim
    }

    pub(crate) fn freed_by(&mut self, seq: Seq, waiting: Waiting) {
        self.freed.push_back((seq, waiting));
        self.claim += waiting.claim;
        self.units += waiting.extent.units;
    }

    pub(crate) fn truncated_by(&mut self, end: Lsn, waiting: Waiting) {
        self.truncated.push_back((end, waiting));
        self.claim += waiting.claim;
        self.units += waiting.extent.units;
    }

    /// A checkpoint at `seq` is durable: gives back at most `limit` extents, and says how many.
    pub(crate) fn release_checkpointed(&mut self, seq: Seq, limit: usize, to: &mut Allocator) -> usize {
        let due = self.freed.iter().take(limit).take_while(|&&(by, _)| by <= seq).count();
        for (_, waiting) in self.freed.drain(..due) {
            self.claim -= waiting.claim;
            self.units -= waiting.extent.units;
            to.free_value(waiting.extent);
        }
        due
    }

    /// The log is durable up to `durable`.
    pub(crate) fn release_durable(&mut self, durable: Lsn, to: &mut Allocator) {
        while let Some(&(_, waiting)) = self.truncated.front().filter(|&&(end, _)| end <= durable) {
            self.truncated.pop_front();
            self.claim -= waiting.claim;
            self.units -= waiting.extent.units;
            to.free_value(waiting.extent);
        }
    }
}
