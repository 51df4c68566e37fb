//! What a command says: results on standard output, notes and failures on standard error; and its exit code.
//!
//! | code | means |
//! |---|---|
//! | 0 | done |
//! | 1 | not done, or done and its result could not be written |
//! | 2 | wrong usage |
//! | 3 | a write's outcome is unknown: it may have taken effect, and may yet |
//! | 4 | damaged data |
//! | 130 | stopped by Ctrl-C, and what came so far is told |

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::sync::Mutex;

use crate::terminal::{self, BROKEN};

/// Why a command did not succeed, and what to try next.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    what: String,
    next: Option<String>,
}

/// What every command returns.
pub type Result<T = ()> = std::result::Result<T, Failure>;

impl Failure {
    /// Not done.
    pub fn error(what: impl Display) -> Failure {
        Failure { code: 1, what: what.to_string(), next: None }
    }

    /// Wrong usage.
    pub fn usage(what: impl Display) -> Failure {
        Failure { code: 2, ..Failure::error(what) }
    }

    /// Not done, and what is missing was told as the result.
    pub fn unmet() -> Failure {
        Failure::error("")
    }

    /// Nobody can say whether it took effect.
    pub fn unknown(what: impl Display) -> Failure {
        Failure { code: 3, ..Failure::error(what) }
    }

    /// Damaged data.
    pub fn corruption(what: impl Display) -> Failure {
        Failure { code: 4, ..Failure::error(what) }
    }

    /// Somebody stopped it before it was done.
    pub fn stopped(what: impl Display) -> Failure {
        Failure { code: 130, ..Failure::error(what) }
    }

    /// The next command to try.
    pub fn next(self, next: impl Display) -> Failure {
        Failure { next: Some(next.to_string()), ..self }
    }

    /// Tells it on standard error.
    pub fn report(self) -> ExitCode {
        if !self.what.is_empty() {
            let _ = writeln!(anstream::stderr().lock(), "{BROKEN}error:{BROKEN:#} {}", self.what.trim_end());
        }
        if let Some(next) = self.next {
            note(format!("  next: {next}\n"));
        }
        ExitCode::from(self.code)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.what.trim_end())
    }
}

/// A word as a shell takes it.
pub fn quote(word: impl Display) -> String {
    let word = word.to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:=@%+,-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word;
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// How this program was called, to be used in the commands that it suggests.
pub fn me() -> String {
    match std::env::args().next() {
        Some(path) if path.contains('/') => quote(path),
        _ => "cutaway".into(),
    }
}

/// The command that is running, with these options given other values, or left out.
pub fn again(changes: &[(&str, Option<String>)]) -> String {
    let arguments = std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned());
    let mut words = changed(arguments, changes);
    words.insert(0, me());
    words.join(" ")
}

fn changed(arguments: impl Iterator<Item = String>, changes: &[(&str, Option<String>)]) -> Vec<String> {
    let mut arguments = arguments.peekable();
    let mut words = Vec::new();
    while let Some(argument) = arguments.next() {
        let (name, value) = argument.split_once('=').map_or((&argument[..], None), |(n, v)| (n, Some(v)));
        if !changes.iter().any(|(changed, _)| *changed == name) {
            words.push(quote(&argument));
        } else if value.is_none() {
            arguments.next();
        }
    }
    for (name, value) in changes {
        words.extend(value.iter().map(|value| format!("{name} {}", quote(value))));
    }
    words
}

/// What kept results from being written, other than that nobody reads them.
static UNWRITTEN: Mutex<Option<io::Error>> = Mutex::new(None);

/// Prints a result. A reader that has gone away (`cutaway list | head -1`) has what it wanted. Any other failure is the
/// command's own, once it has done what it does.
pub fn say(text: impl Display) {
    written(writeln!(io::stdout().lock(), "{text}"));
}

/// Prints a line, broken between words on a terminal, with its colours. Into a file or a pipe it goes as it is.
pub fn say_wrapped(line: impl AsRef<str>) {
    terminal::fit(line.as_ref()).iter().for_each(say_painted);
}

/// Prints a line that has colours, unless the terminal has none or nobody wants them.
pub fn say_painted(line: impl Display) {
    written(writeln!(anstream::stdout().lock(), "{line}"));
}

/// The same with bytes, as they are; false if nothing more need be printed.
pub fn say_bytes(bytes: &[u8]) -> bool {
    written(io::stdout().lock().write_all(bytes))
}

fn written(result: io::Result<()>) -> bool {
    let Err(error) = result.and_then(|()| io::stdout().lock().flush()) else { return true };
    if error.kind() != ErrorKind::BrokenPipe {
        *UNWRITTEN.lock().expect("nobody panics while it is locked") = Some(error);
    }
    false
}

/// Says something beside the result. Whether somebody reads it makes no difference.
pub fn note(text: impl Display) {
    let _ = write!(io::stderr().lock(), "{text}");
}

/// A command that did what it does has failed all the same if its result could not be written.
pub fn all_written() -> Result {
    match UNWRITTEN.lock().expect("nobody panics while it is locked").take() {
        None => Ok(()),
        Some(error) => Err(Failure::error(format!(
            "the command was carried out, but standard output cannot be written: {error}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggested_words_are_taken_by_a_shell_as_they_are() {
        assert_eq!(quote("/a/b-c_d.img"), "/a/b-c_d.img");
        assert_eq!(quote("it's here"), r"'it'\''s here'");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("[::1]:7401"), "'[::1]:7401'");
    }

    #[test]
    fn a_command_is_suggested_again_with_other_options() {
        let command = ["up", "--port", "7400", "--dir=a b", "--shards=2", "--json"].map(String::from);
        let words = changed(command.into_iter(), &[("--port", Some("7500".into())), ("--shards", None)]);
        assert_eq!(words.join(" "), "up '--dir=a b' --json --port 7500");
    }
}
