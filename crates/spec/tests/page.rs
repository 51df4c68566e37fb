//! `docs/spec.md` names only what there is: actions, functions, events, mechanisms.
//!
//! `UPDATE_STORIES=1 cargo test -p spec --test page` writes its tables anew, but for what a person wrote in them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use lab::Schedule;
use sim::Options;
use spec::{Checker, Verdict, clause, cutaway, necessity, without};
use trace::{Kind, Mechanism, Mechanisms};

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
        let [actions, messages, functions, events, ..] = &row[..] else { panic!("{row:?}") };
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

/// What was found without each clause: the code's counterexample without the mechanism, the same run against the specification
/// without the clause, and what searches found (`spec/found`).
fn necessity_table() -> String {
    let found = std::fs::read_to_string(root().join("spec/found")).unwrap();
    let of = |kind: &str, id: &str| -> Vec<String> {
        let mut rows = found.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let row = rows.rfind(|words| words.len() > 2 && words[0] == kind && words[1] == id);
        row.map_or(Vec::new(), |words| words[2..].iter().map(|word| word.to_string()).collect())
    };
    let mut table = String::from(
        "| without | the code is rejected at | told of by | the same run breaks | TLC, by search | z3: not kept |\n\
         |---|---|---|---|---|---|\n",
    );
    let clauses: BTreeSet<Mechanism> = cutaway(3).unwrap().definitions().filter_map(clause).collect();
    for mechanism in Mechanism::ALL.iter().filter(|mechanism| clauses.contains(mechanism)) {
        let id = mechanism.id();
        let rejected =
            necessity(*mechanism).unwrap().map_or(["–".to_string(), "–".to_string()], |found| {
                let clause =
                    found.clause.map_or("(none)".to_string(), |clause| format!("`{}`", clause.variant()));
                [format!("{clause} in `{}`", found.action), format!("`{}`", found.event.kind.name())]
            });
        let broken = without(*mechanism).unwrap().and_then(|verdict| verdict.violated);
        let broken =
            broken.map_or("–".to_string(), |(invariant, steps)| format!("{invariant}, {steps} steps"));
        let tlc = match &of("tlc", id)[..] {
            [_, invariant, steps, states] => format!("{invariant}, {steps} steps, {states} states"),
            _ => "–".to_string(),
        };
        let z3 = match &of("z3", id)[..] {
            [action, lemma] => format!("`{lemma}` by `{action}`"),
            _ => "–".to_string(),
        };
        table += &format!("| `{id}` | {} | {} | {broken} | {tlc} | {z3} |\n", rejected[0], rejected[1]);
    }
    table
}

/// The lines of a definition, from its name on.
fn definition<'a>(name: &str, text: &'a str) -> Option<&'a str> {
    let begins = |line: &str| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with('(') || rest.starts_with(" =="))
    };
    let mut lines = text.split_inclusive('\n').scan(0, |at, line| {
        *at += line.len();
        Some((*at - line.len(), line))
    });
    let (start, _) = lines.find(|(_, line)| begins(line))?;
    let rest = &text[start..];
    let end = rest.match_indices('\n').map(|(at, _)| at).find(|at| !rest[at + 1..].starts_with(' '));
    Some(&rest[..end.unwrap_or(rest.len())])
}

/// The clauses that an action asks for, itself or by what it is made of.
fn clauses_of(action: &str, seen: &mut BTreeSet<String>, out: &mut BTreeSet<Mechanism>) {
    let Some(text) = definition(action, spec::CUTAWAY) else { return };
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        match clause(word) {
            Some(mechanism) => _ = out.insert(mechanism),
            None if seen.insert(word.to_string()) => clauses_of(word, seen, out),
            None => {}
        }
    }
}

/// Where each action is taken: the shortest story that takes it, or else the first counterexample (with its mechanism), or seed.
fn tests_of_actions() -> BTreeMap<String, String> {
    let mut first = BTreeMap::new();
    let mut note = |verdict: Verdict, what: String| {
        for action in verdict.actions {
            first.entry(action).or_insert_with(|| what.clone());
        }
    };
    let mut stories: Vec<(u64, String, Verdict)> = Vec::new();
    for file in std::fs::read_dir(root().join("stories")).unwrap() {
        let file = file.unwrap().path();
        let schedule: Schedule = std::fs::read_to_string(&file).unwrap().parse().unwrap();
        if !schedule.is_local() && !schedule.setting().unwrap().with.changes_members() {
            let verdict = played(&schedule);
            stories.push((verdict.steps, file.file_stem().unwrap().to_string_lossy().into_owned(), verdict));
        }
    }
    stories.sort_by_key(|story| (story.0, story.1.clone()));
    for (_, name, verdict) in stories {
        note(verdict, format!("[{name}](../stories/{name}.story)"));
    }
    for mechanism in Mechanism::ALL {
        if let Some(schedule) = spec::of_the_core(*mechanism) {
            note(played(&schedule), format!("`cutaway why {mechanism}`"));
        }
    }
    let checker = Checker::new(3).unwrap();
    for seed in 0..6 {
        note(checker.seed(seed, &Options::default()).unwrap(), format!("`cutaway sim --seed {seed}`"));
    }
    first
}

fn played(schedule: &Schedule) -> Verdict {
    let checker = Checker::new(schedule.setting().unwrap().nodes).unwrap();
    checker.schedule(schedule, Mechanisms::all()).unwrap()
}

/// The table of actions, with its last two columns made anew.
fn actions_table(old: &str) -> String {
    let tests = tests_of_actions();
    let rows = old.lines().map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, action, message, function, events, ..] = &cells[..] else { return row.to_string() };
        let (clauses, test) = match names(action).first() {
            Some(action) => {
                let mut clauses = BTreeSet::new();
                clauses_of(action, &mut BTreeSet::new(), &mut clauses);
                let clauses: Vec<String> = clauses.iter().map(|mechanism| format!("`{mechanism}`")).collect();
                (clauses.join(", "), tests.get(*action).cloned().unwrap_or_else(|| "–".into()))
            }
            None if action.starts_with("---") => ("---".into(), "---".into()),
            None => ("mechanisms".into(), "taken in".into()),
        };
        format!("| {action} | {message} | {function} | {events} | {clauses} | {test} |")
    });
    rows.collect::<Vec<_>>().join("\n")
}

/// The page with what is between two marks replaced.
fn between(page: &str, mark: &str, fresh: impl Fn(&str) -> String) -> String {
    let (before, rest) = page.split_once(&format!("<!-- {mark} -->\n\n")).expect("the table's place");
    let (old, after) = rest.split_once(&format!("\n<!-- end of {mark} -->")).expect("the table's end");
    let fresh = fresh(old.trim_end());
    format!("{before}<!-- {mark} -->\n\n{}\n\n<!-- end of {mark} -->{after}", fresh.trim_end())
}

#[test]
fn the_page_says_what_was_found_without_each_clause_and_where_each_action_is_taken() {
    let place = root().join("docs/spec.md");
    let page = std::fs::read_to_string(&place).unwrap();
    let fresh = between(&page, "necessity", |_| necessity_table());
    let fresh = between(&fresh, "actions", actions_table);
    if std::env::var_os("UPDATE_STORIES").is_some() {
        std::fs::write(&place, &fresh).unwrap();
        return;
    }
    assert!(page == fresh, "docs/spec.md is out of date: UPDATE_STORIES=1 writes it anew");
}

#[test]
fn what_the_page_links_to_is_there() {
    let page = std::fs::read_to_string(root().join("docs/spec.md")).unwrap();
    let mut links = 0;
    for link in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let path = root().join("docs").join(link);
        assert!(link.starts_with("http") || path.exists(), "{link}");
        links += 1;
    }
    assert!(links > 30, "only {links} links");
}

#[test]
fn every_clause_is_needed_by_some_counterexample_or_is_explained() {
    let page = std::fs::read_to_string(root().join("docs/spec.md")).unwrap();
    let told: BTreeSet<String> = table(&page, "| without | the code")
        .iter()
        .filter(|row| row[1] != "–")
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
