//! The host's side of a node: frames in, frames out, time, flush.

use dataplane::{
    Address, Appended, Durable, Effect, Epoch, Event, Frame, Held, Message, Micros, NodeId, NodeStatus,
    Released, Replica, guard,
};
use engine::{Device, Engine, Synced, WriteError};
use trace::{EventId, Kind, Mechanisms, Tracer, emit};

use crate::config::{Config, StopError};
use crate::extension::{self, Extension};
use crate::repairs::Repairs;

/// One replica of one shard on one device.
#[derive(Clone, Debug)]
pub struct Node<D> {
    pub(crate) config: Config,
    pub(crate) engine: Engine<D>,
    pub(crate) replica: Replica,
    pub(crate) t: Tracer,
    /// When the present step happens.
    pub(crate) now: Micros,
    outbox: Vec<Frame>,
    pub(crate) held: Vec<Held>,
    /// What the last sync made durable.
    pub(crate) proof: Durable,
    /// A candidate's own promise, which is made durable as soon as its requests have left.
    parked: Option<(Effect, Option<EventId>)>,
    /// It was asked to settle while it was parked.
    unsettled: bool,
    /// When a piece of the checkpoint was last sent to somebody.
    pub(crate) chunk_sent_at: Option<Micros>,
    /// Memory for the tag of an entry.
    pub(crate) tag: Vec<u8>,
    pub(crate) repairs: Repairs,
    pub(crate) extensions: Vec<Box<dyn Extension>>,
    /// When the primary that it follows was last heard.
    pub(crate) heard_at: Micros,
    /// The log or the checkpoint could not be read: a new checkpoint does without what is damaged of them.
    pub(crate) renew_checkpoint: bool,
    stopped: bool,
}

impl<D: Device> Node<D> {
    pub(crate) fn new(config: Config, engine: Engine<D>, replica: Replica, t: Tracer) -> Node<D> {
        Node {
            config,
            engine,
            replica,
            t,
            now: 0,
            outbox: Vec::new(),
            held: Vec::new(),
            proof: Durable::default(),
            parked: None,
            unsettled: false,
            chunk_sent_at: None,
            tag: Vec::new(),
            repairs: Repairs::default(),
            extensions: Vec::new(),
            heard_at: 0,
            renew_checkpoint: false,
            stopped: false,
        }
    }

    /// From now on what happens is told there.
    pub fn trace_to(&mut self, tracer: Tracer) {
        self.t = tracer;
    }

    /// Handles one frame. After an error the node must be dropped.
    pub fn handle(&mut self, now: Micros, frame: Frame) -> Result<(), StopError> {
        self.begin(now, frame.cause);
        self.resume()?;
        let Config { cluster, shard, rules, .. } = &self.config;
        if !guard::frame_identity(rules.mechanisms, &frame, cluster, *shard, Address::Node(rules.me)) {
            let why = format!("it is for {} of shard {}", frame.to, frame.shard);
            let (message, from) = (frame.message.name().into(), frame.from.to_string());
            emit!(self.t, Kind::FrameRefused { message, from, why });
            return Ok(());
        }
        let (fits, sign) = (self.fits(&frame.message), extension::sign_of_life(frame.from, &frame.message));
        match (frame.from, frame.message) {
            (Address::Node(peer), Message::Fetch(name)) if self.is_peer(peer) => {
                self.on_fetch(peer, name);
                Ok(())
            }
            (Address::Node(peer), Message::Fetched { name, value }) if self.is_peer(peer) => {
                self.on_fetched(peer, name, value)
            }
            (Address::Node(peer), Message::Extension { extension, epoch, words }) if self.is_peer(peer) => {
                self.on_extension(Address::Node(peer), (extension, epoch), &words)
            }
            (Address::Gateway(gateway), Message::Extension { extension, epoch, words }) => {
                self.on_extension(Address::Gateway(gateway), (extension, epoch), &words)
            }
            (from, message) => self.step(Event::Message(from, message, fits)),
        }?;
        self.note_heard(sign);
        Ok(())
    }

    fn is_peer(&self, node: NodeId) -> bool {
        self.replica.core().hears(node)
    }

    /// Lets time pass. Call it at or after [`Node::next_deadline`].
    pub fn tick(&mut self, now: Micros) -> Result<(), StopError> {
        self.begin(now, None);
        self.resume()?;
        self.repairs_tick()?;
        self.step(Event::Tick)?;
        self.consult(|extension, look, wishes, _| extension.tick(look, wishes))
    }

    /// Everything that had arrived has been handled: replicate it, confirm reads.
    pub fn settle(&mut self, now: Micros) -> Result<(), StopError> {
        self.unsettled = self.parked();
        if self.unsettled {
            return Ok(());
        }
        self.now = now;
        self.t.begin_batch(now);
        self.step(Event::Settle)?;
        if !self.needs_flush() {
            self.t.end_batch();
        }
        Ok(())
    }

    /// Does the node wait for its outbox to leave, before it blocks? A candidate does: the others make their promises
    /// durable while it does so with its own. Whatever the node is asked next, it syncs first.
    pub fn parked(&self) -> bool {
        self.parked.is_some()
    }

    /// A sync took so long. The node has no clock of its own to find out.
    pub fn sync_took(&mut self, micros: Micros) {
        self.rules(Event::SyncTook(micros));
    }

    /// Is there anything that waits for a sync?
    pub fn needs_flush(&self) -> bool {
        self.parked() || self.engine.has_unsynced()
    }

    /// Carries out what the node was parked at.
    pub fn unpark(&mut self, now: Micros) -> Result<(), StopError> {
        if let Some((_, cause)) = self.parked {
            self.begin(now, cause);
            self.resume()?;
            self.release();
        }
        if self.unsettled { self.settle(now) } else { Ok(()) }
    }

    /// Writes the batch and syncs the device once; then what waited for it may leave. Blocks for as long as the device
    /// does.
    pub fn flush(&mut self, now: Micros) -> Result<(), StopError> {
        self.unpark(now)?;
        self.now = now;
        self.t.begin_batch(now);
        let Some(batch) = self.engine.begin_sync() else { return Ok(()) };
        let begun = self.t.wall();
        let written = batch.write(self.engine.device());
        let micros = begun.zip(self.t.wall()).map_or(0, |(begun, ended)| ended.saturating_sub(begun));
        let synced = self.write(|engine| engine.end_sync(batch.timed(micros), written))?;
        self.t.end_batch();
        self.durable(Some(synced)).map_or(Ok(()), |proof| self.prove(proof))
    }

    /// Takes out the frames that may leave now.
    pub fn outbox(&mut self) -> impl Iterator<Item = Frame> + '_ {
        self.outbox.drain(..)
    }

    /// When [`Node::tick`] is due, in the host's microseconds; at once while a checkpoint is being made.
    pub fn next_deadline(&self) -> Option<Micros> {
        if self.engine.checkpoint_running() {
            return Some(0);
        }
        let repairs = self.repairs.next_deadline(self.config.rules.timing.resend_after);
        let extensions = self.extensions.iter().filter_map(|extension| extension.next_deadline());
        repairs.into_iter().chain(self.replica.next_deadline()).chain(extensions).min()
    }

    /// What the node says of itself.
    pub fn status(&self, now: Micros) -> NodeStatus {
        self.replica.status(now)
    }

    /// The engine, to look at.
    pub fn engine(&self) -> &Engine<D> {
        &self.engine
    }

    /// What waits for a sync, to look at.
    pub fn held(&self) -> impl Iterator<Item = &Released> {
        self.held.iter().map(Held::content)
    }

    /// The rules' state, to look at.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    pub(crate) fn begin(&mut self, now: Micros, cause: Option<EventId>) {
        self.now = now;
        self.t.begin(now, cause);
    }

    pub(crate) fn step(&mut self, event: Event) -> Result<(), StopError> {
        assert!(!self.stopped, "a node that failed is not used again");
        self.rules(event);
        self.carry_out()?;
        match self.durable(None) {
            Some(proof) if proof != self.proof => self.prove(proof),
            _ => self.finish(),
        }
    }

    /// What holds of rules and engine together, between two steps. (With a mechanism taken out some of it need not.)
    fn check(&self) {
        let (core, engine) = (self.replica.core(), &self.engine);
        if self.config.rules.mechanisms != Mechanisms::all() || self.parked() {
            return;
        }
        assert!(self.held.iter().all(|held| !held.is_covered(&self.proof)), "D4: what may leave has left");
        assert!(core.promised.0 >= engine.promised(), "D3: the device knows a promise that the rules do not");
        if core.proven && engine.damage().is_none() {
            assert_eq!(core.log.tail().seq, engine.last_seq(), "D1: rules and engine have the same log");
            assert_eq!(core.applied, engine.applied_seq(), "D5: rules and engine applied the same");
            assert!(core.durable <= engine.durable_seq(), "D4: the rules count what is not durable");
            assert!(engine.checkpoint_seq() <= core.applied, "D5: a checkpoint of what is not applied");
        }
    }

    /// What the rules make of an event waits in their queue.
    pub(crate) fn rules(&mut self, event: Event) {
        self.replica.listen(self.t.is_on());
        self.replica.step(self.now, event);
    }

    /// What may be spoken of as durable, after a sync or before one.
    pub(crate) fn durable(&self, synced: Option<Synced>) -> Option<Durable> {
        let (position, seq) = (self.engine.appended_lsn().0, self.engine.last_seq());
        guard::durable_ack(self.config.rules.mechanisms, synced.as_ref(), Appended { position, seq })
    }

    /// More is durable: the rules count it, and what waited for it leaves.
    fn prove(&mut self, proof: Durable) -> Result<(), StopError> {
        self.proof = proof;
        self.rules(Event::Durable(proof));
        self.carry_out()?;
        self.finish()
    }

    /// A step ends: what may leave does.
    fn finish(&mut self) -> Result<(), StopError> {
        self.release();
        self.check();
        Ok(())
    }

    fn carry_out(&mut self) -> Result<(), StopError> {
        while let Some(effect) = self.replica.next_effect() {
            if matches!(effect, Effect::Promise(_)) && self.replica.is_candidate() && !self.outbox.is_empty()
            {
                self.parked = Some((effect, self.t.cause()));
                return Ok(());
            }
            self.perform(effect)?;
        }
        Ok(())
    }

    /// Carries out what it was parked at, and what comes behind: no other event is handled before.
    pub(crate) fn resume(&mut self) -> Result<(), StopError> {
        while let Some((effect, _)) = self.parked.take() {
            self.perform(effect)?;
            self.carry_out()?;
        }
        Ok(())
    }

    /// Runs an operation of the engine, and tells what happened in it.
    pub(crate) fn told<T>(&mut self, operation: impl FnOnce(&mut Engine<D>) -> T) -> T {
        self.engine.listen(self.t.is_on());
        let result = operation(&mut self.engine);
        self.engine.notes().for_each(|(kind, source)| self.t.record(kind, source));
        result
    }

    /// Runs an operation of the engine that must not fail.
    pub(crate) fn write<T>(
        &mut self,
        operation: impl FnOnce(&mut Engine<D>) -> Result<T, WriteError>,
    ) -> Result<T, StopError> {
        self.told(operation).or_else(|error| self.stop(error))
    }

    /// After a failed write nobody knows what the device holds, and the rules have gone on already: only reopening makes the
    /// two agree again.
    pub(crate) fn stop<T>(&mut self, error: WriteError) -> Result<T, StopError> {
        self.stopped = true;
        Err(StopError(error))
    }

    /// What waited for a sync that has returned leaves.
    fn release(&mut self) {
        for held in std::mem::take(&mut self.held) {
            match held.release(&self.proof) {
                Ok(Released { to, message, cause }) => {
                    self.t.resume(cause);
                    if let (Address::Node(to), Message::PrepareOk { epoch, matched: upto }) = (to, &message) {
                        emit!(self.t, Kind::MatchAcknowledged { to: to.0, epoch: epoch.0, upto: *upto });
                    }
                    self.post(to, message);
                }
                Err(held) => self.held.push(held),
            }
        }
    }

    pub(crate) fn hold(&mut self, to: Address, message: Message) {
        let cause = self.t.cause_of_held();
        let position = self.engine.appended_lsn().0;
        Held::until(position, Released { to, message, cause }).join(&mut self.held);
    }

    pub(crate) fn post(&mut self, to: Address, message: Message) {
        let Config { cluster, shard, ref rules, .. } = self.config;
        let cause = self.t.cause();
        self.outbox.push(Frame { cluster, shard, from: Address::Node(rules.me), to, cause, message });
    }
}

/// Drops from a batch of frames the requests for a promise that a later one of the same candidate makes pointless: each
/// would cost syncs, and a replica that has been slow finds one of every attempt. A dropped frame is a lost one, which the
/// rules allow at any time.
pub fn drop_superseded(frames: &mut Vec<Frame>) {
    let asked = |frame: &Frame| match frame.message {
        Message::PromiseRequest { epoch } => Some((frame.from, epoch)),
        _ => None,
    };
    let all: Vec<(Address, Epoch)> = frames.iter().filter_map(asked).collect();
    if all.len() > 1 {
        frames.retain(|frame| {
            asked(frame)
                .is_none_or(|(from, epoch)| !all.iter().any(|other| other.0 == from && other.1 > epoch))
        });
    }
}
