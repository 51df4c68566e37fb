//! The time machine: one cluster of real nodes on simulated disks, or one engine on one disk, to step forward and back.
//!
//! A machine stands somewhere on a line of steps: behind it are those that were taken, ahead those that are planned. Going
//! back plays the steps anew from the beginning, which gives the same state, since nothing in it is left to chance. A step
//! that is not the planned one begins a branch; the line that was left is kept.

use std::hash::{Hash, Hasher};

use trace::{Mechanism, Mechanisms};

use crate::cluster::Step;
use crate::cluster::nodes::Nodes;
use crate::cluster::possible::possible;
use crate::cluster::stage::{Cluster, Stage};
use crate::cluster::state::State;
use crate::device::play::Stage as DeviceStage;
use crate::play::{Act, Lanes, Mark, Play, words};
use crate::portable::Portable;
use crate::quiet::caught;
use crate::schedule::Schedule;

/// What steps happen to.
enum World<C> {
    Cluster(Box<Stage<C>>),
    Device(Box<DeviceStage>),
}

/// The state at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Facts {
    /// Of a cluster.
    Cluster(State),
    /// Of a device: its sectors, a letter each.
    Device(Vec<String>),
}

/// What became of a promise to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    /// From 1.
    pub number: usize,
    /// In a client's words.
    pub words: &'static str,
    /// What broke it.
    pub broken: Option<String>,
}

/// A cluster or a device on a line of steps. `C` is the real nodes, or the checker's model of them.
pub struct TimeMachine<C> {
    schedule: Schedule,
    on: Mechanisms,
    world: World<C>,
    begin: Vec<String>,
    acts: Vec<Act>,
    ahead: Vec<String>,
    branches: Vec<Vec<String>>,
    broken: Option<String>,
    stopped: Option<String>,
}

/// The machine of real nodes.
pub type Machine = TimeMachine<Nodes>;

impl<C: Cluster> TimeMachine<C> {
    /// Where `schedule` begins, with its steps ahead.
    pub fn new(schedule: &Schedule, on: Mechanisms) -> Result<TimeMachine<C>, String> {
        let world: World<C> = match schedule.setting.first().and_then(|first| first.strip_prefix("device ")) {
            Some(device) => World::Device(Box::new(DeviceStage::new(device, on)?)),
            None => {
                let setting = schedule.setting()?;
                let stage = caught(|| Stage::new(&setting, on)).unwrap_or_else(Err)?;
                World::Cluster(Box::new(stage))
            }
        };
        let begin = match &world {
            World::Cluster(stage) => stage.cluster.summary(),
            World::Device(_) => Vec::new(),
        };
        Ok(TimeMachine {
            schedule: Schedule { steps: Vec::new(), ..schedule.clone() },
            on,
            world,
            begin,
            acts: Vec::new(),
            ahead: schedule.steps.clone(),
            branches: Vec::new(),
            broken: None,
            stopped: None,
        })
    }

    /// Steps that were taken.
    pub fn at(&self) -> usize {
        self.acts.len()
    }

    /// What came of each of them.
    pub fn acts(&self) -> &[Act] {
        &self.acts
    }

    /// The planned steps.
    pub fn ahead(&self) -> &[String] {
        &self.ahead
    }

    /// Lines that were left, each from its beginning.
    pub fn branches(&self) -> &[Vec<String>] {
        &self.branches
    }

    /// The line that the machine stands on, as a schedule.
    pub fn schedule(&self) -> Schedule {
        let taken = self.acts.iter().map(|act| act.step.clone());
        Schedule { steps: taken.chain(self.ahead.iter().cloned()).collect(), ..self.schedule.clone() }
    }

    /// Takes the next planned step; one that is not possible is passed over, and says why. `None`: there is none, or a
    /// node's own assertion has ended all.
    pub fn advance(&mut self) -> Option<&Act> {
        if self.stopped.is_some() || self.ahead.is_empty() {
            return None;
        }
        let line = self.ahead.remove(0);
        let act = self.act(&line);
        self.acts.push(act);
        self.acts.last()
    }

    /// Takes any step. If it is not the planned one, this begins a branch. An error says why it is not possible; then
    /// nothing has changed.
    pub fn take(&mut self, line: &str) -> Result<&Act, String> {
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some(stopped) = &self.stopped {
            return Err(format!(
                "a node's own assertion has ended this line ({stopped}): go back, and take another way"
            ));
        }
        if let World::Cluster(_) = self.world {
            line.parse::<Step>()?;
        }
        let planned = std::mem::take(&mut self.ahead);
        let act = self.act(&line);
        if let Some(why) = act.skipped {
            self.ahead = planned;
            // An impossible step leaves no trace.
            self.goto(self.acts.len());
            return Err(why);
        }
        if planned.first() == Some(&line) {
            self.ahead = planned[1..].to_vec();
        } else if !planned.is_empty() {
            let taken = self.acts.iter().map(|act| act.step.clone());
            self.branches.push(taken.chain(planned).collect());
        }
        self.acts.push(act);
        Ok(&self.acts[self.acts.len() - 1])
    }

    /// One step back. `false`: this is the beginning.
    pub fn back(&mut self) -> bool {
        let at = self.acts.len();
        if at > 0 {
            self.goto(at - 1);
        }
        at > 0
    }

    /// To where so many steps of this line were taken, or to its end.
    pub fn goto(&mut self, at: usize) {
        let (branches, schedule) = (std::mem::take(&mut self.branches), self.schedule());
        if let Ok(again) = TimeMachine::new(&schedule, self.on) {
            *self = TimeMachine { branches, ..again };
            while self.acts.len() < at && self.advance().is_some() {}
        }
    }

    /// To the same place on a line that was left. `false`: there is none of this number.
    pub fn branch(&mut self, number: usize) -> bool {
        if number >= self.branches.len() {
            return false;
        }
        let other = self.branches.remove(number);
        let here = self.schedule().steps;
        let same = here.iter().zip(&other).take_while(|(a, b)| a == b).count();
        self.branches.push(here);
        let (at, branches) = (self.acts.len().min(same), std::mem::take(&mut self.branches));
        let schedule = Schedule { steps: other, ..self.schedule.clone() };
        if let Ok(again) = TimeMachine::new(&schedule, self.on) {
            *self = TimeMachine { branches, ..again };
            while self.acts.len() < at && self.advance().is_some() {}
        }
        true
    }

    /// What broke, if anything did.
    pub fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// The assertion that ended all, if one did.
    pub fn stopped(&self) -> Option<&str> {
        self.stopped.as_deref()
    }

    /// Each promise: held so far, or broken by what.
    pub fn verdict(&self) -> Vec<Promise> {
        let named = |broken: &str, number: usize| {
            let ids = broken.split(':').next().unwrap_or_default();
            let direct = ids.split(", ").any(|id| id == format!("P{number}"));
            // What names no promise is a device or a replica that is not what it has to be: an acknowledged write.
            direct || (number == 1 && !ids.split(", ").any(|id| id.starts_with('P')))
        };
        let words = trace::mechanism::PROMISES.iter().enumerate();
        words
            .map(|(at, words)| {
                let broken = self.broken.clone().filter(|broken| named(broken, at + 1));
                Promise { number: at + 1, words, broken }
            })
            .collect()
    }

    fn act(&mut self, line: &str) -> Act {
        match &mut self.world {
            World::Cluster(_) => self.act_on_cluster(line),
            World::Device(_) => self.act_on_device(line),
        }
    }

    fn act_on_cluster(&mut self, line: &str) -> Act {
        let World::Cluster(stage) = &mut self.world else { unreachable!("it was looked at") };
        let mut act = blank(line);
        let step: Step = match line.parse() {
            Ok(step) => step,
            Err(why) => return Act { skipped: Some(why), ..act },
        };
        act.mark = Lanes::of(&stage.setting).mark(&step);
        act.words = words(&step, &[]);
        match caught(|| stage.take(&step)) {
            Err(stopped) => {
                self.stopped = Some(stopped);
                act.state = self.acts.last().map_or(self.begin.clone(), |act| act.state.clone());
                return act;
            }
            Ok(Err(why)) => act.skipped = Some(why),
            Ok(Ok(done)) => {
                act.words = words(&step, &done.moved);
                if let Step::Write { number, .. } = step {
                    let before = |act: &Act| matches!(act.step.parse(), Ok(Step::Write { number: n, .. }) if n == number);
                    let answer = format!("write {number} is ");
                    let answered = |act: &Act| act.client.iter().any(|line| line.starts_with(&answer));
                    if self.acts.iter().any(answered) {
                        act.words.push_str("; this copy was sent before its answer came");
                    } else if self.acts.iter().any(before) {
                        act.words.push_str(", sent again");
                    }
                }
                if done.events.is_empty() && matches!(step, Step::Tick(_)) {
                    act.words.push_str("; nothing is due yet");
                }
                act.events = done.events;
                act.client = done.client;
                act.counts = done.counts;
            }
        }
        act.state = stage.cluster.summary();
        act.waiting = stage.waiting();
        act.held = stage.held_back();
        act.open = stage.open();
        self.broken = stage.broken().map(str::to_string);
        act
    }

    fn act_on_device(&mut self, line: &str) -> Act {
        let World::Device(stage) = &mut self.world else { unreachable!("it was looked at") };
        let mut act = blank(line);
        act.mark = match line.split_whitespace().next() {
            Some("open") => Mark::At(1, 'o'),
            Some("cut" | "kill") => Mark::At(1, 'X'),
            Some("rot") => Mark::At(1, '!'),
            _ => Mark::Arrow(0, 1),
        };
        let next = self.ahead.first().map(String::as_str);
        match stage.take_before(line, next) {
            Ok(done) => {
                act.words = done.words.replace("the step before", &format!("step {}", self.acts.len()));
                act.events = done.events;
                act.also = done.also;
                act.client.extend(done.told);
                act.counts = 1;
                act.state = vec![done.strip];
            }
            Err(why) => act.skipped = Some(why),
        }
        // A crash may still cut off the recovery that noticed it.
        let crashes = next.is_some_and(|next| next.starts_with("cut") || next.starts_with("kill"));
        self.broken = stage.broken().filter(|_| !crashes).map(str::to_string);
        act
    }

    /// The names of the lanes of a diagram.
    pub fn lanes(&self) -> Vec<String> {
        match &self.world {
            World::Cluster(stage) => Lanes::of(&stage.setting).names(),
            World::Device(_) => vec!["host".to_string(), "device".to_string()],
        }
    }

    /// All that came of the line so far.
    pub fn play(&self) -> Play {
        let readers = match (&self.world, self.broken()) {
            (World::Cluster(stage), Some(broken)) if broken.contains('P') => stage.cluster.readers(),
            _ => Vec::new(),
        };
        Play {
            readers,
            lanes: self.lanes(),
            begin: self.begin.clone(),
            acts: self.acts.clone(),
            broken: self.broken.clone(),
            stopped: self.stopped.clone(),
            on: self.on,
        }
    }

    /// To the end of the line, or to the step that breaks a promise.
    pub(crate) fn run_out(&mut self) {
        while self.broken.is_none() && self.advance().is_some() {}
    }

    /// Lets everything that is still on its way arrive, as no step of the line.
    pub(crate) fn settle(&mut self) {
        let World::Cluster(stage) = &mut self.world else { return };
        if self.broken.is_some() || self.stopped.is_some() {
            return;
        }
        match caught(|| stage.take(&Step::Calm { without: Vec::new() })) {
            Ok(_) => {
                self.broken = stage.broken().map(|broken| format!("{broken}, once everything has arrived"));
            }
            Err(stopped) => self.stopped = Some(stopped),
        }
    }
}

impl Machine {
    /// Everything that could happen next, as steps.
    pub fn steps(&mut self) -> Vec<String> {
        if self.stopped.is_some() {
            return Vec::new();
        }
        match &mut self.world {
            World::Cluster(stage) => possible(stage).iter().map(Step::to_string).collect(),
            World::Device(stage) => stage.possible(),
        }
    }

    /// The state as facts.
    pub fn state(&self) -> Facts {
        match &self.world {
            World::Cluster(stage) => Facts::Cluster(stage.facts()),
            World::Device(_) => Facts::Device(self.acts.last().map_or(Vec::new(), |act| act.state.clone())),
        }
    }

    /// Equal for equal states, verdicts and events, on any machine.
    pub fn hash(&self) -> u64 {
        let mut hasher = Portable::default();
        self.state().hash(&mut hasher);
        (&self.broken, &self.stopped).hash(&mut hasher);
        for event in self.acts.iter().flat_map(|act| &act.events) {
            (&event.id, &event.parents, &event.kind).hash(&mut hasher);
        }
        hasher.finish()
    }
}

fn blank(line: &str) -> Act {
    Act {
        step: line.to_string(),
        words: line.to_string(),
        mark: Mark::Nothing,
        skipped: None,
        counts: 0,
        events: Vec::new(),
        also: None,
        client: Vec::new(),
        state: Vec::new(),
        waiting: Vec::new(),
        held: Vec::new(),
        open: Vec::new(),
    }
}

impl Schedule {
    /// Plays it with these mechanisms on, up to the step that breaks a promise. Steps that are not possible are passed over.
    pub fn play(&self, on: Mechanisms) -> Result<Play, String> {
        let mut machine = Machine::new(self, on)?;
        machine.run_out();
        Ok(machine.play())
    }

    /// The same with all mechanisms on but these.
    pub fn play_without(&self, off: &[Mechanism]) -> Result<Play, String> {
        self.play(crate::nearest::without(off))
    }

    /// The same as [`Schedule::play`], and then lets everything that is still on its way arrive: a promise holds only if
    /// it also holds then.
    pub fn play_to_the_end(&self, on: Mechanisms) -> Result<Play, String> {
        let mut machine = Machine::new(self, on)?;
        machine.run_out();
        machine.settle();
        Ok(machine.play())
    }
}
