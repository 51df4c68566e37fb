//! Carrying out the rules' effects on the engine, each before the next.

use dataplane::{
    Address, Chunk, Effect, Entry, Event, GatewayId, Message, NodeId, PAYLOAD_BYTES_MAX, Query, ReadResult,
    SCAN_KEYS_MAX, Seq,
};
use engine::{Device, Op, Sizes, Standing, WriteError};
use trace::{Kind, emit};

use crate::config::StopError;
use crate::node::Node;
use crate::tag;

impl<D: Device> Node<D> {
    pub(crate) fn perform(&mut self, effect: Effect) -> Result<(), StopError> {
        match effect {
            Effect::Tell(told) => self.t.record(told.kind, told.source),
            Effect::Append(entry) => {
                let mut tag = std::mem::take(&mut self.tag);
                tag::tag_to_bytes(entry.epoch, entry.origin, &mut tag);
                let seq = self.write(|engine| engine.append(entry.op, &tag))?;
                assert_eq!(seq, entry.seq, "D1: rules and engine count the same log");
                self.tag = tag;
            }
            Effect::Truncate(from) => self.write(|engine| engine.truncate(from))?,
            Effect::Promise(epoch) => self.write(|engine| engine.promise(epoch.0))?,
            Effect::Apply { seq, skip } => {
                let outcome = self.write(|engine| engine.apply(skip))?;
                self.rules(Event::Applied(seq, outcome));
            }
            Effect::Send(to, message) => self.post(to, message),
            Effect::Hold(to, message) => self.hold(to, message),
            Effect::SendEntries { to, epoch, prev, upto, commit } => {
                let (entries, bytes) = self.entries(to, prev.seq + 1, upto);
                let sent = prev.seq + entries.len() as Seq;
                self.post(Address::Node(to), Message::Prepare { epoch, prev, entries, commit });
                self.rules(Event::Sent(to, sent, bytes as u64));
            }
            Effect::Read { gateway, id, query } => self.answer_read(gateway, id, query),
            Effect::SendChunk { to, epoch, transfer, cursor } => {
                if let Some(chunk) = self.chunk(&cursor, 0) {
                    self.post(Address::Node(to), Message::Chunk { epoch, transfer, cursor, chunk });
                }
            }
            install => self.install(install)?,
        }
        Ok(())
    }

    /// Carries out what replaces the state, or gives it up.
    fn install(&mut self, effect: Effect) -> Result<(), StopError> {
        match effect {
            Effect::InstallBegin => {
                // What is here stays until the new state is complete: others may lack some of it. Only a device whose
                // damage hides what is free has to give it up, or one without room for both; see `received`.
                if self.engine.damage().is_some() {
                    self.write(|engine| engine.set_standing(Standing::Joining))?;
                    self.write(|engine| engine.give_up_damaged(engine.owed()))?;
                }
                let begun = self.told(|engine| engine.install_begin());
                self.received(begun)?;
            }
            Effect::InstallItems(items) => {
                let mut items = items.into_iter();
                let stored = self.told(|engine| {
                    items.try_for_each(|(key, version, value)| engine.install_put(key, version, value))
                });
                self.received(stored)?;
            }
            Effect::InstallFinish { seq, host_state, epoch } => {
                let finished = self.told(|engine| engine.install_finish(seq, host_state, epoch.0));
                if self.received(finished)? {
                    self.log_begins_anew();
                    self.rules(Event::Installed(true));
                }
            }
            Effect::InstallAbort => self.engine.install_abort(),
            Effect::GiveUpDamaged(owed) => {
                self.repairs.notice(format!(
                    "gives up what is damaged, to be filled by the primary; it votes for a log up to entry {} of epoch {}",
                    owed.seq, owed.epoch.0
                ));
                self.held.clear();
                self.write(|engine| engine.give_up_damaged((owed.epoch.0, owed.seq)))?;
                self.log_begins_anew();
            }
            Effect::GiveUpAll(owed) => {
                self.repairs.notice(
                    "has no room for the primary's state beside its own, and gives up its own".into(),
                );
                self.held.clear();
                self.write(|engine| engine.give_up_all((owed.epoch.0, owed.seq)))?;
                self.log_begins_anew();
            }
            Effect::Unprove => self.write(|engine| engine.set_standing(Standing::Joining))?,
            other => unreachable!("{other:?} is carried out by `perform`"),
        }
        Ok(())
    }

    /// The log was replaced, in a step that synced the device. What is said from now on need not wait for the next batch:
    /// there may never be one. (1) A replica gives up its state; (2) it promises, and with nothing to sync, the promise
    /// never leaves; (3) the only candidate with a complete log never leads.
    fn log_begins_anew(&mut self) {
        self.proof = self.durable(Some(self.engine.synced())).unwrap_or(self.proof);
    }

    /// Goes on after a step of a transfer, or gives the transfer up: a state that does not fit is no reason to stop.
    fn received(&mut self, result: Result<(), WriteError>) -> Result<bool, StopError> {
        match result {
            Ok(()) => Ok(true),
            Err(WriteError::NoSpace { .. } | WriteError::BadItem | WriteError::NotInstalling) => {
                self.rules(Event::Installed(false));
                Ok(false)
            }
            Err(error) => self.stop(error),
        }
    }

    /// A frame never takes more than the window that it has to fit into.
    fn frame_payload_max(&self) -> usize {
        usize::try_from(self.config.rules.timing.window_bytes)
            .map_or(PAYLOAD_BYTES_MAX, |w| w.min(PAYLOAD_BYTES_MAX))
    }

    /// Entries `from` to `upto`, as many as fit a frame, and the bytes that they take.
    fn entries(&mut self, to: NodeId, from: Seq, upto: Seq) -> (Vec<Entry>, usize) {
        let (mut entries, mut bytes) = (Vec::with_capacity((upto + 1 - from) as usize), 0);
        for seq in from..=upto {
            match self.engine.entry(seq) {
                Ok(Some(entry)) => {
                    let Ok((epoch, origin)) = tag::tag_from_bytes(&entry.tag) else { break };
                    let more = frame_bytes(&entry.op);
                    if bytes + more > self.frame_payload_max() && !entries.is_empty() {
                        break;
                    }
                    bytes += more;
                    entries.push(Entry { seq, epoch, origin, op: entry.op });
                }
                // A checkpoint has overtaken the backup; the next round tells it that it is behind.
                Ok(None) => break,
                Err(error) => {
                    self.damaged(&error);
                    if entries.is_empty() {
                        self.rules(Event::Unreadable(to));
                    }
                    break;
                }
            }
        }
        (entries, bytes)
    }

    /// Answers a read from the applied state, or lets it wait for a repair.
    pub(crate) fn answer_read(&mut self, gateway: GatewayId, id: u64, query: Query) {
        let result = match query {
            Query::GetUpTo(key, most) if self.engine.value_bytes(&key).is_some_and(|bytes| bytes > most) => {
                ReadResult::Long(self.engine.value_bytes(&key).unwrap_or_default())
            }
            Query::Get(key) | Query::GetUpTo(key, _) => match self.engine.get(&key) {
                Ok(Some(found)) => ReadResult::Value(found.version, found.value),
                Ok(None) => ReadResult::Missing,
                Err(error) => return self.read_later(gateway, id, &error),
            },
            Query::Scan { prefix, after, limit } => ReadResult::Keys(self.engine.scan(
                &prefix,
                after.as_deref(),
                limit.min(SCAN_KEYS_MAX) as usize,
            )),
            Query::Count => ReadResult::Count(self.engine.key_count()),
        };
        self.answer(gateway, id, result);
    }

    pub(crate) fn answer(&mut self, gateway: GatewayId, id: u64, result: ReadResult) {
        emit!(self.t, Kind::ReadAnswered { gateway: gateway.gateway, id, reply: result.to_string() });
        self.post(Address::Gateway(gateway), Message::ReadAnswer { id, result });
    }

    /// The piece of the checkpoint behind `cursor`, without the values of `since` and before.
    pub(crate) fn chunk(&mut self, cursor: &[u8], since: Seq) -> Option<Chunk> {
        self.chunk_sent_at = Some(self.now);
        // A cursor into an older checkpoint begins the newer one, whose other seq makes the receiver start over.
        let at = tag::cursor_from_bytes(cursor).filter(|at| at.seq == self.engine.checkpoint_seq());
        match self.engine.transfer_read(at, since, self.frame_payload_max()) {
            Ok(piece) => Some(Chunk {
                seq: piece.seq,
                items: piece.items,
                next: piece.next.map(tag::cursor_to_bytes),
                host_state: piece.host_state.unwrap_or_default(),
            }),
            // The receiver asks again; by then what is damaged is repaired, or is not in a newer checkpoint.
            Err(error) => {
                self.damaged(&error);
                None
            }
        }
    }
}

/// About how many bytes an operation takes in a frame.
fn frame_bytes(op: &Op) -> usize {
    let Sizes { key_bytes, value_bytes } = op.into();
    64 + key_bytes + value_bytes.unwrap_or(0)
}
