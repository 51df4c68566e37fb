//! `play` and `why --try`: a schedule is told whole, whatever comes of it.

use std::process::{Command, Output};

fn cutaway(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cutaway")).args(args).output().expect("it runs")
}

fn told(args: &[&str]) -> String {
    let output = cutaway(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A file that goes away with the test, however it ends.
struct File(std::path::PathBuf);

impl File {
    fn with(name: &str, text: &str) -> File {
        let path = std::env::temp_dir().join(format!("cutaway-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        File(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn the_crime_is_told_without_the_mechanism_and_the_refusal_with_it() {
    let without = told(&["play", "epoch-fence", "--without", "epoch-fence"]);
    // The decisive event: the backup acknowledges to the old primary.
    assert!(
        without.contains("n3 acknowledges to n1 in epoch 1 that it has entries up to 3 durable"),
        "{without}"
    );
    assert!(without.contains("BROKEN  P1: n2 serves without entry 3, which was acknowledged"), "{without}");
    let with = told(&["play", "epoch-fence"]);
    assert!(
        with.contains("n3 refuses n1, which speaks for epoch 1") && with.contains("[epoch-fence]"),
        "{with}"
    );
    assert!(with.contains("HELD"), "{with}");
}

#[test]
fn a_changed_schedule_that_betrays_nobody_is_told_whole_with_its_departure() {
    let stored = told(&["why", "epoch-fence", "--schedule"]);
    let changed = stored.replace("> deliver n1 n3 Prepare", "> lose n1 n3");
    assert_ne!(changed, stored, "the schedule has that step");
    let file = File::with("changed.schedule", &changed);
    let told = told(&["why", "epoch-fence", "--try", file.path()]);
    assert!(told.contains("not possible here: no PrepareOk is on its way from n3 to n1"), "{told}");
    assert!(told.contains("Without epoch-fence this schedule breaks nothing."), "{told}");
    assert!(told.contains("step 5 is `lose n1 n3` instead of `deliver n1 n3 Prepare`"), "{told}");
}

#[test]
fn every_counterexample_breaks_without_its_mechanism_and_every_story_holds() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let files = |folder: &str| {
        let entries = std::fs::read_dir(format!("{root}/{folder}")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    for path in files("crates/lab/counterexamples") {
        let id = path.file_stem().unwrap().to_str().unwrap();
        assert!(told(&["play", id, "--without", id]).contains("\nBROKEN  "), "{id}");
    }
    for path in files("stories").into_iter().filter(|path| path.extension().is_some_and(|x| x == "story")) {
        assert!(told(&["play", path.to_str().unwrap()]).contains("\nHELD "), "{}", path.display());
    }
}

#[test]
fn what_is_neither_a_file_nor_a_mechanism_is_refused_with_what_to_do_next() {
    let output = cutaway(&["play", "epoch-fnce"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(
        error.contains("epoch-fnce is neither a file nor a mechanism") && error.contains("why"),
        "{error}"
    );
    let file = File::with("broken.schedule", "> cluster 3\n> delver n1 n3\n");
    let output = cutaway(&["play", file.path()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("delver n1 n3"));
}

/// What a session says to these commands.
fn stepped(args: &[&str], commands: &str) -> String {
    use std::io::Write;
    use std::process::Stdio;
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutaway"));
    let piped = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = piped.spawn().expect("it runs");
    child.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn a_seed_is_stepped_through_changed_and_saved() {
    let file = File::with("stepped.simulation", "");
    let commands = format!(
        "next 3\nstate n1\ndo kill n9 for 1s\ndo kill n2 for 200ms\nnext\nwhy 4\nsave {}\n",
        file.path()
    );
    let said = stepped(&["play", "--seed", "7", "--interactive"], &commands);
    for word in [
        "> simulation 7",
        "   3. 0.410194 s  n1 is killed, to read its disk anew",
        "n1  down: its process ended",
        "`n9` cannot stand there; what can: n1 to n3",
        "   4. 0.410195 s  world injects a fault: kill n2 for 200ms",
    ] {
        assert!(said.contains(word), "{word:?} is not in:\n{said}");
    }
    let again = told(&["play", file.path(), "--until", "4"]);
    assert!(again.contains("> at 410.195ms kill n2 for 200ms"), "{again}");
    assert!(again.contains("   4. 0.410195 s  world injects a fault: kill n2 for 200ms"), "{again}");
    assert!(again.contains("(It stops here; "), "{again}");
}

#[test]
fn a_seed_stops_where_its_promise_breaks() {
    let until = told(&["play", "--seed", "3", "--without", "majority-commit", "--until", "violation"]);
    let whole = told(&["play", "--seed", "3", "--without", "majority-commit"]);
    assert!(whole.contains("\nBROKEN  "), "{whole}");
    assert_eq!(until, whole);
}
