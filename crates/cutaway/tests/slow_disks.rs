//! Real processes on disks whose every sync takes its time: a library that is loaded before all others delays them.
//!
//! `SLOW_SYNCS="1 10 30 100 300 1000" cargo test -p cutaway --test slow_disks -- --nocapture` prints the table of
//! docs/performance.md.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use common::{Cluster, ok, signal};
use rustix::process::Signal;

const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>
static void wait_first(void) {
    const char *ms = getenv("SLOW_SYNC_MS");
    if (ms) usleep(1000u * (unsigned)atoi(ms));
}
int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    wait_first();
    return real(fd);
}
int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    wait_first();
    return real(fd);
}
"#;

/// The library, if this machine has a C compiler and programs take it.
fn shim(home: &Path) -> Option<PathBuf> {
    let (source, library) = (home.join("slow.c"), home.join("slow.so"));
    std::fs::write(&source, SHIM).unwrap();
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl").status();
    built.is_ok_and(|status| status.success()).then_some(library)
}

/// Milliseconds from the start of `up` to its word, and from a kill of the primary to the next write that is done.
fn time_to_serve(library: &Path, sync: u64) -> (u128, u128) {
    let begun = Instant::now();
    let cluster = Cluster::with_variables(&[
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("SLOW_SYNC_MS", &sync.to_string()),
    ]);
    let cold = begun.elapsed().as_millis();
    assert!(cluster.shard(0)["primary"].is_string(), "`up` says that it is up when every shard serves");
    let mut redis = cluster.redis(1);
    assert_eq!(redis.call(&["SET", "before", "1"]), ok());
    let old = cluster.primary(0, None);
    signal(cluster.pid(&old), Signal::KILL);
    let killed = Instant::now();
    let mut tries = 0;
    while redis.call(&["SET", "after", "2"]) != ok() {
        tries += 1;
        assert!(tries < 6, "no takeover succeeds with syncs of {sync} ms");
    }
    let after = killed.elapsed().as_millis();
    assert_ne!(cluster.primary(0, None), old);
    (cold, after)
}

#[test]
fn a_takeover_succeeds_however_long_a_sync_takes() {
    let home = tempfile::tempdir().unwrap();
    let Some(library) = shim(home.path()) else {
        return println!("*** SKIPPED: slow disks need a C compiler (cc)");
    };
    let syncs = std::env::var("SLOW_SYNCS").unwrap_or("40 150".into());
    for sync in syncs.split_whitespace().map(|sync| sync.parse().unwrap()) {
        let (cold, killed) = time_to_serve(&library, sync);
        println!("| {sync} ms | {cold} | {killed} |");
    }
}
