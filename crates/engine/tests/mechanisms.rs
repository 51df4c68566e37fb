//! Each local mechanism taken away alone: some schedule then breaks a promise that it keeps when the mechanism is on.

mod common;

use common::model::run;
use common::*;
use trace::Mechanism::*;
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
