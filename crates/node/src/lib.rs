//! StorageNode: one replica of one shard on one device. The one place where the rules meet the engine.
//!
//! The rules (`dataplane`) say what to do, in order; the engine does it on a device; this crate carries the one to the
//! other, and nothing else. It has no sockets, threads or clock: the simulator and the real process run this very code.
//!
//! # The host's loop
//!
//! 1. [`drop_superseded`], [`Node::handle`] each frame that has arrived, [`Node::tick`] if [`Node::next_deadline`] has
//!    passed. Whenever it is [`Node::parked`], go on with 3.
//! 2. [`Node::settle`] once: what arrived goes to the backups as one batch, all waiting reads share one round.
//! 3. Send [`Node::outbox`]. Nothing in it waits for the own disk.
//! 4. If [`Node::needs_flush`], [`Node::flush`]: one pass of writes and **one** sync for the whole batch. Then send the
//!    outbox again: the acknowledgements that waited for it. Tell the node what it took ([`Node::sync_took`]).
//! 5. [`Node::background`]: one bounded step of a checkpoint, when one is due. Nobody waits for it.
//!
//! Frames that arrive during the sync are the next batch. So a busy node syncs once per batch, a lonely write waits for
//! nothing but its own sync, and no timer is involved.
//!
//! | file | job |
//! |---|---|
//! | `lib` | the host's side: frames in, frames out, flush, checkpoints |
//! | `effects` | carrying out the rules' effects on the engine, in order |
//! | `repair` | getting a damaged value back from the other replicas |
//! | `tag` | what the engine carries for the rules, as bytes |

#![forbid(unsafe_code)]

mod effects;
mod repair;
mod tag;

use std::fmt;

use dataplane::{
    Address, ClusterId, Durable, Effect, Epoch, Event, Frame, Held, Limits, Message, Micros, NodeId,
    NodeStatus, Op, Refusable, Refusal, Replica, Restored, ShardId, Tail, Timing, guard, wire,
};
use engine::{CheckpointProgress, Device, Engine, RecoveryReport, Reserve, Room, Standing};
use trace::{EventId, Kind, Mechanisms, Tracer, emit};

use crate::repair::Repairs;

/// A transfer in progress delays the next checkpoint by this long, in microseconds: a new checkpoint makes the receiver
/// start over.
const TRANSFER_PIN: Micros = 1_000_000;
/// Steps of a checkpoint in one round, when writes wait for the room that it gives back.
const STEPS_MAX: u32 = 8;
/// Most followed requests whose events one sync is told to have come from.
const CAUSES_MAX: usize = 64;

/// Who a node is.
#[derive(Clone, Debug)]
pub struct Config {
    /// The cluster.
    pub cluster: ClusterId,
    /// The shard whose replica this is.
    pub shard: ShardId,
    /// How many shards the cluster has.
    pub shards: u32,
    /// This node.
    pub node: NodeId,
    /// All nodes that hold a replica of the shard, this one included.
    pub members: Vec<NodeId>,
    /// The process, shown in status.
    pub pid: u32,
    /// A random number, another one in each life of the replica.
    pub life: u64,
    /// Which mechanisms are on.
    pub mechanisms: Mechanisms,
    /// How long it waits for what.
    pub timing: Timing,
    /// How much it remembers of requests.
    pub limits: Limits,
    /// Bytes of memory for values, so that reads need no disk; 0 for none.
    pub cache_bytes: usize,
}

impl Config {
    /// The device that belongs to it: one that says otherwise is refused, whatever the command line says.
    pub fn identity(&self) -> engine::Identity {
        let Config { cluster, shard, shards, node, .. } = *self;
        let members = engine::members(self.members.iter().map(|member| member.0));
        engine::Identity { cluster, node: node.0, shard, shards, members }
    }
}

/// Why a node cannot start on its device.
#[derive(Debug)]
pub enum OpenError {
    /// The engine cannot open it.
    Engine(engine::OpenError),
    /// A log entry carries a tag that is not of this format: written by another program.
    Tag {
        /// The entry.
        seq: u64,
        /// What is wrong with it.
        why: wire::WireError,
    },
    /// The state in the checkpoint is not of this format.
    HostState(wire::WireError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Engine(e) => e.fmt(f),
            OpenError::Tag { seq, why } => write!(f, "log entry {seq} has a tag that does not decode: {why}"),
            OpenError::HostState(why) => write!(f, "the checkpoint's host state does not decode: {why}"),
        }
    }
}

impl std::error::Error for OpenError {}

/// Why a node must stop. The cluster goes on without it; reopened, it recovers from what is durable.
#[derive(Debug)]
pub enum StopError {
    /// The device failed, or refuses after a failure; or the engine did not take what it had room for.
    Write(engine::WriteError),
}

impl fmt::Display for StopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StopError::Write(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for StopError {}

/// One replica of one shard on one device.
#[derive(Clone, Debug)]
pub struct Node<D> {
    config: Config,
    engine: Engine<D>,
    replica: Replica,
    outbox: Vec<Frame>,
    held: Vec<Held>,
    /// What the last sync made durable.
    proof: Durable,
    /// A candidate's own promise, which is made durable as soon as its requests have left.
    parked: Option<(Effect, Option<EventId>)>,
    /// It was asked to settle while it was parked.
    unsettled: bool,
    /// The followed requests in the batch that the next sync completes.
    causes: Vec<EventId>,
    /// When a piece of the checkpoint was last sent to somebody.
    chunk_sent_at: Option<Micros>,
    /// Memory for the tag of an entry.
    tag: Vec<u8>,
    repairs: Repairs,
    /// The log or the checkpoint could not be read: a new checkpoint does without what is damaged of them.
    renew_checkpoint: bool,
    stopped: bool,
}

impl<D: Device> Node<D> {
    /// Opens the device and starts as a backup, whatever it was before (see `dataplane::Replica`).
    pub fn open(device: D, config: Config, t: &mut Tracer) -> Result<(Node<D>, RecoveryReport), OpenError> {
        t.begin(0, None);
        let (mut engine, report) =
            Engine::open(device, &config.identity(), config.mechanisms).map_err(OpenError::Engine)?;
        engine.notes().for_each(|(kind, source)| t.record(kind, source));
        engine.cache_values(config.cache_bytes);
        // Where the log ended when it still had all of its entries. A damaged one of which that cannot be told may have
        // forgotten something, and so may a device that is joining.
        let (epoch, seq) = engine.owed();
        let mut owed = Tail { epoch: Epoch(epoch), seq };
        let had = engine.had().map(|(seq, tag)| {
            let epoch = tag::tag_from_bytes(tag).map(|(epoch, _)| epoch);
            epoch.map(|epoch| Tail { epoch, seq }).map_err(|why| OpenError::Tag { seq, why })
        });
        let had = had.transpose()?;
        owed = owed.max(had.unwrap_or_default());
        let damaged = engine.damage().is_some();
        let proven = (!damaged || had.is_some()) && engine.standing() != Standing::Joining;
        let mut restored = Restored {
            promised: Epoch(engine.promised()),
            proven,
            owed,
            damaged: damaged && proven,
            checkpoint: 0,
            host_state: Vec::new(),
            entries: Vec::new(),
        };
        // Of an unproven log nothing is used, and nothing of what damage has left no piece of a log.
        if proven && engine.is_readable_up_to_damage() {
            restored.checkpoint = engine.checkpoint_seq();
            restored.host_state = engine.host_state().to_vec();
            for seq in engine.retained_from()..=engine.last_seq() {
                let tag = engine.tag(seq).unwrap_or_default();
                restored.entries.push(tag::tag_from_bytes(tag).map_err(|why| OpenError::Tag { seq, why })?);
            }
        }
        let rules = dataplane::Config {
            me: config.node,
            members: config.members.clone(),
            mechanisms: config.mechanisms,
            timing: config.timing.clone(),
            limits: config.limits,
            pid: config.pid,
            life: config.life,
        };
        let replica = Replica::restore(rules, restored).map_err(OpenError::HostState)?;
        // Opening has synced the device (`sync-on-recovery`): what was recovered is durable.
        let at = (engine.durable_lsn().0, engine.durable_seq());
        let proof = guard::durable_ack(config.mechanisms, Some(at), at).unwrap_or_default();
        let node = Node {
            config,
            engine,
            replica,
            outbox: Vec::new(),
            held: Vec::new(),
            proof,
            parked: None,
            unsettled: false,
            causes: Vec::new(),
            chunk_sent_at: None,
            tag: Vec::new(),
            repairs: Repairs::default(),
            renew_checkpoint: false,
            stopped: false,
        };
        Ok((node, report))
    }

    /// Handles one frame. After an error the node must be dropped.
    pub fn handle(&mut self, now: Micros, mut frame: Frame, t: &mut Tracer) -> Result<(), StopError> {
        t.begin(now, frame.cause);
        self.resume(now, t)?;
        let Config { mechanisms, cluster, shard, node, .. } = &self.config;
        if !guard::frame_identity(*mechanisms, &frame, cluster, *shard, Address::Node(*node)) {
            emit!(
                t,
                Kind::FrameRefused {
                    why: format!(
                        "{} to {} of shard {} is not meant for {node} here",
                        frame.message.name(),
                        frame.to,
                        frame.shard
                    )
                }
            );
            return Ok(());
        }
        match &mut frame.message {
            // A full device takes no new value, and that becomes a result of the log like any other: a refusal beside the
            // log would say "no effect" while another copy of the request is in the log already, or comes later, when
            // there is room. Where a checkpoint gives room, it is waited for.
            Message::Write { request, op } if self.replica.is_primary() => {
                if admits(&mut self.engine, op) == Room::Never {
                    *op = Op::Nop;
                }
                if admits(&mut self.engine, op) != Room::Now {
                    let what = Refusable::Write(*request);
                    self.post(frame.from, Message::Refused { what, why: Refusal::Busy }, t);
                    return Ok(());
                }
            }
            Message::OpenSession
                if self.replica.is_primary()
                    && !has_room(&mut self.engine, [&Op::Nop], Reserve::Progress) =>
            {
                let refused = Message::Refused { what: Refusable::OpenSession, why: Refusal::Busy };
                self.post(frame.from, refused, t);
                return Ok(());
            }
            // Both would append a marker. Whoever asks, asks again, or asks somebody else.
            Message::TakeOver { .. } | Message::Pull { unproven: true, .. }
                if !has_room(&mut self.engine, [&Op::Nop], Reserve::Truncations) =>
            {
                let why = format!("{} while the log has no room for a marker", frame.message.name());
                emit!(t, Kind::FrameRefused { why });
                return Ok(());
            }
            // A backup takes the entries that fit, and acknowledges no more than it took. What it has it need not take.
            Message::Prepare { entries, .. } => {
                let (replica, engine) = (&self.replica, &mut self.engine);
                let new =
                    |fit| entries[..fit].iter().filter(|entry| !replica.has(entry)).map(|entry| &entry.op);
                let mut fit = entries.len();
                while fit > 0 && !has_room(engine, new(fit), Reserve::Truncations) {
                    fit -= 1;
                }
                if fit < entries.len() {
                    self.replica.step(now, Event::Room(fit), t);
                }
            }
            _ => {}
        }
        if matches!(frame.message, Message::Write { .. } | Message::Read { .. } | Message::Prepare { .. }) {
            self.remember_cause(frame.cause.and(t.cause()));
        }
        match (frame.from, frame.message) {
            (Address::Node(peer), Message::Fetch(name)) if self.is_peer(peer) => {
                self.on_fetch(now, peer, name, t);
                Ok(())
            }
            (Address::Node(peer), Message::Fetched { name, value }) if self.is_peer(peer) => {
                self.on_fetched(now, peer, name, value, t)
            }
            (from, message) => self.step(now, Event::Message(from, message), t),
        }
    }

    fn is_peer(&self, node: NodeId) -> bool {
        node != self.config.node && self.config.members.contains(&node)
    }

    /// Lets time pass. Call it at or after [`Node::next_deadline`].
    pub fn tick(&mut self, now: Micros, t: &mut Tracer) -> Result<(), StopError> {
        t.begin(now, None);
        self.resume(now, t)?;
        self.repairs_tick(now, t)?;
        self.step(now, Event::Tick, t)
    }

    /// Everything that had arrived has been handled: replicate it, confirm reads.
    pub fn settle(&mut self, now: Micros, t: &mut Tracer) -> Result<(), StopError> {
        self.unsettled = self.parked();
        if self.unsettled {
            return Ok(());
        }
        self.begin_batch(now, t);
        self.step(now, Event::Settle, t)?;
        if !self.needs_flush() {
            self.causes.clear();
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
        self.replica.step(0, Event::SyncTook(micros), &mut Tracer::off());
    }

    /// Is there anything that waits for a sync?
    pub fn needs_flush(&self) -> bool {
        self.parked() || self.engine.has_unsynced()
    }

    /// Writes the batch and syncs the device once; then what waited for it may leave. Blocks for as long as the device
    /// does.
    pub fn flush(&mut self, now: Micros, t: &mut Tracer) -> Result<(), StopError> {
        if let Some((_, cause)) = &self.parked {
            t.begin(now, *cause);
            self.resume(now, t)?;
            self.release(t);
        }
        if self.unsettled {
            self.settle(now, t)?;
        }
        self.begin_batch(now, t);
        let Some(batch) = self.engine.begin_sync() else { return Ok(()) };
        let begun = t.wall();
        let written = batch.write(self.engine.device());
        let micros = begun.zip(t.wall()).map_or(0, |(begun, ended)| ended.saturating_sub(begun));
        let end = |node: &mut Self, t: &mut Tracer| {
            told(&mut node.engine, t, |e| e.end_sync(batch.timed(micros), written)).map_err(StopError::Write)
        };
        let synced = self.stop_on(end, t)?;
        let at = (synced.durable_lsn().0, synced.durable_seq());
        self.causes.clear();
        if let Some(proof) = guard::durable_ack(self.config.mechanisms, Some(at), at) {
            self.prove(now, proof, t)?;
        }
        Ok(())
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
        let repairs = self.repairs.next_deadline(self.config.timing.resend_after);
        repairs.into_iter().chain(self.replica.next_deadline()).min()
    }

    /// What the node says of itself.
    pub fn status(&self, now: Micros) -> NodeStatus {
        self.replica.status(now)
    }

    /// The engine, to look at.
    pub fn engine(&self) -> &Engine<D> {
        &self.engine
    }

    /// The rules' state, to look at.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    fn step(&mut self, now: Micros, event: Event, t: &mut Tracer) -> Result<(), StopError> {
        assert!(!self.stopped, "a node that failed is not used again");
        self.replica.step(now, event, t);
        self.carry_out(now, t)?;
        let appended = (self.engine.appended_lsn().0, self.engine.last_seq());
        match guard::durable_ack(self.config.mechanisms, None, appended) {
            Some(proof) if proof != self.proof => self.prove(now, proof, t),
            _ => {
                self.release(t);
                Ok(())
            }
        }
    }

    /// More is durable: the rules count it, and what waited for it leaves.
    fn prove(&mut self, now: Micros, proof: Durable, t: &mut Tracer) -> Result<(), StopError> {
        self.proof = proof;
        self.replica.step(now, Event::Durable(proof), t);
        self.carry_out(now, t)?;
        self.release(t);
        Ok(())
    }

    fn carry_out(&mut self, now: Micros, t: &mut Tracer) -> Result<(), StopError> {
        while let Some(effect) = self.replica.next_effect() {
            if matches!(effect, Effect::Promise(_)) && self.replica.is_candidate() && !self.outbox.is_empty()
            {
                self.parked = Some((effect, t.cause()));
                return Ok(());
            }
            self.stop_on(|node, t| node.perform(now, effect, t), t)?;
        }
        Ok(())
    }

    /// Carries out what it was parked at, and what comes behind: no other event is handled before.
    fn resume(&mut self, now: Micros, t: &mut Tracer) -> Result<(), StopError> {
        while let Some((effect, _)) = self.parked.take() {
            self.stop_on(|node, t| node.perform(now, effect, t), t)?;
            self.carry_out(now, t)?;
        }
        Ok(())
    }

    /// Runs a step that may fail for good. After a failed write nobody knows what the device holds, and the rules have
    /// gone on already: only reopening makes the two agree again.
    fn stop_on<T>(
        &mut self,
        step: impl FnOnce(&mut Self, &mut Tracer) -> Result<T, StopError>,
        t: &mut Tracer,
    ) -> Result<T, StopError> {
        let result = step(self, t);
        self.stopped |= result.is_err();
        result
    }

    fn release(&mut self, t: &mut Tracer) {
        for held in std::mem::take(&mut self.held) {
            match held.release(&self.proof) {
                Ok((to, message, cause)) => {
                    if let (Address::Node(to), Message::PrepareOk { epoch, matched: upto }) = (to, &message) {
                        emit!(t, Kind::MatchAcknowledged { to: to.0, epoch: epoch.0, upto: *upto });
                    }
                    let cause = t.cause().or(cause);
                    self.outbox.push(self.frame(to, message, cause));
                }
                Err(held) => self.held.push(held),
            }
        }
    }

    fn hold(&mut self, to: Address, message: Message, cause: Option<EventId>) {
        let mut held = Held::until(self.engine.appended_lsn().0, to, message, cause);
        for earlier in &mut self.held {
            match earlier.absorb(held) {
                Ok(()) => return,
                Err(other) => held = other,
            }
        }
        self.held.push(held);
    }

    fn post(&mut self, to: Address, message: Message, t: &Tracer) {
        let frame = self.frame(to, message, t.cause());
        self.outbox.push(frame);
    }

    fn frame(&self, to: Address, message: Message, cause: Option<EventId>) -> Frame {
        let Config { cluster, shard, node, .. } = self.config;
        Frame { cluster, shard, from: Address::Node(node), to, cause, message }
    }

    fn remember_cause(&mut self, cause: Option<EventId>) {
        if let Some(cause) = cause.filter(|_| self.causes.len() < CAUSES_MAX) {
            self.causes.push(cause);
        }
    }

    fn begin_batch(&self, now: Micros, t: &mut Tracer) {
        t.begin(now, None);
        self.causes.iter().for_each(|cause| t.also(Some(*cause)));
    }

    /// A bounded part of a running checkpoint, or the beginning of one that is due. It may sync several times: call it
    /// when everything that could leave has left.
    pub fn background(&mut self, now: Micros, t: &mut Tracer) -> Result<(), StopError> {
        if self.engine.damage().is_some() || self.parked() {
            return Ok(());
        }
        t.begin(now, None);
        let space = self.engine.space();
        let pinned = self.chunk_sent_at.is_some_and(|at| now < at + TRANSFER_PIN)
            && space.wal_used < space.wal_bytes / 4 * 3;
        // A receiver may need a newer checkpoint than its log would call for, and waits for it.
        let due = (self.engine.checkpoint_due() && !pinned)
            || self.replica.wants_checkpoint()
            || self.renew_checkpoint;
        let mut steps = if self.engine.short_of_room() { STEPS_MAX } else { 1 };
        if due && !self.engine.checkpoint_running() && self.replica.is_proven() {
            // If it cannot be made, or does not reach far enough, whoever meets the damage next says so again.
            self.renew_checkpoint = false;
            let host_state = self.replica.host_state();
            told(&mut self.engine, t, |e| e.checkpoint_begin(host_state));
            // What is committed in a round is not forgotten in the same one: who watches sees all of it.
            steps = 1;
        }
        for _ in 0..steps {
            if !self.engine.checkpoint_running() {
                break;
            }
            let progress = self.stop_on(
                |node, t| match told(&mut node.engine, t, Engine::checkpoint_step) {
                    // It has given this one up; the log is as it was.
                    Err(engine::WriteError::NoSpace { .. }) => Ok(CheckpointProgress::Idle),
                    other => other.map_err(StopError::Write),
                },
                t,
            )?;
            if let CheckpointProgress::Done { seq } = progress {
                self.step(now, Event::Compacted(seq), t)?;
            }
        }
        Ok(())
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
    let all: Vec<(Address, dataplane::Epoch)> = frames.iter().filter_map(asked).collect();
    if all.len() > 1 {
        frames.retain(|frame| {
            asked(frame)
                .is_none_or(|(from, epoch)| !all.iter().any(|other| other.0 == from && other.1 > epoch))
        });
    }
}

/// Runs an operation of the engine, and tells what happened in it before anything that comes after.
pub(crate) fn told<D: Device, T>(
    engine: &mut Engine<D>,
    t: &mut Tracer,
    operation: impl FnOnce(&mut Engine<D>) -> T,
) -> T {
    engine.listen(t.is_on());
    let result = operation(engine);
    engine.notes().for_each(|(kind, source)| t.record(kind, source));
    result
}

fn admits<D: Device>(engine: &mut Engine<D>, op: &Op) -> Room {
    engine.admits(op.key().map_or(&[], |key| &key[..]), op.into(), tag::TAG_BYTES_MAX)
}

fn has_room<'a, D: Device>(
    engine: &mut Engine<D>,
    ops: impl IntoIterator<Item = &'a Op>,
    beside: Reserve,
) -> bool {
    engine.has_room_beside(ops.into_iter(), tag::TAG_BYTES_MAX, beside)
}
