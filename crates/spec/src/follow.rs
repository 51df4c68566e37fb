//! From events to steps of the specification.
//!
//! Each event is the trace of one step, or of a part of one: `EntryAppended` on a backup is a part of `Prepare`. What an
//! event does not tell is looked for among what makes the step possible; that can make a forbidden step look allowed only
//! where another step, which is allowed, would have left the same event.

mod prepare;
mod reads;
mod restart;
pub(crate) mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use trace::{Actor, Event, EventId, Kind};

use crate::judge::{Judge, Mismatch, Taken, Wrong, has, record};
use crate::value::Value;

/// Ways to choose that are tried.
const WAYS_MAX: usize = 64;

/// What is followed: all events of one shard, and what they do not tell.
#[derive(Clone)]
pub(crate) struct Run {
    pub events: Arc<[Event]>,
    pub nodes: u32,
    pub shard: u32,
    /// The generation of each device at the beginning, if it is not the first opening that is told.
    pub generations: Vec<u64>,
    /// Transfers that were finished with a part of the state.
    pub partial: BTreeSet<EventId>,
}

impl Run {
    pub fn of(events: Arc<[Event]>) -> Run {
        Run { events, nodes: 0, shard: 0, generations: Vec::new(), partial: BTreeSet::new() }
    }
}

/// A part of `Prepare` that was told.
#[derive(Clone, Debug, Default)]
struct Heard {
    /// Which event told of it first.
    at: usize,
    /// The entry before its first one; and is it a sign of life, without entries?
    sent: Option<(u64, bool)>,
    cut: u64,
    /// The first and the last entry that was appended, and their epochs.
    entries: Vec<(u64, u64)>,
    repeated: u64,
    commit: Option<(u64, u64)>,
}

/// What is known of a replica beside its state.
#[derive(Clone, Debug, Default)]
struct Known {
    /// Whom it follows, in which epoch.
    leader: Option<(u32, u64)>,
    heard: Option<Heard>,
    /// The generation of its superblock.
    generation: u64,
    /// The request that its last event told of.
    request: Option<(EventId, (u64, u64))>,
    /// The log as of the last sync, and after each record written since.
    writes: Vec<Value>,
    /// The log before each time that entries were removed, the last ones: what damage may bring back.
    before: Vec<Value>,
}

/// A read at a primary. A gateway that asks again uses the same name.
#[derive(Clone, Copy, Debug)]
struct Read {
    node: u32,
    /// The gateway, and its name for the read.
    name: (u32, u64),
    id: i64,
    confirmed: bool,
}

/// What is known of where a damaged log ended.
#[derive(Clone, Copy, Debug)]
enum End {
    Tail(u64, u64),
    At(u64),
    Unknown,
}

/// A trace that is followed.
#[derive(Clone)]
pub(crate) struct Follower {
    pub judge: Judge,
    run: Run,
    nodes: Vec<Known>,
    requests: BTreeMap<(u64, u64), i64>,
    requests_seen: i64,
    /// Entries that were left behind, with the requests in them: see `window`.
    behind: u64,
    /// Reads that are not answered.
    reads: Vec<Read>,
    reads_asked: i64,
    /// What entries a frame is about, by the event that tells of its sending: those behind this one; and if it has none.
    sent: BTreeMap<EventId, (u64, bool)>,
    choices: Choices,
    /// The event that told of the step that is taken now, if it was told of earlier.
    earlier: Option<usize>,
}

/// What a device had after a crash is known by its length only; of several logs of that length the right one shows later.
#[derive(Clone, Debug, Default)]
struct Choices {
    /// Of each choice which one was taken, and of how many.
    taken: Vec<(usize, usize)>,
    next: usize,
}

impl Choices {
    fn choose(&mut self, of: usize) -> usize {
        if self.next == self.taken.len() {
            self.taken.push((0, of));
        }
        self.next += 1;
        self.taken[self.next - 1].0
    }

    /// The next way to choose, if there is one.
    fn other(mut self) -> Option<Choices> {
        self.next = 0;
        while let Some((taken, of)) = self.taken.pop() {
            if taken + 1 < of {
                self.taken.push((taken + 1, of));
                return Some(self);
            }
        }
        None
    }
}

impl Follower {
    pub fn new(judge: Judge, run: Run) -> Follower {
        let nodes = run.nodes;
        let mut follower = Follower {
            judge,
            nodes: vec![Known::default(); nodes as usize + 1],
            run,
            requests: BTreeMap::new(),
            requests_seen: 0,
            behind: 0,
            reads: Vec::new(),
            reads_asked: 0,
            sent: BTreeMap::new(),
            choices: Choices::default(),
            earlier: None,
        };
        for (known, generation) in follower.nodes[1..].iter_mut().zip(&follower.run.generations) {
            known.generation = *generation;
        }
        for node in 1..=nodes {
            follower.synced(node);
            let promise = follower.judge.number(node, "promise");
            let leads: Vec<u32> =
                (1..=nodes).filter(|by| follower.judge.lead(*by, promise).is_some()).collect();
            follower.known(node).leader = leads.first().map(|by| (*by, promise));
        }
        follower
    }

    /// The first step that is not allowed, of the way to choose that leads furthest; and the judge after the last way.
    pub fn run(mut self) -> (Judge, Option<Box<Mismatch>>) {
        let first = self.clone();
        let mut furthest: Option<Box<Mismatch>> = None;
        for _ in 0..WAYS_MAX {
            let found = self.once();
            let Some(mismatch) = found else { return (self.judge, None) };
            if furthest.as_ref().is_none_or(|other| other.at < mismatch.at) {
                furthest = Some(mismatch);
            }
            let Some(choices) = self.choices.clone().other() else { return (self.judge, furthest) };
            self = Follower { choices, ..first.clone() };
        }
        (self.judge, furthest)
    }

    fn once(&mut self) -> Option<Box<Mismatch>> {
        for at in 0..self.run.events.len() {
            if let Err(wrong) = self.item(at) {
                return Some(Box::new(self.tell(at, wrong)));
            }
        }
        for node in 1..=self.run.nodes {
            if let Err(wrong) = self.flush(node) {
                return Some(Box::new(self.tell(self.run.events.len() - 1, wrong)));
            }
        }
        None
    }

    fn tell(&self, at: usize, wrong: Wrong) -> Mismatch {
        let at = self.earlier.unwrap_or(at);
        let event = self.run.events[at].clone();
        let mut difference = Vec::new();
        if let Some(node) = self.node_of(&event) {
            difference.push(self.judge.summary(node));
            let delta = event.kind.delta();
            difference.extend(delta.map(|d| format!("the event: {} {} → {}", d.field, d.before, d.after)));
        }
        let clause = wrong.clause();
        let (action, why) = match wrong {
            Wrong::Forbidden { action, refusal } => (action, refusal.text),
            Wrong::Differs { action, why } => (action, why),
            Wrong::Broken(why) => ("the question".to_string(), why),
        };
        Mismatch { at, event, step: None, action, clause, why, difference }
    }

    fn node_of(&self, event: &Event) -> Option<u32> {
        match event.id.actor {
            Actor::Node { node, shard } if shard == self.run.shard && (node as usize) < self.nodes.len() => {
                Some(node)
            }
            _ => None,
        }
    }

    fn item(&mut self, at: usize) -> Taken {
        let events = self.run.events.clone();
        let event = &events[at];
        let Some(node) = self.node_of(event) else { return Ok(()) };
        self.event(node, event, at)?;
        self.judge.release(node);
        Ok(())
    }

    fn base(&self, node: u32) -> u64 {
        self.judge.number(node, "base")
    }

    fn known(&mut self, node: u32) -> &mut Known {
        &mut self.nodes[node as usize]
    }

    fn synced(&mut self, node: u32) {
        let log = self.judge.at(node, "log").clone();
        self.known(node).writes = vec![log];
    }

    fn differs(
        &self,
        action: &str,
        what: &str,
        event: impl std::fmt::Display,
        spec: impl std::fmt::Display,
    ) -> Wrong {
        let why = format!("{what}: {event} by the event, {spec} by the specification");
        Wrong::Differs { action: action.to_string(), why }
    }

    fn same(&self, node: u32, action: &str, field: &str, event: u64) -> Taken {
        let spec = self.judge.number(node, field);
        if spec == event { Ok(()) } else { Err(self.differs(action, field, event, spec)) }
    }

    fn lead(&self, by: u32, epoch: u64) -> Result<Value, Wrong> {
        self.judge.lead(by, epoch).ok_or_else(|| Wrong::Differs {
            action: "Follow".into(),
            why: format!("n{by} is no primary of epoch {epoch} in the specification"),
        })
    }

    #[allow(clippy::too_many_lines)]
    fn event(&mut self, node: u32, event: &Event, at: usize) -> Taken {
        let n = Value::from(node);
        let request = self.known(node).request.take();
        let request = request.filter(|(id, _)| event.parents.contains(id)).map(|(_, request)| request);
        if !self.goes_on(node, event) {
            self.flush(node)?;
        }
        match &event.kind {
            Kind::TakeoverStarted { epoch_before, epoch } => {
                self.same(node, "Stand", "promise", *epoch_before)?;
                self.judge.take("Stand", &[n, (*epoch).into()])
            }
            Kind::PromiseGranted { to, epoch_before, epoch, tail_epoch, tail_seq } => {
                self.same(node, "GrantPromise", "promise", *epoch_before)?;
                let candidate = record(&[("by", (*to).into()), ("epoch", (*epoch).into())]);
                let tail = record(&[("epoch", (*tail_epoch).into()), ("seq", (*tail_seq).into())]);
                self.judge.take("GrantPromise", &[n, candidate, tail])
            }
            Kind::PromiseStored { epoch, .. } => {
                self.judge.take("StorePromise", std::slice::from_ref(&n))?;
                self.same(node, "StorePromise", "stored", *epoch)
            }
            Kind::PromiseCounted { from, epoch, .. } => {
                let word = self.word(node, "Promised", *from, Some(*epoch), None)?;
                self.judge.take("CountPromise", &[n, word])
            }
            Kind::PrimaryElected { epoch, tail, .. } => {
                self.same(node, "Elect", "promise", *epoch)?;
                self.judge.take("Elect", &[n])?;
                let last = self.judge.log(node).len();
                if last as u64 == *tail {
                    Ok(())
                } else {
                    Err(self.differs("Elect", "last entry", tail, last))
                }
            }
            Kind::TakeoverAbandoned { .. } | Kind::SteppedDown { .. } => {
                self.reads.retain(|read| read.node != node || read.confirmed);
                if self.judge.is(node, "backup") { Ok(()) } else { self.judge.take("StepDown", &[n]) }
            }
            Kind::EpochAdopted { epoch_before, epoch, primary } => {
                self.known(node).leader = Some((*primary, *epoch));
                self.same(node, "Follow", "promise", *epoch_before)?;
                let lead = self.lead(*primary, *epoch)?;
                self.judge.take("Follow", &[n, lead])
            }
            Kind::RequestReceived { session, number, .. } => {
                self.known(node).request = Some((event.id, (*session, *number)));
                Ok(())
            }
            Kind::EntryAppended { epoch, seq, .. } if self.judge.is(node, "primary") => {
                self.same(node, "AppendOwn", "promise", *epoch)?;
                match request {
                    Some(request) => {
                        let id = self.request(request);
                        self.judge.take("Write", &[n, id.into()])?;
                    }
                    None => self.judge.take("AppendMarker", &[n])?,
                }
                self.wrote(node);
                let last = self.judge.log(node).len();
                if last as u64 == *seq {
                    Ok(())
                } else {
                    Err(self.differs("AppendOwn", "last entry", seq, last))
                }
            }
            Kind::CommitAdvanced { from, to, .. } if self.judge.is(node, "primary") => {
                self.same(node, "CommitByCount", "commit", *from)?;
                self.judge.take("CommitByCount", &[n, (*to).into()])
            }
            Kind::EntryAppended { .. }
            | Kind::LogTruncated { .. }
            | Kind::CommitAdvanced { .. }
            | Kind::EntriesRepeated { .. } => {
                self.hear(node, event, at);
                Ok(())
            }
            Kind::EntriesSent { epoch, from, upto, commit, .. } => {
                self.sent.insert(event.id, (from - 1, false));
                self.speaks(node, *epoch, *upto, *commit)
            }
            Kind::HeartbeatSent { epoch, prev, commit, .. } => {
                self.sent.insert(event.id, (*prev, true));
                self.speaks(node, *epoch, *prev, *commit)
            }
            Kind::MatchAcknowledged { to, epoch, upto } => self.acknowledges(node, *to, *epoch, *upto),
            Kind::AckCounted { from, upto } => {
                let word = self.word(node, "PrepareOk", *from, None, Some(*upto))?;
                self.judge.take("CountAck", &[n, word])
            }
            Kind::EntryApplied { seq, applied_before, .. } => {
                self.same(node, "Apply", "applied", *applied_before)?;
                self.judge.take("Apply", &[n])?;
                self.same(node, "Apply", "applied", *seq)
            }
            // Its entry may have been left behind.
            Kind::ReplyReleased { session, number, .. }
                if self.behind > 0 && !self.requests.contains_key(&(*session, *number)) =>
            {
                Ok(())
            }
            Kind::ReplyReleased { session, number, reply, .. } if !reply.starts_with("its session") => {
                let id = self.request((*session, *number));
                let place =
                    self.judge.log(node).iter().position(|entry| has(entry, &[("request", id.into())]));
                let Some(place) = place else {
                    let why = format!("request {session}.{number} is answered, and is not in the log");
                    return Err(Wrong::Differs { action: "Answer".into(), why });
                };
                self.judge.take("Answer", &[n, (place as u64 + 1).into()])
            }
            Kind::ReadWaiting { gateway, id, round } => self.read_asked(node, *gateway, *id, Some(*round)),
            Kind::ConfirmationAsked { round, epoch } => {
                let lead = self.lead(node, *epoch)?;
                if lead.at("round").and_then(Value::int) == Ok(*round as i64) {
                    return Ok(()); // asked again
                }
                self.judge.take("BeginRound", &[n])
            }
            Kind::EpochConfirmed { to, epoch, round } => {
                let lead = self.lead(*to, *epoch)?;
                self.judge.take("Confirm", &[n, lead, (*round).into()])
            }
            Kind::ReadConfirmed { round, .. } => self.reads_confirmed(node, *round),
            Kind::ReadAnswered { gateway, id, .. } => self.read_answered(node, (*gateway, *id)),
            Kind::TransferStarted { why, .. } if why == "a chunk did not come in time" => Ok(()),
            Kind::TransferStarted { from, epoch, why } => {
                if why == "its log is unproven" {
                    self.withheld(node)?;
                }
                self.known(node).leader = Some((*from, *epoch));
                let lead = self.lead(*from, *epoch)?;
                self.judge.take("StartTransfer", &[n, lead])
            }
            Kind::TransferChunkSent { to, seq } => self.chunk_sent(node, *to, *seq),
            Kind::TransferFinished { from, seq, epoch } => {
                let partial = self.run.partial.contains(&event.id);
                self.installed(node, *from, *seq, *epoch, partial)
            }
            Kind::StateGivenUp { .. } => {
                self.judge.take("GiveUpAll", &[n])?;
                self.synced(node);
                Ok(())
            }
            Kind::StateInstalled { seq: 0, .. } if self.judge.log(node).is_empty() => {
                self.judge.take("Sync", &[n])?;
                self.synced(node);
                Ok(())
            }
            Kind::VoteWithheld { .. } => self.withheld(node),
            Kind::VoteLost { .. } => self.judge.take("LoseVote", &[n]),
            Kind::DeviceSynced { .. } => {
                self.judge.take("Sync", &[n])?;
                self.synced(node);
                Ok(())
            }
            Kind::CheckpointDone { seq, .. } => self.judge.take("Checkpoint", &[n, (*seq).into()]),
            Kind::DeviceOpened { generation, checkpoint, last, .. } => {
                self.opened(node, *generation, *checkpoint, *last, at)
            }
            _ => Ok(()),
        }
    }

    fn request(&mut self, request: (u64, u64)) -> i64 {
        *self.requests.entry(request).or_insert_with(|| {
            self.requests_seen += 1;
            self.requests_seen
        })
    }
}
