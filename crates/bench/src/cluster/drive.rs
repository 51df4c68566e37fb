//! Clients, each waiting for its answer before it asks again (closed loop), or asking at its appointed times (open loop).
//!
//! In an open loop a request's latency counts from the time it was due, not from when a client that was held up came to
//! send it: else a store that stalls looks good, since nobody asks while it does (Tene's "coordinated omission").

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use hdrhistogram::Histogram;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Zipf};
use serde::Serialize;
use tokio::task::LocalSet;
use tokio::time::Instant;

use super::{Connection, Protocol};

/// How often each key is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Keys {
    /// All alike.
    Uniform,
    /// A few of them most of the time: Zipf with exponent 0.99.
    Zipf,
    /// Each of them once, in order, and then it is over.
    Once,
}

/// What the clients do.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Load {
    /// Clients.
    pub clients: usize,
    /// Connections that the clients share; `None`: each has its own, as clients in processes of their own have.
    pub connections: Option<usize>,
    /// Length of a value in bytes.
    pub value_bytes: usize,
    /// Of a hundred operations, how many read.
    pub reads: u32,
    /// Different keys, of 16 bytes.
    pub keys: u64,
    /// How often each is chosen.
    pub distribution: Keys,
    /// Operations per second of all clients together; `None`: as many as they can, a closed loop.
    pub rate: Option<u64>,
}

impl Load {
    /// Puts, as many as the clients can, of keys that are chosen alike; each client has its own connection.
    pub fn puts(clients: usize, value_bytes: usize, keys: u64) -> Load {
        let distribution = Keys::Uniform;
        Load { clients, connections: None, value_bytes, reads: 0, keys, distribution, rate: None }
    }
}

/// What the clients saw in one turn.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Answered operations per second.
    pub per_second: f64,
    /// Answered operations.
    pub operations: u64,
    /// Microseconds.
    pub latency: Histogram<u64>,
}

/// Longest latency that is told apart, in microseconds.
const LATENCY_MAX: u64 = 60_000_000;

struct State {
    stop: Instant,
    latency: Histogram<u64>,
    answered: u64,
    /// Keys chosen so far.
    chosen: u64,
}

/// Lets `load` loose on the store at `port` for `length`. The first refusal ends it, as an error.
pub fn drive(protocol: Protocol, port: u16, load: &Load, length: Duration, seed: u64) -> io::Result<Seen> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, async {
        let connections = Connection::open(protocol, port, load.clients, load.connections).await?;
        let started = Instant::now();
        let latency = Histogram::new_with_bounds(1, LATENCY_MAX, 3).expect("bounds of this file");
        let state = Rc::new(RefCell::new(State { stop: started + length, latency, answered: 0, chosen: 0 }));
        let clients: Vec<_> = connections
            .into_iter()
            .enumerate()
            .map(|(n, connection)| {
                tokio::task::spawn_local(client(connection, n, *load, started, seed, state.clone()))
            })
            .collect();
        for client in clients {
            client.await.map_err(io::Error::other)??;
        }
        let state = state.borrow();
        let per_second = state.answered as f64 / started.elapsed().as_secs_f64();
        Ok(Seen { per_second, operations: state.answered, latency: state.latency.clone() })
    })
}

async fn client(
    mut connection: Connection,
    number: usize,
    load: Load,
    started: Instant,
    seed: u64,
    state: Rc<RefCell<State>>,
) -> io::Result<()> {
    let mut rng = SmallRng::seed_from_u64(seed ^ ((number as u64 + 1) << 32));
    let zipf = Zipf::new(load.keys as f64, 0.99).expect("there are keys");
    let mut value = vec![0u8; load.value_bytes];
    rng.fill(&mut value[..]);
    let interval = load.rate.map(|rate| Duration::from_secs_f64(load.clients as f64 / rate as f64));
    // The clients of an open loop take turns.
    let mut due = started + interval.unwrap_or_default().mul_f64(number as f64 / load.clients as f64);
    let stop = state.borrow().stop;
    loop {
        match interval {
            None => due = Instant::now(),
            Some(_) => tokio::time::sleep_until(due).await,
        }
        if due.max(Instant::now()) >= stop {
            return Ok(());
        }
        let key = match load.distribution {
            Keys::Uniform => rng.random_range(0..load.keys),
            Keys::Zipf => zipf.sample(&mut rng) as u64 - 1,
            Keys::Once => {
                let mut state = state.borrow_mut();
                state.chosen += 1;
                state.chosen - 1
            }
        };
        if load.distribution == Keys::Once && key >= load.keys {
            return Ok(());
        }
        let key = format!("key-{key:012}");
        if rng.random_range(0..100) < load.reads {
            connection.get(key.as_bytes()).await?;
        } else {
            let at = rng.random_range(0..value.len().max(1));
            if let Some(byte) = value.get_mut(at) {
                *byte = byte.wrapping_add(1);
            }
            connection.put(key.as_bytes(), &value).await?;
        }
        let mut state = state.borrow_mut();
        state.answered += 1;
        state.latency.saturating_record(due.elapsed().as_micros() as u64);
        due += interval.unwrap_or_default();
    }
}
