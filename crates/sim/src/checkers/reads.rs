//! D5, P5: what is read was committed, and is byte for byte what was written.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane::{Address, Frame, GatewayId, Message, Query, ReadResult};

use super::model::Model;
use super::{Finding, Sight, broken};

/// Which read is about which key.
#[derive(Default)]
pub(super) struct Reads {
    asked: BTreeMap<(GatewayId, u64), Arc<[u8]>>,
}

impl Reads {
    pub fn asked(&mut self, frame: &Frame) {
        if let (Address::Gateway(gateway), Message::Read { id, query: Query::Get(key) }) =
            (frame.from, &frame.message)
        {
            self.asked.insert((gateway, *id), key.clone());
        }
    }

    /// A replica answers a read. Between the answer and the end of the step it may have applied more.
    pub fn answered(&mut self, model: &Model, sight: &Sight, frame: &Frame) -> Finding {
        let (Address::Gateway(gateway), Message::ReadAnswer { id, result }) = (frame.to, &frame.message)
        else {
            return Ok(());
        };
        let Some(key) = self.asked.get(&(gateway, *id)) else { return Ok(()) };
        let found = match result {
            ReadResult::Value(version, value) => Some((*version, value)),
            ReadResult::Missing => None,
            _ => return Ok(()),
        };
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
        broken(
            "reads",
            "D5",
            2,
            format!(
                "{} reads {} of {}, where the committed log has {known}",
                sight.node,
                tell(found),
                dataplane::show(key)
            ),
        )
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
