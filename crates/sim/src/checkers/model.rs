//! The state that the committed log gives, worked out a second time: plain maps, no device, no replicas.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dataplane::{Condition, Op, Origin, Outcome, RequestId, Seq};
use engine::Engine;

use crate::disk::Disk;

type Versions = Vec<(Seq, Option<Arc<[u8]>>)>;

/// Every state that the log went through.
#[derive(Default)]
pub(super) struct Model {
    /// Per key, what it became and by which entry, oldest first.
    keys: BTreeMap<Arc<[u8]>, Versions>,
    sessions: BTreeSet<Seq>,
    results: BTreeMap<RequestId, Outcome>,
}

impl Model {
    /// An entry that nobody ever sent: its primary counted alone. Its device has it.
    pub fn op_from_device(&self, engine: &Engine<Disk>, seq: Seq) -> Option<Op> {
        let entry = engine.entry(seq).ok()??;
        let condition = |c| match c {
            engine::Condition::Always => Condition::Always,
            engine::Condition::Absent => Condition::Absent,
            engine::Condition::Present => Condition::Present,
            engine::Condition::Version(seq) => Condition::Version(seq),
        };
        Some(match entry.op {
            engine::Op::Put { key, value, condition: c } => Op::Put { key, value, condition: condition(c) },
            engine::Op::Delete { key, condition: c } => Op::Delete { key, condition: condition(c) },
            engine::Op::Nop => Op::Nop,
        })
    }

    /// The next entry takes effect, unless its request did before.
    pub fn apply(&mut self, seq: Seq, origin: Origin, op: Option<Op>) {
        match origin {
            Origin::Marker => {}
            Origin::Session(_) => {
                self.sessions.insert(seq);
            }
            Origin::Request(request) => {
                let known = self.sessions.contains(&request.session);
                if known && !self.results.contains_key(&request) {
                    let outcome = op.map_or(Outcome::Nothing, |op| self.perform(seq, op));
                    self.results.insert(request, outcome);
                }
            }
        }
    }

    fn perform(&mut self, seq: Seq, op: Op) -> Outcome {
        let (key, condition, value) = match op {
            Op::Put { key, value, condition } => (key, condition, Some(value)),
            Op::Delete { key, condition } => (key, condition, None),
            Op::Nop => return Outcome::Nothing,
        };
        let versions = self.keys.entry(key).or_default();
        let current = versions.last().and_then(|(seq, value)| value.as_ref().map(|_| *seq));
        let holds = match condition {
            Condition::Always => true,
            Condition::Absent => current.is_none(),
            Condition::Present => current.is_some(),
            Condition::Version(version) => current == Some(version),
        };
        if !holds {
            return Outcome::ConditionFailed { current };
        }
        let outcome = match value {
            Some(_) => Outcome::Written(seq),
            None => Outcome::Deleted { existed: current.is_some() },
        };
        versions.push((seq, value));
        outcome
    }

    /// What came of a request.
    pub fn result(&self, request: RequestId) -> Option<Outcome> {
        self.results.get(&request).copied()
    }

    /// The state of `key` after entry `seq`, and the later ones up to entry `upto`.
    pub fn states(
        &self,
        key: &[u8],
        seq: Seq,
        upto: Seq,
    ) -> impl Iterator<Item = Option<(Seq, &Arc<[u8]>)>> + use<'_> {
        let versions: &[_] = self.keys.get(key).map_or(&[], |versions| versions);
        let at = versions.partition_point(|version| version.0 <= seq);
        let end = versions.partition_point(|version| version.0 <= upto);
        let first =
            if at == 0 { None } else { versions[at - 1].1.as_ref().map(|value| (versions[at - 1].0, value)) };
        std::iter::once(first)
            .chain(versions[at..end].iter().map(|(seq, value)| value.as_ref().map(|value| (*seq, value))))
    }

    /// Every key that was ever written.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<[u8]>> {
        self.keys.keys()
    }
}
