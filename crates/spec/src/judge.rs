//! One state of the specification, and the steps taken from it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use trace::{Event, Mechanism, Source};

use crate::eval::{Refusal, Spec, State};
use crate::value::{Value, Word};

/// The text of the specification.
pub const CUTAWAY: &str = include_str!("../../../spec/Cutaway.tla");

/// Epochs of which words are remembered: a word of an earlier one is forgotten, as if it were lost. (To forget may make an
/// allowed step look forbidden, never the other way round.)
const EPOCHS_MAX: i64 = 200;
/// Acknowledgements, or confirmations, of one replica to one primary that are remembered, the greatest.
const WORDS_MAX: usize = 16;
/// Of those that are not, so many are kept aside, for whoever hears one very late.
const ASIDE_MAX: usize = 20_000;
/// Steps between two times that something is forgotten.
const FORGET_EVERY: u64 = 512;

/// A step that the code took and the specification does not allow, or that changed something else.
#[derive(Clone, Debug)]
pub struct Mismatch {
    /// Which event of the trace, from 0.
    pub at: usize,
    /// The event, with file and symbol.
    pub event: Event,
    /// The step of the schedule that it is of, if a schedule was played.
    pub step: Option<String>,
    /// The step of the specification that it was taken for.
    pub action: String,
    /// The clause that forbids it.
    pub clause: Option<Mechanism>,
    /// The conjunct that does not hold, or the fact that differs.
    pub why: String,
    /// The actor's state by the specification, and what the event makes of it.
    pub difference: Vec<String>,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Source { file, symbol } = &self.event.source;
        if let Some(step) = &self.step {
            writeln!(f, "step {step}")?;
        }
        writeln!(f, "event {}: {} ({file}, {symbol})", self.at, self.event.sentence())?;
        match self.clause {
            Some(clause) => writeln!(f, "  {} forbids {}: {}", clause.variant(), self.action, self.why)?,
            None => writeln!(f, "  {} is not allowed: {}", self.action, self.why)?,
        }
        self.difference.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

/// Why a step is not taken.
#[derive(Clone, Debug)]
pub(crate) enum Wrong {
    /// The specification forbids it.
    Forbidden { action: String, refusal: Refusal },
    /// It is allowed, and an event says something else of it.
    Differs { action: String, why: String },
    /// The question has no answer: a fault of the specification or of what asks.
    Broken(String),
}

impl Wrong {
    /// The clause, if a mechanism's clause is to blame.
    pub fn clause(&self) -> Option<Mechanism> {
        let Wrong::Forbidden { refusal, .. } = self else { return None };
        refusal.within.iter().find_map(|name| clause(name))
    }
}

/// The mechanism whose clause this definition is.
pub fn clause(name: &str) -> Option<Mechanism> {
    Mechanism::ALL.iter().copied().find(|mechanism| mechanism.variant() == name)
}

pub(crate) type Taken = Result<(), Wrong>;

#[derive(Clone)]
pub(crate) struct Judge {
    spec: Arc<Spec>,
    pub state: State,
    /// Steps of the specification that were taken.
    pub steps: u64,
    /// Which actions those were.
    pub actions: BTreeSet<String>,
    /// Are the invariants asked after each step?
    pub watches: bool,
    /// The first that did not hold, and after how many steps.
    pub violated: Option<(&'static str, u64)>,
    /// Words that were said and are not in the state any more, the oldest first.
    pub aside: VecDeque<Value>,
}

/// What must hold in every state.
const INVARIANTS: [&str; 10] = ["D1", "D2", "D3", "D4", "D5", "D6", "D7", "D8", "P1", "P2"];

/// The specification of a shard with so many replicas, all clauses in.
pub fn cutaway(nodes: u32) -> Result<Spec, String> {
    cutaway_without(nodes, &[])
}

/// The same without some clauses.
pub(crate) fn cutaway_without(nodes: u32, without: &[Mechanism]) -> Result<Spec, String> {
    let constants = BTreeMap::from([
        ("Node".to_string(), Value::set((1..=nodes).map(Value::from))),
        ("Without".to_string(), Value::set(without.iter().map(|mechanism| Value::str(mechanism.id())))),
    ]);
    Spec::new(CUTAWAY, &constants)
}

pub(crate) fn record(fields: &[(&str, Value)]) -> Value {
    Value::record(fields.iter().map(|(name, value)| (*name, value.clone())))
}

impl Judge {
    pub fn new(spec: Arc<Spec>) -> Result<Judge, String> {
        let state = spec.init()?;
        Ok(Judge {
            spec,
            state,
            steps: 0,
            actions: BTreeSet::new(),
            watches: false,
            violated: None,
            aside: VecDeque::new(),
        })
    }

    fn var(&self, name: &str) -> &Value {
        let at = self.spec.variables().iter().position(|var| var == name);
        &self.state[at.expect("the specification declares it")]
    }

    /// A field of a replica.
    pub fn at(&self, node: u32, field: &str) -> &Value {
        let replica = self.var("at").index(i64::from(node)).expect("there is such a node");
        replica.at(field).expect("a replica has this field")
    }

    pub fn number(&self, node: u32, field: &str) -> u64 {
        self.at(node, field).int().ok().and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
    }

    pub fn is(&self, node: u32, role: &str) -> bool {
        *self.at(node, "role") == Value::str(role)
    }

    pub fn log(&self, node: u32) -> &[Value] {
        self.at(node, "log").items().expect("a log is a sequence")
    }

    /// What was said.
    pub fn said(&self, what: &str) -> impl DoubleEndedIterator<Item = &Value> {
        self.var("said").at(what).and_then(Value::elements).expect("it is a set").iter()
    }

    /// What clients know.
    pub fn client(&self, what: &str) -> &Value {
        self.var("client").at(what).expect("clients have this field")
    }

    /// What the primary `by` said in `epoch`.
    pub fn lead(&self, by: u32, epoch: u64) -> Option<Value> {
        self.said("leads").find(|lead| has(lead, &[("by", by.into()), ("epoch", epoch.into())])).cloned()
    }

    /// Takes a step.
    pub fn take(&mut self, action: &str, args: &[Value]) -> Taken {
        self.state = self.look(action, args)?;
        self.took(action);
        if self.steps.is_multiple_of(FORGET_EVERY) {
            self.forget();
        }
        Ok(())
    }

    fn took(&mut self, action: &str) {
        self.steps += 1;
        if !self.actions.contains(action) {
            self.actions.insert(action.to_string());
        }
        if self.watches && self.violated.is_none() {
            let holds = |name: &str| self.spec.value(name, &[], &self.state).and_then(|value| value.bool());
            let violated = INVARIANTS.into_iter().find(|name| holds(name) == Ok(false));
            self.violated = violated.map(|name| (name, self.steps));
        }
    }

    /// The state that a step would lead to.
    pub fn look(&self, action: &str, args: &[Value]) -> Result<State, Wrong> {
        match self.spec.step(action, args, &self.state).map_err(Wrong::Broken)? {
            Ok(next) => Ok(next),
            Err(refusal) => Err(Wrong::Forbidden { action: action.to_string(), refusal }),
        }
    }

    /// Whatever waited and may be said is said.
    pub fn release(&mut self, node: u32) {
        let held: Vec<Value> = self.at(node, "held").elements().expect("a set").iter().cloned().collect();
        for message in held {
            if let Ok(next) = self.look("Release", &[node.into(), message]) {
                self.state = next;
                self.took("Release");
            }
        }
    }

    fn forget(&mut self) {
        let newest =
            self.said("stands").filter_map(|stand| stand.at("epoch").ok()?.int().ok()).max().unwrap_or(0);
        let young =
            |value: &Value| value.at("epoch").and_then(Value::int).is_ok_and(|e| e + EPOCHS_MAX > newest);
        let mut words: BTreeMap<(&Value, i64, i64, i64), usize> = BTreeMap::new();
        let (mut kept, mut aside) = (Vec::new(), Vec::new());
        let int = |value: &Value, name: &str| value.at(name).and_then(Value::int).unwrap_or(0);
        // In the order of the set the greatest of each kind comes last.
        for mail in self.said("mail").rev().filter(|mail| young(mail)) {
            let Ok(kind) = mail.at("kind") else { continue };
            let count =
                words.entry((kind, int(mail, "from"), int(mail, "to"), int(mail, "epoch"))).or_default();
            *count += 1;
            if *count <= WORDS_MAX {
                kept.push(mail.clone());
            } else {
                aside.push(mail.clone());
            }
        }
        let leads = Value::set(self.said("leads").filter(|lead| young(lead)).cloned());
        let stands = Value::set(self.said("stands").filter(|stand| young(stand)).cloned());
        let at = self.spec.variables().iter().position(|var| var == "said").expect("declared");
        for (name, value) in [("mail", Value::set(kept)), ("leads", leads), ("stands", stands)] {
            let field = Word::of(name);
            self.state[at] = crate::eval::replaced(&self.state[at], field, value).expect("a field of said");
        }
        self.aside.extend(aside);
        self.aside.drain(..self.aside.len().saturating_sub(ASIDE_MAX));
    }

    /// Puts back a word that was set aside, if one is as wanted: it was said.
    pub fn recall(&mut self, wanted: &dyn Fn(&Value) -> bool) -> bool {
        let Some(found) = self.aside.iter().position(wanted) else { return false };
        let Some(word) = self.aside.remove(found) else { return false };
        let mail = self.said("mail").cloned().chain([word]).collect::<Vec<_>>();
        let at = self.spec.variables().iter().position(|var| var == "said").expect("declared");
        self.state[at] = crate::eval::replaced(&self.state[at], Word::of("mail"), Value::set(mail))
            .expect("a field of said");
        true
    }

    /// The replica in a line, without its log.
    pub fn summary(&self, node: u32) -> String {
        let role = ["primary", "candidate"].into_iter().find(|role| self.is(node, role)).unwrap_or("backup");
        let fields = ["promise", "stored", "proven", "durable", "commit", "applied", "base"];
        let fields = fields.map(|name| format!("{name} {}", self.at(node, name)));
        let log = self.log(node);
        let epoch = log.last().and_then(|entry| entry.at("epoch").ok()).map_or(0, |e| e.int().unwrap_or(0));
        format!(
            "n{node} in the specification: {role}, {}, log up to {} (epoch {epoch})",
            fields.join(", "),
            log.len()
        )
    }
}

/// Has a record these values in these fields?
pub(crate) fn has(record: &Value, fields: &[(&str, Value)]) -> bool {
    fields.iter().all(|(name, value)| record.at(name) == Ok(value))
}
