//! `learn`: what a learner, a script and a classroom's CI get of it.

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

const EXERCISE: &str = "break-majority-commit";

fn learn(dir: &Path, args: &[&str]) -> Output {
    common::program().arg("learn").args(args).current_dir(dir).output().unwrap()
}

fn told(dir: &Path, args: &[&str]) -> String {
    let output = learn(dir, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Standard output, standard error and the exit code of what does not succeed.
fn failed(dir: &Path, args: &[&str]) -> (String, String, i32) {
    let output = learn(dir, args);
    let [out, error] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(!output.status.success() && !error.contains("panicked"), "{args:?}: {out}{error}");
    (out, error, output.status.code().unwrap())
}

/// The counterexample that `why` prints, which is the exercise's solution.
fn solution(mechanism: &str) -> String {
    let output = common::program().args(["why", mechanism, "--schedule"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_learner_lists_begins_asks_for_hints_passes_and_sees_the_solution() {
    let desk = tempfile::tempdir().unwrap();
    let dir = desk.path();
    let list = told(dir, &[]);
    assert!(list.contains(EXERCISE) && list.contains("0 of "), "{list}");
    // Asking alone makes nothing.
    assert!(!dir.join("cutaway-learn").exists());

    // Whoever looks has not failed.
    let out = told(dir, &[EXERCISE]);
    assert!(out.contains("Par: ") && out.contains("--interactive"), "{out}");
    assert!(out.contains("Edit cutaway-learn/break-majority-commit.schedule"), "{out}");
    let file = dir.join(format!("cutaway-learn/{EXERCISE}.schedule"));
    let begin = std::fs::read_to_string(&file).unwrap();

    let (_, error, _) = failed(dir, &[EXERCISE, "--solution"]);
    assert!(error.contains("not passed yet"), "{error}");
    assert!(told(dir, &[EXERCISE, "--hint"]).starts_with("Hint 1 of 3: "));
    assert!(told(dir, &[EXERCISE, "--hint"]).starts_with("Hint 2 of 3: "));
    assert!(
        told(dir, &["next", "--hint"]).starts_with("Hint 1 of 3: "),
        "hints are counted for each exercise"
    );

    std::fs::write(&file, format!("{begin}> write 1 to n1\n> sync n1\n")).unwrap();
    let (out, error, code) = failed(dir, &[EXERCISE]);
    assert!(out.contains("NOT YET  Nobody is betrayed yet. Clients were told: write 1"), "{out}");
    assert_eq!(code, 1);
    assert!(error.contains("next: edit cutaway-learn/break-majority-commit.schedule"), "{error}");
    assert!(error.contains("--hint") && !error.contains("error:"), "an answer is no error: {error}");

    std::fs::write(&file, solution("majority-commit")).unwrap();
    let out = told(dir, &[EXERCISE]);
    assert!(out.contains("PASSED  It betrays, in ") && out.contains("BROKEN  P"), "{out}");
    assert!(told(dir, &[EXERCISE, "--solution"]).contains("> cluster 3"));
    assert!(told(dir, &[]).contains("1 of "), "progress is kept");
    // A worse answer afterwards takes nothing away.
    std::fs::write(&file, begin).unwrap();
    told(dir, &[EXERCISE]);
    assert!(told(dir, &[]).contains("1 of "));
}

#[test]
fn the_list_fits_a_terminal() {
    let desk = tempfile::tempdir().unwrap();
    for line in told(desk.path(), &[]).lines().filter(|line| !line.contains("next --watch")) {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
    }
}

#[test]
fn a_script_gets_a_line_of_json_for_each_exercise_and_for_a_grade() {
    let desk = tempfile::tempdir().unwrap();
    let text = told(desk.path(), &["--json"]);
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let breaks = rows.iter().filter(|row| row["kind"] == "break");
    assert!(breaks.clone().count() >= 12);
    for row in breaks {
        assert!(row["par"].as_u64() > Some(0) && row["passed"] == false && row["steps"].is_null(), "{row}");
        assert!(trace::Mechanism::from_id(row["mechanism"].as_str().unwrap()).is_some(), "{row}");
    }
    let grade: Value = serde_json::from_str(&told(desk.path(), &[EXERCISE, "--json"])).unwrap();
    assert_eq!((&grade["passed"], grade["fault"].as_str()), (&Value::Bool(false), Some("empty")));
    std::fs::write(
        desk.path().join(format!("cutaway-learn/{EXERCISE}.schedule")),
        solution("majority-commit"),
    )
    .unwrap();
    let grade: Value = serde_json::from_str(&told(desk.path(), &[EXERCISE, "--json"])).unwrap();
    assert_eq!((&grade["passed"], &grade["steps"]), (&Value::Bool(true), &grade["par"]));
}

#[test]
fn a_class_is_graded_by_one_command_that_fails_until_everybody_passes() {
    let desk = tempfile::tempdir().unwrap();
    let dir = desk.path();
    told(dir, &["init", "class"]);
    let (_, error, code) = failed(dir, &["check", "--dir", "class"]);
    assert!(code == 1 && error.contains("no exercise was begun in class"), "{error}");
    std::fs::write(dir.join(format!("class/{EXERCISE}.schedule")), solution("majority-commit")).unwrap();
    let out = told(dir, &["check", "--dir", "class"]);
    assert!(out.contains(EXERCISE) && out.contains("passed, ") && out.lines().count() == 1, "{out}");
    let (out, error, code) = failed(dir, &["check", EXERCISE, "break-epoch-fence", "--dir", "class"]);
    assert!(code == 1 && error.contains("1 of 2 do not pass yet"), "{error}");
    assert!(out.contains("not yet: empty"), "{out}");
    // What is there already stays.
    assert!(told(dir, &["init", "class"]).starts_with("0 files"));
    assert!(told(dir, &["check", "--dir", "class"]).contains("passed"));
}

#[test]
fn a_kind_lists_its_exercises_and_a_milestone_says_what_grades_it_and_how_long_that_takes() {
    let desk = tempfile::tempdir().unwrap();
    let dir = desk.path();
    for (kind, of_another) in [("break", "rebuild-"), ("rebuild", "tell-"), ("tell", "break-")] {
        let out = told(dir, &[kind]);
        assert!(out.contains(&format!("  {kind}-")) && !out.contains(&format!("  {of_another}")), "{out}");
        let rows = told(dir, &[kind, "--json"]);
        assert!(rows.lines().all(|row| row.contains(&format!("\"kind\":\"{kind}\""))), "{rows}");
    }
    let out = told(dir, &["build"]);
    for milestone in lab::learn::MILESTONES {
        assert!(out.contains(milestone.id), "{out}");
        let shown = told(dir, &[milestone.id]);
        for grader in milestone.graders {
            for needed in [grader.command, grader.checks, grader.takes] {
                assert!(shown.contains(needed), "{}: no `{needed}`: {shown}", milestone.id);
            }
        }
        // The program that is installed has the solution in it.
        assert!(!shown.contains("  cutaway ") && shown.contains("your own clone"), "{shown}");
    }
    assert!(!dir.join("cutaway-learn").exists());
    let (_, error, code) = failed(dir, &["build-mesage"]);
    assert!(code == 2 && error.contains("did you mean build-message?"), "{error}");
    let (_, error, code) = failed(dir, &["break", "--watch"]);
    assert!(code == 2 && error.contains("break is not one exercise"), "{error}");
}

#[test]
fn an_untouched_guard_is_shown_with_what_it_lets_through_and_nothing_is_compiled() {
    let desk = tempfile::tempdir().unwrap();
    let dir = desk.path();
    for id in ["rebuild-log-matching", "rebuild-corruption-is-not-a-torn-tail", "tell-one-primary"] {
        let out = told(dir, &[id]);
        for needed in ["Nothing is written yet: ", "Edit cutaway-learn/", "minutes the first time"] {
            assert!(out.contains(needed), "{id}: no `{needed}`: {out}");
        }
        assert!(!out.contains("An entry of a greater epoch"), "{out}");
    }
    assert!(!dir.join("cutaway-learn/core").exists());
    let (out, ..) = failed(dir, &["check", "rebuild-log-matching"]);
    assert!(out.contains("not yet: empty"), "{out}");
}

/// A watching learner; stopped at the end of the test, however that ends.
struct Watch(Child, Receiver<String>);

impl Watch {
    fn new(dir: &Path) -> Watch {
        let mut command = common::program();
        command.args(["learn", EXERCISE, "--watch"]).current_dir(dir);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (tell, told) = channel();
        let pipes: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for pipe in pipes {
            let tell = tell.clone();
            std::thread::spawn(move || {
                BufReader::new(pipe).lines().map_while(Result::ok).for_each(|line| drop(tell.send(line)));
            });
        }
        Watch(child, told)
    }

    fn until(&self, words: &str) {
        let mut all = String::new();
        while !all.contains(words) {
            let line = self.1.recv_timeout(Duration::from_secs(60));
            all += &line.unwrap_or_else(|_| panic!("no `{words}`: {all}"));
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_watching_learner_is_told_after_each_save_and_let_go_after_the_right_one() {
    let desk = tempfile::tempdir().unwrap();
    let file = desk.path().join(format!("cutaway-learn/{EXERCISE}.schedule"));
    let mut watch = Watch::new(desk.path());
    watch.until("Waiting for");
    let begin = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{begin}> wriet 1 to n1\n")).unwrap();
    watch.until("wriet");
    // An editor that writes a new file and renames it.
    let fresh = desk.path().join("fresh");
    std::fs::write(&fresh, solution("majority-commit")).unwrap();
    std::fs::rename(&fresh, &file).unwrap();
    watch.until("PASSED");
    assert!(watch.0.wait().unwrap().success());
}

#[test]
fn what_cannot_be_asked_for_says_why_and_what_to_do_next() {
    let desk = tempfile::tempdir().unwrap();
    let dir = desk.path();
    std::fs::create_dir_all(dir.join("cutaway-learn/break-epoch-fence.schedule")).unwrap();
    std::fs::write(dir.join("a_file"), "").unwrap();
    for (args, code, words) in [
        (&["break-epoch-fense"][..], 2, "did you mean break-epoch-fence?"),
        (&["--hint"], 2, "EXERCISE"),
        (&["break-epoch-fence"], 1, "cannot read cutaway-learn/break-epoch-fence.schedule"),
        (&[EXERCISE, "--dir", "a_file"], 1, "cannot read a_file/progress"),
        (&["check", "break-nothing"], 2, "there is no exercise break-nothing"),
    ] {
        let (_, error, found) = failed(dir, args);
        assert!(
            found == code && error.contains(words) && error.contains("next:") | (code == 2),
            "{args:?}: {error}"
        );
    }
    // An answer of any length is not read.
    let big = std::fs::File::create(dir.join(format!("cutaway-learn/{EXERCISE}.schedule"))).unwrap();
    big.set_len(1 << 33).unwrap();
    let (_, error, _) = failed(dir, &[EXERCISE]);
    assert!(error.contains("more than 1048576 bytes"), "{error}");
}
