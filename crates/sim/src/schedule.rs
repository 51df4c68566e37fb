//! A schedule: everything that will go wrong, as data.
//!
//! Generating and executing are two steps, so that a schedule can be shrunk, saved and replayed without the dice that
//! made it. Each seed draws its own subset of faults and its own intensity (swarm testing: Groce et al., "Swarm
//! testing", ISSTA 2012): a schedule with every fault at once hides the failures that need many of one kind.
//!
//! Every fault names its own end, so that one can be left out without leaving another without its repair. What the
//! fault model rules out at the moment of execution (damage to a majority at once, say) is passed over by the world, so
//! that any subset of a schedule is a schedule.

use dataplane::{Limits, Micros};
use disk::Place;

use crate::ask::Ask;
use crate::options::Options;
use crate::rng::Rng;

/// A process on the network. Nodes and gateways are numbered from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// A storage node, with all its shards.
    Node(u32),
    /// A gateway.
    Gateway(u32),
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// kill -9: what it wrote is in the page cache still.
    Kill,
    /// Power is lost: of what it wrote since the last sync anything may be gone.
    PowerCut,
}

/// One thing that goes wrong. Durations are in microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A node dies, and starts again after `down`.
    Crash {
        /// Which.
        node: u32,
        /// How.
        death: Death,
        /// As soon as one of its disks is at work, so that something is lost: else an idle node mostly dies.
        busy: bool,
        /// For how long.
        down: Micros,
    },
    /// A node dies in the middle of its work: after `ios` more writes and syncs of one of its disks.
    CrashAtIo {
        /// Which.
        node: u32,
        /// Which of its disks.
        shard: u32,
        /// How.
        death: Death,
        /// After so many.
        ios: u64,
        /// For how long.
        down: Micros,
    },
    /// Power is lost everywhere at once; the nodes come back one after the other.
    PowerCutAll {
        /// As soon as any disk is at work.
        busy: bool,
        /// The first comes back after this.
        down: Micros,
    },
    /// A node stands still, and goes on as if no time had passed.
    Pause {
        /// Which.
        node: u32,
        /// For how long.
        length: Micros,
    },
    /// A process's clock jumps, ahead or back.
    ClockJump {
        /// Whose.
        peer: Peer,
        /// By how much.
        ahead: i64,
    },
    /// No message of `from` reaches `to`.
    Cut {
        /// The sender.
        from: Peer,
        /// The receiver.
        to: Peer,
        /// For how long.
        length: Micros,
    },
    /// A process is cut off from the others.
    Isolate {
        /// Which.
        peer: Peer,
        /// What it is sent is lost.
        inward: bool,
        /// What it sends is lost.
        outward: bool,
        /// Gateways still reach it, and it them.
        nodes_only: bool,
        /// For how long.
        length: Micros,
    },
    /// Two groups that cannot reach each other: bit n of `left` puts the n-th process (nodes, then gateways) into one.
    Split {
        /// Who is on one side.
        left: u32,
        /// For how long.
        length: Micros,
    },
    /// For a while more messages are lost and delayed.
    Storm {
        /// Lost, of a million.
        loss: u64,
        /// Longest delay.
        delay: Micros,
        /// For how long.
        length: Micros,
    },
    /// A gateway dies; its successor is a new life that knows nothing.
    GatewayCrash {
        /// Which.
        gateway: u32,
        /// For how long.
        down: Micros,
    },
    /// A gateway stands still, and goes on as if no time had passed.
    GatewayPause {
        /// Which.
        gateway: u32,
        /// For how long.
        length: Micros,
    },
    /// A node's disk is replaced by an empty one, which `format` marks as joining.
    Wipe {
        /// Which.
        node: u32,
        /// Which of its disks.
        shard: u32,
        /// For how long the node is down.
        down: Micros,
        /// So long after that the new disk is replaced as well; 0: it is not.
        again: Micros,
    },
    /// Two nodes are stopped, and started on each other's disks: both must refuse. Then the disks are put back.
    SwapDisks {
        /// One.
        one: u32,
        /// The other.
        other: u32,
        /// For how long.
        down: Micros,
    },
    /// The next sync of a disk fails.
    SyncError {
        /// Whose.
        node: u32,
        /// Which.
        shard: u32,
    },
    /// The next reads of a disk fail.
    ReadErrors {
        /// Whose.
        node: u32,
        /// Which.
        shard: u32,
        /// How many.
        reads: u32,
    },
    /// A bit turns.
    BitRot {
        /// Whose disk. If a value is to be found damaged only when it is read, that of whoever leads.
        node: u32,
        /// Which.
        shard: u32,
        /// Where.
        place: Place,
        /// Whether the node restarts at once, and so reads all of it.
        restart: bool,
    },
    /// A bit turns in a value on each replica, as far as another one has the same value whole.
    RotValues {
        /// Of which shard.
        shard: u32,
    },
    /// A write went to another sector.
    Misdirect {
        /// Whose disk.
        node: u32,
        /// Which.
        shard: u32,
        /// Where.
        place: Place,
        /// Whether the node restarts at once, and so reads all of it.
        restart: bool,
    },
    /// A gateway's timer is wrong: a node is asked to take over from a primary that is well.
    TakeOver {
        /// Which.
        node: u32,
        /// Which of its shards.
        shard: u32,
    },
    /// Somebody wants a node added, and asks until it is.
    Add {
        /// Which.
        node: u32,
        /// For how long.
        length: Micros,
    },
    /// Somebody wants a node removed, and asks until it is.
    Remove {
        /// Which.
        node: u32,
        /// For how long.
        length: Micros,
    },
    /// A disk is slow.
    SlowDisk {
        /// Whose.
        node: u32,
        /// What each sync takes.
        sync: Micros,
        /// For how long; `None` for ever, also when everything else has healed.
        length: Option<Micros>,
    },
    /// Disks stop: no write and no sync ends before they go on, and then they are as quick as before.
    Stall {
        /// Whose; `None`: all.
        node: Option<u32>,
        /// For how long.
        length: Micros,
    },
}

/// What is always wrong with the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weather {
    /// Lost messages, of a million.
    pub loss: u64,
    /// Messages that come twice, of a million.
    pub duplication: u64,
    /// Messages that somebody else gets as well, of a million: an address was used again.
    pub misdelivery: u64,
    /// Shortest way.
    pub delay_min: Micros,
    /// Longest usual way.
    pub delay_max: Micros,
    /// Stragglers, of a million.
    pub stragglers: u64,
    /// How late they are at most.
    pub straggle_max: Micros,
    /// Do messages overtake one another?
    pub reorders: bool,
    /// What a sync takes, at least and at most.
    pub sync: (Micros, Micros),
    /// Does every frame go through its encoding?
    pub encodes: bool,
}

impl Weather {
    /// A good day.
    pub fn fair() -> Weather {
        Weather {
            loss: 0,
            duplication: 0,
            misdelivery: 0,
            delay_min: 100,
            delay_max: 400,
            stragglers: 0,
            straggle_max: 0,
            reorders: false,
            sync: (300, 900),
            encodes: false,
        }
    }
}

/// How much the cluster keeps in flight and in memory: the bounds of a real one, or so small ones that they are felt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// What replicas remember of requests.
    pub limits: Limits,
    /// Entries that a primary takes on before they are applied, and reads that it lets wait.
    pub waiting_max: u64,
    /// Bytes on their way to one backup, and so at most in one frame.
    pub window_bytes: u64,
    /// Requests that a gateway takes on before they are answered.
    pub in_flight_max: usize,
}

impl Bounds {
    /// Bounds that are not felt.
    pub fn usual() -> Bounds {
        Bounds { limits: Limits::default(), waiting_max: 64, window_bytes: 64 << 10, in_flight_max: 64 }
    }
}

/// What the clients do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// Operations in all.
    pub operations: u32,
    /// How many keys they share.
    pub keys: u64,
    /// Longest pause between two operations of one client.
    pub think_max: Micros,
    /// Of a hundred operations, how many read.
    pub reads: u64,
    /// Of a hundred reads, how many ask about all keys.
    pub scans: u64,
    /// Of a hundred operations, how many delete.
    pub deletes: u64,
    /// Of a hundred writes, how many are conditional.
    pub conditional: u64,
    /// Keys have at least so many bytes.
    pub key_length: u64,
    /// Longest value in bytes.
    pub value_max: u64,
    /// Disks so large that values may be as long as any are, and a few are.
    pub large: bool,
    /// More than the disks can hold. A replica may then have no room for a state beside its own, and give up its own.
    pub floods: bool,
}

impl Load {
    /// Short values of three keys.
    pub fn usual() -> Load {
        Load {
            operations: 0,
            keys: 3,
            think_max: 40_000,
            reads: 40,
            scans: 0,
            deletes: 0,
            conditional: 0,
            key_length: 0,
            value_max: 16,
            large: false,
            floods: false,
        }
    }

    /// Small enough that checkpoints come often and the log laps within a schedule.
    pub(crate) fn disk_bytes(&self) -> u64 {
        if self.large { 16 << 20 } else { 256 << 10 }
    }

    /// The length of the next value.
    pub(crate) fn value_length(&self, rng: &mut Rng) -> u64 {
        if self.large && rng.chance(100_000) {
            return LARGEST - rng.below(64);
        }
        rng.below(self.value_max + 1)
    }
}

/// The longest value.
const LARGEST: u64 = 1 << 20;

/// A fault and its moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Microseconds since the schedule began.
    pub at: Micros,
    /// What happens.
    pub fault: Fault,
}

/// Everything that makes a run what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Seeds the dice that remain: the delay of each message, the sectors a power cut takes, what a client does.
    pub seed: u64,
    /// The network's and disks' usual state.
    pub weather: Weather,
    /// The bounds of the cluster.
    pub bounds: Bounds,
    /// The clients.
    pub load: Load,
    /// What they ask, one by one; `None`: what the dice choose by the load.
    pub asks: Option<Vec<Ask>>,
    /// In order of time.
    pub steps: Vec<Step>,
    /// When everything heals.
    pub heal_at: Micros,
}

/// The faults by the names under which they are counted when they were carried out.
pub(crate) const FAULTS: [&str; 30] = [
    "bit rot",
    "clock jump",
    "clock jump back",
    "crash at an I/O",
    "cut link",
    "gateway crash",
    "gateway pause",
    "isolation",
    "kill",
    "member added",
    "member removed",
    "misdirected write",
    "needless takeover",
    "one-way isolation",
    "partition",
    "pause",
    "power cut",
    "power cut of all",
    "read errors",
    "rot of values",
    "slow disk",
    "slow disk for good",
    "stalled disk",
    "stalled disks of all",
    "storm",
    "swapped disks",
    "sync error",
    "wiped disk",
    "wiped disk, again",
    "wiped disk, while it was being filled",
];

/// The kinds that a swarm chooses from, with how often each is drawn when it was chosen.
const KINDS: [(&str, u64); 20] = [
    ("power cut", 3),
    ("kill", 3),
    ("crash at an I/O", 4),
    ("power cut of all", 2),
    ("pause", 3),
    ("clock jump", 1),
    ("cut", 3),
    ("isolation", 4),
    ("split", 2),
    ("storm", 2),
    ("gateway crash", 2),
    ("gateway pause", 2),
    ("wipe", 3),
    ("swapped disks", 1),
    ("sync error", 1),
    ("damage", 5),
    ("read errors", 1),
    ("slow disk", 2),
    ("needless takeover", 6),
    ("rot of values", 3),
];

/// What is drawn as well where members change.
const CHANGES: [(&str, u64); 2] = [("add", 8), ("remove", 8)];

impl Schedule {
    /// The schedule of a seed.
    pub fn generate(seed: u64, options: &Options) -> Schedule {
        let mut rng = Rng::stream(seed, "weather", 0);
        let weather = weather(&mut rng);
        let bounds = bounds(&mut Rng::stream(seed, "bounds", 0));
        let mut rng = Rng::stream(seed, "load", 0);
        let load = load(&mut rng, options);
        let mut rng = Rng::stream(seed, "swarm", 0);
        let heal_at = rng.between(1_500_000, 3_000_000);
        let mut chosen: Vec<(&str, u64)> = KINDS.iter().copied().filter(|_| rng.chance(400_000)).collect();
        chosen.extend(CHANGES.iter().filter(|_| options.with.changes_members()));
        if chosen.is_empty() {
            chosen.push(*rng.pick(&KINDS));
        }
        let weight: u64 = chosen.iter().map(|kind| kind.1).sum();
        let count = rng.between(u64::from(options.faults_min), u64::from(options.faults_min) + 10);
        let mut steps = Vec::new();
        for index in 0..count {
            let mut rng = Rng::stream(seed, "fault", index);
            let mut left = rng.below(weight);
            let kind = chosen.iter().find(|kind| {
                let hit = left < kind.1;
                left = left.saturating_sub(kind.1);
                hit
            });
            let at = rng.between(150_000, heal_at - 50_000);
            steps.push(Step { at, fault: fault(kind.map_or("kill", |kind| kind.0), &mut rng, options) });
        }
        steps.extend(stall(&mut Rng::stream(seed, "stall", 0), heal_at, options));
        steps.sort_by_key(|step| step.at);
        Schedule { seed, weather, bounds, load, asks: None, steps, heal_at }
    }
}

/// Now and then disks stall, beside whatever else goes wrong: for seconds, far longer than anything else takes, and up to
/// after all other faults. Long, because whoever measures a disk remembers it.
fn stall(rng: &mut Rng, heal_at: Micros, options: &Options) -> Option<Step> {
    rng.chance(150_000).then(|| {
        let (at, length) = (rng.between(150_000, heal_at - 50_000), rng.between(1_000_000, 5_000_000));
        let node = rng.between(1, u64::from(options.nodes)) as u32;
        Step { at, fault: Fault::Stall { node: rng.chance(400_000).then_some(node), length } }
    })
}

fn weather(rng: &mut Rng) -> Weather {
    let mut often = |ppm: u64, max: u64| if rng.chance(ppm) { rng.below(max) } else { 0 };
    let (loss, duplication) = (often(400_000, 50_000), often(400_000, 80_000));
    let (stragglers, misdelivery) = (often(400_000, 40_000), often(150_000, 20_000));
    let delay_min = rng.between(50, 500);
    let sync_min = rng.between(100, 2_000);
    Weather {
        loss,
        duplication,
        misdelivery,
        delay_min,
        delay_max: delay_min + rng.between(50, 4_000),
        stragglers,
        straggle_max: rng.between(20_000, 1_500_000),
        reorders: rng.chance(500_000),
        sync: (sync_min, sync_min + rng.between(100, 8_000)),
        encodes: rng.chance(100_000),
    }
}

fn bounds(rng: &mut Rng) -> Bounds {
    let (usual, small) = (Bounds::usual(), rng.chance(400_000));
    let mut bounded = |usual: u64, min: u64, max: u64| {
        if small && rng.chance(500_000) { rng.between(min, max) } else { usual }
    };
    Bounds {
        limits: Limits {
            sessions: bounded(usual.limits.sessions as u64, 1, 3) as usize,
            window: bounded(usual.limits.window, 1, 8),
        },
        waiting_max: bounded(usual.waiting_max, 1, 4),
        in_flight_max: bounded(usual.in_flight_max as u64, 1, 3) as usize,
        window_bytes: 1 << rng.between(9, 16),
    }
}

fn load(rng: &mut Rng, options: &Options) -> Load {
    let per_client = u64::from(options.operations / options.clients.max(1)).max(1);
    // A few clusters get more than their disks can hold.
    let floods = rng.chance(50_000);
    let large = !floods && rng.chance(4_000);
    Load {
        operations: options.operations,
        keys: if floods { 16 } else { rng.between(2, 6) },
        // About as long as the faults last.
        think_max: 2 * rng.between(1_000_000, 2_000_000) / per_client,
        reads: rng.between(20, 60),
        scans: if rng.chance(500_000) { rng.between(5, 40) } else { 0 },
        large,
        deletes: rng.below(15),
        conditional: rng.below(40),
        floods,
        key_length: if rng.chance(250_000) { rng.between(100, 1_024) } else { 0 },
        value_max: if floods { 30_000 } else { *rng.pick(&[16, 300, 1_500, 4_000]) },
    }
}

fn fault(kind: &str, rng: &mut Rng, options: &Options) -> Fault {
    let node = rng.between(1, u64::from(options.nodes)) as u32;
    let shard = rng.below(u64::from(options.shards)) as u32;
    let gateway = rng.between(1, u64::from(options.gateways)) as u32;
    let peers = u64::from(options.nodes + options.gateways);
    let peer = |n: u64| {
        if n < u64::from(options.nodes) {
            Peer::Node(n as u32 + 1)
        } else {
            Peer::Gateway(n as u32 - options.nodes + 1)
        }
    };
    let down = if rng.chance(500_000) { rng.between(1_000, 60_000) } else { rng.between(60_000, 700_000) };
    let length = rng.between(30_000, 800_000);
    let death = if rng.chance(600_000) { Death::PowerCut } else { Death::Kill };
    let place =
        *rng.pick(&[Place::Superblock, Place::Log, Place::Log, Place::Data, Place::Data, Place::Data]);
    let (restart, busy) = (rng.chance(400_000), rng.chance(700_000));
    match kind {
        "power cut" => Fault::Crash { node, death: Death::PowerCut, busy, down },
        "crash at an I/O" => Fault::CrashAtIo { node, shard, death, ios: rng.below(30), down },
        "power cut of all" => Fault::PowerCutAll { busy, down },
        "pause" => Fault::Pause { node, length },
        "clock jump" => {
            let far = rng.between(10_000, 5_000_000) as i64;
            let peer = if rng.chance(700_000) { Peer::Node(node) } else { Peer::Gateway(gateway) };
            Fault::ClockJump { peer, ahead: if rng.chance(500_000) { far } else { -far } }
        }
        "cut" => {
            let from = rng.below(peers);
            let to = (from + rng.between(1, peers - 1)) % peers;
            Fault::Cut { from: peer(from), to: peer(to), length }
        }
        "isolation" => {
            let both = rng.chance(500_000);
            let inward = both || rng.chance(500_000);
            let who = if rng.chance(800_000) { Peer::Node(node) } else { Peer::Gateway(gateway) };
            let nodes_only = rng.chance(400_000) && who == Peer::Node(node);
            Fault::Isolate { peer: who, inward, outward: both || !inward, nodes_only, length }
        }
        "split" => Fault::Split { left: rng.below(1 << peers) as u32, length },
        "storm" => {
            Fault::Storm { loss: rng.below(400_000), delay: rng.between(1_000, 200_000), length: length / 2 }
        }
        "gateway crash" => Fault::GatewayCrash { gateway, down },
        "gateway pause" => Fault::GatewayPause { gateway, length },
        "wipe" => {
            let again = if rng.chance(300_000) { rng.between(1_000, 300_000) } else { 0 };
            Fault::Wipe { node, shard, down: down / 4, again }
        }
        "swapped disks" => {
            let other = node % options.nodes + 1;
            Fault::SwapDisks { one: node, other, down: down / 4 }
        }
        "add" => Fault::Add { node, length: 2 * length },
        "remove" => Fault::Remove { node, length: 2 * length },
        "sync error" => Fault::SyncError { node, shard },
        "damage" if rng.chance(500_000) => Fault::Misdirect { node, shard, place: Place::Log, restart },
        "damage" => Fault::BitRot { node, shard, place, restart },
        "rot of values" => Fault::RotValues { shard },
        "read errors" => Fault::ReadErrors { node, shard, reads: rng.between(1, 4) as u32 },
        "needless takeover" => Fault::TakeOver { node, shard },
        "slow disk" => {
            let sync = if rng.chance(800_000) { rng.between(10_000, 150_000) } else { 1_000_000 };
            Fault::SlowDisk { node, sync, length: (!rng.chance(300_000)).then_some(length) }
        }
        _ => Fault::Crash { node, death: Death::Kill, busy, down },
    }
}
