//! The door of a replica: which role hears which event, and how a replica changes its role.
//!
//! | role | leads to | on |
//! |---|---|---|
//! | backup | candidate | a gateway's `TakeOver`, or an extension's |
//! | candidate | primary | promises of a majority with no more complete log |
//! | candidate, primary | backup | a greater epoch, seen anywhere; a primary as well when an extension says so |
//!
//! There is no way back into a role after a restart: a primary that reopens its device is a backup, since it may have
//! lost its last unsynced entries, and would give their seqs a second content in the same epoch.

use trace::{Kind, emit};

use crate::Durable;
use crate::core::Core;
use crate::guard;
use crate::host::{Config, Effect, Event, Fits, Restored};
use crate::message::*;
use crate::roles::backup::{self, Piece};
use crate::roles::candidate::{Call, Candidate};
use crate::roles::peer::Mismatch;
use crate::roles::primary::{self, Primary};
use crate::roles::receiver::{Part, Receiver};
use crate::roles::sender::Pull;
use crate::types::*;
use crate::wire;

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
    /// A state that is on its way here.
    pub(crate) receiver: Receiver,
}

impl Replica {
    /// A backup, with what its device still knew. The log's last epoch counts as promised: its primary was followed.
    pub fn restore(config: Config, restored: Restored) -> Result<Replica, wire::WireError> {
        let core = Core::restore(config, restored)?;
        Ok(Replica { core, role: Role::Backup, receiver: Receiver::default() })
    }

    /// From now on says what happens ([`Effect::Tell`]), or does not.
    pub fn listen(&mut self, on: bool) {
        self.core.listened = on;
    }

    /// The next effect to carry out.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.core.effects.pop_front()
    }

    /// Handles one event at time `now`.
    ///
    /// # Panics
    /// If an invariant does not hold afterwards: this replica must not go on.
    pub fn step(&mut self, now: Micros, event: Event) {
        let before = self.mark();
        self.core.now = now;
        self.handle(event);
        self.core.now = 0;
        self.check(&before);
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Message(from, message, fits) => self.on_message(from, message, fits),
            Event::Tick => self.on_tick(),
            Event::Settle => {
                if let Some((primary, core)) = self.leading() {
                    primary.reads.settle(core, primary.epoch);
                    primary.replicate(core);
                }
            }
            Event::Durable(proof) => self.on_durable(proof),
            Event::Applied(seq, outcome) => self.on_applied(seq, outcome),
            Event::Sent(to, upto, bytes) => {
                if let Some((primary, core)) = self.leading() {
                    primary.on_sent(core, to, upto, bytes);
                }
            }
            Event::Compacted(seq) => {
                self.core.log.compact(seq);
                self.core.members.compact(seq);
            }
            Event::Installed(done) => self.receiver.on_installed(&mut self.core, done),
            Event::Unreadable(to) => {
                if let Some((primary, core)) = self.leading() {
                    primary.on_unreadable(core, to);
                }
            }
            Event::SyncTook(micros) => self.core.sync.note(micros),
            Event::TakeOver(above, patience) => {
                if guard::epoch_bound(self.core.config.mechanisms, self.core.seen, above) {
                    self.on_take_over(Call { gateway: None, above, patience });
                }
            }
            Event::StepDown => self.on_step_down(),
            Event::Change(change) => {
                if let Some((primary, core)) = self.leading() {
                    core.append_own(primary.epoch, Origin::Change(change), Op::Nop);
                    primary.meet(core);
                }
            }
        }
    }

    /// The primary's part, if this replica leads.
    pub(crate) fn leading(&mut self) -> Option<(&mut Primary, &mut Core)> {
        match &mut self.role {
            Role::Primary(primary) => Some((primary, &mut self.core)),
            Role::Backup | Role::Candidate(_) => None,
        }
    }

    fn on_message(&mut self, from: Address, message: Message, fits: Fits) {
        let on = self.core.config.mechanisms;
        if message.epoch().is_some_and(|epoch| !guard::epoch_bound(on, self.core.seen, epoch)) {
            return self.core.refuse_frame(from, message.name(), "it names an epoch that cannot be");
        }
        let wanted = message.entries();
        let fits = guard::admission_by_size(on, fits, wanted);
        // Whoever wants an entry of the receiver's own, asks again, or asks somebody else.
        let own = matches!(message, Message::TakeOver { .. } | Message::Pull { .. });
        if own && fits.entries < wanted {
            return self.core.refuse_frame(from, message.name(), "the log has no room for a marker");
        }
        match from {
            Address::Gateway(gateway) => self.on_gateway(gateway, message, fits),
            Address::Node(peer) if self.core.hears(peer) => self.on_node(peer, message, fits),
            Address::Node(_) => self.core.refuse_frame(from, message.name(), "it is no member of this shard"),
        }
    }

    /// Messages of other replicas. Each handler first refuses what is stale, foreign or repeated.
    fn on_node(&mut self, from: NodeId, message: Message, fits: Fits) {
        match message {
            Message::Prepare { .. }
            | Message::Confirm { .. }
            | Message::Behind { .. }
            | Message::Chunk { .. } => self.on_primary(from, message, fits),
            Message::Contradicted { epoch, acknowledged } => self.on_contradicted(from, epoch, acknowledged),
            Message::PromiseRequest { epoch } => self.on_promise_request(from, epoch),
            Message::Promised { epoch, tail } => self.on_promised(from, epoch, tail),
            Message::Fenced { promised } => self.on_fenced(from, promised),
            Message::PrepareOk { .. }
            | Message::PrepareRefused { .. }
            | Message::Confirmed { .. }
            | Message::Pull { .. } => self.on_backup(from, message),
            // A gateway's words, or words to a gateway, from a node: nobody means this.
            other => self.core.refuse_frame(from, other.name(), "no node says that to another"),
        }
    }

    /// What a primary says, in its epoch.
    fn on_primary(&mut self, from: NodeId, message: Message, fits: Fits) {
        let Some(leader) = message.epoch().and_then(|epoch| self.follow(from, epoch)) else { return };
        let (core, receiver) = (&mut self.core, &mut self.receiver);
        match message {
            Message::Prepare { prev, entries, commit, .. } => {
                let fit = fits.entries;
                backup::on_prepare(core, receiver, leader, Piece { prev, entries, commit, fit });
            }
            Message::Confirm { round, .. } => backup::on_confirm(core, leader, round),
            Message::Behind { retained_from, .. } => receiver.on_behind(core, leader, retained_from),
            Message::Chunk { transfer, cursor, chunk, .. } => {
                receiver.on_chunk(core, leader, Part { transfer, cursor, chunk })
            }
            _ => {}
        }
    }

    /// What only a primary asks for; to all others it comes too late.
    fn on_backup(&mut self, from: NodeId, message: Message) {
        let Some((primary, core)) = self.leading() else { return };
        match message {
            Message::PrepareOk { epoch, matched } => primary.on_prepare_ok(core, from, epoch, matched),
            Message::PrepareRefused { epoch, prev, last, lost } => {
                primary.on_prepare_refused(core, from, epoch, Mismatch { prev, last, lost })
            }
            Message::Confirmed { epoch, round } => primary.on_confirmed(core, from, epoch, round),
            Message::Pull { epoch, transfer, unproven, cursor } => {
                primary.on_pull(core, epoch, Pull { from, transfer, unproven, cursor })
            }
            _ => {}
        }
    }

    fn on_gateway(&mut self, from: GatewayId, message: Message, fits: Fits) {
        match message {
            Message::Write { request, op } => self.on_write(from, request, op, fits),
            Message::OpenSession => match self.leading() {
                Some((primary, core)) => primary.on_open_session(core, from, fits),
                None => self.refuse(from, Refusable::OpenSession),
            },
            Message::Read { id, query } => match self.leading() {
                Some((primary, core)) => primary.on_read(core, from, id, query),
                None => self.refuse(from, Refusable::Read(id)),
            },
            Message::Probe { attempt } => self.tell_status(from, attempt),
            Message::TakeOver { above, patience } => {
                self.on_take_over(Call { gateway: Some(from), above, patience })
            }
            other => self.core.refuse_frame(Address::Gateway(from), other.name(), "no gateway says that"),
        }
    }

    fn on_write(&mut self, gateway: GatewayId, request: RequestId, op: Op, fits: Fits) {
        let RequestId { session, number } = request;
        emit!(self.core, Kind::RequestReceived { session, number, op: op.to_string() });
        match self.leading() {
            Some((primary, core)) => primary.on_write(core, gateway, request, op, fits),
            None => self.refuse(gateway, Refusable::Write(request)),
        }
    }

    /// Only a primary does this.
    fn refuse(&mut self, gateway: GatewayId, what: Refusable) {
        let why = Refusal::NotPrimary { primary: self.core.following };
        primary::refuse(&mut self.core, gateway, what, why);
    }

    fn on_tick(&mut self) {
        self.candidate_tick();
        self.receiver.tick(&mut self.core);
        if let Some((primary, core)) = self.leading() {
            primary.reads.tick(core, primary.epoch);
            primary.replicate(core);
        }
    }

    /// The own log is durable up to here.
    fn on_durable(&mut self, proof: Durable) {
        self.core.durable = proof.seq().min(self.core.log.tail().seq);
        if let Some((primary, core)) = self.leading() {
            primary.advance_commit(core);
        }
        self.core.apply_next();
    }

    fn on_applied(&mut self, seq: Seq, outcome: Outcome) {
        let (on, leads) = (self.core.config.mechanisms, self.is_primary());
        match self.core.note_applied(seq, outcome) {
            (Origin::Session(gateway), _) => {
                self.core.sessions.open(seq, gateway);
                if leads {
                    self.core.send(Address::Gateway(gateway), Message::SessionOpened { session: seq });
                }
            }
            (Origin::Request(request), Some(result)) => {
                if let WriteResult::Done(outcome) = result
                    && guard::dedup_survives_failover(on, leads)
                {
                    self.core.sessions.record(request, outcome, seq);
                }
                if let Some((primary, core)) = self.leading() {
                    primary.answer_write(core, request, result);
                }
            }
            (Origin::Change(_), _) => {
                if let Some((primary, core)) = self.leading() {
                    primary.meet(core);
                }
            }
            _ => self.on_marker(seq),
        }
        self.core.apply_next();
        if let Some((primary, core)) = self.leading() {
            primary.reads.answer(core, primary.epoch);
        }
    }

    /// The epoch's first entry is committed: from now on the primary serves.
    fn on_marker(&mut self, seq: Seq) {
        let Some((primary, core)) = self.leading() else { return };
        if primary.serves_from(seq) {
            emit!(core, Kind::PrimaryServing { epoch: primary.epoch.0, marker: seq });
            let (gateway, status) = (primary.asked_by, self.status(0));
            if let Some(gateway) = gateway {
                self.core.send(Address::Gateway(gateway), Message::Status { attempt: 0, status });
            }
        }
    }
}
