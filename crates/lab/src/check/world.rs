//! The cluster as a value, and what becomes of it when something happens.

use std::fmt;
use std::sync::{Arc, Mutex};

use dataplane::{Address, EXTENSION_BYTES_MAX, Effect, Epoch, Event, Fits, Frame, Message, NodeId, guard};
use node::{Extension, Look, Wish, Wishes, sign_of_life};
use trace::{Actor, Kind, Tracer, emit};

use super::budget::Budget;
use super::scope::Scope;
use super::seat::{Limits, Seat, Synced};
use crate::cluster::nodes::changed;
use crate::cluster::stage::SCRIPTED;
use crate::cluster::witness::{Goal, History};
use crate::shared::{Pool, Shared};

/// A message on its way: from, to, what.
pub(crate) type Letter = (NodeId, NodeId, Message);

/// A cluster with its network and its clients' knowledge.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub(crate) seats: Vec<Shared<Seat>>,
    /// On their way, sorted: the order of sending is forgotten, since any order may arrive.
    pub(crate) network: Vec<Shared<Letter>>,
    pub(super) left: Budget,
    limits: Limits,
    pub(super) now: u64,
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
        let mut world = World {
            seats: ids.iter().map(|me| Shared::new(Seat::new(scope, *me, founders))).collect(),
            network: Vec::new(),
            left: Budget::of(scope),
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
