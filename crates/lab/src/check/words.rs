//! States, actions and messages, for a person.

use std::fmt;

use sim::schedule::Peer;

use super::action::Action;
use super::cluster::{Model, address};
use super::scope::Scope;
use super::world::World;
use crate::brief::brief;
use crate::cluster::language::Step;
use crate::cluster::stage::Stage;
use crate::cluster::wisher::Wished;

impl World {
    /// What `action` does here, for a person.
    pub fn describe(&self, scope: &Scope, action: Action) -> String {
        match action {
            Action::TakeOver(node) => format!("a gateway asks n{node} to take over"),
            Action::StandAndCrash(node, keep) => format!(
                "a gateway asks n{node} to take over; it asks for promises, crashes before its own is durable, and \
                 restarts with {keep} of its unsynced records"
            ),
            Action::Send(write, node) => format!("a gateway sends write {} to n{node}", write + 1),
            Action::Read(node) => format!("a gateway sends a read to n{node}"),
            Action::Deliver(at, keep) => {
                let (from, to, message) = &*self.network[at];
                let copy = if keep { ", and a copy of it stays on its way" } else { "" };
                format!("{from} → {to}: {}{copy}", brief(message))
            }
            Action::Lose(at) => {
                let (from, to, message) = &*self.network[at];
                format!("lost: {from} → {to}: {}", brief(message))
            }
            Action::Sync(node) => format!("n{node} syncs"),
            Action::Crash(node, keep) => {
                let unsynced = self.seats[node as usize - 1].disk.unsynced.len();
                format!("n{node} crashes and restarts; {keep} of its {unsynced} unsynced records survive")
            }
            Action::Rot(node, keep) => {
                format!("n{node} crashes; its log is damaged behind its first {keep} durable entries")
            }
            Action::Wipe(node) => format!("n{node} gets an empty disk and restarts"),
            Action::Tick => "all timers expire".into(),
            Action::Expire(node) => format!("the timers of n{node} expire, after {}", self.late(node)),
            Action::Ask(at, node) => format!("a client asks n{node} to {}", scope.changes[at]),
            Action::Wish(node, Wished::Stand(above)) => {
                format!("an extension has n{node} stand, above epoch {}", above.0)
            }
            Action::Wish(node, Wished::StepDown) => format!("an extension has n{node} leave the lead"),
        }
    }

    /// `action` as steps of a schedule, on a stage that stands where this world stands.
    pub(super) fn steps(&self, scope: &Scope, action: Action, stage: &mut Stage<Model>) -> Vec<Step> {
        let mut which = |at: usize| {
            let (from, to, message) = &*self.network[at];
            stage.naming(address(*from), address(*to), message).expect("the stage has every message")
        };
        let step = match action {
            Action::TakeOver(to) => Step::TakeOver { to, above: self.greatest_promise(scope).0 },
            Action::StandAndCrash(at, keep) => {
                Step::StandAndCrash { at, above: self.greatest_promise(scope).0, keep }
            }
            Action::Send(write, to) => Step::Write { number: u64::from(write) + 1, key: None, to },
            Action::Read(from) => Step::Read { key: None, from },
            Action::Deliver(at, false) => Step::Deliver(which(at)),
            Action::Deliver(at, true) => Step::Again(which(at)),
            Action::Lose(at) => Step::Lose(which(at)),
            Action::Sync(at) => Step::Sync(at),
            Action::Crash(at, keep) => Step::Crash { at, keep },
            Action::Rot(at, keep) => Step::Rot { at, keep },
            Action::Wipe(at) => Step::Wipe(at),
            Action::Tick => Step::Tick(None),
            Action::Expire(at) => Step::Tick(Some(Peer::Node(at))),
            Action::Ask(change, at) => Step::Change { change: scope.changes[change], at },
            Action::Wish(at, what) => Step::Wish { at, what },
        };
        // An expiry takes some time of its own.
        let late = if let Action::Expire(at) = action { self.late(at) - 1 } else { 0 };
        (late > 0).then_some(Step::Pass(late)).into_iter().chain([step]).collect()
    }

    /// Replicas as one line each, for a person.
    pub fn summary(&self) -> Vec<String> {
        self.seats
            .iter()
            .enumerate()
            .map(|(at, seat)| {
                let status = seat.replica.status(0);
                let (role, epoch, durable) = (status.role, status.promised, status.durable);
                let (commit, tail) = (status.committed, status.tail);
                let log: Vec<String> =
                    seat.disk.log.iter().map(|entry| format!("{}@{}", entry.seq, entry.epoch.0)).collect();
                format!(
                    "n{}: {role:?} in epoch {}, log [{}] (durable {durable}, committed {commit}, end {})",
                    at + 1,
                    epoch.0,
                    log.join(" "),
                    tail.seq
                )
            })
            .collect()
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.summary().iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
