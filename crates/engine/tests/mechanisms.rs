//! Each local mechanism taken away alone: some schedule then breaks a promise that it keeps when the mechanism is on.

mod common;

use common::model::run;
use common::*;
use engine::{Engine, OpenError, WriteError};
use trace::Mechanism::{self, *};
use trace::Mechanisms;

/// Those that power cuts alone can do without.
#[test]
fn without_one_mechanism_some_run_breaks_a_promise() {
    std::panic::set_hook(Box::new(|_| {}));
    let by_power_cuts = [
        AckAfterSync,
        RecordCrc,
        StaleLogRejection,
        SyncOnRecovery,
        DataChecksumInLog,
        NeverOverwriteLive,
        ExtentQuarantine,
        AbSuperblock,
        AtomicCheckpoint,
        CopyBeforeFree,
    ];
    let unbroken: Vec<_> = by_power_cuts
        .into_iter()
        .filter(|&off| {
            let breaks =
                |seed| std::panic::catch_unwind(|| run(seed, 30, Mechanisms::all().without(off))).is_err();
            !(0..800).any(breaks)
        })
        .collect();
    let _ = std::panic::take_hook();
    assert!(unbroken.is_empty(), "no schedule misses {unbroken:?}");
}

fn both(off: Mechanism) -> [(bool, Mechanisms); 2] {
    [(true, Mechanisms::all()), (false, Mechanisms::all().without(off))]
}

/// What the acknowledged write of `a` is after a power cut.
fn acknowledged_after_power_cut(disk: &Disk, on: Mechanisms) -> Option<String> {
    let (mut e, _) = open_with(&power_cut(disk), on);
    e.commit_all();
    e.value("a")
}

/// (1) A sync fails, and the kernel forgets what it could not write. (2) The next sync succeeds. (3) Power fails.
#[test]
fn poison_on_io_error() {
    for (kept, on) in both(PoisonOnIoError) {
        let disk = tiny();
        let (mut e, _) = open_with(&disk, on);
        e.add(put("a", "1"));
        disk.fail_sync(Unwritten::Clean);
        assert!(matches!(e.sync_now(), Err(WriteError::Io(_))));
        let seq = e.append(put("b", "2"), b"");
        let acknowledged = seq.is_ok() && e.sync_now().is_ok();
        assert_eq!(
            acknowledged, !kept,
            "what follows the failure is acknowledged only without the mechanism"
        );
        let (e, _) = open_with(&power_cut(&disk), on);
        assert_eq!(e.last_seq(), 0, "and it is not there");
    }
}

/// (1) An entry is appended and undone, again and again, so that its seq is given out again and again, and the ring wraps.
/// (2) The entry is appended and acknowledged; where the log ends now, an earlier lap undid one of that seq. (3) Recovery.
#[test]
fn stale_log_rejection_of_an_earlier_lap() {
    for (kept, on) in both(StaleLogRejection) {
        let disk = tiny();
        let (mut e, _) = open_with(&disk, on);
        e.write(put("base", "0"));
        let mut lost = false;
        while e.appended_lsn().0 < 3 * TINY.wal_bytes && !lost {
            if e.checkpoint_due() {
                e.checkpoint_now();
            }
            e.add(put("a", "1"));
            e.sync_now().unwrap();
            let (again, report) = open_with(&power_cut(&disk), on);
            lost = again.last_seq() != 2 || report.damage.is_some();
            e.truncate(2).unwrap();
            e.sync_now().unwrap();
        }
        assert_eq!(
            lost, !kept,
            "the acknowledged entry is undone by a record of an earlier lap, only without it"
        );
    }
}

/// (1) A bit rots in the middle of the log. (2) Recovery.
#[test]
fn corruption_is_not_a_torn_tail() {
    for (kept, on) in both(CorruptionIsNotATornTail) {
        let disk = tiny();
        let (mut e, _) = open_with(&disk, on);
        for n in 0..4 {
            e.write(put("a", &n.to_string()));
        }
        disk.turn_bit(engine::format::superblock::WAL_OFFSET + 512 + 50);
        let (e, report) = open_with(&disk, on);
        assert_eq!((report.damage.is_some(), e.damage().is_some()), (kept, kept));
        assert_eq!(
            e.last_seq(),
            1,
            "three acknowledged writes are not there; without the mechanism, nobody is told"
        );
    }
}

/// (1) A bit rots in a value. (2) It is read.
#[test]
fn verify_on_read() {
    for (kept, on) in both(VerifyOnRead) {
        let disk = tiny();
        let (mut e, _) = open_with(&disk, on);
        e.write(put("a", "precious"));
        let at = disk.image().windows(8).position(|w| w == b"precious").unwrap();
        damage(&disk, at as u64, |bytes| bytes[..8].copy_from_slice(b"worthles"));
        match e.get(b"a") {
            Ok(found) => assert_eq!((kept, &found.unwrap().value[..]), (false, &b"worthles"[..])),
            Err(_) => assert!(kept),
        }
    }
}

/// (1) Both superblocks are damaged. (2) The device is opened.
#[test]
fn no_silent_format() {
    for (kept, on) in both(NoSilentFormat) {
        let disk = tiny();
        open_with(&disk, on).0.write(put("a", "1"));
        damage(&disk, 0, |bytes| bytes[..8192].fill(0));
        match Engine::open(disk.share(), &ME, on) {
            Err(error) => assert!(kept && matches!(error, OpenError::NotFormatted)),
            Ok((e, _)) => assert_eq!((kept, e.last_seq()), (false, 0), "the acknowledged write is forgotten"),
        }
    }
}

/// (1) A batch is written but not synced. (2) It is acknowledged. (3) Power fails.
#[test]
fn ack_after_sync() {
    for (kept, on) in both(AckAfterSync) {
        let disk = tiny();
        open_with(&disk, on).0.write(put("a", "1"));
        assert_eq!(acknowledged_after_power_cut(&disk, on).is_some(), kept);
    }
}
