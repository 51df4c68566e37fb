//! A benchmark that is ended in the middle. Linux tells which processes it has started.

#![cfg(target_os = "linux")]

mod common;

use std::path::PathBuf;
use std::process::{Child, Stdio};

use common::{eventually, program};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// Ended and waited for, whatever the test finds; and so is the `up` that it started, once that is known.
struct Benchmark(Child, Option<Pid>);

impl Drop for Benchmark {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        self.1.map(|up| kill_process(up, Signal::TERM));
        let _ = self.0.wait();
    }
}

fn only_entry(folder: &std::path::Path) -> Option<PathBuf> {
    std::fs::read_dir(folder).ok()?.next()?.ok().map(|entry| entry.path())
}

#[test]
fn who_ends_a_benchmark_ends_all_that_it_has_started() {
    let home = tempfile::tempdir().unwrap();
    let mut benchmark = Benchmark(
        program()
            .args(["bench", "cluster", "--clients", "2", "--keys", "100", "--seconds", "600", "--dir"])
            .arg(home.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
        None,
    );
    let me = benchmark.0.id();
    benchmark.1 = Some(eventually("`up` runs, and its children", || {
        let manifest = only_entry(home.path())?.join("cutaway/cluster.json");
        let children = std::fs::read_to_string(format!("/proc/{me}/task/{me}/children")).ok()?;
        let up = Pid::from_raw(children.split_whitespace().next()?.parse().ok()?)?;
        manifest.exists().then_some(up)
    }));
    kill_process(Pid::from_child(&benchmark.0), Signal::TERM).unwrap();
    let status = eventually("the benchmark has ended", || benchmark.0.try_wait().unwrap());
    assert!(!status.success(), "what was not measured is not a result");
    let up = benchmark.1.unwrap();
    assert!(test_kill_process(up).is_err(), "`up` runs on, and with it all that it started");
    benchmark.1 = None;
    assert_eq!(only_entry(home.path()), None, "the images are still there");
}
