//! `check` on the command line: stopped, saved, gone on with.

mod common;
#[path = "common/terminal.rs"]
mod tty;

use std::path::Path;
use std::process::Output;

use common::program;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tty::{Terminal, plain};

/// For [`tty`].
pub use common::PATIENCE;

fn check(args: &[&str]) -> Output {
    program().arg("check").args(args).output().unwrap()
}

fn result(args: &[&str]) -> Value {
    let output = check(&[args, &["--json"]].concat());
    let mut result: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{args:?}: {}", String::from_utf8_lossy(&output.stderr)));
    // How fast it went is another matter.
    result.as_object_mut().unwrap().remove("rate");
    result
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn ctrl_c_prints_the_result_so_far_and_saves_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("five.check");
    let path = file.to_str().unwrap();
    let mut five = program();
    five.args(["check", "--scope", "five-wipe", "--save", path]);
    let mut terminal = Terminal::run(five, 120);
    terminal.wait_for("estimate: ");
    let pid = Pid::from_raw(terminal.id() as i32).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let (screen, status) = terminal.end();
    let screen = plain(&screen);
    assert_eq!(status.code(), Some(130), "{screen}");
    for expected in
        ["states/s", "no violation so far in every schedule of up to ", "saved in ", "check --resume "]
    {
        assert!(screen.contains(expected), "no {expected:?} in\n{screen}");
    }
    let held = std::fs::metadata(&file).unwrap().len();
    assert!(held > 100, "{held} bytes");
    let on = result(&["--resume", path, "--states", "1"]);
    assert_eq!((&on["scope"], &on["complete"]), (&"five-wipe".into(), &false.into()));
    assert!(on["states"].as_u64().unwrap() > 100, "{on}");
    // Nothing else is left behind.
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn stopped_by_a_bound_and_gone_on_with_it_ends_as_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("part.check");
    let path = file.to_str().unwrap();
    let part = result(&["--scope", "takeover", "--states", "500", "--save", path]);
    assert_eq!((&part["complete"], &part["stopped"]), (&false.into(), &false.into()), "{part}");
    let bound = ["--states", "40000"];
    let resumed = result(&[&["--resume", path][..], &bound].concat());
    assert_eq!(resumed, result(&[&["--scope", "takeover"][..], &bound].concat()));
    assert!(resumed["states"].as_u64().unwrap() >= 40_000, "{resumed}");
    // A mechanism that was out stays out.
    let out = ["--scope", "takeover", "--without", "durable-promise"];
    let part = result(&[&out[..], &["--states", "500", "--save", path]].concat());
    assert_eq!(part["violations"], 0, "it is found behind the stop: {part}");
    let (resumed, whole) = (check(&["--resume", path]), check(&out));
    let steps = |output: &Output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.split_once("broken:").map(|(_, told)| told.to_string()).expect("a violation")
    };
    assert_eq!(steps(&resumed), steps(&whole));
    assert!(error(&resumed).contains("--scope takeover --without durable-promise"), "{}", error(&resumed));
    assert_eq!(resumed.status.code(), Some(1));
}

#[test]
fn a_device_is_saved_and_gone_on_with_by_the_same_build() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("device.check");
    let path = file.to_str().unwrap();
    result(&["--scope", "device", "--states", "20000", "--save", path]);
    let on = result(&["--resume", path, "--states", "30000"]);
    assert!(on["scope"] == "device" && on["states"].as_u64().unwrap() >= 30_000, "{on}");
}

#[test]
fn a_file_that_is_not_right_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_string()
    };
    let notes = write("notes.txt", b"mine\n");
    let refused = check(&["--resume", &notes]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(error(&refused).contains("no file that `check --save`"), "{}", error(&refused));

    let good = dir.path().join("good.check");
    result(&["--scope", "takeover", "--states", "100", "--save", good.to_str().unwrap()]);
    let mut bytes = std::fs::read(&good).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let refused = check(&["--resume", &write("rotten.check", &bytes)]);
    assert_eq!(refused.status.code(), Some(4));
    assert!(error(&refused).contains("damaged"), "{}", error(&refused));

    let missing = check(&["--resume", dir.path().join("nowhere").to_str().unwrap()]);
    assert_eq!(missing.status.code(), Some(1));
    let both = check(&["--resume", good.to_str().unwrap(), "--scope", "takeover"]);
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn a_file_of_something_else_is_not_written_over_and_one_that_cannot_be_is_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let notes = dir.path().join("notes.txt");
    std::fs::write(&notes, "mine\n").unwrap();
    // Hours of work would be lost if this were noticed at the end.
    let refused = check(&["--scope", "figure-8-wide", "--save", notes.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(error(&refused).contains("left as it is"), "{}", error(&refused));
    assert_eq!(std::fs::read(&notes).unwrap(), b"mine\n");
    let nowhere = dir.path().join("no/folder/x.check");
    assert!(!Path::new(&nowhere).exists());
    assert_eq!(
        check(&["--scope", "figure-8-wide", "--save", nowhere.to_str().unwrap()]).status.code(),
        Some(1)
    );
}
