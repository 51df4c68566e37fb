//! Getting a damaged value back from the other replicas.
//!
//! A value that cannot be read is asked of one peer after the other. What comes is written where the damaged bytes are, if
//! it is what was there (`engine::Engine::mend`), and the reads that wait for it are answered. Nothing else waits: the
//! replica votes, acknowledges and leads as before, since its log has lost nothing.
//!
//! When every peer has said that it does not have the value, or none has answered for long, the reads are told that it is
//! damaged, and nothing is remembered: whoever needs the value next begins again. So a value that is lost everywhere costs
//! no more than its readers ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dataplane::{
    Address, GatewayId, Message, Micros, NodeId, Query, ReadResult, Refusable, Refusal, Seq, ValueName,
};
use engine::{Damage, Device, Op, ReadError};
use trace::{Kind, Tracer, emit};

use crate::{Node, StopError, told};

/// Values asked for at a time, each of one peer: bounds the bytes that are on their way.
const WANTED_MAX: usize = 8;
/// Reads that wait for values.
const READS_MAX: usize = 1024;
/// Notices kept for the host, and values that are said once.
const NOTICES_MAX: usize = 64;
const TOLD_MAX: usize = 1024;
/// Times that each peer is asked, if it does not answer.
const ROUNDS: usize = 5;

/// What is being asked for, and what came of earlier questions, for status and metrics.
#[derive(Clone, Debug, Default)]
pub(crate) struct Repairs {
    wanted: BTreeMap<(Seq, Arc<[u8]>), Wanted>,
    mended: u64,
    missing: u64,
    /// For whoever runs the node.
    notices: Vec<String>,
    /// What was said already: of which value, and whether that it is damaged or that nobody has it.
    told: BTreeSet<(Seq, bool)>,
}

#[derive(Clone, Debug, Default)]
struct Wanted {
    asked_at: Micros,
    asked: usize,
    /// Who has said that it does not have the value.
    without: BTreeSet<NodeId>,
    reads: Vec<(GatewayId, u64)>,
}

impl Repairs {
    /// Something that people should know.
    pub(crate) fn notice(&mut self, what: String) {
        if self.notices.len() < NOTICES_MAX {
            self.notices.push(what);
        }
    }

    /// The same, once for each value: its readers may ask for ever.
    fn notice_once(&mut self, version: Seq, missing: bool, what: String) {
        if self.told.len() >= TOLD_MAX {
            self.told.clear();
        }
        if self.told.insert((version, missing)) {
            self.notice(what);
        }
    }

    pub(crate) fn next_deadline(&self, resend_after: Micros) -> Option<Micros> {
        self.wanted.values().map(|wanted| wanted.asked_at + resend_after).min()
    }
}

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
    pub(crate) fn damaged(&mut self, now: Micros, error: &ReadError, t: &mut Tracer) -> bool {
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
        if self.repairs.wanted.len() >= WANTED_MAX || self.config.members.len() < 2 {
            return false;
        }
        emit!(t, Kind::ValueDamaged { version: *version, why: error.to_string() });
        let what = format!("{error}: the other replicas are asked for the value of entry {version}");
        self.repairs.notice_once(*version, false, what);
        self.repairs.wanted.insert(name.clone(), Wanted::default());
        self.ask(now, &name, t);
        true
    }

    /// A read met a damaged value: it waits until that is repaired.
    pub(crate) fn read_later(
        &mut self,
        now: Micros,
        (gateway, id): (GatewayId, u64),
        error: &ReadError,
        t: &mut Tracer,
    ) {
        let asked = self.damaged(now, error, t);
        let waiting: usize = self.repairs.wanted.values().map(|wanted| wanted.reads.len()).sum();
        let ReadError::Corrupt(Damage { value: Some((key, version)), .. }) = error else {
            return self.answer(gateway, id, ReadResult::Damaged, t);
        };
        match self.repairs.wanted.get_mut(&(*version, key.clone())).filter(|_| asked) {
            Some(wanted) if waiting < READS_MAX => wanted.reads.push((gateway, id)),
            _ if self.config.members.len() < 2 => self.answer(gateway, id, ReadResult::Damaged, t),
            // It had no effect, and is asked again when others are through.
            _ => {
                let (what, why) = (Refusable::Read(id), Refusal::Busy);
                self.post(Address::Gateway(gateway), Message::Refused { what, why }, t);
            }
        }
    }

    /// Asks the next peer for a value.
    fn ask(&mut self, now: Micros, name: &(Seq, Arc<[u8]>), t: &mut Tracer) {
        let me = self.config.node;
        let peers: Vec<NodeId> = self.config.members.iter().copied().filter(|peer| *peer != me).collect();
        let Some(wanted) = self.repairs.wanted.get_mut(name) else { return };
        if wanted.without.len() >= peers.len() {
            return self.missing(now, name, "no other replica has it", t);
        }
        if wanted.asked >= ROUNDS * peers.len() {
            return self.missing(now, name, "nobody who may have it answers", t);
        }
        let to = (wanted.asked..).map(|n| peers[n % peers.len()]).find(|peer| !wanted.without.contains(peer));
        (wanted.asked, wanted.asked_at) = (wanted.asked + 1, now);
        let message = Message::Fetch(self.replica.name_of(name.1.clone(), name.0));
        to.into_iter().for_each(|to| self.post(Address::Node(to), message.clone(), t));
    }

    fn missing(&mut self, now: Micros, name: &(Seq, Arc<[u8]>), why: &str, t: &mut Tracer) {
        let Some(wanted) = self.repairs.wanted.remove(name) else { return };
        emit!(t, Kind::ValueMissing { version: name.0, why: why.into() });
        self.repairs.missing += 1;
        let what = format!(
            "the value of entry {} is damaged, and {why}: it is not shown until somebody does",
            name.0
        );
        self.repairs.notice_once(name.0, true, what);
        self.answer_waiting(now, name, wanted.reads, Some(ReadResult::Damaged), t);
    }

    /// What was asked long ago is asked again, of the next.
    pub(crate) fn repairs_tick(&mut self, now: Micros, t: &mut Tracer) -> Result<(), StopError> {
        let after = self.config.timing.resend_after;
        let due = self.repairs.wanted.iter().filter(|(_, wanted)| now >= wanted.asked_at + after);
        for name in due.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            if self.engine.is_mendable(&name.1, name.0) {
                self.ask(now, &name, t);
            } else {
                // It was replaced meanwhile, and the reads see what came after.
                self.mended(now, &name, None, t);
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
    pub(crate) fn on_fetch(&mut self, now: Micros, from: NodeId, name: ValueName, t: &mut Tracer) {
        let committed = name.epoch.is_none();
        let value = if committed || self.replica.means(&name) { self.value_of(now, &name, t) } else { None };
        if value.is_none() && committed && name.version > self.engine.applied_seq() {
            return;
        }
        self.post(Address::Node(from), Message::Fetched { name, value }, t);
    }

    fn value_of(&mut self, now: Micros, name: &ValueName, t: &mut Tracer) -> Option<Arc<[u8]>> {
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
        value.inspect_err(|error| _ = self.damaged(now, error, t)).ok().flatten()
    }

    /// A peer has answered. What it has is taken if the log still means that entry, and if it is what was here.
    pub(crate) fn on_fetched(
        &mut self,
        now: Micros,
        from: NodeId,
        name: ValueName,
        value: Option<Arc<[u8]>>,
        t: &mut Tracer,
    ) -> Result<(), StopError> {
        let wanted = (name.version, name.key.clone());
        if !self.repairs.wanted.contains_key(&wanted) {
            return Ok(());
        }
        if let Some(value) = value.filter(|_| self.replica.means(&name)) {
            let mend = |node: &mut Self, t: &mut Tracer| {
                told(&mut node.engine, t, |e| e.mend(&name.key, name.version, &value))
                    .map_err(StopError::Write)
            };
            if self.stop_on(mend, t)? {
                emit!(t, Kind::ValueFetched { from: from.0, version: name.version });
                self.repairs.mended += 1;
                let what = format!("the value of entry {} is whole again: {from} had it", name.version);
                self.repairs.notice(what);
                self.mended(now, &wanted, Some(value), t);
                return Ok(());
            }
        }
        if let Some(wanted) = self.repairs.wanted.get_mut(&wanted) {
            wanted.without.insert(from);
        }
        self.ask(now, &wanted, t);
        Ok(())
    }

    /// The value is whole again, or nobody needs it any more.
    fn mended(&mut self, now: Micros, name: &(Seq, Arc<[u8]>), value: Option<Arc<[u8]>>, t: &mut Tracer) {
        let Some(wanted) = self.repairs.wanted.remove(name) else { return };
        let result = value.map(|value| ReadResult::Value(name.0, value));
        self.answer_waiting(now, name, wanted.reads, result, t);
    }

    /// The reads that waited are answered from the state as it is now, which has all that was committed when they were
    /// confirmed; if that still is the value they waited for, with what came of waiting, from memory: a device that loses it
    /// again at once must not be asked for ever. (If it is not: no peer may have it any more, and yet nothing is damaged.)
    /// But not by one that leads no more: it may have given up its state for another one by now.
    fn answer_waiting(
        &mut self,
        now: Micros,
        (version, key): &(Seq, Arc<[u8]>),
        reads: Vec<(GatewayId, u64)>,
        result: Option<ReadResult>,
        t: &mut Tracer,
    ) {
        let result = result.filter(|_| self.engine.version_of(key) == Some(*version));
        let serving = self.replica.status(now).serving;
        for (gateway, id) in reads {
            match &result {
                _ if !serving => {
                    let (what, why) = (Refusable::Read(id), Refusal::NotPrimary { primary: None });
                    self.post(Address::Gateway(gateway), Message::Refused { what, why }, t);
                }
                Some(result) => self.answer(gateway, id, result.clone(), t),
                None => self.answer_read(now, gateway, id, Query::Get(key.clone()), t),
            }
        }
    }
}
