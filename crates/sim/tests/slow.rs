//! Service on slow disks and slow networks: how long it takes until somebody serves, from a cold start and after a kill.
//!
//! `cargo test -p sim --test slow -- --nocapture` prints the table of docs/performance.md.

use sim::schedule::{Bounds, Death, Fault, Load, Schedule, Step, Weather};
use sim::{Options, execute};

const MS: u64 = 1_000;
/// When the primary is killed, and for how long everything goes on after that.
const KILL_AT: u64 = 60_000 * MS;

/// Milliseconds until somebody serves: after a cold start, and after the primary was killed.
fn time_to_serve(sync: u64, trip: u64, seed: u64) -> (u64, u64) {
    let options = Options { operations: 8, ..Options::default() };
    let half = trip * MS / 2;
    let weather =
        Weather { sync: (sync * MS, sync * MS), delay_min: half, delay_max: half + 1, ..Weather::fair() };
    let load = Load {
        operations: options.operations,
        keys: 2,
        think_max: 1_000,
        reads: 50,
        deletes: 0,
        conditional: 0,
        value_max: 16,
        floods: false,
        scans: 0,
        key_length: 0,
        large: false,
    };
    let slow = |node| Step { at: 0, fault: Fault::SlowDisk { node, sync: sync * MS, length: None } };
    let run = |kill: Option<u32>| {
        let crash = |node| Step {
            at: KILL_AT,
            fault: Fault::Crash { node, death: Death::Kill, down: 120_000 * MS, busy: false },
        };
        let steps = (1..=3).map(slow).chain(kill.map(crash)).collect();
        // The network stays as it is: what heals is whatever broke.
        let schedule = Schedule {
            seed,
            bounds: Bounds::usual(),
            weather: weather.clone(),
            load: load.clone(),
            asks: None,
            steps,
            heal_at: 2 * KILL_AT,
        };
        let report = execute(&schedule, &options);
        assert_eq!(report.violation, None, "syncs of {sync} ms, round trips of {trip} ms, seed {seed}");
        report.served_at
    };
    let calm = run(None);
    let cold = *calm.first().unwrap_or_else(|| panic!("nobody ever serves: {sync} ms, {trip} ms"));
    // Whoever leads is killed: of three, one is.
    let after = (1..=3).find_map(|node| run(Some(node)).into_iter().find(|at| *at > KILL_AT));
    let after = after.unwrap_or_else(|| panic!("nobody serves after a kill: {sync} ms, {trip} ms"));
    (cold / MS, (after - KILL_AT) / MS)
}

#[test]
fn somebody_serves_whatever_syncs_and_round_trips_take() {
    let trips = [1, 20, 125, 250, 500];
    print!("| sync |");
    trips.iter().for_each(|trip| print!(" round trip {trip} ms |"));
    println!();
    for sync in [1, 10, 30, 100, 300, 1_000] {
        print!("| {sync} ms |");
        for trip in trips {
            let (cold, killed) = time_to_serve(sync, trip, 7);
            print!(" {cold} / {killed} |");
            let steps = 40 * (sync + trip) + 5_000;
            assert!(
                cold < steps && killed < steps,
                "syncs of {sync} ms, round trips of {trip} ms: {cold}, {killed}"
            );
        }
        println!();
    }
}

/// Milliseconds from when the disks go on until somebody serves: the primary is killed while all disks stall.
fn time_after_stall(stall: u64, seed: u64) -> u64 {
    let options = Options { operations: 8, ..Options::default() };
    let load = Load { operations: options.operations, think_max: 1_000, ..Load::usual() };
    let stall_at = KILL_AT - 5 * MS;
    let run = |node| {
        let crash = Fault::Crash { node, death: Death::Kill, down: 60_000 * MS, busy: false };
        let steps = vec![
            Step { at: stall_at, fault: Fault::Stall { node: None, length: stall * MS } },
            Step { at: KILL_AT, fault: crash },
        ];
        let (weather, bounds, load) = (Weather::fair(), Bounds::usual(), load.clone());
        let schedule = Schedule { seed, bounds, weather, load, asks: None, steps, heal_at: 2 * KILL_AT };
        let report = execute(&schedule, &options);
        assert_eq!(report.violation, None, "a stall of {stall} ms, seed {seed}");
        report.served_at
    };
    // Whoever leads is killed: of three, one is.
    let after = (1..=3).find_map(|node| run(node).into_iter().find(|at| *at > KILL_AT));
    let after = after.unwrap_or_else(|| panic!("nobody serves after a stall of {stall} ms"));
    after.saturating_sub(stall_at + stall * MS) / MS
}

/// While nobody leads, nothing but the stall is measured. If it were taken for what is usual, a gateway would wait between two
/// attempts for four stalls and more; and two candidates in one epoch, which cannot both win, would wait as long for the third.
#[test]
fn a_stall_of_all_disks_while_nobody_leads_is_not_waited_for_between_attempts() {
    for stall in [1_000, 4_000, 8_000] {
        let times: Vec<u64> = (0..40).map(|seed| time_after_stall(stall, seed)).collect();
        println!("a stall of {stall} ms: {times:?}");
        // Two gateways that call two nodes at the same moment cost an attempt or two, however long the stall was.
        let late: Vec<_> = times.iter().filter(|time| **time > 1_000).collect();
        assert!(late.is_empty(), "a stall of {stall} ms: {late:?}");
    }
}
