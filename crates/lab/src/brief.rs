//! Messages, for a person.

use dataplane::Message;

/// A message in a few words.
pub(crate) fn brief(message: &Message) -> String {
    match message {
        Message::Prepare { epoch, prev, entries, commit } if entries.is_empty() => {
            let dataplane::Tail { epoch: prev_epoch, seq } = prev;
            format!("Prepare in epoch {}: nothing behind {seq}@{}, committed {commit}", epoch.0, prev_epoch.0)
        }
        Message::Prepare { epoch, prev, entries, commit } => {
            let upto = prev.seq + entries.len() as u64;
            format!(
                "Prepare in epoch {}: entries {}..={upto} behind {}@{}, committed {commit}",
                epoch.0,
                prev.seq + 1,
                prev.seq,
                prev.epoch.0
            )
        }
        Message::PrepareOk { epoch, matched } => {
            format!("PrepareOk in epoch {}: durable up to {matched}", epoch.0)
        }
        Message::PromiseRequest { epoch } => format!("PromiseRequest for epoch {}", epoch.0),
        Message::Promised { epoch, tail } => {
            format!("Promised epoch {}, log ends at {}@{}", epoch.0, tail.seq, tail.epoch.0)
        }
        Message::Fenced { promised } => format!("Fenced by epoch {}", promised.0),
        other => other.name().to_string(),
    }
}
