//! Schedules as text: to be read, saved, changed and run again.
//!
//! ```text
//! # The seed of a comment: lines that begin with `#` say how it was found.
//! > simulation 42
//! > network loses 5% delays 100us..2ms
//! > clients 2 keys 3
//! > heals at 2s
//! > at 310ms c1 put k1 v7
//! > at 1.203s power-cut n2 for 300ms
//! > at 1.4s isolate n1 for 200ms
//! ```
//!
//! A line that begins with `> ` is part of the schedule: first the setting ([`setting`]), then faults ([`fault`]) and what
//! clients ask ([`ask`]), each at its moment. Times are written as `300us`, `20ms`, `1.5s`. Mechanisms are no part of it:
//! the same schedule runs with and without them.
//!
//! | file | job |
//! |---|---|
//! | `words` | words and numbers of a line, and what could stand where a wrong one stands |
//! | `setting` | cluster, network, bounds, clients |
//! | `fault`, `ask` | steps |

mod ask;
mod fault;
mod setting;
mod words;

use std::fmt;
use std::str::FromStr;

pub(crate) use fault::Shown;
pub use words::{Cluster, Read, Words, Wrong, show_time};
use words::{list, named};

use crate::options::Options;
use crate::schedule::{Bounds, Fault, Load, Schedule, Step, Weather};

/// A schedule and the cluster that it happens to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The lines that begin with `#`.
    pub notes: Vec<String>,
    /// The cluster.
    pub cluster: Cluster,
    /// The schedule.
    pub schedule: Schedule,
}

/// The line with which a simulation begins.
const FIRST: &str = "> simulation";
/// Most steps of a schedule.
const STEPS_MAX: usize = 200_000;

/// Is this the text of a simulation, and not another schedule? Its first step says so.
pub fn is_simulation(text: &str) -> bool {
    text.lines().find(|line| line.starts_with("> ")).is_some_and(|line| line.starts_with(FIRST))
}

/// Reads a simulation.
pub fn parse(text: &str) -> Result<Script, Wrong> {
    text.parse()
}

impl Script {
    /// `schedule` on the cluster of `options`.
    pub fn new(schedule: Schedule, options: &Options) -> Script {
        let Options { nodes, gateways, shards, clients, with, passive_gateways: passive, .. } = *options;
        let cluster = Cluster { nodes, gateways, shards, clients, with, passive };
        Script { notes: Vec::new(), cluster, schedule }
    }

    /// What a run of it consists of, with all mechanisms on.
    pub fn options(&self) -> Options {
        let Cluster { nodes, gateways, shards, clients, with, passive: passive_gateways } = self.cluster;
        let operations = self.schedule.load.operations;
        Options { nodes, gateways, shards, clients, operations, with, passive_gateways, ..Options::default() }
    }

    /// How many faults and operations it names.
    pub fn steps(&self) -> usize {
        self.schedule.steps.len() + self.schedule.asks.as_ref().map_or(0, Vec::len)
    }

    /// The lines of its setting.
    pub fn setting(&self) -> Vec<String> {
        let Schedule { seed, weather, bounds, load, asks, heal_at, .. } = &self.schedule;
        let mut lines = vec![format!("simulation {seed}")];
        let mut say = |name: &str, words: String| {
            lines.extend((!words.is_empty()).then(|| format!("{name}{words}")));
        };
        say("", setting::show_cluster(&self.cluster));
        say("network ", weather.to_string());
        say("syncs take ", setting::show_syncs(weather));
        say("bounds ", bounds.to_string());
        let operations = asks.is_none().then(|| format!("operations {}", load.operations));
        let words = [format!("clients {}", self.cluster.clients)].into_iter().chain(operations);
        say("", words.chain(Some(load.to_string()).filter(|l| !l.is_empty())).collect::<Vec<_>>().join(" "));
        say("heals at ", show_time(*heal_at));
        lines
    }

    /// The lines of its steps, in the order of time.
    pub fn step_lines(&self) -> Vec<String> {
        let Schedule { steps, asks, .. } = &self.schedule;
        let faults = steps.iter().map(|step| (step.at, Shown(&step.fault, self.cluster.nodes).to_string()));
        let asks = asks.iter().flatten().map(|ask| (ask.at, ask.to_string()));
        let mut all: Vec<_> = faults.chain(asks).collect();
        all.sort_by_key(|step| step.0);
        all.into_iter().map(|(at, what)| format!("at {} {what}", show_time(at))).collect()
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.notes.iter().try_for_each(|note| writeln!(f, "# {note}"))?;
        self.setting().iter().chain(&self.step_lines()).try_for_each(|line| writeln!(f, "> {line}"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown(self, Options::default().nodes).fmt(f)
    }
}

/// A fault of a cluster of the usual size, or of one with more of anything but nodes.
impl FromStr for Fault {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Fault, Wrong> {
        let mut words = Words::new(text, Cluster { nodes: Options::default().nodes, ..Cluster::LARGEST });
        let fault = fault::read(&mut words)?;
        words.end()?;
        Ok(fault)
    }
}

/// Reads all words with `read`, in which there is nothing but settings.
fn setting_of<T>(text: &str, mut setting: T, read: impl Fn(&mut Words, &mut T) -> Read<()>) -> Read<T> {
    let mut words = Words::new(text, setting::usual_cluster());
    read(&mut words, &mut setting)?;
    Ok(setting)
}

impl FromStr for Weather {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Weather, Wrong> {
        setting_of(text, Weather::fair(), setting::network)
    }
}

impl FromStr for Bounds {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Bounds, Wrong> {
        setting_of(text, Bounds::usual(), setting::bounds)
    }
}

impl FromStr for Load {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Load, Wrong> {
        setting_of(text, Load::usual(), |words, load| setting::load(words, load).map(|_| ()))
    }
}

/// What has been read so far.
struct Reading {
    script: Script,
    /// The dice choose what clients ask.
    drawn: bool,
    /// Settings that were given, each by its first word.
    given: Vec<&'static str>,
    begun: bool,
}

const SETTINGS: [&str; 11] = [
    "simulation",
    "nodes",
    "gateways",
    "shards",
    "with",
    "passive",
    "network",
    "syncs",
    "bounds",
    "clients",
    "heals",
];

impl FromStr for Script {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Script, Wrong> {
        let schedule = Schedule {
            seed: 0,
            weather: Weather::fair(),
            bounds: Bounds::usual(),
            load: Load::usual(),
            asks: Some(Vec::new()),
            steps: Vec::new(),
            heal_at: HEAL_AT,
        };
        let script = Script { notes: Vec::new(), cluster: setting::usual_cluster(), schedule };
        let mut reading = Reading { script, drawn: false, given: Vec::new(), begun: false };
        for (at, line) in text.lines().enumerate() {
            reading.line(line).map_err(|wrong| Wrong { line: at + 1, ..wrong })?;
        }
        if reading.given.is_empty() {
            let could = format!("`{FIRST} N`, which begins a schedule");
            return Err(Wrong { line: text.lines().count().max(1), word: String::new(), could });
        }
        if reading.drawn {
            reading.script.schedule.asks = None;
        }
        Ok(reading.script)
    }
}

/// When all faults end, if a schedule does not say it.
const HEAL_AT: u64 = 3_000_000;

impl Reading {
    fn line(&mut self, line: &str) -> Read<()> {
        if let Some(note) = line.strip_prefix('#') {
            self.script.notes.push(note.trim().to_string());
            return Ok(());
        }
        // A line that is further in is what somebody's program said to the schedule.
        if line.trim().is_empty() || line.starts_with("    ") {
            return Ok(());
        }
        let Some(rest) = line.strip_prefix("> ") else {
            return Words::new(line, self.script.cluster)
                .wrong("`> ` and a setting or a step, or `#` and a note");
        };
        let mut words = Words::new(rest, self.script.cluster);
        match words.take("at") {
            true if !self.given.is_empty() => self.step(&mut words)?,
            _ => self.setting(Words::new(rest, self.script.cluster))?,
        }
        Ok(())
    }

    fn setting(&mut self, mut words: Words) -> Read<()> {
        let Reading { script, given, .. } = self;
        if given.is_empty() {
            words.need("simulation")?;
            script.schedule.seed = words.number(0..=u64::MAX)?;
            given.push("simulation");
            return words.end();
        }
        let open = || SETTINGS.into_iter().filter(|name| !given.contains(name) && !self.begun);
        let Some(name) = open().find(|name| words.next_is(name)) else {
            return words.wrong(list(open().chain(["at"])));
        };
        let Schedule { weather, bounds, load, heal_at, .. } = &mut script.schedule;
        match name {
            name if setting::CLUSTER.contains(&name) => {
                let clients = script.cluster.clients;
                script.cluster = Cluster { clients, ..setting::cluster(&mut words)? };
                given.extend(setting::CLUSTER);
            }
            "network" => {
                words.need(name)?;
                setting::network(&mut words, weather)?;
            }
            "syncs" => {
                words.need("syncs take")?;
                weather.sync = words.times()?;
            }
            "bounds" => {
                words.need(name)?;
                setting::bounds(&mut words, bounds)?;
            }
            "clients" => {
                words.need(name)?;
                script.cluster.clients = words.count(1..=Cluster::LARGEST.clients)?;
                self.drawn = setting::load(&mut words, load)?;
            }
            _ => {
                words.need("heals at")?;
                *heal_at = words.time()?;
            }
        }
        given.push(name);
        words.end()
    }

    fn step(&mut self, words: &mut Words) -> Read<()> {
        self.begun = true;
        let at = words.time()?;
        let Schedule { steps, asks, load, .. } = &mut self.script.schedule;
        let asks = asks.get_or_insert_default();
        if steps.len() + asks.len() >= STEPS_MAX {
            return words.wrong(format!("nothing: a schedule has at most {STEPS_MAX} steps"));
        }
        let (mut ahead, clients) = (words.clone(), self.script.cluster.clients);
        if ahead.understood("", |word| named(word, 'c', clients)).is_ok() && !self.drawn {
            asks.push(ask::read(words, at, load.keys)?);
        } else {
            if !fault::verbs().any(|verb| words.next_is(verb)) {
                let client = if self.drawn { "" } else { ", or a client and what it asks" };
                return words.wrong(format!("{}{client}", list(fault::verbs())));
            }
            steps.push(Step { at, fault: fault::read(words)? });
        }
        words.end()
    }
}
