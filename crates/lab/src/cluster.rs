//! Schedules on the model cluster, step by step: what a story and a counterexample are made of.
//!
//! A step is a line of text, so that a schedule can be written, stored, shortened and read by hand:
//!
//! | step | does |
//! |---|---|
//! | `takeover nX [above E]` | a gateway asks nX to take over, in an epoch above E |
//! | `write K to nX` | a gateway sends write number K to nX, always under the same identity |
//! | `read from nX` | a gateway sends a read to nX |
//! | `deliver nX nY [NAME [I]]` | the messages from nX to nY (called NAME; of those only the I-th) arrive, in the order of sending |
//! | `again nX nY [NAME [I]]` | they arrive, and copies of them stay on their way |
//! | `lose nX nY [NAME [I]]` | they never arrive |
//! | `stray nX nY [NAME [I]] to nZ` | copies of them arrive at nZ |
//! | `sync nX` | nX's sync returns |
//! | `crash nX keep K` | nX crashes and restarts; the first K of its unsynced log records survive |
//! | `rot nX keep K` | nX crashes, and its log is damaged behind its first K durable entries |
//! | `wipe nX` | nX gets an empty disk and restarts |
//! | `tick nX`, `tick all` | timers expire |
//! | `calm [without nX …]` | everything arrives and is synced until nothing is left, but for what those send or are sent |
//! | `state` | shows each replica, and what is on its way |
//!
//! and before the first of them stand
//!
//! | setting | means |
//! |---|---|
//! | `cluster N [cold]` | N nodes: n1 serving in epoch 1 with an open session, or all devices empty |
//! | `frames N` | a message carries at most N entries |
//! | `pieces N` | a state is transferred in N pieces |
//! | `resend N` | a message that nobody answers is sent again after N expiries of the timer, a sign of life after one |
//! | `judge invariants` | not only what a client sees counts, but every invariant of the replicas |

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use dataplane::{Condition, Epoch, Message, NodeId, Op, Query, RequestId};
use trace::Mechanisms;

use crate::brief::brief;
use crate::check::shared::Shared;
use crate::check::world::Letter;
use crate::check::{Goal, Scope, World};

/// Messages that `calm` delivers at most.
const CALM_MAX: usize = 2_000;

/// The cluster that a schedule begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Nodes, numbered from 1.
    pub nodes: u32,
    /// All devices empty, nobody leads.
    pub cold: bool,
    /// Most entries of one message.
    pub frames: usize,
    /// Pieces of a transferred state.
    pub pieces: u64,
    /// Timer expiries before entries are sent again.
    pub resend: u64,
    /// What counts as broken.
    pub goal: Goal,
}

/// Which messages, of those on their way from one node to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Which {
    /// The sender.
    pub from: u32,
    /// The receiver.
    pub to: u32,
    name: Option<String>,
    /// From 1.
    nth: Option<usize>,
}

/// One step of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Step {
    TakeOver {
        to: u32,
        above: u64,
    },
    /// It asks for promises, and crashes before its own is durable.
    StandAndCrash {
        at: u32,
        above: u64,
        keep: usize,
    },
    Write {
        number: u64,
        to: u32,
    },
    Read {
        from: u32,
    },
    Deliver(Which),
    Again(Which),
    Lose(Which),
    Stray(Which, u32),
    Sync(u32),
    Crash {
        at: u32,
        keep: usize,
    },
    Rot {
        at: u32,
        keep: usize,
    },
    Wipe(u32),
    Tick(Option<u32>),
    Calm {
        without: Vec<u32>,
    },
    State,
}

fn number<T: FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("`{word}` is no number"))
}

fn node(word: &str) -> Result<u32, String> {
    let number = word.strip_prefix('n').and_then(|n| n.parse().ok()).filter(|n| (1..=9).contains(n));
    number.ok_or(format!("`{word}` is no node"))
}

fn which(words: &[&str]) -> Result<Which, String> {
    match words {
        [from, to, rest @ ..] if rest.len() <= 2 => Ok(Which {
            from: node(from)?,
            to: node(to)?,
            name: rest.first().map(|name| name.to_string()),
            nth: rest.get(1).map(|n| number(n)).transpose()?,
        }),
        _ => Err("name the sender, the receiver, and perhaps the message".into()),
    }
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(line: &str) -> Result<Setting, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match &words[..] {
            ["cluster", nodes, rest @ ..] => {
                let nodes = number(nodes)?;
                if !(1..=9).contains(&nodes) {
                    return Err("a cluster has 1 to 9 nodes".into());
                }
                Ok(Setting {
                    nodes,
                    cold: rest == ["cold"],
                    frames: usize::MAX,
                    pieces: 1,
                    resend: 1,
                    goal: Goal::Betrayal,
                })
            }
            _ => Err("a schedule begins with `cluster N`".into()),
        }
    }
}

impl Setting {
    /// Takes in a further line of the setting. `None`: this line is a step.
    pub fn more(&mut self, line: &str) -> Result<Option<()>, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match &words[..] {
            ["frames", n] => self.frames = number(n)?,
            ["pieces", n] => self.pieces = number(n)?,
            ["resend", n] => self.resend = number(n)?,
            ["judge", "invariants"] => self.goal = Goal::Invariant,
            _ => return Ok(None),
        }
        Ok(Some(()))
    }
}

impl fmt::Display for Setting {
    /// The lines of a schedule.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cluster {}{}", self.nodes, if self.cold { " cold" } else { "" })?;
        if self.frames != usize::MAX {
            write!(f, "\nframes {}", self.frames)?;
        }
        if self.pieces != 1 {
            write!(f, "\npieces {}", self.pieces)?;
        }
        if self.resend != 1 {
            write!(f, "\nresend {}", self.resend)?;
        }
        if self.goal == Goal::Invariant {
            write!(f, "\njudge invariants")?;
        }
        Ok(())
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(line: &str) -> Result<Step, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        Ok(match &words[..] {
            ["takeover", to] => Step::TakeOver { to: node(to)?, above: 0 },
            ["takeover", to, "above", epoch] => Step::TakeOver { to: node(to)?, above: number(epoch)? },
            ["takeover", to, "above", epoch, "crash", "keep", keep] => {
                Step::StandAndCrash { at: node(to)?, above: number(epoch)?, keep: number(keep)? }
            }
            ["write", k, "to", to] => Step::Write { number: number(k)?, to: node(to)? },
            ["read", "from", from] => Step::Read { from: node(from)? },
            ["deliver", rest @ ..] => Step::Deliver(which(rest)?),
            ["again", rest @ ..] => Step::Again(which(rest)?),
            ["lose", rest @ ..] => Step::Lose(which(rest)?),
            ["stray", rest @ .., "to", at] => Step::Stray(which(rest)?, node(at)?),
            ["sync", at] => Step::Sync(node(at)?),
            ["crash", at, "keep", keep] => Step::Crash { at: node(at)?, keep: number(keep)? },
            ["rot", at, "keep", keep] => Step::Rot { at: node(at)?, keep: number(keep)? },
            ["wipe", at] => Step::Wipe(node(at)?),
            ["tick", "all"] => Step::Tick(None),
            ["tick", at] => Step::Tick(Some(node(at)?)),
            ["calm"] => Step::Calm { without: Vec::new() },
            ["calm", "without", out @ ..] => {
                Step::Calm { without: out.iter().map(|word| node(word)).collect::<Result<_, _>>()? }
            }
            ["state"] => Step::State,
            _ => return Err("no such step".into()),
        })
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{} n{}", self.from, self.to)?;
        self.name.iter().try_for_each(|name| write!(f, " {name}"))?;
        self.nth.iter().try_for_each(|nth| write!(f, " {nth}"))
    }
}

impl fmt::Display for Step {
    /// The line of a schedule.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::TakeOver { to, above: 0 } => write!(f, "takeover n{to}"),
            Step::TakeOver { to, above } => write!(f, "takeover n{to} above {above}"),
            Step::StandAndCrash { at, above, keep } => {
                write!(f, "takeover n{at} above {above} crash keep {keep}")
            }
            Step::Write { number, to } => write!(f, "write {number} to n{to}"),
            Step::Read { from } => write!(f, "read from n{from}"),
            Step::Deliver(which) => write!(f, "deliver {which}"),
            Step::Again(which) => write!(f, "again {which}"),
            Step::Lose(which) => write!(f, "lose {which}"),
            Step::Stray(which, at) => write!(f, "stray {which} to n{at}"),
            Step::Sync(at) => write!(f, "sync n{at}"),
            Step::Crash { at, keep } => write!(f, "crash n{at} keep {keep}"),
            Step::Rot { at, keep } => write!(f, "rot n{at} keep {keep}"),
            Step::Wipe(at) => write!(f, "wipe n{at}"),
            Step::Tick(Some(at)) => write!(f, "tick n{at}"),
            Step::Tick(None) => write!(f, "tick all"),
            Step::Calm { without } if without.is_empty() => write!(f, "calm"),
            Step::Calm { without } => {
                write!(f, "calm without")?;
                without.iter().try_for_each(|at| write!(f, " n{at}"))
            }
            Step::State => write!(f, "state"),
        }
    }
}

/// What came of one step.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// What the replicas did.
    pub events: Vec<trace::Event>,
    /// The messages that moved, in a few words each.
    pub moved: Vec<String>,
    /// What a client learned.
    pub client: Vec<String>,
}

/// A cluster to which a schedule happens.
pub struct Stage {
    world: World,
    setting: Setting,
    events: Arc<Mutex<Vec<trace::Event>>>,
    answered: usize,
    reads: u64,
}

impl Stage {
    /// The cluster of `setting`, with these mechanisms.
    pub fn new(setting: &Setting, on: Mechanisms) -> Stage {
        let scope = Scope {
            nodes: setting.nodes,
            established: !setting.cold,
            mechanisms: on,
            goal: setting.goal,
            pieces: setting.pieces,
            resend_after: setting.resend,
            ..crate::check::SCOPES[0]
        };
        let mut world = World::new(&scope);
        let events = Arc::new(Mutex::new(Vec::new()));
        world.listen(events.clone());
        world.limit_frames(setting.frames);
        Stage { world, setting: *setting, events, answered: 0, reads: 0 }
    }

    /// From now on the events tell of the devices too: of each promise that is stored, each sync, and each read.
    pub fn listen_to_devices(&mut self) {
        self.world.listen_to_devices();
    }

    /// The open session: the entry that opened it.
    pub fn session(&self) -> u64 {
        self.world.session()
    }

    /// Is only a part of a state on the node's device?
    pub fn is_half(&self, node: u32) -> bool {
        self.world.is_half(node)
    }

    /// Takes a step. An error says why it is not possible here; then nothing has changed.
    pub fn take(&mut self, step: &Step) -> Result<Done, String> {
        let reading = self.world.reads_waiting();
        let mut moved = Vec::new();
        match step {
            Step::TakeOver { to, above } => {
                self.known(*to)?;
                self.world.gateway_says(*to, Message::TakeOver { above: Epoch(*above), patience: 0 });
            }
            Step::StandAndCrash { at, above, keep } => {
                self.known(*at)?;
                if *keep > self.world.unsynced(*at) {
                    return Err(format!("n{at} has {} unsynced records", self.world.unsynced(*at)));
                }
                self.world.stand_and_crash(*at, Epoch(*above), *keep);
            }
            Step::Write { number, to } => {
                self.known(*to)?;
                let request = RequestId { session: self.world.session(), number: *number };
                let (key, value): (Arc<[u8]>, Arc<[u8]>) =
                    (Arc::from(&b"k"[..]), Arc::from(number.to_string().as_bytes()));
                let op = Op::Put { key, value, condition: Condition::Always };
                self.world.gateway_says(*to, Message::Write { request, op });
            }
            Step::Read { from } => {
                self.known(*from)?;
                self.reads += 1;
                self.world.asked(self.reads);
                let query = Query::Get(Arc::from(&b"k"[..]));
                self.world.gateway_says(*from, Message::Read { id: self.reads, query });
            }
            Step::Deliver(which) => {
                for letter in self.find(which, true)? {
                    moved.push(brief(&letter.2));
                    self.world.deliver(&letter);
                }
            }
            Step::Again(which) => {
                for letter in self.find(which, false)? {
                    moved.push(brief(&letter.2));
                    self.world.deliver(&letter);
                }
            }
            Step::Lose(which) => {
                moved.extend(self.find(which, true)?.iter().map(|letter| brief(&letter.2)));
            }
            Step::Stray(which, at) => {
                self.known(*at)?;
                for letter in self.find(which, false)? {
                    moved.push(brief(&letter.2));
                    self.world.stray(&letter, *at);
                }
            }
            Step::Sync(at) => {
                self.known(*at)?;
                self.world.sync(*at);
            }
            Step::Crash { at, keep } => {
                self.known(*at)?;
                let unsynced = self.world.unsynced(*at);
                if *keep > unsynced {
                    return Err(format!("n{at} has {unsynced} unsynced records"));
                }
                self.world.crash(*at, *keep);
            }
            Step::Rot { at, keep } => {
                self.known(*at)?;
                self.world.rot(*at, *keep);
            }
            Step::Wipe(at) => {
                self.known(*at)?;
                self.world.wipe(*at);
            }
            Step::Tick(at) => {
                self.world.time_passes();
                let all = 1..=self.setting.nodes;
                all.filter(|node| at.is_none_or(|at| at == *node)).for_each(|node| self.world.tick(node));
            }
            Step::Calm { without } => self.calm(without),
            Step::State => {}
        }
        self.world.observe();
        let events = std::mem::take(&mut *self.events.lock().expect("nobody panics"));
        let mut client: Vec<String> = self
            .world
            .answered()
            .iter()
            .skip(self.answered)
            .map(|(request, outcome)| format!("write {} is {outcome}", request.number))
            .collect();
        self.answered += client.len();
        if reading && !self.world.reads_waiting() {
            client.push("the read is answered".into());
        }
        Ok(Done { events, moved, client })
    }

    fn known(&self, at: u32) -> Result<(), String> {
        if at <= self.setting.nodes { Ok(()) } else { Err(format!("there is no n{at}")) }
    }

    /// The promise that is broken by now.
    pub fn broken(&self) -> Option<&str> {
        self.world.broken()
    }

    /// Each replica, and what is on its way.
    pub fn state(&mut self) -> Vec<String> {
        let mut lines = self.replicas();
        let on_the_way = self.world.on_the_way().iter();
        lines.extend(
            on_the_way.map(|letter| format!("on its way {} → {}: {}", letter.0, letter.1, brief(&letter.2))),
        );
        lines
    }

    /// Each replica in one line.
    pub fn replicas(&self) -> Vec<String> {
        self.world.summary()
    }

    /// The step that moves `letter`, which is on its way, as `how` says.
    pub(crate) fn naming(&mut self, letter: &Letter) -> Option<Which> {
        let (from, to, message) = letter;
        let name = message.name();
        let alike: Vec<_> = self
            .world
            .on_the_way()
            .iter()
            .filter(|m| m.0 == *from && m.1 == *to && called(name, m.2.name()))
            .map(|m| m.2 == *message)
            .collect();
        let at = alike.iter().position(|same| *same)?;
        let nth = (alike.len() > 1).then_some(at + 1);
        Some(Which { from: from.0, to: to.0, name: Some(name.to_string()), nth })
    }

    fn find(&mut self, which: &Which, take: bool) -> Result<Vec<Shared<Letter>>, String> {
        let (from, to) = (NodeId(which.from), NodeId(which.to));
        let mut seen = 0;
        let mut wanted = |m: &Shared<Letter>| {
            let name = which.name.as_deref();
            if m.0 != from || m.1 != to || !name.is_none_or(|name| called(name, m.2.name())) {
                return false;
            }
            seen += 1;
            which.nth.is_none_or(|nth| nth == seen)
        };
        let mut found = Vec::new();
        self.world.on_the_way().retain(|m| {
            let this = wanted(m);
            found.extend(this.then(|| m.clone()));
            !(this && take)
        });
        if found.is_empty() {
            let name = which.name.as_deref().unwrap_or("message");
            return Err(format!("no {name} is on its way from {from} to {to}"));
        }
        Ok(found)
    }

    /// Until nothing moves any more; without some mechanism that may be never.
    fn calm(&mut self, out: &[u32]) {
        let isolated = |id: &NodeId| out.contains(&id.0);
        for _ in 0..CALM_MAX {
            let all = 1..=self.setting.nodes;
            all.filter(|at| !out.contains(at)).for_each(|at| self.world.sync_if_needed(at));
            let network = self.world.on_the_way();
            network.retain(|m| !isolated(&m.0) && !isolated(&m.1));
            if network.is_empty() {
                return;
            }
            let letter = network.remove(0);
            self.world.deliver(&letter);
        }
    }
}

/// Does somebody who says `name` mean a message called `full`? An empty Prepare is a Prepare too.
fn called(name: &str, full: &str) -> bool {
    name == full || full.strip_suffix("(empty)") == Some(name)
}
