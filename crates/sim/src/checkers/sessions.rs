//! D6: a request has one result, the one of its first place in the log, whoever answers it and however often.

use dataplane::{Message, WriteResult};

use super::model::Model;
use super::{Finding, Sight, broken};

pub(super) fn answered(model: &Model, sight: &Sight, message: &Message) -> Finding {
    let Message::Answer { request, result: WriteResult::Done(outcome) } = message else { return Ok(()) };
    let name = format!("request {}.{}", request.session, request.number);
    match model.result(*request) {
        Some(known) if known == *outcome => Ok(()),
        Some(known) => broken(
            "sessions",
            "D6",
            2,
            format!(
                "{name} took effect twice: \"{known}\" came of it, and {} answers \"{outcome}\"",
                sight.node
            ),
        ),
        None => broken(
            "sessions",
            "D5",
            1,
            format!("{} answers {name}, which is not committed: \"{outcome}\"", sight.node),
        ),
    }
}
