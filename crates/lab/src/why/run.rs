//! A run of the simulator, told: from the first step of its schedule on, every event that matters, and how it ended.
//!
//! What nodes and gateways do all day is left out, and it is said how much that is; a trace has every event.

use std::collections::BTreeSet;

use sim::{Options, Report, Script, execute};
use trace::{Event, Kind, Mechanism};

/// Runs `script` without these mechanisms, and keeps its trace.
pub fn run_script(script: &Script, off: &[Mechanism]) -> Report {
    let options = Options { without: off.to_vec(), trace: true, ..script.options() };
    execute(&script.schedule, &options)
}

/// Is this what happens all day?
fn is_routine(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::RequestRouted { .. }
            | Kind::ReadRouted { .. }
            | Kind::RequestReceived { .. }
            | Kind::RequestEnded { .. }
            | Kind::RequestRefused { .. }
            | Kind::EntryAppended { .. }
            | Kind::EntriesSent { .. }
            | Kind::HeartbeatSent { .. }
            | Kind::EntriesRepeated { .. }
            | Kind::AckCounted { .. }
            | Kind::EntryApplied { .. }
            | Kind::ReadWaiting { .. }
            | Kind::ConfirmationAsked { .. }
            | Kind::ReadConfirmed { .. }
            | Kind::EpochConfirmed { .. }
            | Kind::TransferChunkSent { .. }
            | Kind::FrameRefused { .. }
            | Kind::RecordWritten { .. }
            | Kind::TruncationWritten { .. }
            | Kind::DeviceSynced { .. }
            | Kind::PromiseStored { .. }
            | Kind::CheckpointBegun { .. }
            | Kind::MessageLost { .. }
    )
}

/// Tells what came of `script`, line by line. An error says why the trace of `report` cannot be read.
pub fn tell_run(script: &Script, report: &Report) -> Result<Vec<String>, String> {
    let events = report.events()?;
    let time = |event: &Event| event.wall.unwrap_or(0);
    let schedule = &script.schedule;
    let first = schedule.steps.iter().map(|step| step.at);
    let first = first.chain(schedule.asks.iter().flatten().map(|ask| ask.at)).min().unwrap_or(0);
    // A backup acknowledges with each heartbeat what it has acknowledged before: that is news once.
    let mut said = BTreeSet::new();
    let mut is_news = |event: &Event| match &event.kind {
        Kind::MatchAcknowledged { epoch, upto, .. } => said.insert((event.id.actor, *epoch, *upto)),
        _ => true,
    };
    let told: Vec<&Event> = events
        .iter()
        .filter(|event| time(event) >= first && !is_routine(&event.kind) && is_news(event))
        .collect();
    let mut lines: Vec<String> = script.to_string().lines().map(String::from).collect();
    lines.push(String::new());
    lines.push(format!(
        "Of {} events, the {} from the first step on that are not daily routine; a trace has them all:",
        events.len(),
        told.len()
    ));
    lines.extend(told.iter().map(|event| {
        let by = event.kind.mechanism().map(|by| format!(" [{by}]")).unwrap_or_default();
        let (seconds, micros) = (time(event) / 1_000_000, time(event) % 1_000_000);
        format!("{seconds:>3}.{micros:06} s  {}{by}", sentence(event, script.cluster.shards))
    }));
    lines.push(String::new());
    lines.push(run_verdict(report));
    Ok(lines)
}

/// In a cluster with one shard a node is its only replica.
fn sentence(event: &Event, shards: u32) -> String {
    let sentence = event.sentence();
    if shards == 1 { sentence.replace("/0 ", " ").replace("/0:", ":") } else { sentence }
}

/// How it ended, in a sentence.
pub fn run_verdict(report: &Report) -> String {
    match &report.violation {
        Some(broken) => {
            let (promise, invariant) = (broken.promise, &broken.invariant);
            let at = sim::text::show_time(broken.at);
            let number =
                if *invariant == format!("P{promise}") { String::new() } else { format!(", {invariant}") };
            format!("BROKEN  P{promise}{number}: after {at}, {}", broken.sentence)
        }
        None => "HELD    No promise is broken in any of these steps.".into(),
    }
}
