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

use std::collections::BTreeMap;

use dataplane::guard::majority;
use dataplane::patience::{Measured, PATIENCE_MAX, patience};
use dataplane::{Epoch, Message, Micros, NodeId, NodeStatus, Proof, RoleName, Seq, ShardId};
use trace::{Kind, Tracer, emit};

use crate::api::{Config, Failover};
use crate::guard;

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

#[derive(Clone, Debug)]
enum State {
    Known { node: NodeId, since: Micros },
    AskingAround { since: Micros },
    Called { node: NodeId, above: Epoch, since: Micros },
}

#[derive(Clone, Debug, Default)]
struct Heard {
    at: Micros,
    /// When the probe that the status answers was sent; 0 if it came unasked.
    asked_at: Micros,
    status: Option<NodeStatus>,
    /// What a probe and its answer take.
    trip: Measured,
}

impl Heard {
    /// What the node usually takes for an answer that waits for its device; `None` if it is not heard.
    fn takes(&self) -> Option<Micros> {
        Some(self.trip.usually() + self.status.as_ref()?.sync_micros.min(PATIENCE_MAX))
    }

    /// May it vote?
    fn is_proven(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.proof == Proof::Proven)
    }
}

/// The search for a shard's primary.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    config: Config,
    shard: ShardId,
    state: State,
    epoch: Epoch,
    heard: BTreeMap<NodeId, Heard>,
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
            heard: config.nodes.iter().map(|node| (*node, Heard::default())).collect(),
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

    pub fn primary(&self) -> Option<NodeId> {
        match self.state {
            State::Known { node, .. } => Some(node),
            State::AskingAround { .. } | State::Called { .. } => None,
        }
    }

    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The greatest seq that some node said is committed.
    pub fn committed(&self) -> Seq {
        let heard = self.heard.values().filter_map(|heard| heard.status.as_ref());
        heard.map(|status| status.committed).max().unwrap_or(0)
    }

    /// When the present primary was learned.
    pub fn learned_at(&self) -> Micros {
        match self.state {
            State::Known { since, .. } | State::AskingAround { since } | State::Called { since, .. } => since,
        }
    }

    pub fn suspected(&self) -> Option<&(NodeId, String)> {
        self.lost.as_ref()
    }

    pub fn last_failover(&self) -> Option<&Failover> {
        self.last_failover.as_ref()
    }

    pub fn nodes(&self) -> Vec<(NodeId, Option<(Micros, NodeStatus)>)> {
        self.heard
            .iter()
            .map(|(node, heard)| (*node, heard.status.clone().map(|status| (heard.at, status))))
            .collect()
    }

    /// Hears a node; true if a primary was learned that was not known before.
    pub fn on_status(
        &mut self,
        now: Micros,
        from: NodeId,
        asked_at: Micros,
        status: NodeStatus,
        t: &mut Tracer,
    ) -> bool {
        let Some(heard) = self.heard.get_mut(&from) else { return false };
        if heard.status.as_ref().is_some_and(|known| known.promised > status.promised) {
            // A late frame: a node's promise never goes back.
            return false;
        }
        if asked_at > 0 {
            heard.trip.note(now.saturating_sub(asked_at));
        }
        (heard.at, heard.asked_at, heard.status) = (now, asked_at, Some(status.clone()));
        let serves = status.role == RoleName::Primary && status.serving;
        if let State::Called { node, above, since } = self.state
            && node == from
            && status.role == RoleName::Backup
        {
            if status.promised > above {
                // It stood, and is no candidate any more.
                self.call_failed(now);
            } else if asked_at > since {
                // It was asked how it is after it was called, and has not stood: the call was lost.
                self.call_lost = true;
            }
        }
        if !serves {
            self.not_primary(now, from, "it says that it is not", t);
            return false;
        }
        if self.stuck == Some((from, status.promised)) {
            return false;
        }
        let cut_off_max = patience(self.config.timing.silence, STEPS_SILENT * self.majority_takes(), 0);
        if status.promised < self.epoch || status.cut_off_micros > cut_off_max {
            // A primary of the past, or one that cannot commit.
            if self.primary() == Some(from) {
                self.suspect(now, "it is cut off from a majority", t);
            }
            return false;
        }
        if self.primary() == Some(from) && status.promised == self.epoch {
            return false;
        }
        emit!(
            t,
            Kind::PrimaryLearned {
                shard: self.shard,
                node: from.0,
                epoch_before: self.epoch.0,
                epoch: status.promised.0
            }
        );
        self.note_failover(now, from, status.promised);
        self.stuck = None;
        self.epoch = status.promised;
        self.state = State::Known { node: from, since: now };
        self.attempt = 0;
        true
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

    pub fn not_primary(&mut self, now: Micros, node: NodeId, why: &str, t: &mut Tracer) {
        if self.primary() == Some(node) {
            self.suspect(now, why, t);
        }
    }

    pub fn unreachable(&mut self, now: Micros, node: NodeId, t: &mut Tracer) {
        if let Some(heard) = self.heard.get_mut(&node) {
            heard.status = None;
        }
        self.not_primary(now, node, "its connection broke", t);
        if matches!(self.state, State::Called { node: called, .. } if called == node) {
            self.call_failed(now);
        }
    }

    /// Backs off, and asks around again.
    fn call_failed(&mut self, now: Micros) {
        self.attempt += 1;
        self.stuck = None;
        self.random = splitmix(self.random);
        let (on, takes) = (self.config.mechanisms, self.takeover_takes());
        let max = self.config.timing.backoff_max.max(2 * takes);
        let wait = guard::failover_backoff(on, self.attempt, self.random, takes, max);
        self.state = State::AskingAround { since: now + wait };
    }

    /// The primary answers probes, and has left a request unanswered for too long.
    pub fn stuck(&mut self, now: Micros, t: &mut Tracer) {
        self.stuck = self.primary().map(|node| (node, self.epoch));
        self.suspect(now, "it answers probes but no requests", t);
    }

    /// What one step of a takeover takes: the answer of a majority of those that vote, each after a sync. 0 if that is not
    /// known.
    fn majority_takes(&self) -> Micros {
        let voters = self.heard.values().filter(|heard| heard.is_proven());
        let mut takes: Vec<Micros> = voters.filter_map(Heard::takes).collect();
        takes.sort_unstable();
        takes.get(majority(self.config.nodes.len()) - 1).copied().unwrap_or(0)
    }

    /// How long the primary may say nothing.
    pub fn silence_max(&self) -> Micros {
        let takes = self.primary().and_then(|node| self.heard.get(&node)?.takes());
        patience(self.config.timing.silence, STEPS_SILENT * takes.unwrap_or(0), 0)
    }

    /// How long a takeover may take, if all goes well.
    fn takeover_takes(&self) -> Micros {
        self.config.timing.takeover_patience.max(STEPS_TAKEOVER * self.majority_takes())
    }

    fn takeover_patience(&self) -> Micros {
        patience(self.config.timing.takeover_patience, self.takeover_takes(), self.attempt.min(DOUBLINGS_MAX))
    }

    fn ask_around(&self) -> Micros {
        patience(ASK_AROUND, 2 * self.majority_takes(), self.attempt.min(DOUBLINGS_MAX))
    }

    /// Gives the primary up and asks around.
    pub fn suspect(&mut self, now: Micros, why: &str, t: &mut Tracer) {
        let Some(node) = self.primary() else { return };
        emit!(t, Kind::PrimarySuspected { shard: self.shard, node: node.0, why: why.to_string() });
        self.lost = Some((node, why.to_string()));
        self.state = State::AskingAround { since: now };
        self.probed_at = None;
    }

    /// Lets the search go on; gives what is to be sent.
    pub fn advance(&mut self, now: Micros, t: &mut Tracer) -> Vec<(NodeId, Message)> {
        let timing = self.config.timing.clone();
        if let State::Known { node, since } = self.state {
            let heard = self.heard.get(&node).map_or(0, |heard| heard.at).max(since);
            if now >= heard + self.silence_max() {
                self.suspect(now, "it has been silent for too long", t);
            }
        }
        if let State::Called { since, .. } = self.state
            && now >= since + self.takeover_patience()
        {
            self.call_failed(now);
        }
        let mut out = Vec::new();
        let stale = |at: Micros| match self.state {
            State::AskingAround { since } => at < since && now >= since,
            State::Known { .. } | State::Called { .. } => false,
        };
        if self.probed_at.is_none_or(|at| now >= at + timing.probe_every || stale(at)) {
            self.probed_at = Some(now);
            out.extend(self.config.nodes.iter().map(|node| (*node, Message::Probe { attempt: now.max(1) })));
        }
        self.look_at = match self.state {
            State::AskingAround { since } if now < since => Some(since),
            State::AskingAround { since } if now < since + self.ask_around() => {
                Some(since + self.ask_around())
            }
            _ => None,
        };
        if let State::AskingAround { since } = self.state
            && let Some(node) = self.choose(now, since)
        {
            emit!(t, Kind::TakeoverAsked { shard: self.shard, node: node.0, attempt: self.attempt });
            let promised =
                self.heard.values().filter_map(|heard| Some(heard.status.as_ref()?.promised)).max();
            let above = promised.unwrap_or_default();
            self.state = State::Called { node, above, since: now };
            self.call_lost = true;
        }
        if let State::Called { node, above, .. } = self.state
            && std::mem::take(&mut self.call_lost)
        {
            // The candidate gives up first, so that it does not stand in the way of the next one.
            let patience = self.takeover_patience() / 5 * 4;
            out.push((node, Message::TakeOver { above, patience }));
        }
        out
    }

    /// The node to call: of those that answered a probe sent since `since`, the one with the most complete log. Whether it really is, the
    /// promises will show; this choice only saves attempts. Among equals the shard's number decides, so that the
    /// primaries of many shards spread over the nodes.
    fn choose(&self, now: Micros, since: Micros) -> Option<NodeId> {
        let nodes = self.config.nodes.len();
        let fresh: Vec<(NodeId, &NodeStatus)> = self
            .heard
            .iter()
            .filter(|(_, heard)| heard.asked_at >= since)
            .filter_map(|(node, heard)| Some((*node, heard.status.as_ref()?)))
            // One that lacks entries which it had does not stand.
            .filter(|(_, status)| status.proof == Proof::Proven && status.voted_tail == status.tail)
            .collect();
        let enough = fresh.len() == nodes || (self.lost.is_some() && fresh.len() >= majority(nodes));
        if now < since || fresh.is_empty() || (!enough && now < since + self.ask_around()) {
            return None;
        }
        // Only every other attempt avoids the lost primary, and none for somebody whom no majority can support.
        let lost = self.lost.as_ref().map(|(node, _)| *node).filter(|_| self.attempt.is_multiple_of(2));
        let opposes = |heard: &Heard, tail| {
            heard.status.as_ref().is_some_and(|other| other.proof != Proof::Proven || other.voted_tail > tail)
        };
        let supported =
            |tail| self.heard.values().filter(|heard| !opposes(heard, tail)).count() >= majority(nodes);
        let preference =
            |node: NodeId| (nodes as u32 + node.0 - 1 - self.shard % nodes as u32) % nodes as u32;
        let best = fresh.iter().max_by_key(|(node, status)| {
            let preference = std::cmp::Reverse(preference(*node));
            (supported(status.tail), Some(*node) != lost, status.tail, preference)
        });
        // Whom no majority can support only stands in the way of somebody slow whom one would: it is called if nobody better
        // comes to answer. What is known of the others may be old.
        let patient = |(_, status): &&(NodeId, &NodeStatus)| {
            supported(status.tail) || now >= since + UNSUPPORTED_ROUNDS * self.ask_around()
        };
        best.filter(patient).map(|(node, _)| *node)
    }

    pub fn next_deadline(&self) -> Micros {
        let timing = &self.config.timing;
        let probe = self.probed_at.map_or(0, |at| at + timing.probe_every);
        let state = match self.state {
            State::Known { node, since } => {
                Some(self.heard.get(&node).map_or(0, |heard| heard.at).max(since) + self.silence_max())
            }
            State::AskingAround { .. } => self.look_at,
            State::Called { since, .. } => Some(since + self.takeover_patience()),
        };
        state.map_or(probe, |state| state.min(probe))
    }
}

/// The next number of a reproducible sequence (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
fn splitmix(seed: u64) -> u64 {
    let mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
