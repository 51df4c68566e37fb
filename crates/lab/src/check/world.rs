//! The cluster as a value, and everything that can happen to it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use dataplane::{
    Address, Condition, Effect, Epoch, Event, Fits, Frame, GatewayId, Message, NodeId, Op, Origin, Outcome,
    Query, Refusable, RequestId, RoleName, Seq, WriteResult, guard,
};
use trace::{Actor, Kind, Tracer, emit};

use super::scope::{Goal, Scope};
use super::seat::{Limits, Seat, Synced};
use super::shared::{Pool, Shared};

/// A message on its way: from, to, what.
pub(crate) type Letter = (NodeId, NodeId, Message);

const GATEWAY: GatewayId = GatewayId { gateway: 1, life: 1 };

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
}

/// A cluster with its network and its clients' knowledge.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub(super) seats: Vec<Shared<Seat>>,
    /// On their way, sorted: the order of sending is forgotten, since any order may arrive.
    pub(super) network: Vec<Shared<Letter>>,
    left: Budget,
    limits: Limits,
    now: u64,
    pub(super) goal: Goal,
    pub(super) history: Shared<History>,
    listener: Listener,
}

/// What the clients did and saw, and what can be concluded from it. Most actions leave it alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct History {
    session: Seq,
    /// How often each write was sent.
    sent: Vec<u8>,
    /// What clients were told of their writes.
    pub answered: BTreeMap<RequestId, Outcome>,
    /// What was ever committed by anybody, and must stay so (D1, D4).
    pub committed: Vec<(Epoch, Origin)>,
    /// Entries that a client was told of, by an answer or by what it read; and which of the two.
    pub shown: Vec<(Seq, (Epoch, Origin), Shown)>,
    /// Who ever was primary of an epoch (D2).
    pub leaders: BTreeMap<Epoch, NodeId>,
    /// Reads in flight: their ids, and the last entry that was committed, or acknowledged to a client, when they were asked.
    reading: Vec<(u64, Seq)>,
    pub broken: Option<String>,
}

/// How a client came to know of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Shown {
    Acknowledged,
    Read,
}

/// Who hears the events of the replicas. No part of the state: two worlds that differ in it are the same.
#[derive(Clone, Default)]
pub(crate) struct Listener {
    pub events: Option<Arc<Mutex<Vec<trace::Event>>>>,
    /// Does it want to hear what their devices do as well: store a promise, sync, read?
    pub devices: bool,
}

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
        let Some(events) = self.events.clone() else { return Tracer::off() };
        let sink = move |event| events.lock().expect("nobody panics while listening").push(event);
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
}

/// The parts that states share.
#[derive(Debug, Default)]
pub(super) struct Pools {
    seats: Pool<Seat>,
    letters: Pool<Letter>,
    histories: Pool<History>,
}

impl World {
    /// The first state of a scope.
    pub fn new(scope: &Scope) -> World {
        let ids: Vec<NodeId> = (1..=scope.nodes).map(NodeId).collect();
        let left = Budget {
            takeovers: scope.takeovers,
            reads: scope.reads,
            crashes: scope.crashes,
            wipes: scope.wipes,
            rots: scope.rots,
            duplicates: scope.duplicates,
            ticks: scope.ticks,
        };
        let mut world = World {
            seats: ids.iter().map(|me| Shared::new(Seat::new(scope, *me, &ids))).collect(),
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
        }
        if self.left.ticks > 0 {
            actions.push(Action::Tick);
        }
        actions
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
                next.asked(id);
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
                (1..=next.seats.len() as u32).for_each(|node| next.event(node, Event::Tick));
            }
        }
        next.network.sort();
        next.network.dedup();
        next.observe();
        next
    }

    /// What a gateway that asks for a takeover knows of promises.
    pub(super) fn greatest_promise(&self, scope: &Scope) -> Epoch {
        let promised = self.seats.iter().map(|seat| seat.replica.status(0).promised).max();
        promised.filter(|_| scope.informed).unwrap_or_default()
    }

    /// What is broken in this state, in a client's words and with the invariant's number.
    pub fn broken(&self) -> Option<&str> {
        self.history.broken.as_deref()
    }

    /// From now on the replicas' events go there.
    pub(crate) fn listen(&mut self, events: Arc<Mutex<Vec<trace::Event>>>) {
        self.listener.events = Some(events);
    }

    /// And those of their devices as well.
    pub(crate) fn listen_to_devices(&mut self) {
        self.listener.devices = true;
    }

    /// What is on its way, in the order of sending as long as nobody asked for [`World::after`].
    pub(crate) fn on_the_way(&mut self) -> &mut Vec<Shared<Letter>> {
        &mut self.network
    }

    /// What clients were told of their writes.
    pub(crate) fn answered(&self) -> &BTreeMap<RequestId, Outcome> {
        &self.history.answered
    }

    /// Is a read unanswered?
    pub(crate) fn reads_waiting(&self) -> bool {
        !self.history.reading.is_empty()
    }

    pub(crate) fn session(&self) -> Seq {
        self.history.session
    }

    pub(crate) fn is_half(&self, node: u32) -> bool {
        self.seats[node as usize - 1].disk.half
    }

    pub(crate) fn unsynced(&self, node: u32) -> usize {
        self.seats[node as usize - 1].disk.unsynced.len()
    }

    pub(crate) fn limit_frames(&mut self, entries: usize) {
        self.limits.entries_per_frame = entries;
    }

    pub(crate) fn sync_if_needed(&mut self, node: u32) {
        if self.unsynced(node) > 0 {
            self.sync(node);
        }
    }

    pub(crate) fn tick(&mut self, node: u32) {
        self.event(node, Event::Tick);
    }

    pub(crate) fn time_passes(&mut self) {
        self.now += 1;
    }

    pub(crate) fn asked(&mut self, id: u64) {
        let acknowledged = self.history.answered.values().map(version).max().unwrap_or(0);
        let known = acknowledged.max(self.history.committed.len() as Seq);
        self.history.change().reading.push((id, known));
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
        seat.replica.step(now, Event::Message(Address::Gateway(GATEWAY), call, Fits::ALL));
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
        self.event(node, Event::Message(Address::Gateway(GATEWAY), message, Fits::ALL));
        self.event(node, Event::Settle);
    }

    pub(crate) fn deliver(&mut self, letter: &Letter) {
        let (from, to, message) = letter;
        self.event(to.0, Event::Message(Address::Node(*from), message.clone(), Fits::ALL));
        self.event(to.0, Event::Settle);
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
        let position = self.seats[node as usize - 1].disk.position;
        self.tell_of_device(
            node,
            Kind::DeviceSynced {
                batch: 0,
                durable_before: 0,
                durable: position,
                writes: 0,
                bytes: 0,
                micros: 0,
            },
        );
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
        let (t, devices) = (&mut self.listener.tracer(node), self.listener.devices);
        let mut out = Vec::new();
        let seat = self.seat(node);
        seat.replica.listen(t.is_on());
        seat.replica.step(now, event);
        loop {
            while let Some(effect) = seat.replica.next_effect() {
                if devices {
                    tell_of_effect(t, &effect, seat.disk.promise);
                }
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

    fn tell_of_device(&self, node: u32, kind: Kind) {
        if self.listener.devices {
            emit!(&mut self.listener.tracer(node), kind);
        }
    }

    fn said(&mut self, from: NodeId, to: Address, message: Message) {
        match (to, message) {
            (Address::Node(to), message) => self.network.push(Shared::new((from, to, message))),
            (_, Message::SessionOpened { session }) => self.history.change().session = session,
            (_, Message::Answer { request, result: WriteResult::Done(outcome) }) => {
                let before = self.history.change().answered.insert(request, outcome);
                self.show(from, version(&outcome), Shown::Acknowledged);
                if before.is_some_and(|before| before != outcome) {
                    self.break_promise(
                        "D6, P2",
                        format!("write {} was answered twice, differently", request.number),
                    );
                }
            }
            (_, Message::ReadAnswer { id, .. }) => {
                let applied = self.seats[from.0 as usize - 1].replica.core().applied;
                self.show(from, applied, Shown::Read);
                let reading = &mut self.history.change().reading;
                let asked = reading.extract_if(.., |(asked, _)| *asked == id).next();
                if let Some((_, known)) = asked.filter(|(_, known)| applied < *known) {
                    let what =
                        format!("a read got an old value: entry {known} was committed before it was asked");
                    self.break_promise("P2", what);
                }
            }
            (_, Message::Refused { what: Refusable::Read(id), .. }) => {
                self.history.change().reading.retain(|(asked, _)| *asked != id)
            }
            _ => {}
        }
    }

    /// A client knows of this entry now, as `by` has it.
    fn show(&mut self, by: NodeId, seq: Seq, how: Shown) {
        let disk = &self.seats[by.0 as usize - 1].disk;
        if (disk.base + 1..=disk.last()).contains(&seq) {
            let entry = &disk.log[disk.at(seq)];
            let new = (seq, (entry.epoch, entry.origin), how);
            if !self.history.shown.contains(&new) {
                self.history.change().shown.push(new);
            }
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

    pub(super) fn break_promise(&mut self, id: &str, what: String) {
        self.history.change().broken.get_or_insert(format!("{id}: {what}"));
    }
}

/// What the node would tell of this effect.
fn tell_of_effect(t: &mut Tracer, effect: &Effect, stored: Epoch) {
    match effect {
        Effect::Promise(epoch) => {
            emit!(t, Kind::PromiseStored { before: stored.0, epoch: epoch.0, generation: 0 });
        }
        Effect::Read { gateway, id, .. } => {
            emit!(t, Kind::ReadAnswered { gateway: gateway.gateway, id: *id, reply: String::new() });
        }
        _ => {}
    }
}

pub(super) fn version(outcome: &Outcome) -> Seq {
    match outcome {
        Outcome::Written(seq) => *seq,
        _ => 0,
    }
}
