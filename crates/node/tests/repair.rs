//! Three nodes on simulated disks, of which bits turn: what is damaged on one is had from another.

use std::collections::BTreeSet;
use std::sync::Arc;

use dataplane::{
    Address, Condition, Epoch, Frame, GatewayId, Message, Micros, NodeId, Op, Outcome, Query, ReadResult,
    RequestId, Timing, WriteResult,
};
use disk::Disk;
use engine::{Identity, Layout, Owner, Standing};
use node::{Config, Node};
use trace::{Mechanisms, Tracer};

const GATEWAY: GatewayId = GatewayId { gateway: 1, life: 1 };
const CLUSTER: [u8; 16] = [7; 16];
const WAL_BYTES: u64 = 16 << 10;

struct Cluster {
    /// `None` is down.
    nodes: Vec<Option<Node<Disk>>>,
    devices: Vec<Disk>,
    /// On their way.
    frames: Vec<Frame>,
    /// What gateways were told.
    told: Vec<Message>,
    now: Micros,
    session: u64,
    number: u64,
    reads: u64,
    /// Questions for values are held back.
    fetches_are_slow: bool,
    slow: Vec<Frame>,
}

impl Cluster {
    /// n1 leads, and a session is open.
    fn serving() -> Cluster {
        let devices: Vec<Disk> = (1..=3)
            .map(|node| {
                let device = Disk::new(256 << 10);
                let members = engine::members(1..=3);
                let identity = Identity { cluster: CLUSTER, node, shard: 0, shards: 1, members };
                engine::format(&device, &identity, Standing::Founding, Layout { wal_bytes: WAL_BYTES })
                    .unwrap();
                device
            })
            .collect();
        let nodes = devices.iter().map(|_| None).collect();
        let mut c = Cluster {
            nodes,
            devices,
            frames: Vec::new(),
            told: Vec::new(),
            now: 1_000,
            session: 0,
            number: 0,
            reads: 0,
            fetches_are_slow: false,
            slow: Vec::new(),
        };
        (1..=3).for_each(|node| c.start(node));
        c.lead(1);
        c.say(1, Message::OpenSession);
        c.run(20);
        let opened = |message: &Message| match message {
            Message::SessionOpened { session } => Some(*session),
            _ => None,
        };
        c.session = c.told.iter().find_map(opened).expect("a session");
        c
    }

    fn start(&mut self, node: u32) {
        let config = Config {
            cluster: CLUSTER,
            shard: 0,
            shards: 1,
            rules: dataplane::Config {
                me: NodeId(node),
                members: (1..=3).map(NodeId).collect(),
                members_change: false,
                pid: 1,
                life: self.now,
                mechanisms: Mechanisms::all(),
                timing: Timing::default(),
                limits: Default::default(),
            },
        };
        let at = node as usize - 1;
        self.nodes[at] = None;
        let opened = Node::open(self.devices[at].share(), config, Tracer::off());
        self.nodes[at] = Some(opened.expect("the device opens").0);
    }

    fn stop(&mut self, node: u32) {
        self.nodes[node as usize - 1] = None;
    }

    fn node(&self, node: u32) -> &Node<Disk> {
        self.nodes[node as usize - 1].as_ref().expect("it is up")
    }

    fn say(&mut self, node: u32, message: Message) {
        let (from, to) = (Address::Gateway(GATEWAY), Address::Node(NodeId(node)));
        self.frames.push(Frame { cluster: CLUSTER, shard: 0, from, to, cause: None, message });
    }

    /// So many rounds of 10 ms.
    fn run(&mut self, rounds: usize) {
        for _ in 0..rounds {
            // Within a round everybody answers everybody.
            for _ in 0..8 {
                for frame in std::mem::take(&mut self.frames) {
                    if self.fetches_are_slow && matches!(frame.message, Message::Fetch(_)) {
                        self.slow.push(frame);
                        continue;
                    }
                    match frame.to {
                        Address::Gateway(_) => self.told.push(frame.message),
                        Address::Node(NodeId(n)) => {
                            if let Some(node) = &mut self.nodes[n as usize - 1] {
                                node.handle(self.now, frame).unwrap();
                            }
                        }
                    }
                }
                for node in self.nodes.iter_mut().flatten() {
                    if node.next_deadline().is_some_and(|at| at <= self.now) {
                        node.tick(self.now).unwrap();
                    }
                    node.settle(self.now).unwrap();
                    self.frames.extend(node.outbox());
                    node.flush(self.now).unwrap();
                    node.background(self.now).unwrap();
                    self.frames.extend(node.outbox());
                }
            }
            self.now += 10_000;
        }
    }

    fn serves(&self, node: u32) -> bool {
        self.nodes[node as usize - 1].as_ref().is_some_and(|node| node.status(self.now).serving)
    }

    /// A gateway wants `node` to lead until it does.
    fn lead(&mut self, node: u32) {
        for _ in 0..20 {
            if self.serves(node) {
                return;
            }
            self.say(node, Message::TakeOver { above: Epoch(0), patience: 0 });
            self.run(20);
        }
        panic!("n{node} does not come to lead");
    }

    fn put(&mut self, node: u32, key: &str, value: &str) {
        self.number += 1;
        let request = RequestId { session: self.session, number: self.number };
        let (key, value) = (key.as_bytes().into(), value.as_bytes().into());
        self.say(node, Message::Write { request, op: Op::Put { key, value, condition: Condition::Always } });
        self.run(2);
        let written = |message: &Message| {
            matches!(message,
            Message::Answer { request: r, result: WriteResult::Done(Outcome::Written(_)) } if *r == request)
        };
        assert!(self.told.iter().any(written), "{:?}", self.told.last());
    }

    /// What a read comes to; asked again when it is refused.
    fn get(&mut self, node: u32, key: &str) -> ReadResult {
        for _ in 0..20 {
            self.reads += 1;
            let id = self.reads;
            self.say(node, Message::Read { id, query: Query::Get(key.as_bytes().into()) });
            for _ in 0..40 {
                self.run(10);
                let answer = self.told.iter().find_map(|message| match message {
                    Message::ReadAnswer { id: i, result } if *i == id => Some(result.clone()),
                    _ => None,
                });
                if let Some(answer) = answer {
                    return answer;
                }
            }
        }
        panic!("no answer to a read of {key}: {:?}", self.told.last());
    }

    fn reads(&mut self, node: u32, key: &str, value: &str) {
        match self.get(node, key) {
            ReadResult::Value(_, found) => assert_eq!(found, Arc::from(value.as_bytes()), "{key}"),
            other => panic!("{key} reads as {other:?}"),
        }
    }

    /// A bit of the key's value turns on a node's device.
    fn rot(&mut self, node: u32, key: &str) {
        let owners = self.node(node).engine().owners();
        let of_key = |owner: &Owner| matches!(owner, Owner::Key(k, _) if **k == *key.as_bytes());
        let (extent, _) = owners.iter().find(|(_, owner)| of_key(owner)).expect("it has a value");
        let at = (8 << 10) + WAL_BYTES + extent.unit * 512 + 4;
        self.devices[node as usize - 1].turn_bit(at);
    }

    /// A bit turns in the record of the last entry but so many.
    fn rot_record(&mut self, node: u32, back: u64) {
        let engine = self.node(node).engine();
        // Each batch has one entry here, and begins on a sector.
        let at = (engine.durable_lsn().0 - (back + 1) * 512) % WAL_BYTES;
        self.devices[node as usize - 1].turn_bit((8 << 10) + at + 60);
    }

    /// A bit turns in a piece of a node's checkpoint.
    fn rot_checkpoint(&mut self, node: u32) {
        let owners = self.node(node).engine().owners();
        let chunk = owners.iter().find(|(_, owner)| matches!(owner, Owner::Chunk(_)));
        let at = (8 << 10) + WAL_BYTES + chunk.expect("it has a checkpoint").0.unit * 512 + 50;
        self.devices[node as usize - 1].turn_bit(at);
    }

    /// Writes until the log begins behind what has been written so far.
    fn compact(&mut self, node: u32) {
        let last = self.node(node).engine().last_seq();
        for n in 0.. {
            assert!(n < 100, "a checkpoint comes when the log is half full");
            if (1..=3).all(|n| self.nodes[n - 1].as_ref().is_none_or(|n| n.engine().checkpoint_seq() > last))
            {
                return;
            }
            self.put(node, "other", &n.to_string());
        }
    }

    /// The keys whose values cannot be read from a node's device.
    fn damaged(&self, node: u32, keys: &[&str]) -> BTreeSet<String> {
        let engine = self.node(node).engine();
        keys.iter().filter(|key| engine.get(key.as_bytes()).is_err()).map(|key| key.to_string()).collect()
    }

    /// All have the same log, whole and committed.
    fn all_are_well(&self) -> bool {
        let ends = |node: &Node<Disk>| (node.status(self.now).tail, node.status(self.now).committed);
        let up: Vec<_> = self.nodes.iter().flatten().collect();
        self.all_vote() && up.iter().all(|n| ends(n) == ends(up[0]) && !n.replica().core().is_short())
    }

    fn all_vote(&self) -> bool {
        self.nodes.iter().flatten().all(|node| node.replica().is_proven())
    }
}

#[test]
fn two_nodes_with_a_damaged_value_each_and_every_value_whole_twice_go_on_serving() {
    let mut c = Cluster::serving();
    for key in ["a", "b", "c"] {
        c.put(1, key, &format!("value of {key}"));
    }
    c.rot(1, "a");
    c.rot(2, "b");
    c.reads(1, "a", "value of a");
    assert!(c.all_vote(), "to have met damage is to have forgotten nothing");
    c.lead(2);
    c.reads(2, "b", "value of b");
    c.reads(2, "a", "value of a");
    assert!(c.all_vote());
    for node in 1..=2 {
        assert!(c.damaged(node, &["a", "b", "c"]).is_empty(), "n{node} has been repaired");
    }
}

/// Values, a record of the log, and a piece of the checkpoint, on nodes that nobody reads from.
#[test]
fn what_the_scrubbing_of_gc_finds_damaged_is_repaired_before_anybody_asks_for_it() {
    let mut c = Cluster::serving();
    for node in c.nodes.iter_mut().flatten() {
        node.extend(vec![Box::new(gc::Gc::default())]);
    }
    for key in ["a", "b", "c"] {
        c.put(1, key, &format!("value of {key}"));
    }
    c.compact(1);
    (0..4).for_each(|n| c.put(1, "d", &n.to_string()));
    c.rot(2, "a");
    c.rot(3, "b");
    c.rot_record(3, 1);
    c.rot_checkpoint(2);
    let checkpoints = [2, 3].map(|node| c.node(node).engine().checkpoint_seq());
    c.run(200);
    for (node, before) in [2, 3].into_iter().zip(checkpoints) {
        assert!(c.damaged(node, &["a", "b", "c"]).is_empty(), "n{node} has been repaired");
        assert_eq!(c.node(node).repairs().1, 1, "n{node}");
        assert!(c.node(node).engine().checkpoint_seq() > before, "n{node} does without what was damaged");
        let notices: Vec<String> = c.nodes[node as usize - 1].as_mut().unwrap().notices().collect();
        assert!(notices.iter().any(|what| what.contains("is whole again")), "{notices:?}");
    }
    assert!(c.serves(1) && c.all_are_well());
}

#[test]
fn a_damaged_value_of_which_no_copy_is_left_is_told_and_what_else_there_is_goes_on() {
    let mut c = Cluster::serving();
    c.put(1, "a", "value of a");
    c.put(1, "b", "value of b");
    (1..=3).for_each(|node| c.rot(node, "a"));
    assert_eq!(c.get(1, "a"), ReadResult::Damaged);
    c.reads(1, "b", "value of b");
    c.put(1, "b", "newer");
    assert!(c.serves(1) && c.all_vote());
    // What is written anew is whole.
    c.put(1, "a", "value of a, again");
    c.reads(1, "a", "value of a, again");
}

#[test]
fn a_value_whose_only_whole_copy_is_on_a_node_that_is_down_is_there_again_when_that_is_up() {
    let mut c = Cluster::serving();
    c.put(1, "a", "value of a");
    c.run(20);
    c.rot(1, "a");
    c.rot(2, "a");
    c.stop(3);
    assert_eq!(c.get(1, "a"), ReadResult::Damaged, "not for ever without an answer");
    c.start(3);
    c.run(20);
    c.reads(1, "a", "value of a");
    c.lead(2);
    c.reads(2, "a", "value of a");
}

/// It is committed, so they will have it; until then they do not say that they have not.
#[test]
fn a_value_that_the_others_have_not_applied_yet_is_waited_for() {
    let mut c = Cluster::serving();
    c.put(1, "a", "value of a");
    c.rot(1, "a");
    let applied = |c: &Cluster, node| c.node(node).engine().applied_seq();
    assert!(
        (2..=3).all(|node| applied(&c, node) < applied(&c, 1)),
        "they hear of the commit with the next frame"
    );
    c.reads(1, "a", "value of a");
    assert!(c.damaged(1, &["a"]).is_empty());
}

/// What it held back until the next sync had nothing to sync any more, and never left.
#[test]
fn a_replica_that_has_just_given_up_its_state_gives_its_promise() {
    let mut c = Cluster::serving();
    c.put(1, "a", "value of a");
    c.compact(1);
    c.run(20);
    c.rot_checkpoint(3);
    c.start(3);
    let status = c.node(2).status(c.now);
    let (epoch, prev, commit) = (status.promised, status.tail, status.committed);
    c.stop(1);
    let (from, to) = (Address::Node(NodeId(1)), Address::Node(NodeId(3)));
    let message = Message::Prepare { epoch, prev, entries: Vec::new(), commit };
    c.frames.push(Frame { cluster: CLUSTER, shard: 0, from, to, cause: None, message });
    c.run(1);
    assert_eq!(c.node(3).engine().last_seq(), 0, "the primary has spoken, and all is given up");
    c.lead(2);
    c.reads(2, "a", "value of a");
}

/// (1) A read meets a damaged value, and waits for that of the others; (2) the key is deleted, and nobody has the value any
/// more; (3) the others say so. Nothing is damaged: the read is answered by what is there now.
#[test]
fn a_value_that_is_deleted_while_it_is_asked_for_is_not_damaged() {
    let mut c = Cluster::serving();
    c.put(1, "a", "value of a");
    c.run(20);
    c.rot(1, "a");
    c.fetches_are_slow = true;
    c.say(1, Message::Read { id: 77, query: Query::Get((*b"a").into()) });
    c.run(1);
    assert!(!c.slow.is_empty(), "the others are asked");
    let request = RequestId { session: c.session, number: 77 };
    let op = Op::Delete { key: (*b"a").into(), condition: Condition::Always };
    c.say(1, Message::Write { request, op });
    c.run(8);
    // Both have compacted their logs by now.
    while let Some(Frame { from, to, message: Message::Fetch(name), .. }) = c.slow.pop() {
        let message = Message::Fetched { name, value: None };
        c.frames.push(Frame { cluster: CLUSTER, shard: 0, from: to, to: from, cause: None, message });
        c.run(1);
    }
    c.run(100);
    let answer = c.told.iter().find_map(|message| match message {
        Message::ReadAnswer { id: 77, result } => Some(result.clone()),
        _ => None,
    });
    assert_eq!(answer, Some(ReadResult::Missing));
}

/// It restarted, and does not know any more that the entry is committed; to hear of that it needs the primary's state, which
/// has the value damaged.
#[test]
fn a_value_that_only_a_replica_has_which_waits_for_the_state_is_had_from_its_log() {
    let mut c = Cluster::serving();
    c.put(1, "a", "value of a");
    c.run(20);
    c.stop(3);
    c.compact(1);
    c.rot(1, "a");
    c.rot(2, "a");
    c.start(3);
    c.run(200);
    assert!(c.damaged(1, &["a"]).is_empty() && c.all_are_well());
    c.reads(1, "a", "value of a");
}

#[test]
fn an_entry_whose_value_is_damaged_at_the_primary_reaches_the_backup_that_lacks_it() {
    for (rots, damaged) in [("the value", true), ("the record", false)] {
        let mut c = Cluster::serving();
        c.put(1, "a", "old");
        c.stop(3);
        c.put(1, "a", "value of a");
        c.put(1, "b", "value of b");
        c.run(20);
        // What was written before is no longer in memory.
        c.start(1);
        c.start(2);
        c.lead(1);
        if damaged {
            c.rot(1, "a");
            c.rot(2, "b");
        } else {
            // The marker came last, then b.
            c.rot_record(1, 2);
        }
        c.start(3);
        c.run(200);
        let (n1, n3) = (c.node(1).status(c.now), c.node(3).status(c.now));
        assert_eq!((n3.tail, n3.committed), (n1.tail, n1.committed), "with {rots} damaged");
        assert!(c.all_vote() && c.damaged(1, &["a", "b"]).is_empty());
        assert!(c.damaged(3, &["a", "b"]).is_empty());
    }
}

#[test]
fn a_transfer_goes_on_behind_each_damaged_value_of_its_sender() {
    let mut c = Cluster::serving();
    let keys = ["a", "b", "c", "d"];
    keys.iter().for_each(|key| c.put(1, key, &format!("value of {key}")));
    c.stop(3);
    c.compact(1);
    ["a", "c"].iter().for_each(|key| c.rot(1, key));
    ["b", "d"].iter().for_each(|key| c.rot(2, key));
    c.start(3);
    c.run(300);
    let (n1, n3) = (c.node(1).status(c.now), c.node(3).status(c.now));
    assert_eq!((n3.tail, n3.committed), (n1.tail, n1.committed));
    assert!(c.all_vote() && c.damaged(1, &keys).is_empty() && c.damaged(3, &keys).is_empty());
    c.lead(2);
    keys.iter().for_each(|key| c.reads(2, key, &format!("value of {key}")));
}

#[test]
fn two_nodes_whose_logs_are_damaged_each_elsewhere_vote_for_the_third_and_are_filled_by_it() {
    let mut c = Cluster::serving();
    let keys = ["a", "b", "c", "d", "e"];
    keys.iter().for_each(|key| c.put(1, key, &format!("value of {key}")));
    c.run(20);
    c.rot_record(1, 1);
    c.rot_record(2, 3);
    c.start(1);
    c.start(2);
    for node in 1..=2 {
        assert!(c.node(node).engine().damage().is_some(), "n{node}");
        assert!(c.node(node).replica().core().is_short() && c.node(node).replica().is_proven());
    }
    c.lead(3);
    c.run(100);
    assert!(c.all_are_well());
    keys.iter().for_each(|key| c.reads(3, key, &format!("value of {key}")));
    c.put(3, "f", "after that");
    // Each of them is a replica like any other again, also after a restart.
    (1..=3).for_each(|node| c.start(node));
    c.lead(2);
    keys.iter().for_each(|key| c.reads(2, key, &format!("value of {key}")));
}

#[test]
fn a_backup_whose_log_is_damaged_is_filled_by_the_primary_that_had_counted_it() {
    let mut c = Cluster::serving();
    let keys = ["a", "b", "c", "d"];
    keys.iter().for_each(|key| c.put(1, key, &format!("value of {key}")));
    c.run(20);
    c.stop(3);
    c.rot_record(2, 2);
    c.start(2);
    c.run(100);
    assert!(c.all_are_well());
    c.put(1, "e", "only with n2");
    c.stop(1);
    c.start(3);
    c.lead(2);
    keys.iter().for_each(|key| c.reads(2, key, &format!("value of {key}")));
}

#[test]
fn nobody_leads_without_what_a_voter_has_lost() {
    let mut c = Cluster::serving();
    c.put(1, "a", "value of a");
    c.run(20);
    c.stop(3);
    c.put(1, "b", "on n1 and n2 only");
    c.put(1, "c", "that as well");
    c.run(20);
    c.stop(1);
    c.rot_record(2, 1);
    c.start(2);
    c.start(3);
    for node in [2, 3, 2, 3] {
        c.say(node, Message::TakeOver { above: Epoch(0), patience: 0 });
        c.run(30);
        assert!(!c.serves(2) && !c.serves(3), "b was acknowledged, and neither has it");
    }
    c.start(1);
    c.lead(1);
    c.run(100);
    c.reads(1, "b", "on n1 and n2 only");
    assert!(c.all_are_well());
}

#[test]
fn two_nodes_whose_checkpoints_are_damaged_vote_for_the_third_and_have_its_state() {
    let mut c = Cluster::serving();
    let keys = ["a", "b", "c", "d"];
    keys.iter().for_each(|key| c.put(1, key, &format!("value of {key}")));
    c.compact(1);
    c.put(1, "e", "behind the checkpoint");
    c.run(20);
    c.rot_checkpoint(1);
    c.rot_checkpoint(2);
    c.start(1);
    c.start(2);
    assert!(c.node(1).engine().damage().is_some() && c.node(2).engine().damage().is_some());
    c.lead(3);
    c.run(300);
    assert!(c.all_are_well());
    c.lead(1);
    keys.iter().for_each(|key| c.reads(1, key, &format!("value of {key}")));
    c.reads(1, "e", "behind the checkpoint");
}

#[test]
fn three_nodes_whose_logs_are_damaged_each_elsewhere_do_not_lead_and_give_nothing_up() {
    let mut c = Cluster::serving();
    ["a", "b", "c", "d", "e"].iter().for_each(|key| c.put(1, key, &format!("value of {key}")));
    c.run(20);
    (1..=3).for_each(|node| c.rot_record(node, u64::from(node)));
    let behind = |c: &Cluster| c.devices.iter().map(|d| d.image()[8 << 10..].to_vec()).collect::<Vec<_>>();
    let before = behind(&c);
    (1..=3).for_each(|node| c.start(node));
    for node in 1..=3 {
        c.say(node, Message::TakeOver { above: Epoch(0), patience: 0 });
        c.run(20);
        assert!(!c.serves(node));
    }
    assert!(behind(&c) == before, "what is left is left as it is");
}
