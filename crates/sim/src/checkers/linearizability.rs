//! P2: reads and writes of a key are linearizable.
//!
//! The question: is there an order of the operations on a key, each between its call and its return, in which every
//! answer is the right one? The search is Wing and Gong's ("Testing and verifying concurrent objects", 1993) with
//! Lowe's memoisation ("Testing for linearizability", 2017): take any operation that no other one must precede, apply
//! it to a register, go on; a set of done operations with a register that was seen before leads nowhere new.
//!
//! - A write whose outcome is unknown may be placed anywhere after its call, or nowhere.
//! - What certainly had no effect is left out: if its value is read all the same, nothing explains that.
//! - Versions are the log's order, so on one key they must grow from write to write. The version of a write that is unknown,
//!   or was acknowledged without one, is learned from whoever saw it.

use std::collections::{BTreeMap, BTreeSet};

use dataplane::{Condition, Seq};

use crate::history::{Call, Operation, Told, ValueId};

/// States after which the search gives up: neither found nor refuted.
const STATES_MAX: usize = 100_000;

/// The register as of some point of the order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Register {
    value: Option<(ValueId, Option<Seq>)>,
    /// Every later version is greater.
    floor: Seq,
}

/// Can a condition hold, and can it fail?
fn may(condition: Condition, register: &Register) -> (bool, bool) {
    let sure = |holds: bool| (holds, !holds);
    match (condition, register.value) {
        (Condition::Always, _) => sure(true),
        (Condition::Absent, value) => sure(value.is_none()),
        (Condition::Present, value) => sure(value.is_some()),
        (Condition::Version(_), None) => sure(false),
        (Condition::Version(wanted), Some((_, Some(version)))) => sure(wanted == version),
        (Condition::Version(_), Some((_, None))) => (true, true),
    }
}

impl Register {
    fn store(self, value: ValueId, version: Option<Seq>) -> Option<Register> {
        match version {
            Some(version) if version <= self.floor => None,
            Some(version) => Some(Register { value: Some((value, Some(version))), floor: version }),
            None => Some(Register { value: Some((value, None)), ..self }),
        }
    }

    /// The register, if its version is `version`; one that was not known is known from now on.
    fn at_version(self, version: Seq) -> Option<Register> {
        match self.value? {
            (_, Some(known)) => (known == version).then_some(self),
            (value, None) => self.store(value, Some(version)),
        }
    }

    /// The register after an operation, if its answer fits.
    fn after(self, op: &Operation, versions: &BTreeMap<ValueId, Seq>) -> Option<Register> {
        let told = op.returned.map_or(Told::Unknown, |(_, told)| told);
        match (op.call, told) {
            (Call::Put(value, c), Told::Written(version)) if may(c, &self).0 => {
                self.store(value, Some(version))
            }
            (Call::Put(value, c), Told::Unknown | Told::Stored) if may(c, &self).0 => {
                self.store(value, versions.get(&value).copied())
            }
            (Call::Delete(c), Told::Deleted(existed))
                if may(c, &self).0 && existed == self.value.is_some() =>
            {
                Some(Register { value: None, ..self })
            }
            (Call::Delete(c), Told::Unknown) if may(c, &self).0 => Some(Register { value: None, ..self }),
            (Call::Put(_, c) | Call::Delete(c), Told::ConditionFailed(current)) if may(c, &self).1 => {
                match current {
                    None => self.value.is_none().then_some(self),
                    Some(version) => self.at_version(version),
                }
            }
            (Call::Put(_, c) | Call::Delete(c), Told::Refused) => may(c, &self).1.then_some(self),
            (Call::Get, Told::Value(version, value)) if self.value.is_some_and(|v| v.0 == value) => {
                self.at_version(version)
            }
            (Call::Get, Told::Version(version)) => self.at_version(version),
            (Call::Get, Told::Missing) => self.value.is_none().then_some(self),
            _ => None,
        }
    }
}

/// What a search came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is such an order.
    Linearizable,
    /// There is none; this operation is the first that could not be placed in the longest order found.
    Violated(Box<Operation>),
    /// The search was given up.
    Undecided,
}

struct Search<'a> {
    ops: Vec<&'a Operation>,
    versions: BTreeMap<ValueId, Seq>,
    done: Vec<bool>,
    seen: BTreeSet<(Vec<u64>, Register)>,
    deepest: (usize, Option<usize>),
}

/// Judges the operations on one key.
pub fn check(history: &[Operation], key: u32) -> Verdict {
    let of_key = history.iter().filter(|op| op.key == key);
    let mut versions = BTreeMap::new();
    let mut ops: Vec<&Operation> = Vec::new();
    for op in of_key {
        match (op.call, op.returned) {
            (_, Some((_, Told::Nothing))) => continue,
            (Call::Get, None | Some((_, Told::Unknown))) => continue,
            (Call::Get, Some((_, Told::Value(version, value)))) => {
                versions.insert(value, version);
            }
            _ => {}
        }
        ops.push(op);
    }
    ops.sort_by_key(|op| op.called);
    let done = vec![false; ops.len()];
    let mut search = Search { ops, versions, done, seen: BTreeSet::new(), deepest: (0, None) };
    match search.go(Register::default(), 0) {
        Some(true) => Verdict::Linearizable,
        None => Verdict::Undecided,
        Some(false) => {
            let stuck = search.deepest.1.map(|at| *search.ops[at]);
            stuck.map_or(Verdict::Undecided, |op| Verdict::Violated(Box::new(op)))
        }
    }
}

impl Search<'_> {
    /// When an operation must have taken effect; never, if its outcome is unknown.
    fn bound(&self, at: usize) -> u64 {
        match self.ops[at].returned {
            None | Some((_, Told::Unknown)) => u64::MAX,
            Some((moment, _)) => moment,
        }
    }

    fn go(&mut self, register: Register, depth: usize) -> Option<bool> {
        let open: Vec<usize> = (0..self.ops.len()).filter(|at| !self.done[*at]).collect();
        let Some(first) = open.iter().copied().min_by_key(|at| self.bound(*at)) else { return Some(true) };
        let limit = self.bound(first);
        if limit == u64::MAX {
            return Some(true);
        }
        if self.deepest.1.is_none() || depth > self.deepest.0 {
            self.deepest = (depth, Some(first));
        }
        if !self.seen.insert((self.bits(), register)) {
            return Some(false);
        }
        if self.seen.len() > STATES_MAX {
            return None;
        }
        // What has an answer first: an unknown write is only placed where it is needed.
        let candidates = open.into_iter().filter(|at| self.ops[*at].called < limit);
        let (mut known, unknown): (Vec<usize>, Vec<usize>) =
            candidates.partition(|at| self.bound(*at) < u64::MAX);
        known.sort_by_key(|at| self.bound(*at));
        for at in known.into_iter().chain(unknown) {
            let Some(next) = register.after(self.ops[at], &self.versions) else { continue };
            self.done[at] = true;
            let found = self.go(next, depth + 1);
            self.done[at] = false;
            if found != Some(false) {
                return found;
            }
        }
        Some(false)
    }

    fn bits(&self) -> Vec<u64> {
        let word = |bits: &[bool]| bits.iter().rev().fold(0, |word, bit| word << 1 | u64::from(*bit));
        self.done.chunks(64).map(word).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(client: u32, call: Call, called: u64, returned: Option<(u64, Told)>) -> Operation {
        Operation { client, key: 1, call, called, returned, at: 0 }
    }

    fn put(value: ValueId, called: u64, returned: u64, version: Seq) -> Operation {
        op(1, Call::Put(value, Condition::Always), called, Some((returned, Told::Written(version))))
    }

    fn get(called: u64, returned: u64, told: Told) -> Operation {
        op(2, Call::Get, called, Some((returned, told)))
    }

    fn lost(value: ValueId, called: u64) -> Operation {
        op(3, Call::Put(value, Condition::Always), called, Some((called + 1, Told::Unknown)))
    }

    fn holds(history: &[Operation]) -> bool {
        check(history, 1) == Verdict::Linearizable
    }

    #[test]
    fn a_read_during_a_write_may_see_either_side_of_it() {
        assert!(holds(&[put(1, 0, 10, 5), get(2, 4, Told::Missing)]));
        assert!(holds(&[put(1, 0, 10, 5), get(2, 4, Told::Value(5, 1))]));
    }

    #[test]
    fn a_read_after_a_write_that_misses_it_is_stale() {
        let stale = get(4, 5, Told::Value(5, 1));
        let history = [put(1, 0, 1, 5), put(2, 2, 3, 6), stale];
        assert_eq!(check(&history, 1), Verdict::Violated(Box::new(stale)));
        assert!(!holds(&[put(1, 0, 1, 5), get(2, 3, Told::Missing)]));
    }

    #[test]
    fn an_answer_without_a_version_binds_all_the_same() {
        let stored = |value, called| {
            op(1, Call::Put(value, Condition::Always), called, Some((called + 1, Told::Stored)))
        };
        let absent = |called, told| op(3, Call::Put(9, Condition::Absent), called, Some((called + 1, told)));
        assert!(holds(&[stored(1, 0), stored(2, 2), get(4, 5, Told::Value(6, 2))]));
        assert!(!holds(&[stored(1, 0), stored(2, 2), get(4, 5, Told::Value(5, 1))]), "a stale read");
        assert!(!holds(&[stored(1, 0), get(2, 3, Told::Missing)]), "a write that is lost");
        // Versions that were read later say which write came first.
        let (one, two) = (get(4, 5, Told::Value(6, 2)), get(6, 7, Told::Value(5, 1)));
        assert!(!holds(&[stored(1, 0), stored(2, 2), one, two]));
        assert!(holds(&[stored(1, 0), absent(2, Told::Refused)]));
        assert!(!holds(&[absent(2, Told::Refused)]), "there was nothing to refuse for");
        assert!(!holds(&[stored(1, 0), absent(2, Told::Stored)]), "there was something");
    }

    #[test]
    fn once_read_a_value_is_not_unread() {
        let write = op(1, Call::Put(1, Condition::Always), 0, None);
        assert!(holds(&[write, get(1, 2, Told::Missing), get(3, 4, Told::Value(9, 1))]));
        assert!(!holds(&[write, get(1, 2, Told::Value(9, 1)), get(3, 4, Told::Missing)]));
    }

    #[test]
    fn an_unknown_write_may_take_effect_late_or_never_but_not_twice() {
        assert!(holds(&[lost(1, 0), put(2, 5, 6, 7), get(8, 9, Told::Value(9, 1))]));
        assert!(holds(&[lost(1, 0), put(2, 5, 6, 7), get(8, 9, Told::Value(7, 2))]));
        let between = get(12, 13, Told::Value(11, 3));
        let twice = [lost(1, 0), get(8, 9, Told::Value(7, 1)), put(3, 10, 11, 11), between];
        assert!(holds(&twice));
        let back = get(14, 15, Told::Value(12, 1));
        assert!(!holds(&[twice[0], twice[1], twice[2], twice[3], back]));
    }

    #[test]
    fn what_certainly_had_no_effect_is_never_seen() {
        let refused = op(1, Call::Put(1, Condition::Always), 0, Some((1, Told::Nothing)));
        assert!(holds(&[refused, get(2, 3, Told::Missing)]));
        assert!(!holds(&[refused, get(2, 3, Told::Value(4, 1))]));
    }

    #[test]
    fn versions_grow_in_the_order_of_effects() {
        assert!(!holds(&[put(1, 0, 1, 9), put(2, 2, 3, 8)]));
        assert!(!holds(&[put(1, 0, 1, 9), get(2, 3, Told::Value(8, 1))]));
    }

    #[test]
    fn conditions_are_decided_where_the_write_takes_effect() {
        let create = |at: u64, told| op(1, Call::Put(at, Condition::Absent), at, Some((at + 5, told)));
        assert!(holds(&[create(0, Told::Written(3)), create(1, Told::ConditionFailed(Some(3)))]));
        assert!(
            !holds(&[create(0, Told::Written(3)), create(1, Told::Written(4))]),
            "two creators, both successful"
        );
        let swap =
            |at: u64, of: Seq, told| op(1, Call::Put(at, Condition::Version(of)), at, Some((at + 1, told)));
        assert!(
            holds(&[lost(1, 0), swap(5, 4, Told::Written(6))]),
            "the unknown write may have had version 4"
        );
        assert!(!holds(&[put(1, 0, 1, 3), swap(5, 4, Told::Written(6))]));
        assert!(!holds(&[put(1, 0, 1, 3), swap(5, 3, Told::Written(6)), swap(8, 3, Told::Written(9))]));
    }

    #[test]
    fn a_delete_says_whether_there_was_something() {
        let delete =
            |at, existed| op(1, Call::Delete(Condition::Always), at, Some((at + 1, Told::Deleted(existed))));
        assert!(holds(&[put(1, 0, 1, 3), delete(2, true), delete(4, false), get(6, 7, Told::Missing)]));
        assert!(!holds(&[put(1, 0, 1, 3), delete(2, true), delete(4, true)]));
    }
}
