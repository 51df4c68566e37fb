//! The shape of the log: which epoch wrote which entries.
//!
//! The rules never need an entry's content, only its epoch, and epochs change rarely. So the log is kept here as runs,
//! and the entries themselves stay with the engine.

use crate::types::{Epoch, Seq, Tail};

/// Epochs of the entries after `base`, as runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogShape {
    /// The entry that the checkpoint ends with. It and those before are committed and no longer in the log.
    base: Tail,
    /// First seq and epoch of each run after `base`; seqs and epochs both grow strictly.
    runs: Vec<(Seq, Epoch)>,
    last: Seq,
}

impl LogShape {
    /// A log that is empty after `base`.
    pub fn new(base: Tail) -> LogShape {
        LogShape { base, runs: Vec::new(), last: base.seq }
    }

    /// What holds of every shape.
    pub fn check(&self) {
        assert!(self.last >= self.base.seq, "D7: the log ends before its checkpoint");
        let mut before = (self.base.seq, self.base.epoch);
        for run in &self.runs {
            assert!(run.0 > before.0, "D1: a run of entries begins before the one before it");
            assert!(run.1 > before.1, "D8: epochs in a log never go back");
            before = *run;
        }
        assert!(before.0 <= self.last, "D1: a run of entries begins after the end of the log");
    }

    /// Where the log ends.
    pub fn tail(&self) -> Tail {
        Tail { epoch: self.runs.last().map_or(self.base.epoch, |run| run.1), seq: self.last }
    }

    /// The last entry that is only in the checkpoint.
    pub fn base(&self) -> Seq {
        self.base.seq
    }

    /// The epoch of entry `seq`; `None` if it is before `base` (unknown, and committed) or after the end.
    pub fn epoch_at(&self, seq: Seq) -> Option<Epoch> {
        if seq > self.last || seq < self.base.seq {
            return None;
        }
        Some(self.runs.iter().rev().find(|run| run.0 <= seq).map_or(self.base.epoch, |run| run.1))
    }

    /// The first entry of the run that holds `seq`.
    pub fn run_start(&self, seq: Seq) -> Seq {
        self.runs.iter().rev().find(|run| run.0 <= seq).map_or(self.base.seq, |run| run.0)
    }

    /// Adds the next entry.
    pub fn append(&mut self, epoch: Epoch) -> Seq {
        let tail = self.tail();
        assert!(epoch >= tail.epoch, "D8: epochs in a log never go back ({epoch:?} after {tail:?})");
        self.last += 1;
        if epoch > tail.epoch {
            self.runs.push((self.last, epoch));
        }
        self.last
    }

    /// Removes the entries from `from` on.
    pub fn truncate(&mut self, from: Seq) {
        assert!(from > self.base.seq, "D7: a checkpointed entry is never truncated");
        self.last = self.last.min(from - 1);
        self.runs.retain(|run| run.0 <= self.last);
    }

    /// Forgets the entries up to `seq`: a checkpoint holds them now.
    pub fn compact(&mut self, seq: Seq) {
        let Some(epoch) = self.epoch_at(seq) else { return };
        self.base = Tail { epoch, seq };
        self.runs.retain(|run| run.1 > epoch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_of_a_log_that_grew_was_cut_and_was_checkpointed() {
        let mut log = LogShape::new(Tail::default());
        for epoch in [1, 1, 2, 2, 5] {
            log.append(Epoch(epoch));
        }
        assert_eq!(log.tail(), Tail { epoch: Epoch(5), seq: 5 });
        assert_eq!(log.epoch_at(2), Some(Epoch(1)));
        assert_eq!(log.run_start(4), 3);
        log.truncate(5);
        assert_eq!(log.tail(), Tail { epoch: Epoch(2), seq: 4 });
        log.compact(3);
        assert_eq!(
            (log.epoch_at(2), log.epoch_at(3), log.epoch_at(4)),
            (None, Some(Epoch(2)), Some(Epoch(2)))
        );
        log.append(Epoch(6));
        assert_eq!(log.epoch_at(5), Some(Epoch(6)));
        log.compact(4);
        assert_eq!((log.run_start(4), log.run_start(5)), (4, 5), "what is in the checkpoint is no run");
    }
}
