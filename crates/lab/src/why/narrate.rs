//! A counterexample as a story: every step with every event that matters, and what the client saw.

use trace::Event;
use trace::mechanism::PROMISES;

use super::causes::chain;
use super::picture::{below, heading, step};
use super::{Case, registry};
use crate::play::{Act, Play};
use crate::tell::events::{plain, told, weight};

/// Events told of one step; of more, only those that decide something, and those that are causes of the end.
const EVENTS_MAX: usize = 8;

/// Where the reader is asked to predict: everything before is shown, and the answer comes after.
pub struct Narration {
    /// Up to the question.
    pub before: Vec<String>,
    /// From the answer on.
    pub after: Vec<String>,
}

impl Narration {
    /// All lines.
    pub fn lines(&self) -> impl Iterator<Item = &String> {
        self.before.iter().chain(&self.after)
    }
}

/// Tells `case`.
pub fn narrate(case: &Case) -> Narration {
    let mechanism = case.mechanism;
    let entry = registry::entry(mechanism);
    let (off, parts) = (&case.off, case.parts_at());
    let promise = usize::from(mechanism.promise());
    let mut before = vec![
        format!("WITHOUT {mechanism}: {}", mechanism.does()),
        format!("The promise  {promise}. \"{}\" Broken here by: {}.", PROMISES[promise - 1], entry.faults),
        format!("Taken out    {mechanism} alone; all others stay on."),
        format!("Set-up       {}", set_up(case)),
        String::new(),
    ];
    before.extend(heading(off));
    (0..parts).for_each(|at| before.extend(rows(case, at)));
    before.push(format!("  ?  Predict: step {}, {}. What follows?", parts + 1, off.acts[parts].words));

    let mut after: Vec<String> = (parts..off.acts.len()).flat_map(|at| rows(case, at)).collect();
    after.push(format!("      ✗ {}", off.broken.as_deref().unwrap_or("nothing is broken")));
    after.push(String::new());
    after.extend(client(off));
    after.extend(causes(case, parts));
    after.extend(difference(case, parts));
    after.push(format!("Others       {}", entry.others));
    after.extend(entry.choice.map(|choice| format!("Instead      {choice}")));
    after.push(format!("Bounds       {}", bounds(case)));
    let (file, symbol) = entry.guard.expect("a counterexample comes from a switch");
    after.push(format!("Guard        {file}, fn {symbol}. First published: {}.", entry.published));
    after.push(format!(
        "Replay       cutaway play {mechanism} --without {mechanism}; cutaway why {mechanism} --html why.html"
    ));
    after.push(format!("Try          {}", entry.variation));
    Narration { before, after }
}

fn set_up(case: &Case) -> String {
    if case.schedule.is_local() {
        let device = case.schedule.setting[0].trim_start_matches("device ");
        return format!(
            "one device: {device}. Superblocks A and B, log, data: `#` durable, `~` unsynced, `t` torn, \
             `s` stale, `.` never written"
        );
    }
    let cold = case.schedule.setting[0].ends_with("cold");
    let begin = if cold {
        "all devices are empty, and nobody leads"
    } else {
        "n1 serves in epoch 1, all logs end with entry 2 (entry 1 is its epoch marker, entry 2 opened the client's session)"
    };
    let nodes = case.off.lanes.iter().filter(|lane| lane.starts_with('n')).count();
    let rest = case.schedule.setting[1..].join(", ");
    let rest = if rest.is_empty() { rest } else { format!(" ({rest})") };
    format!(
        "{nodes} nodes; {begin}{rest}. S: a sync returns, X: a crash, W: a new disk, T: a timer, =: everything arrives"
    )
}

/// A step, and below it what happened in it.
fn rows(case: &Case, at: usize) -> Vec<String> {
    let play = &case.off;
    let act = &play.acts[at];
    let mut rows = vec![format!("{}  {}", step(play, at), act.words)];
    if let Some(why) = &act.skipped {
        rows.push(format!("{}    not possible here: {why}", below(play, None)));
        return rows;
    }
    let parts = case.parts_at();
    // What is a cause of the end is never folded.
    let needed: Vec<String> = chain(play, &case.on, parts)
        .into_iter()
        .filter(|link| link.step == at)
        .map(|link| link.words)
        .collect();
    let needed: Vec<&Event> = act.events.iter().filter(|event| needed.contains(&plain(event))).collect();
    let (lines, folded) = told(&act.events, EVENTS_MAX, &needed);
    rows.extend(lines.iter().map(|(event, line)| format!("{}    {line}", below(play, Some(event)))));
    if folded > 0 {
        rows.push(format!(
            "{}    ({folded} more events, of ordinary replication: cutaway play {m} --without {m})",
            below(play, None),
            m = case.mechanism
        ));
    }
    rows.extend(
        act.held
            .iter()
            .filter(|line| !held_before(play, at, line))
            .map(|line| format!("{}    {line}", below(play, None))),
    );
    rows.extend(act.client.iter().map(|line| format!("{}  ▶ the client learns: {line}", below(play, None))));
    rows
}

fn held_before(play: &Play, at: usize, line: &String) -> bool {
    at > 0 && play.acts[at - 1].held.contains(line)
}

/// What the client was told, and what became of it.
fn client(play: &Play) -> Vec<String> {
    let acts = play.acts.iter().enumerate();
    let told: Vec<String> = acts
        .flat_map(|(n, act)| act.client.iter().map(move |line| format!("step {}: {line}", n + 1)))
        .collect();
    // On a device the host is told something at each step; its last word is enough.
    let from = told.len().saturating_sub(2);
    let broken = play.broken.as_deref().unwrap_or("nothing is broken");
    let told = if told.is_empty() { String::new() } else { format!("{}; then ", told[from..].join("; ")) };
    vec![format!("Client       {told}{broken}")]
}

/// The chain of causes, a line for each link.
fn causes(case: &Case, parts: usize) -> Vec<String> {
    let links = chain(&case.off, &case.on, parts);
    let last = links.len() - 1;
    let line = |(n, link): (usize, super::causes::Link)| {
        let head = if n == 0 { "Cause        the check is missing in " } else { "             → " };
        let tail = if n == last && n > 0 { ", and the promise is broken" } else { "" };
        format!("{head}step {}: {}{tail}", link.step + 1, link.words)
    };
    links.into_iter().enumerate().map(line).collect()
}

/// What happens instead, by which guard, and what the client sees then.
fn difference(case: &Case, parts: usize) -> Vec<String> {
    let (off, on) = (&case.off, &case.on);
    let (without, with) = (&off.acts[parts], on.acts.get(parts));
    let happened = |act: &Act| match (&act.skipped, unlike(act, without)) {
        (None, _) if act.words != without.words => act.words.clone(),
        (Some(why), _) => format!("it cannot happen ({why})"),
        (None, Some(event)) => plain(event),
        (None, None) => {
            let client = act.client.iter().find(|line| !without.client.contains(line));
            let held = act.held.iter().find(|line| !without.held.contains(line));
            let state = act.state.iter().find(|line| !without.state.contains(line));
            let missing =
                unlike(without, act).map(|event| format!("it does not happen that {}", plain(event)));
            client.or(held).or(state).cloned().or(missing).unwrap_or_else(|| "nothing happens".into())
        }
    };
    let with = with.map_or_else(|| "the schedule is over".to_string(), happened);
    let by = registry::entry(case.mechanism)
        .guard
        .map(|(_, symbol)| format!(" (fn {symbol})"))
        .unwrap_or_default();
    let told = |play: &Play| -> Vec<String> { play.acts.iter().flat_map(|act| act.client.clone()).collect() };
    let (heard, hears) = (told(off), told(on));
    let unheard: Vec<&String> = heard.iter().filter(|line| !hears.contains(line)).collect();
    let client = match (case.schedule.is_local(), unheard.as_slice()) {
        (true, _) => "What the host was told stays true".to_string(),
        (false, []) => "The client is told the same, and it stays true".to_string(),
        (false, [first, ..]) => format!("The client is not told that {first}"),
    };
    let end = if case.schedule.is_local() { "" } else { ", also once everything has arrived" };
    vec![format!(
        "With it on   step {}{by}: {}. {client}; no promise is broken{end}.",
        parts + 1,
        with.trim_end_matches('.')
    )]
}

/// The first event of the run with the mechanism that the run without does not have.
fn unlike<'a>(act: &'a Act, without: &Act) -> Option<&'a Event> {
    let other: Vec<String> = without.events.iter().map(Event::sentence).collect();
    let new = act.events.iter().filter(|event| !other.contains(&event.sentence()));
    new.clone().find(|event| weight(event) > 1).or_else(|| new.clone().next())
}

fn bounds(case: &Case) -> String {
    let found = case.schedule.notes.first().map_or("", String::as_str).trim_end_matches('.');
    format!(
        "{found}. {} steps; dropping each single one was tried now: {}.",
        case.schedule.steps.len(),
        if case.minimal { "none can go" } else { "some can go" }
    )
}
