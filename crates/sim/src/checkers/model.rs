//! The state that the committed log gives, worked out a second time: plain maps, no device, no replicas.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane::sessions::Verdict;
use dataplane::{Condition, Limits, Op, Origin, Outcome, RequestId, Seq};
use disk::Disk;
use engine::Engine;

type Versions = Vec<(Seq, Option<Arc<[u8]>>)>;

/// What is remembered of one session.
#[derive(Default)]
struct Session {
    /// Its last entry of which something came.
    used: Seq,
    /// The greatest number of which something came.
    highest: u64,
    outcomes: BTreeMap<u64, Outcome>,
}

/// Every state that the log went through.
pub(super) struct Model {
    /// The last entry that took effect.
    pub applied: Seq,
    limits: Limits,
    /// Per key, what it became and by which entry, oldest first.
    keys: BTreeMap<Arc<[u8]>, Versions>,
    sessions: BTreeMap<Seq, Session>,
    /// What came of every request, remembered or not.
    results: BTreeMap<RequestId, Outcome>,
    /// How often the limits made themselves felt.
    pub felt: BTreeMap<&'static str, u64>,
}

impl Model {
    pub fn new(limits: Limits) -> Model {
        let (keys, sessions, results, felt) = Default::default();
        Model { applied: 0, limits, keys, sessions, results, felt }
    }

    fn feel(&mut self, what: &'static str) {
        *self.felt.entry(what).or_default() += 1;
    }

    /// What is known of a request as of the last entry: the limits say which are forgotten.
    pub fn verdict(&self, RequestId { session, number }: RequestId) -> Verdict {
        let Some(session) = self.sessions.get(&session) else { return Verdict::Unknown };
        match session.outcomes.get(&number) {
            _ if number.saturating_add(self.limits.window) <= session.highest => Verdict::Unknown,
            Some(outcome) => Verdict::Repeated(*outcome),
            None => Verdict::Fresh,
        }
    }

    /// An entry that nobody ever sent: its primary counted alone. Its device has it.
    pub fn op_from_device(&self, engine: &Engine<Disk>, seq: Seq) -> Option<Op> {
        Some(engine.entry(seq).ok()??.op)
    }

    /// The next entry takes effect, unless its request did before.
    pub fn apply(&mut self, seq: Seq, origin: Origin, op: Option<Op>) {
        self.applied = seq;
        match origin {
            Origin::Marker | Origin::Change(_) => {}
            Origin::Session(_) => self.open(seq),
            Origin::Request(request) => {
                let outcome = match self.verdict(request) {
                    Verdict::Unknown => return self.feel("session unknown"),
                    Verdict::Repeated(outcome) => outcome,
                    Verdict::Fresh => {
                        let outcome = op.map_or(Outcome::Nothing, |op| self.perform(seq, op));
                        self.results.insert(request, outcome);
                        outcome
                    }
                };
                self.remember(seq, request, outcome);
            }
        }
    }

    /// A session; if there are too many, the one whose last entry is the oldest goes.
    fn open(&mut self, seq: Seq) {
        if self.sessions.len() >= self.limits.sessions {
            let oldest = self.sessions.iter().min_by_key(|(_, session)| session.used).map(|(id, _)| *id);
            oldest.map(|id| self.sessions.remove(&id));
            self.feel("session evicted");
        }
        self.sessions.insert(seq, Session { used: seq, ..Session::default() });
    }

    fn remember(&mut self, seq: Seq, request: RequestId, outcome: Outcome) {
        let Some(session) = self.sessions.get_mut(&request.session) else { return };
        session.used = seq;
        session.highest = session.highest.max(request.number);
        session.outcomes.insert(request.number, outcome);
        let before = session.outcomes.len();
        let first = (session.highest + 1).saturating_sub(self.limits.window);
        session.outcomes = session.outcomes.split_off(&first);
        if session.outcomes.len() < before {
            self.feel("number left the window");
        }
    }

    fn perform(&mut self, seq: Seq, op: Op) -> Outcome {
        let (key, condition, value) = match op {
            Op::Put { key, value, condition } => (key, condition, Some(value)),
            Op::Delete { key, condition } => (key, condition, None),
            // A request whose value had no room.
            Op::Nop => return Outcome::NoRoom,
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

    /// Every request of which something came.
    pub fn requests(&self) -> impl Iterator<Item = RequestId> {
        self.results.keys().copied()
    }

    /// Every key that was ever written.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<[u8]>> {
        self.keys.keys()
    }
}
