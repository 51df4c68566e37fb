//! The gateway: it finds the primary of a key's shard, asks, asks again, and calls for a takeover when nobody answers.
//!
//! A gateway holds no data and no authority. It may be wrong about who leads, there may be several of it, and it may
//! vanish at any moment: the replicas' rules keep all of that safe. What it owes its clients is one thing, **never to
//! guess**: a write keeps one identity (session, number) over all attempts, and if its outcome cannot be learned, the
//! answer is `Unknown`, never "failed".
//!
//! It is a state machine without I/O, like the rules: requests, frames and time in; frames and replies out.
//!
//! | file | job |
//! |---|---|
//! | `api` | what a client can ask, and hear |
//! | `lib` | clients' side: submit, gather, reply; which shard a key belongs to |
//! | `shard` | one shard's calls in flight: session, numbers, resending |
//! | `failover`, `nodes` | one shard's primary: suspecting it, calling for the next; what the nodes said |
//! | `core` | what a shard wants done, in order |
//! | `guard` | the gateway's removable mechanism |

#![forbid(unsafe_code)]

mod api;
mod core;
mod failover;
mod guard;
mod nodes;
mod shard;

use std::collections::BTreeMap;
use std::ops::Range;

use dataplane::{
    Address, Frame, KEY_BYTES_MAX, Message, Micros, NodeId, Op, Outcome, Query, ReadResult, ShardId,
    VALUE_BYTES_MAX, WriteResult,
};
use trace::{Kind, Tracer, emit};

use crate::core::{Effect, Ended};
use crate::shard::{Call, Shard};
pub use api::*;

/// Most keys in one page of a scan.
pub const SCAN_LIMIT_MAX: u32 = dataplane::SCAN_KEYS_MAX;
/// What [`Reply::NoRoom`] means, for a client.
pub const DEVICE_FULL: &str =
    "the device is full: only deletes are taken, and values no longer than those that they replace";
/// Requests in flight before further ones are turned away, as a real gateway has it.
pub const IN_FLIGHT_MAX: usize = 16_384;

/// What a gateway wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this frame to its node, or drop it if there is no connection.
    Send(Frame),
    /// Answer a client.
    Reply {
        /// Which request.
        token: Token,
        /// The answer.
        reply: Reply,
    },
}

/// A client's request over one or all shards.
#[derive(Clone, Debug)]
struct Open {
    /// What was asked, for the trace and for merging.
    request: Request,
    /// Answers of shards, until all are there.
    parts: Vec<ReadResult>,
    awaited: usize,
    deadline: Micros,
}

/// A gateway.
#[derive(Clone, Debug)]
pub struct Gateway {
    config: Config,
    shards: Vec<Shard>,
    /// In boxes, so that the tree's nodes stay small: they come and go with every dozen requests.
    open: BTreeMap<Token, Box<Open>>,
    replies: Vec<(Token, Reply)>,
    frames: Vec<Frame>,
    t: Tracer,
}

/// The shard of a key: FNV-1a, 64 bits, modulo the number of shards. Fixed for ever: it decides where data lies.
pub fn shard_of(key: &[u8], shards: u32) -> ShardId {
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    (hash % u64::from(shards)) as ShardId
}

impl Gateway {
    /// A gateway that knows nobody yet. It begins to look for primaries at its first tick.
    pub fn new(config: Config, now: Micros) -> Gateway {
        let shards = (0..config.shards).map(|shard| Shard::new(&config, shard, now)).collect();
        let (open, replies, frames) = (BTreeMap::new(), Vec::new(), Vec::new());
        Gateway { config, shards, open, replies, frames, t: Tracer::off() }
    }

    /// From now on what happens is told there.
    pub fn trace_to(&mut self, tracer: Tracer) {
        self.t = tracer;
    }

    /// Takes a client's request. The answer comes as an [`Output::Reply`] with the same token, at the latest when the
    /// deadline has passed. With `explain` the request is followed through all processes.
    pub fn submit(&mut self, now: Micros, token: Token, request: Request, explain: bool) {
        self.t.begin_root(now, explain);
        emit!(self.t, Kind::CallTaken { call: token, request: describe(&request) });
        let refusal = invalid(&request).map(Reply::Invalid).or_else(|| {
            let full = self.open.len() >= self.config.in_flight_max;
            full.then(|| Reply::Unavailable("too many requests are in flight at this gateway".into()))
        });
        if let Some(reply) = refusal {
            return self.reply(token, &request, reply);
        }
        let deadline = now + self.config.timing.deadline;
        let shards = self.shards_of(&request);
        let open = Open { request: request.clone(), parts: Vec::new(), awaited: shards.len(), deadline };
        self.open.insert(token, Box::new(open));
        let followed = self.t.is_on();
        for shard in shards {
            let call = Call::new(token, request.clone(), now, followed);
            self.with(now, shard, |shard| shard.call(Box::new(call)));
        }
    }

    /// Lets a shard do something, and carries out what it then wants.
    fn with(&mut self, now: Micros, shard: ShardId, act: impl FnOnce(&mut Shard)) {
        let at = shard as usize;
        self.shards[at].begin(now, self.t.is_on());
        act(&mut self.shards[at]);
        while let Some(effect) = self.shards[at].core.effects.pop_front() {
            match effect {
                Effect::Tell(told) => self.t.record(told.kind, told.source),
                Effect::Send(to, message) => {
                    let (cluster, from) = (self.config.cluster, Address::Gateway(self.config.id));
                    let (to, cause) = (Address::Node(to), self.t.cause());
                    self.frames.push(Frame { cluster, shard, from, to, cause, message });
                }
                Effect::End(token, how) => self.end(token, how),
            }
        }
        self.shards[at].check();
        assert!(self.open.len() <= self.config.in_flight_max, "requests in flight are bounded");
    }

    /// The shards that have to be asked.
    fn shards_of(&self, request: &Request) -> Range<ShardId> {
        let one = request.key().map(|key| shard_of(key, self.config.shards));
        one.map_or(0..self.config.shards, |shard| shard..shard + 1)
    }

    /// Handles a frame from a node.
    pub fn handle(&mut self, now: Micros, frame: Frame) {
        self.t.begin(now, frame.cause);
        let Address::Node(from) = frame.from else { return };
        let Config { mechanisms, cluster, id, shards, .. } = &self.config;
        let (shard, me) = (frame.shard, Address::Gateway(*id));
        if shard >= *shards || !dataplane::guard::frame_identity(*mechanisms, &frame, cluster, shard, me) {
            let (message, from) = (frame.message.name().into(), from.to_string());
            emit!(self.t, Kind::FrameRefused { message, from, why: "it is for another gateway".into() });
            return;
        }
        self.with(now, shard, |shard| match frame.message {
            Message::Answer { request, result } => shard.on_answer(from, request, result),
            Message::SessionOpened { session } => shard.on_session_opened(session),
            Message::ReadAnswer { id, result } => shard.on_read_answer(id, result),
            Message::Refused { what, why } => shard.on_refused(from, what, why),
            Message::Status { attempt, status } => shard.on_status(from, attempt, status),
            Message::Members { serves, rows } => shard.on_members(from, serves, &rows),
            _ => {}
        });
    }

    /// The connection to a node was refused or broke: strong evidence that it is gone, so that nobody waits for its
    /// silence to last.
    pub fn unreachable(&mut self, now: Micros, node: NodeId, shard: ShardId) {
        self.t.begin(now, None);
        if shard < self.config.shards {
            self.with(now, shard, |shard| shard.on_unreachable(node));
        }
    }

    /// Lets time pass: probes, resends, suspects, gives up.
    pub fn tick(&mut self, now: Micros) {
        for shard in 0..self.config.shards {
            self.t.begin(now, None);
            self.with(now, shard, Shard::tick);
        }
        let late = self.open.iter().take_while(|(_, open)| now >= open.deadline);
        for token in late.map(|(token, _)| *token).collect::<Vec<Token>>() {
            self.t.begin(now, None);
            self.give_up(token);
        }
    }

    /// Its time is over.
    fn give_up(&mut self, token: Token) {
        // Each shard has to forget the request, also behind one that says it was sent.
        let sent = self.shards.iter_mut().filter_map(|shard| shard.give_up(token).then_some(())).count() > 0;
        let seconds = self.config.timing.deadline / 1_000_000;
        let how = if sent {
            Ended::Unknown(format!("no answer within {seconds} s, although it was sent"))
        } else {
            Ended::Unavailable(format!("no primary answered within {seconds} s"))
        };
        self.end(token, how);
    }

    /// When [`Gateway::tick`] is due next.
    pub fn next_deadline(&self) -> Option<Micros> {
        // Tokens grow, and so do deadlines.
        let requests = self.open.first_key_value().map(|(_, open)| open.deadline);
        self.shards.iter().map(Shard::next_deadline).chain(requests).min()
    }

    /// Takes out what is to be done now.
    pub fn outputs(&mut self) -> impl Iterator<Item = Output> + '_ {
        let replies = self.replies.drain(..).map(|(token, reply)| Output::Reply { token, reply });
        replies.chain(self.frames.drain(..).map(Output::Send))
    }

    /// What it knows of each shard.
    pub fn view(&self) -> Vec<ShardView> {
        self.shards.iter().map(|shard| shard.search.view()).collect()
    }

    /// How many requests have no answer yet.
    pub fn in_flight(&self) -> usize {
        self.open.len()
    }

    /// One shard's call has ended; the request ends with its last.
    fn end(&mut self, token: Token, how: Ended) {
        let Some(open) = self.open.get_mut(&token) else { return };
        let reply = match how {
            Ended::Write(WriteResult::Done(Outcome::NoRoom)) => Reply::NoRoom,
            Ended::Write(WriteResult::Done(outcome)) => Reply::Done(outcome),
            Ended::Write(WriteResult::SessionUnknown(_)) => Reply::Unknown(
                "the gateway's session was evicted, and with it the record of this write".into(),
            ),
            Ended::Unknown(why) => Reply::Unknown(why),
            Ended::Unavailable(why) => Reply::Unavailable(why),
            Ended::Invalid => Reply::Invalid("the node refused the key or value as out of bounds".into()),
            Ended::Read(ReadResult::Damaged) => Reply::Damaged,
            Ended::Read(part) => {
                open.parts.push(part);
                assert!(open.parts.len() <= open.awaited, "P2: a shard answered one request twice");
                if open.parts.len() < open.awaited {
                    return;
                }
                merge(&open.request, std::mem::take(&mut open.parts))
            }
        };
        let open = self.open.remove(&token).expect("it was there a moment ago");
        self.reply(token, &open.request, reply);
    }

    fn reply(&mut self, token: Token, request: &Request, reply: Reply) {
        let kind = || Kind::RequestEnded { call: token, request: describe(request), reply: summary(&reply) };
        emit!(self.t, kind());
        self.replies.push((token, reply));
    }
}

/// Puts the shards' answers together.
fn merge(request: &Request, parts: Vec<ReadResult>) -> Reply {
    let (mut keys, mut count) = (Vec::new(), 0);
    for part in parts {
        match (part, request.key()) {
            (ReadResult::Value(version, value), _) => return Reply::Value(version, value),
            (ReadResult::Long(bytes), Some(key)) => return Reply::Long(key.clone(), bytes),
            (ReadResult::Missing, _) => return Reply::Missing,
            (ReadResult::Keys(more), _) => keys.extend(more),
            (ReadResult::Count(n), _) => count += n,
            (ReadResult::Damaged | ReadResult::Long(_), _) => return Reply::Damaged,
        }
    }
    let Request::Read(Query::Scan { limit, .. }) = request else { return Reply::Count(count) };
    keys.sort();
    keys.truncate(*limit as usize);
    Reply::Keys(keys)
}

/// Why a request cannot be sent at all.
fn invalid(request: &Request) -> Option<String> {
    if let Request::Read(Query::Scan { limit, .. }) = request
        && !(1..=SCAN_LIMIT_MAX).contains(limit)
    {
        return Some(format!("limit is {limit}; it must be from 1 to {SCAN_LIMIT_MAX}"));
    }
    let value_bytes = match request {
        Request::Write(Op::Nop) => return Some("a write changes a key".into()),
        Request::Write(Op::Put { value, .. }) => value.len(),
        _ => 0,
    };
    let key_bytes = request.key()?.len();
    if !(1..=KEY_BYTES_MAX).contains(&key_bytes) {
        Some(format!("the key has {key_bytes} bytes; it must have 1 to {KEY_BYTES_MAX}"))
    } else if value_bytes > VALUE_BYTES_MAX {
        Some(format!("the value has {value_bytes} bytes; at most {VALUE_BYTES_MAX} are allowed"))
    } else {
        None
    }
}

fn describe(request: &Request) -> String {
    let show = |key: &[u8]| dataplane::show(key);
    match request {
        Request::Write(Op::Put { key, value, .. }) => format!("put {} ({} bytes)", show(key), value.len()),
        Request::Write(Op::Delete { key, .. }) => format!("delete {}", show(key)),
        Request::Write(Op::Nop) => "nothing".into(),
        Request::Read(Query::Get(key) | Query::GetUpTo(key, _)) => format!("get {}", show(key)),
        Request::Read(Query::Scan { prefix, .. }) => format!("list {}*", show(prefix)),
        Request::Read(Query::Count) => "count".into(),
    }
}

fn summary(reply: &Reply) -> String {
    match reply {
        Reply::Done(outcome) => outcome.to_string(),
        Reply::Value(version, value) => format!("version {version}, {} bytes", value.len()),
        Reply::Long(_, bytes) => format!("{bytes} bytes, more than asked for"),
        Reply::Missing => "no such key".into(),
        Reply::Keys(keys) => format!("{} keys", keys.len()),
        Reply::Count(n) => format!("{n} keys in all"),
        Reply::NoRoom => DEVICE_FULL.into(),
        Reply::Unknown(why) => format!("UNKNOWN: {why}"),
        Reply::Unavailable(why) | Reply::Invalid(why) => why.clone(),
        Reply::Damaged => "the value is damaged".into(),
    }
}
