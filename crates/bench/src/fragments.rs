//! A device that fills up: what a batch takes after many overwrites, with and without the extension `gc`.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{
    CheckpointProgress, Condition, Device, Engine, Identity, Layout, Op, Standing, UNIT, WriteError, format,
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
/// Turns of each device; one more before them is not counted.
const ROUNDS: u32 = 5;
/// An almost empty device, in percent of what fits.
const EMPTY_PERCENT: u64 = 10;

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
    /// Without gc.
    pub without: Speed,
    /// With it, on another device that was filled in the same way.
    pub with: Speed,
}

/// Medians over the turns.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Speed {
    /// Writes of a batch, its log record included.
    pub writes_per_batch: f64,
    /// Durable puts per second.
    pub puts_per_second: f64,
    /// The same beside an almost empty device without gc, in the turn that followed.
    pub of_empty: f64,
    /// All bytes written for each byte of the values, checkpoints and moves included.
    pub bytes_per_value_byte: f64,
    /// The same ratio of the disk alone: batches a second with as many writes, at random places, to those with one.
    pub disk_of_empty: f64,
}

struct Host {
    what: Fragments,
    engine: Engine<Counted>,
    counters: Arc<Counters>,
    random: Random,
    keys: u64,
    started: Instant,
    gc: Option<Gc>,
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

    /// A new device, filled to `percent`, of which random keys have been overwritten.
    fn prepared(&self, path: &Path, percent: u64, gc: Option<Gc>) -> io::Result<Host> {
        let file = FileDevice::create(path, self.image_bytes).map_err(io::Error::other)?;
        let (device, counters) = Counted::new(file);
        format(&device, &IDENTITY, Standing::Member, Layout::default()).map_err(io::Error::other)?;
        let (engine, _) = Engine::open(device, &IDENTITY, Mechanisms::all()).map_err(io::Error::other)?;
        let keys = self.fits(&engine) * percent / 100;
        let (random, started) = (Random::new(percent), Instant::now());
        let mut host = Host { what: *self, engine, counters, random, keys, started, gc: None };
        (0..keys)
            .step_by(self.batch as usize)
            .try_for_each(|first| host.batch(first..keys.min(first + self.batch)).map(drop))?;
        let mut done = 0;
        while done < self.overwrites {
            done += host.overwrite()?.0;
        }
        host.gc = gc;
        Ok(host)
    }

    /// Three devices in turns of that length: one at `percent`, one more at `percent` with gc, which has run for as long as
    /// all its turns take before the first one counts, and one that is almost empty.
    pub fn level(&self, dir: &Path, percent: u64, turn: Duration) -> io::Result<Level> {
        let prepared = |name, percent, gc| self.prepared(&dir.join(name), percent, gc);
        let mut hosts = [
            prepared("without", percent, None)?,
            prepared("with", percent, Some(Gc::default()))?,
            prepared("empty", EMPTY_PERCENT, None)?,
        ];
        hosts[1].turn(turn * (ROUNDS + 1))?;
        let mut disk = Disk::new(&dir.join("disk"), self)?;
        let mut turns = [const { Vec::new() }; 3];
        for round in 0..=ROUNDS {
            let mut seen = hosts.iter_mut().map(|host| host.turn(turn)).collect::<io::Result<Vec<Turn>>>()?;
            let (usual, empty) = (seen[0].bytes_per_value_byte, seen[2].puts_per_second);
            let one_run = disk.turn(1, 0, turn)?;
            for seen in &mut seen {
                // What is written beyond the values and checkpoints are values that were moved, each by itself.
                let moved = (seen.bytes_per_value_byte - usual).max(0.0) * self.batch as f64;
                let runs = (seen.writes_per_batch - 1.0).round() as u64;
                seen.of_empty = seen.puts_per_second / empty;
                seen.disk_of_empty = disk.turn(runs, moved.round() as u64, turn)? / one_run;
            }
            if round > 0 {
                turns.iter_mut().zip(seen).for_each(|(turns, seen)| turns.push(seen));
            }
        }
        let [without, with, _] = turns.map(|turns| Speed::of(&turns));
        Ok(Level { percent, keys: hosts[0].keys, without, with })
    }
}

/// What one turn came to.
struct Turn {
    writes_per_batch: f64,
    puts_per_second: f64,
    bytes_per_value_byte: f64,
    of_empty: f64,
    disk_of_empty: f64,
}

impl Speed {
    /// Medians; the ratios are those of turns that followed each other.
    fn of(turns: &[Turn]) -> Speed {
        let of = |what: fn(&Turn) -> f64| median(&turns.iter().map(what).collect::<Vec<_>>());
        Speed {
            writes_per_batch: of(|turn| turn.writes_per_batch),
            puts_per_second: of(|turn| turn.puts_per_second),
            of_empty: of(|turn| turn.of_empty),
            bytes_per_value_byte: of(|turn| turn.bytes_per_value_byte),
            disk_of_empty: of(|turn| turn.disk_of_empty),
        }
    }
}

/// A file that is written and synced as an engine does it, by nobody who thinks about it.
struct Disk {
    file: FileDevice,
    random: Random,
    value_units: u64,
    batch: u64,
}

impl Disk {
    fn new(path: &Path, what: &Fragments) -> io::Result<Disk> {
        let file = FileDevice::create(path, what.image_bytes).map_err(io::Error::other)?;
        let value_units = value_ref::units(what.value_bytes);
        Ok(Disk { file, random: Random::new(0), value_units, batch: what.batch })
    }

    /// Batches a second: the values in so many runs at random places, so many more that are moved, the log, a sync.
    fn turn(&mut self, runs: u64, moved: u64, length: Duration) -> io::Result<f64> {
        let (begun, mut batches) = (Instant::now(), 0);
        let units = self.file.size() / UNIT;
        let bytes = vec![1; (self.batch * self.value_units * UNIT) as usize];
        while begun.elapsed() < length {
            let runs_units = (0..runs).map(|run| self.batch * (run + 1) / runs - self.batch * run / runs);
            let lengths = runs_units.chain((0..moved).map(|_| 1)).map(|values| values * self.value_units);
            for length in lengths.filter(|length| *length > 0) {
                let at = self.random.next() % (units - length);
                self.file.write_at(at * UNIT, &bytes[..(length * UNIT) as usize])?;
            }
            self.file.write_at(batches * 2 % units * UNIT, &bytes[..1024])?;
            self.file.sync()?;
            batches += 1;
        }
        Ok(batches as f64 / begun.elapsed().as_secs_f64())
    }
}

impl Host {
    /// Overwrites for so long.
    fn turn(&mut self, length: Duration) -> io::Result<Turn> {
        let (begun, before) = (Instant::now(), self.counters.used());
        let (mut puts, mut writes, mut batches) = (0, 0, 0);
        while begun.elapsed() < length {
            let (more, took) = self.overwrite()?;
            (puts, writes, batches) = (puts + more, writes + took, batches + 1);
        }
        let bytes = (self.counters.used().bytes - before.bytes) as f64;
        Ok(Turn {
            writes_per_batch: writes as f64 / f64::from(batches),
            puts_per_second: puts as f64 / begun.elapsed().as_secs_f64(),
            bytes_per_value_byte: bytes / (puts * self.what.value_bytes as u64) as f64,
            of_empty: 1.0,
            disk_of_empty: 1.0,
        })
    }

    /// A batch of overwrites: how many, and how many writes it took.
    fn overwrite(&mut self) -> io::Result<(u64, u64)> {
        let numbers: Vec<u64> = (0..self.what.batch).map(|_| self.random.next() % self.keys).collect();
        let writes = self.batch(numbers.into_iter())?;
        Ok((self.what.batch, writes))
    }

    fn batch(&mut self, numbers: impl Iterator<Item = u64>) -> io::Result<u64> {
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
        if let Some(gc) = &mut self.gc {
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
        let level = what.level(dir.path(), 50, Duration::from_millis(20)).unwrap();
        for speed in [level.without, level.with] {
            assert!(speed.writes_per_batch >= 2.0 && speed.puts_per_second > 0.0, "{level:?}");
            assert!(speed.bytes_per_value_byte > 1.0 && speed.disk_of_empty > 0.0, "{level:?}");
        }
    }
}
