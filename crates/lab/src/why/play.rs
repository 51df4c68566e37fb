//! A schedule as text, and what comes of it with any set of mechanisms.

use std::fmt;

use trace::{Actor, Event, Mechanism, Mechanisms};

use crate::cluster::{self, Setting};
use crate::device;
use crate::quiet::caught;

/// A schedule: where it begins, and its steps, in the words of [`crate::cluster`] or of `device::play`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// How it was found: the lines that begin with `#`.
    pub notes: Vec<String>,
    /// The lines that say where it begins.
    pub setting: Vec<String>,
    /// The steps.
    pub steps: Vec<String>,
}

impl std::str::FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Schedule, String> {
        let mut schedule = Schedule { notes: Vec::new(), setting: Vec::new(), steps: Vec::new() };
        for line in text.lines() {
            if let Some(note) = line.strip_prefix('#') {
                schedule.notes.push(note.trim().to_string());
            } else if let Some(line) = line.strip_prefix("> ") {
                let setting = ["cluster", "frames", "pieces", "resend", "judge", "device"];
                let word = line.split_whitespace().next().unwrap_or_default();
                let part = if setting.contains(&word) { &mut schedule.setting } else { &mut schedule.steps };
                part.push(line.to_string());
            } else if !line.is_empty() && !line.starts_with("    ") {
                return Err(format!("`{line}` is neither a note nor a step"));
            }
        }
        if schedule.setting.is_empty() {
            return Err("a schedule begins with `> cluster N` or `> device NAME`".into());
        }
        Ok(schedule)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.notes.iter().try_for_each(|note| writeln!(f, "# {note}"))?;
        self.setting.iter().chain(&self.steps).try_for_each(|line| writeln!(f, "> {line}"))
    }
}

/// Where a step shows in a diagram. Lanes are numbered from 0, the client's.
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
    /// What the nodes did.
    pub events: Vec<Event>,
    /// What clients, or the host of a device, learned.
    pub client: Vec<String>,
    /// The state after it: a line for each node, or the device's sectors.
    pub state: Vec<String>,
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
    /// A node stopped by an assertion of its own.
    pub stopped: Option<String>,
}

impl Schedule {
    /// Plays it with these mechanisms on. Steps that are not possible are passed over. An error says which line is none.
    pub fn play(&self, on: Mechanisms) -> Result<Play, String> {
        self.then(on, false)
    }

    /// The same with all mechanisms on but these.
    pub fn play_without(&self, off: &[Mechanism]) -> Result<Play, String> {
        self.play(off.iter().fold(Mechanisms::all(), |on, mechanism| on.without(*mechanism)))
    }

    /// The same as [`Schedule::play`], and then lets everything that is still on its way arrive: a promise holds only if it also holds then.
    pub fn play_to_the_end(&self, on: Mechanisms) -> Result<Play, String> {
        self.then(on, true)
    }

    fn then(&self, on: Mechanisms, settle: bool) -> Result<Play, String> {
        match self.setting[0].strip_prefix("device ") {
            Some(device) => self.on_device(device, on),
            None => self.on_cluster(on, settle),
        }
    }

    /// Is it about one device?
    pub fn is_local(&self) -> bool {
        self.setting[0].starts_with("device ")
    }

    /// The nodes of its cluster.
    pub fn setting(&self) -> Result<Setting, String> {
        let mut setting: Setting = self.setting[0].parse()?;
        for line in &self.setting[1..] {
            setting.more(line)?.ok_or_else(|| format!("`{line}` is no setting of a cluster"))?;
        }
        Ok(setting)
    }

    fn on_cluster(&self, on: Mechanisms, settle: bool) -> Result<Play, String> {
        let setting = self.setting()?;
        let steps: Vec<cluster::Step> = self
            .steps
            .iter()
            .map(|line| line.parse().map_err(|why| format!("`{line}`: {why}")))
            .collect::<Result<_, _>>()?;
        let mut stage = cluster::Stage::new(&setting, on);
        let lanes = std::iter::once("client".to_string()).chain((1..=setting.nodes).map(|n| format!("n{n}")));
        let mut play = Play {
            lanes: lanes.collect(),
            begin: stage.replicas(),
            acts: Vec::new(),
            broken: None,
            stopped: None,
        };
        for (line, step) in self.steps.iter().zip(&steps) {
            let mut act = Act {
                step: line.clone(),
                words: String::new(),
                mark: mark(step),
                skipped: None,
                events: Vec::new(),
                client: Vec::new(),
                state: Vec::new(),
            };
            match caught(|| stage.take(step)) {
                Err(broken) => {
                    play.stopped = Some(broken);
                    act.words = words(step, &[]);
                    act.state = play.acts.last().map_or(play.begin.clone(), |act: &Act| act.state.clone());
                    play.acts.push(act);
                    return Ok(play);
                }
                Ok(Err(why)) => act.skipped = Some(why),
                Ok(Ok(done)) => {
                    act.words = words(step, &done.moved);
                    act.events = done.events;
                    act.client = done.client;
                }
            }
            if act.words.is_empty() {
                act.words = words(step, &[]);
            }
            act.state = stage.replicas();
            play.acts.push(act);
            if let Some(broken) = stage.broken() {
                play.broken = Some(broken.to_string());
                return Ok(play);
            }
        }
        if !settle {
            return Ok(play);
        }
        match caught(|| stage.take(&cluster::Step::Calm { without: Vec::new() })) {
            Ok(_) => {
                play.broken = stage.broken().map(|broken| format!("{broken}, once everything has arrived"))
            }
            Err(broken) => play.stopped = Some(broken),
        }
        Ok(play)
    }

    fn on_device(&self, device: &str, on: Mechanisms) -> Result<Play, String> {
        let mut stage = device::play::Stage::new(device, on)?;
        let lanes = vec!["host".to_string(), "device".to_string()];
        let mut play = Play { lanes, begin: Vec::new(), acts: Vec::new(), broken: None, stopped: None };
        for line in &self.steps {
            let mark = match line.split_whitespace().next() {
                Some("open") => Mark::At(1, 'o'),
                Some("cut" | "kill") => Mark::At(1, 'X'),
                Some("rot") => Mark::At(1, '!'),
                _ => Mark::Arrow(0, 1),
            };
            let mut act = Act {
                step: line.clone(),
                words: line.clone(),
                mark,
                skipped: None,
                events: Vec::new(),
                client: Vec::new(),
                state: Vec::new(),
            };
            match stage.take(line) {
                Ok(done) => {
                    act.words = done.words;
                    act.events = done.events;
                    act.client.extend(done.told);
                    act.state = vec![done.strip];
                }
                Err(why) => act.skipped = Some(why),
            }
            play.acts.push(act);
            // A crash may still cut off the recovery that noticed it.
            let next = self.steps.get(play.acts.len()).map(String::as_str).unwrap_or_default();
            if let Some(broken) = stage.broken()
                && !next.starts_with("cut")
                && !next.starts_with("kill")
            {
                play.broken = Some(broken.to_string());
                return Ok(play);
            }
        }
        Ok(play)
    }
}

fn mark(step: &cluster::Step) -> Mark {
    use cluster::Step::*;
    let lanes = |which: &cluster::Which| (which.from as usize, which.to as usize);
    match step {
        TakeOver { to, .. } | Write { to, .. } => Mark::Arrow(0, *to as usize),
        StandAndCrash { at, .. } => Mark::Arrow(0, *at as usize),
        Read { from } => Mark::Arrow(0, *from as usize),
        Deliver(which) | Again(which) => Mark::Arrow(lanes(which).0, lanes(which).1),
        Stray(which, at) => Mark::Arrow(lanes(which).0, *at as usize),
        Lose(which) => Mark::Lost(lanes(which).0, lanes(which).1),
        Sync(at) => Mark::At(*at as usize, 'S'),
        Crash { at, .. } => Mark::At(*at as usize, 'X'),
        Rot { at, .. } => Mark::At(*at as usize, 'R'),
        Wipe(at) => Mark::At(*at as usize, 'W'),
        Tick(Some(at)) => Mark::At(*at as usize, 'T'),
        Tick(None) => Mark::All('T'),
        Calm { .. } | State => Mark::All('='),
    }
}

fn words(step: &cluster::Step, moved: &[String]) -> String {
    use cluster::Step::*;
    let what = if moved.is_empty() { "a message".to_string() } else { moved.join(", then ") };
    match step {
        TakeOver { to, .. } => format!("a gateway asks n{to} to take over"),
        StandAndCrash { at, keep, .. } => format!(
            "a gateway asks n{at} to take over, which asks for promises, crashes before its own is durable, and keeps \
             {keep} of its unsynced records"
        ),
        Write { number, to } => format!("a client's write {number} reaches n{to}"),
        Read { from } => format!("a client's read reaches n{from}"),
        Deliver(which) => format!("n{} → n{}: {what}", which.from, which.to),
        Again(which) => format!("n{} → n{}: {what} (a copy stays on its way)", which.from, which.to),
        Lose(which) => format!("n{} → n{}: {what} is lost", which.from, which.to),
        Stray(which, at) => format!("n{} → n{}: {what}; a copy of it arrives at n{at}", which.from, which.to),
        Sync(at) => format!("n{at}'s sync returns"),
        Crash { at, keep } => format!("n{at} crashes and restarts; {keep} of its unsynced records survive"),
        Rot { at, keep } => format!("n{at} crashes; its log is damaged behind its first {keep} entries"),
        Wipe(at) => format!("n{at} comes back with an empty disk"),
        Tick(Some(at)) => format!("n{at}'s timers expire"),
        Tick(None) => "all timers expire".into(),
        Calm { .. } => "everything arrives".into(),
        State => "nothing happens".into(),
    }
}

/// The lane of an event's actor.
pub fn lane(event: &Event) -> usize {
    match event.id.actor {
        Actor::Node { node, .. } => node as usize,
        _ => 0,
    }
}
