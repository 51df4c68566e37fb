//! What a terminal shows: lines that fit, lanes that go on, colours for those who want them.

mod common;
#[path = "common/terminal.rs"]
mod tty;

use std::process::Command;

use common::program;
use tty::{Terminal, plain};

/// For [`tty`].
pub use common::PATIENCE;

fn cutaway(args: &[&str]) -> Command {
    let mut program = program();
    program.args(args);
    program
}

/// Shows `args` on so many columns.
fn shown(args: &[&str], columns: u16) -> String {
    Terminal::run(cutaway(args), columns).end().0
}

const PROMPT: &str = "(Enter for the answer) ";

/// The same of a story, whose question is answered with Enter.
fn story(args: &[&str], columns: u16) -> String {
    let mut terminal = Terminal::run(cutaway(args), columns);
    terminal.wait_for(PROMPT);
    terminal.type_in("\n");
    terminal.end().0
}

fn piped(args: &[&str]) -> String {
    String::from_utf8(cutaway(args).env_remove("NO_COLOR").output().unwrap().stdout).unwrap()
}

const COMMANDS: [&[&str]; 9] = [
    &["why", "epoch-fence"],
    &["why", "own-epoch-commit"],
    &["why", "stale-log-rejection"],
    &["why", "no-role-survives"],
    &["play", "epoch-fence", "--without", "epoch-fence", "--plain"],
    &["play", "stale-log-rejection", "--plain"],
    &["check"],
    &["check", "--scope", "takeover", "--without", "promise-majority"],
    &["sim", "--seeds", "3"],
];

#[test]
fn no_line_is_wider_than_the_terminal_and_no_word_is_lost() {
    for args in COMMANDS {
        let words = |text: &str| {
            let words = text.split_whitespace().filter(|word| !["│", "|"].contains(word));
            words.map(String::from).collect::<Vec<_>>()
        };
        let expected = words(&piped(args));
        for columns in [80, 100, 120] {
            let asks = args[0] == "why" && args[1] != "no-role-survives";
            let screen = plain(&if asks { story(args, columns) } else { shown(args, columns) });
            // The next command to try is pasted whole.
            let mut told = screen.lines().filter(|line| !line.starts_with("  next: "));
            let wide = told.find(|line| line.chars().count() > columns.into());
            assert_eq!(wide, None, "{args:?} at {columns} columns");
            if args[0] != "sim" && args[0] != "check" {
                let shown = words(&screen.replace(PROMPT, ""));
                let missing: Vec<_> = expected.iter().filter(|word| !shown.contains(word)).collect();
                assert!(missing.is_empty(), "{args:?} at {columns} columns lost {missing:?}\n{screen}");
            }
        }
    }
}

#[test]
fn the_lanes_of_a_story_go_on_beside_a_text_that_takes_several_lines() {
    let screen = plain(&story(&["why", "epoch-fence"], 80));
    let lines: Vec<&str> = screen.lines().collect();
    let heading = lines.iter().position(|line| line.contains("client n1")).expect("the lanes' names");
    let (client, n1) = (lines[heading].find("client").unwrap(), lines[heading].find("n1").unwrap());
    let is_lane = |line: &str, column: usize| matches!(line.chars().nth(column), Some('│' | '•'));
    let goes_on: Vec<&&str> = lines[heading..].iter().filter(|line| line.starts_with("      │")).collect();
    assert!(goes_on.len() > 3, "{screen}");
    for line in goes_on {
        assert!(is_lane(line, client) && is_lane(line, n1), "{line:?}\n{screen}");
    }
}

#[test]
fn the_quiz_fits_gives_hints_and_leaves_with_the_score() {
    let mut terminal = Terminal::run(cutaway(&["quiz", "--seed", "7", "--questions", "3"]), 80);
    terminal.wait_for("Question 1 of 3");
    terminal.wait_for("> ");
    terminal.type_in("?\n");
    terminal.wait_for("Look at");
    terminal.type_in("nonsense\n");
    terminal.wait_for("? for a hint");
    terminal.type_in("1\n");
    terminal.wait_for("Question 2 of 3");
    terminal.type_in("q\n");
    let (screen, status) = terminal.end();
    let screen = plain(&screen);
    assert!(status.success() && screen.contains("of 1 right"), "{screen}");
    assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
    // Ctrl-D does the same.
    let mut terminal = Terminal::run(cutaway(&["quiz", "--seed", "7"]), 80);
    terminal.wait_for("> ");
    terminal.type_in("\x04");
    let screen = plain(&terminal.end().0);
    assert!(screen.contains("0 of 0 right"), "{screen}");
}

const RED: &str = "\x1b[1m\x1b[31m";

#[test]
fn colours_are_for_terminals_and_for_those_who_want_them() {
    let broken = ["play", "epoch-fence", "--without", "epoch-fence", "--plain"];
    assert!(shown(&broken, 80).contains(RED));
    assert!(!piped(&broken).contains('\x1b'));
    assert!(piped(&[&broken[..], &["--color", "always"]].concat()).contains(RED));
    assert!(!shown(&[&broken[..], &["--color=never"]].concat(), 80).contains('\x1b'));
    let mut no_color = Command::new("env");
    no_color.arg("NO_COLOR=1").arg(program().get_program()).args(broken);
    assert!(!Terminal::run(no_color, 80).end().0.contains('\x1b'));
    // Help and usage errors are no exception.
    assert!(shown(&["--help"], 80).contains('\x1b'));
    assert!(!shown(&["--color", "never", "--help"], 80).contains('\x1b'));
    assert!(!shown(&["why", "--nonsense", "--color", "never"], 80).contains('\x1b'));
    assert!(!shown(&["get", "x", "--gateway", "127.0.0.1:1", "--color", "never"], 80).contains('\x1b'));
}

#[test]
fn help_fits_a_terminal() {
    for args in [&["--help"][..], &["check", "--help"], &["sim", "--help"], &["why", "-h"]] {
        let screen = plain(&shown(args, 80));
        let wide = screen.lines().find(|line| line.chars().count() > 80);
        assert_eq!(wide, None, "{args:?}");
    }
}
