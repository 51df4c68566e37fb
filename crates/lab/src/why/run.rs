//! A run of the simulator, told: from the first step of its schedule on, every event that matters, and how it ended.
//!
//! What nodes and gateways do all day is folded, and the fold says how much it is; a trace has every event.

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
    let schedule = &script.schedule;
    let first = schedule.steps.iter().map(|step| step.at);
    let first = first.chain(schedule.asks.iter().flatten().map(|ask| ask.at)).min().unwrap_or(0);
    let mut lines: Vec<String> = script.to_string().lines().map(String::from).collect();
    lines.push(String::new());
    let (before, events): (Vec<&Event>, Vec<&Event>) =
        events.iter().partition(|event| event.wall.unwrap_or(0) < first);
    let mut folded = before.len();
    for event in events {
        if is_routine(&event.kind) {
            folded += 1;
            continue;
        }
        fold(&mut lines, &mut folded);
        let by = event.kind.mechanism().map(|by| format!(" [{by}]")).unwrap_or_default();
        lines.push(format!(
            "{:>12}  {}{by}",
            sim::text::show_time(event.wall.unwrap_or(0)),
            sentence(event, script.cluster.shards)
        ));
    }
    fold(&mut lines, &mut folded);
    lines.push(String::new());
    lines.push(run_verdict(report));
    Ok(lines)
}

/// In a cluster with one shard a node is its only replica.
fn sentence(event: &Event, shards: u32) -> String {
    let sentence = event.sentence();
    if shards == 1 { sentence.replace("/0 ", " ").replace("/0:", ":") } else { sentence }
}

fn fold(lines: &mut Vec<String>, folded: &mut usize) {
    match std::mem::take(folded) {
        0 => {}
        1 => lines.push(format!("{:>12}  (one event of the daily routine)", "")),
        many => lines.push(format!("{:>12}  ({many} events of the daily routine)", "")),
    }
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
