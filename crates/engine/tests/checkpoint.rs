//! Checkpoints that take more than one chunk, more than one step, or more than there is.

mod common;

use common::*;
use engine::format::checkpoint_chunk::{self, ChunkRef};
use engine::format::superblock::{SLOTS, Superblock};
use engine::{CheckpointProgress, Engine, Layout, Op, OpenError, WriteError, Zone};
use trace::{Kind, Mechanisms};

const MIB: u64 = 1 << 20;

fn large() -> Disk {
    formatted(2 * MIB, Layout { wal_bytes: 512 << 10 })
}

fn long_key(n: u64) -> String {
    format!("{n:04}{}", "k".repeat(1000))
}

fn superblock(disk: &Disk) -> Superblock {
    let slots = SLOTS.map(|at| Superblock::decode(&disk.image()[at as usize..]).unwrap());
    if slots[0].generation > slots[1].generation { slots[0] } else { slots[1] }
}

/// The bytes of a chunk on the medium, and where they are.
fn chunk(disk: &Disk, at: ChunkRef) -> (u64, Vec<u8>) {
    let offset = superblock(disk).data_offset + at.unit * 512;
    (offset, disk.image()[offset as usize..][..at.bytes as usize].to_vec())
}

#[test]
fn a_checkpoint_of_several_chunks_comes_back_whole_and_in_order() {
    let disk = large();
    let (mut e, _) = open(&disk);
    let host_state: Vec<u8> = (0..3000_u32).map(|n| n as u8).collect();
    for n in 0..200 {
        e.add(put(&long_key(n), &n.to_string()));
    }
    e.sync_now().unwrap();
    e.commit_all();
    e.checkpoint(host_state.clone()).unwrap();
    let (_, head) = chunk(&disk, superblock(&disk).checkpoint_head());
    let number = checkpoint_chunk::decode(&head).unwrap().number;
    // 200 keys of 1004 bytes with their headers, and what comes before them, in pieces of nearly 64 KiB.
    assert_eq!(number, 3, "three full chunks lie before the last");
    let (e, report) = open(&power_cut(&disk));
    assert!(report.damage.is_none(), "{report:#?}");
    assert_eq!((e.key_count(), e.host_state()), (200, &host_state[..]));
    for n in 0..200 {
        assert_eq!(e.value(&long_key(n)), Some(n.to_string()));
    }
    // Sent to another replica piece by piece, it is the same.
    let (mut cursor, mut received) = (None, Vec::new());
    loop {
        let piece = e.transfer_read(cursor, 0, 5000).unwrap();
        // Each takes a header of 28 bytes, 1004 for the key and up to 3 for the value.
        assert_eq!(piece.items.len(), 4);
        received.extend(piece.items.into_iter().map(|(key, ..)| key));
        assert_eq!(piece.host_state, cursor.is_none().then(|| host_state.clone()), "with the first piece");
        cursor = piece.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(e.transfer_read(None, 0, 2 * 1033).unwrap().items.len(), 2, "what fits to its last byte");
    assert_eq!(e.transfer_read(None, 0, 2 * 1033 - 1).unwrap().items.len(), 1);
    assert_eq!(e.transfer_read(None, 0, 1).unwrap().items.len(), 1, "one at least");
    assert_eq!(received, (0..200).map(|n| bytes(&long_key(n))).collect::<Vec<_>>());
}

#[test]
fn a_chunk_of_another_checkpoint_as_of_the_same_entry_is_damage() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.write(put("a", "1"));
    e.checkpoint(b"first".to_vec()).unwrap();
    let (_, first) = chunk(&disk, superblock(&disk).checkpoint_head());
    e.checkpoint(b"other".to_vec()).unwrap();
    let (at, _) = chunk(&disk, superblock(&disk).checkpoint_head());
    assert_eq!(open(&disk).0.host_state(), b"other");
    // The write of the second one was lost, and the first one's bytes are in its place.
    damage(&disk, at, |bytes| bytes[..first.len()].copy_from_slice(&first));
    let damage = match Engine::open(disk, &ME, Mechanisms::all()) {
        Ok((_, report)) => report.damage.expect("found"),
        Err(OpenError::Corrupt(damage)) => damage,
        Err(other) => panic!("{other}"),
    };
    assert_eq!((damage.zone, damage.offset), (Zone::Checkpoint, at), "{damage}");
}

#[test]
fn a_checkpoint_for_which_there_is_no_room_is_given_up_and_keeps_nothing() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.write(put("a", "1"));
    e.checkpoint_now();
    let (space, head) = (e.space(), superblock(&disk).checkpoint_head());
    let given_up = e.checkpoint(vec![1; TINY_BYTES as usize]);
    assert!(matches!(given_up, Err(WriteError::NoSpace { .. })), "{given_up:?}");
    assert_eq!((e.space(), e.checkpoint_running()), (space, false));
    assert_eq!(superblock(&disk).checkpoint_head(), head);
    e.write(put("a", "2"));
    e.checkpoint_now();
    assert_eq!(open(&power_cut(&disk)).0.value("a").as_deref(), Some("2"));
}

#[test]
fn a_checkpoint_that_is_under_way_is_not_begun_again() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.write(put("a", "1"));
    e.checkpoint_begin(b"first".to_vec());
    let free = e.space().free;
    e.checkpoint_step().unwrap();
    assert!(e.space().free < free, "its chunk is written");
    e.checkpoint_begin(b"other".to_vec());
    while e.checkpoint_step().unwrap() == CheckpointProgress::Working {}
    assert_eq!((e.host_state(), e.space().free), (&b"first"[..], free - 1));
}

#[test]
fn no_checkpoint_is_due_while_one_runs_or_a_state_is_received_or_nothing_is_written() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    while !e.checkpoint_due() {
        e.write(delete("a"));
    }
    e.install_begin().unwrap();
    assert!(!e.checkpoint_due(), "what is received replaces what a checkpoint would hold");
    e.install_abort();
    assert!(e.checkpoint_due());
    e.checkpoint_begin(Vec::new());
    assert!(!e.checkpoint_due());
    disk.fail_after(0);
    e.checkpoint_step().unwrap_err();
    assert!(e.is_poisoned() && !e.checkpoint_running() && !e.checkpoint_due());
}

#[test]
fn a_checkpoint_gives_back_all_that_was_replaced_before_it_a_share_in_each_step() {
    let disk = large();
    let (mut e, _) = open(&disk);
    for n in 0..700 {
        e.add(put("a", &n.to_string()));
    }
    e.sync_now().unwrap();
    e.commit_all();
    assert_eq!(e.space().quarantined, 699);
    e.checkpoint_begin(Vec::new());
    loop {
        let before = e.space().quarantined;
        let progress = e.checkpoint_step().unwrap();
        assert!(before - e.space().quarantined <= 256, "a step is a short one");
        if progress != CheckpointProgress::Working {
            break;
        }
    }
    assert_eq!((e.space().quarantined, e.space().live), (0, 2), "the value and the checkpoint");
}

#[test]
fn live_values_that_hold_more_than_the_log_put_off_the_checkpoint_for_those_that_were_replaced() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.write(put("large", &"v".repeat(100 * 512)));
    let value = "v".repeat(5 * 512);
    let (log, live) = (e.space().wal_bytes / 512, e.space().live);
    assert!(live > 2 * log);
    while !e.checkpoint_due() {
        assert!(2 * e.space().wal_used <= e.space().wal_bytes, "the log is not what makes it due");
        e.write(put("a", &value));
    }
    let half = e.space().live / 2;
    assert!((half..half + 12).contains(&e.space().quarantined), "{:?}", e.space());
}

#[test]
fn a_value_that_is_deleted_no_longer_puts_off_the_checkpoint_that_gives_it_back() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.write(put("large", &"v".repeat(100 * 512)));
    assert!(!e.checkpoint_due());
    e.write(delete("large"));
    assert!(e.checkpoint_due());
}

#[test]
fn values_that_wait_for_a_truncation_to_be_durable_are_no_reason_for_a_checkpoint() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.write(put("a", "1"));
    e.checkpoint_now();
    let first = e.last_seq() + 1;
    for n in 0..3 {
        e.add(put(&n.to_string(), &"v".repeat(20 * 512)));
    }
    e.undo(first);
    assert!(e.space().quarantined > e.space().wal_bytes / 512, "{:?}", e.space());
    assert!(!e.checkpoint_due(), "one would free nothing");
}

#[test]
fn what_was_refused_for_want_of_space_makes_a_checkpoint_due_if_that_gives_enough_back() {
    // Values that take so many units.
    let value = |units: u64| put("b", &"v".repeat(units as usize * 512));
    for appended in [false, true] {
        let disk = tiny();
        let (mut e, _) = open(&disk);
        e.write(put("a", &"1".repeat(10 * 512)));
        e.write(put("a", "2"));
        let most = (1..).find(|units| !e.clone().has_room([&value(units + 1)].into_iter(), 3)).unwrap();
        assert!(e.has_room([&value(most)].into_iter(), 3) && !e.checkpoint_due());
        let mut asked = |units| match appended {
            true => e.append(value(units), b"tag").is_ok(),
            false => e.has_room([&value(units)].into_iter(), 3),
        };
        assert!(!asked(most + 12));
        assert!(!e.checkpoint_due(), "ten units wait, and more is wanted");
        let mut asked = |units| match appended {
            true => e.append(value(units), b"tag").is_ok(),
            false => e.has_room([&value(units)].into_iter(), 3),
        };
        assert!(!asked(most + 10));
        assert!(e.checkpoint_due());
        e.checkpoint_now();
        assert!(!e.checkpoint_due() && e.has_room([&value(most + 10)].into_iter(), 3));
    }
}

#[test]
fn whoever_is_told_that_there_is_room_finds_it() {
    let disk = large();
    let (mut e, _) = open(&disk);
    let mut refused = 0;
    for n in 0.. {
        let ops: Vec<Op> = (0..8).map(|k| put(&long_key(8 * n + k), "v")).collect();
        let told = e.has_room(ops.iter(), 3);
        let mut tried = e.clone();
        let found = ops.iter().all(|op| tried.append(op.clone(), b"tag").is_ok());
        assert!(found || !told, "at {:?}", e.space());
        refused += u32::from(!told);
        if e.append(put(&long_key(8 * n), "v"), b"tag").is_err() {
            break;
        }
        // Only one of the eight stays, so that the last steps are small.
        e.sync_now().unwrap();
        e.commit_all();
    }
    assert!(refused > 0, "the end was reached");
}

#[test]
fn a_device_full_of_keys_has_room_for_one_checkpoint_after_the_other() {
    let disk = large();
    let (mut e, _) = open(&disk);
    let host_state = vec![1; 60 << 10];
    let mut n = 0;
    while e.append(put(&long_key(n), &"v".repeat(2000)), b"tag").is_ok() {
        n += 1;
    }
    e.sync_now().unwrap();
    e.commit_all();
    assert!(n > 100 && !e.checkpoint_running(), "{n} keys, {:?}", e.space());
    for _ in 0..4 {
        e.checkpoint(host_state.clone()).unwrap();
        while e.append(put(&long_key(n), &"v".repeat(2000)), b"tag").is_ok() {
            n += 1;
        }
        e.sync_now().unwrap();
        e.commit_all();
    }
    let (e, report) = open(&power_cut(&disk));
    assert!(report.damage.is_none() && e.last_seq() == n, "{report:#?}");
}

#[test]
fn what_a_checkpoint_covers_is_no_longer_read_from_the_log_not_even_before_the_log_forgets_it() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.write(put("a", "1"));
    e.write(put("a", "2"));
    let (mut e, _) = open(&killed(&disk));
    e.commit_all();
    assert!(e.entry(1).unwrap().is_some() && e.entry(2).unwrap().is_some());
    e.checkpoint_begin(Vec::new());
    while e.checkpoint_seq() == 0 {
        e.checkpoint_step().unwrap();
    }
    assert!(e.checkpoint_running());
    assert_eq!((e.entry(1).unwrap(), e.entry(2).unwrap()), (None, None));
    assert_eq!(e.retained_from(), 3);
}

#[test]
fn what_is_received_is_checked_like_what_is_written() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    for (key, version, taken) in
        [(0, 1, false), (1, 0, false), (1025, 1, false), (1, 1, true), (1024, 1, true)]
    {
        e.install_begin().unwrap();
        let put = e.install_put(vec![1; key].into(), version, bytes("v"));
        assert_eq!(put.is_ok(), taken, "a key of {key} bytes, version {version}: {put:?}");
        assert!(taken || matches!(put, Err(WriteError::BadItem)));
    }
}

/// Whichever operation meets the failure, whoever listens hears of it.
#[test]
fn a_device_that_fails_is_told_of_also_while_a_state_is_received() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    assert!(
        matches!(e.notes().next(), Some((Kind::DeviceOpened { .. }, _))),
        "how it was opened, in any case"
    );
    e.install_begin().unwrap();
    e.listen(true);
    disk.fail_after(0);
    assert!(matches!(e.install_put(bytes("k"), 1, bytes("v")), Err(WriteError::Io(_))));
    let told: Vec<Kind> = e.notes().map(|(kind, _)| kind).collect();
    assert_eq!(told, [Kind::DevicePoisoned { why: "the device is gone".into() }]);
    assert!(e.notes().next().is_none(), "once");
}

#[test]
fn a_state_that_has_room_has_room_for_its_checkpoint() {
    let disk = large();
    let (mut e, _) = open(&disk);
    let value = "v".repeat(10 * 512 - 100);
    let received = |e: &mut Engine<Disk>, upto: u64| {
        e.install_begin().unwrap();
        (0..upto).find(|n| e.install_put(bytes(&long_key(*n)), 1, bytes(&value)).is_err()).unwrap_or(upto)
    };
    let most = received(&mut e, u64::MAX);
    assert!(most > 200, "{most} of 12 units each, of {}", e.space().units);
    assert_eq!(received(&mut e, most), most, "all that was received before was given up");
    e.install_finish(1, vec![0; 60 << 10], 1).unwrap();
    assert_eq!(open(&power_cut(&disk)).0.key_count(), most);
}

#[test]
fn a_chunk_is_written_when_it_is_full_and_not_after_each_step_over_the_keys() {
    let disk = large();
    let (mut e, _) = open(&disk);
    for n in 0..1500 {
        e.add(put(&n.to_string(), ""));
    }
    e.sync_now().unwrap();
    e.commit_all();
    e.checkpoint_now();
    let (_, head) = chunk(&disk, superblock(&disk).checkpoint_head());
    assert_eq!(checkpoint_chunk::decode(&head).unwrap().number, 0, "48 KB are in one");
    assert_eq!(open(&power_cut(&disk)).0.key_count(), 1500);
}

#[test]
fn a_chunk_that_is_full_to_its_last_byte_is_full() {
    let disk = large();
    let (mut e, _) = open(&disk);
    for n in 0..100 {
        e.add(put(&long_key(n), ""));
    }
    e.sync_now().unwrap();
    e.commit_all();
    // 16 bytes of a head, 464 of a host state and 63 keys of 1032: 65496, which with a header of 40 are 64 KiB.
    e.checkpoint_begin(vec![1; 464]);
    let steps = (1..20).find(|_| e.checkpoint_step().unwrap() != CheckpointProgress::Working);
    assert!(steps.is_some(), "it comes to an end");
    assert_eq!(open(&power_cut(&disk)).0.key_count(), 100);
}
