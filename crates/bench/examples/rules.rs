//! What a put and a get compute: a gateway, a primary and two backups in one process, without sockets and disks.
//!
//! `cargo run --release -p bench --example rules [-- REQUESTS_IN_A_BATCH]`
//!
//! Nothing waits here, so the figures are the processor's alone: a change of a few percent shows, where a cluster's rate
//! moves by a tenth with whatever else the machine does. The caches are warmer than in processes of their own, though, and
//! what the kernel does is not here at all.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bench::load::{Random, median};
use dataplane::{Address, Condition, Frame, GatewayId, NodeId, Op, Query, wire};
use engine::{Device, Layout, Standing};
use gateway::{Gateway, Output, Reply, Request};
use node::{Config, Node};
use trace::{Mechanisms, Tracer};

const CLUSTER: [u8; 16] = [7; 16];
const KEYS: u64 = 20_000;
const VALUE_BYTES: usize = 100;
/// A quarter of it is the log.
const DEVICE_BYTES: usize = 128 << 20;
/// Requests in a round, about; a round is measured as one.
const ROUND: u64 = 4_000;
/// Rounds of puts, and of gets; in so many, every node makes a dozen checkpoints.
const ROUNDS: u64 = 120;

/// A device in memory.
#[derive(Clone)]
struct Memory(Rc<RefCell<Vec<u8>>>);

impl Device for Memory {
    fn size(&self) -> u64 {
        self.0.borrow().len() as u64
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        buf.copy_from_slice(&self.0.borrow()[offset as usize..][..buf.len()]);
        Ok(())
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.borrow_mut()[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Who computes.
#[derive(Clone, Copy)]
enum Part {
    Gateway,
    Primary,
    Backups,
    /// A batch is written, and what it made durable is applied and answered: on all three.
    Flush,
    /// Frames are read, wherever they arrive. Writing them counts for who sends.
    Decode,
}

const PARTS: [&str; 5] = ["gateway", "primary", "both backups", "three flushes", "decoding"];

struct World {
    gateway: Gateway,
    nodes: Vec<Node<Memory>>,
    now: u64,
    token: u64,
    nanos: [u64; PARTS.len()],
}

impl World {
    fn new() -> World {
        let mechanisms = Mechanisms::all();
        let members: Vec<NodeId> = (1..=3).map(NodeId).collect();
        let open = |node: NodeId| {
            let device = Memory(Rc::new(RefCell::new(vec![0; DEVICE_BYTES])));
            let (members, timing) = (members.clone(), dataplane::Timing::default());
            let (cluster, shard, shards, pid, life) = (CLUSTER, 0, 1, 1, 1);
            let (limits, members_change) = (dataplane::Limits::default(), false);
            let config = Config {
                cluster,
                shard,
                shards,
                rules: dataplane::Config {
                    me: node,
                    members,
                    members_change,
                    pid,
                    life,
                    mechanisms,
                    timing,
                    limits,
                },
            };
            engine::format(&device, &config.identity(), Standing::Member, Layout::default())
                .expect("it is new");
            Node::open(device, config, Tracer::off()).expect("it is formatted").0
        };
        let nodes = members.iter().map(|node| open(*node)).collect();
        let config = gateway::Config {
            id: GatewayId { gateway: 1, life: 1 },
            cluster: CLUSTER,
            nodes: members,
            shards: 1,
            seed: 1,
            mechanisms,
            timing: gateway::Timing::default(),
            limits: dataplane::Limits::default(),
            in_flight_max: gateway::IN_FLIGHT_MAX,
        };
        let mut world =
            World { gateway: Gateway::new(config, 0), nodes, now: 0, token: 0, nanos: Default::default() };
        while world.gateway.view()[0].primary.is_none() {
            world.now += 10_000;
            world.gateway.tick(world.now);
            world.settle();
        }
        world
    }

    fn timed<T>(&mut self, part: Part, run: impl FnOnce(&mut World) -> T) -> T {
        let begun = Instant::now();
        let result = run(self);
        self.nanos[part as usize] += begun.elapsed().as_nanos() as u64;
        result
    }

    fn decode(&mut self, mut bytes: &[u8]) -> Vec<Frame> {
        self.timed(Part::Decode, |_| {
            let mut frames = Vec::new();
            while let Ok(Some(length)) = wire::frame_bytes(bytes) {
                frames.push(wire::decode(&bytes[..length]).expect("it was encoded here"));
                bytes = &bytes[length..];
            }
            frames
        })
    }

    /// Lets everybody work until nothing is left to be done, and says how many requests were answered.
    fn settle(&mut self) -> u64 {
        let mut answered = 0;
        loop {
            let (mut to_nodes, mut to_gateway) = (Vec::new(), Vec::new());
            self.timed(Part::Gateway, |world| {
                for output in world.gateway.outputs() {
                    match output {
                        Output::Send(frame) => wire::encode(&frame, &mut to_nodes),
                        Output::Reply { reply: Reply::Done(_) | Reply::Value(..), .. } => answered += 1,
                        Output::Reply { reply, .. } => panic!("{reply:?}"),
                    }
                }
            });
            if to_nodes.is_empty() {
                return answered;
            }
            while !to_nodes.is_empty() {
                let mut inboxes = [const { Vec::new() }; 3];
                for frame in self.decode(&std::mem::take(&mut to_nodes)) {
                    if let Address::Node(NodeId(n)) = frame.to {
                        inboxes[n as usize - 1].push(frame);
                    }
                }
                for (n, inbox) in inboxes.into_iter().enumerate().filter(|(_, inbox)| !inbox.is_empty()) {
                    self.round(n, inbox, |frame| {
                        let to_node = matches!(frame.to, Address::Node(_));
                        wire::encode(&frame, if to_node { &mut to_nodes } else { &mut to_gateway });
                    });
                }
            }
            let frames = self.decode(&to_gateway);
            self.timed(Part::Gateway, |world| {
                frames.into_iter().for_each(|frame| world.gateway.handle(world.now, frame));
            });
        }
    }

    /// A node's round, as its host does it.
    fn round(&mut self, n: usize, inbox: Vec<Frame>, mut send: impl FnMut(Frame)) {
        let part = if self.nodes[n].replica().is_primary() { Part::Primary } else { Part::Backups };
        self.timed(part, |world| {
            let (node, now) = (&mut world.nodes[n], world.now);
            inbox.into_iter().for_each(|frame| node.handle(now, frame).expect("memory does not fail"));
            if node.next_deadline().is_some_and(|at| at <= now) {
                node.tick(now).expect("memory does not fail");
            }
            node.settle(now).expect("memory does not fail");
            node.outbox().for_each(&mut send);
        });
        if self.nodes[n].needs_flush() {
            self.timed(Part::Flush, |world| {
                world.nodes[n].flush(world.now).expect("memory does not fail");
                world.nodes[n].outbox().for_each(&mut send);
            });
        }
        // A checkpoint is nobody's time: without one the log fills up.
        self.nodes[n].background(self.now).expect("memory does not fail");
        self.nodes[n].outbox().for_each(&mut send);
    }

    /// Asks all of these at once, and waits for the answers.
    fn batch(&mut self, requests: Vec<Request>) {
        let asked = requests.len() as u64;
        self.timed(Part::Gateway, |world| {
            for request in requests {
                world.token += 1;
                world.gateway.submit(world.now, world.token, request, false);
            }
        });
        let mut answered = self.settle();
        while answered < asked {
            // A heartbeat tells the backups what is committed; a session is opened, once.
            self.now += 1_000;
            self.gateway.tick(self.now);
            answered += self.settle();
        }
        self.now += 1_000;
    }
}

fn main() {
    let batch = std::env::args().nth(1).and_then(|batch| batch.parse().ok()).unwrap_or(100).clamp(1, 1_000);
    let (mut world, mut random) = (World::new(), Random::new(1));
    let key = |n: u64| -> Arc<[u8]> { format!("key-{n:012}").into_bytes().into() };
    let put = |n: u64| {
        Request::Write(Op::Put {
            key: key(n),
            value: vec![n as u8; VALUE_BYTES].into(),
            condition: Condition::Always,
        })
    };
    (0..KEYS)
        .collect::<Vec<_>>()
        .chunks(500)
        .for_each(|keys| world.batch(keys.iter().map(|n| put(*n)).collect()));
    println!("Nanoseconds for each of {batch} requests in a batch, median (least) of {ROUNDS} rounds:");
    for (name, reads) in [("put", false), ("get", true)] {
        let mut rounds = vec![Vec::new(); PARTS.len() + 1];
        for _ in 0..ROUNDS {
            world.nanos = Default::default();
            let batches = (ROUND / batch).max(1);
            for _ in 0..batches {
                let mut request = || match random.next() % KEYS {
                    n if reads => Request::Read(Query::Get(key(n))),
                    n => put(n),
                };
                let requests = std::iter::repeat_with(&mut request).take(batch as usize).collect();
                world.batch(requests);
            }
            let all = std::iter::once(world.nanos.iter().sum()).chain(world.nanos);
            let each = |nanos: u64| nanos as f64 / (batches * batch) as f64;
            rounds.iter_mut().zip(all).for_each(|(round, nanos)| round.push(each(nanos)));
        }
        println!("{name}");
        for (part, nanos) in ["all"].iter().chain(&PARTS).zip(&rounds) {
            let least = nanos.iter().copied().fold(f64::INFINITY, f64::min);
            println!("  {part:<14} {:>6.0} ({least:.0})", median(nanos));
        }
    }
}
