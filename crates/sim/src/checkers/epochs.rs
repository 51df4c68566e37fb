//! D2, D4: an epoch has at most one primary, and that one has everything that was committed before it.

use std::collections::BTreeMap;

use dataplane::{Epoch, NodeId, RoleName, Seq};

use super::log::Log;
use super::sight::{Finding, Sight, broken};

/// Who led when.
pub(super) struct Epochs {
    primaries: BTreeMap<Epoch, NodeId>,
    /// Per replica: the epoch it leads, and how much of the log it was compared with.
    leads: Vec<Option<(Epoch, Seq)>>,
}

impl Epochs {
    pub fn new(seats: usize) -> Epochs {
        Epochs { primaries: BTreeMap::new(), leads: vec![None; seats] }
    }

    pub fn opened(&mut self, seat: usize) {
        self.leads[seat] = None;
    }

    pub fn observe(&mut self, sight: &Sight, log: &Log) -> Finding {
        if sight.role != RoleName::Primary {
            self.leads[sight.seat] = None;
            return Ok(());
        }
        let epoch = sight.promised;
        let first = *self.primaries.entry(epoch).or_insert(sight.node);
        if first != sight.node {
            return broken(
                "epochs",
                "D2",
                1,
                format!("{first} and {} are both primary of epoch {}", sight.node, epoch.0),
            );
        }
        let compared = match self.leads[sight.seat] {
            Some((leads, compared)) if leads == epoch => compared,
            _ => 0,
        };
        self.leads[sight.seat] = Some((epoch, log.len()));
        // What a later epoch committed, a primary of the past need not have; it will learn that it is one.
        for (seq, known, committed_in) in log.committed().rev().take((log.len() - compared) as usize) {
            if seq <= sight.engine.checkpoint_seq() {
                break;
            }
            if committed_in < epoch && log.stamp_at(sight, seq) != Some(known) {
                return broken(
                    "epochs",
                    "D4",
                    1,
                    format!(
                        "{} leads epoch {} without entry {seq}, which was committed in epoch {}",
                        sight.node, epoch.0, committed_in.0
                    ),
                );
            }
        }
        Ok(())
    }
}
