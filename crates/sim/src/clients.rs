//! Clients: each asks one thing after another over a few shared keys, and notes what it was told.

use std::sync::Arc;

use dataplane::{Condition, Micros, Outcome, Seq};
use gateway::{Reply, Request, Token};
use trace::Kind;

use crate::checkers::linearizability::{Verdict, check};
use crate::checkers::{Finding, broken};
use crate::history::{Call, Operation, Told, ValueId};
use crate::rng::Rng;
use crate::world::{Event, World};

/// A client.
pub(crate) struct Client {
    pub id: u32,
    rng: Rng,
    /// Operations still to do.
    left: u32,
    /// After those, each client reads its share of the keys once more.
    read_last: u64,
    /// The operation under way, by its place in the history, and where it is.
    current: Option<(usize, usize, Token)>,
    /// The version this client last saw of each key.
    versions: Vec<Seq>,
}

impl Client {
    pub fn new(id: u32, rng: Rng, left: u32) -> Client {
        Client { id, rng, left, read_last: 0, current: None, versions: vec![0; 32] }
    }

    /// The next of the keys that it reads at the end.
    fn last_key(&self, keys: u64, clients: u32) -> Option<u32> {
        (self.read_last..keys)
            .find(|key| key % u64::from(clients) == u64::from(self.id) - 1)
            .map(|key| key as u32)
    }

    pub fn is_done(&self, keys: u64, clients: u32) -> bool {
        self.left == 0 && self.current.is_none() && self.last_key(keys, clients).is_none()
    }
}

fn key_bytes(key: u32) -> Arc<[u8]> {
    format!("k{key}").into_bytes().into()
}

/// The value with this name: its bytes tell every value from every other, whatever its length.
fn value_bytes(value: ValueId, len: u64) -> Arc<[u8]> {
    let name = format!("v{value};");
    name.bytes().cycle().take(name.len().max(len as usize)).collect()
}

/// The name of a value, if it is byte for byte one that was written.
fn value_id(bytes: &[u8]) -> Option<ValueId> {
    let end = bytes.iter().position(|b| *b == b';')?;
    let value: ValueId = std::str::from_utf8(&bytes[1..end]).ok()?.parse().ok()?;
    (*value_bytes(value, bytes.len() as u64) == *bytes).then_some(value)
}

impl World<'_> {
    pub fn client_next(&mut self, index: usize) {
        let load = &self.schedule.load;
        let (keys, count) = (load.keys, self.options.clients);
        let client = &mut self.clients[index];
        if client.current.is_some() {
            return;
        }
        let last = client.last_key(keys, count);
        if client.left == 0 && (!self.healed || last.is_none()) {
            // What it reads at the end it reads when all has healed.
            if last.is_some() {
                self.queue.after(50_000, Event::Client(index));
            }
            return;
        }
        let gates = &self.gates;
        let home = index % gates.len();
        let roams = client.rng.chance(150_000);
        let start = if roams { client.rng.below(gates.len() as u64) as usize } else { home };
        let up = (0..gates.len()).map(|n| (start + n) % gates.len()).find(|g| gates[*g].running.is_some());
        let Some(gate) = up else {
            self.queue.after(10_000, Event::Client(index));
            return;
        };
        let (key, call, request) = match last.filter(|_| client.left == 0) {
            Some(key) => (key, Call::Get, Request::Get { key: key_bytes(key) }),
            None => {
                client.left -= 1;
                let rng = &mut client.rng;
                let key = rng.below(keys) as u32;
                let bytes = key_bytes(key);
                let dice = rng.below(100);
                let condition = match rng.below(100) < load.conditional {
                    false => Condition::Always,
                    true => match rng.below(4) {
                        0 => Condition::Absent,
                        1 => Condition::Present,
                        _ => Condition::Version(client.versions[key as usize]),
                    },
                };
                if dice < load.reads {
                    (key, Call::Get, Request::Get { key: bytes })
                } else if dice < load.reads + load.deletes {
                    (key, Call::Delete(condition), Request::Delete { key: bytes, condition })
                } else {
                    let value = self.history.len() as ValueId + 1;
                    let bytes_of = value_bytes(value, rng.below(load.value_max + 1));
                    (
                        key,
                        Call::Put(value, condition),
                        Request::Put { key: bytes, value: bytes_of, condition },
                    )
                }
            }
        };
        self.moment += 1;
        let (now, gateway) = (self.queue.now(), &mut self.gates[gate]);
        let token = gateway.next_token;
        gateway.next_token += 1;
        gateway.tokens.insert(token, index);
        client.current = Some((self.history.len(), gate, token));
        let operation =
            Operation { client: client.id, key, call, called: self.moment, returned: None, at: now };
        if self.options.trace {
            let request = operation.tell();
            self.tell(Kind::ClientCalled { request });
        }
        self.history.push(operation);
        let gateway = &mut self.gates[gate];
        if let Some(running) = &mut gateway.running {
            running.submit(gateway.clock.read(now), token, request, self.options.trace, &mut gateway.tracer);
        }
        self.gateway_outputs(gate);
    }

    /// A gateway answers.
    pub fn client_hears(&mut self, gate: usize, token: Token, reply: Reply) {
        let Some(index) = self.gates[gate].tokens.remove(&token) else { return };
        let Some((at, _, _)) = self.clients[index].current.filter(|c| (c.1, c.2) == (gate, token)) else {
            return;
        };
        let key = self.history[at].key;
        let told = match &reply {
            Reply::Done(Outcome::Written(version)) => Told::Written(*version),
            Reply::Done(Outcome::Deleted { existed }) => Told::Deleted(*existed),
            Reply::Done(Outcome::ConditionFailed { current }) => Told::ConditionFailed(*current),
            Reply::Value(version, value) => match value_id(value) {
                Some(value) => Told::Value(*version, value),
                None => {
                    let shown = dataplane::show(value);
                    self.complain("P5", 5, format!("k{key} reads as {shown}, which nobody ever wrote"));
                    Told::Nothing
                }
            },
            Reply::Missing => Told::Missing,
            Reply::Unknown(_) => Told::Unknown,
            Reply::Unavailable(why) => {
                self.report.full += u64::from(why == gateway::DEVICE_FULL);
                Told::Nothing
            }
            Reply::Damaged => {
                let rotten = self.rotten.iter().any(|(_, struck, _)| *struck == key_bytes(key));
                if !rotten && !self.seats.iter().any(|seat| seat.suspect) {
                    self.complain("P5", 5, format!("k{key} is said to be damaged, and nothing was"));
                }
                Told::Nothing
            }
            Reply::Done(Outcome::Nothing)
            | Reply::Invalid(_)
            | Reply::Keys(_)
            | Reply::Count(_)
            | Reply::Long(..) => {
                self.complain("P2", 2, format!("a client gets {reply:?} for {}", self.history[at].tell()));
                Told::Nothing
            }
        };
        self.operation_ends(index, told);
    }

    fn complain(&mut self, invariant: &'static str, promise: u8, sentence: String) {
        if let Err(finding) = broken("clients", invariant, promise, sentence) {
            self.complaint.get_or_insert(finding);
        }
    }

    /// What a client found wrong with an answer.
    pub fn clients_finding(&mut self) -> Finding {
        self.complaint.take().map_or(Ok(()), Err)
    }

    fn operation_ends(&mut self, index: usize, told: Told) {
        let client = &mut self.clients[index];
        let Some((at, _, _)) = client.current.take() else { return };
        self.moment += 1;
        let operation = &mut self.history[at];
        operation.returned = Some((self.moment, told));
        operation.at = self.queue.now();
        let key = operation.key as usize;
        match told {
            Told::Written(version) | Told::Value(version, _) | Told::ConditionFailed(Some(version)) => {
                client.versions[key] = version
            }
            Told::Unknown => self.report.unknown += 1,
            _ => {}
        }
        // At the end each key must really be read: that service returns is part of what is checked.
        if client.left == 0 && self.healed && operation.call == Call::Get {
            let answered = matches!(told, Told::Value(..) | Told::Missing);
            if answered
                && client.last_key(self.schedule.load.keys, self.options.clients) == Some(operation.key)
            {
                client.read_last = u64::from(operation.key) + 1;
            }
        }
        let think: Micros = match self.healed {
            true => client.rng.below(3_000),
            false => client.rng.below(self.schedule.load.think_max.max(1)),
        };
        if self.options.trace {
            let request = self.history[at].tell();
            let reply = format!("{told:?}");
            self.tell(Kind::ClientAnswered { request, reply });
        }
        self.queue.after(think.max(10), Event::Client(index));
    }

    /// The gateway is gone, and with it the answers: what was written may have taken effect or not.
    pub fn gateway_lost(&mut self, gate: usize) {
        let tokens = std::mem::take(&mut self.gates[gate].tokens);
        for index in tokens.into_values() {
            let Some((at, _, _)) = self.clients[index].current.filter(|c| c.1 == gate) else { continue };
            let told = if self.history[at].call == Call::Get { Told::Nothing } else { Told::Unknown };
            self.operation_ends(index, told);
        }
    }

    /// P2: an order explains all answers.
    pub fn judge(&mut self) -> Finding {
        for key in 0..self.schedule.load.keys as u32 {
            match check(&self.history, key) {
                Verdict::Linearizable => {}
                Verdict::Undecided => *self.report.faults.entry("(undecided histories)").or_default() += 1,
                Verdict::Violated(op) => {
                    return broken(
                        "linearizability",
                        "P2",
                        2,
                        format!("no order of the operations on k{key} explains \"{}\"", op.tell()),
                    );
                }
            }
        }
        Ok(())
    }
}
