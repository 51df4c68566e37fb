//! Every crash of small workloads on the real engine; and what breaks when one of its mechanisms is taken out.

use lab::device::{Bounds, Outcome, explore_device};
use trace::{Mechanism, Mechanisms};

fn explore(ops: u32, crashes: u32, faults: bool, states_max: u64, mechanisms: Mechanisms) -> Outcome {
    let bounds = Bounds { ops, crashes, faults, states_max, threads: 2, mechanisms };
    explore_device(&bounds, |_| {})
}

/// No violation, and at least so many states.
fn holds(ops: u32, crashes: u32, faults: bool, states_max: u64, states_min: u64) {
    let outcome = explore(ops, crashes, faults, states_max, Mechanisms::all());
    println!("{} states; complete: {}, {:?}", outcome.progress.states, outcome.complete, outcome.rounds);
    if let Some(found) = outcome.found {
        panic!("{}\n{}", found.broken, found.steps.join("\n"));
    }
    assert!(outcome.progress.states >= states_min, "only {} states", outcome.progress.states);
}

#[test]
fn three_steps_and_one_crash_anywhere() {
    holds(3, 1, false, u64::MAX, 200_000);
}

#[test]
fn crashes_in_the_recovery_of_a_recovery() {
    holds(1, 5, false, 150_000, 150_000);
}

#[test]
fn two_steps_with_failing_syncs_and_rotten_sectors() {
    holds(2, 1, true, u64::MAX, 50_000);
}

/// With one mechanism taken out some schedule breaks a promise, and it is a short one. Not here: `one-log`, which is the
/// shape of the engine and has no switch, and `device-lock`, for which it takes two processes.
#[test]
fn without_one_mechanism_a_short_schedule_breaks_a_promise() {
    use Mechanism::*;
    std::panic::set_hook(Box::new(|_| {}));
    let (rot, crashes) = (true, false);
    let broken_by = [
        (AckAfterSync, crashes, "E1"),
        (RecordCrc, crashes, "E4"),
        (StaleLogRejection, crashes, "E2"),
        (SyncOnRecovery, crashes, "E1"),
        (PoisonOnIoError, rot, "a crash is reported as damage"),
        (CorruptionIsNotATornTail, rot, "E1"),
        (DataChecksumInLog, crashes, "E4"),
        (NeverOverwriteLive, crashes, "E4"),
        (ExtentQuarantine, crashes, "E4"),
        (AbSuperblock, crashes, "E1"),
        (NoSilentFormat, rot, "a device without a superblock"),
        (AtomicCheckpoint, crashes, "a crash is reported as damage"),
        (VerifyOnRead, rot, "E2"),
    ];
    let mut wrong = Vec::new();
    for (off, faults, promise) in broken_by {
        let outcome = explore(2, 2, faults, 2_000_000, Mechanisms::all().without(off));
        match outcome.found {
            Some(found) => {
                println!("{off}: {}\n   {}", found.broken, found.steps.join("\n   "));
                if !found.broken.starts_with(promise) {
                    wrong.push(format!("{off}: {}", found.broken));
                }
            }
            None => wrong.push(format!("{off}: {:?}", outcome.progress)),
        }
    }
    let _ = std::panic::take_hook();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
