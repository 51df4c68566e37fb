//! A store with a million keys: opening it from its checkpoint, its memory, and the steps of a checkpoint beside
//! traffic. And how many keys a device takes.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use engine::{
    CheckpointProgress, Condition, Device, Engine, Identity, Layout, Op, Room, Standing, UNIT, WriteError,
    format,
};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use store::FileDevice;
use trace::Mechanisms;

use crate::cutaway::Counted;
use crate::load::{Random, key};

const IDENTITY: Identity = Identity { cluster: [0; 16], node: 1, shard: 0, shards: 1, members: 1 };
const VALUE_BYTES: usize = 100;
/// Entries of a batch while the store is filled, and beside the checkpoint.
const FILL: u64 = 4096;
const TRAFFIC: u64 = 64;
/// Steps after each batch of traffic, as in the embedded store.
const STEPS: usize = 4;

/// What opening took.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Opened {
    /// Keys in the index.
    pub keys: u64,
    /// Time from the call to a usable engine.
    pub millis: f64,
    /// Memory that the process gained by it, where the operating system says (Linux).
    pub memory_bytes: Option<u64>,
    /// The most that it had gained in between.
    pub peak_bytes: Option<u64>,
}

/// What the steps of a checkpoint took.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Steps {
    /// Keys in the checkpoint.
    pub keys: u64,
    /// Steps of it.
    pub steps: u64,
    /// Puts that were made durable meanwhile.
    pub puts: u64,
    /// The most processor time of one step.
    pub worst_work_micros: f64,
    /// The longest step that did not sync.
    pub worst_micros: f64,
    /// The step that makes the checkpoint count, which waits for its syncs.
    pub flip_micros: f64,
    /// Syncs of that step.
    pub flip_syncs: u64,
}

/// How full a device can be.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Fits {
    /// Bytes of each value.
    pub value_bytes: usize,
    /// How many keys of [`FITS_KEY_BYTES`] with such values are taken, until no checkpoint gives room for one more.
    pub keys: u64,
    /// Units of these values, of a hundred units of the data region.
    pub percent: f64,
}

/// Bytes of the keys that fill a device, as those of the load have.
pub const FITS_KEY_BYTES: usize = 16;
/// Bytes of the tag that a node gives each entry.
const TAG_BYTES: usize = 25;

/// Fills a new device of that size, as the decider of a cluster would, until it refuses.
pub fn fits(path: &Path, image_bytes: u64, value_bytes: usize) -> io::Result<Fits> {
    let device = FileDevice::create(path, image_bytes).map_err(io::Error::other)?;
    format(&device, &IDENTITY, Standing::Member, Layout::default()).map_err(io::Error::other)?;
    let mut engine = open_engine(device)?;
    let value: std::sync::Arc<[u8]> = vec![7; value_bytes].into();
    let mut keys = 0;
    loop {
        let key: std::sync::Arc<[u8]> = key(keys, FITS_KEY_BYTES).into();
        let op = Op::Put { key: key.clone(), value: value.clone(), condition: Condition::Always };
        match engine.admits(&key, (&op).into(), TAG_BYTES) {
            Room::Never => break,
            Room::Now => {
                engine.append(op, &[0; TAG_BYTES]).map_err(io::Error::other)?;
                keys += 1;
                if keys % FILL > 0 {
                    continue;
                }
            }
            Room::Later => {}
        }
        let synced = engine.sync().map_err(io::Error::other)?;
        engine.commit(synced.durable_seq()).map_err(io::Error::other)?;
        if engine.checkpoint_due() {
            engine.checkpoint(Vec::new()).map_err(io::Error::other)?;
        }
    }
    let units = keys * engine::format::value_ref::units(value_bytes);
    Ok(Fits { value_bytes, keys, percent: units as f64 * 100.0 / engine.space().units as f64 })
}

/// Fills a new store with `keys` keys of `key_bytes`, values of 100 bytes, and a checkpoint of them all.
pub fn fill(path: &Path, keys: u64, key_bytes: usize) -> io::Result<()> {
    let values = keys * UNIT * 5 / 4;
    let checkpoints = 4 * keys * (64 + key_bytes as u64);
    let wal = Layout::default().wal_bytes;
    let device =
        FileDevice::create(path, wal.max(1 << 20) * 4 + values + checkpoints).map_err(io::Error::other)?;
    format(&device, &IDENTITY, Standing::Member, Layout::default()).map_err(io::Error::other)?;
    let mut engine = open_engine(device)?;
    let mut random = Random::new(0);
    for first in (0..keys).step_by(FILL as usize) {
        put(&mut engine, (first..keys.min(first + FILL)).map(|n| key(n, key_bytes)), &mut random)?;
        if engine.checkpoint_due() {
            engine.checkpoint(Vec::new()).map_err(io::Error::other)?;
        }
    }
    engine.checkpoint(Vec::new()).map_err(io::Error::other)
}

fn open_engine<D: Device>(device: D) -> io::Result<Engine<D>> {
    let opened = Engine::open(device, &IDENTITY, Mechanisms::all());
    opened.map(|(engine, _)| engine).map_err(io::Error::other)
}

/// One batch of puts, durable and applied.
fn put<D: Device>(
    engine: &mut Engine<D>,
    keys: impl Iterator<Item = Vec<u8>>,
    random: &mut Random,
) -> io::Result<()> {
    for key in keys {
        let value: Vec<u8> = std::iter::repeat_with(|| random.next() as u8).take(VALUE_BYTES).collect();
        let op = Op::Put { key: key.into(), value: value.into(), condition: Condition::Always };
        engine.append(op, &[]).map_err(io::Error::other)?;
    }
    let synced = engine.sync().map_err(io::Error::other)?;
    engine.commit(synced.durable_seq()).map(drop).map_err(io::Error::other)
}

/// Opens what [`fill`] made. To be called in a fresh process, for the memory to mean something.
pub fn open(path: &Path) -> io::Result<Opened> {
    let device = FileDevice::open(path).map_err(io::Error::other)?;
    let (before, started) = (memory("VmRSS:"), Instant::now());
    let engine = open_engine(device)?;
    let millis = started.elapsed().as_secs_f64() * 1e3;
    let since = |now: Option<u64>| Some(now?.saturating_sub(before?));
    let (memory_bytes, peak_bytes) = (since(memory("VmRSS:")), since(memory("VmHWM:")));
    Ok(Opened { keys: engine.key_count(), millis, memory_bytes, peak_bytes })
}

/// A line of what Linux says about this process, in bytes.
fn memory(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// A checkpoint of what [`fill`] made, beside puts to its keys.
pub fn checkpoint(path: &Path, key_bytes: usize) -> io::Result<Steps> {
    let (device, counters) = Counted::new(FileDevice::open(path).map_err(io::Error::other)?);
    let mut engine = open_engine(device)?;
    let mut random = Random::new(1);
    let keys = engine.key_count();
    let mut result = Steps {
        keys,
        steps: 0,
        puts: 0,
        worst_work_micros: 0.0,
        worst_micros: 0.0,
        flip_micros: 0.0,
        flip_syncs: 0,
    };
    let mut traffic = |engine: &mut Engine<Counted>| {
        let numbers: Vec<u64> = (0..TRAFFIC).map(|_| random.next() % keys).collect();
        put(engine, numbers.into_iter().map(|n| key(n, key_bytes)), &mut random)
    };
    traffic(&mut engine)?;
    engine.checkpoint_begin(Vec::new());
    loop {
        traffic(&mut engine)?;
        result.puts += TRAFFIC;
        for _ in 0..STEPS {
            let (syncs, work, started) = (counters.used().syncs, processor_time(), Instant::now());
            let progress = engine.checkpoint_step();
            let (micros, work) = (started.elapsed().as_secs_f64() * 1e6, processor_time() - work);
            let progress = progress.map_err(|error: WriteError| io::Error::other(error))?;
            if progress == CheckpointProgress::Idle {
                return Ok(result);
            }
            result.steps += 1;
            result.worst_work_micros = result.worst_work_micros.max(work.as_secs_f64() * 1e6);
            match counters.used().syncs - syncs {
                0 => result.worst_micros = result.worst_micros.max(micros),
                syncs => (result.flip_micros, result.flip_syncs) = (micros, syncs),
            }
        }
    }
}

/// What this thread has computed so far, in the kernel or not; waiting does not count.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_was_filled_opens_with_all_keys_and_takes_a_checkpoint_beside_traffic() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        fill(&path, 5000, 100).unwrap();
        assert_eq!(open(&path).unwrap().keys, 5000);
        let steps = checkpoint(&path, 100).unwrap();
        assert!(steps.keys == 5000 && steps.steps > 2 && steps.flip_syncs > 0);
    }
}
