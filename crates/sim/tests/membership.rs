//! Members that change, under everything else that goes wrong: schedules that once ended without a primary.

use extensions::{Chosen, Name};
use sim::{Options, run_many};

#[test]
fn schedules_that_once_left_a_cluster_without_a_primary_end_well() {
    let options = Options { nodes: 5, with: Chosen::of(&[Name::Membership]), ..Options::default() };
    // 7156: gateways took the only voter with the whole log for a learner. 18714: a node with nothing was made a voter.
    for seed in [7156, 18714] {
        let first = run_many(seed..seed + 1, &options, |_| {}).first;
        let first = first.map(|report| (report.seed, report.violation));
        assert!(first.is_none(), "cutaway sim --seed {seed} --with membership: {first:#?}");
    }
}
