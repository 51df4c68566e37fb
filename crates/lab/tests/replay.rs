//! A run of the simulator, stepped through: what is behind an event is the same however one came there.

use lab::replay::Replay;
use sim::{Options, Schedule, Script};

fn of_seed(seed: u64) -> Replay {
    let options = Options { operations: 60, ..Options::default() };
    Replay::new(Script::new(Schedule::generate(seed, &options), &options), &[]).unwrap()
}

fn forth_and_back(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let mut replay = of_seed(seed);
        let places: Vec<usize> = (0..5).map(|n| n * replay.len() / 5).collect();
        let mut see = |n: usize| {
            replay.goto(n);
            replay.state().unwrap()
        };
        let forth: Vec<_> = places.iter().map(|n| see(*n)).collect();
        let back: Vec<_> = places.iter().rev().map(|n| see(*n)).collect();
        assert!(forth.iter().eq(back.iter().rev()), "seed {seed}");
        assert!(forth.windows(2).any(|pair| pair[0] != pair[1]), "seed {seed}: nothing ever changes");
    }
}

#[test]
fn going_back_finds_the_state_that_was_there() {
    forth_and_back(0..6);
}

#[test]
#[ignore = "takes minutes: cargo test --release -p lab --test replay -- --ignored"]
fn going_back_finds_the_state_that_was_there_in_a_thousand_seeds() {
    forth_and_back(0..1_000);
}

#[test]
fn an_added_fault_changes_the_future_and_not_the_past() {
    for seed in 0..6 {
        let mut replay = of_seed(seed);
        // After the first second: behind the moment when all faults end none can be added.
        let later = |n: &usize| replay.line(*n).is_some_and(|line| !line.contains(". 0."));
        let here = (1..replay.len()).find(later).expect("it lasts for longer");
        replay.goto(here);
        let before: Vec<_> = (1..=here).map(|n| replay.line(n)).collect();
        let state = replay.state().unwrap();
        assert!(replay.take("kill n9 for 1s").is_err());
        assert!(replay.branches().is_empty(), "what is refused changes nothing");
        replay.take("power-cut all for 300ms").unwrap();
        assert_eq!((1..=here).map(|n| replay.line(n)).collect::<Vec<_>>(), before, "seed {seed}");
        assert!(replay.state().unwrap() == state, "seed {seed}: another state");
        let rest: Vec<_> = (here..=replay.len()).filter_map(|n| replay.line(n)).collect();
        assert!(rest.iter().any(|line| line.contains("power-cut all for 300ms")), "seed {seed}");
        assert!(replay.branch(0).unwrap() && replay.branches().len() == 1);
        assert_eq!((1..=here).map(|n| replay.line(n)).collect::<Vec<_>>(), before, "seed {seed}");
    }
}
