//! JSON Lines: one event a line, the same for live clusters, simulations and saved files.
//!
//! The version is part of every line, so that lines of several files can be merged and still be understood.

use serde::{Deserialize, Serialize};

use crate::event::{Event, EventId, Kind, Source};

/// Raised when a field changes its meaning; readers refuse other versions.
pub const VERSION: u32 = 3;

#[derive(Serialize, Deserialize)]
struct Line {
    v: u32,
    id: String,
    parents: Vec<String>,
    node: String,
    logical: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    wall: Option<u64>,
    #[serde(flatten)]
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    mechanism: Option<String>,
    file: String,
    symbol: String,
    sentence: String,
    #[serde(default)]
    delta: Vec<[String; 3]>,
}

/// Why a line is not an event.
#[derive(Debug)]
pub enum ReadError {
    /// Not JSON, or not of this schema.
    Json(serde_json::Error),
    /// Of another version of the schema.
    Version(u32),
    /// An id that is not `actor:life:n`.
    Id(String),
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReadError::Json(e) => write!(f, "not a trace event: {e}"),
            ReadError::Version(v) => write!(f, "trace version {v}, this program reads {VERSION}"),
            ReadError::Id(id) => write!(f, "not an event id: {id}"),
        }
    }
}

impl std::error::Error for ReadError {}

/// The event as one line, without the newline.
pub fn to_line(event: &Event) -> String {
    let line = Line {
        v: VERSION,
        id: event.id.to_string(),
        parents: event.parents.iter().map(EventId::to_string).collect(),
        node: event.id.actor.to_string(),
        logical: event.logical,
        wall: event.wall,
        kind: event.kind.clone(),
        mechanism: event.kind.mechanism().map(|m| m.id().to_string()),
        file: event.source.file.to_string(),
        symbol: event.source.symbol.to_string(),
        sentence: event.sentence(),
        delta: event.kind.delta().into_iter().map(|c| [c.field.to_string(), c.before, c.after]).collect(),
    };
    serde_json::to_string(&line).expect("an event holds only strings and numbers")
}

/// Reads one line. What is derived (sentence, mechanism, delta) is derived again, not read.
pub fn from_line(line: &str) -> Result<Event, ReadError> {
    let line: Line = serde_json::from_str(line).map_err(ReadError::Json)?;
    if line.v != VERSION {
        return Err(ReadError::Version(line.v));
    }
    let id = |s: &String| s.parse::<EventId>().map_err(|()| ReadError::Id(s.clone()));
    Ok(Event {
        id: id(&line.id)?,
        parents: line.parents.iter().map(id).collect::<Result<_, _>>()?,
        logical: line.logical,
        wall: line.wall,
        kind: line.kind,
        source: Source { file: line.file.into(), symbol: line.symbol.into() },
    })
}

/// Reads a trace; the error names the line.
pub fn read(text: &str) -> Result<Vec<Event>, String> {
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    lines.map(|(line, at)| from_line(line).map_err(|why| format!("line {at}: {why}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Actor;

    #[test]
    fn an_event_written_as_a_line_is_read_back_as_the_same_event() {
        let id = EventId { actor: Actor::Node { node: 2, shard: 0 }, life: 7, n: 3 };
        let event = Event {
            id,
            parents: vec![EventId { actor: Actor::Gateway(1), life: 1, n: 9 }],
            logical: 5,
            wall: Some(6),
            kind: Kind::CommitAdvanced { from: 1, to: 2, epoch: 4 },
            source: Source { file: "a.rs".into(), symbol: "f".into() },
        };
        let line = to_line(&event);
        assert!(line.contains("\"mechanism\":\"majority-commit\""), "{line}");
        assert!(line.contains("\"delta\":[[\"commit\",\"1\",\"2\"]]"), "{line}");
        assert_eq!(from_line(&line).unwrap(), event);
        // Facts may be called like the event's own fields.
        let kind = Kind::SessionAsked { shard: 0, node: 3 };
        let event = Event { kind, ..event };
        assert_eq!(from_line(&to_line(&event)).unwrap(), event);
    }
}
