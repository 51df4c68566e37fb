//! What every role shares: the log, how far it is committed and applied, the promise; and what may be done to them.

use std::collections::VecDeque;
use std::fmt;

use trace::{Kind, Source, Told, emit};

use crate::guard;
use crate::host::{Config, Effect, Restored};
use crate::log_shape::LogShape;
use crate::members::{Members, Rows};
use crate::message::*;
use crate::patience::Typical;
use crate::sessions::{HostState, Sessions, Verdict};
use crate::types::*;
use crate::wire;

/// The part of a replica that outlives its roles.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Core {
    /// Who this is, and how patient.
    pub config: Config,
    /// The greatest epoch promised or followed; durable before anybody hears of it (D3).
    pub promised: Epoch,
    /// The greatest epoch heard of from anybody; at least `promised`.
    pub seen: Epoch,
    /// Who leads in `promised`, once it has spoken.
    pub(crate) following: Option<NodeId>,
    /// May it vote?
    pub proven: bool,
    /// Which epoch wrote which entries.
    pub log: LogShape,
    /// Origins of the entries after `applied`.
    pub(crate) unapplied: VecDeque<Origin>,
    /// At most the log's end; never goes back.
    pub commit: Seq,
    /// At most `commit` (D5).
    pub applied: Seq,
    /// The own log is durable up to here; at most its end.
    pub durable: Seq,
    /// An `Effect::Apply` is out: the next one follows its report.
    pub(crate) applying: bool,
    /// What it remembers of requests.
    pub sessions: Sessions,
    /// Who belongs to the shard.
    pub members: Members,
    /// The tail in the last status given.
    pub(crate) reported: Tail,
    /// Where the log ended before it lost entries, to damage or for want of room; what of it was acknowledged may be
    /// committed. See `owed.rs`.
    pub(crate) owed: Tail,
    /// The device is damaged, and nothing is given up yet.
    pub(crate) damaged: bool,
    /// What a sync of the device takes.
    pub(crate) sync: Typical,
    /// Transfers begun in this life.
    pub(crate) transfers_begun: u64,
    /// When the present step happens; 0 between two steps.
    pub(crate) now: Micros,
    /// Does anybody listen to what happens?
    pub(crate) listened: bool,
    pub(crate) effects: VecDeque<Effect>,
}

impl Core {
    /// A backup, with what its device still knew. The log's last epoch counts as promised: its primary was followed.
    pub(crate) fn restore(config: Config, restored: Restored) -> Result<Core, wire::WireError> {
        let state = HostState::decode(&restored.host_state, config.limits)?;
        let mut log = LogShape::new(Tail { epoch: state.last_epoch, seq: restored.checkpoint });
        let mut members = Members::of(state.members.0, &config.members);
        for (epoch, origin) in &restored.entries {
            let seq = log.append(*epoch);
            if let Origin::Change(change) = origin {
                members.append(seq, *change);
            }
        }
        let effective = guard::config_when_appended(config.mechanisms, log.tail().seq, restored.checkpoint);
        members.take_effect(effective);
        let promised = restored.promised.max(log.tail().epoch).max(restored.owed.epoch);
        Ok(Core {
            config,
            promised,
            seen: promised,
            following: None,
            proven: restored.proven,
            reported: log.tail(),
            owed: restored.owed,
            damaged: restored.damaged,
            sync: Typical::default(),
            transfers_begun: 0,
            durable: log.tail().seq,
            applying: false,
            unapplied: restored.entries.into_iter().map(|(_, origin)| origin).collect(),
            commit: restored.checkpoint,
            applied: restored.checkpoint,
            sessions: state.sessions,
            members,
            now: 0,
            listened: false,
            effects: VecDeque::new(),
            log,
        })
    }

    /// Is to be told what happens? For [`emit!`], as is `record`.
    pub(crate) fn is_on(&self) -> bool {
        self.listened
    }

    /// What happened goes into the queue, between what is to be done before it and after.
    pub(crate) fn record(&mut self, kind: Kind, source: Source) {
        self.effect(Effect::Tell(Box::new(Told { kind, source })));
    }

    /// Tells that a message is not heeded.
    pub(crate) fn refuse_frame(&mut self, from: impl fmt::Display, message: &str, why: &str) {
        emit!(self, Kind::FrameRefused { message: message.into(), from: from.to_string(), why: why.into() });
    }

    pub(crate) fn effect(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    pub(crate) fn send(&mut self, to: Address, message: Message) {
        self.effect(Effect::Send(to, message));
    }

    pub(crate) fn peers(&self) -> impl Iterator<Item = NodeId> + use<> {
        let me = self.config.me;
        self.members.present().filter(|peer| *peer != me).collect::<Vec<_>>().into_iter()
    }

    /// Is this node listened to? Where members change, whoever speaks may be one already by an entry that is not here yet:
    /// a primary, say, that sends it. It *counts* only by the own log.
    pub fn hears(&self, node: NodeId) -> bool {
        let known = self.config.members_change || self.members.membership(node).is_some();
        node != self.config.me && known
    }

    /// What the log says of the members is in effect.
    fn take_effect(&mut self) {
        let upto = guard::config_when_appended(self.config.mechanisms, self.log.tail().seq, self.applied);
        self.members.take_effect(upto);
    }

    /// Appends to the own log: shape, origin and engine together.
    pub(crate) fn append(&mut self, entry: Entry) {
        let last_before = self.log.tail().seq;
        emit!(self, Kind::EntryAppended { epoch: entry.epoch.0, seq: entry.seq, last_before });
        let seq = self.log.append(entry.epoch);
        assert_eq!(seq, entry.seq, "D1: a log has no holes");
        self.unapplied.push_back(entry.origin);
        if let Origin::Change(change) = entry.origin {
            self.members.append(seq, change);
            self.take_effect();
            let voters: Vec<_> = self.members.voters().map(|node| node.to_string()).collect();
            emit!(self, Kind::MembersChanged { seq, change: change.to_string(), voters: voters.join(", ") });
        }
        self.effect(Effect::Append(entry));
    }

    /// Removes the entries from `from` on.
    pub(crate) fn truncate(&mut self, from: Seq) {
        let (last_before, last) = (self.log.tail().seq, from - 1);
        assert!(last >= self.commit, "D7: entry {from} is committed, and contradicted");
        emit!(self, Kind::LogTruncated { from, last_before, last });
        self.log.truncate(from);
        self.durable = self.durable.min(last);
        self.unapplied.truncate((last - self.applied) as usize);
        if self.members.changing() {
            self.members.truncate(from);
            self.take_effect();
        }
        self.effect(Effect::Truncate(from));
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

    /// The log is empty behind `base`, which is committed, applied and durable.
    pub(crate) fn begin_log(&mut self, base: Tail, sessions: Sessions, members: Members) {
        self.log = LogShape::new(base);
        self.unapplied.clear();
        self.sessions = sessions;
        self.members = members;
        self.commit = base.seq;
        self.applied = base.seq;
        self.durable = base.seq;
    }

    /// Tells the primary that the logs match up to `matched`, once that is durable here.
    pub(crate) fn acknowledge(&mut self, leader: Leader, matched: Seq) {
        let message = Message::PrepareOk { epoch: leader.epoch, matched };
        self.effect(Effect::Hold(Address::Node(leader.id), message));
    }

    /// Moves the commit point and starts applying. Entries are applied one at a time, in log order: what an entry comes
    /// to may depend on the one before.
    pub(crate) fn commit_upto(&mut self, upto: Seq) {
        if upto > self.commit {
            assert!(upto <= self.log.tail().seq, "D1: commit point within the log");
            emit!(self, Kind::CommitAdvanced { from: self.commit, to: upto, epoch: self.promised.0 });
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
            Origin::Marker | Origin::Session(_) | Origin::Change(_) => false,
        };
        self.applying = true;
        self.effect(Effect::Apply { seq: self.applied + 1, skip });
    }

    /// The next entry has been applied; gives its origin, and for whose request what.
    pub(crate) fn note_applied(&mut self, seq: Seq, outcome: Outcome) -> (Origin, Option<WriteResult>) {
        assert_eq!(seq, self.applied + 1, "D5: entries are applied in order, each once");
        let origin = self.unapplied.pop_front().expect("an applied entry was in the log");
        let result = match origin {
            Origin::Request(request) => Some(self.result(request, outcome)),
            Origin::Marker | Origin::Session(_) | Origin::Change(_) => None,
        };
        let applied_before = self.applied;
        let outcome = if let Some(WriteResult::Done(result)) = result { result } else { outcome };
        emit!(self, Kind::EntryApplied { seq, outcome: outcome.to_string(), applied_before });
        self.applied = seq;
        self.applying = false;
        if matches!(origin, Origin::Change(_)) {
            self.take_effect();
        }
        (origin, result)
    }

    /// What came of a request, of whose entry's application `outcome` came.
    fn result(&self, request: RequestId, outcome: Outcome) -> WriteResult {
        match self.sessions.verdict(self.config.mechanisms, request) {
            // An entry in its turn that was to change nothing: there was no room for what the client wanted.
            Verdict::Fresh if outcome == Outcome::Nothing => WriteResult::Done(Outcome::NoRoom),
            Verdict::Fresh => WriteResult::Done(outcome),
            Verdict::Repeated(earlier) => WriteResult::Done(earlier),
            Verdict::Unknown => WriteResult::SessionUnknown(self.sessions.remembered_from(request)),
        }
    }

    /// What a checkpoint as of the applied seq has to carry.
    pub(crate) fn host_state(&self) -> Vec<u8> {
        let last_epoch =
            self.log.epoch_at(self.applied).expect("the applied entry is in the log or its base");
        let members = self.members.as_of(self.applied);
        let changed = members.values().any(|member| member.since > 0);
        let members =
            Rows(Some(members).filter(|_| guard::members_in_state(self.config.mechanisms, changed)));
        wire::encode_value(&HostState { last_epoch, sessions: self.sessions.clone(), members })
    }

    /// Appends an entry of the own epoch: only who leads does.
    pub(crate) fn append_own(&mut self, epoch: Epoch, origin: Origin, op: Op) {
        let seq = self.log.tail().seq + 1;
        self.append(Entry { seq, epoch, origin, op });
    }

    /// Is this entry in the log already, or in the checkpoint?
    pub fn has(&self, entry: &Entry) -> bool {
        entry.seq <= self.log.base() || self.log.epoch_at(entry.seq) == Some(entry.epoch)
    }

    /// `true` if this replica may neither promise nor acknowledge.
    pub(crate) fn vote_withheld(&self) -> bool {
        !guard::unproven_log_does_not_vote(self.config.mechanisms, self.proven)
    }
}
