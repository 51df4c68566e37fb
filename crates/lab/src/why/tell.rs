//! A schedule and all that came of it: every step with every event, and how it ended. Nothing is folded or left out.

use super::{Play, Schedule, plain};

/// Tells `play`, the play of `schedule`, line by line.
pub fn tell(schedule: &Schedule, play: &Play) -> Vec<String> {
    let mut lines: Vec<String> = schedule.setting.iter().map(|line| format!("> {line}")).collect();
    lines.extend(indented(&play.begin));
    let mut before = &play.begin;
    for (at, act) in play.acts.iter().enumerate() {
        lines.push(format!("{:>3}. {}", at + 1, act.words));
        if let Some(why) = &act.skipped {
            lines.extend(indented(&[format!("not possible here: {why}")]));
            continue;
        }
        lines.extend(act.events.iter().map(|event| {
            let by = event.kind.mechanism().map(|by| format!(" [{by}]")).unwrap_or_default();
            format!("     {}{by}", plain(event))
        }));
        lines.extend(act.client.iter().map(|line| format!("     client: {line}")));
        // Only what changed: the rest is as it was.
        lines.extend(indented(act.state.iter().filter(|line| !before.contains(line))));
        before = &act.state;
    }
    lines.push(String::new());
    lines.push(verdict(play));
    lines
}

fn indented<'a>(lines: impl IntoIterator<Item = &'a String>) -> impl Iterator<Item = String> {
    lines.into_iter().map(|line| format!("     | {line}"))
}

/// How it ended, in a sentence.
pub fn verdict(play: &Play) -> String {
    match (&play.broken, &play.stopped) {
        (Some(broken), _) => format!("BROKEN  {broken}"),
        (None, Some(stopped)) => format!("STOPPED by an assertion of its own: {stopped}"),
        (None, None) => "HELD    No promise is broken in any of these steps.".into(),
    }
}

/// Where the plays of two schedules go apart: the first step that is another one, or that goes differently.
pub fn departure(first: &Play, second: &Play) -> Option<String> {
    let pairs = first.acts.iter().zip(&second.acts);
    let alike =
        pairs.take_while(|(a, b)| a.step == b.step && a.state == b.state && a.client == b.client).count();
    match (first.acts.get(alike), second.acts.get(alike)) {
        (None, None) => None,
        (Some(a), None) => Some(format!("it ends before step {}: {}", alike + 1, a.words)),
        (None, Some(b)) => Some(format!("it goes on with step {}: {}", alike + 1, b.words)),
        (Some(a), Some(b)) if a.step == b.step => {
            Some(format!("step {} goes differently: {}", alike + 1, b.words))
        }
        (Some(a), Some(b)) => Some(format!("step {} is `{}` instead of `{}`", alike + 1, b.step, a.step)),
    }
}
