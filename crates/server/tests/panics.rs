//! A failed assertion ends the process, in whatever thread it fails.

use std::process::Command;
use std::time::Duration;

const INSIDE: &str = "CUTAWAY_TEST_OF_PANICS";

#[test]
fn a_panic_in_any_thread_ends_the_process_with_its_message() {
    if std::env::var_os(INSIDE).is_some() {
        server::child::end_with_panics();
        let _ = std::thread::spawn(|| panic!("an invariant is broken"));
        std::thread::sleep(Duration::from_secs(60));
        std::process::exit(0);
    }
    let name = "a_panic_in_any_thread_ends_the_process_with_its_message";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("an invariant is broken"), "{}: {told}", output.status);
}
