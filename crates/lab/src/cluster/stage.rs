//! A cluster to which a schedule happens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dataplane::{Address, Change, Condition, Epoch, GatewayId, Message, NodeId, Op, Query, RequestId};
use disk::Harm;
use sim::schedule::Peer;
use trace::{Event, Mechanisms};

use super::damage::Block;
use super::language::{Ask, Setting, Step};
use super::witness::History;
use super::words::Which;
use crate::brief::brief;

/// Messages that `calm` delivers at most.
const CALM_MAX: usize = 2_000;

/// The gateway that says what a schedule's `takeover`, `write` and `read` say.
pub(crate) const SCRIPTED: GatewayId = GatewayId { gateway: 1, life: 1 };

/// Replicas, and the messages between them: the checker's model of nodes, or real ones.
pub trait Cluster: Sized {
    /// A message on its way.
    type Letter: Clone;

    /// The cluster of a setting, with these mechanisms.
    fn new(setting: &Setting, on: Mechanisms) -> Result<Self, String>;
    /// What happened since this was last asked.
    fn events(&mut self) -> Vec<Event>;
    /// What clients learned since this was last asked, from gateways that are simulated too.
    fn replies(&mut self) -> Vec<String>;
    /// What clients know.
    fn history(&self) -> &History;
    /// A client asks for a read, of this id.
    fn asked(&mut self, id: u64);
    /// A gateway that is not simulated says this to a node.
    fn gateway_says(&mut self, node: u32, message: Message);
    /// A client asks a gateway that is simulated.
    fn ask(&mut self, gateway: u32, what: &Ask) -> Result<(), String>;
    /// What is on its way, in the order of sending.
    fn on_the_way(&mut self) -> &mut Vec<Self::Letter>;
    /// Who says what to whom.
    fn read(letter: &Self::Letter) -> (Address, Address, &Message);
    /// What waits at a node for a sync: to whom, and what.
    fn held(&self, node: u32) -> Vec<(Address, &Message)>;
    /// The message arrives.
    fn deliver(&mut self, letter: Self::Letter);
    /// The message arrives at `at`, for whom it is not.
    fn stray(&mut self, letter: Self::Letter, at: u32);
    /// Does anything at this node wait for a sync?
    fn needs_sync(&self, node: u32) -> bool;
    /// A node's sync returns.
    fn sync(&mut self, node: u32);
    /// A node crashes, and keeps so many of its unsynced log records. An error says why that is not possible.
    fn crash(&mut self, node: u32, keep: usize) -> Result<(), String>;
    /// The same, in the middle of a candidacy.
    fn stand_and_crash(&mut self, node: u32, above: Epoch, keep: usize) -> Result<(), String>;
    /// A gateway ends, and starts again.
    fn crash_gateway(&mut self, gateway: u32) -> Result<(), String>;
    /// A node crashes, and its log is damaged behind so many durable entries.
    fn rot(&mut self, node: u32, keep: usize) -> Result<(), String>;
    /// A node crashes, and a block of its disk is damaged. An error says why that is not possible.
    fn damage(&mut self, node: u32, block: Block, harm: Harm) -> Result<(), String>;
    /// A node's disk is replaced.
    fn wipe(&mut self, node: u32);
    /// The clock of all moves on.
    fn time_passes(&mut self);
    /// The timers of a process expire.
    fn tick(&mut self, peer: Peer) -> Result<(), String>;
    /// Looks at what must hold.
    fn observe(&mut self);
    /// Each replica in one line.
    fn summary(&self) -> Vec<String>;
    /// What a client would read from whoever serves in the newest epoch: a line for each key that was ever written.
    fn readers(&self) -> Vec<String>;
}

/// What came of one step.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// What the replicas did.
    pub events: Vec<Event>,
    /// The messages that moved, in a few words each.
    pub moved: Vec<String>,
    /// What a client learned.
    pub client: Vec<String>,
    /// How much it was: each message, sync, crash, call and expiry of timers counts as one.
    pub counts: usize,
}

/// A cluster, its links, and how far its clients have come.
pub(crate) struct Stage<C> {
    pub(crate) cluster: C,
    pub(crate) setting: Setting,
    /// Links that lose everything, the smaller end first.
    pub(crate) cut: BTreeSet<(Peer, Peer)>,
    answered: usize,
    /// The reads that clients asked for, in words; the first has the id 1.
    reads: Vec<String>,
    /// How many of them have come to an end, and how many of those were refused.
    ended: [usize; 2],
    /// The writes that clients asked for, in words.
    writes: BTreeMap<u64, String>,
}

impl<C: Cluster> Stage<C> {
    /// The cluster of `setting`, with these mechanisms.
    pub(crate) fn new(setting: &Setting, on: Mechanisms) -> Result<Stage<C>, String> {
        let cluster = C::new(setting, on)?;
        Ok(Stage {
            cluster,
            setting: *setting,
            cut: BTreeSet::new(),
            answered: 0,
            reads: Vec::new(),
            ended: [0; 2],
            writes: BTreeMap::new(),
        })
    }

    /// Takes a step. An error says why it is not possible here; then nothing has changed.
    pub(crate) fn take(&mut self, step: &Step) -> Result<Done, String> {
        let mut calm = 0;
        let moved = self.act(step, &mut calm)?;
        let counts = match step {
            Step::State => 0,
            Step::Calm { .. } | Step::Wait(_) => calm,
            _ => moved.len().max(1),
        };
        self.lose_what_is_cut();
        self.cluster.observe();
        let events = self.cluster.events();
        let answered = &self.cluster.history().answered;
        let new = answered.iter().skip(self.answered);
        let mut client: Vec<String> =
            new.map(|(request, outcome)| format!("write {} is {outcome}", request.number)).collect();
        self.answered = answered.len();
        client.extend(self.reads_ended());
        client.extend(self.cluster.replies());
        Ok(Done { events, moved, client, counts })
    }

    /// What became of reads since this was last asked.
    fn reads_ended(&mut self) -> impl Iterator<Item = String> + use<C> {
        let history = self.cluster.history();
        let now = [self.reads.len() - history.reading.len(), history.refused.0];
        let before = std::mem::replace(&mut self.ended, now);
        let refused = now[1] - before[1];
        let answered = now[0] - before[0] - refused;
        let told = |how: &str, times: usize| std::iter::repeat_n(format!("the read is {how}"), times);
        told("answered", answered).chain(told("refused", refused))
    }

    /// What clients asked for and have no answer to.
    pub(crate) fn open(&self) -> Vec<String> {
        let history = self.cluster.history();
        let is_open = |number: &u64| history.answered.keys().all(|request| request.number != *number);
        let writes = self.writes.iter().filter(|(number, _)| is_open(number)).map(|(_, words)| words);
        let reads = history.reading.iter().filter_map(|(id, _)| self.reads.get(*id as usize - 1));
        writes.chain(reads).cloned().collect()
    }

    fn act(&mut self, step: &Step, calm: &mut usize) -> Result<Vec<String>, String> {
        let mut moved = Vec::new();
        match step {
            Step::Ask { what, via } => self.cluster.ask(*via, what)?,
            Step::TakeOver { to, above } => {
                let call = Message::TakeOver { above: Epoch(*above), patience: 0 };
                self.cluster.gateway_says(self.known(*to)?, call);
            }
            Step::StandAndCrash { at, above, keep } => {
                self.cluster.stand_and_crash(self.known(*at)?, Epoch(*above), *keep)?;
            }
            Step::Write { number, key, to } => {
                self.writes.insert(*number, format!("write {number} to n{to}"));
                let request = RequestId { session: self.cluster.history().session, number: *number };
                let value: Arc<[u8]> = Arc::from(number.to_string().as_bytes());
                let op = Op::Put { key: bytes(key), value, condition: Condition::Always };
                self.cluster.gateway_says(self.known(*to)?, Message::Write { request, op });
            }
            Step::Read { key, from } => {
                let node = self.known(*from)?;
                self.reads.push(format!("the read of {} from n{from}", key.as_deref().unwrap_or("k")));
                let id = self.reads.len() as u64;
                self.cluster.asked(id);
                self.cluster.gateway_says(node, Message::Read { id, query: Query::Get(bytes(key)) });
            }
            Step::Change { change, at } => {
                let (Change::Add(node, _) | Change::Promote(node) | Change::Remove(node)) = *change;
                self.known(node.0)?;
                if !self.setting.with.changes_members() {
                    return Err("the members do not change without `with membership`".into());
                }
                let words = membership::Asked { number: 1, change: *change }.encode();
                let extension = membership::NUMBER;
                let asks = Message::Extension { extension, epoch: Epoch(0), words };
                self.cluster.gateway_says(self.known(*at)?, asks);
            }
            Step::Wish { at, what } => self.cluster.gateway_says(self.known(*at)?, what.message()),
            Step::Probe(at) => self.cluster.gateway_says(self.known(*at)?, Message::Probe { attempt: 0 }),
            Step::Deliver(which) => {
                for letter in self.find(which, true)? {
                    moved.push(brief(C::read(&letter).2));
                    self.cluster.deliver(letter);
                }
            }
            Step::Again(which) => {
                for letter in self.find(which, false)? {
                    moved.push(brief(C::read(&letter).2));
                    self.cluster.deliver(letter);
                }
            }
            Step::Lose(which) => {
                moved.extend(self.find(which, true)?.iter().map(|letter| brief(C::read(letter).2)));
            }
            Step::Stray(which, at) => {
                let at = self.known(*at)?;
                for letter in self.find(which, false)? {
                    moved.push(brief(C::read(&letter).2));
                    self.cluster.stray(letter, at);
                }
            }
            Step::Cut(one, other) => {
                let link = self.link(*one, *other)?;
                if !self.cut.insert(link) {
                    return Err(format!("the link between {one} and {other} is cut already"));
                }
            }
            Step::Heal(one, other) => {
                let link = self.link(*one, *other)?;
                if !self.cut.remove(&link) {
                    return Err(format!("the link between {one} and {other} is not cut"));
                }
            }
            Step::Sync(at) => self.cluster.sync(self.known(*at)?),
            Step::Crash { at, keep } => self.cluster.crash(self.known(*at)?, *keep)?,
            Step::CrashGateway(gateway) => self.cluster.crash_gateway(*gateway)?,
            Step::Rot { at, keep } => self.cluster.rot(self.known(*at)?, *keep)?,
            Step::Damage { at, block, harm } => self.cluster.damage(self.known(*at)?, *block, *harm)?,
            Step::Wipe(at) => self.cluster.wipe(self.known(*at)?),
            Step::Tick(Some(peer)) => {
                self.is_there(*peer)?;
                self.cluster.time_passes();
                self.cluster.tick(*peer)?;
            }
            Step::Tick(None) => {
                self.cluster.time_passes();
                (1..=self.setting.nodes).try_for_each(|node| self.cluster.tick(Peer::Node(node)))?;
            }
            Step::Pass(times) => (0..*times).for_each(|_| self.cluster.time_passes()),
            Step::Calm { without } => *calm = self.calm(without)?,
            Step::Wait(times) => {
                for _ in 0..*times {
                    self.act(&Step::Tick(None), calm)?;
                    self.lose_what_is_cut();
                    *calm += self.calm(&[])? + 1;
                }
            }
            Step::State => {}
        }
        Ok(moved)
    }

    fn known(&self, at: u32) -> Result<u32, String> {
        self.is_there(Peer::Node(at)).map(|()| at)
    }

    fn is_there(&self, peer: Peer) -> Result<(), String> {
        let there = match peer {
            Peer::Node(node) => node <= self.setting.nodes,
            Peer::Gateway(gateway) => gateway <= self.setting.gateways,
        };
        if there { Ok(()) } else { Err(format!("there is no {peer}")) }
    }

    fn link(&self, one: Peer, other: Peer) -> Result<(Peer, Peer), String> {
        self.is_there(one)?;
        self.is_there(other)?;
        if one == other {
            Err(format!("{one} needs no link to itself"))
        } else {
            Ok((one.min(other), one.max(other)))
        }
    }

    fn lose_what_is_cut(&mut self) {
        if !self.cut.is_empty() {
            let cut = &self.cut;
            let carries = |letter: &C::Letter| {
                let (from, to, _) = C::read(letter);
                let ends = (peer(from), peer(to));
                !cut.contains(&(ends.0.min(ends.1), ends.0.max(ends.1)))
            };
            self.cluster.on_the_way().retain(carries);
        }
    }

    /// The promise that is broken by now.
    pub(crate) fn broken(&self) -> Option<&str> {
        self.cluster.history().broken.as_deref()
    }

    /// Each replica, and what is on its way.
    pub(crate) fn state(&mut self) -> Vec<String> {
        let mut lines = self.cluster.summary();
        lines.extend(self.waiting());
        lines
    }

    /// What is on its way.
    pub(crate) fn waiting(&mut self) -> Vec<String> {
        let tell = |letter: &C::Letter| {
            let (from, to, message) = C::read(letter);
            format!("on its way {} → {}: {}", peer(from), peer(to), brief(message))
        };
        self.cluster.on_the_way().iter().map(tell).collect()
    }

    /// What waits at nodes for a sync.
    pub(crate) fn held_back(&self) -> Vec<String> {
        let at = |node: u32| {
            let tell = move |(to, message): (Address, &Message)| {
                format!("n{node} holds back for {}, until its own sync returns: {}", peer(to), brief(message))
            };
            self.cluster.held(node).into_iter().map(tell)
        };
        (1..=self.setting.nodes).flat_map(at).collect()
    }

    /// The step that names this message, which is on its way.
    pub(crate) fn naming(&mut self, from: Address, to: Address, message: &Message) -> Option<Which> {
        let name = message.name();
        let all = self.cluster.on_the_way().iter().map(C::read);
        let alike: Vec<bool> = all
            .filter(|m| m.0 == from && m.1 == to && called(name, m.2.name()))
            .map(|m| m.2 == message)
            .collect();
        let at = alike.iter().position(|same| *same)?;
        let nth = (alike.len() > 1).then_some(at + 1);
        Some(Which { from: peer(from), to: peer(to), name: Some(name.to_string()), nth })
    }

    fn find(&mut self, which: &Which, take: bool) -> Result<Vec<C::Letter>, String> {
        self.is_there(which.from)?;
        self.is_there(which.to)?;
        let mut seen = 0;
        let mut wanted = |letter: &C::Letter| {
            let (from, to, message) = C::read(letter);
            let name = which.name.as_deref();
            if peer(from) != which.from
                || peer(to) != which.to
                || !name.is_none_or(|name| called(name, message.name()))
            {
                return false;
            }
            seen += 1;
            which.nth.is_none_or(|nth| nth == seen)
        };
        let mut found = Vec::new();
        self.cluster.on_the_way().retain(|letter| {
            let this = wanted(letter);
            found.extend(this.then(|| letter.clone()));
            !(this && take)
        });
        if found.is_empty() { Err(self.why_not(which)) } else { Ok(found) }
    }

    /// Why no such message is on its way.
    fn why_not(&mut self, which: &Which) -> String {
        let Which { from, to, name, nth } = which;
        let what = match (name, nth) {
            (Some(name), Some(nth)) => format!("{name} {nth}"),
            (Some(name), None) => name.clone(),
            (None, _) => "message".into(),
        };
        let held = match from {
            Peer::Node(node) => self.cluster.held(*node),
            Peer::Gateway(_) => Vec::new(),
        };
        let waits = held.iter().any(|(address, message)| {
            peer(*address) == *to && name.as_ref().is_none_or(|name| called(name, message.name()))
        });
        drop(held);
        if waits {
            return format!(
                "no {what} is on its way from {from} to {to}: it is held back until {from}'s sync"
            );
        }
        let others: Vec<String> = self
            .cluster
            .on_the_way()
            .iter()
            .map(C::read)
            .filter(|letter| peer(letter.0) == *from)
            .map(|(_, to, message)| format!("{} to {}", message.name(), peer(to)))
            .collect();
        let others = match others.as_slice() {
            [] => format!("nothing is on its way from {from}"),
            others => format!("on its way from {from}: {}", others.join(", ")),
        };
        format!("no {what} is on its way from {from} to {to}; {others}")
    }

    /// Until nothing moves any more; without some mechanism that may be never. Counts messages and syncs.
    fn calm(&mut self, out: &[Peer]) -> Result<usize, String> {
        let mut counts = 0;
        out.iter().try_for_each(|peer| self.is_there(*peer))?;
        for _ in 0..CALM_MAX {
            for node in (1..=self.setting.nodes).filter(|node| !out.contains(&Peer::Node(*node))) {
                if self.cluster.needs_sync(node) {
                    self.cluster.sync(node);
                    counts += 1;
                }
            }
            self.lose_what_is_cut();
            let network = self.cluster.on_the_way();
            network.retain(|letter| {
                let (from, to, _) = C::read(letter);
                !out.contains(&peer(from)) && !out.contains(&peer(to))
            });
            if network.is_empty() {
                return Ok(counts);
            }
            let letter = network.remove(0);
            self.cluster.deliver(letter);
            counts += 1;
        }
        Ok(counts)
    }
}

/// The key of a step that need not name one.
pub(crate) fn bytes(key: &Option<String>) -> Arc<[u8]> {
    Arc::from(key.as_deref().unwrap_or("k").as_bytes())
}

/// Whose address it is.
pub(crate) fn peer(address: Address) -> Peer {
    match address {
        Address::Node(NodeId(node)) => Peer::Node(node),
        Address::Gateway(GatewayId { gateway, .. }) => Peer::Gateway(gateway),
    }
}

/// Does somebody who says `name` mean a message called `full`? An empty Prepare is a Prepare too.
pub(crate) fn called(name: &str, full: &str) -> bool {
    name == full || full.strip_suffix("(empty)") == Some(name)
}
