//! `museum`: what a person and what a script gets of it.

mod common;

use std::process::Output;

use serde_json::Value;

fn museum(args: &[&str]) -> Output {
    common::program().arg("museum").args(args).output().unwrap()
}

fn told(args: &[&str]) -> String {
    let output = museum(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_list_fits_a_terminal_and_tells_what_cannot_be_shown() {
    let text = told(&[]);
    let (shown, others) = text.split_once("Not in the core:").unwrap();
    assert!(shown.lines().count() > 12, "{shown}");
    assert!(others.contains("removed-and-added-again"), "{others}");
    // The last line holds the path by which the program was called.
    for line in text.lines().filter(|line| !line.contains("museum EXHIBIT")) {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
    }
}

#[test]
fn a_line_of_json_for_each_exhibit_says_that_it_broke_and_that_it_was_held() {
    let text = told(&["--json"]);
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows.len() >= 12, "{}", rows.len());
    for row in rows {
        for key in ["id", "title", "citation", "guard", "broken", "seen"] {
            assert!(row[key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {row}");
        }
        assert_eq!(
            (&row["broken_without"], &row["held_with"]),
            (&Value::Bool(true), &Value::Bool(true)),
            "{row}"
        );
        assert!(row["citation"].as_str().unwrap().contains("http"), "{row}");
    }
    let one: Value = serde_json::from_str(&told(&["removed-and-added-again", "--json"])).unwrap();
    assert!(one["missing"].as_str().unwrap().contains("count at once"), "{one}");
}

#[test]
fn an_exhibit_is_told_played_and_shown_by_its_id() {
    let story = told(&["github-43-seconds"]);
    for needed in
        ["Seen         ", "Published    ", "github.blog", "Differs      ", "With it on   ", "guard.rs:"]
    {
        assert!(story.contains(needed), "no `{needed}`:\n{story}");
    }
    // Its schedule is a schedule like any other.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine");
    std::fs::write(&file, told(&["github-43-seconds", "--schedule"])).unwrap();
    let play = |what: &str, without: &[&str]| {
        let output = common::program().args(["play", what, "--plain"]).args(without).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let without = ["--without", "majority-commit"];
    assert_eq!(play("github-43-seconds", &without), play(file.to_str().unwrap(), &without));
    assert!(play("github-43-seconds", &without).contains("BROKEN  P1"));
    assert!(play("github-43-seconds", &[]).contains("HELD"));
    let page = folder.path().join("both.html");
    told(&["github-43-seconds", "--html", page.to_str().unwrap()]);
    assert!(std::fs::read_to_string(&page).unwrap().contains("cut n1 n2"));
}

#[test]
fn what_cannot_be_asked_for_says_why_and_what_to_do_next() {
    for (args, code, words) in [
        (&["fsyncgat"][..], 2, "did you mean fsyncgate?"),
        (&["removed-and-added-again", "--schedule"], 1, "this code does not have"),
        (&["--schedule"], 2, "EXHIBIT"),
    ] {
        let output = museum(args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {error}");
        assert!(error.contains(words) && !error.contains("panicked"), "{args:?}: {error}");
    }
}
