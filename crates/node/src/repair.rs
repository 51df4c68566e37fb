//! Getting a damaged value back from the other replicas.
//!
//! A value that cannot be read is asked of one peer after the other. What comes is written where the damaged bytes are, if
//! it is what was there (`engine::Engine::mend`), and the reads that wait for it are answered. Nothing else waits: the
//! replica votes, acknowledges and leads as before, since its log has lost nothing.
//!
//! When every peer has said that it does not have the value, or none has answered for long, the reads are told that it is
//! damaged, and nothing is remembered: whoever needs the value next begins again. So a value that is lost everywhere costs
//! no more than its readers ask for.

use std::sync::Arc;

use dataplane::{Address, GatewayId, Message, NodeId, Query, ReadResult, Refusable, Refusal, ValueName};
use engine::{Damage, Device, Op, ReadError};
use trace::{Kind, emit};

use crate::config::StopError;
use crate::node::Node;
use crate::repairs::{Name, Repairs, Wanted};

/// Values asked for at a time, each of one peer: bounds the bytes that are on their way.
const WANTED_MAX: usize = 8;
/// Reads that wait for values.
const READS_MAX: usize = 1024;
/// Times that each peer is asked, if it does not answer.
const ROUNDS: usize = 5;

impl<D: Device> Node<D> {
    /// Values that are being asked of the others, values that were repaired, and times that nobody had one.
    pub fn repairs(&self) -> (u64, u64, u64) {
        let Repairs { wanted, mended, missing, .. } = &self.repairs;
        (wanted.len() as u64, *mended, *missing)
    }

    /// Takes out what people should know of damage and repairs: for the host's log.
    pub fn notices(&mut self) -> impl Iterator<Item = String> + '_ {
        self.repairs.notices.drain(..)
    }

    /// Something could not be read. A value of the state or of the log is asked of the others. Everything else that is
    /// read while a node runs, records of the log and pieces of the checkpoint, stands in memory as well, as the index:
    /// a new checkpoint replaces both. False if nothing can be done just now.
    pub(crate) fn damaged(&mut self, error: &ReadError) -> bool {
        if self.engine.damage().is_some() {
            return false;
        }
        let value = match error {
            ReadError::Corrupt(damage) => damage.value.as_ref(),
            ReadError::Io(_) => None,
            ReadError::Poisoned | ReadError::CheckpointGone { .. } => return false,
        };
        let Some((key, version)) = value.filter(|(key, version)| self.engine.is_mendable(key, *version))
        else {
            if !std::mem::replace(&mut self.renew_checkpoint, true) {
                let what = format!("{error}: a new checkpoint does without it");
                self.repairs.notice_once(self.engine.checkpoint_seq(), false, what);
            }
            return false;
        };
        let name = (*version, key.clone());
        if self.repairs.wanted.contains_key(&name) {
            return true;
        }
        if self.repairs.wanted.len() >= WANTED_MAX || self.replica.core().members.present().count() < 2 {
            return false;
        }
        emit!(self.t, Kind::ValueDamaged { version: *version, why: error.to_string() });
        let what = format!("{error}: the other replicas are asked for the value of entry {version}");
        self.repairs.notice_once(*version, false, what);
        self.repairs.wanted.insert(name.clone(), Wanted::default());
        self.ask(&name);
        true
    }

    /// A read met a damaged value: it waits until that is repaired.
    pub(crate) fn read_later(&mut self, gateway: GatewayId, id: u64, error: &ReadError) {
        let asked = self.damaged(error);
        let waiting: usize = self.repairs.wanted.values().map(|wanted| wanted.reads.len()).sum();
        let ReadError::Corrupt(Damage { value: Some((key, version)), .. }) = error else {
            return self.answer(gateway, id, ReadResult::Damaged);
        };
        match self.repairs.wanted.get_mut(&(*version, key.clone())).filter(|_| asked) {
            Some(wanted) if waiting < READS_MAX => wanted.reads.push((gateway, id)),
            _ if self.replica.core().members.present().count() < 2 => {
                self.answer(gateway, id, ReadResult::Damaged)
            }
            // It had no effect, and is asked again when others are through.
            _ => {
                let (what, why) = (Refusable::Read(id), Refusal::Busy);
                self.post(Address::Gateway(gateway), Message::Refused { what, why });
            }
        }
    }

    /// Asks the next peer for a value.
    fn ask(&mut self, name: &Name) {
        let me = self.config.rules.me;
        let peers: Vec<NodeId> = self.replica.core().members.present().filter(|peer| *peer != me).collect();
        let Some(wanted) = self.repairs.wanted.get_mut(name) else { return };
        if wanted.without.len() >= peers.len() {
            return self.missing(name, "no other replica has it");
        }
        if wanted.asked >= ROUNDS * peers.len() {
            return self.missing(name, "nobody who may have it answers");
        }
        let to = (wanted.asked..).map(|n| peers[n % peers.len()]).find(|peer| !wanted.without.contains(peer));
        wanted.asked += 1;
        wanted.asked_at = self.now;
        let message = Message::Fetch(self.replica.core().name_of(name.1.clone(), name.0));
        to.into_iter().for_each(|to| self.post(Address::Node(to), message.clone()));
    }

    fn missing(&mut self, name: &Name, why: &str) {
        let Some(wanted) = self.repairs.wanted.remove(name) else { return };
        emit!(self.t, Kind::ValueMissing { version: name.0, why: why.into() });
        self.repairs.missing += 1;
        let what = format!(
            "the value of entry {} is damaged, and {why}: it is not shown until somebody does",
            name.0
        );
        self.repairs.notice_once(name.0, true, what);
        self.answer_waiting(name, wanted.reads, Some(ReadResult::Damaged));
    }

    /// What was asked long ago is asked again, of the next.
    pub(crate) fn repairs_tick(&mut self) -> Result<(), StopError> {
        let after = self.config.rules.timing.resend_after;
        let due = self.repairs.wanted.iter().filter(|(_, wanted)| self.now >= wanted.asked_at + after);
        for name in due.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            if self.engine.is_mendable(&name.1, name.0) {
                self.ask(&name);
            } else {
                // It was replaced meanwhile, and the reads see what came after.
                self.mended(&name, None);
            }
        }
        Ok(())
    }

    /// Another replica asks for a value. Whether the state or the log is proven here does not matter, nor whether it is
    /// known here that the entry is committed: an entry of another epoch has other bytes, and those do not fit the slot of
    /// whoever asks. (A replica that has restarted may have the last whole copy in its log, and hear of the commit only with
    /// the very state that lacks it.)
    ///
    /// Of a committed entry that is not here yet nothing is said: it will be. Else (1) a primary has just committed an entry,
    /// and finds its value damaged; (2) both backups, which hear of the commit with the next frame, say that they do not
    /// have it; (3) a client is told that it is damaged, with every other copy whole.
    pub(crate) fn on_fetch(&mut self, from: NodeId, name: ValueName) {
        let committed = name.epoch.is_none();
        let value = if committed || self.replica.core().means(&name) { self.value_of(&name) } else { None };
        if value.is_none() && committed && name.version > self.engine.applied_seq() {
            return;
        }
        self.post(Address::Node(from), Message::Fetched { name, value });
    }

    fn value_of(&mut self, name: &ValueName) -> Option<Arc<[u8]>> {
        let live = self.engine.get(&name.key).map(|found| found.filter(|f| f.version == name.version));
        let value = match live {
            Ok(Some(found)) => Ok(Some(found.value)),
            Ok(None) => self.engine.entry(name.version).map(|entry| match entry?.op {
                Op::Put { key, value, .. } if key == name.key => Some(value),
                _ => None,
            }),
            Err(error) => Err(error),
        };
        // Damaged here as well: then somebody else may have it for both.
        value.inspect_err(|error| _ = self.damaged(error)).ok().flatten()
    }

    /// A peer has answered. What it has is taken if the log still means that entry, and if it is what was here.
    pub(crate) fn on_fetched(
        &mut self,
        from: NodeId,
        name: ValueName,
        value: Option<Arc<[u8]>>,
    ) -> Result<(), StopError> {
        let wanted = (name.version, name.key.clone());
        if !self.repairs.wanted.contains_key(&wanted) {
            return Ok(());
        }
        if let Some(value) = value.filter(|_| self.replica.core().means(&name))
            && self.write(|engine| engine.mend(&name.key, name.version, &value))?
        {
            emit!(self.t, Kind::ValueFetched { from: from.0, version: name.version });
            self.repairs.mended += 1;
            let what = format!("the value of entry {} is whole again: {from} had it", name.version);
            self.repairs.notice(what);
            self.mended(&wanted, Some(value));
            return Ok(());
        }
        if let Some(wanted) = self.repairs.wanted.get_mut(&wanted) {
            wanted.without.insert(from);
        }
        self.ask(&wanted);
        Ok(())
    }

    /// The value is whole again, or nobody needs it any more.
    fn mended(&mut self, name: &Name, value: Option<Arc<[u8]>>) {
        let Some(wanted) = self.repairs.wanted.remove(name) else { return };
        let result = value.map(|value| ReadResult::Value(name.0, value));
        self.answer_waiting(name, wanted.reads, result);
    }

    /// The reads that waited are answered from the state as it is now, which has all that was committed when they were
    /// confirmed; if that still is the value they waited for, with what came of waiting, from memory: a device that loses it
    /// again at once must not be asked for ever. (If it is not: no peer may have it any more, and yet nothing is damaged.)
    /// But not by one that leads no more: it may have given up its state for another one by now.
    fn answer_waiting(
        &mut self,
        (version, key): &Name,
        reads: Vec<(GatewayId, u64)>,
        result: Option<ReadResult>,
    ) {
        let result = result.filter(|_| self.engine.version_of(key) == Some(*version));
        let serving = self.replica.status(self.now).serving;
        for (gateway, id) in reads {
            match &result {
                _ if !serving => {
                    let (what, why) = (Refusable::Read(id), Refusal::NotPrimary { primary: None });
                    self.post(Address::Gateway(gateway), Message::Refused { what, why });
                }
                Some(result) => self.answer(gateway, id, result.clone()),
                None => self.answer_read(gateway, id, Query::Get(key.clone())),
            }
        }
    }
}
