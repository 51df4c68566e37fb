//! A counterexample as a story: every step with every event that matters, and what the client saw.

use trace::mechanism::PROMISES;
use trace::{Actor, Event, Kind, Mechanism};

use super::causes::chain;
use super::examine::Case;
use super::invariants;
use super::picture::{below, heading, step};
use super::registry;
use crate::play::{Act, Mark, Play};
use crate::tell::events::{plain, told, weight};
use crate::tell::legend;

/// Events told of one step; of more, only those that decide something, and those that are causes of the end.
pub(super) const EVENTS_MAX: usize = 8;

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
        format!("WITHOUT {mechanism}, that is, without this rule: {}", mechanism.does()),
        format!("In short     {}", entry.short),
        format!("The promise  {promise}. \"{}\" {}", PROMISES[promise - 1], broken_how(case)),
        format!("Set-up       {}", set_up(case)),
        String::new(),
    ];
    before.extend(heading(off));
    (0..parts).for_each(|at| before.extend(rows(case, at)));
    before.push(format!("  ?  Predict: step {} is next: {}.", parts + 1, off.acts[parts].words));
    before.push(format!("     {}", entry.predict));

    let mut after: Vec<String> = (parts..off.acts.len()).flat_map(|at| rows(case, at)).collect();
    after.extend(end(case, parts));
    after.push(format!("Why needed   {}", entry.others));
    after.extend(entry.choice.map(|choice| format!("Instead      {choice}")));
    after.push(format!("Origin       {}", bounds(case)));
    let (file, symbol) = entry.guard.expect("a counterexample comes from a switch");
    after.push(format!("Guard        {file}, fn {symbol}. Published: {}.", entry.published));
    after.push(format!(
        "Replay       cutaway play {mechanism} --without {mechanism}; cutaway why {mechanism} --html why.html"
    ));
    after.push(format!("Try          {}", entry.variation));
    after.push(format!("             {}", try_command(mechanism)));
    Narration { before, after }
}

/// The run alone, for a story that has words of its own: where it begins, every step, what broke, why, and what holds it.
pub fn retell(case: &Case) -> Vec<String> {
    let mut lines = vec![format!("Set-up       {}", set_up(case)), String::new()];
    lines.extend(heading(&case.off));
    lines.extend((0..case.off.acts.len()).flat_map(|at| rows(case, at)));
    lines.extend(end(case, case.parts_at()));
    lines
}

/// What broke, what the client saw of it, why, and what would have held it.
fn end(case: &Case, parts: usize) -> Vec<String> {
    let off = &case.off;
    let broken = off.broken.as_deref().unwrap_or("nothing is broken");
    let mut lines = vec![format!("      ✗ {broken}")];
    lines.extend(invariants::stated(broken).map(|(id, what)| format!("        ({id}: {what})")));
    // Where no client was betrayed yet, what one reads says nothing.
    lines.extend(off.readers.iter().filter(|_| !only_endangered(case)).map(|line| format!("        {line}")));
    lines.push(String::new());
    lines.extend(client(off));
    lines.extend(causes(case, parts));
    lines.extend(difference(case, parts));
    lines
}

/// What goes wrong here beside the missing rule.
fn broken_how(case: &Case) -> String {
    let faults = registry::entry(case.mechanism).faults;
    match only_endangered(case) {
        true => format!("In danger here, and no client has seen it yet. What goes wrong: {faults}."),
        false => format!("Broken here. What goes wrong: {faults}."),
    }
}

/// Does the schedule end where replicas, or a device and its host, disagree, before any client is told something wrong?
fn only_endangered(case: &Case) -> bool {
    let judged = case.schedule.setting.iter().any(|line| line.starts_with("judge"));
    // Nor has anybody, if what is damaged is what its host gave up: it may come back, and then it must be whole.
    let apart = |broken: &str| {
        broken.starts_with("E2") || (broken.starts_with("E4") && broken.contains(", which was "))
    };
    judged || case.off.broken.as_deref().is_some_and(apart)
}

/// Plays the schedule to try.
pub(super) fn try_command(mechanism: Mechanism) -> String {
    format!("cutaway play try:{mechanism} --without {mechanism}")
}

fn set_up(case: &Case) -> String {
    if case.schedule.is_local() {
        let device = case.schedule.setting[0].trim_start_matches("device ");
        return format!(
            "n1's disk: {device}. n1 is the disk engine of one node; the host is the code above it. Drawn are superblocks \
             A and B, then a letter for each sector of 512 bytes: the log (from sector 16) and the data (from sector 32, its unit 0): {}",
            legend(case.off.acts.iter().flat_map(|act| &act.state))
        );
    }
    let cold = case.schedule.setting[0].ends_with("cold");
    let begin = if cold {
        "all devices are empty, and nobody leads"
    } else if case.mechanism == Mechanism::EpochMarker {
        // The rule that is missing is missing from the beginning.
        "n1 serves in epoch 1, and all logs end with entry 1, which opened the client's session (so its first request is \
         1.1); without the rule no marker comes before it"
    } else if case.mechanism == Mechanism::TailWithPromise {
        // The report that the rule keeps from being used.
        "n1 serves in epoch 1, and all logs end with entry 2 (entry 1 is the epoch's marker, entry 2 opened the client's \
         session, so its first request is 2.1). Each node has told a gateway so; without the rule, it tells a candidate \
         what it last told a gateway"
    } else {
        "n1 serves in epoch 1, and all logs end with entry 2 (entry 1 is the epoch's marker, entry 2 opened the client's \
         session, so its first request is 2.1); the version of a value is the number of its entry"
    };
    let nodes = case.off.lanes.iter().filter(|lane| lane.starts_with('n')).count();
    let rest: Vec<String> = case.schedule.setting[1..].iter().map(|line| setting_in_words(line)).collect();
    let rest: String = rest.iter().map(|line| format!("; {line}")).collect();
    let letters = [
        ('S', "the node's sync returns"),
        ('X', "a crash"),
        ('W', "a new disk"),
        ('R', "damage"),
        ('T', "timers expire"),
        ('=', "everything arrives"),
    ];
    let marks = letters.iter().filter(|(letter, _)| {
        let shows = |act: &Act| matches!(act.mark, Mark::At(_, mark) | Mark::All(mark) if mark == *letter);
        case.off.acts.iter().any(shows)
    });
    let marks: Vec<String> = marks.map(|(letter, means)| format!("{letter}: {means}")).collect();
    let marks = if marks.is_empty() { marks.concat() } else { format!(" {}.", marks.join(", ")) };
    format!("{nodes} nodes; {begin}{rest}. Gateways, such as g1, are drawn under `client`.{marks}")
}

/// A line of the setting in words.
fn setting_in_words(line: &str) -> String {
    match line.split_once(' ') {
        Some(("frames", "1")) => "a message carries one entry at most".into(),
        Some(("frames", n)) => format!("a message carries {n} entries at most"),
        Some(("pieces", _)) => "a state is transferred one key a piece".into(),
        Some(("resend", n)) => {
            format!("entries without an answer are sent again after {n} expiries of the timer")
        }
        Some(("judge", _)) => {
            "a broken invariant of the replicas counts, even if no client has seen it".into()
        }
        _ => line.to_string(),
    }
}

/// A step, and below it what happened in it.
fn rows(case: &Case, at: usize) -> Vec<String> {
    let play = &case.off;
    let act = &play.acts[at];
    let mut rows = vec![format!("{}  {}{}", step(play, at), act.words, sent(play, at))];
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
    let local = case.schedule.is_local();
    let (lines, folded) = told(&act.events, EVENTS_MAX, &needed, local);
    // The row of a sync says already that it returned.
    let lines = lines.iter().filter(|(event, _)| {
        !matches!((&event.kind, act.mark), (Kind::DeviceSynced { .. }, Mark::At(_, 'S')))
    });
    rows.extend(lines.map(|(event, line)| {
        let line = fitting(case, event, line);
        format!("{}    {line}{}", below(play, Some(event)), held_since(play, at, event))
    }));
    if folded > 0 {
        rows.push(format!(
            "{}    ({folded} more events, of ordinary replication: cutaway play {} --without {})",
            below(play, None),
            case.called,
            case.mechanism
        ));
    }
    rows.extend(
        act.held
            .iter()
            .filter(|line| !held_before(play, at, line))
            .map(|line| format!("{}    {line}", below(play, None))),
    );
    rows.extend(act.also.iter().map(|line| format!("{}    {line}", below(play, None))));
    let who = if local { "host" } else { "client" };
    rows.extend(act.client.iter().map(|line| format!("{}  ▶ the {who} learns: {line}", below(play, None))));
    rows
}

fn held_before(play: &Play, at: usize, line: &String) -> bool {
    at > 0 && play.acts[at - 1].held.contains(line)
}

/// When the message of this step was sent, if that was not just now.
fn sent(play: &Play, at: usize) -> String {
    let Mark::Arrow(from, to) = play.acts[at].mark else { return String::new() };
    let way = format!("on its way {} → {}: ", play.lanes[from], play.lanes[to]);
    let Some((_, what)) = play.acts[at].words.split_once(": ") else { return String::new() };
    let line = format!("{way}{}", what.split(" (a copy").next().unwrap_or_default());
    let waits = |n: &usize| play.acts[*n].waiting.contains(&line);
    match (0..at).rev().take_while(waits).last() {
        Some(first) if first + 1 < at => format!(" (sent in step {})", first + 1),
        _ => String::new(),
    }
}

/// Since when an acknowledgement was held back, if it was.
fn held_since(play: &Play, at: usize, event: &Event) -> String {
    let Kind::MatchAcknowledged { to, epoch, upto } = event.kind else { return String::new() };
    let Actor::Node { node, .. } = event.id.actor else { return String::new() };
    let line = format!(
        "n{node} holds back for n{to}, until its own sync returns: PrepareOk in epoch {epoch}: durable up to {upto}"
    );
    let waits = |n: &usize| play.acts[*n].held.contains(&line);
    match (0..at).rev().take_while(waits).last() {
        Some(first) => format!(" (held back since step {})", first + 1),
        None => String::new(),
    }
}

/// What a primary sends, as far as it fits into one message.
fn fitting(case: &Case, event: &Event, line: &str) -> String {
    let frames =
        case.schedule.setting.iter().find_map(|line| line.strip_prefix("frames ")?.parse::<u64>().ok());
    match (&event.kind, frames) {
        (Kind::EntriesSent { from, upto, .. }, Some(most)) if upto - from >= most => {
            let all = trace::entries(*from, *upto);
            let part = trace::entries(*from, from + most - 1);
            format!("{}; no more fits into the message", line.replace(&all, &part))
        }
        _ => line.to_string(),
    }
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
    let who = if play.lanes.len() == 2 { "Host  " } else { "Client" };
    vec![format!("{who}       {told}{broken}")]
}

/// How the client came to be told, and how what it was told was lost: a line for each link.
fn causes(case: &Case, parts: usize) -> Vec<String> {
    let links = chain(&case.off, &case.on, parts);
    let last = links.len() - 1;
    let line = |(n, link): (usize, super::causes::Link)| {
        let head = match (n, link.follows) {
            (0, _) => "Cause        without the rule, ",
            (_, true) => "             → ",
            (_, false) => "             meanwhile, ",
        };
        let broken =
            if only_endangered(case) { ": the invariant is broken" } else { ": the promise is broken" };
        let tail = if n == last && n > 0 { broken } else { "" };
        format!("{head}step {}: {}{tail}", link.step + 1, link.words)
    };
    links.into_iter().enumerate().map(line).collect()
}

/// What happens instead, by which guard, and what the client sees then.
fn difference(case: &Case, parts: usize) -> Vec<String> {
    let (off, on) = (&case.off, &case.on);
    let (without, with) = (&off.acts[parts], on.acts.get(parts));
    let happened = |act: &Act| match (&act.skipped, unlike(act, without)) {
        (None, _) if cut_short(act, without).is_some() => cut_short(act, without).unwrap_or_default(),
        (None, _) if act.words != without.words => act.words.clone(),
        (Some(why), _) => format!("it cannot happen ({why})"),
        (None, Some(event)) => {
            let (first, other) = (plain(event), without.events.iter().map(plain).collect::<Vec<_>>());
            let new = act.events.iter().filter(|event| weight(event) > 1).map(plain);
            let more = new.filter(|line| *line != first && !other.contains(line)).take(1);
            std::iter::once(first.clone()).chain(more).collect::<Vec<_>>().join(", and ")
        }
        (None, None) => {
            let client = act.client.iter().find(|line| !without.client.contains(line));
            let held = act.held.iter().find(|line| !without.held.contains(line));
            let state = act.state.iter().find(|line| !without.state.contains(line));
            let missing =
                unlike(without, act).map(|event| format!("what does not happen there: {}", plain(event)));
            client
                .or(held)
                .cloned()
                .or(missing)
                .or(state.cloned())
                .unwrap_or_else(|| "nothing happens".into())
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
        (true, []) => format!("Up to step {} the host is told the same, and it stays true", parts + 1),
        (true, unheard) => format!("The host is never told: {}", said(unheard)),
        (false, []) => "What the client was told stays true".to_string(),
        (false, [first, ..]) => match hears.iter().find(|line| same_write(line, first)) {
            Some(other) => format!("The client is told instead: {other}"),
            None => format!("In this run the client is never told: {}", said(&unheard)),
        },
    };
    let end = if case.schedule.is_local() {
        ""
    } else {
        ", nor is one when all that is still on its way has arrived"
    };
    vec![format!(
        "With it on   step {}{by}: {}.{} {client}. No promise is broken{end}.",
        parts + 1,
        with.trim_end_matches('.'),
        later(off, on, parts)
    )]
}

/// What follows from that: the next event that decides something, and is not in the run without the rule.
fn later(off: &Play, on: &Play, parts: usize) -> String {
    let known: Vec<String> = off.acts.iter().flat_map(|act| act.events.iter().map(plain)).collect();
    let new = on.acts.iter().enumerate().skip(parts + 1).find_map(|(at, act)| {
        let new = act.events.iter().find(|event| weight(event) > 1 && !known.contains(&plain(event)))?;
        Some((at, plain(new)))
    });
    new.map_or(String::new(), |(at, words)| format!(" Then, step {}: {words}.", at + 1))
}

/// One thing after the other.
fn said(lines: &[&String]) -> String {
    lines.iter().map(|line| line.as_str()).collect::<Vec<_>>().join("; ")
}

/// A step that the power failure interrupts with the rule on, and not without it.
fn cut_short(act: &Act, without: &Act) -> Option<String> {
    let (step, cut) = act.words.split_once(" (cut off after ")?;
    let (_, not) = cut.trim_end_matches(')').split_once("; not done: ")?;
    (without.words == step)
        .then(|| format!("n1 also asks for {not} and waits for it, and the power fails before it returns"))
}

/// Are both about one write, and tell of another version?
fn same_write(one: &str, other: &str) -> bool {
    let of = |line: &str| line.split_once(" as version ").map(|(write, _)| write.to_string());
    of(one).is_some() && of(one) == of(other)
}

/// The first event of the run with the mechanism that the run without does not have.
fn unlike<'a>(act: &'a Act, without: &Act) -> Option<&'a Event> {
    let other: Vec<String> = without.events.iter().map(plain).collect();
    let new = act.events.iter().filter(|event| !other.contains(&plain(event)));
    new.clone().find(|event| weight(event) > 1).or_else(|| new.clone().next())
}

fn bounds(case: &Case) -> String {
    let found = case.schedule.notes.first().map_or("", String::as_str).trim_end_matches('.');
    let found = found.replace(" for what a client sees,", ", judged by what a client sees,");
    let (lines, length) = (case.schedule.steps.len(), case.off.length());
    let lines = if lines == length { String::new() } else { format!(" in {lines} lines") };
    let minimal = if case.minimal { "none of them can be left out" } else { "some of them can be left out" };
    format!("{found}. {length} steps{lines}; {minimal} (checked just now).")
}
