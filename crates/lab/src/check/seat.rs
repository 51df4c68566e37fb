//! One node: the real replica, on a model of what its device keeps.
//!
//! The model has one idea: of the log records since the last sync, any prefix survives a crash. What a real device does
//! with its sectors is the business of [`crate::device`].

use dataplane::{
    Address, Appended, Chunk, Config, Durable, Effect, Entry, Epoch, Event, Held, Message, NodeId, Op,
    Origin, Outcome, Receipt, Released, Replica, Restored, Seq, Tail, Timing, guard,
};
use trace::{Kind, Tracer, emit};

use super::extended::Extended;
use super::scope::Scope;
use crate::cluster::witness::{Sight, Stamp};
use crate::shared::Shared;

/// What messages may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Limits {
    pub entries_per_frame: usize,
    /// Pieces of a transferred state.
    pub pieces: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LogOp {
    Append(Entry),
    Truncate(Seq),
}

/// What a device holds, reduced to what the rules can tell apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Disk {
    pub promise: Epoch,
    pub proven: bool,
    /// The last entry before the log lost some.
    pub owed: Tail,
    /// The checkpoint: its seq, and what the rules keep in it.
    pub base: Seq,
    pub host_state: Vec<u8>,
    /// Are keys of the checkpoint missing?
    pub half: bool,
    /// What the present action moved from the log to the checkpoint.
    pub dropped: Vec<(Seq, (Epoch, Origin))>,
    /// The log after the checkpoint as its owner sees it.
    pub log: Vec<Entry>,
    /// The log after the checkpoint as of the last sync.
    pub synced: Vec<Entry>,
    /// What came since, in order.
    pub unsynced: Vec<LogOp>,
    /// How many log records were ever written.
    pub position: u64,
}

impl Disk {
    pub fn empty(promise: Epoch, proven: bool, position: u64) -> Disk {
        Disk {
            promise,
            proven,
            owed: Tail::default(),
            base: 0,
            host_state: Vec::new(),
            half: false,
            dropped: Vec::new(),
            log: Vec::new(),
            synced: Vec::new(),
            unsynced: Vec::new(),
            position,
        }
    }

    /// The last entry.
    pub fn last(&self) -> Seq {
        self.base + self.log.len() as Seq
    }

    /// Where entry `seq` is in the log.
    pub fn at(&self, seq: Seq) -> usize {
        (seq - self.base - 1) as usize
    }

    /// What has been written, synced or not: where, and up to which entry.
    pub fn written(&self) -> Appended {
        Appended { position: self.position, seq: self.last() }
    }
}

/// The receipt of the model's device: all that was written when it was synced.
pub(super) struct Synced(pub Appended);

impl Receipt for Synced {
    fn position(&self) -> u64 {
        self.0.position
    }

    fn seq(&self) -> Seq {
        self.0.seq
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seat {
    pub replica: Replica,
    pub disk: Disk,
    pub held: Vec<Held>,
    pub proof: Durable,
    /// Of the state being transferred, what has come.
    pub pieces: u64,
    pub extended: Extended,
}

impl Seat {
    /// One of the founders, or a node with an empty device that may be added to them.
    pub fn new(scope: &Scope, me: NodeId, members: &[NodeId]) -> Seat {
        let disk = Disk::empty(Epoch(0), members.contains(&me), 0);
        let config = Config {
            me,
            members: members.to_vec(),
            members_change: scope.with.changes_members(),
            mechanisms: scope.mechanisms,
            timing: Timing {
                heartbeat_every: 1,
                resend_after: scope.resend_after,
                candidate_patience: 1,
                window_bytes: 1 << 20,
                waiting_max: 64,
            },
            limits: Default::default(),
            pid: 0,
            life: 0,
        };
        Seat::open(config, disk, Extended::new(scope.with, scope.wishes > 0))
    }

    fn open(config: Config, disk: Disk, extended: Extended) -> Seat {
        let (on, position) = (config.mechanisms, disk.position);
        let entries = if disk.proven { disk.log.as_slice() } else { &[] };
        let restored = Restored {
            promised: disk.promise,
            proven: disk.proven,
            owed: disk.owed,
            damaged: false,
            checkpoint: if disk.proven { disk.base } else { 0 },
            host_state: if disk.proven { disk.host_state.clone() } else { Vec::new() },
            entries: entries.iter().map(|entry| (entry.epoch, entry.origin)).collect(),
        };
        let at = Synced(Appended { position, seq: if disk.proven { disk.last() } else { 0 } });
        let proof = guard::durable_ack(on, Some(&at), at.0).unwrap_or_default();
        let replica = Replica::restore(config, restored).expect("the rules wrote the host state themselves");
        Seat { replica, disk, held: Vec::new(), proof, pieces: 0, extended }
    }

    pub fn on(&self) -> trace::Mechanisms {
        self.replica.core().config.mechanisms
    }

    pub fn crash(&mut self, keep: usize) {
        let mut log = self.disk.synced.clone();
        for op in &self.disk.unsynced[..keep] {
            match op {
                LogOp::Append(entry) => log.push(entry.clone()),
                LogOp::Truncate(from) => log.truncate(self.disk.at(*from)),
            }
        }
        let disk = Disk { synced: log.clone(), log, unsynced: Vec::new(), ..self.disk.clone() };
        *self = Seat::open(self.next_life(), disk, self.extended.anew());
    }

    /// A crash, after which the log is damaged behind so many durable entries. What a device goes on with then, it says
    /// only once a primary has spoken; here at once, which is the same to everybody else.
    pub fn rot(&mut self, keep: usize) {
        let mut log = self.disk.synced.clone();
        let had = log.last().map(|entry| Tail { epoch: entry.epoch, seq: entry.seq });
        let owed = self.disk.owed.max(had.unwrap_or_default());
        log.truncate(keep);
        let disk = Disk { owed, synced: log.clone(), log, unsynced: Vec::new(), ..self.disk.clone() };
        *self = Seat::open(self.replica.core().config.clone(), disk, self.extended.anew());
    }

    pub fn wipe(&mut self) {
        let disk = Disk::empty(Epoch(0), false, self.disk.position);
        *self = Seat::open(self.next_life(), disk, self.extended.anew());
    }

    /// What names the attempts of one life differs in the next.
    fn next_life(&self) -> Config {
        let config = self.replica.core().config.clone();
        Config { life: config.life + (1 << 32), ..config }
    }

    pub fn perform(
        &mut self,
        now: u64,
        effect: Effect,
        limits: Limits,
        out: &mut Vec<(Address, Message)>,
        t: &mut Tracer,
    ) {
        match effect {
            Effect::Tell(told) => t.record(told.kind, told.source),
            Effect::Append(entry) => {
                self.disk.position += 1;
                self.disk.log.push(entry.clone());
                self.disk.unsynced.push(LogOp::Append(entry));
            }
            Effect::Truncate(from) => {
                self.disk.position += 1;
                self.disk.log.truncate(self.disk.at(from));
                self.disk.unsynced.push(LogOp::Truncate(from));
            }
            Effect::Promise(epoch) => self.disk.promise = epoch,
            Effect::Apply { seq, skip } => {
                let entry = &self.disk.log[self.disk.at(seq)];
                let nothing = skip || entry.op == Op::Nop;
                let outcome = if nothing { Outcome::Nothing } else { Outcome::Written(seq) };
                self.replica.step(now, Event::Applied(seq, outcome));
            }
            Effect::Send(to, message) => out.push((to, message)),
            Effect::Hold(to, message) => {
                let content = Released { to, message, cause: None };
                Held::until(self.disk.position, content).join(&mut self.held);
            }
            Effect::SendEntries { to, epoch, prev, upto, commit } => {
                let upto = upto.min(prev.seq.saturating_add(limits.entries_per_frame as u64));
                let entries = self.disk.log[self.disk.at(prev.seq + 1)..self.disk.at(upto + 1)].to_vec();
                out.push((Address::Node(to), Message::Prepare { epoch, prev, entries, commit }));
                self.replica.step(now, Event::Sent(to, upto, 1));
            }
            Effect::Read { gateway, id, .. } => {
                let result = dataplane::ReadResult::Missing;
                out.push((Address::Gateway(gateway), Message::ReadAnswer { id, result }));
            }
            // The keys do not matter here: the pieces of a state are empty, but counted.
            Effect::SendChunk { to, epoch, transfer, cursor } => {
                let seq = self.disk.base;
                let piece = cursor.first().map_or(1, |piece| u64::from(*piece)) + 1;
                let next = (piece <= limits.pieces).then(|| vec![piece as u8]);
                // What the rules keep in a checkpoint comes with its first piece.
                let host_state = if cursor.is_empty() { self.disk.host_state.clone() } else { Vec::new() };
                let chunk = Chunk { seq, items: Vec::new(), next, host_state };
                out.push((Address::Node(to), Message::Chunk { epoch, transfer, cursor, chunk }));
            }
            Effect::InstallBegin | Effect::InstallAbort => self.pieces = 0,
            Effect::InstallItems(_) => self.pieces += 1,
            Effect::InstallFinish { seq, host_state, epoch } => {
                let promise = self.disk.promise.max(epoch);
                let empty = Disk::empty(promise, true, self.disk.position + 1);
                let (half, owed) = (self.pieces < limits.pieces, self.disk.owed);
                self.disk = Disk { base: seq, host_state, half, owed, ..empty };
                let at = self.disk.written();
                self.proof = guard::durable_ack(self.on(), Some(&Synced(at)), at).unwrap_or(self.proof);
                self.replica.step(now, Event::Installed(true));
            }
            Effect::GiveUpDamaged(_) => {}
            Effect::GiveUpAll(owed) => {
                let empty = Disk::empty(self.disk.promise, self.disk.proven, self.disk.position + 1);
                self.disk = Disk { owed, ..empty };
            }
            Effect::Unprove => self.disk.proven = false,
        }
    }

    /// A checkpoint as of what is applied, in one durable step. The applied entries are durable already.
    pub fn checkpoint(&mut self, now: u64) {
        let applied = self.replica.core().applied;
        let gone = (applied - self.disk.base) as usize;
        self.disk.host_state = self.replica.host_state();
        self.disk.base = applied;
        self.disk.dropped = self.disk.log.drain(..gone).map(|e| (e.seq, (e.epoch, e.origin))).collect();
        self.disk.synced.drain(..gone);
        self.replica.step(now, Event::Compacted(applied));
    }

    /// What waited for a sync that has returned may leave.
    pub fn release(&mut self, out: &mut Vec<(Address, Message)>, t: &mut Tracer) {
        for held in std::mem::take(&mut self.held) {
            match held.release(&self.proof) {
                Ok(Released { to, message, .. }) => {
                    if let (Address::Node(to), Message::PrepareOk { epoch, matched: upto }) = (to, &message) {
                        emit!(t, Kind::MatchAcknowledged { to: to.0, epoch: epoch.0, upto: *upto });
                    }
                    out.push((to, message));
                }
                Err(held) => self.held.push(held),
            }
        }
    }
}

impl Sight for Shared<Seat> {
    fn replica(&self) -> Option<&Replica> {
        Some(&self.replica)
    }

    fn base(&self) -> Seq {
        self.disk.base
    }

    fn last(&self) -> Seq {
        self.disk.last()
    }

    fn stamp(&self, seq: Seq) -> Option<Stamp> {
        let at = seq.checked_sub(self.disk.base + 1)?;
        let entry = self.disk.log.get(at as usize)?;
        Some((entry.epoch, entry.origin))
    }

    fn lacks(&self, _: Seq, _: Stamp) -> bool {
        self.disk.half
    }

    fn dropped(&self) -> &[(Seq, Stamp)] {
        &self.disk.dropped
    }
}
