//! `torture`: real processes under faults, and what is left of it.
//!
//! For as long as one likes: `cutaway torture --seconds 3600`.

mod common;

use serde_json::Value;

#[test]
fn a_few_seconds_of_faults_break_no_promise_and_leave_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let (dir, page) = (home.path().join("torture"), home.path().join("page.html"));
    let torture = || {
        let mut torture = common::program();
        torture
            .args(["torture", "--json", "--seconds", "8", "--seed", "3", "--clients", "6", "--dir"])
            .arg(&dir);
        torture
    };
    let output = torture().arg("--html").arg(&page).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["broken"], &report["seed"]), (&Value::Null, &3.into()), "{report}");
    assert!(report["answered"].as_u64().unwrap() > 50 && report["keys"].as_u64().unwrap() >= 96, "{report}");
    assert!(!report["faults"].as_array().unwrap().is_empty(), "{report}");
    assert!(!dir.exists(), "a run in which all is well leaves no folder");
    let page = std::fs::read_to_string(&page).unwrap();
    assert!(page.contains("<polyline") && page.contains("<rect") && !page.contains("<script"), "{page}");
    // A folder that is there is somebody's.
    std::fs::create_dir(&dir).unwrap();
    let output = torture().output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("next: name another folder"), "{told}");
}
