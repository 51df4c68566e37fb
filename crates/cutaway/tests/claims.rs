//! `why --all --json`: what scripts rely on, and no claim that is not known to be true.

mod common;

use serde_json::Value;

#[test]
fn every_line_says_how_its_schedule_was_found_and_whether_it_is_the_shortest() {
    let output = common::program().args(["why", "--all", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), trace::Mechanism::ALL.len());
    let keys = [
        "id",
        "class",
        "verdict",
        "steps",
        "promise",
        "checker",
        "held_with_mechanism_on",
        "minimal_checked",
        "millis",
        "found_by",
        "minimal",
    ];
    for row in &rows {
        assert!(keys.iter().all(|key| row.get(key).is_some()), "{row}");
        let found = row["found"].as_str().unwrap_or_default();
        let (by, minimal) = (row["found_by"].as_str(), row["minimal"].as_str());
        match row["verdict"].as_str().unwrap() {
            "counterexample" => {
                assert!(matches!(by, Some("exhaustive" | "seed" | "hand")), "{row}");
                let shortest = by == Some("exhaustive") && !found.contains("then shortened");
                assert_eq!(minimal, Some(if shortest { "shortest" } else { "1-minimal" }), "{row}");
            }
            "seed" => assert_eq!((by, minimal), (Some("seed"), None), "{row}"),
            _ => assert_eq!((by, minimal), (None, None), "{row}"),
        }
    }
    for by in ["exhaustive", "hand"] {
        assert!(rows.iter().any(|row| row["found_by"] == by), "{by}");
    }
}
