//! Published failures on this code: each breaks a promise with its guard out, and holds with it in.
//!
//! `UPDATE_STORIES=1 cargo test -p lab --test museum` writes `docs/museum.md` and `docs/museum/` anew; then read the
//! difference.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use lab::museum::{self, Exhibit, Shown};
use lab::why::Case;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All of them, played once.
fn played() -> &'static [(Exhibit, Option<Case>)] {
    static PLAYED: OnceLock<Vec<(Exhibit, Option<Case>)>> = OnceLock::new();
    PLAYED.get_or_init(|| {
        let play = |exhibit: Exhibit| {
            let case = museum::play(&exhibit).unwrap();
            (exhibit, case)
        };
        museum::exhibits().into_iter().map(play).collect()
    })
}

#[test]
fn guard_out_a_promise_breaks_and_guard_in_the_same_steps_hold() {
    let mut shown = BTreeSet::new();
    for (exhibit, case) in played() {
        let id = exhibit.id;
        let Some(case) = case else {
            assert!(matches!(exhibit.shown, Shown::Missing(_)), "{id}");
            continue;
        };
        assert!(case.off.broken.is_some(), "{id}");
        assert!(case.held(), "{id}: {:?} {:?}", case.on.broken, case.on.stopped);
        for (at, act) in case.off.acts.iter().enumerate() {
            assert!(act.skipped.is_none(), "{id}, step {}: {:?}", at + 1, act.skipped);
        }
        shown.insert(&exhibit.system);
    }
    assert!(shown.len() >= 12, "failures of {} systems", shown.len());
}

#[test]
fn every_file_of_the_museum_is_an_exhibit_and_nothing_else_lies_there() {
    let mut names = BTreeSet::new();
    for exhibit in museum::exhibits() {
        names.insert(format!("{}.md", exhibit.id));
        if exhibit.is_own() {
            names.insert(format!("{}.schedule", exhibit.id));
        }
        assert!(
            lab::mechanism(exhibit.id).is_err(),
            "{}: `play` would not know which one is meant",
            exhibit.id
        );
    }
    let folder = std::fs::read_dir(root().join("crates/lab/museum")).unwrap();
    let found: BTreeSet<String> =
        folder.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(found, names);
}

#[test]
fn a_schedule_of_its_own_is_another_one_than_the_counterexample_of_its_guard() {
    let own = played().iter().filter(|(exhibit, _)| exhibit.is_own());
    let own: Vec<&Case> = own.filter_map(|(_, case)| case.as_ref()).collect();
    assert!(own.len() >= 3, "{}", own.len());
    for case in own {
        let stored = lab::why::registry::entry(case.mechanism).counterexample.unwrap();
        let stored: lab::Schedule = stored.parse().unwrap();
        assert_ne!((&case.schedule.setting, &case.schedule.steps), (&stored.setting, &stored.steps));
        assert!(case.schedule.says_how_it_was_found(), "{}", case.called);
    }
}

#[test]
fn a_story_tells_the_failure_its_source_the_run_and_the_line_of_the_guard() {
    for (exhibit, case) in played() {
        let text = museum::story(exhibit, case.as_ref()).join("\n");
        for source in &exhibit.sources {
            assert!(text.contains(&source.url), "{}", exhibit.id);
        }
        assert!(text.contains(&exhibit.seen), "{}", exhibit.id);
        let Some(case) = case else {
            assert!(text.contains("Not shown    This code does not have"), "{text}");
            continue;
        };
        let words = ["Cause        without the rule, step", "With it on   step", "Guard        "];
        words.iter().for_each(|needed| assert!(text.contains(needed), "{}: no `{needed}`", exhibit.id));
        assert!(text.contains(case.off.broken.as_deref().unwrap()), "{}", exhibit.id);
        // The file and the line lead to the guard.
        let (_, place) = text.split_once("Guard        ").unwrap();
        let (place, symbol) = place.split_once(", fn ").unwrap();
        let (file, line) = place.split_once(':').unwrap();
        let guards = std::fs::read_to_string(root().join(file)).unwrap();
        let symbol = symbol.lines().next().unwrap();
        let there = guards.lines().nth(line.parse::<usize>().unwrap() - 1).unwrap();
        assert!(there.contains(&format!("fn {symbol}")), "{}: {place} is `{there}`", exhibit.id);
        // What is folded is told by the name of the exhibit, whose schedule it is.
        assert!(text.contains(&format!("cutaway play {} --without {}", exhibit.id, case.mechanism)));
    }
}

#[test]
fn the_pages_are_what_the_runs_say() {
    let update = std::env::var_os("UPDATE_STORIES").is_some();
    let mut differ = Vec::new();
    let mut expect = |name: String, text: String| {
        let path = root().join("docs").join(&name);
        if update {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &text).unwrap();
        } else if std::fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            differ.push(name);
        }
    };
    for (exhibit, _) in played() {
        expect(format!("museum/{}.md", exhibit.id), museum::chapter(exhibit).unwrap());
    }
    let overview = std::fs::read_to_string(root().join("docs/museum.md")).unwrap();
    let (begin, end) = ("<!-- table -->\n", "<!-- end of table -->");
    let (head, rest) = overview.split_once(begin).unwrap();
    let tail = rest.split_once(end).unwrap().1;
    expect("museum.md".into(), format!("{head}{begin}{}{end}{tail}", museum::index().unwrap()));
    assert!(differ.is_empty(), "docs/museum is out of date: {differ:?}; see above how to write it anew");
}
