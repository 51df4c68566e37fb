//! The cluster of real nodes: `node::Node` on the real engine on simulated disks, as the simulator runs them, with every
//! choice made by a step.
//!
//! A clock tick is one microsecond: timers count expiries.

use std::sync::Arc;

use dataplane::{Address, Epoch, Frame, Message, Micros, NodeId, Op, Seq};
use disk::{Disk, Harm};
use engine::{Layout, Standing};
use node::{Node, StopError};
use sim::schedule::Peer;
use trace::{Actor, Event, Mechanisms, Tracer};

use super::damage::Block;
use super::ear::{CLUSTER, Ear, tracer};
use super::gates::{Gates, Replied};
use super::language::{Ask, Setting};
use super::seat::{Keys, Seat, WAL_BYTES, Written};
use super::service::Service;
use super::stage::{Cluster, SCRIPTED};
use super::wisher::Wisher;
use super::witness::{Goal, History, Sight};
use crate::shared::Shared;

const DISK_BYTES: u64 = 256 << 10;
/// Bytes that an entry of a schedule takes in a frame.
const ENTRY_BYTES: u64 = 66;
/// Steps of a checkpoint that somebody waits for.
const CHECKPOINT_STEPS_MAX: u32 = 10_000;

/// Real nodes, real gateways, and what is on its way between them.
pub struct Nodes {
    pub(crate) seats: Vec<Seat>,
    pub(crate) gates: Gates,
    pub(crate) network: Vec<Frame>,
    pub(crate) history: Shared<History>,
    pub(crate) now: Micros,
    setting: Setting,
    on: Mechanisms,
    ear: Ear,
    replies: Vec<String>,
    keys: Keys,
    service: Service,
}

impl Nodes {
    fn config(&self, node: u32, life: u32) -> node::Config {
        let Setting { founders, frames, pieces, resend, with, .. } = self.setting;
        let window_bytes = match (frames, pieces) {
            (usize::MAX, 1) => 1 << 20,
            // One key a piece.
            (usize::MAX, _) => 1,
            (frames, _) => frames as u64 * ENTRY_BYTES,
        };
        node::Config {
            cluster: CLUSTER,
            shard: 0,
            shards: 1,
            rules: dataplane::Config {
                me: NodeId(node),
                members: (1..=founders).map(NodeId).collect(),
                members_change: with.changes_members(),
                mechanisms: self.on,
                timing: dataplane::Timing {
                    heartbeat_every: 1,
                    resend_after: resend,
                    candidate_patience: 1,
                    window_bytes,
                    waiting_max: 64,
                },
                limits: dataplane::Limits::default(),
                pid: 0,
                life: u64::from(life - 1) << 32,
            },
        }
    }

    fn blank(&self, node: u32, standing: Standing) -> Result<Disk, String> {
        let disk = Disk::new(DISK_BYTES);
        disk.remember_before();
        let layout = Layout { wal_bytes: WAL_BYTES };
        engine::format(&disk, &self.config(node, 1).identity(), standing, layout)
            .map_err(|error| error.to_string())?;
        Ok(disk)
    }

    /// Starts a node on its disk, as another life.
    fn start(&mut self, node: u32) {
        let life = self.seat(node).life + 1;
        let (config, mut with) = (self.config(node, life), self.setting.with.start());
        with.push(Box::new(Wisher));
        let tracer = tracer(&self.ear, Actor::Node { node, shard: 0 }, life);
        let seat = self.seat(node);
        seat.life = life;
        seat.running = match Node::open(seat.disk.share(), config, tracer) {
            Ok((mut node, _)) => {
                node.extend(with);
                Ok(node)
            }
            Err(error) => Err(format!("it cannot open its device: {error}")),
        };
        self.watch();
    }

    fn seat(&mut self, node: u32) -> &mut Seat {
        &mut self.seats[node as usize - 1]
    }

    /// A takeover by n1 and the opening of a session, without faults; then nothing is on its way.
    fn establish(&mut self) -> Result<(), String> {
        self.gateway_says(1, Message::TakeOver { above: Epoch(0), patience: 0 });
        self.settle_all();
        self.gateway_says(1, Message::OpenSession);
        self.settle_all();
        // Backups learn the commit point with the next sign of life.
        self.now += 1;
        self.tick(Peer::Node(1))?;
        self.settle_all();
        // A gateway has asked everybody where the logs end.
        (1..=self.setting.nodes).for_each(|node| self.gateway_says(node, Message::Probe { attempt: 0 }));
        self.now = 0;
        if self.history.session > 0 { Ok(()) } else { Err("no session was opened: n1 does not lead".into()) }
    }

    /// Everything is synced and arrives, the newest message first.
    fn settle_all(&mut self) {
        loop {
            (1..=self.setting.nodes).for_each(|node| self.sync(node));
            match self.network.pop() {
                Some(frame) => self.deliver(frame),
                None if !(1..=self.setting.nodes).any(|node| self.needs_sync(node)) => return,
                None => {}
            }
        }
    }

    /// Lets a node do something; what it says is on its way afterwards.
    fn act(&mut self, node: u32, act: impl FnOnce(&mut Node<Disk>, Micros) -> Result<(), StopError>) {
        let now = self.now;
        let Ok(running) = &mut self.seat(node).running else { return };
        if let Err(error) = act(running, now) {
            self.seat(node).running = Err(format!("it stopped: {error}"));
            return;
        }
        self.send(node);
        // What left is gone before the candidate's own promise is made.
        self.and_then(node, |running, now| running.unpark(now));
        self.watch();
        self.checkpoint(node);
    }

    fn and_then(&mut self, node: u32, act: impl FnOnce(&mut Node<Disk>, Micros) -> Result<(), StopError>) {
        let now = self.now;
        let Ok(running) = &mut self.seat(node).running else { return };
        match act(running, now) {
            Ok(()) => self.send(node),
            Err(error) => self.seat(node).running = Err(format!("it stopped: {error}")),
        }
    }

    /// A checkpoint that somebody waits for, or that is due, at once.
    fn checkpoint(&mut self, node: u32) {
        for _ in 0..CHECKPOINT_STEPS_MAX {
            let Ok(running) = &self.seat(node).running else { return };
            let engine = running.engine();
            if !engine.checkpoint_running()
                && !engine.checkpoint_due()
                && !running.replica().wants_checkpoint()
            {
                return;
            }
            self.and_then(node, |running, now| running.background(now));
        }
    }

    /// What a node says goes on its way; what it says to a client is heard at once.
    fn send(&mut self, node: u32) {
        let Ok(running) = &mut self.seat(node).running else { return };
        let frames: Vec<Frame> = running.outbox().collect();
        for frame in frames {
            match frame.to {
                Address::Node(_) => self.network.push(frame),
                to if to == Address::Gateway(SCRIPTED) => {
                    self.replies.extend(changed(node, &frame.message));
                    self.history.heard(&self.seats, NodeId(node), &frame.message);
                }
                Address::Gateway(_) => {
                    self.gates.overhear(&self.seats[node as usize - 1], &frame.message);
                    self.network.push(frame);
                }
            }
        }
    }

    fn watch(&mut self) {
        self.history.observe(&self.seats, self.setting.goal);
        if self.setting.goal == Goal::Service
            && let Some(what) = self.service.look(&self.seats, self.now)
        {
            self.history.break_promise("P4", what);
        }
    }

    fn arrives(&mut self, node: u32, frame: Frame) {
        if let (Message::Write { request, op }, Some(key)) = (&frame.message, frame_key(&frame.message)) {
            let removes = matches!(op, Op::Delete { .. });
            let keys = &mut *self.keys.lock().expect("nobody panics here");
            keys.insert(*request, Written { key, removes });
        }
        self.act(node, |running, now| {
            running.handle(now, frame)?;
            running.settle(now)
        });
    }

    fn gateway_acts(&mut self, gateway: u32, act: impl FnOnce(&mut Gates)) {
        act(&mut self.gates);
        for Replied { line, shown, stale } in self.gates.outputs(gateway, &mut self.network) {
            self.replies.push(line);
            if let Some((seq, stamp, how)) = shown {
                self.history.note(seq, stamp, how);
            }
            if let Some(what) = stale {
                self.history.break_promise("P2", what);
            }
        }
        self.watch();
    }

    /// The unsynced records of a node; `None`: it is down.
    pub(super) fn unsynced(&self, node: u32) -> Option<usize> {
        let running = self.seats[node as usize - 1].running.as_ref().ok()?;
        let engine = running.engine();
        Some((engine.last_seq() - engine.durable_seq()) as usize)
    }

    /// Is `gateway` there?
    fn known_gateway(&self, gateway: u32) -> Result<(), String> {
        match self.setting.gateways {
            n if (1..=n).contains(&gateway) => Ok(()),
            0 => Err("there is no gateway; a setting `gateways 1` makes one".into()),
            _ => Err(format!("there is no g{gateway}")),
        }
    }
}

/// What comes of a change of the members, in a client's words.
pub(crate) fn changed(node: u32, message: &Message) -> Option<String> {
    let Message::Extension { words, .. } = message else { return None };
    let reply = match membership::Reply::decode(words).ok()?.1 {
        membership::Reply::Done => "it is so already".into(),
        membership::Reply::Begun(seq) => format!("the change is in its log as entry {seq}"),
        membership::Reply::Later(why) => format!("not now: {why}"),
        membership::Reply::Refused(why) => format!("no: {why}"),
        membership::Reply::Elsewhere(_) => "it does not lead".into(),
    };
    Some(format!("n{node} says: {reply}"))
}

fn frame_key(message: &Message) -> Option<Arc<[u8]>> {
    match message {
        Message::Write { op, .. } => op.key().cloned(),
        _ => None,
    }
}

impl Cluster for Nodes {
    type Letter = Frame;

    fn new(setting: &Setting, on: Mechanisms) -> Result<Nodes, String> {
        let (ear, keys) = (Ear::default(), Arc::default());
        let mut nodes = Nodes {
            seats: Vec::new(),
            gates: Gates::default(),
            network: Vec::new(),
            history: Shared::new(History::default()),
            now: 0,
            setting: *setting,
            on,
            ear,
            replies: Vec::new(),
            keys,
            service: Service::default(),
        };
        for id in 1..=setting.nodes {
            let founds = id <= setting.founders;
            let disk = nodes.blank(id, if founds { Standing::Founding } else { Standing::Joining })?;
            let keys = nodes.keys.clone();
            nodes.seats.push(Seat { id, running: Err("it has not started".into()), disk, life: 0, keys });
            nodes.start(id);
        }
        if !setting.cold {
            // What is judged begins with the first step.
            nodes.setting.goal = Goal::Betrayal;
            nodes.establish()?;
            nodes.setting.goal = setting.goal;
        }
        nodes.gates = Gates::new(setting, on, &nodes.ear);
        for gateway in 1..=setting.gateways {
            nodes.gates.outputs(gateway, &mut nodes.network);
        }
        nodes.events();
        Ok(nodes)
    }

    fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut *self.ear.lock().expect("nobody panics here"))
    }

    fn replies(&mut self) -> Vec<String> {
        std::mem::take(&mut self.replies)
    }

    fn history(&self) -> &History {
        &self.history
    }

    fn asked(&mut self, id: u64) {
        self.history.asked(id);
    }

    fn gateway_says(&mut self, node: u32, message: Message) {
        let (from, to) = (Address::Gateway(SCRIPTED), Address::Node(NodeId(node)));
        self.arrives(node, Frame { cluster: CLUSTER, shard: 0, from, to, cause: None, message });
    }

    fn ask(&mut self, gateway: u32, what: &Ask) -> Result<(), String> {
        self.known_gateway(gateway)?;
        self.gateway_acts(gateway, |gates| gates.ask(gateway, what));
        Ok(())
    }

    fn on_the_way(&mut self) -> &mut Vec<Frame> {
        &mut self.network
    }

    fn read(frame: &Frame) -> (Address, Address, &Message) {
        (frame.from, frame.to, &frame.message)
    }

    fn held(&self, node: u32) -> Vec<(Address, &Message)> {
        let running = self.seats[node as usize - 1].running.as_ref().ok();
        running.into_iter().flat_map(Node::held).map(|held| (held.to, &held.message)).collect()
    }

    fn deliver(&mut self, frame: Frame) {
        match frame.to {
            Address::Node(NodeId(node)) => self.arrives(node, frame),
            Address::Gateway(id) => self.gateway_acts(id.gateway, |gates| gates.handle(id, frame)),
        }
    }

    fn stray(&mut self, frame: Frame, at: u32) {
        self.arrives(at, frame);
    }

    fn needs_sync(&self, node: u32) -> bool {
        self.seats[node as usize - 1].running.as_ref().is_ok_and(Node::needs_flush)
    }

    fn sync(&mut self, node: u32) {
        self.act(node, |running, now| {
            running.flush(now)?;
            running.settle(now)
        });
    }

    fn crash(&mut self, node: u32, keep: usize) -> Result<(), String> {
        let seat = self.seat(node);
        if keep > 0 {
            let Ok(running) = &mut seat.running else { return Err(format!("n{node} is down")) };
            if !running.needs_flush() {
                return Err(format!("n{node} has 0 unsynced records"));
            }
            let unsynced = (running.engine().last_seq() - running.engine().durable_seq()) as usize;
            if keep < unsynced {
                return Err(format!(
                    "n{node}'s {unsynced} unsynced records are one batch, which counts whole or not at all: keep 0 or \
                     {unsynced}"
                ));
            }
            if keep > unsynced.max(1) {
                return Err(format!("n{node} has {unsynced} unsynced records"));
            }
            // The power goes while the node waits for its sync; what it says then, nobody hears.
            running.trace_to(Tracer::off());
            seat.disk.hang_syncs();
            let _ = running.flush(0);
            seat.disk.heal();
        } else {
            seat.disk.lose_unsynced();
        }
        self.start(node);
        Ok(())
    }

    fn stand_and_crash(&mut self, node: u32, above: Epoch, keep: usize) -> Result<(), String> {
        if keep > 0 && !self.needs_sync(node) {
            return Err(format!("n{node} has 0 unsynced records"));
        }
        let (from, to) = (Address::Gateway(SCRIPTED), Address::Node(NodeId(node)));
        let message = Message::TakeOver { above, patience: 0 };
        let call = Frame { cluster: CLUSTER, shard: 0, from, to, cause: None, message };
        self.and_then(node, |running, now| running.handle(now, call));
        self.crash(node, 0)
    }

    fn crash_gateway(&mut self, gateway: u32) -> Result<(), String> {
        self.known_gateway(gateway)?;
        self.gateway_acts(gateway, |gates| gates.restart(gateway));
        Ok(())
    }

    fn rot(&mut self, node: u32, keep: usize) -> Result<(), String> {
        let seq = self.seats[node as usize - 1].base() + keep as Seq + 1;
        let at = self.seat(node).record(seq)?;
        let disk = &self.seat(node).disk;
        disk.lose_unsynced();
        disk.turn_bit(at + 60);
        self.start(node);
        Ok(())
    }

    fn damage(&mut self, node: u32, block: Block, harm: Harm) -> Result<(), String> {
        self.seat(node).harm(block, harm)?;
        self.start(node);
        Ok(())
    }

    fn wipe(&mut self, node: u32) {
        match self.blank(node, Standing::Joining) {
            Ok(disk) => {
                self.seat(node).disk = disk;
                self.start(node);
            }
            Err(why) => self.seat(node).running = Err(why),
        }
    }

    fn time_passes(&mut self) {
        self.now += 1;
    }

    fn tick(&mut self, peer: Peer) -> Result<(), String> {
        match peer {
            Peer::Node(node) => self.act(node, |running, now| {
                running.tick(now)?;
                running.settle(now)
            }),
            Peer::Gateway(gateway) => {
                self.known_gateway(gateway)?;
                self.gateway_acts(gateway, |gates| gates.tick(gateway));
            }
        }
        Ok(())
    }

    fn observe(&mut self) {
        self.watch();
    }

    fn readers(&self) -> Vec<String> {
        let serving = self.seats.iter().filter(|seat| {
            seat.replica().is_some_and(|replica| replica.is_primary() && replica.status(0).serving)
        });
        let newest = serving.max_by_key(|seat| seat.replica().map(|replica| replica.core().promised));
        let Some(Seat { id, running: Ok(node), .. }) = newest else { return Vec::new() };
        let keys = self.keys.lock().expect("nobody panics here");
        let keys: std::collections::BTreeSet<&Arc<[u8]>> =
            keys.values().map(|written| &written.key).collect();
        let read = |key: &&Arc<[u8]>| {
            let name = String::from_utf8_lossy(key);
            match node.engine().get(key) {
                Ok(Some(found)) => {
                    let value = String::from_utf8_lossy(&found.value);
                    format!(
                        "whoever reads {name} from n{id} now gets the value {value} (version {})",
                        found.version
                    )
                }
                Ok(None) => format!("whoever reads {name} from n{id} now is told that there is no such key"),
                Err(error) => format!("whoever reads {name} from n{id} now is told: {error}"),
            }
        };
        keys.iter().map(read).collect()
    }

    fn summary(&self) -> Vec<String> {
        self.seats.iter().map(Seat::in_words).collect()
    }
}
