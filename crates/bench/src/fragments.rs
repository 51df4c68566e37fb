//! A device that fills up: what a batch takes after many overwrites, with and without the extension `gc`.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{
    CheckpointProgress, Condition, Engine, Identity, Layout, Op, Standing, WriteError, format,
    format::value_ref,
};
use gc::Gc;
use serde::Serialize;
use store::FileDevice;
use trace::Mechanisms;

use crate::cutaway::{Counted, Counters};
use crate::load::{Random, key, median};

const IDENTITY: Identity = Identity { cluster: [0; 16], node: 1, shard: 0, shards: 1, members: 1 };
const KEY_BYTES: usize = 16;
const TAG_BYTES: usize = 25;
/// Turns with and without it.
const ROUNDS: u32 = 5;

/// What is put, and where.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Fragments {
    /// Bytes of the image.
    pub image_bytes: u64,
    /// Bytes of each value.
    pub value_bytes: usize,
    /// Puts in a batch.
    pub batch: u64,
    /// Overwrites of random keys before anything is measured.
    pub overwrites: u64,
}

/// What was measured at one level.
#[derive(Clone, Debug, Serialize)]
pub struct Level {
    /// Of what fits, in percent.
    pub percent: u64,
    /// So many keys.
    pub keys: u64,
    /// Without and with it.
    pub without: Speed,
    /// The same device, later.
    pub with: Speed,
}

/// Medians over the turns.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Speed {
    /// Writes of a batch, its log record included.
    pub writes_per_batch: f64,
    /// Durable puts per second.
    pub puts_per_second: f64,
    /// All bytes written for each byte of the values, checkpoints and moves included.
    pub bytes_per_value_byte: f64,
}

struct Host {
    what: Fragments,
    engine: Engine<Counted>,
    counters: Arc<Counters>,
    random: Random,
    keys: u64,
    started: Instant,
}

impl Fragments {
    /// About as many keys as fit.
    fn fits(&self, engine: &Engine<Counted>) -> u64 {
        let (space, units) = (engine.space(), value_ref::units(self.value_bytes));
        let item = (20 + KEY_BYTES as u64) + 8 * units;
        // In units of the device, in a thousand keys: the values, and two checkpoints of their items.
        let each = 1_000 * units + 2_000 * item / 472;
        (space.claimable - space.claimed) * 1_000 / each
    }

    /// Fills a new device to `percent`, overwrites, and measures turns of that length.
    pub fn level(&self, path: &Path, percent: u64, turn: Duration) -> io::Result<Level> {
        let file = FileDevice::create(path, self.image_bytes).map_err(io::Error::other)?;
        let (device, counters) = Counted::new(file);
        format(&device, &IDENTITY, Standing::Member, Layout::default()).map_err(io::Error::other)?;
        let (engine, _) = Engine::open(device, &IDENTITY, Mechanisms::all()).map_err(io::Error::other)?;
        let keys = self.fits(&engine) * percent / 100;
        let (random, started) = (Random::new(percent), Instant::now());
        let mut host = Host { what: *self, engine, counters, random, keys, started };
        (0..keys)
            .step_by(self.batch as usize)
            .try_for_each(|first| host.batch(first..keys.min(first + self.batch), None).map(drop))?;
        let mut done = 0;
        while done < self.overwrites {
            done += host.overwrite(None)?.0;
        }
        let without = host.turns(turn, None)?;
        let mut gc = Gc::default();
        let with = host.turns(turn, Some(&mut gc))?;
        Ok(Level { percent, keys, without, with })
    }
}

impl Host {
    /// The median of several turns; the first is not counted.
    fn turns(&mut self, turn: Duration, mut gc: Option<&mut Gc>) -> io::Result<Speed> {
        let mut all = [const { Vec::new() }; 3];
        for round in 0..=ROUNDS {
            let (begun, before) = (Instant::now(), self.counters.used());
            let (mut puts, mut writes, mut batches) = (0, 0, 0);
            while begun.elapsed() < turn {
                let (more, took) = self.overwrite(gc.as_deref_mut())?;
                (puts, writes, batches) = (puts + more, writes + took, batches + 1);
            }
            let bytes = self.counters.used().bytes - before.bytes;
            if round > 0 {
                let values = (puts * self.what.value_bytes as u64) as f64;
                all[0].push(writes as f64 / f64::from(batches));
                all[1].push(puts as f64 / begun.elapsed().as_secs_f64());
                all[2].push(bytes as f64 / values);
            }
        }
        let [writes_per_batch, puts_per_second, bytes_per_value_byte] = all.map(|values| median(&values));
        Ok(Speed { writes_per_batch, puts_per_second, bytes_per_value_byte })
    }

    /// A batch of overwrites: how many, and how many writes it took.
    fn overwrite(&mut self, gc: Option<&mut Gc>) -> io::Result<(u64, u64)> {
        let numbers: Vec<u64> = (0..self.what.batch).map(|_| self.random.next() % self.keys).collect();
        let writes = self.batch(numbers.into_iter(), gc)?;
        Ok((self.what.batch, writes))
    }

    fn batch(&mut self, numbers: impl Iterator<Item = u64>, gc: Option<&mut Gc>) -> io::Result<u64> {
        for n in numbers {
            let value: Arc<[u8]> = vec![self.random.next() as u8; self.what.value_bytes].into();
            let op = Op::Put { key: key(n, KEY_BYTES).into(), value, condition: Condition::Always };
            loop {
                match self.engine.append(op.clone(), &[0; TAG_BYTES]) {
                    Ok(_) => break,
                    // A checkpoint gives room.
                    Err(WriteError::NoSpace { .. } | WriteError::WalFull { .. }) => {
                        self.sync()?;
                        self.background()?;
                    }
                    Err(error) => return Err(io::Error::other(error)),
                }
            }
        }
        let writes = self.sync()?;
        self.background()?;
        if let Some(gc) = gc {
            let now = self.started.elapsed().as_micros() as u64;
            gc.step(now, &mut self.engine).map_err(io::Error::other)?;
        }
        Ok(writes)
    }

    fn sync(&mut self) -> io::Result<u64> {
        let Some(batch) = self.engine.begin_sync() else { return Ok(0) };
        let (writes, _) = batch.size();
        let written = batch.write(self.engine.device());
        let synced = self.engine.end_sync(batch, written).map_err(io::Error::other)?;
        self.engine.commit(synced.durable_seq()).map_err(io::Error::other)?;
        Ok(writes)
    }

    /// What a node does between two batches.
    fn background(&mut self) -> io::Result<()> {
        if self.engine.checkpoint_due() {
            self.engine.checkpoint_begin(Vec::new());
        }
        let steps = if self.engine.short_of_room() { 8 } else { 1 };
        for _ in 0..steps {
            if self.engine.checkpoint_step().map_err(io::Error::other)? == CheckpointProgress::Idle {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_device_is_measured_with_and_without() {
        let dir = tempfile::tempdir().unwrap();
        let what = Fragments { image_bytes: 8 << 20, value_bytes: 1_000, batch: 8, overwrites: 1_000 };
        let level = what.level(&dir.path().join("image"), 50, Duration::from_millis(20)).unwrap();
        for speed in [level.without, level.with] {
            assert!(speed.writes_per_batch >= 2.0 && speed.puts_per_second > 0.0, "{level:?}");
            assert!(speed.bytes_per_value_byte > 1.0, "{level:?}");
        }
    }
}
