//! A counterexample as a story of at most thirty lines.

use trace::mechanism::PROMISES;
use trace::{Event, Kind};

use super::play::{Act, Mark, Play};
use super::{Case, registry};

/// Rows that the steps of a schedule take at most; neighbours share one where there are more.
const ROWS_MAX: usize = 12;
/// Characters of a row's words.
const WORDS_MAX: usize = 112;
/// Characters between two lanes.
const LANE: usize = 7;

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
    let (off, on) = (&case.off, &case.on);
    let mut before = vec![
        format!("WITHOUT {mechanism}: {}", mechanism.does()),
        format!(
            "The promise  {}. \"{}\" Broken here by: {}.",
            mechanism.promise(),
            PROMISES[usize::from(mechanism.promise()) - 1],
            entry.faults
        ),
        format!("Taken out    {mechanism} alone; all others stay on."),
        format!("Set-up       {}", set_up(case)),
        String::new(),
    ];
    let parts = case.parts_at();
    let rows = rows(off, parts);
    let (early, late): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.last < parts);
    before.extend(heading(off));
    before.extend(early.iter().map(|row| row.text(off)));
    before.push(format!("  ?  Predict: step {}, {}. What follows?", parts + 1, off.acts[parts].words));

    let mut after: Vec<String> = late.iter().map(|row| row.text(off)).collect();
    after.push(String::new());
    after.push(format!("Client       {}", client(off)));
    after.push(format!("Cause        {}", chain(off, parts)));
    after.push(format!("With it on   {}", difference(off, on, parts)));
    after.push(format!("Others       {}", entry.others));
    if let Some(choice) = entry.choice {
        after.push(format!("Instead      {choice}"));
    }
    after.push(format!("Bounds       {}", bounds(case)));
    let (file, symbol) = entry.guard.expect("a counterexample comes from a switch");
    after.push(format!("Guard        {file}, fn {symbol}. First published: {}.", entry.published));
    after.push(format!(
        "Replay       cutaway why {mechanism} --schedule; cutaway why {mechanism} --html why.html"
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
    let nodes = case.off.lanes.len() - 1;
    let rest = case.schedule.setting[1..].join(", ");
    let rest = if rest.is_empty() { rest } else { format!(" ({rest})") };
    format!(
        "{nodes} nodes; n1 serves in epoch 1, all logs end at entry 2{rest}. S: a sync returns, X: a crash, W: a new \
         disk, T: a timer"
    )
}

/// Steps that share a line.
struct Row {
    first: usize,
    last: usize,
}

/// One row for each step, or for several where there are too many. The step at which the runs part begins a row.
fn rows(play: &Play, parts: usize) -> Vec<Row> {
    let mut rows: Vec<Row> = (0..play.acts.len()).map(|at| Row { first: at, last: at }).collect();
    while rows.len() > ROWS_MAX {
        let affinity = |at: usize| {
            let (row, next) = (&rows[at], &rows[at + 1]);
            if next.first == parts {
                return 0;
            }
            let length = next.last - row.first;
            let closeness = match (play.acts[row.last].mark, play.acts[next.first].mark) {
                (Mark::Lost(..), _) | (_, Mark::Lost(..)) => 30,
                (Mark::Arrow(_, to), Mark::At(at, 'S')) if to == at => 20,
                (Mark::Arrow(from, to), Mark::Arrow(back, forth)) if (from, to) == (forth, back) => 16,
                (Mark::At(at, _), Mark::Arrow(from, _)) if at == from => 14,
                _ => 10,
            };
            (closeness - 2 * length.min(4)) as i32 + 1
        };
        let best = (0..rows.len() - 1).rev().max_by_key(|at| affinity(*at)).expect("there are several");
        rows[best].last = rows[best + 1].last;
        rows.remove(best + 1);
    }
    rows
}

impl Row {
    fn text(&self, play: &Play) -> String {
        let acts = &play.acts[self.first..=self.last];
        let number = if self.first == self.last {
            format!("{:>2}", self.first + 1)
        } else {
            format!("{}-{}", self.first + 1, self.last + 1)
        };
        let local = play.lanes.len() == 2;
        let picture = if local { strip(acts) } else { picture(play.lanes.len(), acts) };
        format!("{number:>5} {picture}  {}", cut(&words(acts)))
    }
}

/// The names of the lanes; a device has none.
fn heading(play: &Play) -> Option<String> {
    let lanes: String = play.lanes.iter().map(|lane| format!("{lane:<LANE$}")).collect();
    (play.lanes.len() > 2).then(|| format!("      {}", lanes.trim_end()))
}

fn strip(acts: &[Act]) -> String {
    acts.iter().rev().find_map(|act| act.state.first().cloned()).unwrap_or_default()
}

/// The lanes at these steps, as one line.
fn picture(lanes: usize, acts: &[Act]) -> String {
    let mut line = vec![' '; (lanes - 1) * LANE + 2];
    (0..lanes).for_each(|lane| line[lane * LANE] = '│');
    for act in acts.iter().filter(|act| act.skipped.is_none()) {
        match act.mark {
            Mark::Arrow(from, to) | Mark::Lost(from, to) => {
                let lost = matches!(act.mark, Mark::Lost(..));
                let (a, b) = (from * LANE, to * LANE);
                for cell in &mut line[a.min(b) + 1..a.max(b)] {
                    *cell = if *cell == ' ' || *cell == '─' { '─' } else { *cell };
                }
                let tip = if from < to { b - 1 } else { b + 1 };
                line[tip] = match (lost, from < to) {
                    (true, _) => '✗',
                    (false, true) => '▶',
                    (false, false) => '◀',
                };
            }
            Mark::At(lane, letter) => line[lane * LANE] = letter,
            Mark::All(letter) => (1..lanes).for_each(|lane| line[lane * LANE] = letter),
        }
    }
    line.into_iter().collect()
}

/// What happened, in a sentence or two.
fn words(acts: &[Act]) -> String {
    let first = &acts[0];
    let mut told = first.words.clone();
    if let Some(why) = &first.skipped {
        return format!("{told}: not possible here, {why}");
    }
    let events: Vec<&Event> = acts.iter().flat_map(|act| &act.events).collect();
    // The last thing of weight: what is merely sent shows as an arrow later.
    let telling = events.iter().rev().find(|event| weight(event) > 1);
    let telling = telling.or_else(|| events.iter().rev().find(|event| weight(event) > 0));
    // What a client learns is more than that somebody tells it.
    let client: Vec<&str> = acts.iter().flat_map(|act| &act.client).map(String::as_str).collect();
    match (&client[..], telling) {
        ([], None) => {}
        ([], Some(event)) => told = format!("{told}: {}", plain(event)),
        (client, _) => told = format!("{told} → {}", client.join("; ")),
    }
    told
}

/// How much an event says on its own.
fn weight(event: &Event) -> u32 {
    match event.kind {
        Kind::EntriesSent { .. } | Kind::HeartbeatSent { .. } => 0,
        Kind::EntryApplied { .. } | Kind::RecordWritten { .. } => 1,
        _ => 2,
    }
}

/// Every shard here is shard 0.
pub(super) fn plain(event: &Event) -> String {
    event.sentence().replace("/0 ", " ")
}

fn cut(text: &str) -> String {
    if text.chars().count() <= WORDS_MAX {
        return text.to_string();
    }
    let short: String = text.chars().take(WORDS_MAX - 1).collect();
    format!("{short}…")
}

fn client(play: &Play) -> String {
    let mut told: Vec<String> = Vec::new();
    for (n, act) in play.acts.iter().enumerate() {
        told.extend(act.client.iter().map(|line| format!("step {}: {line}", n + 1)));
    }
    // On a device the host is told something at each step; its last word is enough.
    let from = told.len().saturating_sub(2);
    let broken = play.broken.as_deref().unwrap_or("nothing is broken");
    let told = if told.is_empty() { String::new() } else { format!("{}; then ", told[from..].join("; ")) };
    format!("{told}{broken}")
}

/// From the step where the runs part to the broken promise, each step being a cause of the next.
fn chain(play: &Play, parts: usize) -> String {
    let target = |at: usize| match play.acts[at].mark {
        Mark::Arrow(_, to) | Mark::Lost(_, to) => Some(to),
        Mark::At(lane, _) => Some(lane),
        Mark::All(_) => None,
    };
    let before = |at: usize, lane: usize| {
        (0..at).rev().find(|n| play.acts[*n].skipped.is_none() && target(*n).is_none_or(|to| to == lane))
    };
    let causes = |at: usize| -> Vec<usize> {
        let from = match play.acts[at].mark {
            Mark::Arrow(from, _) if from > 0 => before(at, from),
            _ => None,
        };
        let lanes = target(at).map_or(Vec::new(), |lane| before(at, lane).into_iter().collect());
        from.into_iter().chain(lanes).collect()
    };
    // Breadth first from the end, so the chain is a shortest one.
    let last = play.acts.len() - 1;
    let mut ways = vec![vec![last]];
    let mut seen = vec![last];
    while let Some(way) = (!ways.is_empty()).then(|| ways.remove(0)) {
        let at = *way.last().expect("a way has a step");
        if at == parts {
            let numbers: Vec<String> = way.iter().rev().map(|at| (at + 1).to_string()).collect();
            return format!("the check is missing in step {}", numbers.join(", which leads to step "));
        }
        for cause in causes(at).into_iter().filter(|cause| *cause >= parts) {
            if !seen.contains(&cause) {
                seen.push(cause);
                ways.push(way.iter().copied().chain([cause]).collect());
            }
        }
    }
    format!("the check is missing in step {}; the promise breaks in step {}", parts + 1, last + 1)
}

fn difference(off: &Play, on: &Play, parts: usize) -> String {
    let (without, with) = (&off.acts[parts], on.acts.get(parts));
    let happened = |act: &Act| match (&act.skipped, unlike(act, off, parts)) {
        (None, None) if act.words != without.words => act.words.clone(),
        (Some(why), _) => format!("it cannot happen ({why})"),
        (None, Some(event)) => plain(event),
        (None, None) => {
            let client = act.client.iter().find(|line| !without.client.contains(line));
            let state = act.state.iter().find(|line| !without.state.contains(line));
            client.or(state).cloned().unwrap_or_else(|| "nothing happens".into())
        }
    };
    let with = with.map_or_else(|| "the schedule is over".to_string(), happened);
    let end = if on.acts.len() > 1 && off.lanes.len() > 2 {
        "The same steps hold, and hold once everything has arrived"
    } else {
        "The same steps hold"
    };
    format!("step {}: {}. {end}.", parts + 1, with.trim_end_matches('.'))
}

/// The first event of the run with the mechanism that the run without does not have.
fn unlike<'a>(act: &'a Act, off: &Play, parts: usize) -> Option<&'a Event> {
    let other: Vec<String> = off.acts[parts].events.iter().map(Event::sentence).collect();
    let new = act.events.iter().filter(|event| !other.contains(&event.sentence()));
    new.clone().find(|event| weight(event) > 1).or_else(|| new.clone().next()).or(act.events.first())
}

fn bounds(case: &Case) -> String {
    let found = case.schedule.notes.first().map_or("", String::as_str).trim_end_matches('.');
    format!(
        "{found}. {} steps; dropping each single one was tried now: {}.",
        case.schedule.steps.len(),
        if case.minimal { "none can go" } else { "some can go" }
    )
}
