//! Every small workload, a crash at every write and sync of it, every subset of what was not synced, and further
//! crashes during the recoveries from that.
//!
//! Bounds: workloads of `OPS` operations (3 unless set, 2 where values lie in pieces); all ways in which whole sectors can
//! survive if those are at most 64, else 64 of the enumerated ones, torn sectors included, chosen by a seed; of every 16th state, a second crash at each
//! write and sync of the recovery, of every 256th a chain of five. `OPS=4 cargo test --release -p engine --test enumerate`
//! for the long run.

mod common;

use common::model::*;
use common::*;
use engine::{Device, Engine, Entry, Layout, Op, Standing, Upkeep, WriteError};
use trace::Mechanisms;

const ALPHABET: usize = 10;

/// One operation of a workload. `false` when the power has failed.
fn act(e: &mut Engine<Disk>, m: &mut Model, what: usize) -> bool {
    let append = |e: &mut Engine<Disk>, m: &mut Model, op: Op| {
        let seq = e.append(op.clone(), b"tag").unwrap();
        m.entries.push(Entry { seq, tag: b"tag"[..].into(), op });
        Ok(())
    };
    let result: Result<(), WriteError> = match what {
        0 => append(e, m, put("new", &"n".repeat(700))),
        1 => append(e, m, put("old", "overwritten")),
        2 => append(e, m, delete("old")),
        3 => {
            let from = e.last_seq();
            if from > e.applied_seq() {
                e.truncate(from).unwrap();
                m.undo(from);
            }
            Ok(())
        }
        4 | 5 => {
            // With something to sync, or with a whole batch of several records.
            let two = ["one of two", "two of two"].map(|value| put("old", value));
            let appended = two.into_iter().filter(|_| what == 5).try_for_each(|op| append(e, m, op));
            appended.and_then(|()| e.sync().map(|_| m.synced(e)))
        }
        6 => {
            while e.applied_seq() < e.durable_seq() {
                e.apply(false).unwrap();
            }
            m.applied = m.applied.max(e.applied_seq());
            Ok(())
        }
        7 => e.checkpoint(b"host".to_vec()),
        8 => {
            let keys: Vec<_> = e.values(None, 2, &|_| true).0.into_iter().map(|(key, _)| key).collect();
            e.move_values(&keys, engine::Extent { unit: 0, units: e.space().units }).map(drop)
        }
        _ => {
            m.promising = m.promised + 1;
            e.promise(m.promising).map(|()| m.promised = m.promising)
        }
    };
    result.is_ok()
}

/// A device with some history, opened.
fn prepared(bytes: u64) -> (Disk, Model) {
    let disk = Disk::new(bytes);
    engine::format(&disk, &ME, Standing::Member, Layout { wal_bytes: 8 << 10 }).unwrap();
    let (mut e, _) = open(&disk);
    let mut m = Model::default();
    for what in [1, 4, 6, 7, 0, 4] {
        assert!(act(&mut e, &mut m, what));
    }
    (disk, m)
}

/// The same, with nothing but single units free: a new value lies in two pieces at least.
fn riddled() -> (Disk, Model) {
    let (disk, mut m) = prepared(96 << 10);
    let (mut e, _) = open(&disk);
    e.commit_all();
    let go = |e: &mut Engine<Disk>, m: &mut Model, op: Op| {
        let seq = e.append(op.clone(), b"tag").unwrap();
        m.entries.push(Entry { seq, tag: (*b"tag").into(), op });
        for what in [4, 6, 7] {
            assert!(act(e, m, what));
        }
    };
    let mut n = 0;
    while e.has_room(std::iter::once(&put("000", "")), 3) {
        go(&mut e, &mut m, put(&format!("{n:03}"), ""));
        n += 1;
    }
    (0..n).step_by(2).for_each(|k| go(&mut e, &mut m, delete(&format!("{k:03}"))));
    // The longest free extents are used first.
    loop {
        let mut trial = open(&disk.clone()).0;
        trial.write(put("new", &"n".repeat(700)));
        let pieces = trial.owners().into_iter().filter(
            |(_, owner)| matches!(owner, engine::Owner::Key(key, slot) if **key == *b"new" && slot.value_bytes() == 700),
        );
        if pieces.count() > 1 {
            return (disk, m);
        }
        n += 1;
        go(&mut e, &mut m, put(&format!("{n:03}"), ""));
    }
}

/// So many of the states are tried that one crash can leave.
const CUTS_MAX: usize = 64;

struct Count {
    states: u64,
    recoveries: u64,
}

/// All that a power cut can leave of what was not synced, within the bounds.
fn cuts(disk: &Disk, rng: &mut Rng) -> Vec<Disk> {
    let state = disk.state();
    let mut cuts = state.power_cuts(false);
    if cuts.len() > CUTS_MAX {
        let all = state.power_cuts(true);
        cuts = (0..CUTS_MAX).map(|_| rng.pick(&all).clone()).collect();
    }
    cuts.iter().map(|cut| Disk::from(state.after(cut))).collect()
}

fn recover_and_crash_again(
    disk: &Disk,
    m: &Model,
    depth: u32,
    rng: &mut Rng,
    count: &mut Count,
    context: &str,
) {
    // One of the crashes of this recovery, chosen by the seed, is the one that the chain goes on from.
    let deeper = rng.below(6);
    for io in 0.. {
        let crashed = disk.clone();
        crashed.fail_after(io);
        count.recoveries += 1;
        if check_recovery(&crashed, &mut m.clone(), context, Mechanisms::all()).is_some() {
            return;
        }
        let context = format!("{context}, again at {io}");
        for (n, again) in cuts(&crashed, rng).into_iter().enumerate() {
            if depth > 1 && (io, n) == (deeper, 0) {
                recover_and_crash_again(&again, m, depth - 1, rng, count, &context);
            }
            count.recoveries += 1;
            check_recovery(&again, &mut m.clone(), &context, Mechanisms::all()).expect("the power is on");
        }
    }
}

#[test]
fn every_crash_point_of_every_small_workload_is_survived() {
    survived(prepared(64 << 10), 3);
}

#[test]
fn and_so_it_is_where_every_new_value_lies_in_pieces() {
    survived(riddled(), 2);
}

fn survived((base, model): (Disk, Model), ops: u32) {
    let ops: u32 = std::env::var("OPS").ok().and_then(|s| s.parse().ok()).unwrap_or(ops);
    let mut count = Count { states: 0, recoveries: 0 };
    for workload in 0..ALPHABET.pow(ops) {
        let what: Vec<usize> = (0..ops).map(|n| workload / ALPHABET.pow(n) % ALPHABET).collect();
        for io in 0.. {
            let (disk, mut m) = (base.clone(), model.clone());
            let mut e = check_recovery(&disk, &mut m, "before", Mechanisms::all()).unwrap();
            disk.fail_after(io);
            let survived = what.iter().all(|&what| act(&mut e, &mut m, what));
            let mut rng = seeded((workload as u64) << 32 | io);
            for cut in cuts(&disk, &mut rng) {
                count.states += 1;
                let context = format!("workload {what:?}, crash at {io}, state {}", count.states);
                if count.states.is_multiple_of(16) {
                    let depth = if count.states.is_multiple_of(256) { 5 } else { 1 };
                    recover_and_crash_again(&cut.clone(), &m, depth, &mut rng, &mut count, &context);
                }
                let mut e = check_recovery(&cut, &mut m.clone(), &context, Mechanisms::all()).unwrap();
                // And it goes on from there.
                e.write(put("after", "the crash"));
                assert_eq!(e.value("after").as_deref(), Some("the crash"), "{context}");
            }
            if survived {
                break;
            }
        }
    }
    println!(
        "{} workloads, {} states, {} further recoveries",
        ALPHABET.pow(ops),
        count.states,
        count.recoveries
    );
    assert!(base.size() > 0 && count.states > 2_000);
}
