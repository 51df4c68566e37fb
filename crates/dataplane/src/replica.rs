//! The door of a replica: which role hears which event, and how a replica changes its role.
//!
//! | role | leads to | on |
//! |---|---|---|
//! | backup | candidate | a gateway's `TakeOver` |
//! | candidate | primary | promises of a majority with no more complete log |
//! | candidate, primary | backup | a greater epoch, seen anywhere |
//!
//! There is no way back into a role after a restart: a primary that reopens its device is a backup, since it may have
//! lost its last unsynced entries, and would give their seqs a second content in the same epoch.

use std::sync::Arc;

use trace::{Kind, Tracer, emit};

use crate::core::Core;
use crate::host::{Config, Effect, Event, Restored};
use crate::message::*;
use crate::roles::backup::{self, Piece};
use crate::roles::candidate::{Call, Candidate};
use crate::roles::primary::{self, Primary};
use crate::roles::receiver::{self, Receiving};
use crate::roles::sender::Pull;
use crate::sessions::{Sessions, Verdict};
use crate::types::*;
use crate::{Durable, guard, wire};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    Backup,
    Candidate(Candidate),
    Primary(Primary),
}

/// One replica of one shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Replica {
    pub(crate) core: Core,
    pub(crate) role: Role,
    /// A state that is on its way here, in pieces.
    pub(crate) receiving: Option<Receiving>,
}

impl Replica {
    /// A backup, with what its device still knew. The log's last epoch counts as promised: its primary was followed.
    pub fn restore(config: Config, restored: Restored) -> Result<Replica, wire::WireError> {
        Ok(Replica { core: Core::restore(config, restored)?, role: Role::Backup, receiving: None })
    }

    /// The next effect to carry out.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.core.effects.pop_front()
    }

    /// Handles one event at time `now`.
    ///
    /// # Panics
    /// If an invariant does not hold afterwards: this replica must not go on.
    pub fn step(&mut self, now: Micros, event: Event, t: &mut Tracer) {
        let before = self.mark();
        self.handle(now, event, t);
        self.check(&before);
    }

    fn handle(&mut self, now: Micros, event: Event, t: &mut Tracer) {
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
                if peer != self.core.config.me && self.core.config.members.contains(&peer) {
                    self.on_node(now, peer, message, t);
                } else {
                    emit!(t, Kind::FrameRefused { why: format!("{peer} is no member of this shard") });
                }
            }
            Event::Tick => {
                self.candidate_tick(now, t);
                receiver::tick(&mut self.core, &mut self.receiving, now, t);
                if let Role::Primary(primary) = &mut self.role {
                    primary.reads.tick(&mut self.core, primary.epoch, now);
                    primary.replicate(&mut self.core, now, t);
                }
            }
            Event::Settle => {
                if let Role::Primary(primary) = &mut self.role {
                    primary.reads.settle(&mut self.core, primary.epoch, now, t);
                    primary.replicate(&mut self.core, now, t);
                }
            }
            Event::Durable(proof) => self.on_durable(proof, t),
            Event::Applied(seq, outcome) => self.on_applied(seq, outcome, t),
            Event::Sent(to, upto, bytes) => {
                if let Role::Primary(primary) = &mut self.role {
                    primary.on_sent(&mut self.core, now, to, upto, bytes, t);
                }
            }
            Event::Compacted(seq) => self.core.log.compact(seq),
            Event::Installed(done) => receiver::on_installed(&mut self.core, &mut self.receiving, done, t),
            Event::Unreadable(to) => {
                if let Role::Primary(primary) = &mut self.role {
                    primary.on_unreadable(&mut self.core, now, to);
                }
            }
            Event::SyncTook(micros) => self.core.sync.note(micros),
            Event::Room(entries) => self.core.room = entries,
        }
    }

    /// Whether the epoch of a message can be true. It may become durable here, and no promise is ever taken back.
    fn is_believable(&self, message: &Message) -> bool {
        let most = self.core.seen.0.saturating_add(EPOCH_JUMP_MAX).min(COUNTER_MAX);
        // A takeover picks the next one, which must be possible as well.
        message.epoch().is_none_or(|epoch| epoch.0 < most - 1)
    }

    /// Messages of other replicas. Each handler first refuses what is stale, foreign or repeated.
    fn on_node(&mut self, now: Micros, from: NodeId, message: Message, t: &mut Tracer) {
        match message {
            Message::Prepare { epoch, prev, entries, commit } => {
                let room = std::mem::replace(&mut self.core.room, usize::MAX);
                if self.follow(from, epoch, t) {
                    let piece = Piece { from, epoch, prev, entries, commit, room };
                    backup::on_prepare(&mut self.core, &mut self.receiving, now, piece, t);
                }
            }
            Message::Confirm { epoch, round } => {
                if self.follow(from, epoch, t) {
                    backup::on_confirm(&mut self.core, from, epoch, round, t);
                }
            }
            Message::Behind { epoch, retained_from } => {
                if self.follow(from, epoch, t) {
                    let receiving = &mut self.receiving;
                    receiver::on_behind(&mut self.core, receiving, now, from, epoch, retained_from, t);
                }
            }
            Message::Chunk { epoch, transfer, cursor, chunk } => {
                if self.follow(from, epoch, t) {
                    let receiving = &mut self.receiving;
                    receiver::on_chunk(
                        &mut self.core,
                        receiving,
                        now,
                        from,
                        epoch,
                        transfer,
                        cursor,
                        chunk,
                        t,
                    );
                }
            }
            Message::Contradicted { epoch, acknowledged } => {
                self.on_contradicted(from, epoch, acknowledged, t)
            }
            Message::PromiseRequest { epoch } => self.on_promise_request(from, epoch, t),
            Message::Promised { epoch, tail } => self.on_promised(now, from, epoch, tail, t),
            Message::Fenced { promised } => self.on_fenced(now, from, promised, t),
            // What only a primary asks for; to all others it comes too late.
            answer => {
                if let Role::Primary(primary) = &mut self.role {
                    to_primary(primary, &mut self.core, now, from, answer, t);
                } else if !is_for_a_primary(&answer) {
                    emit!(t, Kind::FrameRefused { why: format!("{} from {from}", answer.name()) });
                }
            }
        }
    }

    fn on_gateway(&mut self, now: Micros, from: GatewayId, message: Message, t: &mut Tracer) {
        match message {
            Message::Write { request, op } => self.on_write(from, request, op, t),
            Message::OpenSession => match &mut self.role {
                Role::Primary(primary) => primary.on_open_session(&mut self.core, from, t),
                _ => self.refuse(from, Refusable::OpenSession),
            },
            Message::Read { id, query } => match &mut self.role {
                Role::Primary(primary) => primary.on_read(&mut self.core, from, id, query, t),
                _ => self.refuse(from, Refusable::Read(id)),
            },
            Message::Probe { attempt } => self.tell_status(now, from, attempt),
            Message::TakeOver { above, patience } => {
                self.on_take_over(now, Call { gateway: from, above, patience }, t)
            }
            other => {
                emit!(t, Kind::FrameRefused { why: format!("{} from a gateway", other.name()) });
            }
        }
    }

    fn on_write(&mut self, gateway: GatewayId, request: RequestId, op: Op, t: &mut Tracer) {
        let RequestId { session, number } = request;
        emit!(t, Kind::RequestReceived { session, number, op: op.to_string() });
        match &mut self.role {
            Role::Primary(primary) => primary.on_write(&mut self.core, gateway, request, op, t),
            _ => {
                let why = Refusal::NotPrimary { primary: self.core.following };
                primary::refuse_write(&mut self.core, gateway, request, why, t);
            }
        }
    }

    /// Only a primary does this.
    fn refuse(&mut self, gateway: GatewayId, what: Refusable) {
        let why = Refusal::NotPrimary { primary: self.core.following };
        self.core.send(Address::Gateway(gateway), Message::Refused { what, why });
    }

    /// The own log is durable up to here.
    fn on_durable(&mut self, proof: Durable, t: &mut Tracer) {
        self.core.durable = proof.seq().min(self.core.log.tail().seq);
        if let Role::Primary(primary) = &mut self.role {
            primary.advance_commit(&mut self.core, t);
        }
        self.core.apply_next();
    }

    fn on_applied(&mut self, seq: Seq, outcome: Outcome, t: &mut Tracer) {
        assert_eq!(seq, self.core.applied + 1, "D5: entries are applied in order, each once");
        let origin = self.core.unapplied.pop_front().expect("an applied entry was in the log");
        emit!(t, Kind::EntryApplied { seq, outcome: outcome.to_string(), applied_before: self.core.applied });
        self.core.applied = seq;
        self.core.applying = false;
        let on = self.core.config.mechanisms;
        let leads = matches!(self.role, Role::Primary(_));
        match origin {
            Origin::Marker => self.on_marker(seq, t),
            Origin::Session(gateway) => {
                self.core.sessions.open(seq, gateway);
                if leads {
                    self.core.send(Address::Gateway(gateway), Message::SessionOpened { session: seq });
                }
            }
            Origin::Request(request) => {
                let result = match self.core.sessions.verdict(on, request) {
                    Verdict::Fresh => WriteResult::Done(outcome),
                    Verdict::Repeated(earlier) => WriteResult::Done(earlier),
                    Verdict::Unknown => {
                        WriteResult::SessionUnknown(self.core.sessions.remembered_from(request))
                    }
                };
                match result {
                    WriteResult::Done(outcome) if guard::dedup_survives_failover(on, leads) => {
                        self.core.sessions.record(request, outcome, seq)
                    }
                    _ => {}
                }
                if let Role::Primary(primary) = &mut self.role {
                    primary.answer_write(&mut self.core, request, result, t);
                }
            }
        }
        self.core.apply_next();
        if let Role::Primary(primary) = &mut self.role {
            primary.reads.answer(&mut self.core, primary.epoch, t);
        }
    }

    /// The epoch's first entry is committed: from now on the primary serves.
    fn on_marker(&mut self, seq: Seq, t: &mut Tracer) {
        if let Role::Primary(primary) = &mut self.role
            && primary.serves_from(seq)
        {
            emit!(t, Kind::PrimaryServing { epoch: primary.epoch.0, marker: seq });
            let (gateway, status) = (primary.asked_by, self.status(0));
            self.core.send(Address::Gateway(gateway), Message::Status { attempt: 0, status });
        }
    }

    /// Does an unproven receiver wait for a checkpoint as of what is applied by now?
    pub fn wants_checkpoint(&self) -> bool {
        matches!(&self.role, Role::Primary(primary) if primary.wants_checkpoint(&self.core))
    }

    /// What a checkpoint as of the applied seq has to carry for [`Replica::restore`].
    pub fn host_state(&self) -> Vec<u8> {
        self.core.host_state()
    }

    /// When [`Event::Tick`] is due next.
    pub fn next_deadline(&self) -> Option<Micros> {
        let timing = &self.core.config.timing;
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
                (RoleName::Primary, primary.serving, primary.cut_off(now, self.core.config.members.len()))
            }
        };
        NodeStatus {
            pid: self.core.config.pid,
            role,
            serving,
            proof: self.proof(),
            promised: self.core.promised,
            primary: if role == RoleName::Primary { Some(self.core.config.me) } else { self.core.following },
            tail: self.core.log.tail(),
            voted_tail: self.core.voted_tail(),
            durable: self.core.durable,
            committed: self.core.commit,
            cut_off_micros,
            sync_micros: self.core.sync.usually(),
        }
    }

    pub(crate) fn tell_status(&mut self, now: Micros, to: GatewayId, attempt: u64) {
        let status = self.status(now);
        self.core.reported = status.tail;
        self.core.send(Address::Gateway(to), Message::Status { attempt, status });
    }

    /// Whether this replica may vote.
    pub fn proof(&self) -> Proof {
        match (self.core.proven, &self.receiving) {
            (true, _) => Proof::Proven,
            (false, None) => Proof::Unproven,
            (false, Some(_)) => Proof::Transferring,
        }
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
        self.core.proven
    }

    /// What it remembers of requests.
    pub fn sessions(&self) -> &Sessions {
        &self.core.sessions
    }

    /// Who it is, and how patient.
    pub fn config(&self) -> &Config {
        &self.core.config
    }

    /// Part, epoch, commit point, applied seq and log end, for checkers.
    pub fn observe(&self) -> (RoleName, Epoch, Seq, Seq, Tail) {
        (self.status(0).role, self.core.promised, self.core.commit, self.core.applied, self.core.log.tail())
    }

    /// Does the log lack entries that it had?
    pub fn is_short(&self) -> bool {
        self.core.is_short()
    }

    /// Is this entry in the log already, or in the checkpoint?
    pub fn has(&self, entry: &Entry) -> bool {
        self.core.has(entry)
    }

    /// What the others are to be asked for, when the value of `key` as of entry `version` is damaged.
    pub fn name_of(&self, key: Arc<[u8]>, version: Seq) -> ValueName {
        self.core.name_of(key, version)
    }

    /// Is the entry that `name` means the one of that seq here?
    pub fn means(&self, name: &ValueName) -> bool {
        self.core.means(name)
    }
}

fn is_for_a_primary(message: &Message) -> bool {
    matches!(
        message,
        Message::PrepareOk { .. }
            | Message::PrepareRefused { .. }
            | Message::Confirmed { .. }
            | Message::Pull { .. }
    )
}

/// What a primary hears from the others.
fn to_primary(
    primary: &mut Primary,
    core: &mut Core,
    now: Micros,
    from: NodeId,
    message: Message,
    t: &mut Tracer,
) {
    match message {
        Message::PrepareOk { epoch, matched } => primary.on_prepare_ok(core, now, from, epoch, matched, t),
        Message::PrepareRefused { epoch, prev, last, lost } => {
            primary.on_prepare_refused(core, now, from, epoch, prev, last, lost)
        }
        Message::Confirmed { epoch, round } => primary.on_confirmed(core, now, from, epoch, round, t),
        Message::Pull { epoch, transfer, unproven, cursor } => {
            primary.on_pull(core, Pull { from, epoch, transfer, unproven, cursor }, t)
        }
        // A gateway's words, or words to a gateway, from a node: nobody means this.
        other => {
            emit!(t, Kind::FrameRefused { why: format!("{} from {from}", other.name()) });
        }
    }
}
