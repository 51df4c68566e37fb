//! Each mechanism: what a client loses without it, and that the same schedule holds with it.
//!
//! `UPDATE_STORIES=1 cargo test -p lab --test why` writes `docs/mechanisms/` anew; then read the difference.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use lab::Schedule;
use lab::check::Scope;
use lab::device::Work;
use lab::why::{self, Case, Verdict, registry};
use trace::Mechanism;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Examined once for all tests that only look.
fn case(mechanism: Mechanism) -> Option<&'static Case> {
    static CASES: OnceLock<Vec<(Mechanism, Verdict)>> = OnceLock::new();
    let all =
        || Mechanism::ALL.iter().map(|&mechanism| (mechanism, why::examine(mechanism).unwrap())).collect();
    match CASES.get_or_init(all).iter().find(|(other, _)| *other == mechanism) {
        Some((_, Verdict::Counterexample(case))) => Some(case),
        _ => None,
    }
}

#[test]
fn every_safety_mechanism_has_a_counterexample_that_holds_with_it_on_and_is_minimal() {
    for &mechanism in Mechanism::ALL {
        let Some(case) = case(mechanism) else {
            let shown = registry::entry(mechanism).seed.is_some();
            assert!(why::class(mechanism) != "safety" || shown, "{mechanism} has no counterexample");
            continue;
        };
        assert!(case.off.broken.is_some(), "{mechanism}");
        assert!(case.held(), "{mechanism}: {:?} {:?}", case.on.broken, case.on.stopped);
        assert!(case.minimal, "{mechanism}: a step can go");
    }
}

#[test]
fn a_story_shows_the_crime_the_victim_and_what_would_have_stopped_it() {
    for &mechanism in Mechanism::ALL {
        let Some(case) = case(mechanism) else { continue };
        let story = why::narrate(case);
        let text: Vec<&str> = story.lines().map(String::as_str).collect();
        let text = text.join("\n");
        assert!(story.before.iter().any(|line| line.contains("Predict")), "{mechanism}");
        assert!(case.parts_at() < case.off.acts.len(), "{mechanism}");
        // The victim: all that a client was told, and what became of it.
        let told = case.off.acts.iter().flat_map(|act| &act.client);
        told.for_each(|line| assert!(text.contains(line.as_str()), "{mechanism}: {line}"));
        assert!(text.contains(case.off.broken.as_deref().unwrap()), "{mechanism}");
        // The crime: where the runs part, something happens or is told that would not with the mechanism on.
        let act = &case.off.acts[case.parts_at()];
        assert!(text.contains(&act.words), "{mechanism}: {}", act.words);
        for needed in ["Cause        without the rule, step", "With it on   step", "Guard        "] {
            assert!(text.contains(needed), "{mechanism}: no `{needed}`");
        }
        assert!(!text.contains('…'), "{mechanism}: something is cut off");
    }
}

#[test]
fn what_to_try_is_another_schedule_whose_steps_are_possible_and_that_holds_with_the_mechanism_on() {
    for entry in registry::entries() {
        let mechanism = entry.mechanism;
        assert_eq!(entry.trial.is_some(), entry.counterexample.is_some(), "{mechanism}");
        let (Some(text), Some(stored)) = (entry.trial, entry.counterexample) else { continue };
        for words in [entry.short, entry.predict, entry.variation] {
            assert!(!words.is_empty(), "{mechanism}: a page begins in plain words, and asks");
        }
        assert!(entry.predict.ends_with('?') && entry.variation.ends_with('?'), "{mechanism}: no question");
        let trial: Schedule = text.parse().unwrap_or_else(|why| panic!("{mechanism}: {why}"));
        let stored: Schedule = stored.parse().unwrap();
        assert_ne!((&trial.setting, &trial.steps), (&stored.setting, &stored.steps), "{mechanism}: the same");
        let off = trial.play_without(&[mechanism]).unwrap();
        for (at, act) in off.acts.iter().enumerate() {
            assert!(act.skipped.is_none(), "{mechanism}, step {}: {:?}", at + 1, act.skipped);
        }
        assert!(off.stopped.is_none(), "{mechanism}: {:?}", off.stopped);
        let on = trial.play_without(&[]).unwrap();
        assert!(on.broken.is_none() && on.stopped.is_none(), "{mechanism}: {:?} {:?}", on.broken, on.stopped);
        // The command on the page names this very text.
        let page = std::fs::read_to_string(root().join(format!("docs/mechanisms/{mechanism}.md"))).unwrap();
        let file = format!("crates/lab/variations/{mechanism}.schedule");
        assert!(page.contains(&format!("cutaway play try:{mechanism} --without {mechanism}")), "{mechanism}");
        assert_eq!(std::fs::read_to_string(root().join(&file)).unwrap(), text, "{file}");
        assert!(page.contains(&lab::tell::verdict(&off)), "{mechanism}: the page says something else");
    }
}

#[test]
fn the_registry_has_every_mechanism_once_and_its_links_lead_somewhere() {
    let ids: Vec<Mechanism> = registry::entries().map(|entry| entry.mechanism).collect();
    assert_eq!(ids, Mechanism::ALL);
    for entry in registry::entries() {
        assert_eq!(
            entry.guard.is_none(),
            !entry.structural.is_empty(),
            "{}: a switch, or why not",
            entry.mechanism
        );
        if let Some((file, symbol)) = entry.guard {
            let text = std::fs::read_to_string(root().join(file)).unwrap();
            assert!(text.contains(&format!("fn {symbol}")), "{}: no {symbol} in {file}", entry.mechanism);
        }
        if let Some(story) = entry.story {
            assert!(root().join(format!("stories/{story}.story")).is_file(), "{}: {story}", entry.mechanism);
        }
        let chapter = root().join(format!("docs/mechanisms/{}.md", entry.mechanism));
        assert!(chapter.is_file(), "{}", chapter.display());
        if let Some(scope) = entry.scope.filter(|scope| Work::named(scope).is_none()) {
            assert!(Scope::named(scope).is_some(), "{}: no scope {scope}", entry.mechanism);
        }
    }
}

/// All Rust files below `folder` that are part of a crate.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !["tests", "target", "examples"].contains(&&*name) {
            sources(&path, found);
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_switch_is_read_by_its_guard_and_nowhere_else() {
    let mut files = Vec::new();
    ["engine", "dataplane", "node", "gateway", "server"]
        .iter()
        .for_each(|room| sources(&root().join("crates").join(room).join("src"), &mut files));
    sources(&root().join("extensions"), &mut files);
    for entry in registry::entries() {
        let variant = entry.mechanism.variant();
        let reads = [
            format!("stops(M::{variant},"),
            format!("stops({variant},"),
            format!("stops(Mechanism::{variant},"),
        ];
        let mut places = Vec::new();
        for file in &files {
            let text = std::fs::read_to_string(file).unwrap();
            let count: usize = reads.iter().map(|read| text.matches(read.as_str()).count()).sum();
            places.extend((0..count).map(|_| file.clone()));
        }
        match entry.guard {
            Some((file, _)) => {
                assert_eq!(places.len(), 1, "{variant} is read at {places:?}");
                assert!(places[0].ends_with(file.trim_start_matches("crates/")), "{variant}: {places:?}");
            }
            None => assert!(places.is_empty(), "{variant} has a switch at {places:?}, and no guard"),
        }
    }
}

#[test]
fn the_pages_are_what_the_runs_say() {
    let folder = root().join("docs/mechanisms");
    let update = std::env::var_os("UPDATE_STORIES").is_some();
    let mut differ = Vec::new();
    let mut expect = |name: String, text: String| {
        let path = folder.join(&name);
        if update {
            std::fs::write(&path, &text).unwrap();
        } else if std::fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            differ.push(name);
        }
    };
    for &mechanism in Mechanism::ALL {
        expect(format!("{mechanism}.md"), why::chapter(mechanism).unwrap());
    }
    let overview = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let (begin, end) = ("<!-- table -->\n", "<!-- end of table -->");
    let (head, rest) = overview.split_once(begin).unwrap();
    let tail = rest.split_once(end).unwrap().1;
    expect("README.md".into(), format!("{head}{begin}{}{end}{tail}", why::necessity_table().unwrap()));
    assert!(differ.is_empty(), "docs/mechanisms is out of date: {differ:?}; see above how to write it anew");
}

/// Searching again finds a schedule too; the fast ones are tried here.
#[test]
fn a_fresh_search_finds_a_counterexample() {
    for mechanism in [Mechanism::MajorityCommit, Mechanism::DataChecksumInLog] {
        let found = why::search(mechanism, 200_000, 2).unwrap().expect("it is found");
        assert!(found.betrays(mechanism) && found.is_minimal(mechanism), "{mechanism}:\n{found}");
    }
}
