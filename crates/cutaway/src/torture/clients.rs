//! Clients: each asks one thing after the other, at one gateway or another, over the Redis protocol or HTTP, and notes what it
//! was told.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dataplane::Condition;
use serde_json::Value;
use sim::history::{Call, Operation, Told};
use sim::rng::Rng;
use ureq::http::{Method, Request, Response};
use ureq::{Agent, Body};

use super::book::{Book, KEYS, by, name};
use super::cluster::{Doors, agent};
use super::gauge::Gauge;
use super::resp::Redis;
use super::value::{number, stored};

/// The pause after a request that nobody answered.
const BREATH: Duration = Duration::from_millis(20);
/// Somebody who asks.
pub struct Client<'a> {
    pub number: u32,
    pub gateways: &'a [Doors],
    pub book: &'a Book,
    agent: Agent,
    redis: RefCell<Redis>,
}

impl<'a> Client<'a> {
    pub fn new(number: u32, gateways: &'a [Doors], book: &'a Book) -> Client<'a> {
        let agent = agent();
        Client { number, gateways, book, agent, redis: RefCell::default() }
    }

    /// Asks until it is over.
    pub fn run(&self, seed: u64, over: &AtomicBool, gauge: &Gauge) {
        let mut rng = Rng::stream(seed, "torture client", u64::from(self.number));
        while !over.load(Ordering::Relaxed) {
            let round = self.book.round();
            let key = round.key(rng.below(u64::from(KEYS)) as u32);
            let call = match rng.below(100) {
                0..45 => Call::Put(self.book.value(), Condition::Always),
                45..52 => Call::Put(self.book.value(), Condition::Absent),
                52..60 => Call::Delete(Condition::Always),
                _ => Call::Get,
            };
            let begin = Instant::now();
            let operation = self.ask(key, call, &mut rng);
            let told = operation.returned.map_or(Told::Unknown, |(_, told)| told);
            gauge.heard(self.book.micros(), told, begin.elapsed());
            round.note(operation);
            drop(round);
            if matches!(told, Told::Nothing | Told::Unknown) {
                std::thread::sleep(BREATH);
            }
        }
    }

    /// One operation.
    pub fn ask(&self, key: u32, call: Call, rng: &mut Rng) -> Operation {
        let gateway = rng.pick(self.gateways);
        let called = self.book.moment();
        let told = self.tell(gateway, key, call, rng);
        let returned = Some((self.book.moment(), told));
        Operation { client: self.number, key, call, called, returned, at: self.book.micros() }
    }

    fn tell(&self, gateway: &Doors, key: u32, call: Call, rng: &mut Rng) -> Told {
        let told = match by(self.number) {
            "redis" => {
                let value = if let Call::Put(value, _) = call { stored(value, rng) } else { Vec::new() };
                self.redis.borrow_mut().tell(&gateway.redis, &name(key), call, &value)
            }
            _ => self.over_http(&gateway.http, key, call, rng),
        };
        // Whether a request that got no answer was carried out, nobody can say.
        told.unwrap_or(if matches!(call, Call::Get) { Told::Nothing } else { Told::Unknown })
    }

    /// What was told; `None`: nothing for sure.
    fn over_http(&self, gateway: &str, key: u32, call: Call, rng: &mut Rng) -> Option<Told> {
        let uri = format!("http://{gateway}/v1/kv/{}", name(key));
        let request = |method| Request::builder().method(method).uri(&uri);
        let answer = match call {
            Call::Put(value, condition) => {
                let put = request(Method::PUT);
                let put = if condition == Condition::Absent { put.header("if-none-match", "*") } else { put };
                self.agent.run(put.body(stored(value, rng)).expect("an address and a key make a request"))
            }
            Call::Delete(_) => {
                self.agent.run(request(Method::DELETE).body(()).expect("an address and a key make a request"))
            }
            _ => self.agent.run(request(Method::GET).body(()).expect("an address and a key make a request")),
        };
        heard(&mut answer.ok()?, call)
    }
}

/// What an answer says; `None`: nothing for sure.
fn heard(response: &mut Response<Body>, call: Call) -> Option<Told> {
    let version = response.headers().get("etag").and_then(|tag| tag.to_str().ok());
    let version = version.and_then(|tag| tag.trim_matches('"').parse::<u64>().ok());
    let status = response.status().as_u16();
    let body = response.body_mut().read_to_vec().ok()?;
    if matches!(call, Call::Get) {
        return match status {
            // What nobody stored has number 0, which nobody stores: the judge sees it.
            200 => Some(Told::Value(version?, number(&body).unwrap_or(0))),
            404 => Some(Told::Missing),
            _ => Some(Told::Nothing),
        };
    }
    let body: Value = serde_json::from_slice(&body).ok()?;
    match body["outcome"].as_str()? {
        "written" => Some(Told::Written(body["version"].as_u64()?)),
        "deleted" => Some(Told::Deleted(body["existed"].as_bool()?)),
        "condition_failed" => Some(Told::ConditionFailed(body["version"].as_u64())),
        "unavailable" | "full" | "nothing" => Some(Told::Nothing),
        _ => None,
    }
}
