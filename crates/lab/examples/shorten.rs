//! `cargo run --release -p lab --example shorten -- MECHANISM [SEEDS [TRIES [FILE]]]`: looks for a shorter counterexample
//! than the stored one, or than the one in FILE.

use lab::Schedule;
use lab::why::{registry, shorten};
use trace::Mechanism;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mechanism = arguments.first().and_then(|id| Mechanism::from_id(id)).expect("name a mechanism");
    let number = |at: usize, usual: u64| arguments.get(at).and_then(|n| n.parse().ok()).unwrap_or(usual);
    let text = match arguments.get(3) {
        Some(file) => std::fs::read_to_string(file).expect("the file can be read"),
        None => registry::entry(mechanism).counterexample.expect("it has a schedule").to_string(),
    };
    let mut best: Schedule = text.parse().expect("a schedule");
    for seed in 0..number(1, 4) {
        if let Some(found) = shorten(&best, mechanism, seed, number(2, 100_000)) {
            println!("seed {seed}:\n{found}");
            best = found;
        }
    }
}
