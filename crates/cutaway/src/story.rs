//! Rendering the story of one request.
//!
//! ```text
//!  step     µs  who   what
//!     1      0  g1    takes on put greeting
//!     2     18  g1    sends put greeting to n1 as request 2.1 of shard 0
//!     3    112  n1/0  receives request 2.1: put greeting                    because of 2
//! ```
//!
//! A step names its causes unless it simply follows the step printed above it.

use std::collections::BTreeMap;

use serde_json::Value;
use trace::Event;

use crate::failure::{Failure, Result};

/// The story, ending in the reply.
pub fn render(events: &[Value], outcome: &str) -> Result<String> {
    let mut told = Vec::new();
    for event in events {
        let event = trace::json::from_line(&event.to_string());
        told.push(event.map_err(|e| Failure::error(format!("the story cannot be read: {e}")))?);
    }
    let start = told.first().and_then(|e: &Event| e.wall).unwrap_or(0);
    let steps: BTreeMap<_, _> = told.iter().enumerate().map(|(i, event)| (event.id, i + 1)).collect();
    let who_width = told.iter().map(|e| e.id.actor.to_string().len()).max().unwrap_or(0);
    let mut text = format!(" step       µs  {:who_width$}  what\n", "who");
    for (i, event) in told.iter().enumerate() {
        let micros = event.wall.unwrap_or(start) as i64 - start as i64;
        let causes: Vec<usize> =
            event.parents.iter().filter_map(|parent| steps.get(parent).copied()).collect();
        let because = match causes.as_slice() {
            [] => String::new(),
            [only] if *only == i => String::new(),
            several => format!("   (because of {})", join(several)),
        };
        let mechanism = event.kind.mechanism().map_or(String::new(), |m| format!("   [{}]", m.id()));
        let who = event.id.actor.to_string();
        text += &format!(
            "{:5} {micros:8}  {who:who_width$}  {}{mechanism}{because}\n",
            i + 1,
            event.kind.sentence()
        );
    }
    if told.is_empty() {
        text += "  (no events were collected)\n";
    }
    text += &format!(" reply: {outcome}\n");
    Ok(text)
}

fn join(steps: &[usize]) -> String {
    steps.iter().map(|step| step.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use trace::{Actor, EventId, Kind, Source};

    #[test]
    fn a_story_names_who_did_what_after_how_long_and_because_of_which_step() {
        let source = || Source { file: "f".into(), symbol: "s".into() };
        let id = |actor, n| EventId { actor, life: 1, n };
        let (g1, n1) = (Actor::Gateway(1), Actor::Node { node: 1, shard: 0 });
        let events = [
            (id(g1, 0), vec![], 1000, Kind::CallTaken { call: 1, request: "put a".into() }),
            (id(g1, 1), vec![id(g1, 0)], 1010, Kind::SessionOpened { shard: 0, session: 2 }),
            (
                id(n1, 0),
                vec![id(g1, 0)],
                1100,
                Kind::EntryApplied { seq: 3, outcome: "x".into(), applied_before: 2 },
            ),
        ];
        let lines: Vec<Value> = events
            .into_iter()
            .map(|(id, parents, wall, kind)| Event {
                id,
                parents,
                logical: 0,
                wall: Some(wall),
                kind,
                source: source(),
            })
            .map(|event| serde_json::from_str(&trace::json::to_line(&event)).unwrap())
            .collect();
        let expected = [
            " step       µs  who   what",
            "    1        0  g1    takes on put a",
            "    2       10  g1    has session 2 (shard 0)",
            "    3      100  n1/0  applies entry 3: x   [apply-only-committed]   (because of 1)",
            " reply: written",
            "",
        ];
        assert_eq!(render(&lines, "written").unwrap(), expected.join("\n"));
    }
}
