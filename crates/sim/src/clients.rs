//! Clients: each asks one thing after another over a few shared keys, and notes what it was told.

use std::sync::Arc;

use dataplane::{Micros, Outcome, Seq};
use gateway::{Reply, Request, Token};

use crate::ask::{Ask, What};
use crate::checkers::linearizability::{Verdict, check};
use crate::checkers::{Finding, broken};
use crate::client::{Scan, key_bytes, value_bytes};
use crate::history::{Call, Operation, Told, ValueId};
use crate::world::{Event, World};

/// The name of a value, if it is byte for byte one that was written.
fn value_id(bytes: &[u8]) -> Option<ValueId> {
    let end = bytes.iter().position(|b| *b == b';')?;
    let value: ValueId = std::str::from_utf8(&bytes[1..end]).ok()?.parse().ok()?;
    (*value_bytes(value, bytes.len() as u64) == *bytes).then_some(value)
}

impl World<'_> {
    pub fn client_next(&mut self, index: usize) {
        let load = &self.schedule.load;
        let client = &mut self.clients[index];
        if client.current.is_some() {
            return;
        }
        let last = client.last_key(load.keys, self.options.clients);
        if client.left == 0 && (!self.healed || last.is_none()) {
            // What it reads at the end it reads when all has healed.
            if last.is_some() {
                self.queue.after(50_000, Event::Client(index));
            }
            return;
        }
        let gates = &self.gates;
        let home = index % gates.len();
        let (listed, ended) = (client.listed.front().cloned(), client.left == 0);
        let start = match &listed {
            // Of what it does at the end a list says nothing.
            Some(ask) => ask.via.map_or(home, |gateway| gateway as usize - 1),
            None => {
                let rng = if ended { &mut client.last_rng } else { &mut client.rng };
                let roams = rng.chance(150_000);
                if roams { rng.below(gates.len() as u64) as usize } else { home }
            }
        };
        let up = (0..gates.len()).map(|n| (start + n) % gates.len()).find(|g| gates[*g].running.is_some());
        let Some(gate) = up else {
            self.queue.after(10_000, Event::Client(index));
            return;
        };
        let what = match (last.filter(|_| ended), listed) {
            (Some(key), _) => What::Get { key },
            (None, listed) => {
                client.left -= 1;
                client.listed.pop_front();
                let name = self.history.len() as ValueId + 1;
                let what = listed.map_or_else(|| client.draw(load, name), |ask| ask.what);
                let via = (start != home).then_some(start as u32 + 1);
                let ask = Ask { at: self.queue.now(), client: client.id, via, what };
                self.told.kept().asks.push(ask);
                what
            }
        };
        let (key, call, request) = client.request(load, &what);
        self.moment += 1;
        let (now, gateway) = (self.queue.now(), &mut self.gates[gate]);
        let token = gateway.next_token;
        gateway.next_token += 1;
        gateway.tokens.insert(token, index);
        client.current = Some((self.history.len(), gate, token));
        let operation =
            Operation { client: client.id, key, call, called: self.moment, returned: None, at: now };
        self.tell_call(index, gate as u32 + 1, token, &operation);
        self.history.push(operation);
        self.report.operations += 1;
        self.submit(gate, self.gates[gate].life, token, request);
    }

    /// A gateway reads what a client asks, when it stands still no more.
    pub fn submit(&mut self, gate: usize, life: u32, token: Token, request: Request) {
        let (now, listens, gateway) = (self.queue.now(), self.listens(), &mut self.gates[gate]);
        if gateway.paused_until > now {
            return self.queue.at(gateway.paused_until, Event::Submit(gate, life, token, request));
        }
        if let Some(running) = gateway.running.as_mut().filter(|_| gateway.life == life) {
            running.submit(gateway.clock.read(now), token, request, listens);
            self.gateway_outputs(gate);
        }
    }

    /// What a scan tells of each key, as if it had been read alone: of those that come before its last one, or of all that
    /// come behind its beginning if there was room for more.
    fn scanned(&mut self, index: usize, at: usize, found: &[(Arc<[u8]>, Seq, u32)]) {
        let Some(Scan { after, limit }) = self.clients[index].scan.take() else { return };
        let last =
            found.last().map(|(key, ..)| key.clone()).filter(|_| found.len() as u64 >= u64::from(limit));
        for key in 0..self.schedule.load.keys as u32 {
            let bytes = key_bytes(&self.schedule.load, key);
            if after.as_ref().is_some_and(|after| bytes <= *after)
                || last.as_ref().is_some_and(|last| bytes > *last)
            {
                continue;
            }
            let told = match found.iter().find(|(key, ..)| *key == bytes) {
                Some((_, version, _)) => Told::Version(*version),
                None => Told::Missing,
            };
            let Operation { client, called, at, .. } = self.history[at];
            let returned = Some((self.moment + 1, told));
            self.history.push(Operation { client, key, call: Call::Get, called, returned, at });
        }
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
            Reply::Unavailable(_) => Told::Nothing,
            Reply::NoRoom => {
                self.report.full += 1;
                Told::Nothing
            }
            Reply::Damaged => {
                let rotten =
                    self.rotten.iter().any(|(_, struck, _)| *struck == key_bytes(&self.schedule.load, key));
                if !rotten && !self.seats.iter().any(|seat| seat.suspect) {
                    self.complain("P5", 5, format!("k{key} is said to be damaged, and nothing was"));
                }
                Told::Nothing
            }
            Reply::Keys(found) if self.history[at].call == Call::Scan => {
                self.scanned(index, at, found);
                Told::Nothing
            }
            Reply::Count(_) if self.history[at].call == Call::Count => Told::Nothing,
            // How long it is has been judged when the node said so.
            Reply::Long(..) if self.history[at].call == Call::Get => Told::Nothing,
            Reply::Done(Outcome::Nothing | Outcome::NoRoom)
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
        let Some((at, gate, token)) = client.current.take() else { return };
        self.moment += 1;
        let operation = &mut self.history[at];
        operation.returned = Some((self.moment, told));
        operation.at = self.queue.now();
        match told {
            Told::Written(version) | Told::Value(version, _) | Told::ConditionFailed(Some(version)) => {
                client.versions[operation.key as usize] = version
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
        let now = self.queue.now();
        let think: Micros = match client.listed.front() {
            Some(ask) => ask.at.saturating_sub(now),
            None if client.left == 0 => client.last_rng.below(3_000),
            None if self.healed => client.rng.below(3_000),
            None => client.rng.below(self.schedule.load.think_max.max(1)),
        };
        let operation = self.history[at];
        self.tell_answer(index, gate as u32 + 1, token, &operation);
        self.queue.after(think.max(10), Event::Client(index));
    }

    /// The gateway is gone, and with it the answers: what was written may have taken effect or not.
    pub fn gateway_lost(&mut self, gate: usize) {
        let tokens = std::mem::take(&mut self.gates[gate].tokens);
        for index in tokens.into_values() {
            let Some((at, _, _)) = self.clients[index].current.filter(|c| c.1 == gate) else { continue };
            let writes = matches!(self.history[at].call, Call::Put(..) | Call::Delete(_));
            let told = if writes { Told::Unknown } else { Told::Nothing };
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
                    self.judged(&op);
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
