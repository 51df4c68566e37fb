//! A damaged value gets its own bytes back, and never others.

mod common;

use common::*;
use engine::{Owner, ReadError, Zone};

/// A device with some keys; a bit of the first one's value has turned. Long enough for several sectors.
fn damaged() -> (Disk, String) {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    let value = "value of a ".repeat(200);
    e.write(put("a", &value));
    e.write(put("b", "value of b"));
    e.checkpoint_now();
    let of_a = |owner: &Owner| matches!(owner, Owner::Key(key, _) if **key == *b"a");
    let (extent, _) = e.owners().into_iter().find(|(_, owner)| of_a(owner)).unwrap();
    disk.turn_bit((8 << 10) + (16 << 10) + extent.unit * 512 + 700);
    (disk, value)
}

#[test]
fn a_damaged_value_names_itself_and_is_whole_again_with_the_bytes_that_were_written() {
    let (disk, value) = damaged();
    let (mut e, _) = open(&disk);
    let Err(ReadError::Corrupt(damage)) = e.get(b"a") else { panic!("a bit of it has turned") };
    assert_eq!((damage.zone, damage.value), (Zone::Data, Some((bytes("a"), 1))));
    assert!(e.mend(b"a", 1, value.as_bytes()).unwrap());
    let (e, _) = open(&power_cut(&disk));
    assert_eq!(e.value("a").as_deref(), Some(&*value), "and durably");
}

#[test]
fn other_bytes_than_those_that_were_written_are_never_taken() {
    let (disk, value) = damaged();
    let (mut e, _) = open(&disk);
    let before = disk.image();
    let other = value.replace("of a", "of b");
    let longer = format!("{value}.");
    for (key, version, value) in [
        ("a", 1, &*other),
        ("a", 1, &*longer),
        ("a", 1, ""),
        ("a", 2, &*value),
        ("b", 1, &*value),
        ("c", 1, &*value),
    ] {
        assert!(!e.mend(key.as_bytes(), version, value.as_bytes()).unwrap(), "{key} {version}");
    }
    assert!(disk.image() == before, "nothing was written");
    // What has replaced the value needs no repair of the value before.
    e.write(put("a", "newer"));
    assert!(!e.is_mendable(b"a", 1) && !e.mend(b"a", 1, value.as_bytes()).unwrap());
}

#[test]
fn an_entry_that_is_not_applied_is_mended_by_its_seq() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.write(put("a", "old"));
    e.add(put("a", "new"));
    e.sync_now().unwrap();
    e.write(put("b", "a later batch"));
    let of_entry = |owner: &Owner| matches!(owner, Owner::Entry(2, _));
    let (mut e, _) = open(&disk);
    let (extent, _) = e.owners().into_iter().find(|(_, owner)| of_entry(owner)).unwrap();
    disk.turn_bit((8 << 10) + (16 << 10) + extent.unit * 512 + 1);
    let Err(ReadError::Corrupt(damage)) = e.entry(2) else { panic!("a bit of it has turned") };
    assert_eq!(damage.value, Some((bytes("a"), 2)));
    assert!(!e.mend(b"a", 2, b"old").unwrap());
    assert!(e.mend(b"a", 2, b"new").unwrap());
    assert!(e.entry(2).unwrap().is_some());
}

#[test]
fn a_power_cut_in_the_middle_of_a_repair_leaves_the_value_damaged_or_whole_and_all_else_as_it_was() {
    let mut seen = [false; 2];
    for io in 0..3 {
        for seed in 0..50 {
            let (disk, value) = damaged();
            let (mut e, _) = open(&disk);
            disk.fail_after(io);
            let mended = e.mend(b"a", 1, value.as_bytes());
            let disk = random_power_cut(&disk, &mut seeded(seed));
            let (mut e, report) = open(&disk);
            assert!(report.damage.is_none(), "{report:#?}");
            match e.get(b"a") {
                Ok(found) => assert_eq!(&*found.unwrap().value, value.as_bytes()),
                Err(error) => {
                    assert!(mended.is_err(), "{error}");
                    assert!(e.mend(b"a", 1, value.as_bytes()).unwrap(), "another time");
                }
            }
            seen[usize::from(e.value("b").as_deref() == Some("value of b"))] |= mended.is_err();
        }
    }
    assert_eq!(seen, [false, true], "the other value is always there");
}
