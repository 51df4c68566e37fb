//! What came of a schedule: each step in words, where it shows in a diagram, and what followed.

use dataplane::Epoch;
use sim::schedule::Peer;
use trace::{Actor, Event, Mechanisms};

use crate::cluster::{Setting, Step, Which, Wished, damage};

/// Where a step shows in a diagram. Lanes are numbered from 0, the clients'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A message, or several, from one lane to another.
    Arrow(usize, usize),
    /// A message that ends nowhere.
    Lost(usize, usize),
    /// Something at one lane.
    At(usize, char),
    /// Everywhere at once.
    All(char),
    /// Nowhere.
    Nothing,
}

/// One step and what came of it.
#[derive(Clone, Debug)]
pub struct Act {
    /// The line of the schedule.
    pub step: String,
    /// The same for a person.
    pub words: String,
    /// Where it shows.
    pub mark: Mark,
    /// Why it was not possible, if it was not.
    pub skipped: Option<String>,
    /// How much it is: each message, sync, crash, call and expiry of timers counts as one.
    pub counts: usize,
    /// What the nodes did.
    pub events: Vec<Event>,
    /// What happened and no event tells.
    pub also: Option<String>,
    /// What clients, or the host of a device, learned.
    pub client: Vec<String>,
    /// The state after it: a line for each node, or the device's sectors.
    pub state: Vec<String>,
    /// The messages on their way after it, a line for each.
    pub waiting: Vec<String>,
    /// Those that wait at a node for its sync, a line for each.
    pub held: Vec<String>,
    /// What clients asked for and have no answer to after it.
    pub open: Vec<String>,
}

/// A schedule and what came of it.
#[derive(Clone, Debug)]
pub struct Play {
    /// The names of the lanes.
    pub lanes: Vec<String>,
    /// The state before the first step.
    pub begin: Vec<String>,
    /// The steps, up to the one that broke a promise.
    pub acts: Vec<Act>,
    /// The broken promise, with its number.
    pub broken: Option<String>,
    /// What a client would read now from whoever serves in the newest epoch.
    pub readers: Vec<String>,
    /// A node stopped by an assertion of its own.
    pub stopped: Option<String>,
    /// The mechanisms that were in.
    pub on: Mechanisms,
}

/// The lanes of a cluster: clients, gateways, nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lanes {
    gateways: usize,
    nodes: usize,
}

impl Lanes {
    pub(crate) fn of(setting: &Setting) -> Lanes {
        Lanes { gateways: setting.gateways as usize, nodes: setting.nodes as usize }
    }

    pub(crate) fn names(self) -> Vec<String> {
        let gateways = (1..=self.gateways).map(|gateway| format!("g{gateway}"));
        let nodes = (1..=self.nodes).map(|node| format!("n{node}"));
        std::iter::once("client".to_string()).chain(gateways).chain(nodes).collect()
    }

    fn peer(self, peer: Peer) -> usize {
        match peer {
            // A gateway that is not simulated is the client.
            Peer::Gateway(gateway) if gateway as usize > self.gateways => 0,
            Peer::Gateway(gateway) => gateway as usize,
            Peer::Node(node) => self.gateways + node as usize,
        }
    }

    fn node(self, node: u32) -> usize {
        self.peer(Peer::Node(node))
    }

    pub(crate) fn mark(self, step: &Step) -> Mark {
        let arrow = |which: &Which| Mark::Arrow(self.peer(which.from), self.peer(which.to));
        match step {
            Step::Ask { via, .. } => Mark::Arrow(0, self.peer(Peer::Gateway(*via))),
            Step::TakeOver { to, .. } | Step::Write { to, .. } => Mark::Arrow(0, self.node(*to)),
            Step::StandAndCrash { at, .. } => Mark::Arrow(0, self.node(*at)),
            Step::Read { from, .. } => Mark::Arrow(0, self.node(*from)),
            Step::Probe(at) | Step::Change { at, .. } => Mark::Arrow(0, self.node(*at)),
            Step::Deliver(which) | Step::Again(which) => arrow(which),
            Step::Stray(which, at) => Mark::Arrow(self.peer(which.from), self.node(*at)),
            Step::Lose(which) => Mark::Lost(self.peer(which.from), self.peer(which.to)),
            Step::Cut(one, other) => Mark::Lost(self.peer(*one), self.peer(*other)),
            Step::Heal(..) | Step::State | Step::Pass(_) => Mark::Nothing,
            Step::Wish { at, .. } => Mark::At(self.node(*at), 'E'),
            Step::Sync(at) => Mark::At(self.node(*at), 'S'),
            Step::Crash { at, .. } => Mark::At(self.node(*at), 'X'),
            Step::CrashGateway(gateway) => Mark::At(self.peer(Peer::Gateway(*gateway)), 'X'),
            Step::Rot { at, .. } => Mark::At(self.node(*at), 'R'),
            Step::Damage { at, .. } => Mark::At(self.node(*at), 'D'),
            Step::Wipe(at) => Mark::At(self.node(*at), 'W'),
            Step::Tick(Some(peer)) => Mark::At(self.peer(*peer), 'T'),
            Step::Tick(None) => Mark::All('T'),
            Step::Calm { .. } | Step::Wait(_) => Mark::All('='),
        }
    }
}

impl Act {
    /// Does the same happen as in `other`, whatever the numbers of the entries?
    fn is_like(&self, other: &Act) -> bool {
        let roles = |act: &Act| {
            let role = |line: &String| line.split(", log ").next().unwrap_or_default().to_string();
            act.state.iter().map(role).collect::<Vec<_>>()
        };
        let kinds = |act: &Act| {
            act.events.iter().map(|event| std::mem::discriminant(&event.kind)).collect::<Vec<_>>()
        };
        (self.skipped.is_some(), self.client.len(), roles(self), kinds(self))
            == (other.skipped.is_some(), other.client.len(), roles(other), kinds(other))
    }
}

impl Play {
    /// How long it is: each message, sync, crash, call and expiry of timers counts as one.
    pub fn length(&self) -> usize {
        self.acts.iter().map(|act| act.counts).sum()
    }

    /// The first step that goes another way in `other`: other events, states or words, or something else that a client
    /// learned. `None`: there is none as long as this play lasts.
    ///
    /// Where the two begin with other logs, every seq is another one. Then only what happens counts, not its numbers.
    pub fn parts_at(&self, other: &Play) -> Option<usize> {
        if self.begin != other.begin {
            let pairs = self.acts.iter().zip(&other.acts);
            let alike = pairs.take_while(|(a, b)| a.is_like(b)).count();
            return (alike < self.acts.len()).then_some(alike);
        }
        let alike = |(a, b): &(&Act, &Act)| {
            let told = |act: &Act| act.events.iter().map(|event| event.kind.clone()).collect::<Vec<_>>();
            (a.skipped.is_some(), &a.client, &a.state, &a.words)
                == (b.skipped.is_some(), &b.client, &b.state, &b.words)
                && told(a) == told(b)
        };
        let alike = self.acts.iter().zip(&other.acts).take_while(alike).count();
        (alike < self.acts.len()).then_some(alike)
    }

    /// Is it about a device and its host?
    pub fn is_local(&self) -> bool {
        self.lanes.len() == 2
    }

    /// Does the set-up itself go another way in `other`?
    pub fn begins_apart(&self, other: &Play) -> bool {
        self.begin != other.begin
    }

    /// The lane of an event's actor.
    pub fn lane(&self, event: &Event) -> usize {
        let name = match event.id.actor {
            Actor::Node { node, .. } => format!("n{node}"),
            Actor::Gateway(gateway) => format!("g{gateway}"),
            _ => return 0,
        };
        // On a device alone the only node is the device.
        self.lanes.iter().position(|lane| *lane == name).unwrap_or(self.lanes.len().min(2) - 1)
    }
}

/// A step for a person; `moved` are the messages that it moves.
pub(crate) fn words(step: &Step, moved: &[String]) -> String {
    let what = if moved.is_empty() { "a message".to_string() } else { moved.join(", then ") };
    match step {
        Step::Ask { what, via } => format!("a client asks g{via}: {what}"),
        Step::TakeOver { to, above: 0 } => format!("a gateway asks n{to} to take over"),
        Step::TakeOver { to, above } => {
            format!("a gateway asks n{to} to take over, in an epoch above {above}")
        }
        Step::Probe(at) => format!("a gateway asks n{at} who it is, and where its log ends"),
        Step::Change { change, at } => format!("a client asks n{at} to {change}"),
        Step::Wish { at, what: Wished::Stand(Epoch(0)) } => format!("an extension has n{at} stand"),
        Step::Wish { at, what: Wished::Stand(above) } => {
            format!("an extension has n{at} stand, in an epoch above {}", above.0)
        }
        Step::Wish { at, what: Wished::StepDown } => format!("an extension has n{at} leave the lead"),
        Step::StandAndCrash { at, keep, .. } => format!(
            "a gateway asks n{at} to take over, which asks for promises, crashes before its own is durable, and keeps \
             {keep} of its unsynced records"
        ),
        Step::Write { number, key, to } => {
            let key = key.as_deref().unwrap_or("k");
            format!("a client's write {number}, put {key} = {number}, reaches n{to}")
        }
        Step::Read { key, from } => {
            format!("a client's read of {} reaches n{from}", key.as_deref().unwrap_or("k"))
        }
        Step::Deliver(which) => format!("{} → {}: {what}", which.from, which.to),
        Step::Again(which) => format!("{} → {}: {what} (a copy stays on its way)", which.from, which.to),
        Step::Lose(which) => format!("{} → {}: {what} is lost", which.from, which.to),
        Step::Stray(which, at) => {
            format!("{} → {}: {what}; a copy of it arrives at n{at}", which.from, which.to)
        }
        Step::Cut(one, other) => format!("the link between {one} and {other} loses everything"),
        Step::Heal(one, other) => format!("the link between {one} and {other} works again"),
        Step::Sync(at) => format!("n{at}'s sync returns"),
        Step::Crash { at, keep: 0 } => {
            format!("n{at} loses power and restarts; nothing of what it had not synced survives")
        }
        Step::Crash { at, keep } => {
            format!("n{at} loses power and restarts; {keep} of its unsynced records survive")
        }
        Step::CrashGateway(gateway) => format!("g{gateway} ends, and starts again knowing nothing"),
        Step::Rot { at, keep } => {
            format!("n{at} crashes; its log is damaged behind its first {keep} entries")
        }
        Step::Damage { at, block, harm } => damage::words(*at, *block, *harm),
        Step::Wipe(at) => format!("n{at} comes back with an empty disk"),
        Step::Tick(Some(peer)) => format!("{peer}'s timers expire"),
        Step::Tick(None) => "the timers of all nodes expire".into(),
        Step::Pass(times) => format!("the time of {times} expiries passes, and nobody notices"),
        Step::Calm { .. } => "everything arrives".into(),
        Step::Wait(times) => format!("{times} times, all timers expire and everything arrives"),
        Step::State => "nothing happens".into(),
    }
}
