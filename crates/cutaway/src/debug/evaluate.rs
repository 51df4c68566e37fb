//! What is typed into the console, watched, or hovered over.

use lab::Facts;
use lab::nearest::nearest;

use super::breakpoints::Breakpoints;
use super::scopes::{self, promises};
use super::session::{Move, Session, Stop};
use super::values::{self, Var};

/// What can be asked: the form, and what it shows.
const WORDS: [(&str, &str); 14] = [
    ("state", "everybody in a few words"),
    ("n2.state", "what a node is (so with log, disk, sessions, held)"),
    ("n2", "all of that"),
    ("g1", "what a gateway knows"),
    ("network", "the messages on their way"),
    ("held", "the messages that wait for a sync"),
    ("verdict", "which promises hold"),
    ("steps", "what could happen next"),
    ("ahead", "the planned steps"),
    ("branches", "the lines of steps that were left"),
    ("do STEP", "take any step; another one than the planned one begins a branch"),
    ("branch N", "go over to a line that was left"),
    ("back", "go to the event before, for editors that have no button for it"),
    ("cause", "go to the event that caused this one"),
];

/// What came of it.
pub enum Answer {
    /// A value.
    Value(Var),
    /// The position has moved.
    Moved(Stop),
}

/// Answers an expression. Only where a person asks may it `change` anything: what is watched is asked again and again.
pub fn evaluate(
    session: &mut Session,
    stops: &Breakpoints,
    text: &str,
    change: bool,
) -> Result<Answer, String> {
    let text = text.trim();
    let moved = |stop| Answer::Moved(stop);
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let moves = ["do", "branch", "back", "cause"].contains(&word);
    if moves && !change {
        return Err("the position moves from the debug console, not where a value is shown".to_string());
    }
    match word {
        "do" => session.take(rest, stops).map(moved),
        "branch" => {
            let number = rest.trim().parse().map_err(|_| format!("`branch {rest}` names no number"))?;
            session.branch(number).map(moved)
        }
        "back" => Ok(moved(session.go(Move::Back, stops, &mut || false))),
        "cause" => Ok(moved(session.go(Move::Cause, stops, &mut || false))),
        _ => value(session, text).map(Answer::Value),
    }
}

fn value(session: &mut Session, text: &str) -> Result<Var, String> {
    let facts = session.machine.state();
    let lines = |name: &str, lines: &[String]| {
        let vars = lines.iter().enumerate().map(|(at, line)| Var::new((at + 1).to_string(), line));
        Var::of(name, lines.join("; "), vars.collect())
    };
    let cluster = match &facts {
        Facts::Cluster(cluster) => Some(cluster),
        Facts::Device(_) => None,
    };
    let steps =
        |line: &Vec<String>| format!("{} steps, the last: {}", line.len(), line.last().map_or("", |s| s));
    Ok(match (text, cluster) {
        ("help" | "?" | "", _) => {
            Var::all("help", WORDS.iter().map(|(form, shows)| Var::new(*form, shows)).collect())
        }
        ("state", _) => Var::all(text, values::everybody(&facts)),
        ("network", Some(cluster)) => Var::all(text, values::ways(&cluster.network)),
        ("held", Some(cluster)) => Var::all(text, values::held(&cluster.nodes)),
        ("verdict", _) => Var::all(text, promises(session)),
        ("steps", _) => lines(text, &session.machine.steps()),
        ("ahead", _) => lines(text, session.machine.ahead()),
        ("branches", _) => {
            let all: Vec<String> = session.machine.branches().iter().map(steps).collect();
            lines(text, &all)
        }
        _ => return process(&facts, text).unwrap_or_else(|| Err(unknown(session, text))),
    })
}

/// A process, or a part of what is known of it.
fn process(facts: &Facts, text: &str) -> Option<Result<Var, String>> {
    let (name, part) = text.split_once('.').unwrap_or((text, ""));
    if let Some(node) = scopes::node(facts, name) {
        let all = || {
            let parts = ["state", "log", "disk", "sessions", "held"];
            parts.map(|part| Var::all(part, of_node(node, part).unwrap_or_default())).to_vec()
        };
        return Some(match of_node(node, part) {
            Some(parts) => Ok(Var::all(text, parts)),
            None if part.is_empty() => Ok(Var::of(text, values::summary(node), all())),
            None => Err(format!("{name} has a state, log, disk, sessions and held, and no `{part}`")),
        });
    }
    let Facts::Cluster(cluster) = facts else { return None };
    let gateway = cluster.gateways.iter().find(|gateway| gateway.name == name)?;
    Some(Ok(Var::all(text, values::gateway(gateway))))
}

fn of_node(node: &lab::facts::NodeState, part: &str) -> Option<Vec<Var>> {
    Some(match part {
        "state" => values::state(node),
        "log" => values::log(node),
        "disk" => values::disk(&node.disk),
        "sessions" => values::sessions(node),
        "held" => values::held([node]),
        _ => return None,
    })
}

fn unknown(session: &Session, text: &str) -> String {
    let words = WORDS.iter().map(|(form, _)| *form).chain(session.lanes().iter().map(String::as_str));
    match nearest(text, words) {
        Some(name) => format!("`{text}` is nothing that can be shown; did you mean {name}? `help` lists all"),
        None => format!("`{text}` is nothing that can be shown; `help` lists what is"),
    }
}
