//! `learn`, where it compiles the core: every wrong answer that is known gets its own message, and the right one passes.
//!
//! The core is compiled twice, with all wrong answers in it at once; a variable chooses which one a run decides by.

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use lab::learn::{self, Exercise, Fault, Grade, Kind, Rank};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().parent().unwrap().to_owned()
}

fn learn_in(dir: &Path, args: &[&str]) -> Output {
    let mut command = common::program();
    // What is compiled is run for seconds: less optimisation is sooner done.
    command.env("CARGO_PROFILE_DEV_OPT_LEVEL", "0").env_remove("CARGO_TARGET_DIR");
    command.arg("learn").args(args).arg("--tree").arg(root()).current_dir(dir).output().unwrap()
}

fn guards() -> impl Iterator<Item = Exercise> {
    learn::exercises().into_iter().filter(|exercise| exercise.kind == Kind::Rebuild)
}

/// The guard with all its wrong bodies and the right one; WRONG=`exercise:number` chooses.
fn all_bodies(exercise: &Exercise) -> String {
    let mark = "the body stands here";
    let head = exercise.with_body(mark).unwrap().lines().position(|line| line.trim() == mark).unwrap();
    let solution = exercise.solution();
    let lines: Vec<&str> = solution.lines().collect();
    let right = lines[head..lines.len() - 1].join("\n");
    let wrong = exercise.wrong().iter().enumerate();
    let mut arms: String =
        wrong.map(|(at, wrong)| format!("Some({at}) => {{\n{}\n}}\n", wrong.body)).collect();
    let begin = exercise.begin();
    let empty: Vec<&str> = begin.lines().skip_while(|line| !line.ends_with('{')).skip(1).collect();
    let _ =
        writeln!(arms, "Some({}) => {{\n{}\n}}", exercise.wrong().len(), empty[..empty.len() - 1].join("\n"));
    let chosen = format!(
        "static CHOSEN: std::sync::OnceLock<Option<usize>> = std::sync::OnceLock::new();\nlet chosen = \
         CHOSEN.get_or_init(|| std::env::var(\"WRONG\").ok()?.strip_prefix(\"{}:\")?.parse().ok());",
        exercise.id
    );
    exercise.with_body(&format!("{chosen}\nmatch chosen {{\n{arms}_ => {{\n{right}\n}}\n}}")).unwrap()
}

/// A scratch folder whose copy of the core has every guard replaced; the grader.
fn compiled(dir: &Path) -> PathBuf {
    let desk = dir.join("cutaway-learn");
    let copy = desk.join("core");
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for exercise in guards() {
        let read =
            |path: &str| files.get(path).cloned().or_else(|| std::fs::read_to_string(root().join(path)).ok());
        let parts = learn::parts(&exercise, read).unwrap();
        files.extend(parts.into_iter().map(|part| (part.path, part.text)));
        std::fs::write(desk.join(exercise.file()), all_bodies(&exercise)).unwrap();
    }
    files.iter().for_each(|(path, text)| std::fs::write(copy.join(path), text).unwrap());
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "-q", "-p", "lab", "--example", "grade", "--target-dir", "target"])
        .current_dir(&copy);
    cargo.env("CARGO_PROFILE_DEV_OPT_LEVEL", "0").env("CARGO_INCREMENTAL", "1");
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    copy.join("target/debug/examples/grade")
}

#[test]
#[ignore = "compiles the core: minutes. cargo test -p cutaway --test learn_compiled -- --ignored"]
fn every_known_wrong_answer_gets_its_message_and_the_right_one_none() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();

    // A classroom compiles the core beforehand, and is told how far that is. A run that was interrupted leaves its folder.
    std::fs::create_dir_all(dir.join("cutaway-learn/core/target")).unwrap();
    let output = learn_in(dir, &["init", "--compile"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    assert!(
        error.contains("The first time goes on: it was interrupted") && error.contains("160 s"),
        "{error}"
    );
    assert!(error.contains(" crates compiled after "), "nobody knows how far it is: {error}");

    // A fresh learner: a guard that stops nothing betrays, a slip of the pen is the compiler's, the right answer passes.
    let file = dir.join("cutaway-learn/rebuild-epoch-fence.rs");
    let exercise = learn::exercise("rebuild-epoch-fence").unwrap();
    std::fs::write(&file, exercise.with_body("let _ = epoch;\ntrue").unwrap()).unwrap();
    let output = learn_in(dir, &["rebuild-epoch-fence"]);
    let [out, error] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(out.contains("NOT YET  The schedule of epoch-fence breaks a promise"), "{out}{error}");
    assert!(error.contains("Compiling the core with your answer in it"), "{error}");
    let exercise = learn::exercise("rebuild-epoch-fence").unwrap();
    std::fs::write(&file, exercise.with_body("epoch <= Epoch").unwrap()).unwrap();
    let output = learn_in(dir, &["rebuild-epoch-fence"]);
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(
        out.contains("The compiler refuses it") && out.contains("cutaway-learn/rebuild-epoch-fence.rs:"),
        "{out}"
    );
    std::fs::write(&file, exercise.with_body("epoch >= promised").unwrap()).unwrap();
    let output = learn_in(dir, &["rebuild-epoch-fence"]);
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && out.contains("PASSED"), "{out}");

    // An invariant, on the same copy.
    let file = dir.join("cutaway-learn/tell-applied-is-committed.rs");
    let nearly =
        learn::exercise("tell-applied-is-committed").unwrap().begin().replace("    true\n", "    1 < 2\n");
    std::fs::write(&file, nearly).unwrap();
    let output = learn_in(dir, &["tell-applied-is-committed"]);
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(out.contains("accepts every state of a cluster without apply-only-committed"), "{out}");
    std::fs::write(file, learn::exercise("tell-applied-is-committed").unwrap().solution()).unwrap();
    let output = learn_in(dir, &["tell-applied-is-committed"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));

    let program = compiled(dir);
    let mut unlike = Vec::new();
    for exercise in guards() {
        for (at, wrong) in exercise.wrong().iter().enumerate() {
            let mut grader = Command::new(&program);
            let output =
                grader.arg(&exercise.id).env("WRONG", format!("{}:{at}", exercise.id)).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            match Grade::from_json(text.trim()) {
                Some(Grade::NotYet { fault: Fault::Known(name), words }) if name == wrong.name => {
                    assert_eq!(words.first().map(String::as_str), Some(wrong.why));
                }
                _ => unlike.push(format!("{}, {}: {text}", exercise.id, wrong.name)),
            }
        }
    }
    assert!(unlike.is_empty(), "{}", unlike.join("\n"));
    // The guard as it was made is none of them, whatever else is written beside it.
    for exercise in guards() {
        let empty = exercise.wrong().len();
        let mut grader = Command::new(&program);
        let output =
            grader.arg(&exercise.id).env("WRONG", format!("{}:{empty}", exercise.id)).output().unwrap();
        let grade = Grade::from_json(String::from_utf8_lossy(&output.stdout).trim());
        let honest = matches!(&grade, Some(Grade::NotYet { fault, .. }) if !matches!(fault, Fault::Known(_)));
        assert!(honest, "{}, as it was made: {grade:?}", exercise.id);
    }
    // With none of them, it is the core as it is.
    let output = Command::new(&program).arg("rebuild-majority-commit").output().unwrap();
    let grade = Grade::from_json(String::from_utf8_lossy(&output.stdout).trim());
    assert!(matches!(grade, Some(Grade::Passed { rank: Rank::Whole, .. })), "{grade:?}");
}

#[test]
fn without_the_source_tree_it_says_which_folder_to_name() {
    let folder = tempfile::tempdir().unwrap();
    let learn = || {
        let mut program = common::program();
        program.args(["learn", "rebuild-epoch-fence", "--tree", "."]).current_dir(&folder).output().unwrap()
    };
    // Nothing is written yet, so nothing is compiled.
    assert!(learn().status.success());
    let file = folder.path().join("cutaway-learn/rebuild-epoch-fence.rs");
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + "fn mine() {}\n").unwrap();
    let output = learn();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains(". is not the source tree") && error.contains("crates/dataplane/src/guard.rs"),
        "{error}"
    );
}
