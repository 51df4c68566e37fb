//! The TLA+ specification and the code speak of the same mechanisms.

use std::path::{Path, PathBuf};

use trace::Mechanism;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

/// `epoch-fence` as TLA+ writes it: `EpochFence`.
fn clause(mechanism: Mechanism) -> String {
    let part = |part: &str| part[..1].to_uppercase() + &part[1..];
    mechanism.id().split('-').map(part).collect()
}

#[test]
fn a_scope_that_takes_a_clause_out_names_a_mechanism_that_has_one() {
    let text = read("spec/Cutaway.tla") + &read("spec/Device.tla");
    let mut named = 0;
    for line in
        read("spec/scopes").lines().filter(|line| line.contains("| broken |") || line.contains("| sought |"))
    {
        let name = line.split('|').next().unwrap().trim();
        let ids = name.split('+');
        for id in ids {
            let mechanism =
                Mechanism::from_id(id).unwrap_or_else(|| panic!("`{id}` of spec/scopes is no mechanism"));
            assert!(text.contains(&clause(mechanism)), "no clause {} for {id}", clause(mechanism));
            named += 1;
        }
    }
    assert!(named > 30, "{named} scopes take a clause out");
}

#[test]
fn the_specification_can_be_read_in_half_an_hour() {
    for name in ["spec/Cutaway.tla", "spec/Device.tla"] {
        let lines = read(name).lines().count();
        assert!(lines <= 400, "{name} has {lines} lines");
    }
}

#[test]
fn the_functions_and_events_that_the_page_maps_exist() {
    let page = read("docs/spec.md");
    let rows = page.split("## Actions").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut events = 0;
    for row in rows.lines().filter(|row| row.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        for name in
            cells[3].split('`').filter(|name| name.chars().all(char::is_alphanumeric) && !name.is_empty())
        {
            assert!(trace::Kind::NAMES.contains(&name), "docs/spec.md: there is no event {name}");
            events += 1;
        }
    }
    assert!(events > 25, "{events} events are mapped");
}
