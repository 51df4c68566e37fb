//! Syncs of a second, on the real hosts: a library is loaded before the C library's own `fdatasync`, and waits.

#![cfg(target_os = "linux")]

mod common;

use std::path::Path;
use std::process::Command;

use common::*;

/// Names the file that says how many milliseconds a sync takes.
const DELAY: &str = "CUTAWAY_TEST_SYNC_MILLIS";

const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static void wait_a_little(void) {
    const char *path = getenv("CUTAWAY_TEST_SYNC_MILLIS");
    FILE *file = path ? fopen(path, "r") : NULL;
    int millis = 0;
    if (file) {
        if (fscanf(file, "%d", &millis) != 1) millis = 0;
        fclose(file);
    }
    usleep(millis * 1000);
}
int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    wait_a_little();
    return real(fd);
}
"#;

#[test]
fn a_disk_that_becomes_slow_costs_time_and_no_takeover() {
    if let Some(delay) = std::env::var_os(DELAY) {
        return inside(Path::new(&delay));
    }
    let folder = tempfile::tempdir().unwrap();
    let [source, shim, delay] = ["shim.c", "shim.so", "delay"].map(|name| folder.path().join(name));
    std::fs::write(&source, SHIM).unwrap();
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&shim).arg(&source).arg("-ldl").status();
    if !built.is_ok_and(|status| status.success()) {
        return println!("*** SKIPPED: there is no C compiler to build the library that slows syncs down");
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_disk_that_becomes_slow_costs_time_and_no_takeover", "--nocapture"])
        .env(DELAY, &delay)
        .env("LD_PRELOAD", &shim)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stdout));
}

fn inside(delay: &Path) {
    let cluster = Cluster::new();
    let mut client = cluster.client();
    assert_eq!(client.call(&["SET", "k", "quick"]), "+OK");
    let epoch = cluster.epoch();
    std::fs::write(delay, "1000").unwrap();
    for n in 0..4 {
        assert_eq!(client.call(&["SET", "k", &format!("slow {n}")]), "+OK");
    }
    assert_eq!(client.call(&["GET", "k"]), "slow 3");
    assert_eq!(cluster.epoch(), epoch, "no takeover");
    std::fs::write(delay, "0").unwrap();
}
