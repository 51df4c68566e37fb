//! The classic traps of a log on a disk, one story each.

mod common;

use common::*;
use engine::format::superblock::{SLOTS, Superblock, WAL_OFFSET};
use engine::{
    CheckpointProgress, Condition, Engine, FormatError, Identity, Layout, Op, OpenError, Owner, ReadError,
    Standing, WriteError, Zone,
};

use trace::{Kind, Mechanisms};

/// Values of one size, so that every record and every extent fits where another one was.
fn equal(key: &str, fill: &str) -> Op {
    put(key, &fill.repeat(100))
}

#[test]
fn what_was_acknowledged_is_there_after_a_power_cut() {
    let disk = tiny();
    let (mut e, report) = open(&disk);
    assert_eq!((report.replayed, report.discarded_bytes), (0, 0));
    e.write(put("a", "1"));
    e.write(put("b", "2"));
    e.write(delete("a"));
    e.add(put("c", "never synced"));
    let (mut e, report) = open(&power_cut(&disk));
    assert_eq!((report.replayed, report.last_seq, e.applied_seq()), (3, 3, 0));
    let log = (report.replayed, report.batches, report.replay_start.0, report.log_end.0, report.last_seq);
    assert_eq!(log, (3, 3, 0, 1536, 3), "{report:#?}");
    e.commit_all();
    assert_eq!((e.value("a"), e.value("b"), e.value("c")), (None, Some("2".into()), None));
}

#[test]
fn a_checkpoint_carries_index_and_host_state_over_a_restart() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    for n in 0..20 {
        e.write(put(&format!("key-{n:03}"), &format!("value {n}")));
    }
    e.checkpoint_now();
    e.write(put("key-007", "newer"));
    let (mut e, report) = open(&killed(&disk));
    assert_eq!((report.checkpoint_seq, report.checkpoint_keys, report.replayed), (20, 20, 1));
    assert_eq!((e.host_state(), e.value("key-007")), (&b"host"[..], Some("value 7".into())));
    e.commit_all();
    assert_eq!((e.value("key-007"), e.key_count()), (Some("newer".into()), 20));
}

/// Three appends of one size are in one unsynced batch, and only the middle one's sectors persist. Recovery discards
/// them all. One append of the same size follows, in the same place; behind it lies the middle one, whole, with a
/// position, a length and a seq that fit.
fn only_the_second_of_three_persists(after: Op) {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.write(put("base", "0"));
    // A record of exactly one sector's length each: 80 + 400 + 32 bytes.
    let key = |c: char| c.to_string().repeat(400);
    for c in ['a', 'b', 'c'] {
        let op =
            Op::Put { key: bytes(&key(c)), value: bytes(&"v".repeat(100)), condition: Condition::Always };
        e.append(op, &[c as u8; 32]).unwrap();
    }
    let batch = e.begin_sync().unwrap();
    disk.fail_after(2);
    batch.write(&disk).unwrap_err();
    // Values are written first: sectors 0 to 2 are values, 3 to 5 records. Of each, the second persists.
    assert_eq!(disk.state().cached().len(), 6);
    let disk = partial_power_cut(&disk, |n| if n == 1 || n == 4 { SECTOR } else { 0 });

    let (mut e, report) = open(&disk);
    assert_eq!((e.last_seq(), report.damage.is_none()), (1, true), "{report:#?}");
    assert_eq!(e.append(after, &[b'a'; 32]).unwrap(), 2);
    e.sync_now().unwrap();
    for _ in 0..2 {
        let (e, report) = open(&power_cut(&disk));
        assert_eq!(
            (e.last_seq(), report.damage.is_none()),
            (2, true),
            "E6: the discarded append is back\n{report:#?}"
        );
    }
}

#[test]
fn only_the_second_of_three_appends_persists_and_other_bytes_follow() {
    only_the_second_of_three_persists(put(&"x".repeat(400), &"y".repeat(100)));
}

#[test]
fn only_the_second_of_three_appends_persists_and_the_same_bytes_follow() {
    only_the_second_of_three_persists(put(&"a".repeat(400), &"v".repeat(100)));
}

#[test]
fn a_failed_sync_refuses_everything_until_reopened() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.write(put("a", "1"));
    e.add(put("a", "2"));
    disk.fail_sync(Unwritten::Clean);
    assert!(matches!(e.sync_now(), Err(WriteError::Io(_))));
    assert!(e.is_poisoned());
    assert!(matches!(e.append(put("b", "3"), b""), Err(WriteError::Poisoned)));
    assert!(matches!(e.sync_now(), Err(WriteError::Poisoned)));
    assert!(matches!(e.apply(false), Err(WriteError::Poisoned)));
    assert!(matches!(e.promise(9), Err(WriteError::Poisoned)));
    assert!(matches!(e.get(b"a"), Err(ReadError::Poisoned)));
    assert!(matches!(e.entry(1), Err(ReadError::Poisoned)));
    assert!(e.begin_sync().is_none());
    let (mut e, _) = open(&power_cut(&disk));
    e.commit_all();
    assert_eq!(e.value("a").as_deref(), Some("1"));
}

#[test]
fn a_failed_write_of_a_promise_or_a_checkpoint_also_stops_the_engine() {
    for what in 0..3 {
        let disk = tiny();
        let (mut e, _) = open(&disk);
        e.write(put("a", "1"));
        disk.fail_after(0);
        let result = match what {
            0 => e.promise(1),
            1 => e.checkpoint(Vec::new()),
            _ => e.install_begin().and_then(|()| e.install_put(bytes("k"), 1, bytes("v"))),
        };
        assert!(matches!(result, Err(WriteError::Io(_))));
        assert!(e.is_poisoned());
    }
}

#[test]
fn a_batch_read_from_the_page_cache_after_kill_is_durable_before_anything_rests_on_it() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.write(put("a", "1"));
    e.add(put("a", "2"));
    let batch = e.begin_sync().unwrap();
    disk.fail_after(2);
    batch.write(&disk).unwrap_err();
    let disk = killed(&disk);
    assert!(disk.has_unsynced(), "it sits in the page cache only");
    let (mut e, report) = open(&disk);
    assert_eq!(report.last_seq, 2);
    e.promise(7).unwrap();
    let (mut e, _) = open(&power_cut(&disk));
    assert_eq!((e.last_seq(), e.promised()), (2, 7));
    e.commit_all();
    assert_eq!(e.value("a").as_deref(), Some("2"));
}

/// The kernel takes pages whose writing failed for clean: readers still see them, and no later sync writes them.
#[test]
fn a_batch_whose_sync_failed_and_that_is_read_after_reopening_is_written_again() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.write(put("a", "1"));
    e.add(put("a", "2"));
    disk.fail_sync(Unwritten::Clean);
    assert!(e.sync_now().is_err());
    let disk = killed(&disk);
    assert_eq!(open(&disk).0.last_seq(), 2, "the page cache has it");
    let (mut e, report) = open(&power_cut(&disk));
    assert!(report.damage.is_none(), "{report:#?}");
    e.commit_all();
    assert_eq!(e.value("a").as_deref(), Some("2"), "whoever relied on it was right to");
}

#[test]
fn an_overwrite_is_undone_and_the_old_value_is_still_there() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.write(equal("a", "1"));
    e.add(equal("a", "2"));
    e.sync_now().unwrap();
    e.undo(2);
    // Everything that could be reused is: the extents of the old and of the undone value must not be among it.
    for n in 0..10 {
        e.add(equal(&format!("b{n}"), "3"));
    }
    assert_eq!(e.value("a"), Some("1".repeat(100)));
    let (mut lost, _) = open(&power_cut(&disk));
    lost.commit_all();
    assert_eq!(lost.value("a"), Some("2".repeat(100)), "the truncation was never synced");
    e.sync_now().unwrap();
    let (mut e, _) = open(&power_cut(&disk));
    assert_eq!(e.last_seq(), 11);
    e.commit_all();
    assert_eq!(e.value("a"), Some("1".repeat(100)));
}

#[test]
fn a_superblock_update_torn_anywhere_leaves_the_old_or_the_new_promise() {
    for torn_write in 0..2 {
        for kept in 0..=SECTOR {
            let disk = tiny();
            let (mut e, _) = open(&disk);
            e.promise(5).unwrap();
            e.write(put("a", "1"));
            // Each slot is one write and one sync.
            disk.fail_after(2 * torn_write + 1);
            assert!(e.promise(6).is_err());
            let (mut e, report) = open(&partial_power_cut(&disk, |_| kept));
            assert!(report.damage.is_none());
            let expected = if torn_write == 1 || kept > 144 { 6..=6 } else { 5..=6 };
            assert!(
                expected.contains(&e.promised()),
                "E5: write {torn_write}, {kept} bytes: {}",
                e.promised()
            );
            e.commit_all();
            assert_eq!(e.value("a").as_deref(), Some("1"));
            assert!(e.promise(e.promised()).is_err(), "an epoch is promised once");
        }
    }
}

#[test]
fn one_damaged_superblock_is_survived_two_are_reported_and_neither_is_formatted_over() {
    for slot in SLOTS {
        let disk = tiny();
        let (mut e, _) = open(&disk);
        e.write(put("a", "1"));
        e.promise(4).unwrap();
        disk.turn_bit(slot + 80);
        let (e, report) = open(&disk);
        assert_eq!((e.promised(), e.last_seq()), (4, 1), "{report:#?}");
        assert!(report.superblocks.iter().any(Result::is_err));
    }
    let disk = tiny();
    disk.turn_bit(SLOTS[0] + 80);
    disk.turn_bit(SLOTS[1] + 80);
    let before = disk.image();
    let opened = Engine::open(disk.share(), &ME, Mechanisms::all());
    assert!(matches!(opened, Err(OpenError::Corrupt(d)) if d.zone == Zone::Superblock));
    for too_short in [0, SECTOR as u64] {
        let opened = Engine::open(Disk::new(too_short), &ME, Mechanisms::all());
        assert!(matches!(opened, Err(OpenError::NotFormatted)), "{too_short} bytes");
    }
    let never = Disk::new(TINY_BYTES);
    assert!(matches!(Engine::open(never, &ME, Mechanisms::all()), Err(OpenError::NotFormatted)));
    assert_eq!(disk.image(), before);
}

#[test]
fn a_bit_flip_in_the_middle_of_the_log_is_damage_and_the_engine_only_reads() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.promise(3).unwrap();
    e.write(put("a", "1"));
    e.checkpoint_now();
    for n in 2..6 {
        e.write(put("a", &n.to_string()));
    }
    let third = WAL_OFFSET + 2 * SECTOR as u64;
    disk.turn_bit(third + 50);
    let before = disk.image();
    let (mut e, report) = open(&disk);
    let damage = report.damage.expect("reported");
    assert_eq!((damage.zone, damage.offset), (Zone::Wal, third), "{damage}");
    assert!(damage.to_string().starts_with(&format!("Wal damaged at byte {third}: expected ")), "{damage}");
    assert_eq!(disk.image(), before, "the evidence is left as it is");
    assert_eq!((e.value("a").as_deref(), e.last_seq()), (Some("1"), 2));
    assert!(matches!(e.append(put("b", "2"), b""), Err(WriteError::Damaged)));
    assert_eq!(e.transfer_read(None, 0, 100).unwrap().items.len(), 1);
    assert!(!e.checkpoint_due());
    // It can promise, and knows what it had.
    e.promise(4).unwrap();
    assert_eq!(e.had().map(|(seq, _)| seq), Some(5));

    // The way on: what is before the damage, without having forgotten what there was.
    e.give_up_damaged((3, 5)).unwrap();
    let disk = power_cut(&disk);
    let (mut e, report) = open(&disk);
    assert!(report.damage.is_none(), "{report:#?}");
    assert_eq!((e.value("a").as_deref(), e.last_seq(), e.owed(), e.promised()), (Some("1"), 2, (3, 5), 4));
    assert_eq!(e.write(put("a", "3 again")), 3);
    let disk = power_cut(&disk);
    let (mut e, report) = open(&disk);
    assert_eq!(
        (report.damage.is_none(), e.last_seq()),
        (true, 3),
        "E6: what is behind the damage is back\n{report:#?}"
    );

    // Or nothing at all, to be filled anew.
    e.set_standing(Standing::Joining).unwrap();
    e.give_up_all((3, 5)).unwrap();
    let disk = power_cut(&disk);
    let (mut e, report) = open(&disk);
    assert!(report.damage.is_none(), "{report:#?}");
    assert_eq!((e.standing(), e.promised(), e.last_seq(), e.owed()), (Standing::Joining, 4, 0, (3, 5)));
    e.install_begin().unwrap();
    e.install_put(bytes("a"), 5, bytes("5")).unwrap();
    e.install_finish(5, b"theirs".to_vec(), 2).unwrap();
    let (mut e, _) = open(&power_cut(&disk));
    assert_eq!((e.standing(), e.promised(), e.applied_seq()), (Standing::Member, 4, 5));
    assert_eq!((e.value("a").as_deref(), e.host_state()), (Some("5"), &b"theirs"[..]));
    assert_eq!(e.write(put("a", "6")), 6);
}

#[test]
fn a_received_state_of_which_an_item_was_refused_is_never_made_the_devices_own() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.write(put("a", "1"));
    let too_large = e.space().free * 512;
    for (key, value) in [("b", "x".repeat(too_large as usize)), ("a", "out of order".into())] {
        let before = e.space().free;
        e.install_begin().unwrap();
        e.install_put(bytes("a"), 4, bytes("4")).unwrap();
        assert!(e.install_put(bytes(key), 5, bytes(&value)).is_err());
        // The owner had both steps in one message, and carries out the second as well.
        let finished = e.install_finish(5, b"theirs".to_vec(), 2);
        assert!(matches!(finished, Err(WriteError::NotInstalling)), "{finished:?}");
        assert_eq!(e.space().free, before, "what was received is given back");
    }
    let (mut e, _) = open(&power_cut(&disk));
    e.commit_all();
    assert_eq!((e.last_seq(), e.value("a").as_deref()), (1, Some("1")));
}

#[test]
fn a_bit_flip_in_what_an_earlier_recovery_has_read_is_damage_even_at_the_end_of_the_log() {
    let disk = tiny();
    open(&disk).0.write(put("a", "1"));
    drop(open(&disk));
    disk.turn_bit(WAL_OFFSET + 50);
    assert!(open(&disk).1.damage.is_some());
}

#[test]
fn a_bit_flip_in_a_long_batch_is_damage_if_a_later_one_is_there_of_this_life_or_an_earlier_one() {
    for earlier in [false, true] {
        let disk = tiny();
        let (mut e, _) = open(&disk);
        e.write(put("base", "0"));
        // A batch of four sectors, and another one behind it.
        for c in ['a', 'b', 'c', 'd'] {
            e.add(delete(&c.to_string().repeat(437)));
        }
        e.sync_now().unwrap();
        e.write(put("later", "1"));
        if earlier {
            let (mut e, _) = open(&killed(&disk));
            e.write(put("latest", "2"));
        }
        let second = WAL_OFFSET + SECTOR as u64;
        let disk = killed(&disk);
        disk.turn_bit(second + 50);
        let (e, report) = open(&disk);
        let damage = report.damage.expect("reported");
        assert_eq!((damage.zone, damage.offset, e.last_seq()), (Zone::Wal, second, 1), "{damage}");
    }
}

#[test]
fn a_length_field_of_four_gigabytes_is_refused_and_allocates_nothing() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.write(put("a", "1"));
    damage(&disk, WAL_OFFSET + 8, |bytes| bytes[..4].copy_from_slice(&u32::MAX.to_le_bytes()));
    let (e, report) = open(&disk);
    assert_eq!(e.last_seq(), 0);
    assert!(report.stop.to_string().contains("length"), "{report:#?}");
}

#[test]
fn a_rotten_value_is_an_error_and_never_served() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.write(put("a", "value of a"));
    e.write(put("b", "value of b"));
    let image = disk.image();
    let at = image.windows(10).position(|w| w == b"value of a").unwrap();
    disk.turn_bit(at as u64);
    assert!(matches!(e.get(b"a"), Err(ReadError::Corrupt(d)) if d.zone == Zone::Data));
    assert_eq!(e.value("b").as_deref(), Some("value of b"));
}

#[test]
fn a_full_device_refuses_puts_changes_nothing_and_still_deletes() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    let value = "v".repeat(2000);
    let mut n = 0;
    loop {
        let op = put(&format!("{n:03}"), &value);
        if !e.has_room(std::iter::once(&op), 3) {
            if e.checkpoint_due() {
                e.checkpoint_now();
                continue;
            }
            break;
        }
        e.write(op);
        n += 1;
    }
    let (last, lsn, space) = (e.last_seq(), e.appended_lsn(), e.space());
    let refused = e.append(put("one more", &value), b"tag");
    assert!(matches!(refused, Err(WriteError::NoSpace { .. })), "{refused:?}");
    assert_eq!((e.last_seq(), e.appended_lsn(), e.space()), (last, lsn, space), "nothing has changed");
    // Deletes go on, through as many checkpoints as the small log needs.
    for k in 0..n {
        if e.checkpoint_due() {
            e.checkpoint_now();
        }
        e.write(delete(&format!("{k:03}")));
    }
    e.checkpoint_now();
    assert_eq!((e.key_count(), e.space().quarantined), (0, 0));
    assert!(e.space().live < 8, "{:?}", e.space());
    let (mut e, _) = open(&power_cut(&disk));
    e.write(put("fits", &value));
}

#[test]
fn a_log_full_of_tentative_entries_can_still_be_truncated() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    let refused = loop {
        match e.append(put("k", "v"), b"") {
            Ok(_) => e.sync_now().unwrap(),
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, WriteError::WalFull { .. }), "{refused}");
    assert!(!e.checkpoint_due(), "nothing is applied: a checkpoint would free nothing");
    e.undo(e.last_seq());
    e.sync_now().unwrap();
    e.undo(1);
    e.sync_now().unwrap();
    assert!(e.checkpoint_due());
    e.checkpoint_now();
    assert_eq!(e.write(put("k", "goes on")), 1);
    let (mut e, report) = open(&power_cut(&disk));
    assert_eq!(report.replayed, 1, "{report:#?}");
    e.commit_all();
    assert_eq!(e.value("k").as_deref(), Some("goes on"));
}

#[test]
fn the_ring_wraps_many_times_and_no_earlier_lap_is_replayed() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    for n in 0..400 {
        if e.checkpoint_due() {
            e.checkpoint_now();
        }
        e.write(equal("k", &(n % 10).to_string()));
        if n % 7 == 0 {
            let (again, report) = open(&power_cut(&disk));
            assert_eq!((again.last_seq(), report.damage.is_none()), (n + 1, true), "{report:#?}");
        }
    }
    assert!(e.appended_lsn().0 > 10 * TINY.wal_bytes);
}

#[test]
fn a_checkpoint_runs_beside_traffic_and_holds_the_state_of_one_entry() {
    let disk = formatted(4 << 20, engine::Layout { wal_bytes: 256 << 10 });
    let (mut e, _) = open(&disk);
    for n in 0..2000 {
        e.add(put(&format!("{n:04}"), "before"));
    }
    e.sync_now().unwrap();
    e.commit_all();
    e.checkpoint_begin(b"as of 2000".to_vec());
    // Between the steps, keys behind and before the writer change, appear and go.
    let mut round = 0;
    while e.checkpoint_step().unwrap() == CheckpointProgress::Working {
        round += 1;
        e.add(put("0001", "after"));
        e.add(put("1999", "after"));
        e.add(delete(&format!("{:04}", 1000 + round)));
        e.add(put(&format!("1500-{round}"), "new"));
        e.sync_now().unwrap();
        e.commit_all();
    }
    assert!(round > 3, "it took {round} steps");
    let (mut e, report) = open(&power_cut(&disk));
    assert_eq!((report.checkpoint_seq, e.key_count(), e.host_state()), (2000, 2000, &b"as of 2000"[..]));
    assert!(e.scan(b"", None, 3000).iter().all(|(_, version, bytes)| *version <= 2000 && *bytes == 6));
    e.commit_all();
    assert_eq!((e.value("1999").as_deref(), e.value("1001")), (Some("after"), None));
}

#[test]
fn entries_are_read_back_whether_buffered_durable_applied_or_recovered() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    let conditional = Op::Put { key: bytes("k"), value: bytes("v"), condition: Condition::Version(9) };
    for op in [put("a", "1"), delete("a"), Op::Nop, conditional] {
        let seq = e.append(op.clone(), b"tag").unwrap();
        assert_eq!(e.entry(seq).unwrap().unwrap().op, op);
    }
    e.sync_now().unwrap();
    let all: Vec<_> = (1..=4).map(|seq| e.entry(seq).unwrap().unwrap()).collect();
    let (mut e, _) = open(&disk);
    for (seq, entry) in (1..).zip(&all) {
        assert_eq!((e.entry(seq).unwrap().as_ref(), e.tag(seq)), (Some(entry), Some(&b"tag"[..])));
    }
    e.commit_all();
    assert_eq!(e.entry(4).unwrap().as_ref(), Some(&all[3]));
    assert_eq!((e.entry(0).unwrap(), e.entry(5).unwrap(), e.retained_from()), (None, None, 1));
    e.checkpoint_now();
    assert_eq!((e.entry(4).unwrap(), e.retained_from()), (None, 5));
}

#[test]
fn a_backup_that_lags_a_little_is_served_from_memory_after_a_checkpoint() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    for _ in 0..5 {
        e.write(put("k", "v"));
    }
    e.checkpoint_now();
    assert_eq!(e.retained_from(), 1);
    assert_eq!(e.entry(2).unwrap().unwrap().op, put("k", "v"));
}

#[test]
fn a_transfer_starts_again_when_a_newer_checkpoint_has_replaced_its_own() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    for n in 0..10 {
        e.write(put(&n.to_string(), &"v".repeat(300)));
    }
    e.checkpoint_now();
    let first = e.transfer_read(None, 0, 1).unwrap();
    assert_eq!((first.items.len(), first.seq, first.host_state.is_some()), (1, 10, true));
    // What the checkpoint holds is sent as of the checkpoint, whatever happened since.
    e.write(put("1", "newer"));
    let second = e.transfer_read(first.next, 0, 1).unwrap();
    assert_eq!(second.items[0], (bytes("1"), 2, bytes(&"v".repeat(300))));
    assert_eq!(second.host_state, None, "the owner's state came with the first piece");
    e.checkpoint_now();
    assert!(matches!(
        e.transfer_read(second.next, 0, 1),
        Err(ReadError::CheckpointGone { asked: 10, current: 11 })
    ));
}

#[test]
fn who_has_a_state_gets_every_key_and_the_values_that_are_newer() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    for n in 0..6 {
        e.write(put(&n.to_string(), &"v".repeat(300)));
    }
    e.write(put("2", "newer"));
    e.checkpoint_now();
    let piece = e.transfer_read(None, 4, 2_000).unwrap();
    let told: Vec<(u64, usize)> =
        piece.items.iter().map(|(_, version, value)| (*version, value.len())).collect();
    // What is left out takes no room, and is not even read.
    assert_eq!(told, [(1, 0), (2, 0), (7, 5), (4, 0), (5, 300), (6, 300)]);
    assert_eq!(piece.next, None);
}

#[test]
fn the_wrong_device_is_refused_and_nothing_formats_over_a_good_one() {
    let disk = tiny();
    let other = Identity { node: 2, ..ME };
    for other in
        [other, Identity { shard: 1, ..ME }, Identity { shards: 1, ..ME }, Identity { members: 1, ..ME }]
    {
        let opened = Engine::open(disk.share(), &other, Mechanisms::all());
        assert!(
            matches!(opened, Err(OpenError::WrongIdentity { expected, found }) if expected == other && found == ME)
        );
    }
    let formatted = engine::format(&disk, &other, Standing::Joining, TINY);
    assert!(matches!(formatted, Err(FormatError::AlreadyFormatted(owner)) if owner == ME));
    let short = Disk::of(&disk.image()[..100 << 10]);
    let opened = Engine::open(short, &ME, Mechanisms::all());
    assert!(matches!(opened, Err(OpenError::Truncated { .. })));
    let formatted = engine::format(&Disk::new(8 << 10), &ME, Standing::Member, TINY);
    assert!(matches!(formatted, Err(FormatError::TooSmall { .. })));
}

#[test]
fn a_device_of_another_version_is_named_and_left_alone() {
    let mut image = tiny().image();
    for slot in [0, 4096] {
        image[slot + 8] += 1;
        let crc = crc32c::crc32c(&image[slot + 8..slot + 512]).to_le_bytes();
        image[slot + 4..slot + 8].copy_from_slice(&crc);
    }
    let disk = Disk::of(&image);
    let opened = Engine::open(disk.share(), &ME, Mechanisms::all());
    assert!(matches!(opened, Err(OpenError::OtherVersion { found: 5 })), "and not damage");
    let formatted = engine::format(&disk, &ME, Standing::Joining, TINY);
    assert!(matches!(formatted, Err(FormatError::OtherVersion { found: 5 })));
    assert_eq!(disk.image(), image);
}

#[test]
fn a_device_formatted_again_replays_nothing_of_what_it_held() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.write(put("a", "1"));
    e.promise(8).unwrap();
    engine::reformat(&disk, &ME, Standing::Joining, TINY, Mechanisms::all()).unwrap();
    let (e, report) = open(&power_cut(&disk));
    assert_eq!((e.last_seq(), e.promised(), e.standing(), report.replayed), (0, 0, Standing::Joining, 0));
}

#[test]
fn sizes_out_of_bounds_are_refused_and_the_bounds_themselves_are_not() {
    let disk = formatted(80 << 20, engine::Layout::default());
    let (mut e, _) = open(&disk);
    let long = vec![1; 1025];
    let refuse = |e: &mut Engine<Disk>, key: &[u8], value: usize, tag: usize| {
        let op = Op::Put { key: key.into(), value: vec![0; value].into(), condition: Condition::Always };
        e.append(op, &vec![0; tag]).unwrap_err()
    };
    assert!(matches!(refuse(&mut e, b"", 1, 1), WriteError::KeyEmpty));
    assert!(matches!(refuse(&mut e, &long, 1, 1), WriteError::KeyTooLong { bytes: 1025 }));
    assert!(matches!(refuse(&mut e, b"k", engine::VALUE_BYTES_MAX + 1, 1), WriteError::ValueTooLong { .. }));
    assert!(matches!(refuse(&mut e, b"k", 1, 65), WriteError::TagTooLong { bytes: 65 }));
    assert_eq!(e.last_seq(), 0);
    let big: std::sync::Arc<[u8]> =
        (0..engine::VALUE_BYTES_MAX).map(|n| (n / 7) as u8).collect::<Vec<u8>>().into();
    let key: std::sync::Arc<[u8]> = long[..1024].into();
    e.append(Op::Put { key: key.clone(), value: big.clone(), condition: Condition::Always }, &[9; 64])
        .unwrap();
    e.write(put("empty", ""));
    let (mut e, _) = open(&power_cut(&disk));
    e.commit_all();
    assert!(e.get(&key).unwrap().unwrap().value == big);
    assert_eq!(e.value("empty").as_deref(), Some(""));
}

#[test]
fn an_entry_becomes_visible_only_when_durable_and_applied() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.add(put("a", "1"));
    assert!(matches!(e.apply(false), Err(WriteError::NotDurable { seq: 1, durable: 0 })));
    e.sync_now().unwrap();
    assert_eq!(e.value("a"), None);
    e.commit_all();
    assert_eq!(e.value("a").as_deref(), Some("1"));
    assert!(matches!(e.apply(false), Err(WriteError::Missing { seq: 2, last: 1 })));
}

#[test]
fn a_batch_costs_one_sync_and_few_writes_and_the_next_fills_meanwhile() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    for n in 0..20 {
        e.add(put(&n.to_string(), &"v".repeat(600)));
    }
    let before = disk.work();
    let batch = e.begin_sync().unwrap();
    e.add(put("next", "batch"));
    assert!(e.begin_sync().is_none(), "one batch at a time");
    assert!(matches!(e.sync_now(), Err(WriteError::BatchOut)));
    let result = batch.write(&disk);
    let synced = e.end_sync(batch, result).unwrap();
    assert_eq!((synced.durable_seq(), e.durable_seq(), e.last_seq()), (20, 20, 21));
    let after = disk.work();
    assert_eq!((after.syncs - before.syncs, after.writes - before.writes), (1, 2), "values, records, sync");
}

#[test]
fn both_superblocks_say_the_same_when_nothing_is_under_way() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.promise(2).unwrap();
    e.write(put("a", "1"));
    e.checkpoint_now();
    let slots = SLOTS.map(|at| Superblock::decode(&disk.image()[at as usize..]).unwrap());
    let generation = slots[0].generation.max(slots[1].generation);
    let same = slots.map(|s| Superblock { generation, crc: 0, ..s });
    assert_eq!(same[0], same[1]);
}

#[test]
fn a_checkpoint_is_due_when_the_log_is_half_full_and_not_before() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    let half = e.space().wal_bytes / 2;
    let mut n = 0;
    // Other keys each time: nothing is replaced, and only the log fills.
    while e.space().wal_used <= half {
        assert!(!e.checkpoint_due(), "with {} of {} bytes used", e.space().wal_used, 2 * half);
        n += 1;
        e.write(delete(&format!("k{n}")));
    }
    assert!(e.checkpoint_due(), "with {} of {} bytes used", e.space().wal_used, 2 * half);
    e.checkpoint(Vec::new()).unwrap();
    assert!(!e.checkpoint_due(), "one would free nothing now");
}

#[test]
fn a_checkpoint_is_due_when_replaced_values_hold_half_of_what_the_live_ones_and_half_of_what_the_log_does() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    let value = "v".repeat(3 * 512);
    for key in ["a", "b", "c"] {
        e.write(put(key, &value));
    }
    let (live, log) = (e.space().live, e.space().wal_bytes / 512);
    let much = (live / 2).max(log / 2);
    while e.space().quarantined <= much {
        assert!(!e.checkpoint_due(), "{} of {much} units are replaced", e.space().quarantined);
        assert!(2 * e.space().wal_used <= e.space().wal_bytes, "the log is not what makes it due");
        e.write(put("a", &value));
    }
    assert!(e.checkpoint_due(), "{} of {much} units are replaced", e.space().quarantined);
}

#[test]
fn what_is_truncated_no_longer_counts_for_the_next_checkpoint() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.checkpoint(Vec::new()).unwrap();
    let reserve = e.space().reserve;
    for _ in 0..200 {
        for n in 0..10 {
            e.add(put(&format!("{n}{}", "k".repeat(200)), ""));
        }
        e.truncate(1).unwrap();
        e.sync().unwrap();
        e.checkpoint(Vec::new()).unwrap();
        assert_eq!(e.space().reserve, reserve);
    }
}

#[test]
fn what_a_sync_says_of_itself_is_what_the_device_saw() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.listen(true);
    let before = disk.work();
    for (key, length) in [("a", 0), ("b", 700), ("c", 512)] {
        e.append(put(key, &"v".repeat(length)), b"").unwrap();
    }
    e.sync().unwrap();
    let now = disk.work();
    let told = e.notes().find_map(|(kind, _)| match kind {
        Kind::DeviceSynced { writes, bytes, .. } => Some((writes, bytes)),
        _ => None,
    });
    let bytes = now.written_bytes - before.written_bytes;
    assert_eq!(told, Some((now.writes - before.writes, bytes)));
    assert!(bytes > 700 + 512);
}

#[test]
fn a_key_takes_its_length_a_header_and_an_extent_of_a_checkpoint() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.write(put("a", "1"));
    e.write(put("a longer key", "2"));
    use engine::format::{checkpoint_chunk::ItemHeader, value_ref::PackedExtent};
    let headers = 2 * (ItemHeader::BYTES + PackedExtent::BYTES) as u64;
    assert_eq!(e.space().index_bytes, headers + 1 + 12);
    e.write(delete("a"));
    assert_eq!(e.space().index_bytes, headers / 2 + 12);
}

#[test]
fn every_unit_of_the_data_region_can_hold_a_value_or_a_checkpoint_up_to_the_last() {
    for (first, then_a_value) in [(false, false), (false, true), (true, true)] {
        let disk = tiny();
        let (mut e, _) = open(&disk);
        let units = e.space().units;
        if first {
            e.checkpoint_now();
        }
        // Allocations go on behind the last one, up to the end of the region and around it.
        for n in 0..units + 2 {
            if then_a_value {
                e.write(put("k", &n.to_string()));
                let (_, report) = open(&killed(&disk));
                assert!(report.damage.is_none() && report.replayed == 1, "{report:#?}");
            }
            e.checkpoint_now();
            let (e, report) = open(&killed(&disk));
            assert!(report.damage.is_none(), "{report:#?}");
            assert_eq!(e.value("k"), then_a_value.then(|| n.to_string()));
        }
    }
}

#[test]
fn the_reserve_is_room_for_two_checkpoints_with_more_of_a_host_state_than_there_was() {
    // Empty, 464 units: a head of 16 bytes and a sixteenth of the region for the host state, at 472 bytes a unit: 32
    // units for each of two.
    let disk = tiny();
    let (mut e, _) = open(&disk);
    assert_eq!((e.space().units, e.space().reserve), (464, 64));
    // Three keys add 128 bytes each, and with them a unit; also while they may still be undone.
    let three_keys = |e: &mut Engine<Disk>| {
        for n in 0..3 {
            e.add(put(&format!("{n}{}", "k".repeat(99)), ""));
            e.add(delete(&"d".repeat(500)));
        }
    };
    three_keys(&mut e);
    assert_eq!(e.space().reserve, 66);
    e.undo(1);
    e.sync_now().unwrap();
    assert_eq!(e.space().reserve, 64);
    three_keys(&mut e);
    e.sync_now().unwrap();
    assert_eq!(open(&killed(&disk)).0.space().reserve, 66, "recovered, and not applied");
    e.commit_all();
    assert_eq!(e.space().reserve, 66);
    // A checkpoint of 21 units is one of the two already; the next may have twice its host state: 44 units.
    e.checkpoint(vec![0; 10_000]).unwrap();
    assert_eq!(e.space().reserve, 2 * 44 - 21);
    // While one is written, what is written needs no reserve.
    e.checkpoint_begin(Vec::new());
    e.checkpoint_step().unwrap();
    assert_eq!(e.space().reserve, 2 * 44 - 21 - 1);
    // On a large device, 2 MiB are enough for the first host state: 4444 units.
    let disk = formatted(40 << 20, Layout { wal_bytes: 512 << 10 });
    assert_eq!(open(&disk).0.space().reserve, 2 * 4444);
}

#[test]
fn a_standing_is_there_after_a_power_cut() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    for standing in [Standing::Joining, Standing::Founding, Standing::Member] {
        e.set_standing(standing).unwrap();
        assert_eq!(e.standing(), standing);
        assert_eq!(open(&power_cut(&disk)).0.standing(), standing);
    }
}

#[test]
fn a_scan_gives_the_keys_of_a_prefix_in_order_from_behind_a_key_on_and_no_more_than_asked_for() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    for (key, value) in [("b2", "two"), ("a", ""), ("b", "one"), ("c", ""), ("b3", "three")] {
        e.write(put(key, value));
    }
    let scan = |prefix: &str, after: Option<&str>, limit| -> Vec<(String, u64, u32)> {
        let found = e.scan(prefix.as_bytes(), after.map(str::as_bytes), limit);
        found.into_iter().map(|(key, seq, n)| (String::from_utf8(key.to_vec()).unwrap(), seq, n)).collect()
    };
    let keys = |found: Vec<(String, u64, u32)>| found.into_iter().map(|(key, ..)| key).collect::<Vec<_>>();
    assert_eq!(scan("b", None, 9), [("b".into(), 3, 3), ("b2".into(), 1, 3), ("b3".into(), 5, 5)]);
    assert_eq!(keys(scan("b", None, 2)), ["b", "b2"]);
    assert_eq!(keys(scan("b", Some("b"), 9)), ["b2", "b3"], "behind the key, which is the prefix itself");
    assert_eq!(keys(scan("b", Some("b2"), 9)), ["b3"]);
    for before in ["0", "a"] {
        assert_eq!(keys(scan("b", Some(before), 9)), ["b", "b2", "b3"], "nothing before the prefix is of it");
    }
    assert_eq!(keys(scan("", None, 9)), ["a", "b", "b2", "b3", "c"]);
}

#[test]
fn an_eighth_of_a_small_log_and_four_kib_of_a_larger_one_are_kept_for_truncations() {
    for (wal_bytes, kept) in [(16 << 10, 2 << 10), (64 << 10, 4 << 10)] {
        let disk = formatted(256 << 10, Layout { wal_bytes });
        let (mut e, _) = open(&disk);
        let refused = loop {
            match e.append(Op::Nop, b"") {
                // Each in a batch, and so in a sector, of its own.
                Ok(_) => e.sync_now().unwrap(),
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, WriteError::WalFull { needed: 512, free: 0 }), "{refused}");
        assert_eq!((e.space().wal_used, e.space().wal_bytes), (wal_bytes - kept, wal_bytes));
    }
}

#[test]
fn the_smallest_device_has_48_kib_and_a_sector_less_is_refused() {
    let (smallest, less) = (48 << 10, (48 << 10) - SECTOR as u64);
    let format = |bytes| engine::format(&Disk::new(bytes), &ME, Standing::Member, TINY);
    let refused = format(less).unwrap_err();
    assert!(
        matches!(refused, FormatError::TooSmall { bytes, needed } if (bytes, needed) == (less, smallest))
    );
    let disk = formatted(smallest, TINY);
    let (mut e, _) = open(&disk);
    assert_eq!((e.space().wal_bytes, e.space().units), (12 << 10, 56));
    e.write(put("a", "1"));
    e.checkpoint_now();
    assert_eq!(open(&power_cut(&disk)).0.value("a").as_deref(), Some("1"));
}

#[test]
fn every_extent_in_use_has_an_owner_a_key_an_entry_or_the_checkpoint() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    assert!(e.owners().is_empty());
    e.write(put("a", "1"));
    e.checkpoint_now();
    e.add(put("b", &"2".repeat(1000)));
    let owners = e.owners();
    assert!(
        matches!(&owners[..], [(_, Owner::Key(key, _)), (_, Owner::Chunk(_)), (_, Owner::Entry(2, _))] if key[..] == *b"a"),
        "{owners:?}"
    );
    let units: Vec<(u64, u64)> = owners.iter().map(|(extent, _)| (extent.unit, extent.units)).collect();
    assert_eq!(units, [(0, 1), (1, 1), (2, 2)]);
    assert_eq!(owners.iter().map(|(_, owner)| owner.first_unit()).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn formatting_leaves_nothing_in_the_ring_and_everything_behind_it() {
    // Longer than what is written at a time, and no multiple of it.
    let (bytes, wal_bytes) = (8 << 20, 3 << 19);
    let disk = Disk::of(&vec![0xff; bytes]);
    engine::format(&disk, &ME, Standing::Member, Layout { wal_bytes }).unwrap();
    let image = disk.image();
    let (ring, behind) = image[WAL_OFFSET as usize..].split_at(wal_bytes as usize);
    assert!(ring.iter().all(|byte| *byte == 0));
    assert!(behind.iter().all(|byte| *byte == 0xff));
}

#[test]
fn the_last_entries_are_kept_in_memory_up_to_half_a_mib() {
    let disk = formatted(4 << 20, Layout { wal_bytes: 64 << 10 });
    let (mut e, _) = open(&disk);
    for n in 0..10 {
        e.write(put(&n.to_string(), &"v".repeat(64 << 10)));
    }
    e.checkpoint_now();
    // With a little beside each value, seven fit.
    assert_eq!(e.retained_from(), 4);
    assert!(e.entry(3).unwrap().is_none() && e.entry(4).unwrap().is_some());
}

#[test]
fn a_batch_of_which_the_end_is_missing_is_discarded_and_counted() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.write(put("base", "0"));
    let cut_off = |records: usize| {
        let disk = disk.clone();
        let (mut e, _) = open(&disk);
        // Records of one sector each: 72 + 437 + 3 bytes.
        for c in ['a', 'b', 'c'] {
            e.add(delete(&c.to_string().repeat(437)));
        }
        let batch = e.begin_sync().unwrap();
        disk.fail_after(1);
        batch.write(&disk).unwrap_err();
        let (_, report) = open(&partial_power_cut(&disk, |n| if n < records { SECTOR } else { 0 }));
        assert!(report.damage.is_none() && report.last_seq == 1, "{report:#?}");
        (report.discarded_records, report.discarded_bytes)
    };
    assert_eq!((cut_off(0), cut_off(1), cut_off(2)), ((0, 0), (1, 512), (2, 1024)));
}

#[test]
fn recovery_says_where_the_value_should_be_for_which_a_batch_is_discarded() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    for n in 0..3 {
        e.write(put("a", &n.to_string()));
    }
    e.add(put("b", "lost"));
    let batch = e.begin_sync().unwrap();
    disk.fail_after(2);
    batch.write(&disk).unwrap_err();
    // The value is written first: it is lost, and its record is there.
    assert_eq!(disk.state().cached().len(), 2);
    let (e, report) = open(&partial_power_cut(&disk, |n| if n == 1 { SECTOR } else { 0 }));
    assert_eq!(
        (e.last_seq(), report.discarded_records, report.damage.is_none()),
        (3, 1, true),
        "{report:#?}"
    );
    assert_eq!(report.discarded_bytes, 512, "{report:#?}");
    let data = WAL_OFFSET + e.space().wal_bytes;
    assert_eq!(report.stop_offset, data + 3 * SECTOR as u64, "{report:#?}");
}

/// 1. Entry 2 has no effect, entry 3 is synced with it, and a checkpoint as of 2 gives the value of 2 back.
/// 2. Entry 4 is given the place of that value, and of its batch nothing but the value reaches the disk.
/// 3. Recovery reads the batch of 2 and 3 again, and looks for the values in it.
#[test]
fn a_value_that_the_checkpoint_gave_back_is_not_missed_in_the_last_batch() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.write(put("a", "1"));
    let (key, value) = (bytes("a"), "2".repeat(300 * SECTOR).into_bytes().into());
    e.add(Op::Put { key, value, condition: Condition::Absent });
    e.add(put("b", "3"));
    e.sync_now().unwrap();
    e.commit(2).unwrap();
    e.checkpoint_now();
    let (live, units) = (e.space().live, 200);
    e.add(put("c", &"4".repeat(units * SECTOR - 100)));
    assert!(live < 10 && e.space().free < 300, "in the place of the large value: {:?}", e.space());
    let batch = e.begin_sync().unwrap();
    disk.fail_after(1);
    batch.write(&disk).unwrap_err();
    let (mut e, report) = open(&partial_power_cut(&disk, |n| if n < units { SECTOR } else { 0 }));
    assert!(report.damage.is_none() && report.last_seq == 3, "{report:#?}");
    e.commit_all();
    assert_eq!((e.value("a").as_deref(), e.value("b").as_deref()), (Some("1"), Some("3")));
}

#[test]
fn a_batch_of_values_that_lie_one_behind_the_other_is_two_writes() {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    let before = disk.work().writes;
    for n in 0..10 {
        e.add(put(&n.to_string(), "value"));
    }
    e.sync_now().unwrap();
    assert_eq!(disk.work().writes - before, 2, "one of values, one of records");
}
