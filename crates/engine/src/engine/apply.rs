//! Entries into the state: applied in log order, where their conditions are decided.

use super::Engine;
use crate::device::Device;
use crate::error::WriteError;
use crate::format::wal_record::{NOP, PUT, WalRecord};
use crate::space::{Claim, Until};
use crate::types::{Condition, Outcome, Seq};

impl<D: Device> Engine<D> {
    /// Applies entry `applied_seq + 1`, which must be durable here; with `skip`, advances without its effect (the
    /// owner knows that the request took effect before). Its condition is decided now: success and refusal are both
    /// results of the log.
    pub fn apply(&mut self, skip: bool) -> Result<Outcome, WriteError> {
        self.writable()?;
        let (seq, last, durable) = (self.applied + 1, self.last_seq(), self.durable);
        if seq > last {
            return Err(WriteError::Missing { seq, last });
        }
        if seq > durable {
            return Err(WriteError::NotDurable { seq, durable });
        }
        let record = self.log.tentative.pop_front();
        let record = record.expect("E2: an entry that is not applied still has its record");
        self.space.tentative = self.space.tentative - Claim::of_entry(&record);
        self.applied = seq;
        let mut outcome = self.decide(&record, skip);
        let WalRecord { key, value, .. } = record;
        // What the entry leaves without an owner: the value that it replaced, or its own if it has no effect.
        let retired = match &mut outcome {
            Outcome::Written(_) => self.index.insert(&key, value.expect("E4: only a put is written")),
            Outcome::Deleted { existed } => {
                let before = self.index.remove(&key);
                *existed = before.is_some();
                before
            }
            _ => value,
        };
        if let Some(new) = self
            .new_checkpoint
            .as_mut()
            .filter(|_| matches!(outcome, Outcome::Written(_) | Outcome::Deleted { .. }))
        {
            new.save(&key, retired.as_ref());
        }
        if let Some(retired) = retired {
            self.space.retire(&key, retired, self.index.get(&key), Until::Checkpoint(seq));
        }
        self.check();
        Ok(outcome)
    }

    /// What an entry does; whether there is something to delete is seen when it is deleted.
    fn decide(&self, record: &WalRecord, skip: bool) -> Outcome {
        if skip || record.header.kind == NOP {
            return Outcome::Nothing;
        }
        let condition = record.condition();
        if condition != Condition::Always {
            let current = self.index.get(&record.key).map(|value| value.version);
            if !condition.holds(current) {
                return Outcome::ConditionFailed { current };
            }
        }
        match record.header.kind {
            PUT => Outcome::Written(record.header.seq),
            _ => Outcome::Deleted { existed: false },
        }
    }

    /// Applies all entries up to `upto`, for an owner that skips none.
    pub fn commit(&mut self, upto: Seq) -> Result<Vec<(Seq, Outcome)>, WriteError> {
        let mut outcomes = Vec::new();
        while self.applied < upto {
            let outcome = self.apply(false)?;
            outcomes.push((self.applied, outcome));
        }
        Ok(outcomes)
    }
}
