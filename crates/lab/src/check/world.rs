//! The cluster as a value, everything that can happen to it, and what must hold in each of its states.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use dataplane::{
    Address, Chunk, Condition, Config, Durable, Effect, Entry, Epoch, Event, GatewayId, Held, Message,
    NodeId, Op, Origin, Outcome, Query, Replica, RequestId, Restored, RoleName, Seq, Timing, WriteResult,
    guard,
};
use trace::{Actor, Kind, Tracer, emit};

use super::scope::Scope;

const GATEWAY: GatewayId = GatewayId { gateway: 1, life: 1 };

/// One thing that can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A gateway asks a node to take over.
    TakeOver(u32),
    /// A gateway sends a write to a node.
    Send(u8, u32),
    /// A gateway sends a read to a node.
    Read(u32),
    /// The message at this place is delivered; with `true` a copy of it stays on its way.
    Deliver(usize, bool),
    /// A node's sync returns.
    Sync(u32),
    /// A node crashes, keeps this many of its unsynced log records, and restarts.
    Crash(u32, usize),
    /// A node's disk is replaced by an empty one, and it restarts.
    Wipe(u32),
    /// All timers expire.
    Tick,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum LogOp {
    Append(Entry),
    Truncate(Seq),
}

/// What a device holds, reduced to what the rules can tell apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Disk {
    promise: Epoch,
    proven: bool,
    /// The checkpoint: its seq, and what the rules keep in it.
    base: Seq,
    host_state: Vec<u8>,
    /// What the present action moved from the log to the checkpoint.
    dropped: Vec<(Seq, (Epoch, Origin))>,
    /// The log after the checkpoint as its owner sees it.
    log: Vec<Entry>,
    /// The log after the checkpoint as of the last sync.
    synced: Vec<Entry>,
    /// What came since, in order.
    unsynced: Vec<LogOp>,
    /// How many log records were ever written.
    position: u64,
}

impl Disk {
    fn empty(promise: Epoch, proven: bool, position: u64) -> Disk {
        Disk {
            promise,
            proven,
            base: 0,
            host_state: Vec::new(),
            dropped: Vec::new(),
            log: Vec::new(),
            synced: Vec::new(),
            unsynced: Vec::new(),
            position,
        }
    }

    /// The last entry.
    fn last(&self) -> Seq {
        self.base + self.log.len() as Seq
    }

    /// Where entry `seq` is in the log.
    fn at(&self, seq: Seq) -> usize {
        (seq - self.base - 1) as usize
    }

    /// What has been written, synced or not: where, and up to which entry.
    fn written(&self) -> (u64, Seq) {
        (self.position, self.last())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Seat {
    replica: Replica,
    disk: Disk,
    held: Vec<Held>,
    proof: Durable,
}

/// A cluster with its network and its clients' knowledge.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    seats: Vec<Seat>,
    /// On their way, sorted: the order of sending is forgotten, since any order may arrive.
    network: Vec<(NodeId, NodeId, Message)>,
    left: Budget,
    entries_per_frame: usize,
    now: u64,
    session: Seq,
    sent: Vec<u8>,
    /// What clients were told of their writes.
    answered: BTreeMap<RequestId, Outcome>,
    /// What was ever committed by anybody, and must stay so (D1, D4).
    committed: Vec<(Epoch, Origin)>,
    /// Who ever was primary of an epoch (D2).
    leaders: BTreeMap<Epoch, NodeId>,
    /// Read in flight: its id, and the last entry that was acknowledged to a client when it was asked.
    reading: Option<(u64, Seq)>,
    broken: Option<String>,
    listener: Listener,
}

/// Who hears the events of the replicas. No part of the state: two worlds that differ in it are the same.
#[derive(Clone, Default)]
pub(crate) struct Listener(pub Option<Arc<Mutex<Vec<trace::Event>>>>);

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
    duplicates: u8,
    ticks: u8,
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
            duplicates: scope.duplicates,
            ticks: scope.ticks,
        };
        let mut world = World {
            seats: ids.iter().map(|me| Seat::new(scope, *me, &ids)).collect(),
            network: Vec::new(),
            left,
            entries_per_frame: scope.entries_per_frame,
            now: 0,
            session: 0,
            sent: vec![0; scope.writes as usize],
            answered: BTreeMap::new(),
            committed: Vec::new(),
            leaders: BTreeMap::new(),
            reading: None,
            broken: None,
            listener: Listener::default(),
        };
        if scope.established {
            world.establish();
        }
        world
    }

    /// A takeover by n1 and the opening of a session, without faults; then nothing is on its way.
    fn establish(&mut self) {
        self.gateway_says(1, Message::TakeOver { above: Epoch(0) });
        self.calm();
        self.gateway_says(1, Message::OpenSession);
        self.calm();
        // Backups learn the commit point with the next sign of life.
        self.now += 1;
        self.event(1, Event::Tick);
        self.calm();
        self.now = 0;
        assert!(self.session > 0, "the session is open");
    }

    fn calm(&mut self) {
        loop {
            (1..=self.seats.len() as u32).for_each(|node| self.sync(node));
            match self.network.pop() {
                Some((from, to, message)) => self.deliver(from, to, message),
                None if self.seats.iter().all(|seat| seat.disk.unsynced.is_empty()) => return,
                None => {}
            }
        }
    }

    /// Everything that can happen next, in a fixed order.
    pub fn actions(&self, scope: &Scope) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.broken.is_some() || self.network.len() > scope.messages_max {
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
            let (role, ..) = seat.replica.observe();
            if !seat.disk.unsynced.is_empty() {
                actions.push(Action::Sync(node));
            }
            // By symmetry, any cold cluster's first candidate is as good as n1.
            let first = !scope.established && self.left.takeovers == scope.takeovers;
            if self.left.takeovers > 0 && role == RoleName::Backup && (!first || node == 1) {
                actions.push(Action::TakeOver(node));
            }
            if seat.replica.status(0).serving {
                for write in 0..self.sent.len() as u8 {
                    // Writes are alike: the first sending goes in their order.
                    let in_turn = write == 0 || self.sent[write as usize - 1] > 0;
                    if self.session > 0 && in_turn && self.sent[write as usize] < scope.sends {
                        actions.push(Action::Send(write, node));
                    }
                }
                if self.left.reads > 0 && self.reading.is_none() {
                    actions.push(Action::Read(node));
                }
            }
            if self.left.crashes > 0 {
                (0..=seat.disk.unsynced.len()).for_each(|keep| actions.push(Action::Crash(node, keep)));
            }
            if self.left.wipes > 0 {
                actions.push(Action::Wipe(node));
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
                let promised = next.seats.iter().map(|seat| seat.replica.observe().1).max();
                let above = promised.filter(|_| scope.informed).unwrap_or_default();
                next.gateway_says(node, Message::TakeOver { above });
            }
            Action::Send(write, node) => {
                next.sent[write as usize] += 1;
                let request = RequestId { session: next.session, number: u64::from(write) + 1 };
                let key: Arc<[u8]> = Arc::from(&b"k"[..]);
                let op = Op::Put { key, value: Arc::from([write]), condition: Condition::Always };
                next.gateway_says(node, Message::Write { request, op });
            }
            Action::Read(node) => {
                next.left.reads -= 1;
                let acknowledged = next.answered.values().map(version).max().unwrap_or(0);
                let id = u64::from(next.left.reads) + 1;
                next.reading = Some((id, acknowledged));
                let query = Query::Get(Arc::from(&b"k"[..]));
                next.gateway_says(node, Message::Read { id, query });
            }
            Action::Deliver(at, keep) => {
                let (from, to, message) =
                    if keep { next.network[at].clone() } else { next.network.remove(at) };
                next.left.duplicates -= u8::from(keep);
                next.deliver(from, to, message);
            }
            Action::Sync(node) => next.sync(node),
            Action::Crash(node, keep) => {
                next.left.crashes -= 1;
                next.seats[node as usize - 1].crash(keep);
            }
            Action::Wipe(node) => {
                next.left.wipes -= 1;
                next.seats[node as usize - 1].wipe();
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

    /// What is broken in this state, in a client's words and with the invariant's number.
    pub fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// What `action` does here, for a person.
    pub fn describe(&self, action: Action) -> String {
        match action {
            Action::TakeOver(node) => format!("a gateway asks n{node} to take over"),
            Action::Send(write, node) => format!("a gateway sends write {} to n{node}", write + 1),
            Action::Read(node) => format!("a gateway sends a read to n{node}"),
            Action::Deliver(at, keep) => {
                let (from, to, message) = &self.network[at];
                let copy = if keep { ", and a copy of it stays on its way" } else { "" };
                format!("{from} → {to}: {}{copy}", brief(message))
            }
            Action::Sync(node) => format!("n{node} syncs"),
            Action::Crash(node, keep) => {
                let unsynced = self.seats[node as usize - 1].disk.unsynced.len();
                format!("n{node} crashes and restarts; {keep} of its {unsynced} unsynced records survive")
            }
            Action::Wipe(node) => format!("n{node} gets an empty disk and restarts"),
            Action::Tick => "all timers expire".into(),
        }
    }

    /// Replicas as one line each, for a person.
    pub fn summary(&self) -> Vec<String> {
        self.seats
            .iter()
            .enumerate()
            .map(|(at, seat)| {
                let (role, epoch, commit, _, tail) = seat.replica.observe();
                let log: Vec<String> =
                    seat.disk.log.iter().map(|entry| format!("{}@{}", entry.seq, entry.epoch.0)).collect();
                let durable = seat.replica.status(0).durable;
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

    /// From now on the replicas' events go there.
    pub(crate) fn listen(&mut self, events: Arc<Mutex<Vec<trace::Event>>>) {
        self.listener = Listener(Some(events));
    }

    /// What is on its way, in the order of sending as long as nobody asked for [`World::after`].
    pub(crate) fn on_the_way(&mut self) -> &mut Vec<(NodeId, NodeId, Message)> {
        &mut self.network
    }

    /// What clients were told of their writes.
    pub(crate) fn answered(&self) -> &BTreeMap<RequestId, Outcome> {
        &self.answered
    }

    /// Is a read unanswered?
    pub(crate) fn reads_waiting(&self) -> bool {
        self.reading.is_some()
    }

    pub(crate) fn session(&self) -> Seq {
        self.session
    }

    pub(crate) fn unsynced(&self, node: u32) -> usize {
        self.seats[node as usize - 1].disk.unsynced.len()
    }

    pub(crate) fn limit_frames(&mut self, entries: usize) {
        self.entries_per_frame = entries;
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
        let acknowledged = self.answered.values().map(version).max().unwrap_or(0);
        self.reading = Some((id, acknowledged));
    }

    pub(crate) fn crash(&mut self, node: u32, keep: usize) {
        self.seats[node as usize - 1].crash(keep);
    }

    pub(crate) fn wipe(&mut self, node: u32) {
        self.seats[node as usize - 1].wipe();
    }

    pub(crate) fn gateway_says(&mut self, node: u32, message: Message) {
        self.event(node, Event::Message(Address::Gateway(GATEWAY), message));
        self.event(node, Event::Settle);
    }

    pub(crate) fn deliver(&mut self, from: NodeId, to: NodeId, message: Message) {
        self.event(to.0, Event::Message(Address::Node(from), message));
        self.event(to.0, Event::Settle);
    }

    pub(crate) fn sync(&mut self, node: u32) {
        let seat = &mut self.seats[node as usize - 1];
        seat.disk.synced = seat.disk.log.clone();
        seat.disk.unsynced.clear();
        let at = seat.disk.written();
        let on = seat.on();
        if let Some(proof) = guard::durable_ack(on, Some(at), at) {
            seat.proof = proof;
            self.event(node, Event::Durable(proof));
            self.event(node, Event::Settle);
        }
    }

    /// One event at one node, with the effects that follow: what `node::Node` does on a real engine.
    fn event(&mut self, node: u32, event: Event) {
        let (now, entries_per_frame) = (self.now, self.entries_per_frame);
        let t = &mut self.listener.tracer(node);
        let mut out = Vec::new();
        let seat = &mut self.seats[node as usize - 1];
        seat.replica.step(now, event, t);
        loop {
            while let Some(effect) = seat.replica.next_effect() {
                seat.perform(now, effect, entries_per_frame, &mut out, t);
            }
            let at = seat.disk.written();
            match guard::durable_ack(seat.on(), None, at) {
                Some(proof) if proof != seat.proof => {
                    seat.proof = proof;
                    seat.replica.step(now, Event::Durable(proof), t);
                }
                _ => break,
            }
        }
        if seat.replica.wants_checkpoint() {
            seat.checkpoint(now, t);
        }
        for held in std::mem::take(&mut seat.held) {
            match held.release(&seat.proof) {
                Ok((to, message, _)) => {
                    if let (Address::Node(to), Message::PrepareOk { epoch, matched: upto }) = (to, &message) {
                        emit!(t, Kind::MatchAcknowledged { to: to.0, epoch: epoch.0, upto: *upto });
                    }
                    out.push((to, message));
                }
                Err(held) => seat.held.push(held),
            }
        }
        out.into_iter().for_each(|(to, message)| self.said(NodeId(node), to, message));
    }

    fn said(&mut self, from: NodeId, to: Address, message: Message) {
        match (to, message) {
            (Address::Node(to), message) => self.network.push((from, to, message)),
            (_, Message::SessionOpened { session }) => self.session = session,
            (_, Message::Answer { request, result: WriteResult::Done(outcome) }) => {
                let before = self.answered.insert(request, outcome);
                if before.is_some_and(|before| before != outcome) {
                    self.break_promise(
                        "D6, P2",
                        format!("write {} was answered twice, differently", request.number),
                    );
                }
            }
            (_, Message::ReadAnswer { id, .. }) => {
                let applied = self.seats[from.0 as usize - 1].replica.observe().3;
                if let Some((_, acknowledged)) = self.reading.take_if(|(asked, _)| *asked == id)
                    && applied < acknowledged
                {
                    self.break_promise(
                        "P2",
                        format!(
                            "a read got an old value: entry {acknowledged} was acknowledged before it was asked"
                        ),
                    );
                }
            }
            _ => {}
        }
    }

    fn break_promise(&mut self, id: &str, what: String) {
        self.broken.get_or_insert(format!("{id}: {what}"));
    }

    /// What must hold in every state.
    pub(crate) fn observe(&mut self) {
        for at in 0..self.seats.len() {
            let seat = &self.seats[at];
            let node = NodeId(at as u32 + 1);
            let (role, epoch, commit, applied, _) = seat.replica.observe();
            if applied > commit {
                self.break_promise("D5", format!("{node} applied entry {applied}, which is not committed"));
                return;
            }
            if role == RoleName::Primary && *self.leaders.entry(epoch).or_insert(node) != node {
                self.break_promise("D2, P1", format!("two primaries in epoch {}", epoch.0));
                return;
            }
            let disk = &self.seats[at].disk;
            let content = |seq: Seq| {
                let entry = &disk.log[disk.at(seq)];
                (entry.epoch, entry.origin)
            };
            let (known, upto) = (self.committed.len() as Seq, commit.min(disk.last()));
            let differs = |seq: &Seq| content(*seq) != self.committed[*seq as usize - 1];
            if let Some(seq) = (disk.base + 1..=upto.min(known)).find(differs) {
                let what = format!("{node} committed another entry {seq} than was committed before");
                self.break_promise("D1, P1", what);
                return;
            }
            // What one action both commits and checkpoints is no longer in the log.
            let dropped = disk.dropped.iter().filter(|(seq, _)| *seq > known).map(|(_, what)| *what);
            let kept = (known.max(disk.base) + 1..=upto).map(content);
            let new: Vec<(Epoch, Origin)> = dropped.chain(kept).collect();
            self.committed.extend(new);
            self.seats[at].disk.dropped.clear();
        }
        let told = self.answered.values().map(version).max().unwrap_or(0);
        if told > self.committed.len() as Seq {
            self.break_promise("D4, P1", format!("entry {told} was acknowledged and is not committed"));
        }
        for seat in &self.seats {
            let status = seat.replica.status(0);
            let lost = self.committed.len() as Seq > seat.disk.last();
            if status.serving && lost && self.leaders.keys().max() == Some(&status.promised) {
                self.broken.get_or_insert(format!(
                    "D4, P1: entry {} was committed, and the primary of epoch {} does not have it",
                    self.committed.len(),
                    status.promised.0
                ));
            }
        }
    }
}

impl Seat {
    fn new(scope: &Scope, me: NodeId, members: &[NodeId]) -> Seat {
        let disk = Disk::empty(Epoch(0), true, 0);
        let config = Config {
            me,
            members: members.to_vec(),
            mechanisms: scope.mechanisms,
            timing: Timing {
                heartbeat_every: 1,
                resend_after: 1,
                candidate_patience: 1,
                window_bytes: 1 << 20,
                waiting_max: 64,
            },
            pid: 0,
        };
        Seat::open(config, disk)
    }

    fn open(config: Config, disk: Disk) -> Seat {
        let (on, position) = (config.mechanisms, disk.position);
        let entries = if disk.proven { disk.log.as_slice() } else { &[] };
        let restored = Restored {
            promised: disk.promise,
            proven: disk.proven,
            checkpoint: if disk.proven { disk.base } else { 0 },
            host_state: if disk.proven { disk.host_state.clone() } else { Vec::new() },
            entries: entries.iter().map(|entry| (entry.epoch, entry.origin)).collect(),
        };
        let at = (position, if disk.proven { disk.last() } else { 0 });
        let proof = guard::durable_ack(on, Some(at), at).unwrap_or_default();
        let replica = Replica::restore(config, restored).expect("the rules wrote the host state themselves");
        Seat { replica, disk, held: Vec::new(), proof }
    }

    fn on(&self) -> trace::Mechanisms {
        self.replica.config().mechanisms
    }

    fn crash(&mut self, keep: usize) {
        let mut log = self.disk.synced.clone();
        for op in &self.disk.unsynced[..keep] {
            match op {
                LogOp::Append(entry) => log.push(entry.clone()),
                LogOp::Truncate(from) => log.truncate(self.disk.at(*from)),
            }
        }
        let disk = Disk { synced: log.clone(), log, unsynced: Vec::new(), ..self.disk.clone() };
        *self = Seat::open(self.replica.config().clone(), disk);
    }

    fn wipe(&mut self) {
        let disk = Disk::empty(Epoch(0), false, self.disk.position);
        *self = Seat::open(self.replica.config().clone(), disk);
    }

    fn perform(
        &mut self,
        now: u64,
        effect: Effect,
        per_frame: usize,
        out: &mut Vec<(Address, Message)>,
        t: &mut Tracer,
    ) {
        match effect {
            Effect::Append(entry) => {
                self.disk.position += 1;
                self.disk.log.push(entry.clone());
                self.disk.unsynced.push(LogOp::Append(entry));
            }
            Effect::Truncate(from) => {
                self.disk.position += 1;
                self.disk.log.truncate(self.disk.at(from));
                self.disk.unsynced.push(LogOp::Truncate(from));
            }
            Effect::Promise(epoch) => self.disk.promise = epoch,
            Effect::Apply { seq, skip } => {
                let entry = &self.disk.log[self.disk.at(seq)];
                let nothing = skip || entry.op == Op::Nop;
                let outcome = if nothing { Outcome::Nothing } else { Outcome::Written(seq) };
                self.replica.step(now, Event::Applied(seq, outcome), t);
            }
            Effect::Send(to, message) => out.push((to, message)),
            Effect::Hold(to, message) => self.hold(Held::until(self.disk.position, to, message, None)),
            Effect::SendEntries { to, epoch, prev, upto, commit } => {
                let upto = upto.min(prev.seq.saturating_add(per_frame as u64));
                let entries = self.disk.log[self.disk.at(prev.seq + 1)..self.disk.at(upto + 1)].to_vec();
                out.push((Address::Node(to), Message::Prepare { epoch, prev, entries, commit }));
                self.replica.step(now, Event::Sent(to, upto, 1), t);
            }
            Effect::Read { gateway, id, .. } => {
                let result = dataplane::ReadResult::Missing;
                out.push((Address::Gateway(gateway), Message::ReadAnswer { id, result }));
            }
            // The keys do not matter here: a state is one piece without any.
            Effect::SendChunk { to, epoch, transfer, cursor, may_finish: true } => {
                let (seq, host_state) = (self.disk.base, self.disk.host_state.clone());
                let chunk = Chunk { seq, items: Vec::new(), next: None, host_state };
                out.push((Address::Node(to), Message::Chunk { epoch, transfer, cursor, chunk }));
            }
            Effect::SendChunk { .. }
            | Effect::InstallBegin
            | Effect::InstallItems(_)
            | Effect::InstallAbort => {}
            Effect::InstallFinish { seq, host_state, epoch } => {
                let promise = self.disk.promise.max(epoch);
                let empty = Disk::empty(promise, true, self.disk.position + 1);
                self.disk = Disk { base: seq, host_state, ..empty };
                let at = self.disk.written();
                self.proof = guard::durable_ack(self.on(), Some(at), at).unwrap_or(self.proof);
                self.replica.step(now, Event::Installed(true), t);
            }
            Effect::Unprove => self.disk.proven = false,
        }
    }

    /// A checkpoint as of what is applied, in one durable step. The applied entries are durable already.
    fn checkpoint(&mut self, now: u64, t: &mut Tracer) {
        let applied = self.replica.observe().3;
        let gone = (applied - self.disk.base) as usize;
        self.disk.host_state = self.replica.host_state();
        self.disk.base = applied;
        self.disk.dropped = self.disk.log.drain(..gone).map(|e| (e.seq, (e.epoch, e.origin))).collect();
        self.disk.synced.drain(..gone);
        self.replica.step(now, Event::Compacted(applied), t);
    }

    fn hold(&mut self, mut held: Held) {
        for earlier in &mut self.held {
            match earlier.absorb(held) {
                Ok(()) => return,
                Err(other) => held = other,
            }
        }
        self.held.push(held);
    }
}

fn version(outcome: &Outcome) -> Seq {
    match outcome {
        Outcome::Written(seq) => *seq,
        _ => 0,
    }
}

/// A message in a few words.
pub(crate) fn brief(message: &Message) -> String {
    match message {
        Message::Prepare { epoch, prev, entries, commit } if entries.is_empty() => {
            let dataplane::Tail { epoch: prev_epoch, seq } = prev;
            format!("Prepare in epoch {}: nothing behind {seq}@{}, committed {commit}", epoch.0, prev_epoch.0)
        }
        Message::Prepare { epoch, prev, entries, commit } => {
            let upto = prev.seq + entries.len() as u64;
            format!(
                "Prepare in epoch {}: entries {}..={upto} behind {}@{}, committed {commit}",
                epoch.0,
                prev.seq + 1,
                prev.seq,
                prev.epoch.0
            )
        }
        Message::PrepareOk { epoch, matched } => {
            format!("PrepareOk in epoch {}: durable up to {matched}", epoch.0)
        }
        Message::PromiseRequest { epoch } => format!("PromiseRequest for epoch {}", epoch.0),
        Message::Promised { epoch, tail } => {
            format!("Promised epoch {}, log ends at {}@{}", epoch.0, tail.seq, tail.epoch.0)
        }
        Message::Fenced { promised } => format!("Fenced by epoch {}", promised.0),
        other => other.name().to_string(),
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.summary().iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
