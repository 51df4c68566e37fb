//! The event loop: who acts when, and what travels between them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use dataplane::{Address, Change, Frame, GatewayId, Micros, NodeId, wire};
use disk::Disk;
use gateway::{Gateway, Request, Token};
use node::Node;
use trace::{Actor, EventId, Mechanisms, Tracer};

use crate::blank::formatted;
use crate::checkers::{Broken, Finding, Violation, Watch, broken};
use crate::client::Client;
use crate::clock::Clock;
use crate::coverage::Coverage;
use crate::history::Operation;
use crate::network::{self, Fate, Network};
use crate::options::Options;
use crate::queue::Queue;
use crate::report::Report;
use crate::rng::Rng;
use crate::schedule::{Peer, Schedule};
use crate::told::Told;

/// What handling a batch of frames takes.
pub(crate) const WORK: Micros = 15;

/// What is going to happen.
pub(crate) enum Event {
    /// A frame arrives.
    Arrives(Peer, Frame),
    /// A replica looks at its inbox and its timers. Numbers: seat, and the life of its host.
    Work(usize, u32),
    /// A replica's disk has had the time that a sync takes.
    Flush(usize, u32),
    /// The syncs within a replica's step have had their time: what the step sent leaves.
    Depart(usize, u32),
    /// A gateway's timer.
    Tick(usize, u32),
    /// A client goes on.
    Client(usize),
    /// A gateway reads a client's request: gateway, its life, token, request.
    Submit(usize, u32, Token, Request),
    /// A gateway learns that nobody listens there: gateway, its life, node, shard.
    Refused(usize, u32, NodeId, u32),
    /// The n-th fault.
    Fault(usize),
    /// A host's disk is at work, or was not for long: the death that waits for that comes.
    Doom(usize),
    /// A node starts, if it still is the life that died.
    Start(usize, u32),
    /// A pause ends.
    Resume(usize),
    /// A gateway starts.
    StartGateway(usize),
    /// A new disk is replaced as well: node, shard, for how long the node is down.
    WipeAgain(u32, u32, Micros),
    /// Cuts end.
    Mend(Vec<(Peer, Peer)>),
    /// A storm ends.
    Calm(u64, Micros),
    /// A slow disk is itself again.
    Fast(usize),
    /// Disks are put back.
    Unswap(usize, usize),
    /// Somebody asks for a change of the members, until then.
    Ask(Change, Micros),
    /// All faults end.
    Heal,
    /// Is all well?
    Look,
}

/// A machine with a node process.
pub(crate) struct Host {
    pub up: bool,
    /// Counts deaths and starts, so that what was meant for an earlier life is recognised.
    pub life: u32,
    /// It died and left nobody to answer: connections are refused (kill), or hang (power cut).
    pub refuses: bool,
    pub paused_until: Micros,
    pub clock: Clock,
    pub slow: Option<Micros>,
    /// Its disks do nothing until then.
    pub stalled_until: Micros,
    /// Its disks are in another host.
    pub swapped: bool,
    /// How it dies when a disk is at work, and for how long; with power lost everywhere, or here.
    pub doom: Option<Doom>,
    /// How it dies when its disk's moment comes, and for how long.
    pub armed: Option<Doom>,
}

/// A death that waits for a disk at work.
#[derive(Clone, Copy)]
pub(crate) struct Doom {
    pub death: crate::schedule::Death,
    pub down: Micros,
    pub everywhere: bool,
    /// The fault that it is the end of.
    pub because: Option<EventId>,
}

/// What a replica does when what it said has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// A step of a checkpoint, if no batch waits.
    Work,
    /// It waits for frames and time.
    Wait,
}

/// One replica with its disk.
pub(crate) struct Seat {
    pub node: NodeId,
    pub shard: u32,
    pub disk: Disk,
    pub running: Option<Node<Disk>>,
    pub inbox: VecDeque<Frame>,
    pub wake: Option<Micros>,
    pub flushing: bool,
    /// What it says when the syncs within its last step have had their time.
    pub departing: Option<(Vec<Frame>, Then)>,
    /// Syncs of its disk that took their time.
    pub syncs_charged: u64,
    /// What the sync takes that it waits for.
    pub sync_took: Micros,
    /// Its disk has no more to do from then on, whether or not its process stands still meanwhile.
    pub ready_at: Micros,
    pub applied: u64,
    /// How many times its log has gone round.
    pub lap: u64,
    /// Its disk was wiped or damaged, and no transfer has finished since.
    pub suspect: bool,
    /// It has been seen unproven since.
    pub unproven: bool,
    pub superblock_hit: bool,
    pub wipes: u32,
    pub led: u64,
    /// The epoch in which it was seen to serve.
    pub served: u64,
}

/// A gateway process.
pub(crate) struct Gate {
    pub running: Option<Gateway>,
    pub life: u32,
    pub clock: Clock,
    /// It stands still until then: what comes, waits.
    pub paused_until: Micros,
    pub wake: Option<Micros>,
    /// Whose requests it has.
    pub tokens: BTreeMap<Token, usize>,
    pub next_token: Token,
}

pub(crate) struct World<'a> {
    pub options: &'a Options,
    pub schedule: &'a Schedule,
    pub mechanisms: Mechanisms,
    pub queue: Queue<Event>,
    pub network: Network,
    pub hosts: Vec<Host>,
    pub seats: Vec<Seat>,
    pub gates: Vec<Gate>,
    pub clients: Vec<Client>,
    pub history: Vec<Operation>,
    pub moment: u64,
    pub watches: Vec<Watch>,
    pub rng_disk: Rng,
    pub rng_clock: Rng,
    pub healed: bool,
    /// Since everything healed, each shard had a primary that serves.
    pub served: bool,
    /// Values that were damaged on a replica: its seat, the key, and the entry that wrote it.
    pub rotten: Vec<(usize, Arc<[u8]>, u64)>,
    pub report: Report,
    pub tracer: Tracer,
    pub told: Arc<Told>,
    /// The fault that is being injected.
    pub because: Option<EventId>,
    /// Per link, when the last message to arrive does, and what it is: for the coverage.
    last_to_arrive: BTreeMap<(Peer, Peer), (Micros, &'static str)>,
    violation: Option<Violation>,
    /// What a client found wrong, until the present event is over.
    pub complaint: Option<Broken>,
    pub done: bool,
}

impl<'a> World<'a> {
    pub fn new(schedule: &'a Schedule, options: &'a Options, told: Arc<Told>) -> World<'a> {
        let mechanisms =
            options.without.iter().fold(Mechanisms::all(), |on, mechanism| on.without(*mechanism));
        let stream = |purpose, index| Rng::stream(schedule.seed, purpose, index);
        let network =
            Network::new(stream("network", 0), options.nodes, options.gateways, schedule.weather.clone());
        let mut world = World {
            options,
            schedule,
            mechanisms,
            queue: Queue::default(),
            network,
            hosts: Vec::new(),
            seats: Vec::new(),
            gates: Vec::new(),
            clients: Vec::new(),
            history: Vec::new(),
            moment: 0,
            watches: (0..options.shards)
                .map(|_| Watch::new(options.nodes as usize, schedule.bounds.limits))
                .collect(),
            rng_disk: stream("disk", 0),
            rng_clock: stream("clock", 0),
            healed: false,
            served: false,
            rotten: Vec::new(),
            report: Report { seed: schedule.seed, ..Report::default() },
            tracer: Tracer::off(),
            told,
            because: None,
            last_to_arrive: BTreeMap::new(),
            violation: None,
            complaint: None,
            done: false,
        };
        world.tracer = world.told.tracer(Actor::World, 1);
        // What another run on this thread came across is not this one's.
        trace::mechanism::take_stopped().for_each(drop);
        world.found(stream("clients", 0));
        world
    }

    /// Builds the cluster: formatted disks, nodes and gateways that start at once, clients.
    fn found(&mut self, mut rng: Rng) {
        for node in 1..=self.options.nodes {
            self.hosts.push(Host {
                up: false,
                life: 0,
                refuses: true,
                paused_until: 0,
                clock: Clock::default(),
                slow: None,
                stalled_until: 0,
                swapped: false,
                doom: None,
                armed: None,
            });
            for shard in 0..self.options.shards {
                let bytes = self.schedule.load.disk_bytes();
                let founds = node <= self.options.founders();
                let founding = if founds { engine::Standing::Founding } else { engine::Standing::Joining };
                let disk = formatted(self.options, node, shard, founding, bytes);
                if self.schedule.misdirects() {
                    disk.remember_before();
                }
                self.seats.push(Seat {
                    node: NodeId(node),
                    shard,
                    disk,
                    running: None,
                    inbox: VecDeque::new(),
                    wake: None,
                    flushing: false,
                    departing: None,
                    syncs_charged: 0,
                    sync_took: 0,
                    ready_at: 0,
                    applied: 0,
                    lap: 0,
                    suspect: !founds,
                    unproven: false,
                    superblock_hit: false,
                    wipes: 0,
                    led: 0,
                    served: 0,
                });
            }
            self.queue.at(0, Event::Start(node as usize - 1, 0));
        }
        for gateway in 0..self.options.gateways as usize {
            self.gates.push(Gate {
                running: None,
                life: 0,
                clock: Clock::default(),
                paused_until: 0,
                wake: None,
                tokens: BTreeMap::new(),
                next_token: 1,
            });
            self.queue.at(rng.below(20_000), Event::StartGateway(gateway));
        }
        for client in 0..self.options.clients {
            let (share, asks) =
                (|n: u32| self.schedule.load.operations * n / self.options.clients, &self.schedule.asks);
            let own = asks.iter().flatten().filter(|ask| ask.client == client + 1);
            let listed: VecDeque<_> = own.cloned().collect();
            let left = asks.as_ref().map_or(share(client + 1) - share(client), |_| listed.len() as u32);
            let first = listed.front().map_or(100_000, |ask| ask.at);
            let tracer = self.told.tracer(Actor::Client(client + 1), 1);
            self.clients.push(Client::new(self.schedule.seed, client + 1, left, listed, tracer));
            self.queue.at(first, Event::Client(client as usize));
        }
        for (index, step) in self.schedule.steps.iter().enumerate() {
            self.queue.at(step.at, Event::Fault(index));
        }
        self.queue.at(self.schedule.heal_at, Event::Heal);
    }

    /// Lets it all happen.
    pub fn run(mut self) -> Report {
        while self.advance() {}
        self.finish()
    }

    /// Lets the next thing happen. `false`: it was the last.
    pub fn advance(&mut self) -> bool {
        let Some(event) = self.queue.next() else { return false };
        self.told.begin(self.queue.now());
        self.because = None;
        if let Err(broken) = self.happen(event) {
            self.note(broken);
        }
        !self.done && self.violation.is_none()
    }

    fn happen(&mut self, event: Event) -> Finding {
        match event {
            Event::Arrives(to, frame) => self.arrive(to, frame),
            Event::Work(seat, life) => return self.work(seat, life),
            Event::Flush(seat, life) => return self.flush(seat, life),
            Event::Depart(seat, life) => return self.depart(seat, life),
            Event::Tick(gateway, life) => self.tick(gateway, life),
            Event::Client(client) => self.client_next(client),
            Event::Submit(gateway, life, token, request) => self.submit(gateway, life, token, request),
            Event::WipeAgain(node, shard, down) => self.wipe_again(node, shard, down),
            Event::Refused(gateway, life, node, shard) => self.refused(gateway, life, node, shard),
            Event::Fault(index) => self.inject(index),
            Event::Doom(host) => self.doom(host),
            Event::Start(host, life) => return self.start(host, life),
            Event::Resume(host) => {
                if self.hosts[host].paused_until == self.queue.now() {
                    self.tell_end(|| format!("n{} goes on", host + 1));
                }
                self.resume(host)
            }
            Event::StartGateway(gateway) => self.start_gateway(gateway),
            Event::Mend(links) => {
                if !self.healed {
                    links.iter().for_each(|(from, to)| self.network.cut(*from, *to, false));
                    self.tell_end(|| format!("{} reach each other again", network::links(&links)));
                }
            }
            Event::Calm(loss, delay) => {
                let at = self.network.storms.iter().position(|storm| *storm == (loss, delay));
                if at.map(|at| self.network.storms.remove(at)).is_some() {
                    self.tell_end(|| "the storm is over".into());
                }
            }
            Event::Fast(host) => {
                self.hosts[host].slow = None;
                self.tell_end(|| format!("the disk of n{} is as quick as before", host + 1));
            }
            Event::Ask(change, until) => self.ask_for(change, until),
            Event::Unswap(one, other) => self.unswap(one, other),
            Event::Heal => return self.heal(),
            Event::Look => return self.look(),
        }
        self.clients_finding()
    }

    /// Counts what becomes of a message.
    fn cover_fate(&mut self, from: Peer, to: Peer, frame: &Frame, fate: &Fate) {
        let name = frame.message.name();
        if fate.again.is_some() {
            self.cover("doubled", name);
        }
        let Some(at) = fate.arrives else { return self.cover("lost", name) };
        let last = self.last_to_arrive.entry((from, to)).or_insert((at, name));
        let overtaken = Some(last.1).filter(|_| at < last.0);
        *last = if overtaken.is_some() { *last } else { (at, name) };
        overtaken.into_iter().for_each(|name| self.cover("overtaken", name));
    }

    /// Hands frames to the network.
    pub fn send(&mut self, frames: Vec<Frame>) {
        for frame in frames {
            let (Some(from), Some(to)) = (self.peer(frame.from), self.peer(frame.to)) else { continue };
            if self.schedule.weather.encodes {
                self.code(&frame);
            }
            let now = self.queue.now();
            let fate = self.network.send(now, from, to);
            if self.told.counts {
                self.cover_fate(from, to, &frame, &fate);
            }
            if let Some((at, dice)) = fate.strays {
                self.stray(at, dice, &frame);
            }
            if let Some(at) = fate.again {
                self.queue.at(at, Event::Arrives(to, frame.clone()));
            }
            match fate.arrives {
                Some(at) => self.queue.at(at, Event::Arrives(to, frame)),
                None => {
                    let cut = self.network.is_cut(from, to);
                    let why = || if cut { "the link is cut".into() } else { "the network drops it".into() };
                    self.tell_lost(&frame, why);
                }
            }
        }
    }

    /// Nothing is lost between two processes that speak in bytes.
    fn code(&mut self, frame: &Frame) {
        let mut bytes = Vec::new();
        wire::encode(frame, &mut bytes);
        if wire::decode(&bytes).as_ref() != Ok(frame) {
            let what = format!("{} does not survive its encoding", frame.message.name());
            self.complaint = broken("wire", "P1", 1, what).err();
        }
    }

    /// The frame reaches somebody whom it does not mean; or one of another cluster reaches whom it seems to mean.
    fn stray(&mut self, at: Micros, dice: u64, frame: &Frame) {
        let mut frame = frame.clone();
        let peers: Vec<Peer> = self.network.peers().collect();
        // In 64 bits: a `usize` of 32 would choose another one.
        let mut to = peers[(dice % peers.len() as u64) as usize];
        if dice >> 32 & 3 == 0 {
            frame.cluster = *b"another cluster!";
            to = self.peer(frame.to).unwrap_or(to);
        }
        self.queue.at(at, Event::Arrives(to, frame));
    }

    fn peer(&self, address: Address) -> Option<Peer> {
        match address {
            Address::Node(NodeId(node)) if (1..=self.options.nodes).contains(&node) => Some(Peer::Node(node)),
            Address::Gateway(GatewayId { gateway, .. }) if (1..=self.options.gateways).contains(&gateway) => {
                Some(Peer::Gateway(gateway))
            }
            _ => None,
        }
    }

    fn arrive(&mut self, to: Peer, frame: Frame) {
        let now = self.queue.now();
        match to {
            Peer::Node(node) => {
                let host = &self.hosts[node as usize - 1];
                if !host.up {
                    let refuses = host.refuses;
                    self.cover("lost", frame.message.name());
                    // What strayed here was meant for somebody else, who has it or not.
                    if self.peer(frame.to) == Some(to) {
                        self.tell_lost(&frame, || format!("n{node} is down"));
                    }
                    if let (true, Address::Gateway(id)) = (refuses, frame.from) {
                        let back = now + self.network.weather.delay_min;
                        let gateway = id.gateway as usize - 1;
                        let event = Event::Refused(gateway, id.life, NodeId(node), frame.shard);
                        self.queue.at(back, event);
                    }
                    return;
                }
                // A foreign shard's frame lands at some replica of the node, which has to notice.
                let shard = frame.shard.min(self.options.shards - 1);
                let seat = (node - 1) as usize * self.options.shards as usize + shard as usize;
                self.seats[seat].inbox.push_back(frame);
                self.wake(seat, now + WORK);
            }
            Peer::Gateway(gateway) => {
                let gate = &mut self.gates[gateway as usize - 1];
                if gate.paused_until > now {
                    return self.queue.at(gate.paused_until, Event::Arrives(to, frame));
                }
                if let Some(running) = &mut gate.running {
                    running.handle(gate.clock.read(now), frame);
                    self.gateway_outputs(gateway as usize - 1);
                }
            }
        }
    }

    fn note(&mut self, broken: Broken) {
        let Broken { invariant, promise, checker, sentence } = broken;
        let at = self.queue.now();
        self.violation.get_or_insert(Violation {
            invariant: invariant.to_string(),
            promise,
            checker,
            sentence,
            at,
        });
    }

    fn finish(mut self) -> Report {
        if !self.done {
            self.cover_stopped();
        }
        self.report.coverage = self.take_coverage();
        if self.told.traces {
            self.report.history = self.history.iter().map(Operation::tell).collect();
        }
        self.report.violation = self.violation;
        self.report.committed = self.watches.iter().map(Watch::committed).sum();
        self.report.micros = self.queue.now();
        self.report
    }
}

impl World<'_> {
    /// Counts what the mechanisms stopped so far. What the checkers ask them afterwards is no part of it.
    pub(crate) fn cover_stopped(&self) {
        if self.told.counts {
            let coverage = &mut self.told.kept().coverage;
            trace::mechanism::take_stopped()
                .for_each(|(m, times)| coverage.count("stopped by", m.id(), times));
        }
    }

    /// All that was counted, here and by the checkers.
    fn take_coverage(&self) -> Coverage {
        if !self.told.counts {
            return Coverage::default();
        }
        let mut all = self.told.kept().coverage.clone();
        self.report.faults.iter().for_each(|(kind, times)| all.count("fault", kind, *times));
        self.watches
            .iter()
            .flat_map(Watch::coverage)
            .for_each(|(entry, times)| all.count("recovery", entry, times));
        all.count("recovery", "new put refused: disk full", self.report.full);
        all.count("recovery", "write with an unknown outcome", self.report.unknown);
        all
    }
}
