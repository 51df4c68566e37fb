//! One shard's primary: knowing it, suspecting it, calling for the next.
//!
//! This is the failure detector, the one part of consensus that is outside the nodes. It is allowed to be wrong: a
//! needless takeover costs a moment of service and nothing else.
//!
//! | state | leaves it when |
//! |---|---|
//! | known | the primary is unreachable, silent, cut off from its majority, stuck, or says it is none |
//! | asking around | a majority, or whoever answered in [`ASK_AROUND`], told how complete their logs are; longer if no majority would support any of those |
//! | called | the called node serves; or gives up, is unreachable, or patience ends: back off, ask around again |
//!
//! Every answer to a probe is heard in every state: if some node serves in an epoch at least as great as any heard of,
//! it is the primary, whoever called for it.

use dataplane::guard::majority;
use dataplane::patience::{patience, splitmix};
use dataplane::{Epoch, Member, Message, Micros, NodeId, NodeStatus, RoleName, ShardId};
use trace::{Kind, emit};

use crate::api::{Config, Failover, ShardView};
use crate::core::Core;
use crate::guard;
use crate::nodes::Nodes;

/// So many times the usual wait for answers passes before a node is called that no majority can support.
const UNSUPPORTED_ROUNDS: Micros = 8;
/// How long to wait for the logs of more than the first nodes, in microseconds.
const ASK_AROUND: Micros = 60_000;
/// A takeover takes no more in a row: two syncs of a promise, one that is under way, one of the marker, and the ways.
const STEPS_TAKEOVER: Micros = 4;
/// A primary is silent for no more answers in a row: a promise or a checkpoint takes several syncs.
const STEPS_SILENT: Micros = 3;
/// A patience that nothing was measured for grows to no more than this many doublings: a few seconds.
const DOUBLINGS_MAX: u32 = 6;

#[derive(Clone, Copy, Debug)]
enum State {
    Known { node: NodeId, since: Micros },
    AskingAround { since: Micros },
    Called { node: NodeId, above: Epoch, since: Micros },
}

/// The search for a shard's primary.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    config: Config,
    shard: ShardId,
    state: State,
    epoch: Epoch,
    pub nodes: Nodes,
    probed_at: Option<Micros>,
    /// When asking around is to be looked at again, beside the probes.
    look_at: Option<Micros>,
    /// The primary that was lost, and why; not the first to be called again.
    lost: Option<(NodeId, String)>,
    /// A primary that answered probes and no requests: not believed again in this epoch, until somebody else was called.
    stuck: Option<(NodeId, Epoch)>,
    attempt: u32,
    /// The node that was called has not heard it.
    call_lost: bool,
    random: u64,
    last_failover: Option<Failover>,
}

impl Search {
    pub fn new(config: &Config, shard: ShardId, now: Micros) -> Search {
        Search {
            config: config.clone(),
            shard,
            state: State::AskingAround { since: now },
            epoch: Epoch(0),
            nodes: Nodes::new(&config.nodes),
            probed_at: None,
            look_at: None,
            lost: None,
            stuck: None,
            attempt: 0,
            call_lost: false,
            random: config.seed ^ u64::from(shard).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            last_failover: None,
        }
    }

    /// What holds of every search.
    pub fn check(&self) {
        if let State::Called { node, .. } = self.state {
            assert!(self.nodes.ids().any(|id| id == node), "who is called is one of the nodes");
        }
        assert!(self.primary().is_none() || self.epoch > Epoch(0), "a primary has an epoch");
        assert!(self.primary().is_none() || self.attempt == 0, "P4: a primary ends the attempts");
    }

    pub fn primary(&self) -> Option<NodeId> {
        match self.state {
            State::Known { node, .. } => Some(node),
            State::AskingAround { .. } | State::Called { .. } => None,
        }
    }

    /// When the present primary was learned.
    pub fn learned_at(&self) -> Micros {
        match self.state {
            State::Known { since, .. } | State::AskingAround { since } | State::Called { since, .. } => since,
        }
    }

    pub fn view(&self) -> ShardView {
        ShardView {
            shard: self.shard,
            epoch: self.epoch,
            primary: self.primary(),
            nodes: self.nodes.view(),
            suspected: self.lost.clone(),
            last_failover: self.last_failover.clone(),
        }
    }

    /// Hears a node; true if a primary was learned that was not known before.
    pub fn on_status(
        &mut self,
        core: &mut Core,
        from: NodeId,
        asked_at: Micros,
        status: &NodeStatus,
    ) -> bool {
        if !self.nodes.hear(core.now, from, asked_at, status) {
            return false;
        }
        self.hear_called(core.now, from, asked_at, status);
        if status.role != RoleName::Primary || !status.serving {
            self.not_primary(core, from, "it says that it is not");
            return false;
        }
        if self.stuck == Some((from, status.promised)) {
            return false;
        }
        let cut_off_max = patience(self.config.timing.silence, STEPS_SILENT * self.nodes.majority_takes(), 0);
        if status.promised < self.epoch || status.cut_off_micros > cut_off_max {
            // A primary of the past, or one that cannot commit.
            self.not_primary(core, from, "it is cut off from a majority");
            return false;
        }
        let new = self.primary() != Some(from) || status.promised != self.epoch;
        if new {
            self.learn(core, from, status.promised);
        }
        new
    }

    /// A node says who belongs to the shard. Whoever was called and does not any more will not lead. (A primary that is gone is
    /// silent from now on.)
    pub fn on_members(
        &mut self,
        now: Micros,
        from: NodeId,
        serves: Option<Epoch>,
        rows: &[(NodeId, Member)],
    ) {
        self.nodes.meet(from, serves, rows);
        if let State::Called { node, .. } = self.state
            && !self.nodes.ids().any(|id| id == node)
        {
            self.call_failed(now);
        }
    }

    /// A node that was called says how it is.
    fn hear_called(&mut self, now: Micros, from: NodeId, asked_at: Micros, status: &NodeStatus) {
        let State::Called { node, above, since } = self.state else { return };
        if node == from && status.role == RoleName::Backup {
            if status.promised > above {
                // It stood, and is no candidate any more.
                self.call_failed(now);
            } else if asked_at > since {
                // It was asked how it is after it was called, and has not stood: the call was lost.
                self.call_lost = true;
            }
        }
    }

    fn learn(&mut self, core: &mut Core, node: NodeId, epoch: Epoch) {
        let (shard, epoch_before) = (self.shard, self.epoch.0);
        emit!(core, Kind::PrimaryLearned { shard, node: node.0, epoch_before, epoch: epoch.0 });
        self.note_failover(core.now, node, epoch);
        self.stuck = None;
        self.epoch = epoch;
        self.state = State::Known { node, since: core.now };
        self.attempt = 0;
    }

    fn note_failover(&mut self, now: Micros, to: NodeId, epoch: Epoch) {
        let before = self.primary();
        let (from, why) = match self.lost.take() {
            // A false alarm: it leads still.
            Some((node, _)) if node == to && epoch == self.epoch => return,
            Some((node, why)) => (Some(node), why),
            None if before.is_some() => (before, "another gateway called for a takeover".into()),
            None => (None, "no primary was known when this gateway started".into()),
        };
        self.last_failover = Some(Failover { at: now, from, to, why });
    }

    pub fn not_primary(&mut self, core: &mut Core, node: NodeId, why: &str) {
        if self.primary() == Some(node) {
            self.suspect(core, why);
        }
    }

    pub fn unreachable(&mut self, core: &mut Core, node: NodeId) {
        self.nodes.forget(node);
        self.not_primary(core, node, "its connection broke");
        if matches!(self.state, State::Called { node: called, .. } if called == node) {
            self.call_failed(core.now);
        }
    }

    /// Backs off, and asks around again.
    fn call_failed(&mut self, now: Micros) {
        self.attempt += 1;
        self.stuck = None;
        self.random = splitmix(self.random);
        let (on, takes) = (self.config.mechanisms, self.takeover_takes());
        let max = self.config.timing.backoff_max.max(2 * takes);
        // What was measured may be one stall of a disk, and while nobody leads nothing new is measured. So the wait grows to
        // what a takeover takes from below: on a disk that is always slow that costs an attempt or two.
        let first = takes.min(self.config.timing.backoff_max / 2);
        let wait = guard::failover_backoff(on, self.attempt, self.random, first, max);
        self.state = State::AskingAround { since: now + wait };
    }

    /// The primary answers probes, and has left a request unanswered for too long.
    pub fn stuck(&mut self, core: &mut Core) {
        self.stuck = self.primary().map(|node| (node, self.epoch));
        self.suspect(core, "it answers probes but no requests");
    }

    /// How long the primary may say nothing.
    pub fn silence_max(&self) -> Micros {
        let takes = self.primary().map_or(0, |node| self.nodes.takes(node));
        patience(self.config.timing.silence, STEPS_SILENT * takes, 0)
    }

    /// How long a takeover may take, if all goes well.
    fn takeover_takes(&self) -> Micros {
        self.config.timing.takeover_patience.max(STEPS_TAKEOVER * self.nodes.majority_takes())
    }

    fn takeover_patience(&self) -> Micros {
        patience(self.config.timing.takeover_patience, self.takeover_takes(), self.attempt.min(DOUBLINGS_MAX))
    }

    fn ask_around(&self) -> Micros {
        patience(ASK_AROUND, 2 * self.nodes.majority_takes(), self.attempt.min(DOUBLINGS_MAX))
    }

    /// Gives the primary up and asks around.
    fn suspect(&mut self, core: &mut Core, why: &str) {
        let Some(node) = self.primary() else { return };
        emit!(core, Kind::PrimarySuspected { shard: self.shard, node: node.0, why: why.into() });
        self.lost = Some((node, why.into()));
        self.state = State::AskingAround { since: core.now };
        self.probed_at = None;
    }

    /// Lets the search go on.
    pub fn advance(&mut self, core: &mut Core) {
        self.expire(core);
        self.probe(core);
        self.look_at = self.next_look(core.now);
        if let State::AskingAround { since } = self.state
            && let Some(node) = self.choose(core.now, since)
        {
            emit!(core, Kind::TakeoverAsked { shard: self.shard, node: node.0, attempt: self.attempt });
            self.state = State::Called { node, above: self.nodes.promised(), since: core.now };
            self.call_lost = true;
        }
        if let State::Called { node, above, .. } = self.state
            && std::mem::take(&mut self.call_lost)
        {
            // The candidate gives up first, so that it does not stand in the way of the next one.
            let patience = self.takeover_patience() / 5 * 4;
            core.send(node, Message::TakeOver { above, patience });
        }
    }

    /// Suspects a primary that is silent; gives up a call that takes too long.
    fn expire(&mut self, core: &mut Core) {
        if core.now < self.expires_at() {
            return;
        }
        match self.state {
            State::Known { .. } => self.suspect(core, "it has been silent for too long"),
            State::Called { .. } => self.call_failed(core.now),
            State::AskingAround { .. } => {}
        }
    }

    /// When the state is over if nothing is heard.
    fn expires_at(&self) -> Micros {
        match self.state {
            State::Known { node, since } => self.nodes.heard_at(node).max(since) + self.silence_max(),
            State::Called { since, .. } => since + self.takeover_patience(),
            State::AskingAround { .. } => Micros::MAX,
        }
    }

    /// Asks all nodes how they are, when that is due.
    fn probe(&mut self, core: &mut Core) {
        let (now, every) = (core.now, self.config.timing.probe_every);
        let stale = |at: Micros| match self.state {
            State::AskingAround { since } => at < since && now >= since,
            State::Known { .. } | State::Called { .. } => false,
        };
        if self.probed_at.is_none_or(|at| now >= at + every || stale(at)) {
            self.probed_at = Some(now);
            self.nodes.ids().for_each(|to| core.send(to, Message::Probe { attempt: now.max(1) }));
        }
    }

    fn next_look(&self, now: Micros) -> Option<Micros> {
        match self.state {
            State::AskingAround { since } if now < since => Some(since),
            State::AskingAround { since } => Some(since + self.ask_around()).filter(|at| now < *at),
            State::Known { .. } | State::Called { .. } => None,
        }
    }

    /// The node to call, once enough is known.
    fn choose(&self, now: Micros, since: Micros) -> Option<NodeId> {
        let (nodes, ask_around) = (self.nodes.count(), self.ask_around());
        // Only every other attempt avoids the lost primary, and none for somebody whom no majority can support.
        let lost = self.lost.as_ref().map(|(node, _)| *node).filter(|_| self.attempt.is_multiple_of(2));
        let choice = self.nodes.choose(self.shard, since, lost).filter(|_| now >= since)?;
        let answers = choice.answers;
        let enough = answers == nodes || (self.lost.is_some() && answers >= majority(nodes));
        // Whom no majority can support only stands in the way of somebody slow whom one would: it is called if nobody better
        // comes to answer. What is known of the others may be old.
        let patience = match (choice.supported, enough) {
            (true, true) => 0,
            (true, false) => ask_around,
            (false, _) => UNSUPPORTED_ROUNDS * ask_around,
        };
        (now >= since + patience).then_some(choice.node)
    }

    pub fn next_deadline(&self) -> Micros {
        let probe = self.probed_at.map_or(0, |at| at + self.config.timing.probe_every);
        let look = self.look_at.filter(|_| matches!(self.state, State::AskingAround { .. }));
        probe.min(self.expires_at()).min(look.unwrap_or(Micros::MAX))
    }
}
