//! Changes of the members, as somebody asks for them: through a gateway, of every primary, until the time is over.

use dataplane::{Address, Change, Epoch, Frame, GatewayId, Membership, Message, Micros, NodeId};

use crate::blank::CLUSTER;
use crate::schedule::Peer;
use crate::world::{Event, World};

/// Between two questions.
const ASK_EVERY: Micros = 50_000;
/// No cluster is made smaller: what the fault model allows is counted by those who founded it.
const VOTERS_MIN: usize = 3;

impl World<'_> {
    /// Asks all primaries for a change, now and again until then.
    pub(crate) fn ask_for(&mut self, change: Change, until: Micros) {
        let now = self.queue.now();
        if self.healed || now > until {
            return;
        }
        self.queue.after(ASK_EVERY, Event::Ask(change, until));
        let Some(gate) = self.gates.iter().position(|gate| gate.running.is_some()) else { return };
        let id = GatewayId { gateway: gate as u32 + 1, life: self.gates[gate].life };
        for seat in 0..self.seats.len() {
            if !self.may_ask(seat, change) {
                continue;
            }
            let (node, shard) = (self.seats[seat].node, self.seats[seat].shard);
            let (from, to) = (Address::Gateway(id), Address::Node(node));
            let words = membership::Asked { number: now, change }.encode();
            let message = Message::Extension { extension: membership::NUMBER, epoch: Epoch(0), words };
            let frame = Frame { cluster: CLUSTER, shard, from, to, cause: None, message };
            self.queue.at(now, Event::Arrives(Peer::Node(node.0), frame));
        }
    }

    /// Does it lead, and does whoever operates the cluster remove nobody while something is damaged?
    fn may_ask(&self, seat: usize, change: Change) -> bool {
        let replica = &self.seats[seat];
        let Some(node) = replica.running.as_ref().filter(|node| node.replica().is_primary()) else {
            return false;
        };
        let of_shard = |at: &usize| self.seats[*at].shard == replica.shard;
        let suspect = |at: usize| self.seats[at].suspect && self.counts(at);
        let damaged = (0..self.seats.len()).filter(of_shard).any(suspect)
            || self
                .rotten
                .iter()
                .any(|(at, key, version)| of_shard(at) && !self.has_value(*at, key, *version));
        let voters = node.replica().core().members.voters().count();
        matches!(change, Change::Add(..)) || (!damaged && voters > VOTERS_MIN)
    }

    /// Is it a member?
    pub(crate) fn belongs(&self, seat: usize) -> bool {
        self.membership(seat) != Membership::Gone
    }

    /// Does its vote count?
    pub(crate) fn counts(&self, seat: usize) -> bool {
        self.membership(seat) == Membership::Voter
    }

    /// By the log of the newest primary of its shard; without one, by the most complete log. Not by its own: a node whose disk
    /// was wiped knows of no change, while the others wait for its vote.
    fn membership(&self, seat: usize) -> Membership {
        let (node, shard) = (self.seats[seat].node, self.seats[seat].shard);
        if !self.options.with.changes_members() {
            return Membership::Voter;
        }
        let running =
            self.seats.iter().filter(|seat| seat.shard == shard).filter_map(|seat| seat.running.as_ref());
        let by = running.max_by_key(|node| {
            let core = node.replica().core();
            (node.replica().is_primary().then_some(core.promised), core.log.tail())
        });
        let is = by.and_then(|by| by.replica().core().members.membership(node));
        let founds = node <= NodeId(self.options.founders());
        is.unwrap_or(if founds { Membership::Voter } else { Membership::Gone })
    }
}
