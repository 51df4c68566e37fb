//! An event in words, and which events of a step a story tells.

use trace::{Event, Kind};

/// How much an event says on its own: 0 is not told in a story, 1 only where there is room.
pub(crate) fn weight(event: &Event) -> u32 {
    match &event.kind {
        // The bytes of what the rules tell already.
        Kind::RecordWritten { .. } | Kind::TruncationWritten { .. } | Kind::CheckpointBegun { .. } => 0,
        // A marker that is applied changes nothing.
        Kind::EntryApplied { outcome, .. } if outcome.contains("no key") => 0,
        Kind::EntriesSent { .. } | Kind::HeartbeatSent { .. } | Kind::AckCounted { .. } => 1,
        Kind::DeviceSynced { .. } | Kind::EntryApplied { .. } | Kind::TransferChunkSent { .. } => 1,
        _ => 2,
    }
}

/// An event in words. Every shard here is shard 0, and no time passes in a sync.
pub fn plain(event: &Event) -> String {
    let name = event.id.actor.to_string();
    let name = name.strip_suffix("/0").unwrap_or(&name);
    match &event.kind {
        Kind::DeviceSynced { .. } => format!("{name} counts all that it has appended as durable"),
        Kind::EntriesSent { to, from, upto, .. } => {
            format!("{name} sends {} to n{to}", trace::entries(*from, *upto))
        }
        Kind::RecordWritten { seq, lsn, extent, bytes } => {
            let value = if *bytes == 0 {
                String::new()
            } else {
                let unit = if *bytes == 1 { "byte" } else { "bytes" };
                format!(", its value of {bytes} {unit} at unit {extent}")
            };
            format!("{name} puts entry {seq} into its batch: the log record at LSN {lsn}{value}")
        }
        Kind::PromiseStored { epoch, .. } => format!("{name} makes its promise of epoch {epoch} durable"),
        Kind::DeviceOpened { checkpoint, last, discarded, .. } => {
            let checkpoint = match checkpoint {
                0 => "no checkpoint".to_string(),
                seq => format!("a checkpoint as of entry {seq}"),
            };
            let log = match last {
                0 => "an empty log".to_string(),
                last => format!("a log up to entry {last}"),
            };
            let tail = match discarded {
                0 => String::new(),
                bytes => format!("; {bytes} bytes of a torn tail are discarded"),
            };
            format!("{name} opens its device: {checkpoint}, {log}{tail}")
        }
        kind => format!("{name} {}", kind.sentence()),
    }
}

/// The events that a story tells of a step: those that matter, in their order, and how many there are beside them. What
/// goes to several at once is told once.
pub(crate) fn told<'a>(
    events: &'a [Event],
    most: usize,
    needed: &[&Event],
    local: bool,
) -> (Vec<(&'a Event, String)>, usize) {
    let is_needed = |event: &Event| needed.iter().any(|needed| needed.id == event.id);
    let all: Vec<&Event> =
        events.iter().filter(|event| local || weight(event) > 0 || is_needed(event)).collect();
    let few = all.len() <= most;
    let mut lines: Vec<(&Event, String)> = Vec::new();
    let mut folded = 0;
    for event in all {
        if !few && !is_needed(event) && !is_decisive(event) {
            folded += 1;
            continue;
        }
        let line = plain(event);
        match lines.last_mut() {
            Some((_, last)) if same_to_another(last, &line) => {
                let to = line.rsplit(' ').next().unwrap_or_default();
                last.push_str(&format!(" and {to}"));
            }
            _ => lines.push((event, line)),
        }
    }
    (lines, folded)
}

/// Do both say the same, but to whom?
fn same_to_another(last: &str, line: &str) -> bool {
    let head = |text: &str| text.split_once(" to n").map(|(head, _)| head.to_string());
    line.contains(" sends entr") && head(line).is_some() && head(last) == head(line)
}

/// What a story never folds.
fn is_decisive(event: &Event) -> bool {
    matches!(
        event.kind,
        Kind::LogTruncated { .. }
            | Kind::PrimaryElected { .. }
            | Kind::PrimaryServing { .. }
            | Kind::SteppedDown { .. }
            | Kind::TakeoverStarted { .. }
            | Kind::TakeoverAbandoned { .. }
            | Kind::PromiseGranted { .. }
            | Kind::PromiseRefused { .. }
            | Kind::StaleEpochRefused { .. }
            | Kind::VoteWithheld { .. }
            | Kind::VoteLost { .. }
            | Kind::ReplyReleased { .. }
            | Kind::ReadAnswered { .. }
            | Kind::StateInstalled { .. }
            | Kind::TransferFinished { .. }
            | Kind::CorruptionFound { .. }
            | Kind::StateGivenUp { .. }
            | Kind::DevicePoisoned { .. }
    )
}
