//! The classic traps of a log on a disk, one story each.

mod common;

use common::*;

#[test]
fn what_was_acknowledged_is_there_after_a_power_cut() {
    let disk = Disk::tiny();
    let (mut e, report) = open(&disk);
    assert_eq!((report.replayed, report.discarded_bytes), (0, 0));
    e.write(put("a", "1"));
    e.write(put("b", "2"));
    e.write(delete("a"));
    e.add(put("c", "never synced"));
    let (mut e, report) = open(&disk.power_cut(|_| 0));
    assert_eq!((report.replayed, report.last_seq, e.applied_seq()), (3, 3, 0));
    e.commit_all();
    assert_eq!((e.value("a"), e.value("b"), e.value("c")), (None, Some("2".into()), None));
}

#[test]
fn a_checkpoint_carries_index_and_host_state_over_a_restart() {
    let disk = Disk::tiny();
    let (mut e, _) = open(&disk);
    for n in 0..20 {
        e.write(put(&format!("key-{n:03}"), &format!("value {n}")));
    }
    e.checkpoint_now();
    e.write(put("key-007", "newer"));
    let (mut e, report) = open(&disk.kill());
    assert_eq!((report.checkpoint_seq, report.checkpoint_keys, report.replayed), (20, 20, 1));
    assert_eq!((e.host_state(), e.value("key-007")), (&b"host"[..], Some("value 7".into())));
    e.commit_all();
    assert_eq!((e.value("key-007"), e.key_count()), (Some("newer".into()), 20));
}
