//! D5, P2, P5: what is read was committed, is byte for byte what was written, and is not older than the question.
//!
//! Whatever anybody had committed when a read was asked is part of the answer: a primary whose epoch was confirmed after the
//! read arrived has applied it. This is more than the history of answers shows, where most reads of old states look right.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane::{Address, Frame, GatewayId, Message, Query, ReadResult, Seq};

use super::model::Model;
use super::sight::{Finding, Sight, broken};

/// A read that a gateway sent.
struct Asked {
    query: Query,
    /// What was committed when it was sent first.
    committed: Seq,
}

/// What each read is about.
#[derive(Default)]
pub(super) struct Reads {
    asked: BTreeMap<(GatewayId, u64), Asked>,
}

impl Reads {
    pub fn asked(&mut self, model: &Model, frame: &Frame) {
        if let (Address::Gateway(gateway), Message::Read { id, query }) = (frame.from, &frame.message) {
            let asked = || Asked { query: query.clone(), committed: model.applied };
            self.asked.entry((gateway, *id)).or_insert_with(asked);
        }
    }

    /// A replica answers a read. Between the answer and the end of the step it may have applied more.
    pub fn answered(&mut self, model: &Model, sight: &Sight, frame: &Frame) -> Finding {
        let (Address::Gateway(gateway), Message::ReadAnswer { id, result }) = (frame.to, &frame.message)
        else {
            return Ok(());
        };
        let Some(Asked { query, committed }) = self.asked.get(&(gateway, *id)) else { return Ok(()) };
        let (before, after) = sight.applied;
        if after < *committed {
            let what = format!(
                "{} answers a read as of entry {after}, and entry {committed} was committed before it was asked",
                sight.node
            );
            return broken("reads", "P2", 2, what);
        }
        match (query, result) {
            (Query::Get(key) | Query::GetUpTo(key, _), ReadResult::Value(version, value)) => {
                value_read(model, sight, key, Some((*version, value)))
            }
            (Query::Get(key) | Query::GetUpTo(key, _), ReadResult::Missing) => {
                value_read(model, sight, key, None)
            }
            (Query::GetUpTo(key, most), ReadResult::Long(bytes)) => {
                let long = |state: Option<(Seq, &Arc<[u8]>)>| {
                    state.is_some_and(|(_, value)| value.len() == *bytes as usize && bytes > most)
                };
                if model.states(key, before, after).any(long) {
                    return Ok(());
                }
                let key = dataplane::show(key);
                broken(
                    "reads",
                    "D5",
                    2,
                    format!("{} calls {key} {bytes} bytes long, which it never was", sight.node),
                )
            }
            (_, ReadResult::Damaged) => Ok(()),
            (query, result) if (before..=after).any(|seq| *result == whole(model, query, seq)) => Ok(()),
            (query, result) => {
                let what = format!(
                    "{} answers {query:?} with {result:?}, where the committed log has {:?}",
                    sight.node,
                    whole(model, query, after)
                );
                broken("reads", "D5", 2, what)
            }
        }
    }

    /// Compares the whole state of a replica.
    pub fn state(&self, model: &Model, sight: &Sight) -> Finding {
        let applied = sight.applied.1;
        for key in model.keys() {
            let known = model.states(key, applied, applied).next().flatten();
            // A damaged value is reported, not served: nothing to compare.
            let Ok(found) = sight.engine.get(key) else { continue };
            let found = found.as_ref().map(|found| (found.version, &found.value));
            if known != found {
                return broken(
                    "reads",
                    "D1",
                    1,
                    format!(
                        "{} has {:?} of {} as of entry {applied}, where the log gives {:?}",
                        sight.node,
                        found.map(|f| f.0),
                        dataplane::show(key),
                        known.map(|k| k.0)
                    ),
                );
            }
        }
        Ok(())
    }
}

fn value_read(model: &Model, sight: &Sight, key: &Arc<[u8]>, found: Option<(Seq, &Arc<[u8]>)>) -> Finding {
    let (before, after) = sight.applied;
    if model.states(key, before, after).any(|state| state == found) {
        return Ok(());
    }
    let tell = |state: Option<(u64, &Arc<[u8]>)>| match state {
        Some((version, value)) => {
            format!("version {version} ({})", dataplane::show(&value[..value.len().min(12)]))
        }
        None => "nothing".into(),
    };
    let known = model.states(key, before, after).map(tell).collect::<Vec<_>>().join(" or ");
    let (found, key) = (tell(found), dataplane::show(key));
    let what = format!("{} reads {found} of {key}, where the committed log has {known}", sight.node);
    broken("reads", "D5", 2, what)
}

/// The right answer to a question about all keys, as of entry `seq`.
fn whole(model: &Model, query: &Query, seq: Seq) -> ReadResult {
    let live = model.keys().filter_map(|key| {
        let (version, value) = model.states(key, seq, seq).next().flatten()?;
        Some((key.clone(), version, value.len() as u32))
    });
    match query {
        Query::Count => ReadResult::Count(live.count() as u64),
        Query::Scan { prefix, after, limit } => {
            let wanted = live.filter(|(key, ..)| {
                key.starts_with(prefix) && after.as_ref().is_none_or(|after| key > after)
            });
            ReadResult::Keys(wanted.take(*limit as usize).collect())
        }
        Query::Get(_) | Query::GetUpTo(..) => ReadResult::Missing,
    }
}
