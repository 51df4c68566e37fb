//! The cluster as a value, and everything that can happen to it.

use std::fmt;
use std::sync::{Arc, Mutex};

use dataplane::{
    Address, Change, Condition, EXTENSION_BYTES_MAX, Effect, Epoch, Event, Fits, Frame, Message, Micros,
    NodeId, Op, Query, RequestId, RoleName, guard,
};
use node::{Extension, Look, Wish, Wishes, sign_of_life};
use trace::{Actor, Kind, Tracer, emit};

use super::scope::Scope;
use super::seat::{Limits, Seat, Synced};
use crate::cluster::nodes::changed;
use crate::cluster::stage::SCRIPTED;
use crate::cluster::wisher::Wished;
use crate::cluster::witness::{Goal, History};
use crate::shared::{Pool, Shared};

/// A message on its way: from, to, what.
pub(crate) type Letter = (NodeId, NodeId, Message);

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

/// A cluster with its network and its clients' knowledge.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub(crate) seats: Vec<Shared<Seat>>,
    /// On their way, sorted: the order of sending is forgotten, since any order may arrive.
    pub(crate) network: Vec<Shared<Letter>>,
    left: Budget,
    limits: Limits,
    now: u64,
    pub(super) goal: Goal,
    pub(crate) history: Shared<History>,
    listener: Listener,
}

/// Who hears the events of the replicas. No part of the state: two worlds that differ in it are the same.
#[derive(Clone, Default)]
pub(crate) struct Listener(Option<Ear>);

/// What the replicas tell, and what a client hears of its changes of the members.
pub(crate) type Ear = Arc<Mutex<(Vec<trace::Event>, Vec<String>)>>;

impl PartialEq for Listener {
    fn eq(&self, _: &Listener) -> bool {
        true
    }
}

impl Eq for Listener {}

impl std::hash::Hash for Listener {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

impl Listener {
    fn tracer(&self, node: u32) -> Tracer {
        let Some(events) = self.0.clone() else { return Tracer::off() };
        let sink = move |event| events.lock().expect("nobody panics while listening").0.push(event);
        Tracer::always(Actor::Node { node, shard: 0 }, 1, Box::new(sink))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Budget {
    takeovers: u8,
    reads: u8,
    crashes: u8,
    wipes: u8,
    rots: u8,
    duplicates: u8,
    ticks: u8,
    wishes: u8,
    expiries: u8,
    /// The changes that are in no log yet, as bits.
    changes: u8,
}

/// The parts that states share.
#[derive(Debug, Default)]
pub(super) struct Pools {
    seats: Pool<Seat>,
    letters: Pool<Letter>,
    histories: Pool<History>,
}

impl World {
    /// The cluster of a scope, before any step; [`World::first`] is behind those that it begins with.
    pub(super) fn new(scope: &Scope) -> World {
        let ids: Vec<NodeId> = (1..=scope.nodes).map(NodeId).collect();
        let founders = &ids[..(scope.nodes - scope.joining) as usize];
        let left = Budget {
            takeovers: scope.takeovers,
            reads: scope.reads,
            crashes: scope.crashes,
            wipes: scope.wipes,
            rots: scope.rots,
            duplicates: scope.duplicates,
            ticks: scope.ticks,
            wishes: scope.wishes,
            expiries: scope.expiries,
            changes: scope.changes.iter().enumerate().fold(0, |set, (at, _)| set | 1 << at),
        };
        let mut world = World {
            seats: ids.iter().map(|me| Shared::new(Seat::new(scope, *me, founders))).collect(),
            network: Vec::new(),
            left,
            limits: Limits { entries_per_frame: scope.entries_per_frame, pieces: scope.pieces },
            now: 0,
            goal: scope.goal,
            history: Shared::new(History { sent: vec![0; scope.writes as usize], ..History::default() }),
            listener: Listener::default(),
        };
        if scope.established {
            world.establish();
        }
        world
    }

    /// The same budgets, where those steps have led that the scope begins with.
    pub(super) fn behind(self, steps: World) -> World {
        let (left, listener) = (self.left, Listener::default());
        let mut world = World { left, listener, ..steps };
        world.history.change().sent = self.history.sent.clone();
        world.network.sort();
        world.network.dedup();
        world
    }

    /// A takeover by n1 and the opening of a session, without faults; then nothing is on its way.
    fn establish(&mut self) {
        self.gateway_says(1, Message::TakeOver { above: Epoch(0), patience: 0 });
        self.calm();
        self.gateway_says(1, Message::OpenSession);
        self.calm();
        // Backups learn the commit point with the next sign of life.
        self.now += 1;
        self.event(1, Event::Tick);
        self.calm();
        // A gateway has asked everybody where the logs end.
        (1..=self.seats.len() as u32).for_each(|node| self.gateway_says(node, Message::Probe { attempt: 0 }));
        self.now = 0;
        assert!(self.history.session > 0, "the session is open");
    }

    fn calm(&mut self) {
        loop {
            (1..=self.seats.len() as u32).for_each(|node| self.sync(node));
            match self.network.pop() {
                Some(letter) => self.deliver(&letter),
                None if self.seats.iter().all(|seat| seat.disk.unsynced.is_empty()) => return,
                None => {}
            }
        }
    }

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

    /// What is broken in this state, in a client's words and with the invariant's number.
    pub fn broken(&self) -> Option<&str> {
        self.history.broken.as_deref()
    }

    /// From now on the replicas' events go there.
    pub(crate) fn listen(&mut self, ear: Ear) {
        self.listener = Listener(Some(ear));
    }

    pub(crate) fn unsynced(&self, node: u32) -> usize {
        self.seats[node as usize - 1].disk.unsynced.len()
    }

    pub(crate) fn limit_frames(&mut self, entries: usize) {
        self.limits.entries_per_frame = entries;
    }

    pub(crate) fn tick(&mut self, node: u32) {
        self.event(node, Event::Tick);
        self.consult(node, |extension, look, wishes| extension.tick(look, wishes));
        self.event(node, Event::Settle);
    }

    pub(crate) fn time_passes(&mut self) {
        self.now += 1;
    }

    pub(crate) fn crash(&mut self, node: u32, keep: usize) {
        self.seat(node).crash(keep);
    }

    /// A candidacy that ends before the candidate's own promise is durable: its requests are on their way.
    pub(crate) fn stand_and_crash(&mut self, node: u32, above: Epoch, keep: usize) {
        let (now, limits) = (self.now, self.limits);
        let t = &mut self.listener.tracer(node);
        let mut out = Vec::new();
        let seat = self.seat(node);
        seat.replica.listen(t.is_on());
        let call = Message::TakeOver { above, patience: 0 };
        seat.replica.step(now, Event::Message(Address::Gateway(SCRIPTED), call, Fits::ALL));
        while let Some(effect) =
            seat.replica.next_effect().filter(|effect| !matches!(effect, Effect::Promise(_)))
        {
            seat.perform(now, effect, limits, &mut out, t);
        }
        seat.crash(keep);
        out.into_iter().for_each(|(to, message)| self.said(NodeId(node), to, message));
    }

    pub(crate) fn rot(&mut self, node: u32, keep: usize) {
        self.seat(node).rot(keep);
    }

    pub(crate) fn wipe(&mut self, node: u32) {
        self.seat(node).wipe();
    }

    pub(crate) fn gateway_says(&mut self, node: u32, message: Message) {
        self.arrives(node, Address::Gateway(SCRIPTED), message);
    }

    pub(crate) fn deliver(&mut self, letter: &Letter) {
        let (from, to, message) = letter;
        self.arrives(to.0, Address::Node(*from), message.clone());
    }

    /// What `node::Node` does with a frame.
    fn arrives(&mut self, node: u32, from: Address, message: Message) {
        let sign = sign_of_life(from, &message);
        let core = self.seats[node as usize - 1].replica.core();
        match (from, message) {
            (from, Message::Extension { extension, epoch, words })
                if matches!(from, Address::Gateway(_))
                    || matches!(from, Address::Node(peer) if core.hears(peer)) =>
            {
                self.extension_hears(node, from, (extension, epoch), &words);
            }
            (from, message) => self.event(node, Event::Message(from, message, Fits::ALL)),
        }
        let (now, seat) = (self.now, &self.seats[node as usize - 1]);
        if sign.is_some_and(|(from, epoch)| seat.extended.len() > 0 && seat.replica.follows(from, epoch)) {
            self.seat(node).extended.heard(now);
        }
        self.event(node, Event::Settle);
    }

    /// What `node::Node` does with words of an extension to its like, or of a client to it.
    fn extension_hears(&mut self, node: u32, from: Address, (number, epoch): (u8, Epoch), words: &[u8]) {
        let core = self.seats[node as usize - 1].replica.core();
        let possible = guard::epoch_bound(core.config.mechanisms, core.seen, epoch);
        if words.len() > EXTENSION_BYTES_MAX || !possible {
            return;
        }
        self.consult(node, |extension, look, wishes| {
            if extension.number() == number {
                // Who is told what it cannot read tells so, and heeds nothing.
                let _ = match from {
                    Address::Node(peer) => extension.hear(look, (peer, epoch), words, wishes),
                    Address::Gateway(gateway) => extension.asked(look, gateway, words, wishes),
                };
            }
        });
    }

    /// Lets each extension of a node see how things stand, and does what it wishes.
    fn consult(&mut self, node: u32, mut ask: impl FnMut(&mut dyn Extension, &Look, &mut Wishes)) {
        let when = (self.now, self.listener.0.is_some());
        for at in 0..self.seats[node as usize - 1].extended.len() {
            let Seat { extended, replica, .. } = self.seat(node);
            let (number, wishes) = extended.ask(at, replica, when, &mut ask);
            wishes.into_iter().for_each(|wish| self.grant(node, number, wish));
        }
    }

    fn grant(&mut self, node: u32, extension: u8, wish: Wish) {
        let epoch = self.seats[node as usize - 1].replica.core().promised;
        let say = |words| Message::Extension { extension, epoch, words };
        match wish {
            Wish::Tell(told) => self.listener.tracer(node).record(told.kind, told.source),
            Wish::Say(to, words) => self.said(NodeId(node), Address::Node(to), say(words)),
            Wish::Answer(gateway, words) => self.said(NodeId(node), Address::Gateway(gateway), say(words)),
            Wish::TakeOver(above, patience) => self.event(node, Event::TakeOver(above, patience)),
            Wish::StepDown => self.event(node, Event::StepDown),
            Wish::Change(change) => self.event(node, Event::Change(change)),
        }
    }

    /// The message arrives at `at`, for whom it is not.
    pub(crate) fn stray(&mut self, letter: &Letter, at: u32) {
        let (from, to, message) = letter;
        let (cluster, shard) = ([0; 16], 0);
        let (from_node, to, cause) = (Address::Node(*from), Address::Node(*to), None);
        let frame = Frame { cluster, shard, from: from_node, to, cause, message: message.clone() };
        let on = self.seats[at as usize - 1].on();
        if guard::frame_identity(on, &frame, &cluster, shard, Address::Node(NodeId(at))) {
            self.deliver(&(*from, NodeId(at), frame.message));
        } else {
            let (message, from) = (frame.message.name().into(), frame.from.to_string());
            let why = format!("it is for {}", frame.to);
            emit!(&mut self.listener.tracer(at), Kind::FrameRefused { message, from, why });
        }
    }

    pub(crate) fn sync(&mut self, node: u32) {
        let seat = self.seat(node);
        seat.disk.synced = seat.disk.log.clone();
        seat.disk.unsynced.clear();
        let at = seat.disk.written();
        let on = seat.on();
        if let Some(proof) = guard::durable_ack(on, Some(&Synced(at)), at) {
            seat.proof = proof;
            self.event(node, Event::Durable(proof));
            self.event(node, Event::Settle);
        }
    }

    /// One event at one node, with the effects that follow: what `node::Node` does on a real engine.
    fn event(&mut self, node: u32, event: Event) {
        let (now, limits) = (self.now, self.limits);
        let t = &mut self.listener.tracer(node);
        let mut out = Vec::new();
        let seat = self.seat(node);
        seat.replica.listen(t.is_on());
        seat.replica.step(now, event);
        loop {
            while let Some(effect) = seat.replica.next_effect() {
                seat.perform(now, effect, limits, &mut out, t);
            }
            let at = seat.disk.written();
            match guard::durable_ack(seat.on(), None::<&Synced>, at) {
                Some(proof) if proof != seat.proof => {
                    seat.proof = proof;
                    seat.replica.step(now, Event::Durable(proof));
                }
                _ => break,
            }
        }
        if seat.replica.wants_checkpoint() {
            seat.checkpoint(now);
        }
        seat.release(&mut out, t);
        out.into_iter().for_each(|(to, message)| self.said(NodeId(node), to, message));
    }

    fn said(&mut self, from: NodeId, to: Address, message: Message) {
        match to {
            Address::Node(to) => self.network.push(Shared::new((from, to, message))),
            Address::Gateway(_) => {
                if let Some(ear) = &self.listener.0 {
                    ear.lock().expect("nobody panics while listening").1.extend(changed(from.0, &message));
                }
                self.history.heard(&self.seats, from, &message);
            }
        }
    }

    /// What must hold in every state.
    pub(crate) fn observe(&mut self) {
        self.history.observe(&self.seats, self.goal);
        for seat in self.seats.iter_mut().filter(|seat| !seat.disk.dropped.is_empty()) {
            seat.change().disk.dropped.clear();
        }
    }

    /// For a change: the other states that share this seat do not see it.
    fn seat(&mut self, node: u32) -> &mut Seat {
        self.seats[node as usize - 1].change()
    }

    /// Shares with the pool whatever is equal there.
    pub(super) fn intern(&mut self, pool: &mut Pools) {
        self.seats.iter_mut().for_each(|seat| pool.seats.intern(seat));
        self.network.iter_mut().for_each(|letter| pool.letters.intern(letter));
        pool.histories.intern(&mut self.history);
        // Tens of millions of states wait in memory: none keeps room for more messages.
        self.network.shrink_to_fit();
    }
}

/// A client's question to whoever leads.
fn asks(change: Change) -> Message {
    let words = membership::Asked { number: 1, change }.encode();
    Message::Extension { extension: membership::NUMBER, epoch: Epoch(0), words }
}
