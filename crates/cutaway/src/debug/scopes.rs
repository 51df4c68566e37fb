//! What an editor shows of a frame: the event, the process that it happened to, and what all share.

use lab::facts::NodeState;
use lab::{Facts, tell};
use serde_json::{Value, json};

use super::frames::{self, Frame};
use super::session::Session;
use super::values::{self, Var};

/// The scopes of a frame, each with its variables.
pub fn scopes(session: &Session, frame: &Frame) -> Vec<Var> {
    let facts = session.machine.state();
    let name = &session.lanes()[frame.lane];
    let mut scopes: Vec<Var> = event(session, frame).into_iter().collect();
    match node(&facts, name) {
        Some(node) => scopes.extend([
            scope("State", values::state(node)),
            scope("Log", values::log(node)),
            scope("Disk", values::disk(&node.disk)),
            scope("Sessions", values::sessions(node)),
        ]),
        None => scopes.push(scope("State", process(&facts, name))),
    }
    if let Facts::Cluster(cluster) = &facts {
        scopes.push(scope("Messages on their way", values::ways(&cluster.network)));
        scopes.push(scope("Held back", values::held(&cluster.nodes)));
    }
    scopes.push(scope("Promises", promises(session)));
    scopes
}

fn scope(name: &str, parts: Vec<Var>) -> Var {
    let parts = if parts.is_empty() { vec![Var::new("(none)", "")] } else { parts };
    Var::of(name, "", parts)
}

/// A node by its name.
pub fn node<'a>(facts: &'a Facts, name: &str) -> Option<&'a NodeState> {
    match facts {
        Facts::Cluster(cluster) => cluster.nodes.iter().find(|node| node.name == name),
        Facts::Device(_) => None,
    }
}

/// A gateway; or everybody, for clients and the device.
fn process(facts: &Facts, name: &str) -> Vec<Var> {
    let gateways = match facts {
        Facts::Cluster(cluster) => &cluster.gateways[..],
        Facts::Device(_) => &[],
    };
    let gateway = gateways.iter().find(|gateway| gateway.name == name);
    gateway.map_or_else(|| values::everybody(facts), values::gateway)
}

/// What happened, with all that is known of it.
fn event(session: &Session, frame: &Frame) -> Option<Var> {
    let event = frames::event(session, frame)?;
    let mut parts = vec![Var::new("kind", event.kind.name()), Var::new("sentence", tell::plain(event))];
    if let Some(mechanism) = event.kind.mechanism() {
        parts.push(Var::new("mechanism", format!("{mechanism}: {}", mechanism.does())));
    }
    if let Some(change) = event.kind.delta() {
        parts.push(Var::new(change.field, format!("{} → {}", change.before, change.after)));
    }
    let facts = frames::facts(&event.kind).into_iter();
    parts.push(Var::all("facts", facts.map(|(name, value)| Var::new(name, plain(&value))).collect()));
    let causes = event.parents.iter().filter_map(|id| {
        let (step, n) = tell::place(session.machine.acts(), id)?;
        Some(Var::new(format!("{step}.{n}"), tell::plain(&session.machine.acts()[step - 1].events[n - 1])))
    });
    parts.push(Var::all("causes", causes.collect()));
    Some(Var::of("Event", "", parts))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

/// What became of the promises to clients.
pub fn promises(session: &Session) -> Vec<Var> {
    let told = session.machine.verdict().into_iter().map(|promise| {
        let value =
            promise.broken.map_or_else(|| format!("holds: {}", promise.words), |why| format!("BROKEN {why}"));
        Var::new(format!("P{}", promise.number), value)
    });
    let stopped = session.machine.stopped().map(|why| Var::new("an assertion of a node has failed", why));
    told.chain(stopped).collect()
}

/// Numbers that are given out at one place.
const NUMBERS_MAX: usize = 1 << 16;

/// Variables with parts, to be asked for by number, from 1, until the position moves.
#[derive(Default)]
pub struct Handles(Vec<Vec<Var>>);

impl Handles {
    /// Nothing of before counts any more.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The number of these parts; 0, if there are none.
    pub fn number(&mut self, parts: &[Var]) -> usize {
        if parts.is_empty() || self.0.len() >= NUMBERS_MAX {
            return 0;
        }
        self.0.push(parts.to_vec());
        self.0.len()
    }

    /// The variables of a number, as an editor shows them.
    pub fn variables(&mut self, number: u64, start: usize, count: usize) -> Option<Value> {
        let parts = self.0.get((number as usize).checked_sub(1)?)?.clone();
        let some = parts.iter().skip(start).take(if count == 0 { usize::MAX } else { count });
        Some(some.map(|part| {
            json!({ "name": part.name, "value": part.value, "variablesReference": self.number(&part.parts) })
        }).collect())
    }
}
