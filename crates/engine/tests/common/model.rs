//! A model of the engine, with power cuts: random work, a crash at some write or sync, recovery, and again.
//!
//! The model is a list of entries. After every crash must hold: everything acknowledged is there (E1); what is there
//! is a prefix of what was appended, in order (E2); applying it gives the map that the model gives (E4, E6); the
//! promise is not less than the one acknowledged (E5). That no extent is owned twice (E3) is asserted by the engine.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use engine::{Batch, CheckpointProgress, Condition, Engine, Entry, Op, Outcome, Seq, Upkeep, WriteError};
use trace::Mechanisms;

/// What a run knows beyond the device.
#[derive(Clone, Default)]
pub struct Model {
    /// All entries, from seq 1, that are not undone. Those behind `acknowledged` may be lost.
    pub entries: Vec<Entry>,
    pub acknowledged: Seq,
    /// Truncations that are not acknowledged: a crash may bring the old entries back.
    pub undone: Vec<Vec<Entry>>,
    /// What was applied, never to be undone.
    pub applied: Seq,
    pub promised: u64,
    /// A promise that was under way when the power failed.
    pub promising: u64,
    host: Vec<u8>,
    equal_records: bool,
    syncs_fail: bool,
}

impl Model {
    /// The engine has truncated from `from` on.
    pub fn undo(&mut self, from: Seq) {
        self.undone.push(self.entries.clone());
        self.entries.truncate(from as usize - 1);
        self.acknowledged = self.acknowledged.min(from - 1);
    }

    /// The engine has synced everything.
    pub fn synced(&mut self, e: &Engine<Disk>) {
        self.acknowledged = e.last_seq();
        self.undone.clear();
        assert_eq!(e.durable_seq(), e.last_seq());
    }

    pub fn map(&self, upto: Seq) -> BTreeMap<Vec<u8>, (Seq, Vec<u8>)> {
        let mut map: BTreeMap<Vec<u8>, (Seq, Vec<u8>)> = BTreeMap::new();
        for e in &self.entries[..upto as usize] {
            match &e.op {
                Op::Put { key, value, condition } => {
                    if holds(*condition, map.get(&**key).map(|v| v.0)) {
                        map.insert(key.to_vec(), (e.seq, value.to_vec()));
                    }
                }
                Op::Delete { key, condition } => {
                    if holds(*condition, map.get(&**key).map(|v| v.0)) {
                        map.remove(&**key);
                    }
                }
                Op::Nop => {}
            }
        }
        map
    }
}

fn holds(condition: Condition, current: Option<Seq>) -> bool {
    match condition {
        Condition::Always => true,
        Condition::Absent => current.is_none(),
        Condition::Present => current.is_some(),
        Condition::Version(v) => current == Some(v),
    }
}

fn random_op(rng: &mut Rng, next: Seq) -> Op {
    let key: Arc<[u8]> = format!("k{}", rng.below(6)).into_bytes().into();
    let condition = match rng.below(8) {
        0 => Condition::Absent,
        1 => Condition::Present,
        2 => Condition::Version(next.saturating_sub(1 + rng.below(6))),
        _ => Condition::Always,
    };
    match rng.below(10) {
        0 => Op::Nop,
        1 | 2 => Op::Delete { key, condition },
        _ => {
            let length = match rng.below(4) {
                0 => 0,
                1 => rng.below(3000),
                _ => rng.below(400),
            };
            let value: Vec<u8> = (0..length).map(|_| rng.bits() as u8).collect();
            Op::Put { key, value: value.into(), condition }
        }
    }
}

/// Compares what the engine shows with the model, as of the applied entry.
fn check_reads(e: &Engine<Disk>, m: &Model, context: &str) {
    let map = m.map(e.applied_seq());
    assert_eq!(e.key_count(), map.len() as u64, "{context}");
    for (key, (version, value)) in &map {
        let found = e.get(key).unwrap_or_else(|error| panic!("{context}: {error}")).unwrap();
        assert_eq!((found.version, &*found.value), (*version, &value[..]), "E4 {context}");
    }
    let space = e.space();
    assert_eq!(space.live + space.free + space.quarantined, space.units, "E3 {context}");
}

/// Opens after a crash and checks everything that recovery promises.
pub fn check_recovery(disk: &Disk, m: &mut Model, context: &str, on: Mechanisms) -> Option<Engine<Disk>> {
    let before = disk.work().accesses;
    let opened = Engine::open(disk.share(), &ME, on);
    let (mut e, report) = match opened {
        Ok(opened) => opened,
        Err(engine::OpenError::Io(_)) => return None,
        Err(error) => panic!("{context}: {error}"),
    };
    assert!(disk.work().accesses > before);
    assert!(report.damage.is_none(), "{context}: a crash is not damage\n{report:#?}");
    assert!(
        e.last_seq() >= m.acknowledged,
        "E1 {context}: {} < {}\n{report:#?}",
        e.last_seq(),
        m.acknowledged
    );
    assert!(e.applied_seq() <= m.applied, "{context}");
    assert!(e.promised() >= m.promised && e.promised() <= m.promised.max(m.promising), "E5 {context}");
    m.promised = e.promised();
    // The log is one of those that the crash could leave: with the last truncations or without.
    let from = e.checkpoint_seq() + 1;
    let log: Vec<Entry> = (from..=e.last_seq()).map(|seq| e.entry(seq).unwrap().unwrap()).collect();
    let mut candidates = std::mem::take(&mut m.undone);
    candidates.push(m.entries.clone());
    let matching = candidates.into_iter().rev().find(|candidate| {
        candidate.len() as u64 >= e.last_seq() && candidate[(from - 1) as usize..e.last_seq() as usize] == log
    });
    let Some(mut matching) = matching else {
        panic!(
            "E2 {context}: no log of the model begins with the recovered one, entries {from} to {}\n{report:#?}",
            e.last_seq()
        )
    };
    matching.truncate(e.last_seq() as usize);
    m.entries = matching;
    m.acknowledged = e.last_seq();
    if e.checkpoint_seq() > 0 {
        assert!(e.host_state() == m.host.as_slice() || e.host_state().starts_with(b"host"), "{context}");
    }
    check_reads(&e, m, context);
    while e.applied_seq() < m.applied {
        e.apply(false).unwrap();
    }
    check_reads(&e, m, context);
    Some(e)
}

/// The batch that is out, with how many of the model's truncations it makes durable.
pub type Out = Option<(Batch, usize)>;

/// One random step. `Err` when the power has failed.
pub fn step(e: &mut Engine<Disk>, m: &mut Model, out: &mut Out, rng: &mut Rng) -> Result<(), ()> {
    if m.syncs_fail && rng.below(80) == 0 {
        e.device().fail_sync(Unwritten::Clean);
    }
    let powered = |result: Result<(), WriteError>| match result {
        Err(WriteError::Io(_) | WriteError::Poisoned) => Err(()),
        other => {
            other.unwrap();
            Ok(())
        }
    };
    match rng.below(26) {
        0..8 => {
            let next = e.last_seq() + 1;
            let op = random_op(rng, next);
            // In some runs all records have 128 bytes, so that each fits where another was.
            let key_bytes = op.key().map_or(0, |key| key.len() as u64);
            let tag_bytes = if m.equal_records { 48 - key_bytes } else { rng.below(20) };
            let tag: Vec<u8> = (0..tag_bytes).map(|_| rng.bits() as u8).collect();
            let roomy = e.has_room(std::iter::once(&op), tag.len());
            match e.append(op.clone(), &tag) {
                Ok(seq) => {
                    assert_eq!(seq, next);
                    m.entries.push(Entry { seq, tag: tag.into(), op });
                }
                Err(WriteError::NoSpace { .. } | WriteError::WalFull { .. }) => {
                    assert!(!roomy, "has_room said yes");
                    powered(checkpoint_step(e, m, rng))?;
                }
                Err(error) => panic!("{error}"),
            }
        }
        8..10 if out.is_none() => {
            powered(e.sync().map(|_| ()))?;
            m.synced(e);
        }
        // The same in two halves, with whatever comes between.
        8..13 => match out.take() {
            None => *out = e.begin_sync().map(|batch| (batch, m.undone.len())),
            Some((batch, undone)) => {
                let result = batch.write(e.device());
                let synced = e.end_sync(batch, result).map_err(|_| ())?;
                assert_eq!(synced.durable_seq(), e.durable_seq());
                m.acknowledged = synced.durable_seq();
                m.undone.drain(..undone);
            }
        },
        13..17 => {
            if e.applied_seq() < e.durable_seq() {
                let seq = e.applied_seq() + 1;
                let before = m.map(seq - 1);
                let outcome = e.apply(false).unwrap();
                m.applied = m.applied.max(seq);
                let (condition, key) = match &m.entries[seq as usize - 1].op {
                    Op::Put { key, condition, .. } | Op::Delete { key, condition } => (*condition, Some(key)),
                    Op::Nop => (Condition::Always, None),
                };
                let current = key.and_then(|key| before.get(&**key)).map(|v| v.0);
                if !holds(condition, current) {
                    assert_eq!(outcome, Outcome::ConditionFailed { current });
                }
            }
        }
        17 | 18 => {
            let (low, high) = (e.applied_seq() + 1, e.last_seq() + 1);
            let from = low + rng.below(high - low + 1);
            match e.truncate(from) {
                Ok(()) if from < high => {
                    m.undo(from);
                }
                Ok(()) | Err(WriteError::WalFull { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        19 => {
            m.promising = m.promised + 1 + rng.below(3);
            powered(e.promise(m.promising))?;
            m.promised = m.promising;
        }
        20..23 => powered(checkpoint_step(e, m, rng))?,
        23 | 24 => {
            let keys: Vec<_> = e.values(None, 6, &|_| true).0.into_iter().map(|(key, _)| key).collect();
            let moved = e
                .move_values(&keys, engine::Extent { unit: 0, units: e.space().units })
                .map(|moved| assert!(moved.damaged.is_empty()));
            powered(moved)?;
        }
        _ => check_reads(e, m, "between"),
    }
    Ok(())
}

fn checkpoint_step(e: &mut Engine<Disk>, m: &mut Model, rng: &mut Rng) -> Result<(), WriteError> {
    if !e.checkpoint_running() && (e.checkpoint_due() || rng.below(3) == 0) {
        m.host = format!("host state as of {}", e.applied_seq()).into_bytes();
        e.checkpoint_begin(m.host.clone());
    }
    let rounds = if rng.below(3) == 0 { 20 } else { 1 };
    for _ in 0..rounds {
        if let CheckpointProgress::Done { seq } = e.checkpoint_step()? {
            assert_eq!(e.checkpoint_seq(), seq);
            assert_eq!(e.host_state(), m.host);
        }
    }
    Ok(())
}

pub fn run(seed: u64, rounds: u64, on: Mechanisms) {
    let mut rng = seeded(seed);
    let mut disk = tiny();
    let mut m = Model { equal_records: seed % 2 == 1, syncs_fail: seed % 3 == 1, ..Model::default() };
    for round in 0..rounds {
        let context = format!("seed {seed}, round {round}");
        // Some recoveries are cut short too, several times in a row.
        if rng.below(3) == 0 {
            disk.fail_after(rng.below(6));
        }
        let Some(mut e) = check_recovery(&disk, &mut m, &context, on) else {
            disk = random_power_cut(&disk, &mut rng);
            continue;
        };
        // Most is at stake while a sync is waited for: half of the crashes come then.
        let (accesses, steps) = (rng.below(60), rng.below(60));
        let while_syncing = rng.below(2) == 0;
        if !while_syncing {
            disk.fail_after(accesses);
        }
        let mut out = None;
        for n in 0.. {
            if while_syncing && n == steps {
                disk.hang_syncs();
            }
            if step(&mut e, &mut m, &mut out, &mut rng).is_err() {
                break;
            }
        }
        drop(e);
        disk = if rng.below(4) == 0 { killed(&disk) } else { random_power_cut(&disk, &mut rng) };
    }
}
