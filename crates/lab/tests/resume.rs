//! An exploration that was stopped and gone on with ends as one that never was; and a file that is not right is refused.

use lab::check::{Exploration, Outcome, Saved, Scope};
use lab::device::{self, Bounds, Recoveries, Work};
use lab::save::{BEGINS, SavedError, checksum, header};
use trace::{Mechanism, Mechanisms};

const THREADS: usize = 2;

fn named(name: &str) -> Scope {
    Scope::named(name).expect("a scope of this name")
}

fn whole(scope: &Scope) -> Outcome {
    Exploration::new(scope).run(u64::MAX, THREADS, |_| true)
}

/// Stopped after about `states`, written, read and gone on with.
fn in_two_parts(scope: &Scope, states: u64) -> Outcome {
    let mut first = Exploration::new(scope);
    let stopped = first.run(states, THREADS, |_| true);
    assert!(!stopped.complete && stopped.progress.states >= states, "{stopped:?}");
    let bytes = first.save().encode();
    drop(first);
    let saved = Saved::decode(&bytes).unwrap();
    assert_eq!(saved.states(), stopped.progress.states);
    let mut second = Exploration::resume(&saved, |_| ()).unwrap();
    assert_eq!(second.progress().states, stopped.progress.states);
    assert_eq!(second.save(), saved, "what is saved at once is what was saved before");
    second.run(u64::MAX, 1, |_| true)
}

#[test]
fn stopped_anywhere_and_gone_on_with_it_ends_as_if_it_never_was() {
    let scope = named("crash");
    let whole = whole(&scope);
    assert!(whole.complete && whole.progress.states > 100_000, "{:?}", whole.progress);
    for states in [3_000, whole.progress.states * 3 / 4] {
        assert_eq!(in_two_parts(&scope, states), whole, "stopped after {states}");
    }
}

#[test]
fn a_violation_behind_the_stop_is_the_one_that_the_whole_run_finds() {
    let scope = named("takeover").without(Mechanism::DurablePromise);
    let whole = whole(&scope);
    let found = whole.found.as_ref().expect("two primaries of one epoch");
    assert!(found.broken.starts_with("D2"), "{}", found.broken);
    assert_eq!(in_two_parts(&scope, 500), whole);
}

#[test]
fn whoever_stops_it_gets_the_depth_that_was_reached_in_full() {
    let scope = named("crash");
    let mut seen = Vec::new();
    let outcome = Exploration::new(&scope).run(u64::MAX, THREADS, |progress| {
        seen.push(progress);
        progress.states < 20_000
    });
    let last = outcome.progress;
    assert!(!outcome.complete && outcome.found.is_none() && last.states >= 20_000, "{last:?}");
    assert!(last.full == last.depth || last.full + 1 == last.depth, "{last:?}");
    // So deep, and no deeper, everything is seen: the states of another run that ends with that depth.
    let shallow = Scope { depth_max: last.full, ..scope };
    let known = whole(&shallow).progress.states;
    assert!(known <= last.states, "{known} states up to depth {}, and {} seen", last.full, last.states);
    assert!(seen.windows(2).all(|pair| pair[0].states <= pair[1].states && pair[0].full <= pair[1].full));
}

#[test]
fn the_estimate_of_what_is_left_is_of_the_right_size_from_the_middle_on() {
    let scope = named("crash");
    let all = whole(&scope).progress.states;
    let mut said = 0;
    Exploration::new(&scope).run(u64::MAX, THREADS, |progress| {
        let rest = all - progress.states;
        if let Some(left) = progress.left.filter(|_| progress.states > all / 2) {
            said += 1;
            assert!(left < 4 * rest + all / 10, "{left} left after {}, and it is {rest}", progress.states);
            assert!(left + all / 10 > rest / 4, "{left} left after {}, and it is {rest}", progress.states);
        }
        true
    });
    assert!(said > 10, "it was estimated {said} times");
}

fn a_file() -> Vec<u8> {
    let mut exploration = Exploration::new(&named("takeover").without(Mechanism::DurablePromise));
    exploration.run(60, THREADS, |_| true);
    exploration.save().encode()
}

/// With the checksum that these bytes have.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len() - 4;
    let sum = checksum(&bytes[..end]);
    bytes[end..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

#[test]
fn a_file_that_was_cut_off_or_changed_is_refused() {
    let file = a_file();
    assert_eq!(header(&file).unwrap().off(), [Mechanism::DurablePromise]);
    for end in 0..file.len() {
        assert!(Saved::decode(&file[..end]).is_err(), "cut off after {end} bytes");
    }
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 1 << (at % 8);
        let error = Saved::decode(&changed).unwrap_err();
        let expected = matches!(error, SavedError::Damaged { .. } | SavedError::NoSave);
        assert!(expected, "byte {at}: {error}");
    }
    assert_eq!(Saved::decode(b"").unwrap_err(), SavedError::NoSave);
    assert_eq!(Saved::decode(b"> cluster 3\n").unwrap_err(), SavedError::NoSave);
}

#[test]
fn a_file_with_a_right_checksum_and_wrong_contents_is_an_error_and_never_a_panic() {
    let file = a_file();
    let mut refused = 0;
    for at in BEGINS.len()..file.len() - 4 {
        for with in [0, 1, 0x80, 0xff] {
            let mut changed = file.clone();
            changed[at] = with;
            let resumed =
                Saved::decode(&sealed(changed)).and_then(|saved| Exploration::resume(&saved, |_| ()));
            refused += u32::from(resumed.is_err());
        }
    }
    assert!(refused > 200, "{refused} were refused");
    // A length that is not there takes no memory.
    let mut long = BEGINS.as_bytes().to_vec();
    long.extend([0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0]);
    assert!(matches!(Saved::decode(&sealed(long)), Err(SavedError::Malformed { field: "scope", .. })));
}

fn bounds(mechanisms: Mechanisms) -> Bounds {
    let recoveries = Recoveries::CutOffOnce;
    let (faults, transfers, states_max) = (false, false, u64::MAX);
    let work = Work::Anything;
    Bounds {
        work,
        ops: 1,
        crashes: 1,
        recoveries,
        faults,
        transfers,
        states_max,
        threads: THREADS,
        mechanisms,
    }
}

#[test]
fn a_device_is_gone_on_with_behind_its_last_whole_round() {
    let bounds = bounds(Mechanisms::all());
    let whole = device::Exploration::new(&bounds).run(u64::MAX, |_| true);
    assert!(whole.complete, "{:?}", whole.progress);
    for states in [1, whole.progress.states / 3, whole.progress.states * 9 / 10] {
        let mut first = device::Exploration::new(&bounds);
        let stopped = first.run(states, |_| true);
        assert!(!stopped.complete, "{stopped:?}");
        let bytes = first.save().encode(7);
        assert_eq!(device::Saved::decode(&bytes, 8).unwrap_err(), SavedError::OtherBuild);
        let saved = device::Saved::decode(&bytes, 7).unwrap();
        assert!(saved.states() <= stopped.progress.states);
        let outcome = device::Exploration::resume(&bounds, &saved).unwrap().run(u64::MAX, |_| true);
        assert_eq!(
            (outcome.progress.states, &outcome.rounds, outcome.complete),
            (whole.progress.states, &whole.rounds, true),
            "stopped after {states}"
        );
    }
}

#[test]
fn a_device_of_other_bounds_is_not_gone_on_with() {
    let all = bounds(Mechanisms::all());
    let mut first = device::Exploration::new(&all);
    first.run(500, |_| true);
    let saved = first.save();
    for other in [Bounds { ops: 2, ..all }, Bounds { work: Work::Moves, ..all }] {
        assert!(matches!(device::Exploration::resume(&other, &saved), Err(SavedError::OtherScope(_))));
    }
    let without = bounds(Mechanisms::all().without(Mechanism::RecordCrc));
    assert!(matches!(device::Exploration::resume(&without, &saved), Err(SavedError::OtherScope(_))));
}
