//! The position in a schedule, and how it moves.
//!
//! A step of the schedule contains several events; the position is an event of the last step that was taken. A step
//! without events is a position too. The state is always that after the step: what happens within one cannot be taken
//! apart.

use lab::{Act, Machine, Mark, Play, tell};
use trace::Event;

use super::breakpoints::Breakpoints;
use super::launch::Launch;
use super::listing::Listing;
use super::tree::Tree;

/// How the position is to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// To the first place to stop at.
    Continue,
    /// To the next event.
    Next,
    /// To the next event in this lane.
    In(usize),
    /// To the end of the step.
    Out,
    /// To the event before.
    Back,
    /// To the event that caused this one.
    Cause,
}

/// Why it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// One of the protocol's words.
    pub reason: &'static str,
    /// The same for a person.
    pub description: String,
    /// More of it.
    pub text: String,
    /// The breakpoints that were hit.
    pub hit: Vec<i64>,
    /// What broke, if it stands there.
    pub broken: Option<String>,
}

/// Something to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub text: String,
    /// The step that it is about, from 1.
    pub step: usize,
    pub is_bad: bool,
}

/// A schedule that is being debugged.
pub struct Session {
    pub machine: Machine,
    pub listing: Listing,
    pub tree: Tree,
    /// Is the first stop at the beginning?
    pub stops_on_entry: bool,
    /// Is it to run through, and stop nowhere?
    pub runs_through: bool,
    /// The place among the events of the last step that was taken.
    event: usize,
    /// The step that broke a promise.
    broken_at: Option<usize>,
    /// Has somebody tried to go beyond the end?
    at_the_end: bool,
    /// What came of the steps that were taken since this was last asked.
    pub said: Vec<Said>,
    lanes: Play,
}

impl Session {
    pub fn new(launch: Launch) -> Result<Session, String> {
        let machine = Machine::new(&launch.schedule, lab::without(&launch.off))?;
        let lanes = Play { acts: Vec::new(), begin: Vec::new(), ..machine.play() };
        let listing = Listing::new(launch.file, &launch.schedule);
        Ok(Session {
            machine,
            listing,
            tree: launch.tree,
            stops_on_entry: launch.stop_on_entry,
            runs_through: launch.no_debug,
            event: 0,
            broken_at: None,
            at_the_end: false,
            said: Vec::new(),
            lanes,
        })
    }

    /// The names of the lanes: clients, gateways, nodes.
    pub fn lanes(&self) -> &[String] {
        &self.lanes.lanes
    }

    /// The lane of an event.
    pub fn lane_of(&self, event: &Event) -> usize {
        self.lanes.lane(event)
    }

    /// The step, from 1, and the place of the event in it, from 0. Step 0: nothing has happened yet.
    pub fn position(&self) -> (usize, usize) {
        (self.machine.at(), self.event)
    }

    /// The last step that was taken.
    pub fn act(&self) -> Option<&Act> {
        self.machine.acts().last()
    }

    /// The event of the position.
    pub fn event(&self) -> Option<&Event> {
        self.act()?.events.get(self.event)
    }

    /// The lane of the position.
    pub fn lane(&self) -> usize {
        match (self.event(), self.act()) {
            (Some(event), _) => self.lane_of(event),
            (None, Some(act)) => match act.mark {
                Mark::Arrow(_, lane) | Mark::Lost(lane, _) | Mark::At(lane, _) => lane,
                Mark::All(_) | Mark::Nothing => 0,
            },
            (None, None) => 0,
        }
    }

    /// Is there nothing to go on to?
    pub fn is_over(&self) -> bool {
        self.at_the_end
    }

    /// Moves. A run looks now and then whether it is `interrupted`.
    pub fn go(&mut self, to: Move, stops: &Breakpoints, interrupted: &mut dyn FnMut() -> bool) -> Stop {
        match to {
            Move::Back => self.back(),
            Move::Cause => self.go_to_cause(),
            _ => self.run(to, stops, interrupted),
        }
    }

    /// To the end, without a stop.
    pub fn run_through(&mut self, interrupted: &mut dyn FnMut() -> bool) {
        while !interrupted() && self.forward() {}
        self.at_the_end = true;
    }

    /// Takes a step that need not be the planned one.
    pub fn take(&mut self, step: &str, stops: &Breakpoints) -> Result<Stop, String> {
        let (branches, was_broken) = (self.machine.branches().len(), self.is_broken());
        self.machine.take(step)?;
        self.arrived(was_broken);
        let branches = self.machine.branches().len() - branches;
        let how = if branches > 0 { "a branch begins here" } else { "this is the planned step" };
        let broken = self.must_stop(stops).filter(|stop| stop.broken.is_some());
        Ok(broken.unwrap_or_else(|| self.stop("goto", &format!("Took a step: {how}"))))
    }

    /// Goes over to a line of steps that was left.
    pub fn branch(&mut self, number: usize) -> Result<Stop, String> {
        if number == 0 || !self.machine.branch(number - 1) {
            return Err(format!("there is no branch {number}; `branches` lists them"));
        }
        self.went();
        self.event = self.events().saturating_sub(1);
        Ok(self.stop("goto", "Another line of steps"))
    }

    /// Where it stands, and why.
    pub fn stop(&self, reason: &'static str, description: &str) -> Stop {
        let (description, hit) = (description.to_string(), Vec::new());
        Stop { reason, description, text: self.words(), hit, broken: None }
    }

    /// The position in words.
    pub fn words(&self) -> String {
        let (step, event) = self.position();
        match (self.event(), self.act()) {
            (Some(happened), _) => format!("{step}.{} {}", event + 1, tell::plain(happened)),
            (None, Some(act)) => match &act.skipped {
                Some(why) => format!("{step} {} (not possible here: {why})", act.words),
                None => format!("{step} {}", act.words),
            },
            (None, None) => "nothing has happened yet".to_string(),
        }
    }

    /// What is broken: the promises, and whether it is an invariant.
    pub fn broken(&self) -> Vec<String> {
        let promises = self.machine.verdict().into_iter().filter(|promise| promise.broken.is_some());
        let mut broken: Vec<String> = promises.map(|promise| format!("P{}", promise.number)).collect();
        let ids = self.machine.broken().and_then(|broken| broken.split(':').next()).unwrap_or_default();
        let is_invariant = |id: &str| {
            let (letter, number) = id.split_at_checked(1).unwrap_or_default();
            letter != "P" && letter.chars().all(char::is_uppercase) && number.parse::<u32>().is_ok()
        };
        if self.machine.stopped().is_some() || ids.split(", ").any(is_invariant) {
            broken.push("invariants".to_string());
        }
        broken
    }

    /// What broke, in a sentence.
    pub fn broken_in_words(&self) -> Option<String> {
        let stopped = self.machine.stopped().map(|why| format!("an assertion of a node has failed: {why}"));
        self.machine.broken().map(str::to_string).or(stopped)
    }

    fn is_broken(&self) -> bool {
        self.machine.broken().is_some() || self.machine.stopped().is_some()
    }

    fn events(&self) -> usize {
        self.act().map_or(0, |act| act.events.len())
    }

    fn is_last_of_its_step(&self) -> bool {
        self.event + 1 >= self.events()
    }

    fn run(&mut self, to: Move, stops: &Breakpoints, interrupted: &mut dyn FnMut() -> bool) -> Stop {
        while self.forward() {
            if let Some(stop) = self.must_stop(stops) {
                return stop;
            }
            let is_there = match to {
                Move::Next => true,
                Move::In(lane) => self.lane() == lane,
                Move::Out => self.is_last_of_its_step(),
                Move::Continue | Move::Back | Move::Cause => false,
            };
            if is_there {
                return self.stop("step", "Paused at an event");
            }
            if self.event == 0 && interrupted() {
                return self.stop("pause", "Paused");
            }
        }
        self.at_the_end = true;
        let verdict = tell::verdict(&Play { acts: Vec::new(), begin: Vec::new(), ..self.machine.play() });
        let description = "Paused at the end of the schedule; continue to end the session, or go back";
        Stop { text: verdict, ..self.stop("pause", description) }
    }

    /// Is there something here that a run stops at?
    fn must_stop(&self, stops: &Breakpoints) -> Option<Stop> {
        let broke_here = self.broken_at == Some(self.machine.at()) && self.is_last_of_its_step();
        if let Some(broken) = broke_here.then(|| self.broken()).as_deref().and_then(|all| stops.wanted(all)) {
            let description =
                if broken == "invariants" { "An invariant is broken" } else { "A promise is broken" };
            let text = self.broken_in_words().unwrap_or_default();
            return Some(Stop {
                text,
                broken: Some(broken.to_string()),
                ..self.stop("exception", description)
            });
        }
        let step = self.machine.at();
        // A breakpoint on a step of the file means no other step that a branch has in its place.
        let is_of_the_file = self.listing.step(step) == self.act().map(|act| act.step.as_str());
        let begins = (self.event == 0 && is_of_the_file).then_some(step);
        let hit = stops.hit(self.event(), begins, &self.tree)?;
        let stop = if hit.is_function {
            self.stop("function breakpoint", "Paused at a mechanism or kind of event")
        } else {
            self.stop("breakpoint", "Paused at a breakpoint")
        };
        Some(Stop { hit: hit.ids, ..stop })
    }

    /// One event on. `false`: there is none.
    fn forward(&mut self) -> bool {
        if !self.is_last_of_its_step() {
            self.event += 1;
            return true;
        }
        let was_broken = self.is_broken();
        if self.machine.advance().is_none() {
            return false;
        }
        self.arrived(was_broken);
        true
    }

    /// A step was taken just now.
    fn arrived(&mut self, was_broken: bool) {
        (self.event, self.at_the_end) = (0, false);
        let step = self.machine.at();
        let Some(act) = self.machine.acts().last() else { return };
        let mut texts = vec![format!("{step}. {}", act.words)];
        texts.extend(act.skipped.iter().map(|why| format!("   not possible here: {why}")));
        texts.extend(act.client.iter().map(|client| format!("   client: {client}")));
        self.said.extend(texts.into_iter().map(|text| Said { text, step, is_bad: false }));
        if !was_broken && let Some(text) = self.broken_in_words() {
            self.broken_at = Some(step);
            self.said.push(Said { text: format!("   BROKEN {text}"), step, is_bad: true });
        }
    }

    fn back(&mut self) -> Stop {
        let step = self.machine.at();
        if self.event > 0 {
            self.event -= 1;
        } else if step > 0 {
            self.machine.goto(step - 1);
            self.event = self.events().saturating_sub(1);
        }
        self.went();
        if self.machine.at() == 0 { self.at_entry() } else { self.stop("step", "Paused at the event before") }
    }

    /// The beginning.
    pub fn at_entry(&self) -> Stop {
        self.stop("entry", "Paused at the beginning of the schedule")
    }

    fn go_to_cause(&mut self) -> Stop {
        let Some(event) = self.event() else {
            return self.stop("step", "Nothing has caused this but the schedule");
        };
        let place = event.parents.iter().find_map(|cause| tell::place(self.machine.acts(), cause));
        let Some((step, number)) = place else {
            return self.stop("step", "Nothing has caused this but the step of the schedule");
        };
        if step < self.machine.at() {
            self.machine.goto(step);
        }
        self.event = number - 1;
        self.went();
        self.stop("step", "Paused at the event that caused the one before")
    }

    /// The position has gone back.
    fn went(&mut self) {
        self.at_the_end = false;
        let at = self.machine.at();
        self.broken_at = self.broken_at.filter(|broken| *broken <= at && self.is_broken());
    }
}
