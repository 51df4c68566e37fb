//! Messages, for a person.

use dataplane::{Message, Tail};

/// A message in a few words.
pub(crate) fn brief(message: &Message) -> String {
    match message {
        Message::Prepare { epoch, prev, entries, commit } => {
            let what = match entries.len() as u64 {
                0 => "no entries (a heartbeat)".to_string(),
                n => trace::entries(prev.seq + 1, prev.seq + n),
            };
            format!("Prepare in epoch {}: {what} after {}, committed {commit}", epoch.0, tail(prev))
        }
        Message::PrepareOk { epoch, matched } => {
            format!("PrepareOk in epoch {}: durable up to {matched}", epoch.0)
        }
        Message::PromiseRequest { epoch } => format!("PromiseRequest for epoch {}", epoch.0),
        Message::Promised { epoch, tail: end } => {
            format!("Promised epoch {}, log ends with {}", epoch.0, tail(end))
        }
        Message::Fenced { promised } => format!("Fenced by epoch {}", promised.0),
        other => other.name().to_string(),
    }
}

fn tail(tail: &Tail) -> String {
    format!("entry {} (epoch {})", tail.seq, tail.epoch.0)
}
