//! A seed that breaks a promise, from the search to the page: shrunk, saved, played, traced, viewed.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn cutaway(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cutaway")).args(args).output().expect("it runs")
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    (text(&output.stdout), text(&output.stderr))
}

/// The data of a page that `view` wrote.
fn page(file: &Path) -> Value {
    let page = std::fs::read_to_string(file).unwrap();
    let (_, data) = page.rsplit_once("<script type=\"application/json\"").expect("the run");
    let (_, data) = data.split_once('>').unwrap();
    serde_json::from_str(data.split_once("</script>").unwrap().0).expect("JSON")
}

#[test]
fn a_shrunk_seed_is_saved_played_traced_and_viewed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (schedule, trace, html) = (path("a.schedule"), path("a.jsonl"), path("a.html"));
    let id = "durable-promise";
    let output = cutaway(&["sim", "--seeds", "40", "--without", id, "--shrink", "--out", &schedule]);
    let (out, error) = said(&output);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(!out.contains("Fault::") && !out.contains(" { "), "no debug output: {out}");
    assert!(error.contains(&format!("play {schedule} --without {id}")), "the next command: {error}");
    let saved = std::fs::read_to_string(&schedule).unwrap();
    assert!(out.contains(&saved), "what is saved is what was shown:\n{out}\n{saved}");
    assert!(saved.starts_with("# A schedule of cutaway sim: seed ") && saved.contains("> at "), "{saved}");
    let verdict = saved.lines().find_map(|line| line.strip_prefix("# BROKEN")).expect("how it ended");

    // It breaks the same promise, in the same words, and with the mechanism none.
    let output = cutaway(&["play", &schedule, "--without", id, "--trace", &trace]);
    let (out, error) = said(&output);
    assert!(output.status.success(), "{error}");
    assert!(out.contains(&format!("\nBROKEN{verdict}\n")), "{out}\n{verdict}");
    assert!(out.contains("world injects a fault: "), "{out}");
    assert!(out.trim_end().lines().rev().nth(2).unwrap().contains("world sees promise P1 broken"), "{out}");
    let (held, _) = said(&cutaway(&["play", &schedule]));
    assert!(held.contains("\nHELD "), "{held}");

    let last = std::fs::read_to_string(&trace).unwrap().lines().last().unwrap().to_string();
    let last: Value = serde_json::from_str(&last).unwrap();
    assert_eq!((&last["kind"], &last["facts"]["invariant"]), (&"promise_broken".into(), &"D3".into()));
    assert!(cutaway(&["view", &trace, "--html", &html]).status.success());
    let data = page(Path::new(&html));
    let lanes: Vec<_> = data["lanes"].as_array().unwrap().iter().map(|l| l.as_str().unwrap()).collect();
    assert!(lanes.contains(&"n1/0") && lanes.contains(&"world"), "{lanes:?}");

    // A file that somebody else wrote stays as it is.
    std::fs::write(&schedule, "precious\n").unwrap();
    let output = cutaway(&["sim", "--seeds", "40", "--without", id, "--shrink", "--out", &schedule]);
    assert!(said(&output).1.contains("left as it is"), "{output:?}");
    assert_eq!(std::fs::read_to_string(&schedule).unwrap(), "precious\n");
}

#[test]
fn a_wrong_line_of_a_simulation_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.schedule").display().to_string();
    std::fs::write(&file, "> simulation 1\n> at 1s isolat n1 for 20ms\n").unwrap();
    let output = cutaway(&["play", &file]);
    let (_, error) = said(&output);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("line 2: `isolat` cannot stand there; what can: `kill`"), "{error}");
}

/// Of the columns of a row: its lane, and whether a message was lost on the way to it.
#[test]
fn every_lost_message_is_drawn_in_the_lane_that_it_was_going_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (trace, html) = (path("seed.jsonl"), path("seed.html"));
    assert!(cutaway(&["sim", "--seed", "2", "--trace", &trace]).status.success());
    assert!(cutaway(&["view", &trace, "--html", &html]).status.success());
    let text = std::fs::read_to_string(&trace).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let run = page(Path::new(&html));
    let lanes = run["lanes"].as_array().unwrap();
    assert!(
        ["c1", "c4", "g1", "n1/0", "world"].iter().all(|lane| lanes.contains(&Value::from(*lane))),
        "{lanes:?}"
    );
    let mut lost = 0;
    for (event, row) in events.iter().zip(run["rows"].as_array().unwrap()) {
        if event["kind"] != "message_lost" {
            continue;
        }
        let lane = |at: &Value| lanes[at.as_u64().unwrap() as usize].clone();
        assert_eq!(lane(&row[10][0]), event["facts"]["from"], "{event}");
        assert_eq!(lane(&row[10][1]), event["facts"]["to"], "{event}");
        lost += 1;
    }
    assert!(lost > 100, "{lost} lost messages");
}

/// What a campaign says of itself.
fn campaign(args: &[&str], exits: i32) -> Value {
    let output = cutaway(&[&["sim", "--json"], args].concat());
    assert_eq!(output.status.code(), Some(exits), "{args:?}: {}", said(&output).1);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_folders_of_two_workers_come_to_what_one_would_have_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (one, other, both, alone) = (path("one"), path("other"), path("both"), path("alone"));
    // Two blocks, cut where blocks are cut: at multiples of a thousand.
    campaign(&["--seeds", "940..1000", "--out", &one], 0);
    campaign(&["--seeds", "1000..1060", "--out", &other], 0);
    let merged = campaign(&["--seeds", "940..1060", "--out", &both, "--merge", &one, "--merge", &other], 0);
    assert_eq!((&merged["seeds"], &merged["found"]), (&120.into(), &2.into()), "nothing was run again");
    let mut whole = campaign(&["--seeds", "940..1060", "--out", &alone], 0);
    assert_eq!(whole["found"], 0);
    whole["found"] = 2.into();
    assert_eq!(merged, whole);
    // Again: all of it is there. And what one block lacks is run.
    assert_eq!(campaign(&["--seeds", "940..1060", "--out", &both], 0), merged);
    std::fs::remove_file(folder.path().join("both/940..1000.json")).unwrap();
    let again = campaign(&["--seeds", "940..1060", "--out", &both], 0);
    assert_eq!((&again["found"], &again["faults"]), (&1.into(), &merged["faults"]));
}

#[test]
fn a_campaign_goes_on_behind_a_violation_and_takes_no_block_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out").display().to_string();
    let args = ["--seeds", "60", "--without", "majority-commit", "--out", &out];
    let found = campaign(&args, 1);
    assert_eq!(found["seeds"], 60, "all seeds are run");
    assert!(found["violations"].as_u64() > Some(1), "{found}");
    let seeds: Vec<u64> =
        found["violating"].as_array().unwrap().iter().map(|v| v["seed"].as_u64().unwrap()).collect();
    assert!(seeds.is_sorted() && seeds.last() < Some(&60), "{seeds:?}");
    // The same folder for runs with the mechanism on would mix the two.
    let output = cutaway(&["sim", "--seeds", "60", "--out", &out]);
    let (_, error) = said(&output);
    assert!(error.contains("0..60.json is no block of this campaign") && error.contains("next: "), "{error}");
}
