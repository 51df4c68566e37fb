//! Seeds that hold, seeds that are the same twice, and seeds that fail once a mechanism is gone.

use std::path::Path;

use sim::schedule::{Fault, Step};
use sim::{Options, Schedule, execute, run, run_many};
use trace::Mechanism;

fn without(id: &str) -> Options {
    let mechanism = Mechanism::from_id(id).expect("a mechanism of the registry");
    Options { without: vec![mechanism], ..Options::default() }
}

#[test]
fn every_promise_holds_over_many_seeds() {
    let summary = run_many(0..300, &Options::default(), |_| {});
    assert!(summary.first.is_none(), "{:#?}", summary.first);
    assert_eq!(summary.seeds, 300);
    // A run in which nothing goes wrong, or nothing goes through, proves nothing.
    assert!(summary.operations >= 300 * 200, "every client gets through its requests");
    assert!(summary.failovers > 300, "primaries change: {}", summary.failovers);
    assert!(summary.faults.len() >= 18, "every kind of fault turns up: {:?}", summary.faults);
}

#[test]
fn five_nodes_and_two_shards_hold_as_well() {
    for (nodes, shards) in [(5, 1), (3, 2)] {
        let summary = run_many(0..60, &Options { nodes, shards, ..Options::default() }, |_| {});
        assert!(summary.first.is_none(), "{nodes} nodes, {shards} shards: {:#?}", summary.first);
    }
}

#[test]
fn the_same_seed_gives_the_same_trace_byte_for_byte() {
    let options = Options { trace: true, ..Options::default() };
    for seed in [1, 7, 42] {
        let (once, again) = (run(seed, &options), run(seed, &options));
        assert!(once.trace.len() > 100_000, "a trace of a whole schedule");
        assert!(once.trace == again.trace && once.history == again.history, "seed {seed}");
    }
}

/// In debug and in release, on any machine. What the file says changes with the rules, and with nothing else:
/// `UPDATE_STORIES=1 cargo test -p sim` writes it anew.
#[test]
fn the_trace_of_a_seed_is_the_same_in_every_build() {
    let options = Options { trace: true, ..Options::default() };
    let sum = |seed| format!("seed {seed}: CRC-32C {:08x}\n", crc32c::crc32c(&run(seed, &options).trace));
    let sums: String = [3, 77, 9000].into_iter().map(sum).collect();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces.txt");
    if std::env::var_os("UPDATE_STORIES").is_some() {
        std::fs::write(&file, &sums).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), sums, "{}", file.display());
}

#[test]
fn listening_changes_nothing() {
    for seed in 0..10 {
        let heard = run(seed, &Options { trace: true, ..Options::default() });
        let unheard = run(seed, &Options::default());
        assert_eq!(
            (heard.micros, heard.committed, heard.faults),
            (unheard.micros, unheard.committed, unheard.faults)
        );
    }
}

#[test]
fn a_schedule_with_faults_left_out_is_a_schedule() {
    let options = Options::default();
    for seed in 0..20 {
        let mut schedule = Schedule::generate(seed, &options);
        while !schedule.steps.is_empty() {
            let keep = schedule.steps.len() / 2;
            schedule.steps.truncate(keep);
            let report = execute(&schedule, &options);
            assert_eq!(report.violation, None, "seed {seed} with the first {keep} faults");
        }
    }
}

/// Puts are refused; reads, deletes and the replicas themselves go on, whatever the device of each has been through.
/// `SEEDS=20000 cargo test --release -p sim --test schedules full_disks` for the long run.
#[test]
fn full_disks_refuse_puts_and_hold_up_nothing_else() {
    let seeds: u64 = std::env::var("SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(60);
    let (options, mut full, mut operations) = (Options::default(), 0, 0);
    for seed in 0..seeds {
        let mut schedule = Schedule::generate(seed, &options);
        (schedule.load.floods, schedule.load.keys, schedule.load.value_max) = (true, 16, 30_000);
        let report = execute(&schedule, &options);
        assert_eq!(report.violation, None, "seed {seed}, flooded");
        (full, operations) = (full + report.full, operations + report.operations);
    }
    println!("{seeds} schedules, {operations} operations, {full} puts refused");
    assert!(full > 5 * seeds, "the disks were hardly ever full: {full} puts were refused");
}

/// On every replica at once, with takeovers between: reads need each value from whoever has it whole.
#[test]
fn values_that_rot_on_all_replicas_are_healed_while_each_is_whole_on_one() {
    let (options, mut struck) = (Options::default(), 0);
    for seed in 0..60 {
        let mut schedule = Schedule::generate(seed, &options);
        if schedule.load.floods {
            continue;
        }
        let at = |n: u64, fault| Step { at: 300_000 + n * 100_000, fault };
        let faults = |n: u64| {
            let to = (n + seed) as u32 % 3 + 1;
            [at(n, Fault::RotValues { shard: 0 }), at(n, Fault::TakeOver { node: to, shard: 0 })]
        };
        schedule.steps = (0..10).flat_map(faults).collect();
        let report = execute(&schedule, &options);
        assert_eq!(report.violation, None, "seed {seed}");
        struck += report.faults.get("rot of values").copied().unwrap_or(0);
    }
    assert!(struck > 200, "{struck} of 600 times");
}

/// Runs seeds without a mechanism until a promise breaks. The bound is several times what it takes.
fn breaks(id: &str, seeds: u64) -> sim::Violation {
    let summary = run_many(0..seeds, &without(id), |_| {});
    let first = summary.first.unwrap_or_else(|| panic!("{seeds} seeds without {id} break nothing"));
    // The same seed holds with the mechanism: it is what was missing.
    assert_eq!(run(first.seed, &Options::default()).violation, None);
    first.violation.expect("the first report is one with a violation")
}

#[test]
fn without_epoch_fence_a_promise_breaks() {
    breaks("epoch-fence", 100);
}

#[test]
fn without_durable_promise_a_promise_to_a_candidate_is_forgotten() {
    assert_eq!(breaks("durable-promise", 100).invariant, "D3");
}

#[test]
fn without_majority_commit_an_acknowledged_write_is_on_one_device_only() {
    assert_eq!(breaks("majority-commit", 50).invariant, "D4");
}

#[test]
fn without_durable_ack_an_acknowledged_write_is_on_one_device_only() {
    assert_eq!(breaks("durable-ack", 50).invariant, "D4");
}

#[test]
fn without_log_matching_a_promise_breaks() {
    breaks("log-matching", 50);
}

#[test]
fn without_most_complete_log_a_primary_lacks_what_was_acknowledged() {
    assert_eq!(breaks("most-complete-log", 50).invariant, "D4");
}

#[test]
fn without_read_confirmation_a_read_is_stale() {
    let violation = breaks("read-confirmation", 3_000);
    assert_eq!(violation.invariant, "P2");
}

#[test]
fn without_request_dedup_a_request_takes_effect_twice() {
    assert_eq!(breaks("request-dedup", 50).invariant, "D6");
}

#[test]
fn without_unproven_log_does_not_vote_a_promise_breaks() {
    breaks("unproven-log-does-not-vote", 100);
}
