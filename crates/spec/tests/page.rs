//! `docs/spec.md` names only what there is: actions, functions, events, mechanisms.
//!
//! `UPDATE_STORIES=1 cargo test -p spec --test page` writes its table of rejected counterexamples anew.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use spec::{clause, cutaway, necessity};
use trace::{Kind, Mechanism};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The rows of the table that begins with this heading, as cells.
fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
    let rows = page.lines().skip_while(|line| !line.starts_with(heading)).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_string()).collect()).collect()
}

fn names(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn sources(folder: &Path, out: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_name_in_the_table_of_actions_is_one_in_the_sources() {
    let page = std::fs::read_to_string(root().join("docs/spec.md")).unwrap();
    let rows = table(&page, "| action |");
    let spec = cutaway(3).unwrap();
    let defined: BTreeSet<&str> = spec.definitions().collect();
    let mut code = String::new();
    ["dataplane", "node"]
        .iter()
        .for_each(|room| sources(&root().join("crates").join(room).join("src"), &mut code));
    assert!(rows.len() > 25, "only {} actions", rows.len());
    for row in rows {
        let [actions, messages, functions, events] = &row[..] else { panic!("{row:?}") };
        for action in names(actions) {
            assert!(defined.contains(action), "the specification defines no {action}");
        }
        for name in names(messages) {
            let variant = name.rsplit("::").next().unwrap();
            assert!(code.contains(variant), "there is no {name}");
        }
        for function in names(functions) {
            let name = function.rsplit("::").next().unwrap();
            assert!(code.contains(&format!("fn {name}")), "there is no {function}");
        }
        for event in names(events) {
            assert!(Kind::NAMES.contains(&event), "there is no event {event}");
        }
    }
}

/// Where the counterexample of each mechanism is rejected.
fn rejected() -> String {
    let mut table = String::from("| without | clause | action | told of by |\n|---|---|---|---|\n");
    for &mechanism in Mechanism::ALL {
        let Some(found) = necessity(mechanism).unwrap() else { continue };
        let clause = found.clause.map_or("(none)".to_string(), |clause| format!("`{}`", clause.variant()));
        let (kind, action) = (found.event.kind.name(), found.action);
        table.push_str(&format!("| `{mechanism}` | {clause} | `{action}` | `{kind}` |\n"));
    }
    table
}

#[test]
fn the_page_says_where_each_counterexample_is_rejected() {
    let place = root().join("docs/spec.md");
    let page = std::fs::read_to_string(&place).unwrap();
    let (before, rest) = page.split_once("<!-- rejected -->\n").expect("the table's place");
    let (_, after) = rest.split_once("<!-- end of rejected -->").expect("the table's end");
    let fresh = format!("{before}<!-- rejected -->\n\n{}\n<!-- end of rejected -->{after}", rejected());
    if std::env::var_os("UPDATE_STORIES").is_some() {
        std::fs::write(&place, &fresh).unwrap();
        return;
    }
    assert!(page == fresh, "docs/spec.md is out of date: UPDATE_STORIES=1 writes it anew");
}

#[test]
fn every_clause_is_needed_by_some_counterexample_or_is_explained() {
    let page = std::fs::read_to_string(root().join("docs/spec.md")).unwrap();
    let told: BTreeSet<String> = table(&page, "| without | clause |")
        .iter()
        .flat_map(|row| names(&row[0]))
        .map(str::to_string)
        .collect();
    assert!(told.len() >= 24, "{told:?}");
    for mechanism in cutaway(3).unwrap().definitions().filter_map(clause) {
        assert!(
            told.contains(mechanism.id()) || mechanism == Mechanism::NoRoleSurvives,
            "{mechanism} is a clause, and no counterexample is rejected at it"
        );
    }
}
