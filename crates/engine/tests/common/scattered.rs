//! Devices whose free units are in pieces, and who owns what there.

use super::*;
use engine::{Condition, Extent, Op, Owner};

pub fn big(bytes: usize, salt: usize) -> Op {
    let value = (0..bytes).map(|n| (n / 7 + n * salt) as u8).collect::<Vec<u8>>().into();
    Op::Put { key: super::bytes("big"), value, condition: Condition::Always }
}

/// Fills a device with values of this length, and keeps only one of so many: what is free then is in pieces between them.
pub fn riddled<D: Device>(e: &mut Engine<D>, value_bytes: usize, one_of: usize) {
    let value = "v".repeat(value_bytes);
    let go = |e: &mut Engine<D>, op| {
        e.write(op);
        if e.checkpoint_due() {
            e.checkpoint_now();
        }
    };
    let mut n = 0;
    while e.has_room(std::iter::once(&put("00000", &value)), 3) {
        go(e, put(&format!("{n:05}"), &value));
        n += 1;
    }
    e.checkpoint_now();
    (0..n).filter(|k| k % one_of > 0).for_each(|k| go(e, delete(&format!("{k:05}"))));
    e.checkpoint_now();
}

/// A small device all of whose free space is in pieces of one unit, but for what a checkpoint took.
pub fn in_single_units() -> Disk {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    riddled(&mut e, 10, 2);
    // The longest free extents go first: put short values until one of two units finds none of two.
    for n in 0.. {
        let mut trial = open(&disk.clone()).0;
        trial.commit_all();
        if !trial.has_room(std::iter::once(&big(700, 1)), 3) {
            panic!("nothing of it is in single units");
        }
        trial.write(big(700, 1));
        if pieces(&trial, "big").len() == 2 {
            return disk;
        }
        e.write(put(&format!("fill {n}"), ""));
        e.checkpoint_now();
    }
    unreachable!()
}

/// Where the value of a key is.
pub fn pieces<D: Device>(e: &Engine<D>, key: &str) -> Vec<Extent> {
    let of_key = |owner: &Owner| matches!(owner, Owner::Key(k, _) if **k == *key.as_bytes());
    e.owners().into_iter().filter(|(_, owner)| of_key(owner)).map(|(extent, _)| extent).collect()
}

/// No unit has two owners, and those without one are free: nothing is lost, nothing is given out twice (E3).
pub fn every_unit_has_one_owner<D: Device>(e: &Engine<D>) {
    let (mut end, mut owned, space) = (0, 0, e.space());
    for (extent, owner) in e.owners() {
        assert!(extent.unit >= end, "E3: {owner:?} begins in what is owned up to {end}");
        end = extent.unit + extent.units;
        owned += extent.units;
    }
    assert_eq!(space.quarantined, 0);
    assert_eq!(owned + space.free, space.units, "E3");
}
