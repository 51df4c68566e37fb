//! A run of the simulator, to step through: from the first step of its schedule on, every event that matters, and how it
//! ended.
//!
//! What nodes and gateways do all day is left out, and it is said how much that is; a trace has every event. A run is the
//! same each time, so that the state behind an event is found by running the schedule as far as that. What happens next is
//! up to the schedule's dice; who steps through it may add a fault, or what a client asks, at the moment where the run
//! stands: that begins another schedule, with the same past.

use std::collections::BTreeSet;

use sim::text::{self, show_time};
use sim::{Options, Report, Script, execute, look};
use trace::{Event, EventId, Kind, Mechanism};

use crate::cluster::state::State;
use crate::machine::Facts;
use crate::tell::at_work;
use crate::why::registry::entry;

/// Runs `script` without these mechanisms, and keeps its trace.
pub fn run_script(script: &Script, off: &[Mechanism]) -> Report {
    let options = Options { without: off.to_vec(), trace: true, ..script.options() };
    execute(&script.schedule, &options)
}

/// Is this what happens all day?
fn is_routine(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::RequestRouted { .. }
            | Kind::ReadRouted { .. }
            | Kind::RequestReceived { .. }
            | Kind::RequestEnded { .. }
            | Kind::RequestRefused { .. }
            | Kind::EntryAppended { .. }
            | Kind::EntriesSent { .. }
            | Kind::HeartbeatSent { .. }
            | Kind::EntriesRepeated { .. }
            | Kind::AckCounted { .. }
            | Kind::EntryApplied { .. }
            | Kind::ReadWaiting { .. }
            | Kind::ConfirmationAsked { .. }
            | Kind::ReadConfirmed { .. }
            | Kind::EpochConfirmed { .. }
            | Kind::TransferChunkSent { .. }
            | Kind::FrameRefused { .. }
            | Kind::RecordWritten { .. }
            | Kind::TruncationWritten { .. }
            | Kind::DeviceSynced { .. }
            | Kind::PromiseStored { .. }
            | Kind::CheckpointBegun { .. }
            | Kind::MessageLost { .. }
    )
}

/// A run, and where one stands in it.
pub struct Replay {
    script: Script,
    off: Vec<Mechanism>,
    report: Report,
    events: Vec<Event>,
    /// Of the events, those that are told.
    told: Vec<usize>,
    at: usize,
    /// The schedules that were left.
    left: Vec<Script>,
}

impl Replay {
    /// The run of `script` without these mechanisms, before the first event that is told.
    pub fn new(script: Script, off: &[Mechanism]) -> Result<Replay, String> {
        let mut replay = Replay {
            script,
            off: off.to_vec(),
            report: Report::default(),
            events: Vec::new(),
            told: Vec::new(),
            at: 0,
            left: Vec::new(),
        };
        replay.run()?;
        Ok(replay)
    }

    fn run(&mut self) -> Result<(), String> {
        self.report = run_script(&self.script, &self.off);
        self.events = self.report.events()?;
        self.told = told(&self.script, &self.events);
        self.at = self.at.min(self.told.len());
        Ok(())
    }

    /// How many events were told on the way here.
    pub fn at(&self) -> usize {
        self.at
    }

    /// How many are told in all.
    pub fn len(&self) -> usize {
        self.told.len()
    }

    /// Is there nothing to tell?
    pub fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// The schedule.
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// What came of it.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The event told with number `n`, from 1.
    pub fn event(&self, n: usize) -> Option<&Event> {
        self.told.get(n.checked_sub(1)?).map(|index| &self.events[*index])
    }

    /// Goes to behind the event told with number `n`; 0: before all of them.
    pub fn goto(&mut self, n: usize) {
        self.at = n.min(self.told.len());
    }

    /// The present.
    fn now(&self) -> u64 {
        let next = || self.told.first().map(|index| time(&self.events[*index]).saturating_sub(1));
        self.event(self.at).map(time).or_else(next).unwrap_or(0)
    }

    /// The cluster as it is here. An error says why it cannot be seen.
    pub fn state(&self) -> Result<Facts, String> {
        let events = match self.at.checked_sub(1) {
            Some(last) => self.told[last] + 1,
            None => self.told.first().copied().unwrap_or(0),
        };
        let options = Options { without: self.off.clone(), ..self.script.options() };
        let shards = self.script.cluster.shards;
        let see = |seen: &sim::Look| State::of_simulation(seen, shards);
        let seen = look(&self.script.schedule, &options, events as u64, see);
        seen.map(Facts::Cluster).ok_or("a process has ended this run with an assertion of its own".into())
    }

    /// Adds a fault, or what a client asks, right after the present, and plays on from here. The schedule that was left
    /// is kept. An error says what could be added; nothing changes then.
    pub fn take(&mut self, step: &str) -> Result<(), String> {
        let line = format!("at {} {step}", show_time(self.now() + 1));
        let script = text::parse(&format!("{}> {line}\n", self.script)).map_err(|wrong| {
            let what = wrong.to_string();
            what.split_once(": ").map_or(what.clone(), |(_, what)| what.to_string())
        })?;
        self.left.push(std::mem::replace(&mut self.script, script));
        self.run()
    }

    /// What is to come: messages on their way, and the steps of the schedule, each with its time.
    pub fn ahead(&self) -> Result<Vec<String>, String> {
        let Facts::Cluster(state) = self.state()? else { return Ok(Vec::new()) };
        let frames =
            state.network.iter().map(|way| format!("on its way {} → {}: {}", way.from, way.to, way.words));
        let steps = self.script.schedule.steps.iter().map(|step| step.at);
        let asks = self.script.schedule.asks.iter().flatten().map(|ask| ask.at);
        let past = steps.chain(asks).filter(|at| *at <= self.now()).count();
        Ok(frames.chain(self.script.step_lines().into_iter().skip(past)).collect())
    }

    /// The schedules that were left.
    pub fn branches(&self) -> &[Script] {
        &self.left
    }

    /// Goes over to the schedule that was left as number `n`, from 0; the present one is left. `false`: there is none.
    pub fn branch(&mut self, n: usize) -> Result<bool, String> {
        if n >= self.left.len() {
            return Ok(false);
        }
        std::mem::swap(&mut self.script, &mut self.left[n]);
        self.run()?;
        Ok(true)
    }

    /// Runs the same schedule without these mechanisms.
    pub fn switch(&mut self, off: &[Mechanism]) -> Result<(), String> {
        self.off = off.to_vec();
        self.run()
    }

    /// The event told with number `n`, in words.
    pub fn line(&self, n: usize) -> Option<String> {
        self.event(n).map(|event| format!("{n:>4}. {}", self.words(event)))
    }

    fn words(&self, event: &Event) -> String {
        let on = crate::nearest::without(&self.off);
        let by = event.kind.mechanism().map(|by| at_work(by, on)).unwrap_or_default();
        let (seconds, micros) = (time(event) / 1_000_000, time(event) % 1_000_000);
        format!("{seconds}.{micros:06} s  {}{by}", sentence(event, self.script.cluster.shards))
    }

    /// The causes of the event told with number `n`, back to the beginning: also those that are not told.
    pub fn causes(&self, n: usize) -> Option<Vec<String>> {
        let mut next = Some(*self.told.get(n.checked_sub(1)?)?);
        let mut lines = Vec::new();
        while let Some(at) = next {
            let event = &self.events[at];
            let head = if lines.is_empty() { "" } else { "because " };
            lines.push(format!("{head}{}", self.words(event)));
            // Faults and messages are the simulator's own: the place says nothing there.
            if !event.source.file.starts_with("crates/sim/") {
                lines.push(format!("       {} in {}", event.source.symbol, event.source.file));
            }
            if let Some(mechanism) = event.kind.mechanism()
                && let Some((file, symbol)) = entry(mechanism).guard
            {
                lines.push(format!("       {mechanism}: fn {symbol} in {file}"));
            }
            // Of several causes the last one made it happen.
            let causes = event.parents.iter().filter_map(|parent| self.find(parent));
            next = causes.filter(|cause| *cause < at).max();
        }
        Some(lines)
    }

    fn find(&self, id: &EventId) -> Option<usize> {
        self.events.iter().position(|event| event.id == *id)
    }

    /// Everything on the way here; at the end also how it ended.
    pub fn tell(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.script.to_string().lines().map(String::from).collect();
        lines.push(String::new());
        lines.push(format!(
            "Of {} events, the {} from the first step on that are not daily routine; a trace has them all:",
            self.events.len(),
            self.told.len()
        ));
        lines.extend((1..=self.at).filter_map(|n| self.line(n)));
        lines.push(String::new());
        lines.push(match self.told.len() - self.at {
            0 => verdict(&self.report),
            more => format!("(It stops here; {more} more events follow.)"),
        });
        lines
    }
}

fn time(event: &Event) -> u64 {
    event.wall.unwrap_or(0)
}

/// Which events are told.
fn told(script: &Script, events: &[Event]) -> Vec<usize> {
    let schedule = &script.schedule;
    let first = schedule.steps.iter().map(|step| step.at);
    let first = first.chain(schedule.asks.iter().flatten().map(|ask| ask.at)).min().unwrap_or(0);
    // A backup acknowledges with each heartbeat what it has acknowledged before: that is news once.
    let mut said = BTreeSet::new();
    let mut is_news = |event: &Event| match &event.kind {
        Kind::MatchAcknowledged { epoch, upto, .. } => said.insert((event.id.actor, *epoch, *upto)),
        _ => true,
    };
    let mut is_told = |event: &Event| time(event) >= first && !is_routine(&event.kind) && is_news(event);
    (0..events.len()).filter(|index| is_told(&events[*index])).collect()
}

/// In a cluster with one shard a node is its only replica.
fn sentence(event: &Event, shards: u32) -> String {
    let sentence = event.sentence();
    if shards == 1 { sentence.replace("/0 ", " ").replace("/0:", ":") } else { sentence }
}

/// How it ended, in a sentence.
pub fn verdict(report: &Report) -> String {
    match &report.violation {
        Some(broken) => {
            let (promise, invariant) = (broken.promise, &broken.invariant);
            let at = sim::text::show_time(broken.at);
            let number =
                if *invariant == format!("P{promise}") { String::new() } else { format!(", {invariant}") };
            format!("BROKEN  P{promise}{number}: after {at}, {}", broken.sentence)
        }
        None => "HELD    No promise is broken in any of these steps.".into(),
    }
}
