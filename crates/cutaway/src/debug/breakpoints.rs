//! Where a run stops: lines, mechanisms, kinds of events, broken promises.

use std::collections::{BTreeMap, BTreeSet};

use lab::nearest::unknown;
use serde_json::{Value, json};
use trace::{Event, Kind, Mechanism};

use super::listing::Listing;
use super::tree::Tree;

/// What may be broken: the promises to clients, and everything else that must hold.
pub const FILTERS: [&str; 6] = ["P1", "P2", "P3", "P4", "P5", "invariants"];

/// Where a breakpoint stops.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    /// An event that is emitted at this line of this file of the repository.
    Line(String, usize),
    /// A mechanism at work.
    Mechanism(Mechanism),
    /// An event of this kind.
    Kind(&'static str),
    /// A step of the schedule, by its number in the file.
    Step(usize),
}

/// One breakpoint, as the editor knows it.
struct Breakpoint {
    id: i64,
    target: Option<Target>,
    line: Option<usize>,
    message: Option<String>,
}

/// All of them.
pub struct Breakpoints {
    next: i64,
    lines: BTreeMap<String, Vec<Breakpoint>>,
    functions: Vec<Breakpoint>,
    filters: BTreeSet<String>,
}

/// What was hit.
pub struct Hit {
    pub ids: Vec<i64>,
    /// Is it a mechanism or a kind of event, not a line?
    pub is_function: bool,
}

impl Breakpoints {
    /// None, but every broken promise.
    pub fn new() -> Breakpoints {
        let filters = FILTERS.map(String::from).into();
        Breakpoints { next: 1, lines: BTreeMap::new(), functions: Vec::new(), filters }
    }

    /// Sets those of a file, in place of what was set there before.
    pub fn set_lines(
        &mut self,
        path: &str,
        lines: &[usize],
        tree: &Tree,
        listing: Option<&Listing>,
    ) -> Value {
        let set = lines.iter().map(|line| self.at_line(path, *line, tree, listing)).collect();
        self.lines.insert(path.to_string(), set);
        told(&self.lines[path])
    }

    fn at_line(&mut self, path: &str, line: usize, tree: &Tree, listing: Option<&Listing>) -> Breakpoint {
        if let Some((step, line)) = listing.and_then(|listing| listing.step_at(path, line)) {
            return self.stops(Target::Step(step), Some(line), None);
        }
        let Some(file) = tree.name(path) else {
            let why = if tree.is_there() {
                "this file is no source of Cutaway"
            } else {
                "the sources are not there: name their folder as \"sourceRoot\" in the launch configuration"
            };
            return self.never(why.to_string());
        };
        if let Some((mechanism, first)) = tree.guard_at(&file, line) {
            let message = format!("stops where {mechanism} is at work");
            return self.stops(Target::Mechanism(mechanism), Some(first), Some(message));
        }
        match tree.next_event(&file, line) {
            Some(line) => self.stops(Target::Line(file, line), Some(line), None),
            None => self.never(format!(
                "no line from here on emits an event, and only events can be stopped at (search {file} for `emit!`)"
            )),
        }
    }

    /// Sets those on mechanisms and kinds of events, in place of what was set before.
    pub fn set_functions(&mut self, names: &[&str]) -> Value {
        self.functions = names.iter().map(|name| self.at_function(name)).collect();
        told(&self.functions)
    }

    fn at_function(&mut self, name: &str) -> Breakpoint {
        if let Some(mechanism) = Mechanism::from_id(name) {
            return self.stops(Target::Mechanism(mechanism), None, None);
        }
        if let Some(kind) = Kind::NAMES.iter().find(|kind| kind.eq_ignore_ascii_case(name)) {
            return self.stops(Target::Kind(kind), None, None);
        }
        let known = Mechanism::ALL.iter().map(|mechanism| mechanism.id()).chain(Kind::NAMES.iter().copied());
        self.never(format!(
            "{}; `cutaway why` lists the mechanisms",
            unknown("mechanism or kind of event", name, known)
        ))
    }

    /// Sets what must not break; the answer says which of them there are.
    pub fn set_filters(&mut self, filters: &[&str]) -> Value {
        self.filters = filters.iter().map(|filter| filter.to_string()).collect();
        let known = |filter: &&str| {
            let known = FILTERS.contains(filter);
            let message = (!known).then(|| unknown("promise", filter, FILTERS));
            json!({ "verified": known, "message": message.unwrap_or_default() })
        };
        Value::Array(filters.iter().map(known).collect())
    }

    /// Of what broke, what is to be stopped at.
    pub fn wanted<'a>(&self, broken: &'a [String]) -> Option<&'a str> {
        broken.iter().find(|broken| self.filters.contains(*broken)).map(String::as_str)
    }

    /// What is hit by an event; or by a step, where it begins.
    pub fn hit(&self, event: Option<&Event>, begins: Option<usize>, tree: &Tree) -> Option<Hit> {
        let line = |file: &str, line: usize| {
            event.is_some_and(|event| {
                event.source.file == file
                    && tree.line_of_event(&event.source, event.kind.name()) == Some(line)
            })
        };
        let is_hit = |target: &Target| match target {
            Target::Line(file, at) => line(file, *at),
            Target::Mechanism(mechanism) => event.is_some_and(|e| e.kind.mechanism() == Some(*mechanism)),
            Target::Kind(kind) => event.is_some_and(|event| event.kind.name() == *kind),
            Target::Step(step) => begins == Some(*step),
        };
        let ids = |all: &mut dyn Iterator<Item = &Breakpoint>| -> Vec<i64> {
            all.filter(|b| b.target.as_ref().is_some_and(is_hit)).map(|b| b.id).collect()
        };
        let (lines, functions) = (ids(&mut self.lines.values().flatten()), ids(&mut self.functions.iter()));
        let is_function = lines.is_empty();
        let ids = [lines, functions].concat();
        (!ids.is_empty()).then_some(Hit { ids, is_function })
    }

    fn stops(&mut self, target: Target, line: Option<usize>, message: Option<String>) -> Breakpoint {
        Breakpoint { target: Some(target), line, message, ..self.never(String::new()) }
    }

    fn never(&mut self, why: String) -> Breakpoint {
        self.next += 1;
        Breakpoint { id: self.next - 1, target: None, line: None, message: Some(why) }
    }
}

fn told(breakpoints: &[Breakpoint]) -> Value {
    let tell = |breakpoint: &Breakpoint| {
        let mut told = json!({ "id": breakpoint.id, "verified": breakpoint.target.is_some() });
        if let Some(line) = breakpoint.line {
            told["line"] = json!(line);
        }
        if let Some(message) = &breakpoint.message {
            told["message"] = json!(message);
        }
        told
    };
    Value::Array(breakpoints.iter().map(tell).collect())
}
