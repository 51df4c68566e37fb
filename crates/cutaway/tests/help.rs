//! What the command line says of itself: help by purpose, examples that are true when pasted, names that are nearly right,
//! completions and manual pages.

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::{Cluster, program};

fn run(args: &[&str]) -> Output {
    program().args(args).env_remove("CUTAWAY_GATEWAY").output().expect("it runs")
}

fn told(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The visible commands, as the completions for bash list them.
fn commands() -> Vec<String> {
    let help = told(&["--help"]);
    let lines = help.lines().filter_map(|line| line.strip_prefix("  "));
    let names = lines.filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
    names.filter_map(|line| line.split_once("  ")).map(|(name, _)| name.to_string()).collect()
}

// ---- Names ----

#[test]
fn a_name_that_is_nearly_right_gets_the_one_that_was_meant() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("device.schedule");
    std::fs::write(&file, "> device three entries, no chekpoint\n> open\n").unwrap();
    let file = file.to_str().unwrap();
    let mistyped: [(&[&str], &str); 8] = [
        (&["why", "epoch-fense"], "there is no mechanism epoch-fense; did you mean epoch-fence?"),
        (&["why", "fence"], "did you mean epoch-fence?"),
        (&["play", "epoch-fense"], "did you mean epoch-fence?"),
        (&["play", "epoch-fence", "--without", "epoch-fense"], "did you mean epoch-fence?"),
        (&["sim", "--seeds", "1", "--without", "majority-comit"], "did you mean majority-commit?"),
        (&["check", "--scope", "failover", "--without", "log-matchng"], "did you mean log-matching?"),
        (&["check", "--scope", "takover"], "there is no scope takover; did you mean takeover?"),
        (&["play", file], "did you mean three entries, no checkpoint?"),
    ];
    for (args, expected) in mistyped {
        let output = run(args);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(expected), "{args:?}: {error}");
        assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
    }
    let output = run(&["statsu"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("'status'") && output.status.code() == Some(2), "{error}");
}

// ---- Help ----

#[test]
fn every_command_stands_under_its_purpose_once() {
    let help = told(&["--help"]);
    let found = commands();
    for group in [
        "Run a cluster:",
        "Change its members:",
        "Ask it:",
        "Break it:",
        "Understand it:",
        "Inspect disks:",
        "Measure:",
    ] {
        assert!(help.contains(&format!("\n{group}\n")), "{group}\n{help}");
    }
    assert!(!help.contains("Others:"), "a command stands in no group:\n{help}");
    for name in ["up", "put", "kill", "why", "inspect", "bench", "completions"] {
        assert_eq!(found.iter().filter(|found| *found == name).count(), 1, "{name}: {found:?}");
    }
    assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
}

/// The examples in a command's help: what is pasted, and the code that it says it exits with.
fn examples(command: &str) -> Vec<(String, i32)> {
    let help = told(&[command, "--help"]);
    let (_, text) = help.split_once("\nExamples:\n").unwrap_or_else(|| panic!("{command} has no examples"));
    let mut examples: Vec<(String, i32)> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        assert!(line.chars().count() < 80, "too wide for a terminal: {line}");
        let exits =
            line.split_once("(exits ").map_or(0, |(_, code)| code.trim_end_matches(')').parse().unwrap());
        let line = line.trim_start();
        match examples.last_mut().filter(|(before, _)| before.ends_with('\\')) {
            Some((before, _)) => *before = format!("{before}\n{line}"),
            None => examples.push((line.to_string(), exits)),
        }
    }
    assert!(examples.len() >= 2 || matches!(command, "node" | "gateway"), "{command} has {}", examples.len());
    examples
}

/// A directory in which `cutaway` is this program.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Desk {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("bin")).unwrap();
        std::os::unix::fs::symlink(program().get_program(), dir.path().join("bin/cutaway")).unwrap();
        Desk(dir)
    }

    /// Pastes it into a shell.
    fn paste(&self, example: &str, gateway: &str) -> Output {
        let path = format!("{}/bin:{}", self.0.path().display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-c", example]).current_dir(self.0.path()).env("PATH", path);
        shell.env("CUTAWAY_GATEWAY", gateway).stdin(std::process::Stdio::null()).output().unwrap()
    }

    fn true_when_pasted(&self, command: &str, gateway: &str) {
        for (example, exits) in examples(command) {
            let output = self.paste(&example, gateway);
            let error = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(exits), "{example}\n{error}");
        }
    }
}

/// Nobody listens there.
const NOBODY: &str = "127.0.0.1:1";
/// They go on until somebody ends them, or need processes of their own: their examples are only parsed.
const PROCESSES: [&str; 7] = ["up", "node", "gateway", "lab", "debug", "bench", "torture"];
const ASKING: [&str; 16] = [
    "add", "replace", "remove", "put", "get", "list", "del", "status", "inspect", "verify", "pause",
    "resume", "isolate", "heal", "kill", "restart",
];

#[test]
fn every_example_that_needs_no_cluster_is_true_when_pasted() {
    let desk = Desk::new();
    let mut pasted = 0;
    for command in commands() {
        let command = command.as_str();
        if !PROCESSES.contains(&command) && !ASKING.contains(&command) {
            desk.true_when_pasted(command, NOBODY);
            pasted += 1;
        }
    }
    assert!(pasted >= 8, "{pasted} commands were tried");
}

#[test]
fn every_example_that_asks_a_cluster_is_true_when_pasted_in_order() {
    let desk = Desk::new();
    let data = desk.0.path().join("cutaway-data");
    let cluster = Cluster::start_in(&data, &["--image-size", "8M", "--with", "membership"]);
    for command in ASKING {
        // Each finds the key that it asks for, whatever the one before did to it.
        assert!(desk.paste("cutaway put fruit apple", &cluster.http(1)).status.success());
        desk.true_when_pasted(command, &cluster.http(1));
    }
}

#[test]
fn every_example_of_a_process_is_understood() {
    let desk = Desk::new();
    for command in PROCESSES {
        for (example, _) in examples(command) {
            let (example, _) = example.split_once(" # ").unwrap_or((&example, ""));
            let (example, _) = example.split_once(" < ").unwrap_or((example, ""));
            let output = desk.paste(&format!("{} --help", example.trim_end()), NOBODY);
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{example}\n{error}");
        }
    }
}

// ---- The environment ----

#[test]
fn the_environment_names_the_gateway_and_the_command_line_another_one() {
    let cluster = Cluster::new(&["--image-size", "8M"]);
    let status = |variable: &str, args: &[&str]| {
        program().args(["status"]).args(args).env("CUTAWAY_GATEWAY", variable).output().unwrap()
    };
    assert!(status(&cluster.http(1), &[]).status.success());
    assert!(status(NOBODY, &["--gateway", &cluster.http(1)]).status.success());
    // The next command to try is asked of the same gateway, so it is named where the environment names another.
    let get = |variable: &str| {
        let mut get = program();
        get.args(["get", "nothing", "--gateway", &cluster.http(1)]).env("CUTAWAY_GATEWAY", variable);
        String::from_utf8(get.output().unwrap().stderr).unwrap()
    };
    assert!(get(NOBODY).contains(&format!("list --gateway {}", cluster.http(1))), "{}", get(NOBODY));
    assert!(get(&cluster.http(1)).contains("list, to see"), "{}", get(&cluster.http(1)));
    let wrong = status("nonsense", &[]);
    let error = String::from_utf8(wrong.stderr).unwrap();
    assert!(error.contains("HOST:PORT (CUTAWAY_GATEWAY names it)"), "{error}");
    assert_eq!(wrong.status.code(), Some(2));
}

// ---- Completions and manual pages ----

#[test]
fn completions_know_commands_mechanisms_and_scopes() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = told(&["completions", shell]);
        // The last two have no completions of values.
        let values = if ["bash", "zsh", "fish"].contains(&shell) { 4 } else { 2 };
        for word in &["quiz", "without", "epoch-fence", "stale-suffix"][..values] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
    }
    let desk = Desk::new();
    let script = told(&["completions", "bash"]);
    std::fs::write(desk.0.path().join("cutaway.bash"), script).unwrap();
    let ask = "bash --norc -c '. ./cutaway.bash && COMP_WORDS=(cutaway why epoch-f) COMP_CWORD=2 && \
               _cutaway cutaway epoch-f why && echo \"${COMPREPLY[@]}\"'";
    let output = desk.paste(ask, NOBODY);
    let words = String::from_utf8_lossy(&output.stdout);
    assert!(words.split_whitespace().any(|word| word == "epoch-fence"), "{words} {output:?}");
}

#[test]
fn there_is_a_manual_page_for_each_command() {
    let page = told(&["man"]);
    assert!(page.contains(".TH cutaway 1") && page.contains("cutaway\\-why(1)"), "{page}");
    let dir = tempfile::tempdir().unwrap();
    told(&["man", "--out", dir.path().join("man1").to_str().unwrap()]);
    for command in commands() {
        let page = dir.path().join(format!("man1/cutaway-{command}.1"));
        let text = std::fs::read_to_string(&page).unwrap_or_else(|_| panic!("{}", page.display()));
        assert!(text.contains("Examples:"), "{command}");
    }
    assert!(!dir.path().join("man1/cutaway-bench-open.1").exists(), "hidden commands have no page");
}

#[test]
fn a_file_in_the_place_of_the_manual_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let output = run(&["man", "--out", Path::new(&file).to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(std::fs::read(&file).unwrap(), b"x");
}
