//! What a checker never saw it cannot have checked: whatever can happen has to happen, in as many seeds as are run here.
//!
//! `SEEDS=10000 cargo test --release -p sim --test coverage -- --nocapture` prints the table of a long run.

use extensions::{Chosen, Name};
use sim::{Coverage, Options, run_many};

/// Three nodes with one shard, three with two, five; and clusters with extensions, with and without gateways that call for a
/// primary.
fn coverage() -> Coverage {
    let seeds: u64 = std::env::var("SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(2_000);
    let from: u64 = std::env::var("FROM").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    let mut all = Coverage::default();
    let (elects, all_of_them) = (Chosen::of(&[Name::Elections]), Chosen::of(Name::ALL));
    let (none, quarter) = (Chosen::NONE, seeds / 4);
    let clusters = [
        (3, 1, none, false, seeds),
        (3, 2, none, false, seeds / 8),
        (5, 1, none, false, quarter),
        (5, 1, all_of_them, false, quarter),
        (3, 1, elects, true, seeds / 8),
    ];
    for (nodes, shards, with, passive_gateways, seeds) in clusters {
        let options = Options { nodes, shards, with, passive_gateways, coverage: true, ..Options::default() };
        let summary = run_many(from..from + seeds, &options, |_| {});
        let first = summary.first.map(|report| (report.seed, report.violation));
        assert!(first.is_none(), "{nodes} nodes, {shards} shards: {first:#?}");
        all.add(&summary.coverage);
    }
    all
}

#[test]
fn everything_that_can_happen_does() {
    let coverage = coverage();
    let rows = coverage.rows();
    rows.iter().for_each(|row| println!("{:<20} {:<40} {:>10}", row.group, row.entry, row.count));
    let never: Vec<_> = rows.iter().filter(|row| row.count == 0).map(|row| (row.group, row.entry)).collect();
    assert!(never.is_empty(), "what can happen never does: {never:?}");
    assert!(coverage.times("lost", "Extension") > 0, "the nodes of some clusters speak of elections");
    assert!(coverage.unlisted().is_empty(), "to be listed in `coverage.rs`: {:?}", coverage.unlisted());
    let (cuts, found) = ["power cut", "power cut with unsynced sectors"]
        .map(|entry| coverage.times("recovery", entry))
        .into();
    assert!(found * 3 >= cuts, "of {cuts} power cuts only {found} found anything that was not synced");
}
