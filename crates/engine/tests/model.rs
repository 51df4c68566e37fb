//! The engine against a model, with power cuts. `SEED=n SEEDS=1 cargo test -p engine --test model` replays one seed.

mod common;

use std::collections::BTreeMap;

use common::model::*;
use common::*;
use engine::{Standing, TransferChunk, WriteError};
use trace::Mechanisms;

#[test]
fn random_work_survives_power_cuts_at_random_places() {
    let seeds = std::env::var("SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(300);
    let start = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    for seed in start..start + seeds {
        run(seed, 30, Mechanisms::all());
    }
}

#[test]
fn a_transferred_state_is_installed_whole_or_not_at_all() {
    for seed in 0..200 {
        let mut rng = seeded(seed);
        let (source, target) = (tiny(), tiny());
        let (mut m, mut out) = (Model::default(), None);
        let (mut from, _) = open(&source);
        for _ in 0..150 {
            step(&mut from, &mut m, &mut out, &mut rng).unwrap();
        }
        while out.is_some() {
            step(&mut from, &mut m, &mut out, &mut rng).unwrap();
        }
        from.sync().unwrap();
        from.commit(from.last_seq()).unwrap();
        from.checkpoint(b"host of the source".to_vec()).unwrap();
        let expected = m.map(from.checkpoint_seq());

        let (mut to, _) = open(&target);
        to.write(put("old", "state"));
        to.promise(5).unwrap();
        let (seq, epoch) = (from.checkpoint_seq(), 3 + rng.below(5));
        target.fail_after(rng.below(40));
        let installed = (|| -> Result<(), WriteError> {
            to.install_begin()?;
            let (mut cursor, mut kept) = (None, Vec::new());
            loop {
                let TransferChunk { items, next, host_state, .. } =
                    from.transfer_read(cursor, 0, 700).unwrap();
                for (key, version, value) in items {
                    to.install_put(key, version, value)?;
                }
                kept.extend(host_state.into_iter().flatten());
                cursor = next;
                if cursor.is_none() {
                    return to.install_finish(seq, kept, epoch);
                }
            }
        })();
        assert!(matches!(installed, Ok(()) | Err(WriteError::Io(_))), "seed {seed}: {installed:?}");
        let (mut to, report) = open(&random_power_cut(&target, &mut rng));
        assert!(report.damage.is_none(), "seed {seed}: {report:#?}");
        if installed.is_ok() || to.promised() == 5.max(epoch) && to.host_state() == b"host of the source" {
            assert_eq!(
                (to.checkpoint_seq(), to.last_seq(), to.promised()),
                (seq, seq, 5.max(epoch)),
                "seed {seed}"
            );
            let found: BTreeMap<_, _> = to
                .scan(b"", None, 1000)
                .into_iter()
                .map(|(key, version, _)| {
                    (key.to_vec(), (version, to.get(&key).unwrap().unwrap().value.to_vec()))
                })
                .collect();
            assert_eq!((found, to.standing()), (expected, Standing::Member), "seed {seed}");
            to.write(put("goes", "on"));
        } else {
            assert_eq!((to.last_seq(), to.promised()), (1, 5), "seed {seed}");
            to.commit_all();
            assert_eq!(to.value("old").as_deref(), Some("state"));
        }
    }
}
