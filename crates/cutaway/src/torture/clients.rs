//! Clients: each asks one thing after the other, at one gateway or another, and notes what it was told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dataplane::Condition;
use serde_json::Value;
use sim::history::{Call, Operation, Told};
use sim::rng::Rng;
use ureq::http::{Method, Request, Response};
use ureq::{Agent, Body};

use super::book::{Book, KEYS, name};
use super::gauge::Gauge;

/// A gateway answers by then, if only that it does not know.
const PATIENCE: Duration = Duration::from_secs(15);
/// The pause after a request that nobody answered.
const BREATH: Duration = Duration::from_millis(20);
/// Longest value, and longest of one in fifty.
const SIZES: [u64; 2] = [400, 60_000];

/// Somebody who asks.
pub struct Client<'a> {
    pub number: u32,
    pub gateways: &'a [String],
    pub book: &'a Book,
    agent: Agent,
}

impl<'a> Client<'a> {
    pub fn new(number: u32, gateways: &'a [String], book: &'a Book) -> Client<'a> {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .proxy(None)
            .build()
            .into();
        Client { number, gateways, book, agent }
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

    fn tell(&self, gateway: &str, key: u32, call: Call, rng: &mut Rng) -> Told {
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
        // Whether a request that got no answer was carried out, nobody can say.
        let lost = if matches!(call, Call::Get) { Told::Nothing } else { Told::Unknown };
        let Ok(mut response) = answer else { return lost };
        heard(&mut response, call).unwrap_or(lost)
    }
}

/// A value as it is stored: its number, and bytes behind it.
fn stored(value: u64, rng: &mut Rng) -> Vec<u8> {
    let most = SIZES[usize::from(rng.below(50) == 0)];
    let mut bytes = format!("{value} ").into_bytes();
    bytes.resize(bytes.len() + rng.below(most) as usize, b'.');
    bytes
}

/// The number of a value that was read; `None`: nobody stored this.
fn number(bytes: &[u8]) -> Option<u64> {
    let end = bytes.iter().position(|byte| *byte == b' ')?;
    let dots = bytes[end + 1..].iter().all(|byte| *byte == b'.');
    std::str::from_utf8(&bytes[..end]).ok().filter(|_| dots)?.parse().ok()
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
