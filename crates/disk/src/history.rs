//! What a disk keeps in mind of its past, for damage that takes something of the past or must spare the last batch.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::sector::Content;
use crate::state::State;

/// The past of each sector.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// Syncs that covered a batch of the log.
    pub(crate) batches: u64,
    /// How many of those there were when each sector became durable.
    pub(crate) written: BTreeMap<usize, u64>,
    /// What each sector held before each sync that wrote it, oldest first; only kept if somebody wants it back.
    pub(crate) before: Option<BTreeMap<usize, Vec<Content>>>,
}

impl History {
    /// `state` is about to be synced; the log is in these sectors.
    pub(crate) fn sync(&mut self, state: &State, log: Range<usize>) {
        let sectors: BTreeSet<usize> = state.cached().iter().map(|c| c.sector).collect();
        self.batches += u64::from(sectors.range(log).next().is_some());
        for sector in sectors {
            self.written.insert(sector, self.batches);
            if let Some(before) = &mut self.before {
                before.entry(sector).or_default().push(state.durable()[sector].clone());
            }
        }
    }
}
