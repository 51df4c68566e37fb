//! Each request takes effect once.
//!
//! The problem: a gateway that hears nothing must send a request again, perhaps to another primary, and the first
//! attempt may have been committed. The idea: a request keeps one identity (session, number) over all attempts, and
//! every replica keeps a table of results, filled **in log order as entries are applied**. So the table is the same on
//! every replica at the same seq, survives failover without a message, and travels in checkpoints and transfers.
//!
//! The table is bounded twice, by rules of the log alone: at most [`Limits::sessions`] sessions (the one whose last entry
//! is the oldest goes first) and [`Limits::window`] numbers in each. Whoever falls out is told so, never guessed about.

use std::collections::{BTreeMap, VecDeque};

use trace::Mechanisms;

use crate::guard;
use crate::members::Rows;
use crate::types::*;
use crate::wire::{self, Code, WireError};

/// No session comes to so many requests: a greater number is not one of ours.
const NUMBER_MAX: u64 = 1 << 62;

/// What is known of an entry's request when its turn comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has not taken effect yet: apply it.
    Fresh,
    /// It took effect before, and this came of it.
    Repeated(Outcome),
    /// Its session is not in the table, or its number has left the window.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Session {
    gateway: GatewayId,
    last_used: Seq,
    results: Results,
}

/// What came of the last numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
struct Results {
    /// The number of the first outcome.
    first: u64,
    /// `None` for a number that has not been seen.
    outcomes: VecDeque<Option<Outcome>>,
}

impl Results {
    fn get(&self, number: u64) -> Option<Outcome> {
        *self.outcomes.get(usize::try_from(number.checked_sub(self.first)?).ok()?)?
    }

    fn insert(&mut self, number: u64, outcome: Outcome, window: u64) {
        if number > NUMBER_MAX {
            return;
        }
        self.forget_before((number + 1).saturating_sub(window));
        let Some(at) = number.checked_sub(self.first) else { return };
        if at >= self.outcomes.len() as u64 {
            self.outcomes.resize(at as usize + 1, None);
        }
        self.outcomes[at as usize] = Some(outcome);
    }

    fn forget_before(&mut self, first: u64) {
        let left = first.saturating_sub(self.first).min(self.outcomes.len() as u64);
        self.outcomes.drain(..left as usize);
        self.first = self.first.max(first);
    }

    fn iter(&self) -> impl Iterator<Item = (u64, Outcome)> {
        (self.first..).zip(&self.outcomes).filter_map(|(number, outcome)| Some((number, (*outcome)?)))
    }
}

/// The table, as of one seq.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Sessions {
    limits: Limits,
    table: BTreeMap<Seq, Session>,
}

impl Sessions {
    /// The same table on a replica with these limits.
    pub(crate) fn within(mut self, limits: Limits) -> Sessions {
        self.limits = limits;
        for Session { results, .. } in self.table.values_mut() {
            let next = results.first + results.outcomes.len() as u64;
            results.forget_before(next.saturating_sub(limits.window));
        }
        self
    }

    /// Is not more remembered than these limits allow?
    pub(crate) fn are_within(&self, limits: Limits) -> bool {
        self.limits == limits && self.table.len() <= limits.sessions
    }

    /// Entry `seq` opens a session for `gateway`; its seq is the session's id.
    pub fn open(&mut self, seq: Seq, gateway: GatewayId) {
        if self.table.len() >= self.limits.sessions {
            let oldest = self.table.iter().min_by_key(|(_, session)| session.last_used).map(|(id, _)| *id);
            oldest.map(|id| self.table.remove(&id));
        }
        self.table.insert(seq, Session { gateway, last_used: seq, results: Results::default() });
    }

    /// The gateway that opened `session`.
    pub fn gateway(&self, session: Seq) -> Option<GatewayId> {
        self.table.get(&session).map(|session| session.gateway)
    }

    /// What is known of `request`.
    pub fn verdict(&self, on: Mechanisms, request: RequestId) -> Verdict {
        let Some(session) = self.table.get(&request.session) else { return Verdict::Unknown };
        match session.results.get(request.number) {
            Some(outcome) if guard::request_dedup(on, true) => Verdict::Repeated(outcome),
            None if !(session.results.first..=NUMBER_MAX).contains(&request.number) => Verdict::Unknown,
            _ => Verdict::Fresh,
        }
    }

    /// The seq from which on nothing is forgotten of this request's session. One that was evicted was used before all that
    /// are left; of one that is there, the numbers that left its window may have been used a moment ago.
    pub fn remembered_from(&self, request: RequestId) -> Seq {
        let evicted = !self.table.contains_key(&request.session);
        let oldest = self.table.values().map(|session| session.last_used).min();
        oldest.filter(|_| evicted).unwrap_or(Seq::MAX)
    }

    /// Entry `seq` carried `request`, and `outcome` came of it.
    pub fn record(&mut self, request: RequestId, outcome: Outcome, seq: Seq) {
        let Some(session) = self.table.get_mut(&request.session) else { return };
        session.last_used = seq;
        session.results.insert(request.number, outcome, self.limits.window);
    }
}

impl Code for Sessions {
    fn put(&self, out: &mut Vec<u8>) {
        (self.table.len() as u32).put(out);
        for (id, session) in &self.table {
            (*id, session.gateway, session.last_used).put(out);
            session.results.iter().collect::<Vec<_>>().put(out);
        }
    }
    fn get(bytes: &mut &[u8]) -> Result<Self, WireError> {
        let (limits, mut table) = (Limits::default(), BTreeMap::new());
        let sessions = u32::get(bytes)?;
        if sessions as usize > limits.sessions {
            return Err(WireError::Length);
        }
        for _ in 0..sessions {
            let (id, gateway, last_used) = Code::get(bytes)?;
            let mut results = Results::default();
            for (number, outcome) in Vec::<(u64, Outcome)>::get(bytes)? {
                results.insert(number, outcome, limits.window);
            }
            table.insert(id, Session { gateway, last_used, results });
        }
        Ok(Sessions { limits, table })
    }
}

/// What the rules keep in a checkpoint, beside the keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct HostState {
    pub last_epoch: Epoch,
    pub sessions: Sessions,
    pub members: Rows,
}

wire::code_struct! {
    HostState { last_epoch, sessions, members }
}

impl HostState {
    /// No bytes: the state before the first checkpoint.
    pub fn decode(bytes: &[u8], limits: Limits) -> Result<HostState, WireError> {
        let state =
            if bytes.is_empty() { HostState::default() } else { wire::decode_all::<HostState>(bytes)? };
        Ok(HostState { sessions: state.sessions.within(limits), ..state })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: u64 = 1024;
    const ON: Mechanisms = Mechanisms::all();

    fn request(session: Seq, number: u64) -> RequestId {
        RequestId { session, number }
    }

    #[test]
    fn numbers_may_arrive_out_of_order_and_each_takes_effect_once() {
        let mut sessions = Sessions::default();
        sessions.open(3, GatewayId { gateway: 1, life: 1 });
        for number in [2, 1, 4] {
            assert_eq!(sessions.verdict(ON, request(3, number)), Verdict::Fresh);
            sessions.record(request(3, number), Outcome::Written(number + 10), number + 10);
        }
        assert_eq!(sessions.verdict(ON, request(3, 1)), Verdict::Repeated(Outcome::Written(11)));
        assert_eq!(sessions.verdict(ON, request(3, 3)), Verdict::Fresh);
    }

    #[test]
    fn a_number_that_left_the_window_is_not_guessed_about() {
        let mut sessions = Sessions::default();
        sessions.open(1, GatewayId { gateway: 1, life: 1 });
        sessions.record(request(1, 7), Outcome::Nothing, 2);
        sessions.record(request(1, 7 + WINDOW), Outcome::Nothing, 3);
        assert_eq!(sessions.verdict(ON, request(1, 7)), Verdict::Unknown);
        assert_eq!(sessions.verdict(ON, request(1, 6)), Verdict::Unknown);
        assert_eq!(sessions.verdict(ON, request(1, 8)), Verdict::Fresh);
    }

    #[test]
    fn a_number_far_ahead_takes_no_more_memory_and_one_beyond_all_is_not_known() {
        let mut sessions = Sessions::default();
        sessions.open(1, GatewayId { gateway: 1, life: 1 });
        for number in [1, NUMBER_MAX, NUMBER_MAX - 1, NUMBER_MAX + 1, u64::MAX] {
            sessions.record(request(1, number), Outcome::Written(number), 2);
        }
        assert!(sessions.table[&1].results.outcomes.len() as u64 <= WINDOW);
        let repeated = |number| Verdict::Repeated(Outcome::Written(number));
        assert_eq!(sessions.verdict(ON, request(1, NUMBER_MAX)), repeated(NUMBER_MAX));
        assert_eq!(sessions.verdict(ON, request(1, NUMBER_MAX - 1)), repeated(NUMBER_MAX - 1));
        for number in [1, NUMBER_MAX + 1, u64::MAX] {
            assert_eq!(sessions.verdict(ON, request(1, number)), Verdict::Unknown);
        }
        let bytes = crate::wire::encode_value(&sessions);
        assert_eq!(crate::wire::decode_all::<Sessions>(&bytes), Ok(sessions));
    }

    #[test]
    fn a_table_that_travelled_is_the_same_within_the_limits_of_its_cluster() {
        let limits = Limits { sessions: 2, window: 3 };
        let mut sessions = Sessions::default().within(limits);
        sessions.open(1, GatewayId { gateway: 1, life: 1 });
        for number in [1, 2, 5, 4] {
            sessions.record(request(1, number), Outcome::Written(number), number + 1);
        }
        assert_eq!(sessions.verdict(ON, request(1, 2)), Verdict::Unknown);
        assert_eq!(sessions.verdict(ON, request(1, 3)), Verdict::Fresh);
        let bytes = crate::wire::encode_value(&sessions);
        assert_eq!(
            crate::wire::decode_all::<Sessions>(&bytes).map(|s| s.within(limits)),
            Ok(sessions.clone())
        );
        sessions.open(9, GatewayId { gateway: 2, life: 1 });
        sessions.open(10, GatewayId { gateway: 3, life: 1 });
        assert_eq!(sessions.verdict(ON, request(1, 5)), Verdict::Unknown);
    }

    #[test]
    fn the_session_used_longest_ago_makes_room_and_learns_it() {
        let mut sessions = Sessions::default();
        for seq in 1..=sessions.limits.sessions as u64 {
            sessions.open(seq, GatewayId { gateway: seq as u32, life: 1 });
        }
        sessions.record(request(1, 1), Outcome::Nothing, 100);
        sessions.open(101, GatewayId { gateway: 99, life: 1 });
        assert_eq!(sessions.verdict(ON, request(2, 1)), Verdict::Unknown);
        assert_eq!(sessions.verdict(ON, request(1, 2)), Verdict::Fresh);
        // Session 2 was last used at 2: nothing that took effect from 3 on is forgotten of it.
        assert_eq!(sessions.remembered_from(request(2, 1)), 3);
        assert_eq!(
            sessions.remembered_from(request(1, 1)),
            Seq::MAX,
            "it is there: its numbers may have been used"
        );
        let bytes = crate::wire::encode_value(&sessions);
        assert_eq!(crate::wire::decode_all::<Sessions>(&bytes), Ok(sessions));
    }
}
