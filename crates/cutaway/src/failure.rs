//! What a command that did not succeed says, and its exit code.
//!
//! | code | means |
//! |---|---|
//! | 0 | done |
//! | 1 | not done |
//! | 2 | wrong usage |
//! | 3 | a write's outcome is unknown: it may have taken effect, and may yet |
//! | 4 | damaged data |

use std::fmt::Display;
use std::process::ExitCode;

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

    /// Nobody can say whether it took effect.
    pub fn unknown(what: impl Display) -> Failure {
        Failure { code: 3, ..Failure::error(what) }
    }

    /// Damaged data.
    pub fn corruption(what: impl Display) -> Failure {
        Failure { code: 4, ..Failure::error(what) }
    }

    /// The next command to try.
    pub fn next(self, next: impl Display) -> Failure {
        Failure { next: Some(next.to_string()), ..self }
    }

    /// Tells it on standard error.
    pub fn report(self) -> ExitCode {
        eprintln!("error: {}", self.what.trim_end());
        if let Some(next) = self.next {
            eprintln!("  next: {next}");
        }
        ExitCode::from(self.code)
    }
}

/// How this program was called, to be used in the commands that it suggests.
pub fn me() -> String {
    match std::env::args().next() {
        Some(path) if path.contains('/') => path,
        _ => "cutaway".into(),
    }
}

/// Prints a result. A reader that has gone away (`cutaway list | head -1`) has what it wanted.
pub fn say(text: impl Display) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}
