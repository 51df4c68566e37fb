//! Entries into the state: applied in log order, where their conditions are decided.

use super::Engine;
use crate::device::Device;
use crate::error::ApplyError;
use crate::format::slot::Slot;
use crate::format::wal_record::{NOP, PUT, WalRecord};
use crate::guard;
use crate::space::{Claim, Waiting};
use crate::types::{Condition, Op, Outcome, Seq};

impl<D: Device> Engine<D> {
    /// Applies entry `applied_seq + 1`, which must be durable here; with `skip`, advances without its effect (the
    /// owner knows that the request took effect before). Its condition is decided now: success and refusal are both
    /// results of the log.
    pub fn apply(&mut self, skip: bool) -> Result<Outcome, ApplyError> {
        self.writable()?;
        let (seq, last, durable) = (self.applied + 1, self.last_seq(), self.durable);
        if seq > last {
            return Err(ApplyError::Missing { seq, last });
        }
        if seq > durable {
            return Err(ApplyError::NotDurable { seq, durable });
        }
        let record = self.log.tentative.pop_front();
        let record = record.expect("E2: an entry that is not applied still has its record");
        self.tentative -= Claim::of_entry(&record);
        self.applied = seq;
        let mut outcome = self.decide(&record, skip);
        // What the entry leaves without an owner: the value that it replaced, or its own if it has no effect.
        let retired = match &mut outcome {
            Outcome::Written(_) => {
                let slot = record.slot().expect("E4: only a put is written");
                let before = self.index.insert(&record.key, slot);
                match self.recent.get(seq).map(|entry| &entry.op) {
                    Some(Op::Put { value, .. }) => self.cache.update(&record.key, seq, value),
                    _ => self.cache.remove(&record.key),
                }
                self.save(&record.key, before);
                before.filter(|old| old.extent() != slot.extent())
            }
            Outcome::Deleted { existed } => {
                let before = self.index.remove(&record.key);
                self.cache.remove(&record.key);
                self.save(&record.key, before);
                *existed = before.is_some();
                before
            }
            _ => self.unowned(&record),
        };
        match retired.map(|slot| Waiting::new(&record.key, slot)) {
            Some(retired) if guard::extent_quarantine(self.mechanisms) => {
                self.quarantine.freed_by(seq, retired)
            }
            Some(retired) => self.allocator.free_value(retired.extent),
            None => {}
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
            let current = self.index.get(&record.key).map(|slot| slot.version);
            if !condition.holds(current) {
                return Outcome::ConditionFailed { current };
            }
        }
        match record.header.kind {
            PUT => Outcome::Written(record.header.seq),
            _ => Outcome::Deleted { existed: false },
        }
    }

    fn save(&mut self, key: &[u8], before: Option<Slot>) {
        if let Some(run) = &mut self.run {
            run.save(key, before);
        }
    }

    /// Applies all entries up to `upto`, for an owner that skips none.
    pub fn commit(&mut self, upto: Seq) -> Result<Vec<(Seq, Outcome)>, ApplyError> {
        let mut outcomes = Vec::new();
        while self.applied < upto {
            let outcome = self.apply(false)?;
            outcomes.push((self.applied, outcome));
        }
        Ok(outcomes)
    }
}
