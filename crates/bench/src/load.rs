//! Writers that put durably, each waiting for its own put, against one store after the other in turns.

use std::io;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

/// What a store has asked of its device since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Syncs; durable transactions, for a store whose syncs cannot be counted.
    pub syncs: u64,
    /// Writes, where they can be counted.
    pub writes: u64,
    /// Bytes written.
    pub bytes: u64,
}

/// A store whose puts are durable when they return.
pub trait Store: Sync {
    /// Gives `key` a value, durably.
    fn put(&self, key: &[u8], value: &[u8]) -> io::Result<()>;
    /// What it has asked of its device so far.
    fn used(&self) -> Used;
}

/// A load.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Load {
    /// Threads, each of which waits for its put before the next.
    pub writers: usize,
    /// Length of each value.
    pub value_bytes: usize,
    /// Keys that are put again and again, so that what is replaced has to be reclaimed.
    pub keys: u64,
}

/// Length of the keys.
pub const KEY_BYTES: usize = 16;

/// The loads that every comparison runs.
pub const LOADS: [Load; 3] = [
    Load { writers: 64, value_bytes: 100, keys: 20_000 },
    Load { writers: 64, value_bytes: 4096, keys: 20_000 },
    Load { writers: 1, value_bytes: 100, keys: 20_000 },
];

/// How long a comparison takes.
#[derive(Clone, Copy, Debug)]
pub struct Turns {
    /// Turns of each store.
    pub rounds: u32,
    /// Length of a turn.
    pub turn: Duration,
}

/// What was measured of one store under one load.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// The store.
    pub store: String,
    /// Median over the turns.
    pub puts_per_second: f64,
    /// Of each turn.
    pub turns: Vec<f64>,
    /// Half of the puts took at most so long, over all turns.
    pub p50_micros: f64,
    /// All but one in a hundred took at most so long.
    pub p99_micros: f64,
    /// Puts that shared a sync, on average.
    pub puts_per_sync: f64,
    /// Writes for each sync, where they can be counted.
    pub writes_per_sync: f64,
    /// Bytes written for each byte of key and value.
    pub bytes_per_user_byte: f64,
}

/// Runs a load against each of the stores in turns. The first round is not counted: it fills what is empty.
pub fn compare(
    load: &Load,
    stores: &[(&str, &dyn Store)],
    turns: Turns,
    mut turn_done: impl FnMut(),
) -> io::Result<Vec<Measured>> {
    let mut results: Vec<(Vec<Turn>, &str)> = stores.iter().map(|(name, _)| (Vec::new(), *name)).collect();
    for round in 0..=turns.rounds {
        for ((_, store), (taken, _)) in stores.iter().zip(&mut results) {
            let turn = take_turn(load, *store, turns.turn, round)?;
            if round > 0 {
                taken.push(turn);
            }
            turn_done();
        }
    }
    Ok(results.into_iter().map(|(taken, name)| measured(load, name, taken)).collect())
}

/// One turn of one store.
struct Turn {
    puts: u64,
    seconds: f64,
    used: Used,
    nanos: Histogram<u64>,
}

fn measured(load: &Load, name: &str, turns: Vec<Turn>) -> Measured {
    let rates: Vec<f64> = turns.iter().map(|turn| turn.puts as f64 / turn.seconds).collect();
    let sum = |of: fn(&Turn) -> u64| turns.iter().map(of).sum::<u64>() as f64;
    let puts = sum(|turn| turn.puts);
    let mut nanos = histogram();
    turns.iter().for_each(|turn| nanos += &turn.nanos);
    let micros = |quantile| nanos.value_at_quantile(quantile) as f64 / 1000.0;
    Measured {
        store: name.into(),
        puts_per_second: median(&rates),
        p50_micros: micros(0.5),
        p99_micros: micros(0.99),
        puts_per_sync: puts / sum(|turn| turn.used.syncs).max(1.0),
        writes_per_sync: sum(|turn| turn.used.writes) / sum(|turn| turn.used.syncs).max(1.0),
        bytes_per_user_byte: sum(|turn| turn.used.bytes) / (puts * (KEY_BYTES + load.value_bytes) as f64),
        turns: rates,
    }
}

/// The middle one, or the mean of the two in the middle; 0 of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

fn take_turn(load: &Load, store: &dyn Store, length: Duration, round: u32) -> io::Result<Turn> {
    let (before, start) = (store.used(), Barrier::new(load.writers + 1));
    let (written, seconds) = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..load.writers)
            .map(|writer| {
                let start = &start;
                scope.spawn(move || {
                    write(load, store, start, length, (u64::from(round) << 32) + writer as u64)
                })
            })
            .collect();
        start.wait();
        let started = Instant::now();
        let written: Vec<_> =
            writers.into_iter().map(|writer| writer.join().expect("a writer does not panic")).collect();
        (written, started.elapsed().as_secs_f64())
    });
    let mut nanos = histogram();
    for writer in written {
        nanos += writer?;
    }
    let after = store.used();
    let used = Used {
        syncs: after.syncs - before.syncs,
        writes: after.writes - before.writes,
        bytes: after.bytes - before.bytes,
    };
    Ok(Turn { puts: nanos.len(), seconds, used, nanos })
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 600_000_000_000, 3).expect("bounds that a histogram can have")
}

/// One writer's turn.
fn write(
    load: &Load,
    store: &dyn Store,
    start: &Barrier,
    length: Duration,
    seed: u64,
) -> io::Result<Histogram<u64>> {
    let (mut nanos, mut random) = (histogram(), Random::new(seed));
    // Values that differ from each other and do not compress, without making each one anew.
    let pool: Vec<u8> = std::iter::repeat_with(|| random.next().to_le_bytes())
        .take((load.value_bytes + 4096) / 8)
        .flatten()
        .collect();
    start.wait();
    let started = Instant::now();
    let mut before = started;
    while before - started < length {
        let key = key(random.next() % load.keys, KEY_BYTES);
        let from = (random.next() % (pool.len() - load.value_bytes) as u64) as usize;
        store.put(&key, &pool[from..from + load.value_bytes])?;
        let now = Instant::now();
        nanos.saturating_record((now - before).as_nanos() as u64);
        before = now;
    }
    Ok(nanos)
}

/// Key number `n`, of at least 16 bytes.
pub fn key(n: u64, bytes: usize) -> Vec<u8> {
    let digits = bytes;
    format!("{n:0digits$}").into_bytes()
}

/// A xorshift generator: the same loads in every run.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Of any seed.
    pub fn new(seed: u64) -> Random {
        Random((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::floor::Floor;

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn a_short_comparison_counts_what_was_put() {
        let dir = tempfile::tempdir().unwrap();
        let floor = Floor::create(&dir.path().join("floor"), 1 << 20).unwrap();
        let load = Load { writers: 4, value_bytes: 100, keys: 10 };
        let turns = Turns { rounds: 1, turn: Duration::from_millis(20) };
        let mut taken = 0;
        let measured = compare(&load, &[("floor", &floor)], turns, || taken += 1).unwrap();
        assert_eq!((taken, measured.len(), measured[0].turns.len()), (2, 1, 1));
        // Each writer puts at least once; the floor writes what the user gave it, and nothing else.
        assert!(measured[0].puts_per_second > 0.0 && measured[0].puts_per_sync >= 1.0);
        assert_eq!(measured[0].bytes_per_user_byte, 1.0);
    }
}
