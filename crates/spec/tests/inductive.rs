//! The invariant of `spec/Inductive.tla` is inductive, as far as sampling shows: from states that satisfy it, reachable or
//! not, no step leads out of it; with a clause taken out, some step does.
//!
//! A state is drawn by a random walk, and then changed at random. `INDUCTIVE_STATES=100000 cargo test -p spec --test
//! inductive` draws more than the usual number.

use std::collections::BTreeMap;

use spec::eval::{Spec, State};
use spec::value::Value;

const NODES: i64 = 3;
const EPOCHS_MAX: usize = 5;
const LOG_MAX: usize = 3;

/// The specification and its invariant as one module, without some clauses.
fn module(without: &[&str]) -> Spec {
    read(&text(), NODES, without)
}

fn text() -> String {
    let inductive = include_str!("../../../spec/Inductive.tla");
    let (_, definitions) = inductive.split_once("EXTENDS Cutaway").expect("it extends the specification");
    spec::CUTAWAY.trim_end().trim_end_matches('=').to_string() + definitions
}

fn read(text: &str, nodes: i64, without: &[&str]) -> Spec {
    let constants = BTreeMap::from([
        ("Node".to_string(), Value::set((1..=nodes).map(Value::Int))),
        ("Without".to_string(), Value::set(without.iter().map(|id| Value::str(id)))),
    ]);
    Spec::new(text, &constants).unwrap()
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most.max(1)
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }
}

fn elements(set: &Value) -> Vec<Value> {
    set.elements().unwrap().iter().cloned().collect()
}

fn said(state: &State, name: &str) -> Vec<Value> {
    elements(state[1].at(name).unwrap())
}

fn number(record: &Value, field: &str) -> i64 {
    record.at(field).unwrap().int().unwrap()
}

fn with(record: &Value, field: &str, value: Value) -> Value {
    let fields = record.fields().into_iter();
    Value::record(fields.map(|(name, old)| (name, if name == field { value.clone() } else { old })))
}

fn tail(log: &Value) -> Value {
    let entries = log.items().unwrap();
    let epoch = entries.last().map_or(Value::Int(0), |entry| entry.at("epoch").unwrap().clone());
    Value::record([("epoch", epoch), ("seq", Value::Int(entries.len() as i64))])
}

/// A step that may or may not be possible. What makes a run go on is drawn more often than what ends it.
fn step(state: &State, dice: &mut Dice) -> Option<(&'static str, Vec<Value>)> {
    let int = |n: usize| Value::Int(n as i64);
    let n = 1 + dice.below(NODES as usize);
    let at = state[0].index(n as i64).unwrap();
    let log = at.at("log").unwrap();
    let length = log.items().unwrap().len();
    let (mail, leads) = (said(state, "mail"), said(state, "leads"));
    Some(match dice.below(43) {
        0 if dice.below(3) == 0 => {
            let epoch = number(at, "promise") as usize + 1 + dice.below(4) / 3;
            if epoch > EPOCHS_MAX {
                return None;
            }
            ("Stand", vec![int(n), int(epoch)])
        }
        1..=3 => ("GrantPromise", vec![int(n), dice.one(&said(state, "stands"))?.clone(), tail(log)]),
        4..=5 => ("StorePromise", vec![int(n)]),
        6..=9 => ("Release", vec![int(n), dice.one(&elements(at.at("held").unwrap()))?.clone()]),
        10..=12 => ("CountPromise", vec![int(n), dice.one(&mail)?.clone()]),
        13..=14 => ("Elect", vec![int(n)]),
        15 if dice.below(9) == 0 => ("StepDown", vec![int(n)]),
        16..=17 if length < LOG_MAX => ("AppendMarker", vec![int(n)]),
        18 if length < LOG_MAX => ("Write", vec![int(n), int(1 + dice.below(2))]),
        19..=22 => ("CountAck", vec![int(n), dice.one(&mail)?.clone()]),
        23..=24 => ("CommitByCount", vec![int(n), int(1 + dice.below(LOG_MAX))]),
        25 => ("Answer", vec![int(n), int(1 + dice.below(LOG_MAX))]),
        26..=27 => ("Follow", vec![int(n), dice.one(&leads)?.clone()]),
        28..=33 => {
            let lead = dice.one(&leads)?.clone();
            let theirs = lead.at("log").unwrap().items().unwrap().len();
            let (prev, upto) = (dice.below(length + 1), dice.below(theirs + 1));
            let cut = dice.below(3) / 2 * (prev + 1);
            let commit = number(if dice.below(2) == 0 { at } else { &lead }, "commit") as usize;
            ("Prepare", vec![int(n), lead, int(prev), int(upto), int(cut), int(commit)])
        }
        34..=36 => ("Sync", vec![int(n)]),
        37 => ("Apply", vec![int(n)]),
        38 => ("Checkpoint", vec![int(n), int(dice.below(LOG_MAX + 1))]),
        39 => fault(n, at, &leads, dice)?,
        40 if dice.below(6) == 0 => ("StartTransfer", vec![int(n), dice.one(&leads)?.clone()]),
        41 => ("SendState", vec![int(n), dice.one(&said(state, "pulls"))?.clone()]),
        42 => {
            let sent = dice.one(&said(state, "states"))?.clone();
            let log = sent.at("log").unwrap().clone();
            ("Install", vec![int(n), sent, log])
        }
        _ => return None,
    })
}

/// Rare, so that a run gets somewhere.
fn fault(n: usize, at: &Value, leads: &[Value], dice: &mut Dice) -> Option<(&'static str, Vec<Value>)> {
    let n = Value::Int(n as i64);
    let left = dice.one(&elements(at.at("disk").unwrap()))?.clone();
    Some(match dice.below(9) {
        0 => {
            // A log that it had before is one that some primary had.
            let had =
                if dice.below(2) == 0 { left.clone() } else { dice.one(leads)?.at("log").unwrap().clone() };
            let had = had.items().unwrap().to_vec();
            let sound = dice.below(had.len() + 1);
            ("Rot", vec![n, left, Value::seq(had[..sound].to_vec())])
        }
        1 => ("GiveUpAll", vec![n]),
        2..=4 => ("Crash", vec![n, left]),
        _ => return None,
    })
}

fn next(spec: &Spec, state: &State, dice: &mut Dice) -> Option<(&'static str, Vec<Value>, State)> {
    let (action, args) = step(state, dice)?;
    // An index out of a log: no step.
    let after = spec.step(action, &args, state).ok()?.ok()?;
    (after != *state).then_some((action, args, after))
}

/// The same state but for something.
fn changed(state: &State, dice: &mut Dice) -> State {
    let mut state = state.clone();
    let n = dice.below(NODES as usize);
    let mut replicas = state[0].items().unwrap().to_vec();
    let at = replicas[n].clone();
    let drop_one = |set: &Value, dice: &mut Dice| {
        let mut all = elements(set);
        if !all.is_empty() {
            all.swap_remove(dice.below(all.len()));
        }
        Value::set(all)
    };
    let shift = |record: &Value, field: &str, dice: &mut Dice| {
        let by = if dice.below(2) == 0 { 1 } else { -1 };
        with(record, field, Value::Int((number(record, field) + by).max(0)))
    };
    match dice.below(12) {
        0 => state[1] = with(&state[1], "mail", drop_one(state[1].at("mail").unwrap(), dice)),
        1 => replicas[n] = with(&at, "held", drop_one(at.at("held").unwrap(), dice)),
        2 => replicas[n] = with(&at, "disk", drop_one(at.at("disk").unwrap(), dice)),
        3 => replicas[n] = with(&at, "role", Value::str("backup")),
        4 => replicas[n] = shift(&at, ["promise", "stored"][dice.below(2)], dice),
        5 => replicas[n] = shift(&at, ["durable", "commit", "applied", "base"][dice.below(4)], dice),
        6 => {
            // A word of somebody else, to somebody else, or of another epoch.
            if let Some(word) = dice.one(&said(&state, "mail")).cloned() {
                let word = match dice.below(4) {
                    0 => with(&word, "from", Value::Int(1 + dice.below(NODES as usize) as i64)),
                    1 => with(&word, "to", Value::Int(1 + dice.below(NODES as usize) as i64)),
                    2 => shift(&word, "epoch", dice),
                    _ => with(&word, "tail", shift(word.at("tail").unwrap(), "seq", dice)),
                };
                let mail = said(&state, "mail").into_iter().chain([word]);
                state[1] = with(&state[1], "mail", Value::set(mail));
            }
        }
        7 => {
            // Another's log.
            let other = replicas[dice.below(NODES as usize)].clone();
            for field in ["log", "disk", "durable"] {
                replicas[n] = with(&replicas[n], field, other.at(field).unwrap().clone());
            }
        }
        8 => {
            // A shorter log.
            let mut log = at.at("log").unwrap().items().unwrap().to_vec();
            log.pop();
            let log = Value::seq(log);
            replicas[n] = with(&with(&at, "log", log.clone()), "disk", Value::set([log]));
        }
        9 => {
            let mut leads = said(&state, "leads");
            if !leads.is_empty() {
                let which = dice.below(leads.len());
                let mut log = leads[which].at("log").unwrap().items().unwrap().to_vec();
                log.pop();
                leads[which] = with(&leads[which], "log", Value::seq(log));
                state[1] = with(&state[1], "leads", Value::set(leads));
            }
        }
        10 => state[2] = with(&state[2], "shown", drop_one(state[2].at("shown").unwrap(), dice)),
        _ => {
            let stand = Value::record([
                ("by", Value::Int(n as i64 + 1)),
                ("epoch", Value::Int(1 + dice.below(EPOCHS_MAX) as i64)),
            ]);
            let stands = said(&state, "stands").into_iter().chain([stand]);
            state[1] = with(&state[1], "stands", Value::set(stands));
        }
    }
    state[0] = Value::seq(replicas);
    state
}

fn holds(spec: &Spec, what: &str, state: &State) -> bool {
    // A changed state may be none at all, such as one with a durable entry behind the end of its log.
    spec.value(what, &[], state).and_then(|value| value.bool()).unwrap_or(false)
}

/// The lemmas, as the invariant names them.
fn lemmas() -> Vec<String> {
    let text = text();
    let (_, all) = text.split_once("\nInductive ==").expect("the invariant");
    let (all, _) = all.split_once("\n\\*").expect("what follows from it");
    all.split("/\\").map(|name| name.trim().to_string()).filter(|name| !name.is_empty()).collect()
}

/// Those that do not hold.
fn broken(spec: &Spec, state: &State) -> Vec<String> {
    lemmas().into_iter().filter(|lemma| !holds(spec, lemma, state)).collect()
}

/// The same state, or one not far from it, that satisfies the invariant.
fn drawn(whole: &Spec, from: &State, dice: &mut Dice) -> State {
    let mut state = from.clone();
    for _ in 0..dice.below(8) {
        let other = changed(&state, dice);
        if holds(whole, "Inductive", &other) {
            state = other;
        }
    }
    state
}

/// What came of drawing.
#[derive(Default)]
struct Drawn {
    states: u64,
    steps: u64,
    /// The first step that leads from a state that satisfies the invariant to one that does not.
    found: Option<String>,
}

/// Walks at random, and draws states along the way; from each it takes steps of `spec`.
fn draw(spec: &Spec, whole: &Spec, states: u64) -> Drawn {
    let mut all = Drawn::default();
    for walk in 1.. {
        let (mut dice, mut at) = (Dice(walk), whole.init().unwrap());
        for _ in 0..40 {
            if all.states == states {
                return all;
            }
            for _ in 0..30 {
                at = next(whole, &at, &mut dice).map_or(at, |next| next.2);
            }
            let state = drawn(whole, &at, &mut dice);
            all.states += 1;
            assert!(
                holds(whole, "Inductive", &state),
                "{:?} does not hold of {state:?}",
                broken(whole, &state)
            );
            assert!(holds(whole, "Implied", &state), "what follows from it does not hold of {state:?}");
            for _ in 0..40 {
                let Some((action, args, after)) = next(spec, &state, &mut dice) else { continue };
                all.steps += 1;
                if !holds(spec, "Inductive", &after) {
                    let what = broken(spec, &after).join(", ");
                    all.found = Some(format!("{action}{args:?} breaks {what}\nfrom {state:?}\nto {after:?}"));
                    return all;
                }
            }
        }
    }
    all
}

fn states(usual: u64) -> u64 {
    std::env::var("INDUCTIVE_STATES").ok().and_then(|states| states.parse().ok()).unwrap_or(usual)
}

#[test]
fn no_step_leads_out_of_the_invariant() {
    let spec = module(&[]);
    assert!(holds(&spec, "Inductive", &spec.init().unwrap()));
    let drawn = draw(&spec, &spec, states(2000));
    println!("{} steps from {} states", drawn.steps, drawn.states);
    assert_eq!(drawn.found, None);
    assert!(drawn.steps > 2000, "only {} steps", drawn.steps);
}

/// Draws until some step without the clause leads out of the invariant.
fn needed(id: &str, most: u64) {
    let drawn = draw(&module(&[id]), &module(&[]), states(most));
    let found = drawn.found.unwrap_or_else(|| panic!("{id}: no step of {} leads out", drawn.steps));
    println!("{id}, {} states: {}", drawn.states, found.lines().next().unwrap());
}

#[test]
fn without_a_clause_some_step_does() {
    for id in [
        "epoch-fence",
        "one-candidate-per-epoch",
        "durable-promise",
        "promise-majority",
        "majority-commit",
        "durable-ack",
        "truncate-only-on-conflict",
        "apply-only-committed",
        "frame-identity",
        "no-role-survives",
    ] {
        needed(id, 2000);
    }
}

/// These take minutes: `cargo test -p spec --test inductive -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes"]
fn without_one_of_these_some_step_does_too() {
    for id in [
        "most-complete-log",
        "log-matching",
        "truncate-on-conflict",
        "commit-within-match",
        "ack-bound-to-epoch",
    ] {
        needed(id, 60_000);
    }
}

/// What a replica takes for committed after a restart was committed in a promise that it still knows. With five replicas an
/// older primary could contradict it otherwise.
#[test]
fn a_checkpoint_in_a_promise_that_is_not_durable_would_break_d1() {
    let guard = "DurablePromise(n, at[n].promise) /\\ s \\in";
    assert!(text().contains(guard));
    let (whole, weak) = (read(&text(), 5, &[]), read(&text().replace(guard, "s \\in"), 5, &[]));
    let mut state = weak.init().unwrap();
    let int = Value::Int;
    let take = |state: &mut State, action: &str, args: &[Value]| {
        let after = weak.step(action, args, state).unwrap();
        *state = after.unwrap_or_else(|refused| panic!("{action}{args:?}: {refused:?}"));
    };
    let release = |state: &mut State, n: i64| {
        for word in elements(state[0].index(n).unwrap().at("held").unwrap()) {
            take(state, "Release", &[int(n), word]);
        }
    };
    let lead = |state: &State, epoch: i64| {
        said(state, "leads").into_iter().find(|lead| number(lead, "epoch") == epoch).expect("it leads")
    };
    let elect = |state: &mut State, by: i64, epoch: i64, voters: [i64; 2]| {
        take(state, "StepDown", &[int(by)]);
        take(state, "Stand", &[int(by), int(epoch)]);
        take(state, "StorePromise", &[int(by)]);
        let stand = Value::record([("by", int(by)), ("epoch", int(epoch))]);
        for voter in voters {
            let log = tail(state[0].index(voter).unwrap().at("log").unwrap());
            take(state, "GrantPromise", &[int(voter), stand.clone(), log]);
            take(state, "StorePromise", &[int(voter)]);
            release(state, voter);
        }
        for word in said(state, "mail") {
            if number(&word, "to") == by && number(&word, "epoch") == epoch {
                take(state, "CountPromise", &[int(by), word]);
            }
        }
        take(state, "Elect", &[int(by)]);
        take(state, "AppendMarker", &[int(by)]);
    };
    // n1 leads epoch 1 with entry 1 alone, n3 leads epoch 2 with another; n1 leads epoch 3, and commits.
    elect(&mut state, 1, 1, [4, 5]);
    elect(&mut state, 3, 2, [2, 4]);
    elect(&mut state, 1, 3, [4, 5]);
    take(&mut state, "Sync", &[int(1)]);
    for backup in [4, 5] {
        let lead = lead(&state, 3);
        take(&mut state, "Prepare", &[int(backup), lead, int(0), int(2), int(0), int(0)]);
        take(&mut state, "Sync", &[int(backup)]);
        release(&mut state, backup);
    }
    for word in said(&state, "mail") {
        if word.at("kind") == Ok(&Value::str("PrepareOk")) {
            take(&mut state, "CountAck", &[int(1), word]);
        }
    }
    take(&mut state, "CommitByCount", &[int(1), int(2)]);
    // n2 learns that entry 1 is committed, checkpoints it, and forgets epoch 3.
    let newest = lead(&state, 3);
    take(&mut state, "Prepare", &[int(2), newest, int(0), int(1), int(0), int(1)]);
    take(&mut state, "Sync", &[int(2)]);
    take(&mut state, "Apply", &[int(2)]);
    let refused = whole.step("Checkpoint", &[int(2), int(1)], &state).unwrap().unwrap_err();
    assert_eq!(refused.within.first().map(String::as_str), Some("DurablePromise"));
    take(&mut state, "Checkpoint", &[int(2), int(1)]);
    assert!(!holds(&weak, "Restart", &state), "the invariant notices it here");
    let left = elements(state[0].index(2).unwrap().at("disk").unwrap()).remove(0);
    take(&mut state, "Crash", &[int(2), left]);
    let stale = lead(&state, 2);
    take(&mut state, "Prepare", &[int(2), stale, int(0), int(1), int(1), int(1)]);
    assert!(!holds(&weak, "D1", &state));
}
