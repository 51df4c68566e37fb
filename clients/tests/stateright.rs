//! The histories of `torture`, judged by a checker that is not ours: the linearizability tester of Stateright. It shares
//! neither code nor search with `sim::checkers::linearizability`, and knows nothing of versions: a register that has a value
//! or none.
//!
//! It remembers no state that it has seen, so histories with many writes of unknown outcome are left to ours.

#[path = "../../crates/cutaway/tests/common/mod.rs"]
mod common;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

/// Writes of unknown outcome on a key, at most.
const UNKNOWN_MAX: usize = 2;

/// A key's value.
#[derive(Clone)]
struct Register(Option<u64>);

#[derive(Clone, Debug)]
enum Op {
    Put(u64),
    PutIfAbsent(u64),
    Delete,
    Get,
}

#[derive(Clone, Debug, PartialEq)]
enum Ret {
    Stored,
    Refused,
    Deleted(bool),
    Read(Option<u64>),
}

impl SequentialSpec for Register {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        match *op {
            Op::PutIfAbsent(_) if self.0.is_some() => Ret::Refused,
            Op::Put(value) | Op::PutIfAbsent(value) => {
                self.0 = Some(value);
                Ret::Stored
            }
            Op::Delete => Ret::Deleted(self.0.take().is_some()),
            Op::Get => Ret::Read(self.0),
        }
    }
}

fn op(line: &Value) -> Op {
    let value = || line["value"].as_u64().expect("a put stores something");
    match (line["call"].as_str().unwrap(), line["condition"].as_str()) {
        ("put", Some("absent")) => Op::PutIfAbsent(value()),
        ("put", None) => Op::Put(value()),
        ("delete", None) => Op::Delete,
        ("get", None) => Op::Get,
        other => panic!("nobody asks {other:?}"),
    }
}

/// What was told; `None`: nothing for sure.
fn ret(line: &Value) -> Option<Ret> {
    Some(match line["told"].as_str().unwrap() {
        "written" => Ret::Stored,
        "refused" | "condition failed" => Ret::Refused,
        "deleted" => Ret::Deleted(true),
        "was absent" => Ret::Deleted(false),
        "value" => Ret::Read(line["read"].as_u64()),
        "missing" => Ret::Read(None),
        "unknown" => return None,
        other => panic!("nobody is told {other:?}"),
    })
}

/// Judges the operations on one key; `None`: they are too many of unknown outcome.
fn judge(lines: &[Value]) -> Option<bool> {
    let lines: Vec<&Value> = lines.iter().filter(|line| line["told"] != "not done").collect();
    let mut moments: Vec<(u64, usize, bool)> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        moments.push((line["called"].as_u64().unwrap(), at, true));
        moments.push((line["returned"].as_u64().unwrap(), at, false));
    }
    moments.sort_unstable();
    let unknown = lines.iter().filter(|line| ret(line).is_none()).count();
    if unknown > UNKNOWN_MAX {
        return None;
    }
    // One that never returns is asked by somebody who asks nothing else; those come last, and are tried last.
    let who = |at: usize| {
        let client = lines[at]["client"].as_u64().unwrap() as usize;
        if ret(lines[at]).is_some() { client } else { 1_000_000 + at }
    };
    let mut tester = LinearizabilityTester::new(Register(None));
    for (_, at, called) in moments {
        let told = if called {
            tester.on_invoke(who(at), op(lines[at])).map(|_| ())
        } else {
            ret(lines[at]).map_or(Ok(()), |ret| tester.on_return(who(at), ret).map(|_| ()))
        };
        told.expect("a client asks one thing after the other");
    }
    Some(tester.is_consistent())
}

fn line(
    client: u64,
    call: &str,
    value: Option<u64>,
    moments: [u64; 2],
    told: &str,
    read: Option<u64>,
) -> Value {
    let [called, returned] = moments;
    json!({"client": client, "call": call, "value": value, "called": called, "returned": returned, "told": told, "read": read})
}

#[test]
fn it_refutes_a_stale_read_and_a_lost_write_and_grants_an_unknown_one() {
    let put = |value, moments, told| line(1, "put", Some(value), moments, told, None);
    let read = |value, moments| line(2, "get", None, moments, "value", Some(value));
    let (one, two) = (put(1, [0, 1], "written"), put(2, [2, 3], "written"));
    assert_eq!(judge(&[one.clone(), two.clone(), read(2, [4, 5])]), Some(true));
    assert_eq!(judge(&[one.clone(), two.clone(), read(1, [4, 5])]), Some(false), "stale");
    let missing = line(2, "get", None, [4, 5], "missing", None);
    assert_eq!(judge(&[one.clone(), missing.clone()]), Some(false), "lost");
    assert_eq!(judge(&[put(1, [0, 1], "unknown"), missing]), Some(true));
    assert_eq!(
        judge(&[one.clone(), put(2, [2, 3], "unknown"), read(1, [4, 5]), read(2, [6, 7])]),
        Some(true)
    );
    assert_eq!(judge(&[one, two, put(3, [4, 5], "not done"), read(3, [6, 7])]), Some(false));
}

#[test]
fn what_clients_were_told_under_faults_is_linearizable_for_it_too() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("torture");
    let output = common::program()
        .args(["torture", "--keep", "--seconds", "10", "--seed", "5", "--clients", "6"])
        .args(["--faults", "kill-primary,isolate-primary,mute-primary,lose-frames,reorder-frames", "--dir"])
        .arg(&dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let history = std::fs::read_to_string(dir.join("history.jsonl")).unwrap();
    let mut keys: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in history.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        keys.entry(line["key"].as_str().unwrap().to_string()).or_default().push(line);
    }
    let (mut judged, mut tampered) = (0, 0);
    for (key, lines) in &keys {
        let Some(holds) = judge(lines) else { continue };
        judged += 1;
        assert!(holds, "{key}: {lines:#?}");
        // The same history with another answer in it is refuted: the value of a later write, read before that was asked for.
        let later = lines.iter().rev().find(|line| line["call"] == "put" && line["told"] == "written");
        let early = later.and_then(|later| {
            let early = |line: &Value| {
                line["told"] == "value" && line["returned"].as_u64() < later["called"].as_u64()
            };
            lines.iter().position(early).map(|at| (at, later["value"].clone()))
        });
        if let Some((at, value)) = early.filter(|_| tampered < 20) {
            let mut wrong = lines.clone();
            wrong[at]["read"] = value;
            assert_eq!(judge(&wrong), Some(false), "{key}");
            tampered += 1;
        }
    }
    println!("{judged} of {} keys judged, {tampered} of them once more with a wrong answer", keys.len());
    assert!(judged > 96 && tampered > 5, "{judged} {tampered}");
}
