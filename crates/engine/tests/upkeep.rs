//! Values that are moved beside traffic, and what is verified; and what each rule of it prevents.

mod common;

use common::scattered::*;
use common::*;
use engine::format::superblock::Superblock;
use engine::{CheckpointProgress, Engine, Extent, Moved, Op, Piece, Seq, Upkeep, WriteError, Zone};
use trace::Mechanism::{self, *};
use trace::Mechanisms;

fn both(off: Mechanism) -> [(bool, Mechanisms); 2] {
    [(true, Mechanisms::all()), (false, Mechanisms::all().without(off))]
}

fn anywhere(e: &Engine<Disk>) -> Extent {
    Extent { unit: 0, units: e.space().units }
}

/// Moves the value of a key: did it?
fn moves(e: &mut Engine<Disk>, key: &str) -> bool {
    let Moved { units, damaged, .. } = e.move_values(&[bytes(key)], anywhere(e)).unwrap();
    assert!(damaged.is_empty());
    units > 0
}

/// The first byte of an extent on the device.
fn place(disk: &Disk, extent: Extent) -> u64 {
    Superblock::decode(&disk.image()).unwrap().data_offset + extent.unit * 512
}

#[test]
fn a_moved_value_is_read_at_once_and_the_next_checkpoint_frees_its_source() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.write(put("a", "value of a"));
    let (source, free, syncs) = (pieces(&e, "a"), e.space().free, disk.work().syncs);
    assert!(moves(&mut e, "a"));
    assert_eq!(disk.work().syncs, syncs, "the next checkpoint syncs it");
    assert_ne!(pieces(&e, "a"), source);
    assert_eq!(e.value("a").as_deref(), Some("value of a"));
    assert_eq!((e.space().free, e.space().quarantined), (free - 1, 1));
    // A crash before the checkpoint: the log leads to the source, and the copy is free.
    let (mut crashed, _) = open(&power_cut(&disk));
    crashed.commit_all();
    assert_eq!((pieces(&crashed, "a"), crashed.value("a")), (source, e.value("a")));
    assert_eq!(crashed.space().free, free);

    let copy = pieces(&e, "a");
    e.checkpoint_now();
    every_unit_has_one_owner(&e);
    let (e, _) = open(&power_cut(&disk));
    assert_eq!((pieces(&e, "a"), e.value("a").as_deref()), (copy, Some("value of a")));
}

#[test]
fn a_value_that_is_overwritten_or_deleted_after_it_was_moved_gives_both_places_back() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    let before = e.space().free;
    ["a", "b"].iter().for_each(|key| _ = e.write(put(key, "old")));
    assert!(moves(&mut e, "a") && moves(&mut e, "b"));
    // One that is not applied yet is not moved, and the one before it may be: it may be undone.
    e.add(put("a", "new"));
    assert!(moves(&mut e, "a"));
    e.sync_now().unwrap();
    e.commit_all();
    e.write(delete("b"));
    assert_eq!((e.value("a").as_deref(), e.value("b")), (Some("new"), None));
    e.checkpoint_now();
    every_unit_has_one_owner(&e);
    e.write(delete("a"));
    e.checkpoint_now();
    assert!(before - e.space().free <= 1, "but for the checkpoint");
}

/// An entry is sent to other replicas, and a checkpoint to a new one, from records that name the source. Rot there is of no
/// consequence, and rot of the copy is mended where it is read.
#[test]
fn the_log_and_the_checkpoint_read_a_moved_value_where_it_is_now() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.write(put("a", "value of a"));
    e.checkpoint_now();
    e.write(put("b", "value of b"));
    let sources = [pieces(&e, "a")[0], pieces(&e, "b")[0]];
    assert!(moves(&mut e, "a") && moves(&mut e, "b"));
    e.sync_now().unwrap();
    e.promise(1).unwrap();
    sources.iter().for_each(|source| disk.turn_bit(place(&disk, *source)));
    assert!(e.transfer_read(None, 0, 1 << 20).unwrap().items[0].2.starts_with(b"value of a"));
    let (key, entry) = (bytes("b"), e.entry(2).unwrap().unwrap());
    assert_eq!(entry.op, put("b", "value of b"));
    disk.turn_bit(place(&disk, pieces(&e, "b")[0]));
    assert!(e.verify(&Piece::Value(key.clone())).is_err());
    assert!(e.mend(&key, 2, b"value of b").unwrap());
    assert_eq!(e.verify(&Piece::Value(key)).unwrap(), Some(10));
}

#[test]
fn a_damaged_value_is_told_and_stays_where_it_is() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    ["a", "b", "c"].iter().for_each(|key| _ = e.write(put(key, "whole")));
    let at = pieces(&e, "b");
    disk.turn_bit(place(&disk, at[0]));
    let moved = e.move_values(&["a", "b", "gone", "c"].map(bytes), anywhere(&e)).unwrap();
    assert_eq!((moved.keys, moved.units, moved.damaged.len()), (4, 2, 1));
    assert!(moved.damaged[0].to_string().contains("value of entry 2"), "{}", moved.damaged[0]);
    assert_eq!(pieces(&e, "b"), at);
    e.checkpoint_now();
    assert_eq!((e.value("a"), e.value("c")), (Some("whole".into()), Some("whole".into())));
}

#[test]
fn everything_that_is_stored_can_be_verified_piece_by_piece() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.write(put("a", "old"));
    e.checkpoint_now();
    e.write(put("b", "new"));
    e.add(put("c", "not applied"));
    e.sync_now().unwrap();
    e.promise(1).unwrap();
    let all = [
        (Piece::Value(bytes("a")), Zone::Data),
        (Piece::Value(bytes("b")), Zone::Data),
        (Piece::Record(2), Zone::Wal),
        (Piece::Record(3), Zone::Wal),
        (Piece::Chunk(0), Zone::Checkpoint),
    ];
    assert_eq!(e.records(), (1, 3));
    for (piece, _) in &all {
        assert!(e.verify(piece).unwrap().is_some_and(|bytes| bytes > 0), "{piece:?}");
    }
    let last = [Piece::Value(bytes("c")), Piece::Record(1), Piece::Record(4), Piece::Chunk(1)];
    last.iter().for_each(|piece| assert_eq!(e.verify(piece).unwrap(), None, "{piece:?}"));
    // The value of an entry that is not applied is read with its record, and of no other.
    let record = |seq| e.verify(&Piece::Record(seq)).unwrap().unwrap();
    assert_eq!(record(3), record(2) + "not applied".len() as u64);
    // Each sector that is in use, with a bit turned: whoever reads all of it hears of it once.
    let clean = disk.image();
    let (mut zones, data) = (Vec::new(), place(&disk, Extent { unit: 0, units: 1 }));
    for sector in (8192..data + 20 * 512).step_by(512) {
        if clean[sector as usize..][..512].iter().any(|byte| *byte != 0) {
            disk.turn_bit(sector + 1);
            zones.extend(all.iter().filter(|(piece, _)| e.verify(piece).is_err()).map(|(_, zone)| *zone));
            disk.turn_bit(sector + 1);
        }
    }
    zones.sort_by_key(|zone| *zone as u8);
    // The record of the first entry lies before the checkpoint, and nothing needs it. The value of the last is read with
    // its record.
    use Zone::{Checkpoint, Data, Wal};
    assert_eq!(zones, [Wal, Wal, Wal, Checkpoint, Data, Data]);
    // What is not durable yet is not there to be verified.
    e.add(put("d", "on its way"));
    assert_eq!(e.verify(&Piece::Record(4)).unwrap(), None);
}

#[test]
fn moving_what_lies_scattered_makes_the_free_space_contiguous_again() {
    let disk = in_single_units();
    let (mut e, _) = open(&disk);
    e.commit_all();
    e.write(put("begin", "the checkpoint is of an earlier entry now"));
    let longest = |e: &Engine<Disk>| {
        let owners = e.owners();
        owners.windows(2).map(|w| w[1].0.unit - w[0].0.unit - w[0].0.units).max().unwrap()
    };
    let before = longest(&e);
    for _ in 0..40 {
        // Out of the last of the device, as far as there is room.
        let mut values = e.values(None, 10_000, &|_| true).0;
        values.sort_by_key(|(_, at)| std::cmp::Reverse(at.unit));
        let keys: Vec<_> = values.into_iter().map(|(key, _)| key).take(20).collect();
        let mut left = &keys[..];
        while !left.is_empty() {
            let moved = e.move_values(left, anywhere(&e)).unwrap();
            if moved.keys == 0 {
                break;
            }
            left = &left[moved.keys..];
        }
        e.checkpoint_now();
        every_unit_has_one_owner(&e);
        e.write(put("begin", "again"));
    }
    assert!(longest(&e) > 3 * before.max(4), "{before} units before, {} after", longest(&e));
}

/// (1) A checkpoint is being written, and has the source already. (2) The value is moved. (3) The checkpoint is durable, and
/// frees the source. (4) Another value is written there. (5) Power fails.
#[test]
fn copy_before_free() {
    for (kept, on) in both(CopyBeforeFree) {
        // Each free unit is alone, and the first one is the next to be used.
        let disk = in_single_units();
        let (mut e, _) = open_with(&disk, on);
        e.commit_all();
        e.write(put("begin", "the checkpoint is of an earlier entry now"));
        let (key, _) = e.values(None, 1_000, &|_| true).0.into_iter().min_by_key(|(_, at)| at.unit).unwrap();
        let key = String::from_utf8(key.to_vec()).unwrap();
        let value = e.value(&key);
        e.checkpoint_begin(Vec::new());
        e.checkpoint_step().unwrap();
        assert_eq!(moves(&mut e, &key), !kept);
        while e.checkpoint_step().unwrap() != (CheckpointProgress::Done { seq: e.applied_seq() }) {}
        (0..10).for_each(|_| _ = e.write(put("another", "value")));
        let (e, _) = open_with(&power_cut(&disk), on);
        assert_eq!(e.get(key.as_bytes()).is_ok(), kept, "without it, the place belongs to another value");
        assert!(!kept || e.value(&key) == value);
    }
}

/// (1) Half of a checkpoint has been sent. (2) A value is moved into one extent. (3) Another checkpoint of the same entry takes
/// effect. (4) The transfer goes on at its cursor.
#[test]
fn one_checkpoint_per_seq() {
    for (kept, on) in both(OneCheckpointPerSeq) {
        let disk = in_single_units();
        let (mut e, _) = open_with(&disk, on);
        e.commit_all();
        e.checkpoint_now();
        let (first, second) = ("!", "!!!!!!!!!!!!");
        e.write(put(second, ""));
        let Op::Put { value, condition, .. } = big(3_000, 1) else { unreachable!() };
        e.write(Op::Put { key: bytes(first), value, condition });
        assert_eq!(pieces(&e, first).len(), 6, "its item is longer by another item's length");
        // Room in one piece.
        for key in e.scan(b"0", None, 12) {
            e.write(Op::Delete { key: key.0, condition });
        }
        e.checkpoint_now();
        let mut transfer = e.transfer_read(None, 0, 1).unwrap();
        assert_eq!(moves(&mut e, first), !kept);
        e.checkpoint_now();
        let mut sent: Vec<String> = Vec::new();
        loop {
            sent.extend(transfer.items.iter().map(|(key, ..)| String::from_utf8_lossy(key).into_owned()));
            let Some(cursor) = transfer.next else { break };
            transfer = e.transfer_read(Some(cursor), 0, 1).unwrap();
        }
        assert_eq!(sent.len() as u64 == e.key_count(), kept);
        assert_eq!(sent.contains(&second.to_string()), kept, "without it, a key is never sent");
    }
}

/// (1) Values are moved until nothing is free. (2) Their sources wait for a checkpoint. (3) That finds no room.
#[test]
fn moves_leave_room() {
    for (kept, on) in both(MovesLeaveRoom) {
        let disk = tiny();
        let (mut e, _) = open_with(&disk, on);
        (0..20).for_each(|n| _ = e.write(put(&n.to_string(), &"x".repeat(2_000))));
        for n in (0..20).cycle().take(1_000) {
            moves(&mut e, &n.to_string());
        }
        let written = e.checkpoint(Vec::new());
        assert_eq!(matches!(written, Err(WriteError::NoSpace { .. })), !kept);
        let next = put("next", "value");
        assert_eq!(e.has_room(std::iter::once(&next), 3), kept, "without it, no entry has room any more");
    }
}

/// (1) A state is received beside the one that is here. (2) Values are moved. (3) The rest of the state finds no room.
#[test]
fn no_gc_during_install() {
    for (kept, on) in both(NoGcDuringInstall) {
        let disk = tiny();
        let (mut e, _) = open_with(&disk, on);
        (0..20).for_each(|n| _ = e.write(put(&n.to_string(), &"x".repeat(3_000))));
        e.checkpoint_now();
        e.write(put("0", "the checkpoint is of an earlier entry now"));
        e.install_begin().unwrap();
        let install = |e: &mut Engine<Disk>, mut numbers: std::ops::Range<Seq>| {
            numbers.all(|n| {
                let (key, value) = (bytes(&format!("k{n:03}")), vec![7; 2_000]);
                e.install_put(key, 1, value.into()).is_ok()
            })
        };
        assert!(install(&mut e, 0..20));
        for n in (0..20).cycle().take(200) {
            moves(&mut e, &n.to_string());
        }
        assert_eq!(install(&mut e, 20..40), kept, "without it, the state does not fit any more");
    }
}

/// A write that fails stops the engine: the index never points at what may not be there.
#[test]
fn a_copy_that_cannot_be_written_stops_the_engine_and_nothing_is_lost() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.write(put("a", "value of a"));
    disk.fail_after(0);
    assert!(matches!(e.move_values(&[bytes("a")], anywhere(&e)), Err(WriteError::Io(_))));
    assert!(e.is_poisoned() && e.room_to_move() == 0);
    let (mut e, _) = open(&power_cut(&disk));
    e.commit_all();
    assert_eq!(e.value("a").as_deref(), Some("value of a"));
}
