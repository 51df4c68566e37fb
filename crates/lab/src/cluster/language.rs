//! The language of schedules: settings and steps as lines of text, and back.

use std::fmt;
use std::str::FromStr;

use dataplane::{Change, Epoch, NodeId, Place};
use disk::Harm;
use extensions::Chosen;
use sim::schedule::Peer;

use super::damage::Block;
use super::wisher::Wished;
use super::witness::Goal;
use super::words::{PEERS_MAX, Which, Words};

/// The lines before the first step: their form, and what they mean.
pub const SETTINGS: &[(&str, &str)] = &[
    (
        "cluster N [cold]",
        "N nodes: n1 serving in epoch 1 with an open session, or all devices empty and nobody leading",
    ),
    ("gateways N", "N gateways that run the real routing and retries, g1 and on"),
    ("frames N", "a message carries at most N entries"),
    ("pieces N", "a state is transferred in N pieces"),
    (
        "resend N",
        "a message that nobody answers is sent again after N expiries of the timer, a sign of life after one",
    ),
    ("founders N", "the first N nodes are the members; the others have empty devices, and may be added"),
    ("with NAME,…", "the extensions that the cluster was founded with"),
    ("judge invariants", "not only what a client sees counts, but every invariant of the replicas"),
    (
        "judge service",
        "and so do a primary that a majority answers and that is deposed, a vote of a majority that makes no primary, and 40 expiries of the timers without service",
    ),
];

/// The steps: their form, and what they do.
pub const STEPS: &[(&str, &str)] = &[
    ("put KEY VALUE via gX", "a client asks gX to store VALUE under KEY"),
    ("get KEY via gX", "a client asks gX for the value of KEY"),
    ("delete KEY via gX", "a client asks gX to remove KEY"),
    ("takeover nX [above E]", "a gateway asks nX to take over, in an epoch above E"),
    (
        "takeover nX above E crash keep K",
        "the same, and nX crashes when it has asked for promises and its own is not durable",
    ),
    ("write K [KEY] to nX", "write number K, to KEY (or `k`), reaches nX, always under the same identity"),
    ("add nX at nY", "a client asks nY, which leads, to add nX (with `membership`)"),
    ("remove nX at nY", "a client asks nY, which leads, to remove nX (with `membership`)"),
    ("wish nX stand [above E]", "an extension of nX has it stand, in an epoch above E"),
    ("wish nX step-down", "an extension of nX has it leave the lead"),
    ("probe nX", "a gateway asks nX who it is, and where its log ends"),
    ("read [KEY] from nX", "a read of KEY (or `k`) reaches nX"),
    (
        "deliver nX nY [NAME [I]]",
        "the messages from nX to nY (called NAME; of those only the I-th) arrive, in the order of sending",
    ),
    ("again nX nY [NAME [I]]", "they arrive, and copies of them stay on their way"),
    ("lose nX nY [NAME [I]]", "they never arrive"),
    ("stray nX nY [NAME [I]] to nZ", "copies of them arrive at nZ, whom they do not mean"),
    ("cut nX nY", "the link between nX and nY loses everything, from now on"),
    ("heal nX nY", "it carries messages again"),
    ("sync nX", "nX writes its batch, and its sync returns"),
    ("crash nX keep K", "nX loses power and restarts; the first K of its unsynced log records survive"),
    ("crash gX", "gX ends, and starts again knowing nothing"),
    ("rot nX keep K", "nX crashes, and its log is damaged behind its first K durable entries"),
    (
        "damage nX BLOCK HARM",
        "nX loses power, a block of its disk is damaged (superblock-a, superblock-b, log-first, log-middle, log-last, \
         checkpoint or value is rot, torn, lost, misdirected, old, wiped or unreadable), and nX restarts",
    ),
    ("wipe nX", "nX gets an empty disk and restarts"),
    ("tick nX", "nX's timers expire"),
    ("tick all", "the timers of all nodes expire"),
    ("pass N", "the time of N expiries passes, and nobody notices: all timers are late"),
    (
        "calm [without nX …]",
        "everything arrives and is synced until nothing is left, but for what those send or are sent",
    ),
    ("wait N", "N times, the timers of all nodes expire, and everything arrives and is synced"),
    ("state", "nothing happens; a story shows each replica, and what is on its way"),
];

/// Most expiries that one step waits for.
const WAIT_MAX: u64 = 1_000;

/// The cluster that a schedule begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Nodes, numbered from 1.
    pub nodes: u32,
    /// How many of them the cluster was founded with; the others have empty devices.
    pub founders: u32,
    /// All devices empty, nobody leads.
    pub cold: bool,
    /// Gateways, numbered from 1.
    pub gateways: u32,
    /// Most entries of one message.
    pub frames: usize,
    /// Pieces of a transferred state.
    pub pieces: u64,
    /// Timer expiries before entries are sent again.
    pub resend: u64,
    /// What it was founded with beside the core.
    pub with: Chosen,
    /// What counts as broken.
    pub goal: Goal,
}

/// What a client asks a gateway for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// To store a value.
    Put(String, String),
    /// For a value.
    Get(String),
    /// To remove one.
    Delete(String),
}

/// One step of a schedule; see [`STEPS`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Step {
    Ask {
        what: Ask,
        via: u32,
    },
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
        key: Option<String>,
        to: u32,
    },
    Read {
        key: Option<String>,
        from: u32,
    },
    Probe(u32),
    /// A client asks `at` to add a node, or to remove it.
    Change {
        change: Change,
        at: u32,
    },
    /// An extension of `at` wishes for this.
    Wish {
        at: u32,
        what: Wished,
    },
    Deliver(Which),
    Again(Which),
    Lose(Which),
    Stray(Which, u32),
    Cut(Peer, Peer),
    Heal(Peer, Peer),
    Sync(u32),
    Crash {
        at: u32,
        keep: usize,
    },
    CrashGateway(u32),
    Rot {
        at: u32,
        keep: usize,
    },
    Damage {
        at: u32,
        block: Block,
        harm: Harm,
    },
    Wipe(u32),
    /// `None`: all nodes.
    Tick(Option<Peer>),
    /// So much time, and no timer expires.
    Pass(u64),
    Calm {
        without: Vec<Peer>,
    },
    /// So many expiries of all timers, with all that follows.
    Wait(u64),
    State,
}

impl Setting {
    /// N nodes, and everything else as usual.
    pub fn of(nodes: u32) -> Setting {
        let (frames, goal) = (usize::MAX, Goal::Betrayal);
        Setting {
            nodes,
            founders: nodes,
            cold: false,
            gateways: 0,
            frames,
            pieces: 1,
            resend: 1,
            with: Chosen::NONE,
            goal,
        }
    }

    /// Takes in a further line of the setting. `None`: this line is a step.
    pub fn more(&mut self, line: &str) -> Result<Option<()>, String> {
        let mut words = Words::of(line, SETTINGS);
        match words.verb() {
            "gateways" => self.gateways = words.number_upto(u64::from(PEERS_MAX))? as u32,
            "frames" => self.frames = words.number_upto(1 << 20)?.max(1) as usize,
            "pieces" => self.pieces = words.number_upto(64)?.max(1),
            "resend" => self.resend = words.number_upto(1 << 20)?,
            "founders" => self.founders = words.number_upto(u64::from(self.nodes))?.max(1) as u32,
            "with" => self.with = words.text()?.parse()?,
            "judge" if words.is("service") => self.goal = Goal::Service,
            "judge" => {
                words.literal("invariants")?;
                self.goal = Goal::Invariant;
            }
            _ => return Ok(None),
        }
        words.end().map(Some)
    }
}

impl FromStr for Setting {
    type Err = String;

    /// The first line of a setting.
    fn from_str(line: &str) -> Result<Setting, String> {
        let mut words = Words::of(line, SETTINGS);
        if words.verb() != "cluster" {
            return Err("a schedule begins with `cluster N` or `device NAME`".into());
        }
        let nodes = words.number_upto(u64::from(PEERS_MAX))? as u32;
        if nodes == 0 {
            return Err(format!("a cluster has 1 to {PEERS_MAX} nodes"));
        }
        let cold = words.is("cold");
        words.end()?;
        Ok(Setting { cold, ..Setting::of(nodes) })
    }
}

impl fmt::Display for Setting {
    /// The lines of a schedule.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cluster {}{}", self.nodes, if self.cold { " cold" } else { "" })?;
        let usual = Setting::of(self.nodes);
        if self.gateways != usual.gateways {
            write!(f, "\ngateways {}", self.gateways)?;
        }
        if self.frames != usual.frames {
            write!(f, "\nframes {}", self.frames)?;
        }
        if self.pieces != usual.pieces {
            write!(f, "\npieces {}", self.pieces)?;
        }
        if self.resend != usual.resend {
            write!(f, "\nresend {}", self.resend)?;
        }
        if self.founders != usual.founders {
            write!(f, "\nfounders {}", self.founders)?;
        }
        if self.with != usual.with {
            write!(f, "\nwith {}", self.with)?;
        }
        match self.goal {
            Goal::Betrayal => {}
            Goal::Invariant => write!(f, "\njudge invariants")?,
            Goal::Service => write!(f, "\njudge service")?,
        }
        Ok(())
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(line: &str) -> Result<Step, String> {
        let mut words = Words::of(line, STEPS);
        let step = match words.verb() {
            "put" => {
                let what = Ask::Put(words.text()?, words.text()?);
                Step::Ask { what, via: words.via()? }
            }
            "get" => Step::Ask { what: Ask::Get(words.text()?), via: words.via()? },
            "delete" => Step::Ask { what: Ask::Delete(words.text()?), via: words.via()? },
            "takeover" => takeover(&mut words)?,
            "write" => {
                let number = words.number()?;
                let key = words.text_before("to")?;
                Step::Write { number, key, to: words.node()? }
            }
            "read" => {
                let key = words.text_before("from")?;
                Step::Read { key, from: words.node()? }
            }
            "probe" => Step::Probe(words.node()?),
            verb @ ("add" | "remove") => {
                let node = NodeId(words.node()?);
                words.literal("at")?;
                let adds = verb == "add";
                let change = if adds { Change::Add(node, Place::UNKNOWN) } else { Change::Remove(node) };
                Step::Change { change, at: words.node()? }
            }
            "wish" => wish(&mut words)?,
            "deliver" => Step::Deliver(words.which()?),
            "again" => Step::Again(words.which()?),
            "lose" => Step::Lose(words.which()?),
            "stray" => {
                let which = words.which()?;
                words.literal("to")?;
                Step::Stray(which, words.node()?)
            }
            "cut" => Step::Cut(words.peer()?, words.peer()?),
            "heal" => Step::Heal(words.peer()?, words.peer()?),
            "sync" => Step::Sync(words.node()?),
            "crash" => match words.peer()? {
                Peer::Gateway(gateway) => Step::CrashGateway(gateway),
                Peer::Node(at) => Step::Crash { at, keep: words.keep()? },
            },
            "rot" => Step::Rot { at: words.node()?, keep: words.keep()? },
            "damage" => Step::Damage {
                at: words.node()?,
                block: words.one_of(&Block::ALL)?,
                harm: words.one_of(&Harm::ALL)?,
            },
            "wipe" => Step::Wipe(words.node()?),
            "tick" => Step::Tick(if words.is("all") { None } else { Some(words.peer()?) }),
            "pass" => Step::Pass(words.number_upto(WAIT_MAX)?),
            "calm" => {
                let mut without = Vec::new();
                if words.is("without") {
                    without.push(words.peer()?);
                    while words.are_left() {
                        without.push(words.peer()?);
                    }
                }
                Step::Calm { without }
            }
            "wait" => Step::Wait(words.number_upto(WAIT_MAX)?),
            "state" => Step::State,
            _ => return Err(words.no_such_line("step")),
        };
        words.end()?;
        Ok(step)
    }
}

fn takeover(words: &mut Words<'_>) -> Result<Step, String> {
    let at = words.node()?;
    if !words.are_left() {
        return Ok(Step::TakeOver { to: at, above: 0 });
    }
    words.literal("above")?;
    let above = words.number()?;
    if !words.are_left() {
        return Ok(Step::TakeOver { to: at, above });
    }
    words.literal("crash")?;
    Ok(Step::StandAndCrash { at, above, keep: words.keep()? })
}

fn wish(words: &mut Words<'_>) -> Result<Step, String> {
    let at = words.node()?;
    if !words.is("stand") {
        words.literal("step-down")?;
        return Ok(Step::Wish { at, what: Wished::StepDown });
    }
    let above = if words.is("above") { words.number()? } else { 0 };
    Ok(Step::Wish { at, what: Wished::Stand(Epoch(above)) })
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ask::Put(key, value) => write!(f, "put {key} {value}"),
            Ask::Get(key) => write!(f, "get {key}"),
            Ask::Delete(key) => write!(f, "delete {key}"),
        }
    }
}

impl fmt::Display for Step {
    /// The line of a schedule.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |key: &Option<String>| key.as_ref().map_or(String::new(), |key| format!(" {key}"));
        match self {
            Step::Ask { what, via } => write!(f, "{what} via g{via}"),
            Step::TakeOver { to, above: 0 } => write!(f, "takeover n{to}"),
            Step::TakeOver { to, above } => write!(f, "takeover n{to} above {above}"),
            Step::StandAndCrash { at, above, keep } => {
                write!(f, "takeover n{at} above {above} crash keep {keep}")
            }
            Step::Write { number, key, to } => write!(f, "write {number}{} to n{to}", named(key)),
            Step::Read { key, from } => write!(f, "read{} from n{from}", named(key)),
            Step::Probe(at) => write!(f, "probe n{at}"),
            Step::Change { change, at } => write!(f, "{change} at n{at}"),
            Step::Wish { at, what: Wished::Stand(Epoch(0)) } => write!(f, "wish n{at} stand"),
            Step::Wish { at, what: Wished::Stand(above) } => write!(f, "wish n{at} stand above {}", above.0),
            Step::Wish { at, what: Wished::StepDown } => write!(f, "wish n{at} step-down"),
            Step::Deliver(which) => write!(f, "deliver {which}"),
            Step::Again(which) => write!(f, "again {which}"),
            Step::Lose(which) => write!(f, "lose {which}"),
            Step::Stray(which, at) => write!(f, "stray {which} to n{at}"),
            Step::Cut(one, other) => write!(f, "cut {one} {other}"),
            Step::Heal(one, other) => write!(f, "heal {one} {other}"),
            Step::Sync(at) => write!(f, "sync n{at}"),
            Step::Crash { at, keep } => write!(f, "crash n{at} keep {keep}"),
            Step::CrashGateway(at) => write!(f, "crash g{at}"),
            Step::Rot { at, keep } => write!(f, "rot n{at} keep {keep}"),
            Step::Damage { at, block, harm } => write!(f, "damage n{at} {block} {harm}"),
            Step::Wipe(at) => write!(f, "wipe n{at}"),
            Step::Tick(Some(at)) => write!(f, "tick {at}"),
            Step::Tick(None) => write!(f, "tick all"),
            Step::Pass(times) => write!(f, "pass {times}"),
            Step::Calm { without } if without.is_empty() => write!(f, "calm"),
            Step::Calm { without } => {
                write!(f, "calm without")?;
                without.iter().try_for_each(|at| write!(f, " {at}"))
            }
            Step::Wait(times) => write!(f, "wait {times}"),
            Step::State => write!(f, "state"),
        }
    }
}
