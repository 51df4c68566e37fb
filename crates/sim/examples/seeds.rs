//! Runs many seeds and prints what came of them: `cargo run --release -p sim --example seeds -- SEEDS [without MECH]…`.
//! With `seed N` instead of a number it runs one, and with a file name prints its trace there.

use std::process::ExitCode;

use sim::{Options, run, run_many};
use trace::Mechanism;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut options = Options::default();
    let (mut from, mut count, mut file, mut one) = (0, 1000, None, false);
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|n| n.parse().ok()).unwrap_or_default();
        match word.as_str() {
            "from" => from = number(),
            "seed" => (from, one) = (number(), true),
            "nodes" => options.nodes = number() as u32,
            "shards" => options.shards = number() as u32,
            "without" => options.without.extend(words.next().and_then(|id| Mechanism::from_id(id))),
            "trace" => file = words.next().cloned(),
            n => count = n.parse().unwrap_or(count),
        }
    }
    if one {
        options.trace = true;
        let report = run(from, &options);
        if let Some(file) = file {
            std::fs::write(file, &report.trace).expect("the trace can be written");
        }
        report.history.iter().for_each(|line| println!("{line}"));
        println!("{:?} {} operations, {} µs", report.faults, report.operations, report.micros);
        println!("{:#?}", report.violation);
        return ExitCode::from(u8::from(report.violation.is_some()));
    }
    let start = std::time::Instant::now();
    let summary = run_many(from..from + count, &options, |_| {});
    let rate = summary.seeds as f64 / start.elapsed().as_secs_f64();
    println!(
        "{} schedules, {rate:.0}/s, {} operations ({} unknown), {} failovers, {} s of virtual time, {:?}",
        summary.seeds,
        summary.operations,
        summary.unknown,
        summary.failovers,
        summary.micros / 1_000_000,
        summary.faults
    );
    if let Some(first) = summary.first {
        println!("seed {}: {:#?}", first.seed, first.violation);
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
