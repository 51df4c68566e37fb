//! How a line fits a terminal: broken between words, and coloured.
//!
//! What goes on in a further line stands under the column where the text began, and the lanes of a diagram are drawn on
//! beside it:
//!
//! ```text
//!     4 │      │      │──────▶│       n2 → n3: PromiseRequest(epoch 2), the next line goes
//!       │      │      │      │        on here
//! ```
//!
//! Colours are few: a broken promise is red, what a client learns magenta, what held green, a mechanism's id cyan.

use std::io::{IsTerminal, stderr, stdout};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;

use anstyle::{AnsiColor, Style};
use clap::{ColorChoice, ValueEnum};
use textwrap::{Options, WordSeparator, WordSplitter};

/// A broken promise, and an error.
pub const BROKEN: Style = AnsiColor::Red.on_default().bold();
const HELD: Style = AnsiColor::Green.on_default();
const CLIENT: Style = AnsiColor::Magenta.on_default();
const MECHANISM: Style = AnsiColor::Cyan.on_default();
const TITLE: Style = Style::new().bold();

/// The width of a text that is not written to a terminal, where it has one.
const WIDTH: usize = 100;
/// With less room than this beside what stands in front of it, a text begins in a line of its own.
const TEXT_MIN: usize = 24;

/// The columns of the terminal that standard output is, or that a pager shows it on: then somebody still watches what
/// goes wrong.
pub fn width() -> Option<usize> {
    if stdout().is_terminal() {
        return Some(textwrap::termwidth());
    }
    let asked = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    asked.or_else(|| (stderr().is_terminal() && is_pipe()).then(textwrap::termwidth))
}

/// Is standard output a pipe?
fn is_pipe() -> bool {
    let fd = stdout().as_fd().try_clone_to_owned().ok();
    let about = fd.and_then(|fd| std::fs::File::from(fd).metadata().ok());
    about.is_some_and(|about| about.file_type().is_fifo())
}

/// The same, or what a text is made for elsewhere.
pub fn width_or_usual() -> usize {
    width().unwrap_or(WIDTH)
}

/// Its lines in lines that fit standard output, with their colours; whether those are shown is for the stream to decide.
pub fn fit(text: &str) -> Vec<String> {
    let width = width();
    let fit = |line: &str| {
        let pieces = width.map_or_else(|| vec![line.to_string()], |width| wrapped(line, width));
        painted(line, &pieces)
    };
    text.split('\n').flat_map(fit).collect()
}

/// The line in lines of at most `width` columns.
pub fn wrapped(line: &str, width: usize) -> Vec<String> {
    if line.chars().count() <= width {
        return vec![line.to_string()];
    }
    let column = text_column(line);
    let at = line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
    let (front, text) = line.split_at(at);
    let beside = column + TEXT_MIN <= width;
    // A text that nothing stands before goes on a little further in, so that the next one is told from it.
    let hang = if front.trim_matches([' ', '|']).is_empty() { "  " } else { "" };
    let below = if beside { carried(front) + hang } else { " ".repeat(8) };
    let options = Options::new(width.saturating_sub(below.chars().count()).max(1))
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation);
    let mut lines = Vec::new();
    if !beside {
        lines.push(front.trim_end().to_string());
    }
    for piece in textwrap::wrap(text, options) {
        let front = if lines.is_empty() { front } else { &below };
        lines.push(format!("{front}{piece}"));
    }
    lines
}

/// Where the text of a line begins: behind a diagram, a label, columns, a number or a bar.
fn text_column(line: &str) -> usize {
    let chars: Vec<char> = line.chars().collect();
    let indent = chars.iter().take_while(|c| **c == ' ').count();
    let gap = |at: &usize| chars[at - 2..*at] == [' ', ' '] && chars[*at] != ' ';
    // The last gap of two blanks: behind it there is only text.
    if let Some(column) = (indent + 3..chars.len()).rev().find(gap) {
        return column;
    }
    let first: String = chars[indent..].iter().take_while(|c| **c != ' ').collect();
    let number = first.strip_suffix('.').is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()));
    if number || ["|", "-", "?", ">"].contains(&first.as_str()) {
        return indent + first.chars().count() + 1;
    }
    indent
}

/// What stands in front of the further lines of a text that has `front` before it.
fn carried(front: &str) -> String {
    let chars: Vec<char> = front.chars().collect();
    let lanes = front.contains('│');
    let alone = |at: usize| {
        let is_word = |at: Option<&char>| at.is_some_and(|c| c.is_alphanumeric());
        !is_word(at.checked_sub(1).and_then(|before| chars.get(before))) && !is_word(chars.get(at + 1))
    };
    let carry = |(at, c): (usize, &char)| match c {
        '│' | '|' => *c,
        // What happens at a lane is drawn on it.
        c if lanes && at > 5 && !" ─▶◀✗".contains(*c) && alone(at) => '│',
        _ => ' ',
    };
    chars.iter().enumerate().map(carry).collect()
}

/// The lines that `line` was broken into, in its colours.
fn painted(line: &str, pieces: &[String]) -> Vec<String> {
    let begins = |words: &[&str]| words.iter().any(|word| line.trim_start().starts_with(word));
    let whole = if begins(&["BROKEN", "broken:", "STOPPED"]) {
        Some(BROKEN)
    } else if begins(&["HELD", "no violation", "Right"]) {
        Some(HELD)
    } else if begins(&["client:", "Client "]) {
        Some(CLIENT)
    } else if begins(&["WITHOUT ", "?  Predict"]) {
        Some(TITLE)
    } else {
        None
    };
    let mut style = whole;
    let paint = |piece: &String| match style {
        None => words_painted(piece),
        Some(now) => {
            // A client that tells of a broken promise tells it last.
            let broken = promise_at(piece).filter(|_| now == CLIENT);
            let (told, rest) = piece.split_at(broken.unwrap_or(piece.len()));
            style = Some(if broken.is_some() { BROKEN } else { now });
            let rest = if rest.is_empty() { String::new() } else { format!("{BROKEN}{rest}{BROKEN:#}") };
            format!("{now}{told}{now:#}{rest}")
        }
    };
    pieces.iter().map(paint).collect()
}

/// Where a broken promise is named.
fn promise_at(piece: &str) -> Option<usize> {
    let at = (1..=5).filter_map(|promise| piece.find(&format!("P{promise}: "))).min()?;
    // The invariant's number stands in front of the promise's.
    let before = piece[..at].rfind("; then ").map_or(at, |then| then + "; then ".len());
    Some(before)
}

/// Mechanisms are named in their colour.
fn words_painted(piece: &str) -> String {
    let is_id = |c: char| c.is_ascii_alphanumeric() || c == '-';
    piece
        .split_inclusive(|c: char| !is_id(c))
        .map(|word| {
            let id = word.trim_end_matches(|c: char| !is_id(c));
            match trace::Mechanism::from_id(id) {
                Some(_) => format!("{MECHANISM}{id}{MECHANISM:#}{}", &word[id.len()..]),
                None => word.to_string(),
            }
        })
        .collect()
}

/// Has everything that is written with colours obey `--color`.
pub fn colour(choice: ColorChoice) {
    match choice {
        ColorChoice::Auto => anstream::ColorChoice::Auto,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    }
    .write_global();
}

/// What `--color` says among these arguments, before they are understood: help and usage errors obey it too.
pub fn colour_asked(arguments: impl Iterator<Item = String>) -> ColorChoice {
    let mut arguments = arguments.take_while(|argument| argument != "--");
    let mut choice = ColorChoice::Auto;
    while let Some(argument) = arguments.next() {
        let value = match argument.strip_prefix("--color") {
            Some("") => arguments.next(),
            Some(rest) => rest.strip_prefix('=').map(String::from),
            None => None,
        };
        choice = value.and_then(|value| ColorChoice::from_str(&value, false).ok()).unwrap_or(choice);
    }
    choice
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_wrapped(line: &str, width: usize, expected: &[&str]) {
        assert_eq!(wrapped(line, width), expected);
    }

    #[test]
    fn a_text_goes_on_under_its_own_column() {
        assert_wrapped(
            "The promise  1. A write that returned OK is never lost.",
            40,
            &["The promise  1. A write that returned OK", "             is never lost."],
        );
        assert_wrapped(
            " 12. n2 refuses n1, which speaks for epoch 1",
            30,
            &[" 12. n2 refuses n1, which", "     speaks for epoch 1"],
        );
        assert_wrapped(
            "     | n1: primary of epoch 1, log up to entry 3",
            32,
            &["     | n1: primary of epoch 1,", "     |   log up to entry 3"],
        );
        assert_wrapped(
            "   no table, no label and no number",
            30,
            &["   no table, no label and no", "     number"],
        );
    }

    #[test]
    fn the_lanes_of_a_diagram_are_drawn_on() {
        assert_wrapped(
            "    4 │      S──────▶│       n1 → n2: a message with many words in it",
            56,
            &[
                "    4 │      S──────▶│       n1 → n2: a message with",
                "      │      │       │       many words in it",
            ],
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_no_word_is_lost() {
        let line =
            "  9-10 │      │◀─────│  epoch-fence refuses what n1 says, since n3 has promised a newer epoch";
        for width in 40..100 {
            let lines = wrapped(line, width);
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{width}: {lines:#?}");
            let words = |text: &str| text.split_whitespace().map(String::from).collect::<Vec<_>>();
            let told: Vec<String> = lines.iter().flat_map(|line| words(line)).filter(|w| w != "│").collect();
            let expected: Vec<String> = words(line).into_iter().filter(|w| w != "│").collect();
            assert_eq!(told, expected, "{width}");
        }
    }

    #[test]
    fn a_broken_promise_is_red_however_many_lines_it_takes() {
        let line = "Client       step 9: write 1 is written; then D4, P1: n2 serves without entry 3";
        let told = painted(line, &wrapped(line, 60));
        assert_eq!(told.len(), 2);
        assert!(told[0].contains(&format!("{BROKEN}D4, P1: ")), "{told:?}");
        assert!(told[1].starts_with(&BROKEN.to_string()), "{told:?}");
        let painted = painted("the guard is epoch-fence, no other", &["epoch-fence, no".into()]);
        assert_eq!(painted, [format!("{MECHANISM}epoch-fence{MECHANISM:#}, no")]);
    }

    #[test]
    fn colour_is_asked_for_anywhere_but_behind_two_dashes() {
        let asked = |words: &[&str]| colour_asked(words.iter().map(|word| word.to_string()));
        assert_eq!(asked(&["why", "--color", "never"]), ColorChoice::Never);
        assert_eq!(asked(&["--color=always", "why"]), ColorChoice::Always);
        assert_eq!(asked(&["put", "--", "--color=always", "x"]), ColorChoice::Auto);
        assert_eq!(asked(&["why", "--color", "purple"]), ColorChoice::Auto);
    }
}
