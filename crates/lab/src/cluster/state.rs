//! The state of a cluster as facts: what a page draws, and a person asks for.

use dataplane::{Address, Frame, GatewayId, Message, NodeId, RoleName, Seq};
use disk::Disk;
use engine::format::superblock::SLOTS;
use engine::{Owner, Usage};
use gateway::Gateway;
use node::Node;
use sim::Look;

use super::nodes::Nodes;
use super::seat::{Seat, superblock};
use super::stage::{Stage, peer};
use crate::brief::brief;

/// The whole cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// In their order.
    pub nodes: Vec<NodeState>,
    /// In their order.
    pub gateways: Vec<GatewayState>,
    /// What is on its way, in the order of sending.
    pub network: Vec<Way>,
    /// Links that lose everything.
    pub cut: Vec<(String, String)>,
}

/// A message on its way, or waiting for a sync.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Way {
    /// The sender.
    pub from: String,
    /// The receiver.
    pub to: String,
    /// The name of the message.
    pub name: String,
    /// The message in a few words.
    pub words: String,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeState {
    /// Its name.
    pub name: String,
    /// Why it is down; nothing else is known then but its disk.
    pub down: Option<String>,
    /// What it is to the others.
    pub role: &'static str,
    /// Does it serve clients?
    pub serving: bool,
    /// Does its log have all that it ever had?
    pub proven: bool,
    /// The greatest epoch that it promised.
    pub promised: u64,
    /// Entries up to this one are in the checkpoint only.
    pub base: Seq,
    /// The entries behind the base.
    pub log: Vec<Cell>,
    /// The last durable entry.
    pub durable: Seq,
    /// The last committed entry.
    pub committed: Seq,
    /// The last applied entry.
    pub applied: Seq,
    /// The sessions that it knows: the entry that opened each, and its gateway.
    pub sessions: Vec<(Seq, String)>,
    /// The keys, with version and value.
    pub keys: Vec<(String, Seq, String)>,
    /// Messages that wait for a sync.
    pub held: Vec<Way>,
    /// Does anything wait for a sync?
    pub unsynced: bool,
    /// What is on the disk.
    pub disk: DiskState,
}

/// How far an entry has come at a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Appended, not synced.
    Tentative,
    /// Survives a crash.
    Durable,
    /// A majority has it durable, and this node knows.
    Committed,
    /// Its effect is visible.
    Applied,
}

/// One entry of a log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cell {
    /// Its position.
    pub seq: Seq,
    /// The epoch that wrote it.
    pub epoch: u64,
    /// How far it has come.
    pub standing: Standing,
}

/// The disk of a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DiskState {
    /// Superblocks A and B; `None`: not readable.
    pub superblocks: [Option<Slot>; 2],
    /// Bytes of the log ring, and how many of them are in use.
    pub log: (u64, u64),
    /// Units of the data region: all, in quarantine, free.
    pub units: [u64; 3],
    /// Owned extents: first unit, units, and whose they are.
    pub extents: Vec<(u64, u64, String)>,
    /// Would a loss of power find anything that is not durable?
    pub unsynced: bool,
}

/// One superblock.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    /// The greatest one counts.
    pub generation: u64,
    /// The durable promise.
    pub promised: u64,
    /// The entry that the checkpoint is as of.
    pub checkpoint: Seq,
}

/// One gateway.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GatewayState {
    /// Its name.
    pub name: String,
    /// How often it started.
    pub life: u32,
    /// The greatest epoch that it heard of.
    pub epoch: u64,
    /// Who serves, as far as it knows.
    pub primary: Option<String>,
    /// Requests of clients without an answer.
    pub in_flight: usize,
}

impl Stage<Nodes> {
    /// The state as facts.
    pub(crate) fn facts(&self) -> State {
        let Nodes { seats, gates, network, .. } = &self.cluster;
        State {
            nodes: seats.iter().map(seat_state).collect(),
            gateways: gates
                .all
                .iter()
                .map(|gate| gateway_state(gate.id, &gate.running, gate.running.in_flight()))
                .collect(),
            network: network
                .iter()
                .map(|frame| way(peer(frame.from).to_string(), peer(frame.to).to_string(), &frame.message))
                .collect(),
            cut: self.cut.iter().map(|(one, other)| (one.to_string(), other.to_string())).collect(),
        }
    }
}

impl State {
    /// What can be seen of a simulated cluster in the midst of its run.
    pub(crate) fn of_simulation(look: &Look, shards: u32) -> State {
        let name = |node: u32, shard: u32| match shards {
            1 => format!("n{node}"),
            _ => format!("n{node}/{shard}"),
        };
        let address = |address: Address, frame: &Frame| match address {
            Address::Node(NodeId(node)) => name(node, frame.shard),
            other => peer(other).to_string(),
        };
        let nodes = look.replicas();
        let nodes = nodes.map(|(node, shard, running, disk)| node_state(name(node, shard), running, disk));
        let gateways = look.gateways();
        let gateways = gateways
            .map(|(gateway, life, running, owed)| gateway_state(GatewayId { gateway, life }, running, owed));
        let frames = look.on_their_way().into_iter();
        let network = frames
            .map(|(_, frame)| way(address(frame.from, frame), address(frame.to, frame), &frame.message));
        State {
            nodes: nodes.collect(),
            gateways: gateways.collect(),
            network: network.collect(),
            cut: Vec::new(),
        }
    }
}

fn way(from: String, to: String, message: &Message) -> Way {
    Way { from, to, name: message.name().to_string(), words: brief(message) }
}

fn gateway_state(id: GatewayId, running: &Gateway, in_flight: usize) -> GatewayState {
    let view = running.view();
    GatewayState {
        name: format!("g{}", id.gateway),
        life: id.life,
        epoch: view.first().map_or(0, |shard| shard.epoch.0),
        primary: view.first().and_then(|shard| shard.primary).map(|NodeId(node)| format!("n{node}")),
        in_flight,
    }
}

/// The role as ARCHITECTURE calls it.
fn role(role: RoleName) -> &'static str {
    match role {
        RoleName::Primary => "primary",
        RoleName::Candidate => "candidate",
        RoleName::Backup => "backup",
    }
}

fn seat_state(seat: &Seat) -> NodeState {
    let running = seat.running.as_ref().map_err(String::as_str);
    node_state(format!("n{}", seat.id), running, &seat.disk)
}

fn node_state(name: String, running: Result<&Node<Disk>, &str>, disk: &Disk) -> NodeState {
    let node = match running {
        Ok(node) => node,
        Err(why) => return down(name, why, disk),
    };
    let (status, core) = (node.status(0), node.replica().core());
    let held = node.held().map(|held| way(name.clone(), peer(held.to).to_string(), &held.message));
    NodeState {
        down: None,
        role: role(status.role),
        serving: status.serving,
        proven: core.proven,
        promised: core.promised.0,
        base: core.log.base(),
        log: cells(node),
        durable: core.durable,
        committed: core.commit,
        applied: core.applied,
        sessions: sessions(node),
        keys: keys(node),
        held: held.collect(),
        unsynced: node.needs_flush(),
        disk: disk_state(disk, Some(node)),
        name,
    }
}

fn down(name: String, why: &str, disk: &Disk) -> NodeState {
    NodeState {
        name,
        down: Some(why.to_string()),
        role: "down",
        serving: false,
        proven: false,
        promised: 0,
        base: 0,
        log: Vec::new(),
        durable: 0,
        committed: 0,
        applied: 0,
        sessions: Vec::new(),
        keys: Vec::new(),
        held: Vec::new(),
        unsynced: false,
        disk: disk_state(disk, None),
    }
}

fn cells(node: &Node<Disk>) -> Vec<Cell> {
    let core = node.replica().core();
    let cell = |seq: Seq| {
        let standing = match seq {
            seq if seq <= core.applied => Standing::Applied,
            seq if seq <= core.commit => Standing::Committed,
            seq if seq <= core.durable => Standing::Durable,
            _ => Standing::Tentative,
        };
        let epoch = core.log.epoch_at(seq)?.0;
        Some(Cell { seq, epoch, standing })
    };
    (core.log.base() + 1..=core.log.tail().seq).filter_map(cell).collect()
}

fn sessions(node: &Node<Disk>) -> Vec<(Seq, String)> {
    let sessions = &node.replica().core().sessions;
    let gateway = |seq: Seq| Some((seq, format!("g{}", sessions.gateway(seq)?.gateway)));
    (1..=node.replica().core().applied).filter_map(gateway).collect()
}

fn keys(node: &Node<Disk>) -> Vec<(String, Seq, String)> {
    const KEYS_MAX: usize = 32;
    let engine = node.engine();
    let keys = engine.scan(b"", None, KEYS_MAX).into_iter();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    keys.map(|(key, version, _)| {
        let value = match engine.get(&key) {
            Ok(Some(found)) => text(&found.value),
            Ok(None) => String::new(),
            Err(error) => format!("damaged: {error}"),
        };
        (text(&key), version, value)
    })
    .collect()
}

fn disk_state(disk: &Disk, node: Option<&Node<Disk>>) -> DiskState {
    let slot = |at: u64| {
        superblock(disk, at).map(|block| Slot {
            generation: block.generation,
            promised: block.promise,
            checkpoint: block.checkpoint_seq,
        })
    };
    let usage: Option<Usage> = node.map(|node| node.engine().space());
    let owner = |owner: Owner| match owner {
        Owner::Key(key, _) => format!("value of {}", String::from_utf8_lossy(&key)),
        Owner::Entry(seq, _) => format!("value of entry {seq}"),
        Owner::Chunk(_) => "checkpoint".to_string(),
    };
    let owners = node.map(|node| node.engine().owners()).unwrap_or_default();
    DiskState {
        superblocks: SLOTS.map(slot),
        log: usage.as_ref().map_or((0, 0), |usage| (usage.wal_bytes, usage.wal_used)),
        units: usage.map_or([0; 3], |usage| [usage.units, usage.quarantined, usage.free]),
        extents: owners.into_iter().map(|(e, whose)| (e.unit, e.units, owner(whose))).collect(),
        unsynced: disk.has_unsynced(),
    }
}
