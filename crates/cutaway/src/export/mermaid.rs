//! A sequence diagram for Mermaid: an arrow where a message came, a cross where it was lost, and a note for what happened.
//!
//! A diagram is for a few dozen messages. Mermaid draws no text above its own limit, so neither is one written: who asks
//! for too much is told which events to choose.

use std::fmt::Write as _;

use trace::{Actor, Kind};

use crate::failure::{Failure, Result, again};
use crate::saved::{Run, Window};

pub const BEGINS: &str = "%% written by cutaway\nsequenceDiagram\n";
/// Characters that Mermaid draws unless its page is configured otherwise.
const CHARS_MAX: usize = 50_000;
/// Bytes of one label; keys may be long.
const LABEL_MAX: usize = 140;
/// Events that fit, however long their labels are.
const FIT: usize = 120;

pub fn text(run: &Run) -> Result<String> {
    let text = diagram(run);
    let chars = text.chars().count();
    if chars <= CHARS_MAX {
        return Ok(text);
    }
    let (all, broken) = (run.events.len(), run.broken());
    let window = Window::up_to(broken.map_or(all, |at| at + 1), FIT);
    let why = match broken {
        Some(_) => "up to the broken promise",
        None => "the last ones",
    };
    let error = format!(
        "a diagram of {all} events has {chars} characters, and Mermaid draws {CHARS_MAX}: choose events, such as \
         {window}, {why}"
    );
    Err(Failure::error(error).next(again(&[("--events", Some(window.to_string()))])))
}

fn diagram(run: &Run) -> String {
    let mut text = BEGINS.to_string();
    // The world sends nothing; what it does is a note over those it is done to, or over all.
    let shown: Vec<usize> = (0..run.lanes.len()).filter(|lane| run.lanes[*lane] != Actor::World).collect();
    for lane in &shown {
        let _ = writeln!(text, "  participant {} as {}", id(run.lanes[*lane]), run.lanes[*lane]);
    }
    let all = match (shown.first(), shown.last()) {
        (Some(first), Some(last)) if first != last => {
            format!("{},{}", id(run.lanes[*first]), id(run.lanes[*last]))
        }
        (Some(only), _) => id(run.lanes[*only]),
        // Nothing but the world: it is the only one then.
        (None, _) => {
            let _ = writeln!(text, "  participant world");
            "world".into()
        }
    };
    let journeys = run.journeys();
    // What tells of the sending of a message that came is told by the arrow.
    let tells =
        |kind: &Kind| kind.sends() || matches!(kind, Kind::ClientCalled { .. } | Kind::RequestEnded { .. });
    let mut said = vec![false; run.events.len()];
    journeys.iter().for_each(|journey| said[journey.sent] = tells(&run.events[journey.sent].kind));
    let mut coming = journeys.iter().peekable();
    for (at, event) in run.events.iter().enumerate() {
        let own = id(run.lanes[run.lane(at)]);
        while let Some(journey) = coming.next_if(|journey| journey.came == at) {
            let from = id(run.lanes[run.lane(journey.sent)]);
            let _ = writeln!(text, "  {from}->>{own}: {}", label(run, journey.sent));
        }
        if let Some((from, to)) = run.lost(at) {
            let _ = writeln!(text, "  {}-x{}: {}", id(run.lanes[from]), id(run.lanes[to]), label(run, at));
        } else if event.id.actor == Actor::World {
            let _ = writeln!(text, "  Note over {all}: {}", label(run, at));
        } else if !said[at] {
            let _ = writeln!(text, "  Note over {own}: {}", label(run, at));
        }
    }
    text
}

/// A name that Mermaid takes for a participant.
fn id(actor: Actor) -> String {
    actor.to_string().replace('/', "_")
}

/// An event's sentence, without what would end the line or mean something.
fn label(run: &Run, at: usize) -> String {
    let mut label = String::new();
    for c in run.events[at].kind.sentence().chars() {
        if label.len() > LABEL_MAX {
            return label + "…";
        }
        match c {
            '#' => label += "#35;",
            ';' => label += "#59;",
            '%' => label += "#37;",
            '<' => label += "#lt;",
            '>' => label += "#gt;",
            '&' => label += "#amp;",
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => label.push(' '),
            c => label.push(c),
        }
    }
    label
}
