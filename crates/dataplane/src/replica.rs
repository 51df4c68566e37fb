//! The state of one replica, and who handles which event.
//!
//! The host feeds [`Event`]s and carries out the [`Effect`]s **in order**, all of them before the next event. That
//! order is part of the rules: an `Apply` comes before the answer that reports it, a `Promise` is durable before
//! anything behind it is done, a `Hold` leaves only when all before it is durable.
//!
//! | role | leads to | on |
//! |---|---|---|
//! | backup | candidate | a gateway's `TakeOver` |
//! | candidate | primary | promises of a majority with no more complete log |
//! | candidate, primary | backup | a greater epoch, seen anywhere |
//!
//! There is no way back into a role after a restart: a primary that reopens its device is a backup, since it may have
//! lost its last unsynced entries, and would give their seqs a second content in the same epoch.

use std::collections::VecDeque;

use trace::{Kind, Mechanisms, Tracer, emit};

use crate::guard;
use crate::log::LogShape;
use crate::message::*;
use crate::patience::Measured;
use crate::primary::Primary;
use crate::sessions::{Sessions, Verdict};
use crate::takeover::Candidate;
use crate::transfer::{HostState, Receiving};
use crate::types::*;
use crate::{Durable, wire};

/// Who a replica is, and how patient.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// This node.
    pub me: NodeId,
    /// All replicas of the shard, this one included.
    pub members: Vec<NodeId>,
    /// Which mechanisms are on.
    pub mechanisms: Mechanisms,
    /// How long it waits for what.
    pub timing: Timing,
    /// How much it remembers of requests.
    pub limits: Limits,
    /// The host's process id, shown in status.
    pub pid: u32,
    /// A random number of this life of the replica: names what must not be taken for an earlier life's.
    pub life: u64,
}

/// How long a replica waits, in microseconds, and how much it keeps in flight.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    /// A primary speaks to each backup at least this often.
    pub heartbeat_every: Micros,
    /// Entries, confirmations and pulls that are not answered for this long are sent again.
    pub resend_after: Micros,
    /// A candidate without a majority after this long gives up; later, if whoever called it says so.
    pub candidate_patience: Micros,
    /// Bytes on their way to one backup.
    pub window_bytes: u64,
    /// Entries a primary takes on before they are applied.
    pub waiting_max: u64,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            heartbeat_every: 50_000,
            resend_after: 200_000,
            candidate_patience: 120_000,
            window_bytes: 4 << 20,
            waiting_max: 8192,
        }
    }
}

/// What the device still knew when it was opened.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The promise in its superblock.
    pub promised: Epoch,
    /// Whether its log may vote.
    pub proven: bool,
    /// The last entry that the log had, if it lost some to damage (see `owed`).
    pub owed: Tail,
    /// The device is damaged, and what is before the damage is all that it can read.
    pub damaged: bool,
    /// The seq of its checkpoint.
    pub checkpoint: Seq,
    /// What [`Replica::host_state`] gave for that checkpoint; empty for none.
    pub host_state: Vec<u8>,
    /// The entries after the checkpoint, oldest first; all tentative.
    pub entries: Vec<(Epoch, Origin)>,
}

/// What happens to a replica.
#[derive(Clone, Debug)]
pub enum Event {
    /// A frame that passed `frame_identity` arrived.
    Message(Address, Message),
    /// Time has passed.
    Tick,
    /// All that had arrived has been handled: replicate it as one batch, confirm all waiting reads in one round.
    Settle,
    /// A sync has returned.
    Durable(Durable),
    /// An `Effect::Apply` was carried out.
    Applied(Seq, Outcome),
    /// An `Effect::SendEntries` was carried out: entries up to this one, of this many bytes, were sent.
    Sent(NodeId, Seq, u64),
    /// A checkpoint as of this seq is durable: earlier entries are gone from the log.
    Compacted(Seq),
    /// An `Effect::InstallFinish` was carried out; or (`false`) what was received could not be kept.
    Installed(bool),
    /// The first of the entries of an `Effect::SendEntries` cannot be read, and is being repaired.
    Unreadable(NodeId),
    /// A sync of the device took so long.
    SyncTook(Micros),
    /// Of the next `Prepare`'s entries only the first so many have room on the device.
    Room(usize),
}

/// What a replica wants done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Append to the log.
    Append(Entry),
    /// Undo the entries from this one on.
    Truncate(Seq),
    /// Store the promise; go on when it is durable.
    Promise(Epoch),
    /// Apply the next entry, or pass over it; report `Event::Applied`.
    Apply {
        /// Always the one after the last applied.
        seq: Seq,
        /// Its request has taken effect already, or is unknown.
        skip: bool,
    },
    /// Send now.
    Send(Address, Message),
    /// Send when everything before this effect is durable.
    Hold(Address, Message),
    /// Send entries behind `prev`, up to `upto` or what fits a frame; report `Event::Sent`.
    SendEntries {
        /// The backup.
        to: NodeId,
        /// The own epoch.
        epoch: Epoch,
        /// The entry before the first one sent.
        prev: Tail,
        /// The last one to send; `prev.seq` for none.
        upto: Seq,
        /// The commit point.
        commit: Seq,
    },
    /// Answer a read from the applied state, now.
    Read {
        /// Who asks.
        gateway: GatewayId,
        /// The gateway's name for it.
        id: u64,
        /// The question.
        query: Query,
    },
    /// Send the piece of the checkpoint behind `cursor`.
    SendChunk {
        /// The receiver.
        to: NodeId,
        /// The own epoch.
        epoch: Epoch,
        /// The receiver's name for the transfer.
        transfer: u64,
        /// Where to go on.
        cursor: Vec<u8>,
    },
    /// Begin to receive a state, dropping what an earlier attempt received.
    InstallBegin,
    /// Store what was received.
    InstallItems(Vec<Item>),
    /// Make the received state the replica's own, and the epoch its promise, in one durable step; report
    /// `Event::Installed`.
    InstallFinish {
        /// The state is the one after this entry.
        seq: Seq,
        /// Goes into the checkpoint.
        host_state: Vec<u8>,
        /// The confirmed epoch.
        epoch: Epoch,
    },
    /// Forget what was received.
    InstallAbort,
    /// Mark the device as one that may not vote, durably.
    Unprove,
    /// Go on without what is damaged on the device; note durably what the log had.
    GiveUpDamaged(Tail),
    /// Give up all of the state, and note durably what the log had.
    GiveUpAll(Tail),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    Backup,
    Candidate(Candidate),
    Primary(Primary),
}

/// One replica of one shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Replica {
    pub(crate) config: Config,
    pub(crate) role: Role,
    /// The greatest epoch promised or followed; durable before anybody hears of it (D3).
    pub(crate) promised: Epoch,
    /// The greatest epoch heard of from anybody; at least `promised`.
    pub(crate) seen: Epoch,
    /// Who leads in `promised`, once it has spoken.
    pub(crate) following: Option<NodeId>,
    pub(crate) proven: bool,
    pub(crate) receiving: Option<Receiving>,
    pub(crate) log: LogShape,
    /// Origins of the entries after `applied`.
    pub(crate) unapplied: VecDeque<Origin>,
    /// At most the log's end; never goes back.
    pub(crate) commit: Seq,
    /// At most `commit` (D5).
    pub(crate) applied: Seq,
    /// The own log is durable up to here; at most its end.
    pub(crate) durable: Seq,
    /// An `Effect::Apply` is out: the next one follows its report.
    applying: bool,
    pub(crate) sessions: Sessions,
    /// The tail in the last status given.
    pub(crate) reported: Tail,
    /// Where the log ended before it lost entries, to damage or for want of room; what of it was acknowledged may be
    /// committed. See `owed.rs`.
    pub(crate) owed: Tail,
    /// The device is damaged, and nothing is given up yet.
    pub(crate) damaged: bool,
    /// How many of the next `Prepare`'s entries have room on the device.
    pub(crate) room: usize,
    /// What a sync of the device takes.
    sync: Measured,
    /// Transfers begun in this life.
    pub(crate) transfers_begun: u64,
    effects: VecDeque<Effect>,
}

impl Replica {
    /// A backup, with what its device still knew. The log's last epoch counts as promised: its primary was followed.
    pub fn restore(config: Config, restored: Restored) -> Result<Replica, wire::WireError> {
        let state = HostState::decode(&restored.host_state, config.limits)?;
        let mut log = LogShape::new(Tail { epoch: state.last_epoch, seq: restored.checkpoint });
        restored.entries.iter().for_each(|(epoch, _)| {
            log.append(*epoch);
        });
        let promised = restored.promised.max(log.tail().epoch).max(restored.owed.epoch);
        Ok(Replica {
            config,
            role: Role::Backup,
            promised,
            seen: promised,
            following: None,
            proven: restored.proven,
            receiving: None,
            reported: log.tail(),
            owed: restored.owed,
            damaged: restored.damaged,
            room: usize::MAX,
            sync: Measured::default(),
            transfers_begun: 0,
            durable: log.tail().seq,
            applying: false,
            unapplied: restored.entries.into_iter().map(|(_, origin)| origin).collect(),
            commit: restored.checkpoint,
            applied: restored.checkpoint,
            sessions: state.sessions,
            effects: VecDeque::new(),
            log,
        })
    }

    /// The next effect to carry out.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Handles one event at time `now`.
    pub fn step(&mut self, now: Micros, event: Event, t: &mut Tracer) {
        match event {
            Event::Message(from, message) if !self.is_believable(&message) => {
                emit!(
                    t,
                    Kind::FrameRefused {
                        why: format!("{} of {from} names an epoch that cannot be", message.name())
                    }
                );
            }
            Event::Message(Address::Gateway(gateway), message) => self.on_gateway(now, gateway, message, t),
            Event::Message(Address::Node(peer), message) => {
                if peer != self.config.me && self.config.members.contains(&peer) {
                    self.on_node(now, peer, message, t);
                } else {
                    emit!(t, Kind::FrameRefused { why: format!("{peer} is no member of this shard") });
                }
            }
            Event::Tick => {
                self.candidate_tick(now, t);
                self.transfer_tick(now, t);
                self.reads_tick(now);
                self.replicate(now, t);
            }
            Event::Settle => {
                self.reads_settle(now, t);
                self.replicate(now, t);
            }
            Event::Durable(proof) => self.on_durable(proof, t),
            Event::Applied(seq, outcome) => self.on_applied(seq, outcome, t),
            Event::Sent(to, upto, bytes) => self.on_sent(now, to, upto, bytes, t),
            Event::Compacted(seq) => self.log.compact(seq),
            Event::Installed(done) => self.on_installed(done, t),
            Event::Unreadable(to) => self.on_unreadable(now, to),
            Event::SyncTook(micros) => self.sync.note(micros),
            Event::Room(entries) => self.room = entries,
        }
    }

    /// Whether the epoch of a message can be true. It may become durable here, and no promise is ever taken back.
    fn is_believable(&self, message: &Message) -> bool {
        let most = self.seen.0.saturating_add(EPOCH_JUMP_MAX).min(COUNTER_MAX);
        // A takeover picks the next one, which must be possible as well.
        message.epoch().is_none_or(|epoch| epoch.0 < most - 1)
    }

    /// Messages of other replicas. Each handler first refuses what is stale, foreign or repeated.
    fn on_node(&mut self, now: Micros, from: NodeId, message: Message, t: &mut Tracer) {
        match message {
            Message::Prepare { epoch, prev, entries, commit } => {
                self.on_prepare(now, from, epoch, prev, entries, commit, t)
            }
            Message::PrepareOk { epoch, matched } => self.on_prepare_ok(now, from, epoch, matched, t),
            Message::PrepareRefused { epoch, prev, last, lost } => {
                self.on_prepare_refused(now, from, epoch, prev, last, lost)
            }
            Message::Contradicted { epoch, acknowledged } => {
                self.on_contradicted(from, epoch, acknowledged, t)
            }
            Message::PromiseRequest { epoch } => self.on_promise_request(from, epoch, t),
            Message::Promised { epoch, tail } => self.on_promised(now, from, epoch, tail, t),
            Message::Fenced { promised } => self.on_fenced(now, from, promised, t),
            Message::Confirm { epoch, round } => self.on_confirm(from, epoch, round, t),
            Message::Confirmed { epoch, round } => self.on_confirmed(now, from, epoch, round, t),
            Message::Behind { epoch, retained_from } => self.on_behind(now, from, epoch, retained_from, t),
            Message::Pull { epoch, transfer, unproven, cursor } => {
                self.on_pull(from, epoch, transfer, unproven, cursor, t)
            }
            Message::Chunk { epoch, transfer, cursor, chunk } => {
                self.on_chunk(now, from, epoch, transfer, cursor, chunk, t)
            }
            // A gateway's words, or words to a gateway, from a node: nobody means this.
            other => {
                emit!(t, Kind::FrameRefused { why: format!("{} from {from}", other.name()) });
            }
        }
    }

    fn on_gateway(&mut self, now: Micros, from: GatewayId, message: Message, t: &mut Tracer) {
        match message {
            Message::Write { request, op } => self.on_write(from, request, op, t),
            Message::OpenSession => self.on_open_session(from, t),
            Message::Read { id, query } => self.on_read(from, id, query, t),
            Message::Probe { attempt } => self.tell_status(now, from, attempt),
            Message::TakeOver { above, patience } => self.on_take_over(now, from, above, patience, t),
            other => {
                emit!(t, Kind::FrameRefused { why: format!("{} from a gateway", other.name()) });
            }
        }
    }

    /// Listens to `primary`, speaking for `epoch`; false if a greater epoch is promised here.
    ///
    /// A greater epoch than the promised one is promised before anything is done in it: a promise forgotten over a
    /// restart could be given again, to an older candidate.
    pub(crate) fn follow(&mut self, primary: NodeId, epoch: Epoch, t: &mut Tracer) -> bool {
        if !guard::epoch_fence(self.config.mechanisms, self.promised, epoch) {
            emit!(t, Kind::StaleEpochRefused { from: primary.0, epoch: epoch.0, promised: self.promised.0 });
            self.send(Address::Node(primary), Message::Fenced { promised: self.promised });
            return false;
        }
        self.step_down(epoch, t);
        if self.following != Some(primary) || (self.proven && epoch > self.promised) {
            emit!(
                t,
                Kind::EpochAdopted { epoch_before: self.promised.0, epoch: epoch.0, primary: primary.0 }
            );
            // An unproven replica promises nothing before its transfer is done; that makes the epoch its promise.
            if self.proven {
                self.raise_promise(epoch);
            }
            self.following = Some(primary);
        }
        self.seen = self.seen.max(epoch);
        self.give_up_damaged();
        true
    }

    /// Makes `epoch` the promise, durably, if it is greater.
    pub(crate) fn raise_promise(&mut self, epoch: Epoch) {
        if epoch > self.promised {
            self.promised = epoch;
            self.seen = self.seen.max(epoch);
            self.following = None;
            if guard::durable_promise(self.config.mechanisms) {
                self.effect(Effect::Promise(epoch));
            }
        }
    }

    /// Leaves the role of candidate or primary, because `greater` exists. Writes in flight get no answer: they may yet
    /// be committed by a later primary, and the gateway asks again under the same identity.
    pub(crate) fn step_down(&mut self, greater: Epoch, t: &mut Tracer) {
        match std::mem::replace(&mut self.role, Role::Backup) {
            Role::Backup => {}
            Role::Candidate(candidate) => {
                emit!(
                    t,
                    Kind::TakeoverAbandoned {
                        epoch: candidate.epoch.0,
                        why: format!("epoch {} exists", greater.0)
                    }
                );
            }
            Role::Primary(primary) => {
                emit!(t, Kind::SteppedDown { epoch: primary.epoch.0, promised: greater.0 });
                for (gateway, id) in primary.reads.abandoned() {
                    let why = Refusal::NotPrimary { primary: None };
                    self.send(Address::Gateway(gateway), Message::Refused { what: Refusable::Read(id), why });
                }
            }
        }
    }

    /// Moves the commit point and starts applying. Entries are applied one at a time, in log order: what an entry comes
    /// to may depend on the one before.
    pub(crate) fn commit_upto(&mut self, upto: Seq, t: &mut Tracer) {
        if upto > self.commit {
            assert!(upto <= self.log.tail().seq, "D1: commit point within the log");
            emit!(t, Kind::CommitAdvanced { from: self.commit, to: upto, epoch: self.promised.0 });
            self.commit = upto;
            self.apply_next();
        }
    }

    pub(crate) fn apply_next(&mut self) {
        let upto = guard::apply_only_committed(self.config.mechanisms, self.commit, self.log.tail().seq);
        // An entry may be committed by others before it is durable here; it is applied from the device, so after.
        let ready = !self.applying && self.applied < upto.min(self.durable);
        let Some(origin) = self.unapplied.front().filter(|_| ready) else { return };
        let skip = match origin {
            Origin::Request(request) => {
                self.sessions.verdict(self.config.mechanisms, *request) != Verdict::Fresh
            }
            Origin::Marker | Origin::Session(_) => false,
        };
        self.applying = true;
        self.effect(Effect::Apply { seq: self.applied + 1, skip });
    }

    fn on_applied(&mut self, seq: Seq, outcome: Outcome, t: &mut Tracer) {
        assert_eq!(seq, self.applied + 1, "D5: entries are applied in order, each once");
        let origin = self.unapplied.pop_front().expect("an applied entry was in the log");
        emit!(t, Kind::EntryApplied { seq, outcome: outcome.to_string(), applied_before: self.applied });
        self.applied = seq;
        self.applying = false;
        let on = self.config.mechanisms;
        let leads = matches!(self.role, Role::Primary(_));
        match origin {
            Origin::Marker => self.marker_applied(seq, t),
            Origin::Session(gateway) => {
                self.sessions.open(seq, gateway);
                if leads {
                    self.send(Address::Gateway(gateway), Message::SessionOpened { session: seq });
                }
            }
            Origin::Request(request) => {
                let result = match self.sessions.verdict(on, request) {
                    Verdict::Fresh => WriteResult::Done(outcome),
                    Verdict::Repeated(earlier) => WriteResult::Done(earlier),
                    Verdict::Unknown => WriteResult::SessionUnknown(self.sessions.remembered_from(request)),
                };
                match result {
                    WriteResult::Done(outcome) if guard::dedup_survives_failover(on, leads) => {
                        self.sessions.record(request, outcome, seq)
                    }
                    _ => {}
                }
                self.answer_write(request, result, t);
            }
        }
        self.apply_next();
        self.answer_reads(t);
    }

    /// What a checkpoint as of the applied seq has to carry for [`Replica::restore`].
    pub fn host_state(&self) -> Vec<u8> {
        let last_epoch =
            self.log.epoch_at(self.applied).expect("the applied entry is in the log or its base");
        HostState { last_epoch, sessions: self.sessions.clone() }.encode()
    }

    /// When [`Event::Tick`] is due next.
    pub fn next_deadline(&self) -> Option<Micros> {
        let timing = &self.config.timing;
        let role = match &self.role {
            Role::Backup => None,
            Role::Candidate(candidate) => Some(candidate.gives_up_at),
            Role::Primary(primary) => primary.next_deadline(timing),
        };
        let transfer = self.receiving.as_ref().map(|receiving| receiving.pull_again_at(timing.resend_after));
        role.into_iter().chain(transfer).min()
    }

    /// What this replica says of itself.
    pub fn status(&self, now: Micros) -> NodeStatus {
        let (role, serving, cut_off_micros) = match &self.role {
            Role::Backup => (RoleName::Backup, false, 0),
            Role::Candidate(_) => (RoleName::Candidate, false, 0),
            Role::Primary(primary) => {
                (RoleName::Primary, primary.serving, primary.cut_off(now, self.config.members.len()))
            }
        };
        NodeStatus {
            pid: self.config.pid,
            role,
            serving,
            proof: self.proof(),
            promised: self.promised,
            primary: if role == RoleName::Primary { Some(self.config.me) } else { self.following },
            tail: self.log.tail(),
            durable: self.durable,
            committed: self.commit,
            cut_off_micros,
            sync_micros: self.sync.usually(),
        }
    }

    pub(crate) fn tell_status(&mut self, now: Micros, to: GatewayId, attempt: u64) {
        let status = self.status(now);
        self.reported = status.tail;
        self.send(Address::Gateway(to), Message::Status { attempt, status });
    }

    /// Whether this replica may vote.
    pub fn proof(&self) -> Proof {
        match (self.proven, &self.receiving) {
            (true, _) => Proof::Proven,
            (false, None) => Proof::Unproven,
            (false, Some(_)) => Proof::Transferring,
        }
    }

    /// `Some(why)` if this replica may neither promise nor acknowledge.
    pub(crate) fn vote_withheld(&self) -> bool {
        !guard::unproven_log_does_not_vote(self.config.mechanisms, self.proof())
    }

    /// Does it lead?
    pub fn is_primary(&self) -> bool {
        matches!(self.role, Role::Primary(_))
    }

    /// Does it stand?
    pub fn is_candidate(&self) -> bool {
        matches!(self.role, Role::Candidate(_))
    }

    /// Is its log proven?
    pub fn is_proven(&self) -> bool {
        self.proven
    }

    /// What it remembers of requests.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Who it is, and how patient.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Part, epoch, commit point, applied seq and log end, for checkers.
    pub fn observe(&self) -> (RoleName, Epoch, Seq, Seq, Tail) {
        (self.status(0).role, self.promised, self.commit, self.applied, self.log.tail())
    }

    pub(crate) fn peers(&self) -> impl Iterator<Item = NodeId> + use<> {
        let me = self.config.me;
        self.config.members.clone().into_iter().filter(move |peer| *peer != me)
    }

    pub(crate) fn effect(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    pub(crate) fn send(&mut self, to: Address, message: Message) {
        self.effect(Effect::Send(to, message));
    }

    /// Appends to the own log: shape, origin and engine together.
    pub(crate) fn append(&mut self, entry: Entry, t: &mut Tracer) {
        emit!(
            t,
            Kind::EntryAppended { epoch: entry.epoch.0, seq: entry.seq, last_before: self.log.tail().seq }
        );
        let seq = self.log.append(entry.epoch);
        assert_eq!(seq, entry.seq, "D1: a log has no holes");
        self.unapplied.push_back(entry.origin);
        self.effect(Effect::Append(entry));
    }
}
