//! What an event does to the picture of its lane, as a few words that the page plays forth.
//!
//! | change | means |
//! |---|---|
//! | `["role", ROLE]` | `primary`, `candidate` or `backup` |
//! | `["epoch", E]`, `["stored", E, GENERATION]` | its epoch, and the promise in both superblocks |
//! | `["serving"]` | it answers clients, until its role changes |
//! | `["down", WHY]`, `["up", CHECKPOINT, LAST]` | it has ended; it has opened its device |
//! | `["proven", YES]` | may it vote? |
//! | `["append", SEQ, EPOCH]`, `["cut", SEQ]` | an entry; none from this one on |
//! | `["durable", SEQ]`, `["commit", SEQ]`, `["applied", SEQ]` | entries up to this one are |
//! | `["base", SEQ]` | its log begins behind this entry |
//! | `["knows", NODE, EPOCH]` | a gateway: who leads |
//!
//! A device says up to which byte of its log it is durable, so the first byte of each entry is remembered here.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};
use trace::{Event, Kind};

/// What is known of each lane that no single event tells.
#[derive(Default)]
pub struct Painter {
    /// Where the entries that are not durable yet begin in the log, by lane.
    written: HashMap<usize, BTreeMap<u64, u64>>,
}

impl Painter {
    /// What this event changes, if anything.
    pub fn changes(&mut self, lane: usize, event: &Event) -> Vec<Value> {
        let role = |role: &str| json!(["role", role]);
        match &event.kind {
            Kind::RecordWritten { seq, lsn, .. } => {
                self.written.entry(lane).or_default().insert(*seq, *lsn);
                Vec::new()
            }
            Kind::DeviceSynced { durable, .. } => self.synced(lane, *durable).into_iter().collect(),
            Kind::LogTruncated { from, .. } => {
                self.written.entry(lane).or_default().split_off(from);
                vec![json!(["cut", from])]
            }
            Kind::DeviceOpened { checkpoint, last, .. } => {
                self.written.remove(&lane);
                vec![json!(["up", checkpoint, last])]
            }
            Kind::Crashed { what } => vec![json!(["down", what])],
            Kind::DevicePoisoned { why } => vec![json!(["down", format!("stopped: {why}")])],
            Kind::Restarted {} => vec![json!(["up", null, null])],
            Kind::EntryAppended { epoch, seq, .. } => vec![json!(["append", seq, epoch])],
            Kind::CommitAdvanced { to, .. } => vec![json!(["commit", to])],
            Kind::EntryApplied { seq, .. } => vec![json!(["applied", seq])],
            Kind::TakeoverStarted { epoch, .. } => vec![role("candidate"), json!(["epoch", epoch])],
            Kind::PrimaryElected { epoch, .. } => vec![role("primary"), json!(["epoch", epoch])],
            Kind::PrimaryServing { .. } => vec![json!(["serving"])],
            Kind::SteppedDown { .. } | Kind::TakeoverAbandoned { .. } => vec![role("backup")],
            Kind::EpochAdopted { epoch, .. } | Kind::PromiseGranted { epoch, .. } => {
                vec![role("backup"), json!(["epoch", epoch])]
            }
            Kind::PromiseStored { epoch, generation, .. } => vec![json!(["stored", epoch, generation])],
            Kind::TransferStarted { .. } | Kind::VoteLost { .. } | Kind::VoteWithheld { .. } => {
                vec![json!(["proven", false])]
            }
            Kind::TransferFinished { epoch, .. } => vec![json!(["proven", true]), json!(["epoch", epoch])],
            Kind::StateInstalled { seq, epoch, .. } => vec![json!(["base", seq]), json!(["epoch", epoch])],
            Kind::DamageGivenUp { last, .. } => vec![json!(["cut", last.saturating_add(1)])],
            Kind::StateGivenUp { .. } => vec![json!(["cut", 0])],
            Kind::PrimaryLearned { node, epoch, .. } => vec![json!(["knows", format!("n{node}"), epoch])],
            _ => Vec::new(),
        }
    }

    fn synced(&mut self, lane: usize, durable: u64) -> Option<Value> {
        let written = self.written.entry(lane).or_default();
        let last = written.iter().filter(|(_, lsn)| **lsn < durable).map(|(seq, _)| *seq).max()?;
        *written = written.split_off(&last.saturating_add(1));
        Some(json!(["durable", last]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trace::{Actor, EventId, Source};

    fn changes(painter: &mut Painter, kind: Kind) -> Vec<Value> {
        let id = EventId { actor: Actor::Node { node: 1, shard: 0 }, life: 1, n: 0 };
        let source = Source { file: "f".into(), symbol: "s".into() };
        painter.changes(0, &Event { id, parents: Vec::new(), logical: 0, wall: None, kind, source })
    }

    fn written(seq: u64, lsn: u64) -> Kind {
        Kind::RecordWritten { seq, lsn, extent: 0, bytes: 1 }
    }

    fn synced(durable: u64) -> Kind {
        Kind::DeviceSynced { batch: 1, durable_before: 0, durable, writes: 1, bytes: 1, micros: 0 }
    }

    #[test]
    fn entries_are_durable_whose_records_a_sync_has_reached_and_none_that_was_truncated() {
        let mut painter = Painter::default();
        for (seq, lsn) in [(1, 0), (2, 512), (3, 1024)] {
            assert!(changes(&mut painter, written(seq, lsn)).is_empty());
        }
        assert_eq!(changes(&mut painter, synced(1024)), [json!(["durable", 2])]);
        assert!(changes(&mut painter, synced(1024)).is_empty(), "nothing new is durable");
        let cut = Kind::LogTruncated { from: 3, last_before: 3, last: 2 };
        assert_eq!(changes(&mut painter, cut), [json!(["cut", 3])]);
        assert!(changes(&mut painter, synced(4096)).is_empty(), "entry 3 is no more");
        changes(&mut painter, written(3, 2048));
        assert_eq!(changes(&mut painter, synced(4096)), [json!(["durable", 3])]);
    }
}
