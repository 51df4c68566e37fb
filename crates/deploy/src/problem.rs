//! What is wrong with a file, and where.

use std::ops::Range;
use std::path::{Path, PathBuf};

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line in the file, from 1.
    pub line: usize,
    /// What is wrong, and what to do about it.
    pub what: String,
}

/// All mistakes of a file.
#[derive(Debug)]
pub struct Problems {
    /// The file.
    pub file: PathBuf,
    /// In the order of their lines; at least one.
    pub all: Vec<Problem>,
}

impl std::fmt::Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (n, problem) in self.all.iter().enumerate() {
            let break_line = if n == 0 { "" } else { "\n" };
            write!(f, "{break_line}{}:{}: {}", self.file.display(), problem.line, problem.what)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Mistakes as they are found.
pub struct Found<'a> {
    text: &'a str,
    all: Vec<Problem>,
}

impl<'a> Found<'a> {
    /// None yet, in this text.
    pub fn new(text: &'a str) -> Found<'a> {
        Found { text, all: Vec::new() }
    }

    /// The line of a place.
    pub fn line(&self, at: usize) -> usize {
        1 + self.text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count()
    }

    /// Something is wrong there.
    pub fn at(&mut self, span: Range<usize>, what: impl Into<String>) {
        let line = self.line(span.start);
        self.on(line, what);
    }

    /// Something is wrong on that line.
    pub fn on(&mut self, line: usize, what: impl Into<String>) {
        self.all.push(Problem { line, what: what.into() });
    }

    /// The value, if it was good; else a problem there.
    pub fn or<T>(&mut self, span: Range<usize>, result: Result<T, String>) -> Option<T> {
        result.map_err(|why| self.at(span, why)).ok()
    }

    /// The problems, if there are any.
    pub fn end(mut self, file: &Path) -> Result<(), Problems> {
        if self.all.is_empty() {
            return Ok(());
        }
        self.all.sort_by_key(|problem| problem.line);
        Err(self.told(file))
    }

    /// All of them.
    pub fn told(self, file: &Path) -> Problems {
        Problems { file: file.to_owned(), all: self.all }
    }
}
