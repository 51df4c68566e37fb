//! Values for which no free extent is long enough: in several, and yet like any other value.

mod common;

use common::scattered::*;
use common::*;
use engine::format::value_ref::{PackedExtent, units};
use engine::format::wal_record::{WalHeader, WalRecord};
use engine::{
    Condition, DecodeError, Engine, Extent, Layout, Op, ReadError, Standing, UNIT, VALUE_BYTES_MAX,
    WriteError, Zone,
};
use trace::Mechanisms;

fn value_of(op: &Op) -> &[u8] {
    match op {
        Op::Put { value, .. } => value,
        _ => &[],
    }
}

#[test]
fn the_longest_value_on_a_device_whose_free_space_is_in_small_pieces() {
    let disk = formatted(5 << 20, Layout { wal_bytes: 1 << 20 });
    let (mut e, _) = open(&disk);
    riddled(&mut e, 2 << 10, 3);
    let free = e.space().free;
    let longest = e.owners().windows(2).map(|w| w[1].0.unit - w[0].0.unit - w[0].0.units).max().unwrap();
    assert!(longest < units(VALUE_BYTES_MAX) / 3, "{longest} units are in one piece");

    let op = big(VALUE_BYTES_MAX, 1);
    assert!(e.has_room(std::iter::once(&op), 3));
    e.add(op.clone());
    assert_eq!(e.entry(e.last_seq()).unwrap().unwrap().op, op);
    e.sync_now().unwrap();
    // Not applied yet, it is read from the log; then from the index; then from the checkpoint.
    let (mut e, report) = open(&power_cut(&disk));
    assert!(report.damage.is_none(), "{report:#?}");
    assert!(e.entry(e.last_seq()).unwrap().unwrap().op == op);
    e.commit_all();
    assert!(*e.get(b"big").unwrap().unwrap().value == *value_of(&op));
    assert!(pieces(&e, "big").len() > 30, "{} pieces", pieces(&e, "big").len());
    e.checkpoint_now();
    every_unit_has_one_owner(&e);
    let (mut e, _) = open(&power_cut(e.device()));
    assert!(*e.get(b"big").unwrap().unwrap().value == *value_of(&op));

    // To another device, in one piece there; and every piece of it here is given back once.
    let (mut other, _) = open(&formatted(5 << 20, Layout { wal_bytes: 1 << 20 }));
    other.install_begin().unwrap();
    let mut next = None;
    loop {
        let chunk = e.transfer_read(next, 0, 1 << 20).unwrap();
        chunk
            .items
            .into_iter()
            .for_each(|(key, version, value)| other.install_put(key, version, value).unwrap());
        next = chunk.next;
        if next.is_none() {
            break;
        }
    }
    other.install_finish(e.checkpoint_seq(), Vec::new(), 1).unwrap();
    assert!(*other.get(b"big").unwrap().unwrap().value == *value_of(&op));
    assert_eq!(pieces(&other, "big").len(), 1);
    e.write(delete("big"));
    e.checkpoint_now();
    every_unit_has_one_owner(&e);
    assert_eq!(e.space().free, free);
}

#[test]
fn free_units_alone_decide_whether_a_value_fits() {
    for seed in 0..40 {
        let (mut rng, disk) = (seeded(seed), tiny());
        let (mut e, _) = open(&disk);
        let mut refused = 0;
        for _ in 0..300 {
            let op = match rng.below(4) {
                0 => delete(&rng.below(70).to_string()),
                _ => put(&rng.below(70).to_string(), &"x".repeat(rng.below(9_000) as usize)),
            };
            let free = e.space().free - e.space().reserve.min(e.space().free);
            let roomy = e.has_room(std::iter::once(&op), 3);
            match e.append(op.clone(), b"tag") {
                Ok(_) => assert!(roomy, "seed {seed}: has_room says no to what is taken"),
                Err(WriteError::NoSpace { needed, .. }) => {
                    // A key more may cost a unit more of each of two checkpoints.
                    assert!(!roomy && needed + 2 > free, "seed {seed}: {needed} of {free} units are refused");
                    refused += 1;
                }
                Err(error) => panic!("seed {seed}: {error}"),
            }
            e.sync_now().unwrap();
            e.commit_all();
            if rng.below(3) == 0 || e.checkpoint_due() {
                e.checkpoint_now();
                every_unit_has_one_owner(&e);
            }
        }
        assert!(refused > 10, "seed {seed}: the device was never full");
    }
}

/// Whatever a device has been through, it takes what another one of its size takes.
#[test]
fn two_devices_with_one_log_refuse_the_same_however_fragmented_they_are() {
    let (mut one, _) = open(&tiny());
    let (mut other, _) = open(&tiny());
    // Only the other one has had these.
    riddled(&mut other, 700, 3);
    let keys: Vec<_> = other.scan(b"", None, 10_000).into_iter().map(|(key, ..)| key).collect();
    for key in keys.iter().step_by(2) {
        other.write(Op::Delete { key: key.clone(), condition: Condition::Always });
        other.checkpoint_now();
    }
    for (key, ..) in other.scan(b"", None, 10_000) {
        let value = other.get(&key).unwrap().unwrap().value;
        one.write(Op::Put { key, value, condition: Condition::Always });
        one.checkpoint_now();
    }
    let mut rng = seeded(3);
    let mut taken = 0;
    for n in 0.. {
        let op = put(&format!("n{n}"), &"y".repeat(rng.below(3_000) as usize));
        let rooms = (one.has_room(std::iter::once(&op), 3), other.has_room(std::iter::once(&op), 3));
        assert_eq!(rooms.0, rooms.1, "after {taken} puts");
        if !rooms.0 {
            break;
        }
        taken += 1;
        for e in [&mut one, &mut other] {
            e.write(op.clone());
            e.checkpoint_now();
        }
    }
    let split = |e: &Engine<Disk>| (0..taken).filter(|n| pieces(e, &format!("n{n}")).len() > 1).count();
    assert!(taken > 10 && split(&other) != split(&one), "{} and {}", split(&one), split(&other));
}

#[test]
fn a_put_in_pieces_that_is_undone_or_without_effect_gives_every_piece_back() {
    let disk = in_single_units();
    let (mut e, _) = open(&disk);
    e.commit_all();
    let free = e.space().free;
    e.add(big(700, 1));
    e.sync_now().unwrap();
    e.undo(e.last_seq());
    assert!(e.space().quarantined > 0, "the truncation is not durable yet");
    e.sync_now().unwrap();
    every_unit_has_one_owner(&e);
    let Op::Put { key, value, .. } = big(700, 2) else { unreachable!() };
    let seq = e.write(Op::Put { key, value, condition: Condition::Present });
    assert_eq!((e.get(b"big").unwrap(), e.applied_seq()), (None, seq), "there is no such key to replace");
    e.checkpoint_now();
    every_unit_has_one_owner(&e);
    assert_eq!(e.space().free, free);
}

/// A device whose checkpoint has the value of `big` in several extents, and a log behind it that has it once more.
fn scattered() -> (Disk, Vec<Extent>, u64) {
    let disk = in_single_units();
    let (mut e, _) = open(&disk);
    e.commit_all();
    e.write(big(1_200, 1));
    e.checkpoint_now();
    let at = pieces(&e, "big");
    assert!(at.len() >= 2, "{at:?}");
    let start = engine::format::superblock::Superblock::decode(&disk.image()).unwrap().data_offset;
    (disk, at, start)
}

/// Recovery reads no value: damage in one is found when it is read, is of that value alone, and hides no free unit.
#[test]
fn damage_in_any_extent_of_a_value_is_found_when_it_is_read_and_concerns_nothing_else() {
    let (disk, at, start) = scattered();
    for extent in &at {
        for byte in [0, 100, 170] {
            let mut image = disk.image();
            image[(start + extent.unit * UNIT) as usize + byte] ^= 0x15;
            let (e, report) = open(&Disk::of(&image));
            assert!(report.damage.is_none(), "{report:#?}");
            let damage = match e.get(b"big") {
                Err(ReadError::Corrupt(damage)) => damage,
                other => panic!("byte {byte} of {extent:?} is changed: {other:?}"),
            };
            let big = damage.value.is_some_and(|(key, _)| *key == *b"big");
            assert!(damage.zone == Zone::Data && big);
            every_unit_has_one_owner(&e);
        }
    }
}

/// The last unit of a value is followed by zeros, which nobody reads.
#[test]
fn what_lies_behind_the_end_of_a_value_does_not_matter() {
    let (disk, at, start) = scattered();
    let mut image = disk.image();
    let end = at.last().unwrap();
    image[(start + (end.unit + end.units) * UNIT) as usize - 1] ^= 1;
    assert!(open(&Disk::of(&image)).0.get(b"big").unwrap().is_some());
}

/// The record of a put with its list changed by `change`, and sealed again; and what its decoder says.
fn decoded(change: impl Fn(&mut [u8])) -> Result<Vec<Extent>, &'static str> {
    let disk = in_single_units();
    let (mut e, _) = open(&disk);
    e.commit_all();
    let superblock = engine::format::superblock::Superblock::decode(&disk.image()).unwrap();
    let lsn = e.appended_lsn().0;
    e.add(big(700, 1));
    e.sync_now().unwrap();
    let image = disk.image();
    let mut record = image[(superblock.wal_offset + lsn % superblock.wal_bytes) as usize..][..512].to_vec();
    let length = u32::from_le_bytes(record[8..12].try_into().unwrap()) as usize;
    change(&mut record[WalHeader::BYTES..]);
    let crc = crc32c::crc32c(&record[8..length]);
    record[4..8].copy_from_slice(&crc.to_le_bytes());
    match WalRecord::decode(&record, true) {
        Ok(record) => Ok(record.value.unwrap().extents().collect()),
        Err(DecodeError::Field { name, .. }) => Err(name),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_list_of_extents_that_cannot_be_the_one_of_its_value_is_refused() {
    let units = PackedExtent::FIELDS[2].offset;
    assert_eq!(decoded(|_| {}).unwrap().iter().map(|extent| extent.units).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(decoded(|list| list[units] = 0), Err("units"), "an extent of nothing");
    assert_eq!(decoded(|list| list[units] = 2), Err("units"), "more than the value takes");
    assert_eq!(
        decoded(|list| list[5] = 7).map(|extents| extents[0].unit >> 40),
        Ok(7),
        "for recovery to refuse"
    );
}

#[test]
fn every_size_takes_its_units_and_no_more_wherever_they_are() {
    assert_eq!([0, 100, 512, 513, 4096].map(units), [1, 1, 1, 2, 8]);
    let disk = in_single_units();
    for bytes in [0, 1, 511, 512, 513, 1_024, 1_025, 2_000, 5_000] {
        let (mut e, _) = open(&disk.clone());
        e.commit_all();
        let free = e.space().free;
        let op = big(bytes, 3);
        e.write(op.clone());
        let taken = free - e.space().free;
        assert_eq!(taken, units(bytes), "{bytes} bytes");
        assert!(*e.get(b"big").unwrap().unwrap().value == *value_of(&op));
    }
}

#[test]
fn an_unproven_device_takes_all_that_a_full_one_of_its_size_holds() {
    let (mut full, _) = open(&tiny());
    riddled(&mut full, 700, 3);
    let mut n = 0;
    for bytes in [6_000, 900, 20] {
        while full.has_room(std::iter::once(&put("xxxxxx", &"z".repeat(bytes))), 3) {
            full.write(put(&format!("x{n:05}"), &"z".repeat(bytes)));
            full.checkpoint_now();
            n += 1;
        }
    }
    let disk = Disk::new(TINY_BYTES);
    engine::format(&disk, &ME, Standing::Joining, TINY).unwrap();
    let (mut e, _) = Engine::open(disk, &ME, Mechanisms::all()).unwrap();
    e.install_begin().unwrap();
    let mut next = None;
    loop {
        let chunk = full.transfer_read(next, 0, 4_000).unwrap();
        chunk.items.into_iter().for_each(|(key, version, value)| e.install_put(key, version, value).unwrap());
        next = chunk.next;
        if next.is_none() {
            break;
        }
    }
    e.install_finish(full.checkpoint_seq(), full.host_state().to_vec(), 1).unwrap();
    assert_eq!(e.key_count(), full.key_count());
    // And it goes on as the other one does.
    let last = e.last_seq();
    e.write(delete("00000"));
    e.checkpoint_now();
    assert_eq!((e.last_seq(), e.space().quarantined), (last + 1, 0));
}
