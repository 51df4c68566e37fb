//! D6: a request has one result, the one of its first place in the log, whoever answers it and however often. And what is
//! remembered of requests is a part of the state: the same on every replica at the same seq, however it came there.

use std::collections::BTreeMap;

use dataplane::sessions::{Sessions, Verdict};
use dataplane::{Message, Seq, WriteResult};
use trace::Mechanisms;

use super::model::Model;
use super::sight::{Finding, Sight, broken};

pub(super) fn answered(model: &Model, sight: &Sight, message: &Message) -> Finding {
    let Message::Answer { request, result } = message else { return Ok(()) };
    let name = format!("request {}.{}", request.session, request.number);
    let told = match result {
        WriteResult::Done(outcome) => outcome,
        // What a replica that is behind has not heard of it cannot know.
        WriteResult::SessionUnknown(_)
            if sight.applied.1 == model.applied && model.verdict(*request) != Verdict::Unknown =>
        {
            return broken(
                "sessions",
                "D6",
                2,
                format!("{} does not know {name}, which it must", sight.node),
            );
        }
        WriteResult::SessionUnknown(_) => return Ok(()),
    };
    match model.result(*request) {
        Some(known) if known == *told => Ok(()),
        Some(known) => broken(
            "sessions",
            "D6",
            2,
            format!(
                "{name} took effect twice: \"{known}\" came of it, and {} answers \"{told}\"",
                sight.node
            ),
        ),
        None => broken(
            "sessions",
            "D5",
            1,
            format!("{} answers {name}, which is not committed: \"{told}\"", sight.node),
        ),
    }
}

/// What the first replica at each seq remembered.
#[derive(Default)]
pub(super) struct Tables {
    first: BTreeMap<Seq, Sessions>,
}

impl Tables {
    /// Compares what a replica remembers with what the first one at the same seq did.
    pub fn compare(&mut self, sight: &Sight) -> Finding {
        let (before, applied) = sight.applied;
        if !sight.proven || before == applied {
            return Ok(());
        }
        let first = self.first.entry(applied).or_insert_with(|| sight.sessions.clone());
        if first == sight.sessions {
            return Ok(());
        }
        let what =
            format!("{} remembers other requests than another replica did at entry {applied}", sight.node);
        broken("sessions", "D6", 2, what)
    }
}

/// At the end: a replica that has applied all of the log remembers what it gives, and has forgotten what the limits say.
pub(super) fn state(model: &Model, sight: &Sight) -> Finding {
    if sight.applied.1 < model.applied {
        return Ok(());
    }
    for request in model.requests() {
        let (known, found) = (model.verdict(request), sight.sessions.verdict(Mechanisms::all(), request));
        if known != found {
            let name = format!("request {}.{}", request.session, request.number);
            let what = format!("{} says of {name}: {found:?}, where the log gives {known:?}", sight.node);
            return broken("sessions", "D6", 2, what);
        }
    }
    Ok(())
}
