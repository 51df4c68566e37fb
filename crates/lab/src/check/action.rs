//! Everything that can happen next in a state, and the state behind it.

use std::sync::Arc;

use dataplane::{Change, Condition, Epoch, Message, Micros, Op, Query, RequestId, RoleName};

use super::scope::Scope;
use super::world::World;
use crate::cluster::wisher::Wished;

/// One thing that can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A gateway asks a node to take over.
    TakeOver(u32),
    /// A gateway asks a node to take over, which asks for promises, crashes before its own is durable, and keeps this many
    /// of its unsynced log records.
    StandAndCrash(u32, usize),
    /// A gateway sends a write to a node.
    Send(u8, u32),
    /// A gateway sends a read to a node.
    Read(u32),
    /// The message at this place is delivered; with `true` a copy of it stays on its way.
    Deliver(usize, bool),
    /// The message at this place is lost. A message that is never delivered is lost too; this makes room for others.
    Lose(usize),
    /// A node's sync returns.
    Sync(u32),
    /// A node crashes, keeps this many of its unsynced log records, and restarts.
    Crash(u32, usize),
    /// A node's disk is replaced by an empty one, and it restarts.
    Wipe(u32),
    /// A node crashes, and its log is damaged behind this many durable entries.
    Rot(u32, usize),
    /// All timers expire.
    Tick,
    /// So late that all extensions of a node want to look, its timers expire, and no other's.
    Expire(u32),
    /// A client asks a node for the change at this place of the scope's list.
    Ask(usize, u32),
    /// An extension of a node wishes for this.
    Wish(u32, Wished),
}

impl World {
    /// Everything that can happen next, in a fixed order.
    pub fn actions(&self, scope: &Scope) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.history.broken.is_some() {
            return actions;
        }
        if self.network.len() > scope.messages_max {
            actions.extend((0..self.network.len()).map(Action::Lose));
            return actions;
        }
        for at in 0..self.network.len() {
            actions.push(Action::Deliver(at, false));
            if self.left.duplicates > 0 {
                actions.push(Action::Deliver(at, true));
            }
        }
        for node in 1..=self.seats.len() as u32 {
            let seat = &self.seats[node as usize - 1];
            let role = seat.replica.status(0).role;
            if !seat.disk.unsynced.is_empty() {
                actions.push(Action::Sync(node));
            }
            // By symmetry, any cold cluster's first candidate is as good as n1.
            let first = !scope.established && self.left.takeovers == scope.takeovers;
            if self.left.takeovers > 0 && role == RoleName::Backup && (!first || node == 1) {
                actions.push(Action::TakeOver(node));
                if self.left.crashes > 0 {
                    let unsynced = seat.disk.unsynced.len();
                    actions.extend((0..=unsynced).map(|keep| Action::StandAndCrash(node, keep)));
                }
            }
            if seat.replica.status(0).serving {
                for write in 0..self.history.sent.len() as u8 {
                    // Writes are alike: the first sending goes in their order.
                    let in_turn = write == 0 || self.history.sent[write as usize - 1] > 0;
                    let sent = self.history.sent[write as usize];
                    if self.history.session > 0 && in_turn && sent < scope.sends {
                        actions.push(Action::Send(write, node));
                    }
                }
                if self.left.reads > 0 {
                    actions.push(Action::Read(node));
                }
            }
            if self.left.crashes > 0 {
                (0..=seat.disk.unsynced.len()).for_each(|keep| actions.push(Action::Crash(node, keep)));
            }
            if self.left.wipes > 0 {
                actions.push(Action::Wipe(node));
            }
            if self.left.rots > 0 && seat.disk.proven {
                (0..seat.disk.synced.len()).for_each(|keep| actions.push(Action::Rot(node, keep)));
            }
            if self.left.expiries > 0 && seat.extended.deadline().is_some() {
                actions.push(Action::Expire(node));
            }
            if role == RoleName::Primary {
                let open = |at: &usize| self.left.changes & 1 << at != 0;
                actions.extend((0..scope.changes.len()).filter(open).map(|at| Action::Ask(at, node)));
            }
            actions.extend(self.wishes(node).map(|what| Action::Wish(node, what)));
        }
        if self.left.ticks > 0 {
            actions.push(Action::Tick);
        }
        actions
    }

    /// What an extension of this node may wish for, if anything would come of it.
    fn wishes(&self, node: u32) -> impl Iterator<Item = Wished> + use<> {
        let status = self.seats[node as usize - 1].replica.status(0);
        let own = (status.role == RoleName::Backup).then_some(Wished::Stand(Epoch(0)));
        // Above what is promised here, it also ends what the replica is.
        let most = self.most_promised();
        let above = (most > status.promised).then_some(Wished::Stand(most));
        let down = (status.role == RoleName::Primary).then_some(Wished::StepDown);
        let left = self.left.wishes > 0;
        own.into_iter().chain(above).chain(down).filter(move |_| left)
    }

    /// The state after `action`.
    pub fn after(&self, scope: &Scope, action: Action) -> World {
        let mut next = self.clone();
        match action {
            Action::TakeOver(node) => {
                next.left.takeovers -= 1;
                let above = next.greatest_promise(scope);
                next.gateway_says(node, Message::TakeOver { above, patience: 0 });
            }
            Action::StandAndCrash(node, keep) => {
                next.left.takeovers -= 1;
                next.left.crashes -= 1;
                let above = next.greatest_promise(scope);
                next.stand_and_crash(node, above, keep);
            }
            Action::Send(write, node) => {
                next.history.change().sent[write as usize] += 1;
                let request = RequestId { session: next.history.session, number: u64::from(write) + 1 };
                let key: Arc<[u8]> = Arc::from(&b"k"[..]);
                let value = Arc::from((write + 1).to_string().as_bytes());
                let op = Op::Put { key, value, condition: Condition::Always };
                next.gateway_says(node, Message::Write { request, op });
            }
            Action::Read(node) => {
                next.left.reads -= 1;
                let id = u64::from(scope.reads - next.left.reads);
                next.history.asked(id);
                let query = Query::Get(Arc::from(&b"k"[..]));
                next.gateway_says(node, Message::Read { id, query });
            }
            Action::Deliver(at, keep) => {
                let letter = if keep { next.network[at].clone() } else { next.network.remove(at) };
                next.left.duplicates -= u8::from(keep);
                next.deliver(&letter);
            }
            Action::Lose(at) => drop(next.network.remove(at)),
            Action::Sync(node) => next.sync(node),
            Action::Crash(node, keep) => {
                next.left.crashes -= 1;
                next.crash(node, keep);
            }
            Action::Wipe(node) => {
                next.left.wipes -= 1;
                next.wipe(node);
            }
            Action::Rot(node, keep) => {
                next.left.rots -= 1;
                next.rot(node, keep);
            }
            Action::Tick => {
                next.left.ticks -= 1;
                next.now += 1;
                (1..=next.seats.len() as u32).for_each(|node| next.tick(node));
            }
            Action::Expire(node) => {
                next.left.expiries -= 1;
                next.now += next.late(node);
                next.tick(node);
            }
            Action::Ask(at, node) => {
                next.gateway_says(node, asks(scope.changes[at]));
                // A client asks until it is told that the change is in the log.
                if next.seats[node as usize - 1].disk.last() > self.seats[node as usize - 1].disk.last() {
                    next.left.changes &= !(1 << at);
                }
            }
            Action::Wish(node, what) => {
                next.left.wishes -= 1;
                next.gateway_says(node, what.message());
            }
        }
        next.network.sort();
        next.network.dedup();
        next.observe();
        next
    }

    /// What a gateway that asks for a takeover knows of promises.
    pub(super) fn greatest_promise(&self, scope: &Scope) -> Epoch {
        if scope.informed { self.most_promised() } else { Epoch(0) }
    }

    fn most_promised(&self) -> Epoch {
        self.seats.iter().map(|seat| seat.replica.core().promised).max().unwrap_or_default()
    }

    /// How much time passes until all extensions of a node want to look.
    pub(super) fn late(&self, node: u32) -> Micros {
        let deadline = self.seats[node as usize - 1].extended.deadline().unwrap_or_default();
        deadline.saturating_sub(self.now).max(1)
    }
}

/// A client's question to whoever leads.
fn asks(change: Change) -> Message {
    let words = membership::Asked { number: 1, change }.encode();
    Message::Extension { extension: membership::NUMBER, epoch: Epoch(0), words }
}
