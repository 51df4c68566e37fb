//! Carrying out the rules' effects on the engine, each before the next.

use dataplane::{
    Address, Chunk, Effect, Epoch, Event, GatewayId, Message, Micros, NodeId, PAYLOAD_BYTES_MAX, Query,
    ReadResult, SCAN_KEYS_MAX, Seq, Tail, guard,
};
use engine::{Device, Op, Sizes, Standing, WriteError};
use trace::Tracer;

use crate::{Node, StopError, tag, told};

impl<D: Device> Node<D> {
    pub(crate) fn perform(&mut self, now: Micros, effect: Effect, t: &mut Tracer) -> Result<(), StopError> {
        match effect {
            Effect::Append(entry) => {
                tag::tag_to_bytes(entry.epoch, entry.origin, &mut self.tag);
                let seq =
                    told(&mut self.engine, t, |e| e.append(entry.op, &self.tag)).map_err(StopError::Write)?;
                assert_eq!(seq, entry.seq, "D1: rules and engine count the same log");
            }
            Effect::Truncate(from) => {
                told(&mut self.engine, t, |e| e.truncate(from)).map_err(StopError::Write)?
            }
            Effect::Promise(epoch) => {
                told(&mut self.engine, t, |e| e.promise(epoch.0)).map_err(StopError::Write)?
            }
            Effect::Apply { seq, skip } => {
                let outcome = self.engine.apply(skip).map_err(StopError::Write)?;
                self.replica.step(now, Event::Applied(seq, outcome), t);
            }
            Effect::Send(to, message) => self.post(to, message, t),
            Effect::Hold(to, message) => self.hold(to, message, t.cause()),
            Effect::SendEntries { to, epoch, prev, upto, commit } => {
                self.send_entries(now, to, epoch, prev, upto, commit, t)
            }
            Effect::Read { gateway, id, query } => self.answer_read(now, gateway, id, query, t),
            Effect::SendChunk { to, epoch, transfer, cursor } => {
                self.chunk_sent_at = Some(now);
                self.send_chunk(now, to, epoch, transfer, cursor, t);
            }
            Effect::InstallBegin => {
                // What is here stays until the new state is complete: others may lack some of it. Only a device whose
                // damage hides what is free has to give it up, or one without room for both; see `received`.
                if self.engine.damage().is_some() {
                    told(&mut self.engine, t, |e| e.set_standing(Standing::Joining))
                        .map_err(StopError::Write)?;
                    told(&mut self.engine, t, |e| e.give_up_damaged(e.owed())).map_err(StopError::Write)?;
                }
                let begun = self.engine.install_begin();
                self.received(now, begun, t)?;
            }
            Effect::InstallItems(items) => {
                let stored = told(&mut self.engine, t, |e| {
                    let mut items = items.into_iter();
                    items.try_for_each(|(key, version, value)| e.install_put(key, version, value))
                });
                self.received(now, stored, t)?;
            }
            Effect::InstallFinish { seq, host_state, epoch } => {
                let finished = told(&mut self.engine, t, |e| e.install_finish(seq, host_state, epoch.0));
                if self.received(now, finished, t)? {
                    self.log_begins_anew();
                    self.replica.step(now, Event::Installed(true), t);
                }
            }
            Effect::InstallAbort => self.engine.install_abort(),
            Effect::GiveUpDamaged(owed) => {
                self.repairs.notice(format!(
                    "gives up what is damaged, to be filled by the primary; it votes for a log up to entry {} of epoch {}",
                    owed.seq, owed.epoch.0
                ));
                self.held.clear();
                told(&mut self.engine, t, |e| e.give_up_damaged((owed.epoch.0, owed.seq)))
                    .map_err(StopError::Write)?;
                self.log_begins_anew();
            }
            Effect::GiveUpAll(owed) => {
                self.repairs.notice(
                    "has no room for the primary's state beside its own, and gives up its own".into(),
                );
                self.held.clear();
                told(&mut self.engine, t, |e| e.give_up_all((owed.epoch.0, owed.seq)))
                    .map_err(StopError::Write)?;
                self.log_begins_anew();
            }
            Effect::Unprove => {
                told(&mut self.engine, t, |e| e.set_standing(Standing::Joining)).map_err(StopError::Write)?
            }
        }
        Ok(())
    }

    /// The log was replaced, in a step that synced the device. What is said from now on need not wait for the next batch:
    /// there may never be one. (1) A replica gives up its state; (2) it promises, and with nothing to sync, the promise
    /// never leaves; (3) the only candidate with a complete log never leads.
    fn log_begins_anew(&mut self) {
        let at = (self.engine.durable_lsn().0, self.engine.durable_seq());
        self.proof = guard::durable_ack(self.config.mechanisms, Some(at), at).unwrap_or(self.proof);
    }

    /// Goes on after a step of a transfer, or gives the transfer up: a state that does not fit is no reason to stop.
    fn received(
        &mut self,
        now: Micros,
        result: Result<(), WriteError>,
        t: &mut Tracer,
    ) -> Result<bool, StopError> {
        match result {
            Ok(()) => Ok(true),
            Err(WriteError::NoSpace { .. } | WriteError::BadItem | WriteError::NotInstalling) => {
                self.replica.step(now, Event::Installed(false), t);
                Ok(false)
            }
            Err(error) => Err(StopError::Write(error)),
        }
    }

    /// A frame never takes more than the window that it has to fit into.
    fn frame_payload_max(&self) -> usize {
        usize::try_from(self.config.timing.window_bytes)
            .map_or(PAYLOAD_BYTES_MAX, |w| w.min(PAYLOAD_BYTES_MAX))
    }

    #[allow(clippy::too_many_arguments)]
    fn send_entries(
        &mut self,
        now: Micros,
        to: NodeId,
        epoch: Epoch,
        prev: Tail,
        upto: Seq,
        commit: Seq,
        t: &mut Tracer,
    ) {
        let (mut entries, mut bytes) = (Vec::with_capacity((upto - prev.seq) as usize), 0);
        for seq in prev.seq + 1..=upto {
            match self.engine.entry(seq) {
                Ok(Some(entry)) => {
                    let Ok((epoch, origin)) = tag::tag_from_bytes(&entry.tag) else { break };
                    let more = frame_bytes(&entry.op);
                    if bytes + more > self.frame_payload_max() && !entries.is_empty() {
                        break;
                    }
                    bytes += more;
                    entries.push(dataplane::Entry { seq, epoch, origin, op: entry.op });
                }
                // A checkpoint has overtaken the backup; the next round tells it that it is behind.
                Ok(None) => break,
                Err(error) => {
                    self.damaged(now, &error, t);
                    if entries.is_empty() {
                        self.replica.step(now, Event::Unreadable(to), t);
                    }
                    break;
                }
            }
        }
        let sent = prev.seq + entries.len() as u64;
        self.post(Address::Node(to), Message::Prepare { epoch, prev, entries, commit }, t);
        self.replica.step(now, Event::Sent(to, sent, bytes as u64), t);
    }

    /// Answers a read from the applied state, or lets it wait for a repair.
    pub(crate) fn answer_read(
        &mut self,
        now: Micros,
        gateway: GatewayId,
        id: u64,
        query: Query,
        t: &mut Tracer,
    ) {
        let result = match query {
            Query::GetUpTo(key, most) if self.engine.value_bytes(&key).is_some_and(|bytes| bytes > most) => {
                ReadResult::Long(self.engine.value_bytes(&key).unwrap_or_default())
            }
            Query::Get(key) | Query::GetUpTo(key, _) => match self.engine.get_cached(&key) {
                Ok(Some(found)) => ReadResult::Value(found.version, found.value),
                Ok(None) => ReadResult::Missing,
                Err(error) => return self.read_later(now, (gateway, id), &error, t),
            },
            Query::Scan { prefix, after, limit } => ReadResult::Keys(self.engine.scan(
                &prefix,
                after.as_deref(),
                limit.min(SCAN_KEYS_MAX) as usize,
            )),
            Query::Count => ReadResult::Count(self.engine.key_count()),
        };
        self.answer(gateway, id, result, t);
    }

    pub(crate) fn answer(&mut self, gateway: GatewayId, id: u64, result: ReadResult, t: &mut Tracer) {
        trace::emit!(t, trace::Kind::ReadAnswered { gateway: gateway.gateway, id, reply: describe(&result) });
        self.post(Address::Gateway(gateway), Message::ReadAnswer { id, result }, t);
    }

    fn send_chunk(
        &mut self,
        now: Micros,
        to: NodeId,
        epoch: Epoch,
        transfer: u64,
        cursor: Vec<u8>,
        t: &mut Tracer,
    ) {
        // A cursor into an older checkpoint begins the newer one, whose other seq makes the receiver start over.
        let at = tag::cursor_from_bytes(&cursor).filter(|at| at.seq == self.engine.checkpoint_seq());
        match self.engine.transfer_read(at, self.frame_payload_max()) {
            Ok(piece) => {
                let chunk = Chunk {
                    seq: piece.seq,
                    items: piece.items,
                    next: piece.next.map(tag::cursor_to_bytes),
                    host_state: piece.host_state.unwrap_or_default(),
                };
                self.post(Address::Node(to), Message::Chunk { epoch, transfer, cursor, chunk }, t);
            }
            // The receiver asks again; by then what is damaged is repaired, or is not in a newer checkpoint.
            Err(error) => _ = self.damaged(now, &error, t),
        }
    }
}

/// About how many bytes an operation takes in a frame.
fn frame_bytes(op: &Op) -> usize {
    let Sizes { key_bytes, value_bytes } = op.into();
    64 + key_bytes + value_bytes.unwrap_or(0)
}

/// A read's result in a few words, for the trace.
fn describe(result: &ReadResult) -> String {
    match result {
        ReadResult::Value(version, value) => format!("version {version}, {} bytes", value.len()),
        ReadResult::Long(bytes) => format!("{bytes} bytes, more than asked for"),
        ReadResult::Missing => "no such key".into(),
        ReadResult::Keys(keys) => format!("{} keys", keys.len()),
        ReadResult::Count(n) => format!("{n} keys in all"),
        ReadResult::Damaged => "the value is damaged".into(),
    }
}
