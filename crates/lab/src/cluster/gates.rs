//! Real gateways, and the clients that ask them.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane::{Condition, Frame, GatewayId, Message, Micros, NodeId, Op, Outcome, Query, Seq, WriteResult};
use gateway::{Gateway, Output, Reply, Request, Timing};
use trace::{Actor, Mechanisms};

use super::ear::{CLUSTER, Ear, tracer};
use super::language::{Ask, Setting};
use super::witness::{Shown, Sight, Stamp};

/// Patience in expiries of timers.
const TIMING: Timing = Timing {
    probe_every: 2,
    silence: 4,
    retry_after: 3,
    takeover_patience: 3,
    backoff_max: 16,
    deadline: 60,
};

/// One gateway.
pub(crate) struct Gate {
    pub(crate) id: GatewayId,
    pub(crate) running: Gateway,
    now: Micros,
}

/// A client's request under way.
struct Asked {
    what: Ask,
    /// The version that its key had, as far as any client knew.
    known: Seq,
}

/// A client has its answer.
pub(super) struct Replied {
    /// In its words.
    pub(super) line: String,
    /// Entries that it knows of now.
    pub(super) shown: Option<(Seq, Stamp, Shown)>,
    /// It is older than what was known when it was asked for.
    pub(super) stale: Option<String>,
}

/// All gateways, and what clients asked of them.
#[derive(Default)]
pub(crate) struct Gates {
    pub(crate) all: Vec<Gate>,
    asked: BTreeMap<u64, Asked>,
    token: u64,
    /// What entries hold, as of the answers that nodes gave.
    stamps: BTreeMap<Seq, Stamp>,
    /// The version of each key that some client was told of; keys that were ever removed are not in it.
    known: BTreeMap<String, Seq>,
    removed: Vec<String>,
    config: Option<(Setting, Mechanisms, Ear)>,
}

impl Gates {
    pub(super) fn new(setting: &Setting, on: Mechanisms, ear: &Ear) -> Gates {
        let mut gates = Gates { config: Some((*setting, on, ear.clone())), ..Gates::default() };
        // The first life is that of the gateway which schedules speak for.
        for gateway in 1..=setting.gateways {
            let id = GatewayId { gateway, life: 2 };
            let gate = gates.start(id);
            gates.all.extend(gate);
        }
        gates
    }

    fn start(&self, id: GatewayId) -> Option<Gate> {
        let (setting, on, ear) = self.config.as_ref()?;
        let config = gateway::Config {
            id,
            cluster: CLUSTER,
            nodes: (1..=setting.founders).map(NodeId).collect(),
            shards: 1,
            seed: u64::from(id.gateway) << 32 | u64::from(id.life),
            mechanisms: *on,
            timing: TIMING,
            limits: dataplane::Limits::default(),
            in_flight_max: 64,
        };
        let mut running = Gateway::new(config, 0);
        running.trace_to(tracer(ear, Actor::Gateway(id.gateway), id.life));
        running.tick(0);
        Some(Gate { id, running, now: 0 })
    }

    /// A gateway ends; its successor knows nothing, and its clients hear nothing any more.
    pub(super) fn restart(&mut self, gateway: u32) {
        let GatewayId { life, .. } = self.all[gateway as usize - 1].id;
        if let Some(gate) = self.start(GatewayId { gateway, life: life + 1 }) {
            self.all[gateway as usize - 1] = gate;
        }
    }

    pub(super) fn ask(&mut self, gateway: u32, what: &Ask) {
        self.token += 1;
        let (Ask::Put(key, _) | Ask::Get(key) | Ask::Delete(key)) = what;
        let bytes: Arc<[u8]> = Arc::from(key.as_bytes());
        let condition = Condition::Always;
        let request = match what {
            Ask::Put(_, value) => {
                Request::Write(Op::Put { key: bytes, value: Arc::from(value.as_bytes()), condition })
            }
            Ask::Delete(key) => {
                self.known.remove(key);
                self.removed.push(key.clone());
                Request::Write(Op::Delete { key: bytes, condition })
            }
            Ask::Get(_) => Request::Read(Query::Get(bytes)),
        };
        let known = self.known.get(key).copied().unwrap_or(0);
        self.asked.insert(self.token, Asked { what: what.clone(), known });
        let gate = &mut self.all[gateway as usize - 1];
        gate.running.submit(gate.now, self.token, request, true);
    }

    /// A node answers a gateway: what the entry holds is known from now on.
    pub(super) fn overhear(&mut self, node: &impl Sight, message: &Message) {
        let seq = match message {
            Message::Answer { result: WriteResult::Done(Outcome::Written(seq)), .. } => *seq,
            Message::ReadAnswer { result: dataplane::ReadResult::Value(seq, _), .. } => *seq,
            _ => return,
        };
        if let Some(stamp) = node.stamp(seq) {
            self.stamps.insert(seq, stamp);
        }
    }

    pub(super) fn handle(&mut self, to: GatewayId, frame: Frame) {
        let gate = &mut self.all[to.gateway as usize - 1];
        gate.running.handle(gate.now, frame);
    }

    /// The next timer expires, however late it is.
    pub(super) fn tick(&mut self, gateway: u32) {
        let gate = &mut self.all[gateway as usize - 1];
        gate.now = gate.running.next_deadline().unwrap_or(0).max(gate.now + 1);
        gate.running.tick(gate.now);
    }

    /// What a gateway says goes on its way; what clients hear is the result.
    pub(super) fn outputs(&mut self, gateway: u32, network: &mut Vec<Frame>) -> Vec<Replied> {
        let outputs: Vec<Output> = self.all[gateway as usize - 1].running.outputs().collect();
        let mut replied = Vec::new();
        for output in outputs {
            match output {
                Output::Send(frame) => network.push(frame),
                Output::Reply { token, reply } => replied.extend(self.reply(gateway, token, &reply)),
            }
        }
        replied
    }

    fn reply(&mut self, gateway: u32, token: u64, reply: &Reply) -> Option<Replied> {
        let Asked { what, known } = self.asked.remove(&token)?;
        let (Ask::Put(key, _) | Ask::Get(key) | Ask::Delete(key)) = &what;
        let version = match reply {
            Reply::Done(Outcome::Written(seq)) | Reply::Value(seq, _) => *seq,
            _ => 0,
        };
        let reads = matches!(what, Ask::Get(_));
        let is_missing = reads && *reply == Reply::Missing;
        let may_be_missing = self.removed.contains(key);
        if version > known && !may_be_missing {
            self.known.insert(key.clone(), version);
        }
        let stale = (reads && (version > 0 || is_missing) && version < known && !may_be_missing).then(|| {
            format!(
                "a read got an outdated answer: version {known} of {key} was known before the read was asked"
            )
        });
        let stamp = self.stamps.get(&version).copied();
        Some(Replied {
            line: format!("{what} via g{gateway}: {}", words(reply)),
            shown: stamp.map(|stamp| (version, stamp, if reads { Shown::Read } else { Shown::Acknowledged })),
            stale,
        })
    }
}

/// An answer in a client's words.
fn words(reply: &Reply) -> String {
    match reply {
        Reply::Done(outcome) => outcome.to_string(),
        Reply::Value(version, value) => {
            format!("{}, version {version}", String::from_utf8_lossy(value))
        }
        Reply::Missing => "there is no such key".into(),
        Reply::NoRoom => "there is no room; it had no effect".into(),
        Reply::Unknown(why) => format!("UNKNOWN: {why}"),
        Reply::Unavailable(why) => format!("not done: {why}"),
        Reply::Invalid(why) => format!("not acceptable: {why}"),
        Reply::Damaged => "the value is damaged".into(),
        Reply::Long(..) | Reply::Keys(_) | Reply::Count(_) => "answered".into(),
    }
}
