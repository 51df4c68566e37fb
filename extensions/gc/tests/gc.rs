//! On a simulated disk: a batch finds room in one piece again, damage is found, and no more is spent than the budget.

use std::sync::Arc;

use disk::Disk;
use engine::{Condition, Engine, Identity, Layout, Op, Standing, Upkeep, format};
use gc::Gc;
use trace::Mechanisms;

const ME: Identity = Identity { cluster: [7; 16], node: 1, shard: 0, shards: 1, members: 1 };

/// A host that overwrites keys in batches, and makes checkpoints as a node does.
struct Host {
    disk: Disk,
    engine: Engine<Disk>,
    random: u64,
    keys: u64,
    /// Microseconds.
    now: u64,
}

const VALUE_BYTES: usize = 4_000;
const BATCH: usize = 8;
/// A batch takes so long.
const BATCH_MICROS: u64 = 2_000;

impl Host {
    fn filled(image_bytes: u64, keys: u64) -> Host {
        let disk = Disk::new(image_bytes);
        format(&disk, &ME, Standing::Member, Layout { wal_bytes: 2 << 20 }).unwrap();
        let engine = Engine::open(disk.share(), &ME, Mechanisms::all()).unwrap().0;
        let mut host = Host { disk, engine, random: 1, keys, now: 0 };
        for n in 0..keys {
            host.put(n);
            host.flush();
            host.checkpoint();
        }
        host
    }

    fn put(&mut self, n: u64) {
        let key: Arc<[u8]> = format!("{n:08}").into_bytes().into();
        let value: Arc<[u8]> = vec![n as u8; VALUE_BYTES].into();
        while self
            .engine
            .append(Op::Put { key: key.clone(), value: value.clone(), condition: Condition::Always }, b"")
            .is_err()
        {
            self.flush();
            self.checkpoint();
        }
    }

    /// How many writes the batch takes.
    fn flush(&mut self) -> u64 {
        let Some(batch) = self.engine.begin_sync() else { return 0 };
        let (writes, _) = batch.size();
        batch.write(&self.disk).unwrap();
        let synced = self.engine.end_sync(batch, Ok(())).unwrap();
        self.engine.commit(synced.durable_seq()).unwrap();
        self.now += BATCH_MICROS;
        writes
    }

    fn checkpoint(&mut self) {
        if self.engine.checkpoint_due() {
            self.engine.checkpoint_begin(Vec::new());
        }
        let steps = if self.engine.short_of_room() { 8 } else { 1 };
        (0..steps).for_each(|_| _ = self.engine.checkpoint_step().unwrap());
    }

    /// Overwrites keys at random; writes per batch.
    fn overwrites(&mut self, batches: u64, mut gc: Option<&mut Gc>) -> f64 {
        let mut writes = 0;
        for _ in 0..batches {
            for _ in 0..BATCH {
                self.random = self.random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                self.put((self.random >> 33) % self.keys);
            }
            writes += self.flush();
            self.checkpoint();
            if let Some(gc) = &mut gc {
                assert!(gc.step(self.now, &mut self.engine).unwrap().damaged.is_empty());
            }
        }
        writes as f64 / batches as f64
    }
}

/// Of an image of 32 MiB, 28 are for values, keys and checkpoints.
#[test]
fn after_many_overwrites_a_batch_takes_one_write_of_values_again_while_they_go_on() {
    // 76 % of what fits, and 85 %.
    for keys in [4_200, 4_650] {
        let mut host = Host::filled(32 << 20, keys);
        let before = host.overwrites(6_000, None);
        let scattered = host.overwrites(500, None);
        let mut gc = Gc::default();
        host.overwrites(2_000, Some(&mut gc));
        let after = host.overwrites(1_000, Some(&mut gc));
        println!("{keys} keys, writes per batch: {before:.2}, then {scattered:.2}; with gc {after:.2}");
        assert!(scattered > 3.0 && after <= 2.5, "{keys} keys: {scattered:.2} before, {after:.2} after");
        for n in 0..host.keys {
            let found = host.engine.get(format!("{n:08}").as_bytes()).unwrap().unwrap();
            assert!(found.value.iter().all(|byte| *byte == n as u8), "the value of key {n}");
        }
    }
}

#[test]
fn while_nothing_is_scattered_nothing_is_moved() {
    let mut host = Host::filled(32 << 20, 100);
    let mut gc = Gc::default();
    let before = host.disk.work().written_bytes;
    for _ in 0..1_000 {
        host.now += 10_000;
        gc.step(host.now, &mut host.engine).unwrap();
    }
    assert_eq!(host.disk.work().written_bytes, before);
}

#[test]
fn all_that_is_stored_is_verified_again_and_again_within_the_budget() {
    let mut host = Host::filled(32 << 20, 2_000);
    let (mut gc, read) = (Gc::default(), host.disk.work().read_bytes);
    let mut passes = Vec::new();
    let seconds = 10;
    for _ in 0..seconds * 100 {
        host.now += 10_000;
        passes.extend(gc.step(host.now, &mut host.engine).unwrap().passed);
    }
    let read = host.disk.work().read_bytes - read;
    assert!(passes.len() >= 2, "{passes:?}");
    let (behind, last) = host.engine.records();
    for pass in passes {
        assert!(pass.pieces >= 2_000 + last - behind && pass.damaged == 0, "{pass:?}");
    }
    assert!(read < (seconds + 1) * (4 << 20), "{read} bytes in {seconds} s");
    // A bit turns in a value.
    let at = host.disk.image().windows(64).rposition(|w| w.iter().all(|byte| *byte == 77)).unwrap();
    host.disk.turn_bit(at as u64);
    let mut damaged = Vec::new();
    for _ in 0..400 {
        host.now += 10_000;
        damaged.extend(gc.step(host.now, &mut host.engine).unwrap().damaged);
    }
    assert!(
        !damaged.is_empty() && damaged.iter().all(|error| error.to_string().contains("the value of entry")),
        "{damaged:?}"
    );
}
