//! Becoming primary: epoch, promises, the most complete log.
//!
//! The steps, and what each is for:
//!
//! 1. A gateway that suspects the primary asks a replica to take over. It may be wrong, and several may ask at once:
//!    the rules below keep that safe.
//! 2. The candidate picks an epoch greater than any it has heard of and makes its own promise durable, so that it never
//!    supports another candidate of that epoch.
//! 3. It asks the others. A replica promises only a strictly greater epoch than ever before, durably, and answers with
//!    the tail of its log. From then on it refuses older primaries, so the tail can grow no more behind its back.
//! 4. With promises of a majority whose logs are no more complete than its own, the candidate has every committed
//!    entry: one of them took part in each commit.
//! 5. It appends a marker in its own epoch, and serves once that is committed: only then does it know which of its older
//!    entries are.

use std::collections::{BTreeMap, BTreeSet};

use trace::{Kind, emit};

use crate::core::Core;
use crate::guard;
use crate::message::*;
use crate::patience::PATIENCE_MAX;
use crate::types::*;

/// A candidate's knowledge.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Candidate {
    pub epoch: Epoch,
    pub gives_up_at: Micros,
    /// `None`: an extension.
    pub asked_by: Option<GatewayId>,
    /// Who promised, and where their logs end; the candidate included.
    promises: BTreeMap<NodeId, Tail>,
    /// Who will not promise this epoch.
    refusals: BTreeSet<NodeId>,
}

/// How a candidacy stands.
pub(crate) enum Support {
    /// It may yet come to a majority.
    Open,
    /// A majority supports it.
    Majority,
    /// A majority can no longer come together.
    Lost(&'static str),
}

/// A gateway's call to take over, or an extension's.
pub(crate) struct Call {
    pub gateway: Option<GatewayId>,
    /// The greatest epoch that the caller has heard of: an attempt below it would only be fenced.
    pub above: Epoch,
    /// How long the caller will wait, which knows what syncs and round trips take in this cluster.
    pub patience: Micros,
}

impl Candidate {
    /// Asks the others for their promises, and gives its own.
    pub fn stand(core: &mut Core, call: &Call) -> Candidate {
        let epoch = Epoch(core.seen.max(call.above).0 + 1);
        emit!(core, Kind::TakeoverStarted { epoch_before: core.promised.0, epoch: epoch.0 });
        // The others are asked before the own promise is durable, so that all sync at the same time. If the candidate dies
        // in between and forgets, nothing is lost: it has counted no answer yet, since the effects behind this one wait for
        // the sync. A promise that was given to it and arrives in its next life was given to the same node for the same
        // epoch, by a log that cannot have grown meanwhile: it may count.
        for peer in core.peers() {
            core.send(Address::Node(peer), Message::PromiseRequest { epoch });
        }
        core.raise_promise(epoch);
        let least = core.config.timing.candidate_patience;
        Candidate {
            epoch,
            gives_up_at: core.now + least.max(call.patience.min(PATIENCE_MAX)),
            asked_by: call.gateway,
            promises: BTreeMap::from([(core.config.me, core.log.tail())]),
            refusals: BTreeSet::new(),
        }
    }

    pub fn on_promised(&mut self, core: &mut Core, from: NodeId, tail: Tail) {
        // A copy of the request may have been refused before.
        self.refusals.remove(&from);
        self.promises.insert(from, tail);
        let (from, epoch, counts) = (from.0, self.epoch.0, self.supports(core, tail));
        let have = self.supporters(core) as u32;
        let need = core.members.majority() as u32;
        emit!(core, Kind::PromiseCounted { from, epoch, counts, have, need });
    }

    /// Somebody has promised this very epoch to another candidate, or more.
    pub fn on_fenced(&mut self, core: &Core, from: NodeId, promised: Epoch) {
        if core.members.votes(from) && self.epoch == promised && !self.promises.contains_key(&from) {
            self.refusals.insert(from);
        }
    }

    /// What holds of every candidate.
    pub fn check(&self, core: &Core) {
        assert_eq!(self.epoch, core.promised, "D2: a candidate that has promised another epoch");
        assert!(self.promises.contains_key(&core.config.me), "D2: a candidate without its own promise");
        let vote = self.promises.keys().all(|node| core.members.votes(*node));
        assert!(vote, "D2: a candidate counts who does not vote");
        let both = self.refusals.iter().any(|node| self.promises.contains_key(node));
        assert!(!both, "D2: a member counts for a candidate and against it");
    }

    /// Does the promise of a log with this end support it?
    fn supports(&self, core: &Core, tail: Tail) -> bool {
        guard::most_complete_log(core.config.mechanisms, core.log.tail(), tail)
    }

    fn supporters(&self, core: &Core) -> usize {
        self.promises.values().filter(|tail| self.supports(core, **tail)).count()
    }

    /// Does a majority support it?
    pub fn support(&self, core: &Core) -> Support {
        let (on, members) = (core.config.mechanisms, core.members.voters().count());
        let supporters = self.supporters(core);
        let more_complete = self.promises.len() - supporters;
        let lost = more_complete + self.refusals.len();
        if guard::promise_majority(on, supporters, members) {
            Support::Majority
        } else if lost > members - guard::majority(members) {
            Support::Lost(if more_complete > 0 { "another log is more complete" } else { "too many refused" })
        } else {
            Support::Open
        }
    }
}

/// May `from` have the promise of `epoch`? If so, where the log ends that comes with it.
pub(crate) fn grant(core: &mut Core, from: NodeId, epoch: Epoch) -> Option<Tail> {
    let (on, to, promised) = (core.config.mechanisms, from.0, core.promised);
    if core.vote_withheld() {
        emit!(core, Kind::VoteWithheld { to });
        core.send(Address::Node(from), Message::Fenced { promised: epoch });
        return None;
    }
    if !guard::one_candidate_per_epoch(on, promised, epoch) {
        emit!(core, Kind::PromiseRefused { to, epoch: epoch.0, promised: promised.0 });
        core.send(Address::Node(from), Message::Fenced { promised });
        return None;
    }
    let tail = guard::tail_with_promise(on, core.voted_tail(), core.reported);
    let (epoch_before, epoch, tail_epoch, tail_seq) = (promised.0, epoch.0, tail.epoch.0, tail.seq);
    emit!(core, Kind::PromiseGranted { to, epoch_before, epoch, tail_epoch, tail_seq });
    Some(tail)
}
