//! From events to steps of the specification.
//!
//! Each event is the trace of one step, or of a part of one: `EntryAppended` on a backup is a part of `Prepare`. What an
//! event does not tell is looked for among what makes the step possible; that can make a forbidden step look allowed only
//! where another step, which is allowed, would have left the same event.

use std::collections::BTreeMap;

use trace::{Actor, Event, EventId, Kind};

use crate::judge::{Judge, Mismatch, Taken, Wrong, has, record};
use crate::value::{Value, Word};

/// Ways to choose that are tried.
const WAYS_MAX: usize = 64;

/// What happens: an event, or what a schedule does to a device without an event.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Item {
    Event(Event),
    /// A crash that leaves so many of the unsynced log records.
    Crash {
        node: u32,
        keep: usize,
    },
    /// A crash, after which the log is damaged behind so many entries.
    Rot {
        node: u32,
        keep: usize,
    },
    Wipe(u32),
    /// The next state that the node makes its own is only a part of one.
    Half(u32),
    /// The next events follow from a message with entries behind this one.
    Behind(u64),
}

/// A part of `Prepare` that was told.
#[derive(Clone, Debug, Default)]
struct Heard {
    prev: Option<u64>,
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
    /// The state that comes next is only a part of one.
    half: bool,
    /// The generation of its superblock.
    generation: u64,
    /// The request that its last event told of.
    request: Option<(EventId, (u64, u64))>,
    /// The log as of the last sync, and after each record written since.
    writes: Vec<Value>,
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
pub(crate) struct Follower<'a> {
    pub judge: Judge,
    items: &'a [Item],
    nodes: Vec<Known>,
    requests: BTreeMap<(u64, u64), i64>,
    /// Reads that are not answered.
    reads: Vec<Read>,
    reads_asked: i64,
    /// What entries a frame is about, by the event that tells of its sending: those behind this one.
    sent: BTreeMap<EventId, u64>,
    behind: Option<u64>,
    shard: u32,
    choices: Choices,
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

impl<'a> Follower<'a> {
    pub fn new(judge: Judge, nodes: u32, shard: u32, items: &'a [Item]) -> Follower<'a> {
        let mut follower = Follower {
            judge,
            items,
            nodes: vec![Known::default(); nodes as usize + 1],
            requests: BTreeMap::new(),
            reads: Vec::new(),
            reads_asked: 0,
            sent: BTreeMap::new(),
            behind: None,
            shard,
            choices: Choices::default(),
        };
        for node in 1..=nodes {
            follower.synced(node);
            let promise = follower.judge.number(node, "promise");
            let leads: Vec<u32> =
                (1..=nodes).filter(|by| follower.judge.lead(*by, promise).is_some()).collect();
            follower.known(node).leader = leads.first().map(|by| (*by, promise));
        }
        follower
    }

    /// The first step that is not allowed, of the way to choose that leads furthest; and how many steps were taken.
    pub fn run(mut self) -> (u64, Option<Box<Mismatch>>) {
        let first = self.judge.clone();
        let (nodes, shard, items) = (self.nodes.len() as u32 - 1, self.shard, self.items);
        let mut furthest: Option<Box<Mismatch>> = None;
        for _ in 0..WAYS_MAX {
            let found = self.once();
            let steps = self.judge.steps;
            let Some(mismatch) = found else { return (steps, None) };
            if furthest.as_ref().is_none_or(|other| other.at < mismatch.at) {
                furthest = Some(mismatch);
            }
            let Some(choices) = self.choices.other() else { return (steps, furthest) };
            self = Follower { choices, ..Follower::new(first.clone(), nodes, shard, items) };
        }
        (self.judge.steps, furthest)
    }

    fn once(&mut self) -> Option<Box<Mismatch>> {
        for at in 0..self.items.len() {
            if let Err(wrong) = self.item(at) {
                return Some(Box::new(self.tell(at, wrong)));
            }
        }
        for node in 1..self.nodes.len() as u32 {
            if let Err(wrong) = self.flush(node) {
                return Some(Box::new(self.tell(self.items.len() - 1, wrong)));
            }
        }
        None
    }

    fn tell(&self, at: usize, wrong: Wrong) -> Mismatch {
        let event = if let Item::Event(event) = &self.items[at] { Some(event.clone()) } else { None };
        let mut difference = Vec::new();
        if let Some((node, event)) = event.as_ref().and_then(|event| Some((self.node_of(event)?, event))) {
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
        Mismatch { at, event, action, clause, why, difference }
    }

    fn node_of(&self, event: &Event) -> Option<u32> {
        match event.id.actor {
            Actor::Node { node, shard } if shard == self.shard && (node as usize) < self.nodes.len() => {
                Some(node)
            }
            _ => None,
        }
    }

    fn item(&mut self, at: usize) -> Taken {
        match &self.items[at] {
            Item::Event(event) => match self.node_of(event) {
                Some(node) => {
                    self.event(node, event, at)?;
                    self.judge.release(node);
                    Ok(())
                }
                None => Ok(()),
            },
            Item::Crash { node, keep } => {
                self.flush(*node)?;
                let log = self.nodes[*node as usize].writes.get(*keep).cloned();
                let log = log.unwrap_or_else(|| self.judge.at(*node, "log").clone());
                self.crash(*node, log)
            }
            Item::Rot { node, keep } => {
                self.flush(*node)?;
                let log = self.nodes[*node as usize].writes.first().cloned();
                let log = log.unwrap_or_else(|| self.judge.at(*node, "log").clone());
                self.judge.take("Rot", &[(*node).into(), log, (self.base(*node) + *keep as u64).into()])?;
                self.reopened(*node);
                Ok(())
            }
            Item::Wipe(node) => {
                self.flush(*node)?;
                self.judge.take("Wipe", &[(*node).into()])?;
                self.reopened(*node);
                Ok(())
            }
            Item::Half(node) => {
                self.known(*node).half = true;
                Ok(())
            }
            Item::Behind(prev) => {
                self.behind = Some(*prev);
                Ok(())
            }
        }
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

    fn crash(&mut self, node: u32, log: Value) -> Taken {
        self.judge.take("Crash", &[node.into(), log])?;
        self.reopened(node);
        Ok(())
    }

    fn reopened(&mut self, node: u32) {
        self.synced(node);
        let known = self.known(node);
        (known.leader, known.heard, known.request) = (None, None, None);
        self.reads.retain(|read| read.node != node);
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
            Kind::PrimaryElected { epoch, tail } => {
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
                self.hear(node, event);
                Ok(())
            }
            Kind::EntriesSent { epoch, from, upto, commit, .. } => {
                self.sent.insert(event.id, from - 1);
                self.speaks(node, *epoch, *upto, *commit)
            }
            Kind::HeartbeatSent { epoch, prev, commit, .. } => {
                self.sent.insert(event.id, *prev);
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
            Kind::TransferFinished { from, seq, epoch } => self.installed(node, *from, *seq, *epoch),
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
        let next = self.requests.len() as i64 + 1;
        *self.requests.entry(request).or_insert(next)
    }

    /// A log record was written.
    fn wrote(&mut self, node: u32) {
        let log = self.judge.at(node, "log").clone();
        self.known(node).writes.push(log);
    }

    /// What a primary sends is a piece of its log, with its commit point.
    fn speaks(&mut self, node: u32, epoch: u64, upto: u64, commit: u64) -> Taken {
        let lead = self.lead(node, epoch)?;
        let last = lead.at("log").and_then(Value::items).map_or(0, |log| log.len() as u64);
        let known = lead.at("commit").and_then(Value::int).unwrap_or(0) as u64;
        if upto > last {
            return Err(self.differs("Prepare", "last entry sent", upto, last));
        }
        if commit > known { Err(self.differs("Prepare", "commit point sent", commit, known)) } else { Ok(()) }
    }

    /// Is the event another part of the same `Prepare`?
    fn goes_on(&self, node: u32, event: &Event) -> bool {
        let Some(heard) = &self.nodes[node as usize].heard else { return true };
        match &event.kind {
            Kind::RecordWritten { .. } | Kind::TruncationWritten { .. } => true,
            Kind::EntryAppended { seq, .. } => {
                heard.commit.is_none() && heard.entries.last().is_none_or(|(last, _)| last + 1 == *seq)
            }
            Kind::CommitAdvanced { .. } => heard.commit.is_none(),
            Kind::LogTruncated { .. } => heard.commit.is_none() && heard.entries.is_empty() && heard.cut == 0,
            _ => false,
        }
    }

    fn hear(&mut self, node: u32, event: &Event) {
        let told = event.parents.iter().find_map(|parent| self.sent.get(parent).copied());
        let prev = told.or(self.behind);
        let heard = self.known(node).heard.get_or_insert_default();
        heard.prev = heard.prev.or(prev);
        match &event.kind {
            Kind::LogTruncated { from, .. } => heard.cut = *from,
            Kind::EntryAppended { epoch, seq, .. } => heard.entries.push((*seq, *epoch)),
            Kind::EntriesRepeated { upto, .. } => heard.repeated = *upto,
            Kind::CommitAdvanced { from, to, .. } => heard.commit = Some((*from, *to)),
            _ => {}
        }
    }

    /// Takes the `Prepare` that was told of in parts.
    fn flush(&mut self, node: u32) -> Taken {
        let Some(heard) = self.known(node).heard.take() else { return Ok(()) };
        let Some((by, epoch)) = self.nodes[node as usize].leader else {
            let why = format!("n{node} follows nobody, and takes entries");
            return Err(Wrong::Differs { action: "Prepare".into(), why });
        };
        let lead = self.lead(by, epoch)?;
        if let Some((from, _)) = heard.commit {
            self.same(node, "Prepare", "commit", from)?;
        }
        let commit = heard.commit.map_or(self.judge.number(node, "commit"), |(_, to)| to);
        let last = self.judge.log(node).len() as u64;
        let first = heard.entries.first().map(|entry| entry.0);
        let upto = match heard.entries.last() {
            Some((seq, _)) => *seq,
            None if heard.repeated >= commit && heard.repeated > 0 => heard.repeated,
            None => self.matching(node, &lead, u64::MAX),
        };
        let usual = if heard.cut > 0 { heard.cut - 1 } else { first.map_or(upto, |first| first - 1) };
        let prev = heard.prev.filter(|prev| *prev <= usual).unwrap_or(usual);
        self.prepare(node, &lead, prev, upto, heard.cut, commit)?;
        let log = self.judge.log(node);
        let wrong = heard.entries.iter().find(|(seq, epoch)| {
            log.get(*seq as usize - 1).is_none_or(|entry| !has(entry, &[("epoch", (*epoch).into())]))
        });
        if let Some((seq, epoch)) = wrong {
            let why = format!("the primary's entry {seq} is not of epoch {epoch}");
            return Err(Wrong::Differs { action: "Prepare".into(), why });
        }
        let ends = heard.entries.last().map_or(if heard.cut > 0 { heard.cut - 1 } else { last }, |e| e.0);
        if log.len() as u64 != ends {
            return Err(self.differs("Prepare", "last entry", ends, log.len()));
        }
        let log = log.to_vec();
        let cut = (heard.cut > 0).then(|| heard.cut - 1);
        let written = cut.into_iter().chain(heard.entries.iter().map(|(seq, _)| *seq));
        let logs: Vec<Value> = written.map(|upto| Value::seq(log[..upto as usize].to_vec())).collect();
        self.known(node).writes.extend(logs);
        Ok(())
    }

    /// `Prepare`, with the entry before its first one as it may have been if that is not known.
    fn prepare(&mut self, node: u32, lead: &Value, prev: u64, upto: u64, cut: u64, commit: u64) -> Taken {
        let ask = |prev: u64| -> [Value; 6] {
            [node.into(), lead.clone(), prev.into(), upto.into(), cut.into(), commit.into()]
        };
        let first = self.judge.take("Prepare", &ask(prev));
        let earlier = self.matching(node, lead, prev);
        match first {
            Err(wrong) if earlier < prev && prev <= self.judge.log(node).len() as u64 => self
                .judge
                .take("Prepare", &ask(earlier))
                .map_err(|later| if later.clause().is_some() { later } else { wrong }),
            taken => taken,
        }
    }

    /// The last entry, up to `most`, that the replica's log and the primary's have in common.
    fn matching(&self, node: u32, lead: &Value, most: u64) -> u64 {
        let Ok(theirs) = lead.at("log").and_then(Value::items) else { return 0 };
        let own = self.judge.log(node);
        let upto = own.len().min(theirs.len()).min(usize::try_from(most).unwrap_or(usize::MAX));
        (1..=upto).rev().find(|seq| own[seq - 1].at("epoch") == theirs[seq - 1].at("epoch")).unwrap_or(0)
            as u64
    }

    fn acknowledges(&mut self, node: u32, to: u32, epoch: u64, upto: u64) -> Taken {
        let said = |judge: &Judge, what: &str| {
            let fields = [("kind", Value::str("PrepareOk")), ("to", to.into()), ("epoch", epoch.into())];
            let mut all: Box<dyn Iterator<Item = &Value>> = match what {
                "held" => Box::new(judge.at(node, "held").elements().expect("a set").iter()),
                _ => Box::new(judge.said("mail").filter(|mail| has(mail, &[("from", node.into())]))),
            };
            all.find(|m| has(m, &fields) && m.at("tail").and_then(|t| t.at("seq")) == Ok(&upto.into()))
                .cloned()
        };
        if said(&self.judge, "mail").is_some() {
            return Ok(());
        }
        if said(&self.judge, "held").is_none() {
            let lead = self.lead(to, epoch)?;
            let last = self.judge.log(node).len() as u64;
            let prev = if upto > last { upto } else { self.matching(node, &lead, upto) };
            let commit = self.judge.number(node, "commit");
            self.prepare(node, &lead, prev, upto, 0, commit)?;
        }
        match said(&self.judge, "held") {
            Some(held) => self.judge.take("Release", &[node.into(), held]),
            None => Ok(()),
        }
    }

    /// The word that was heard: one that was said to this replica, else one to somebody else, else one that still waits.
    fn word(
        &mut self,
        node: u32,
        kind: &str,
        from: u32,
        epoch: Option<u64>,
        upto: Option<u64>,
    ) -> Result<Value, Wrong> {
        let current = self.judge.number(node, "promise");
        let fits = |m: &&Value| {
            let seq = m.at("tail").and_then(|tail| tail.at("seq")).and_then(Value::int).unwrap_or(-1);
            has(m, &[("kind", Value::str(kind)), ("from", from.into())])
                && epoch.is_none_or(|epoch| has(m, &[("epoch", epoch.into())]))
                && upto.is_none_or(|upto| seq as u64 == upto)
        };
        let to_me = |m: &&Value| has(m, &[("to", node.into())]);
        let now = |m: &&Value| has(m, &[("epoch", current.into())]);
        let said: Vec<&Value> = self.judge.said("mail").filter(fits).collect();
        let best = said.iter().copied().find(|m| to_me(m) && now(m));
        let best = best.or_else(|| said.iter().copied().find(to_me)).or_else(|| said.first().copied());
        if let Some(word) = best {
            return Ok(word.clone());
        }
        let held = self.judge.at(from, "held").elements().expect("a set").iter().find(fits).cloned();
        match held {
            Some(held) => {
                self.judge.take("Release", &[from.into(), held.clone()])?;
                self.word(node, kind, from, epoch, upto)
            }
            None => Err(Wrong::Differs { action: kind.into(), why: format!("n{from} never said that") }),
        }
    }

    fn read_asked(&mut self, node: u32, gateway: u32, id: u64, round: Option<u64>) -> Taken {
        let epoch = self.judge.number(node, "promise");
        let lead = self.lead(node, epoch)?;
        let next = lead.at("round").and_then(Value::int).unwrap_or(0) as u64 + 1;
        if round.is_some_and(|round| round < next) {
            return Err(self.differs("AskRead", "round", round.unwrap_or(0), next));
        }
        self.reads_asked += 1;
        self.reads.push(Read { node, name: (gateway, id), id: self.reads_asked, confirmed: false });
        self.judge.take("AskRead", &[node.into(), lead, self.reads_asked.into()])
    }

    /// The reads that waited for this round may be answered; those of damaged values are answered later.
    fn reads_confirmed(&mut self, node: u32, round: u64) -> Taken {
        for at in 0..self.reads.len() {
            let read = self.reads[at];
            let question = self.question(node, read.id).filter(|_| read.node == node && !read.confirmed);
            let due = |q: &Value| q.at("round").and_then(Value::int).is_ok_and(|r| r <= round as i64);
            if let Some(question) = question.filter(due) {
                self.judge.take("AnswerRead", &[node.into(), question])?;
                self.reads[at].confirmed = true;
            }
        }
        Ok(())
    }

    fn read_answered(&mut self, node: u32, name: (u32, u64)) -> Taken {
        let same = |read: &Read| read.node == node && read.name == name;
        if let Some(at) = self.reads.iter().position(|read| same(read) && read.confirmed) {
            self.reads.remove(at);
            return Ok(());
        }
        // Nobody told that it waited: it may be answered only if it need not have.
        self.read_asked(node, name.0, name.1, None)?;
        let question = self.question(node, self.reads_asked).unwrap_or(Value::Bool(false));
        self.judge.take("AnswerRead", &[node.into(), question])
    }

    fn question(&self, node: u32, id: i64) -> Option<Value> {
        let reads = self.judge.client("reads").elements().expect("a set");
        reads.iter().find(|q| has(q, &[("at", node.into()), ("id", id.into())])).cloned()
    }

    /// It does not vote: whatever the reason, that takes nothing but service.
    fn withheld(&mut self, node: u32) -> Taken {
        if *self.judge.at(node, "proven") == Value::Bool(true) {
            return self.judge.take("LoseVote", &[node.into()]);
        }
        Ok(())
    }

    fn chunk_sent(&mut self, node: u32, to: u32, seq: u64) -> Taken {
        if self.base(node) < seq {
            self.judge.take("Checkpoint", &[node.into(), seq.into()])?;
        }
        // The rules may not have heard yet of a checkpoint that the engine sends from.
        let epoch = self.judge.number(node, "promise");
        let asked = [("by", to.into()), ("to", node.into()), ("epoch", epoch.into())];
        let pulls: Vec<Value> = self.judge.said("pulls").filter(|pull| has(pull, &asked)).cloned().collect();
        let mut taken =
            Err(Wrong::Differs { action: "SendState".into(), why: format!("n{to} never asked for it") });
        let mut any = false;
        for pull in pulls {
            taken = self.judge.take("SendState", &[node.into(), pull]);
            any |= taken.is_ok();
        }
        if any { Ok(()) } else { taken }
    }

    fn installed(&mut self, node: u32, from: u32, seq: u64, epoch: u64) -> Taken {
        let sent = [("by", from.into()), ("to", node.into()), ("epoch", epoch.into())];
        let states: Vec<Value> =
            self.judge.said("states").filter(|state| has(state, &sent)).cloned().collect();
        let why = format!("n{from} never sent a state as of entry {seq}");
        let mut taken = Err(Wrong::Differs { action: "Install".into(), why });
        let half = std::mem::take(&mut self.known(node).half);
        for state in states.into_iter().rev() {
            let whole = state.at("log").cloned().map_err(Wrong::Broken)?;
            let log = if half { without_content(&whole).map_err(Wrong::Broken)? } else { whole };
            if log.items().map_or(0, |log| log.len() as u64) == seq {
                taken = self.judge.take("Install", &[node.into(), state, log]);
                if taken.is_ok() {
                    break;
                }
            }
        }
        self.synced(node);
        taken
    }

    /// A restart: what the device still had is known by where its log ends.
    fn opened(&mut self, node: u32, generation: u64, checkpoint: u64, last: u64, at: usize) -> Taken {
        let before = std::mem::replace(&mut self.known(node).generation, generation);
        // A damaged superblock may be older than one that was seen; an empty one of the first generations is another disk's.
        if generation <= before && last == 0 && checkpoint == 0 {
            self.judge.take("Wipe", &[node.into()])?;
            self.reopened(node);
            return Ok(());
        }
        let later = self.items[at + 1..].iter().filter_map(|item| match item {
            Item::Event(event) if self.node_of(event) == Some(node) => Some(&event.kind),
            _ => None,
        });
        let (mut damaged, mut again, mut whole) = (false, false, false);
        let (mut promised, mut owed, opened, mut last) = (None, None, last, last);
        for (after, kind) in later.enumerate() {
            match kind {
                // Told at once, or found later, while it runs, which changes nothing of what it opened.
                Kind::CorruptionFound { .. } if after > 0 => {}
                Kind::StateGivenUp { .. } => again = true,
                Kind::CorruptionFound { zone, .. } if zone != "data" && !again => {
                    damaged = true;
                    whole |= zone == "checkpoint";
                }
                Kind::DamageGivenUp { last: left, owed_epoch, owed_seq } if damaged && !again => {
                    (last, owed) = (*left, Some((*owed_epoch, *owed_seq)));
                }
                Kind::PromiseGranted { epoch_before, tail_epoch, tail_seq, .. } => {
                    promised = promised.or(Some(*epoch_before));
                    if damaged && !again {
                        owed = owed.or(Some((*tail_epoch, *tail_seq)));
                    }
                }
                Kind::TakeoverStarted { epoch_before, .. } | Kind::EpochAdopted { epoch_before, .. } => {
                    promised = promised.or(Some(*epoch_before))
                }
                Kind::StaleEpochRefused { promised: now, .. } => promised = promised.or(Some(*now)),
                // A damaged checkpoint leaves nothing.
                Kind::StateInstalled { seq: 0, .. } if damaged && !again => last = 0,
                Kind::DeviceOpened { generation: next, checkpoint: 0, last: 0, .. }
                    if *next <= generation =>
                {
                    break;
                }
                // Nothing was written in between: what it finds is the same.
                Kind::DeviceOpened { generation: next, .. } => again |= *next != generation,
                _ => {}
            }
        }
        // Behind a damaged checkpoint the log may be whole; then its end is what is owed.
        let had = if whole {
            End::At(opened)
        } else {
            owed.map_or(End::Unknown, |(epoch, seq)| End::Tail(epoch, seq))
        };
        self.reopen(node, checkpoint, last, damaged.then_some(had), promised)
    }

    fn reopen(
        &mut self,
        node: u32,
        checkpoint: u64,
        last: u64,
        damaged: Option<End>,
        promised: Option<u64>,
    ) -> Taken {
        let n = Value::from(node);
        // What the device did last may have reached it although nobody heard of it.
        if promised.is_some_and(|promised| promised > self.judge.number(node, "stored")) {
            self.judge.take("StorePromise", std::slice::from_ref(&n))?;
        }
        let length = |log: &Value| log.items().map_or(0, |log| log.len() as u64);
        if let Some(had) = damaged {
            let last_epoch = |log: &Value| -> u64 {
                let epoch = log.items().ok().and_then(|log| log.last()?.at("epoch").ok()?.int().ok());
                epoch.unwrap_or(0) as u64
            };
            let ends = |log: &Value| match had {
                End::Tail(epoch, seq) => (epoch, seq) == (last_epoch(log), length(log)),
                End::At(seq) => seq == length(log),
                End::Unknown => true,
            };
            let logs = self.judge.at(node, "disk").elements().expect("a set");
            let log = logs.iter().rev().find(|log| ends(log)).or_else(|| logs.iter().next_back()).cloned();
            let log = log.unwrap_or_else(|| self.judge.at(node, "log").clone());
            let last = last.min(length(&log));
            self.judge.take("Rot", &[n, log, last.into()])?;
            self.reopened(node);
            return Ok(());
        }
        if checkpoint > self.base(node) && checkpoint <= self.judge.number(node, "applied") {
            self.judge.take("Checkpoint", &[n.clone(), checkpoint.into()])?;
        }
        let left = |judge: &Judge| -> Vec<Value> {
            let logs = judge.at(node, "disk").elements().expect("a set");
            logs.iter().rev().filter(|log| length(log) == last).cloned().collect()
        };
        if left(&self.judge).is_empty() {
            let fetch = self.judge.at(node, "fetch").clone();
            let (by, epoch) = (fetch.at("by").and_then(Value::int), fetch.at("epoch").and_then(Value::int));
            if let (Ok(by), Ok(epoch)) = (by, epoch) {
                self.installed(node, by as u32, checkpoint, epoch as u64).ok();
            }
        }
        let mut logs = left(&self.judge);
        if logs.is_empty() {
            return Err(self.differs("Crash", "last entry on the device", last, self.judge.log(node).len()));
        }
        let chosen = if logs.len() == 1 { 0 } else { self.choices.choose(logs.len()) };
        self.crash(node, logs.swap_remove(chosen))
    }
}

/// The log, but that the first request in it did nothing.
fn without_content(log: &Value) -> crate::value::Result<Value> {
    let mut entries = log.items()?.to_vec();
    let request = entries.iter_mut().find(|entry| entry.at("request") != Ok(&Value::Int(0)));
    if let Some(entry) = request {
        *entry = crate::eval::replaced(entry, Word::of("request"), Value::Int(0))?;
    }
    Ok(Value::seq(entries))
}
