//! The sources: at which line an event is emitted, and where its mechanism's guard stands.
//!
//! An event knows its file and function. The line is looked up in the text, so that it is right also where the sources
//! were changed since this program was built.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use lab::why::registry;
use trace::{Kind, Mechanism, Source};

/// A longer file is no source of ours.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// The sources of this repository, if they are here.
pub struct Tree {
    root: Option<PathBuf>,
    files: RefCell<BTreeMap<String, Rc<Vec<String>>>>,
}

impl Tree {
    /// Below `root`; if none is named, around the current directory, else where this program was built.
    pub fn find(root: Option<&Path>) -> Tree {
        let is_ours = |place: &Path| place.join("crates/dataplane/src").is_dir();
        let above = |place: PathBuf| place.ancestors().find(|place| is_ours(place)).map(Path::to_owned);
        let root = match root {
            Some(root) => above(std::path::absolute(root).unwrap_or_default()),
            None => std::env::current_dir()
                .ok()
                .and_then(above)
                .or_else(|| above(PathBuf::from(env!("CARGO_MANIFEST_DIR")))),
        };
        Tree { root, files: RefCell::default() }
    }

    /// Are they here?
    pub fn is_there(&self) -> bool {
        self.root.is_some()
    }

    /// Where a file of the repository is.
    pub fn place(&self, file: &str) -> Option<PathBuf> {
        self.root.as_ref().map(|root| root.join(file))
    }

    /// The name that a file has in the repository.
    pub fn name(&self, path: &str) -> Option<String> {
        let root = self.root.as_ref()?;
        let path = Path::new(path);
        let inside = |root: &Path, path: &Path| path.strip_prefix(root).map(Path::to_owned).ok();
        let found =
            inside(root, path).or_else(|| inside(&root.canonicalize().ok()?, &path.canonicalize().ok()?));
        found.map(|name| name.to_string_lossy().replace('\\', "/"))
    }

    /// The line, from 1, that emits an event of this kind in this function.
    pub fn line_of_event(&self, source: &Source, kind: &str) -> Option<usize> {
        let lines = self.lines(&source.file)?;
        let bodies = bodies(&lines, function(&source.symbol));
        let emits = |at: &usize| emitted(&lines[*at]) == Some(kind);
        let line = bodies.iter().find_map(|body| body.clone().find(emits));
        line.or_else(|| bodies.first().map(|body| body.start)).map(|at| at + 1)
    }

    /// The line, from 1, where a function begins.
    pub fn line_of_function(&self, file: &str, name: &str) -> Option<usize> {
        bodies(&self.lines(file)?, name).first().map(|body| body.start + 1)
    }

    /// The first line from `line` on that emits an event.
    pub fn next_event(&self, file: &str, line: usize) -> Option<usize> {
        let lines = self.lines(file)?;
        // By convention a file's tests are its last part.
        let code = lines.iter().position(|line| line.starts_with("#[cfg(test)]")).unwrap_or(lines.len());
        (line.saturating_sub(1)..code).find(|at| emitted(&lines[*at]).is_some()).map(|at| at + 1)
    }

    /// The mechanism in whose guard a line is, and the guard's first line.
    pub fn guard_at(&self, file: &str, line: usize) -> Option<(Mechanism, usize)> {
        let lines = self.lines(file)?;
        registry::entries().find_map(|entry| {
            let (_, name) = entry.guard.filter(|(of, _)| *of == file)?;
            let body =
                bodies(&lines, name).into_iter().find(|body| body.contains(&(line.wrapping_sub(1))))?;
            Some((entry.mechanism, body.start + 1))
        })
    }

    fn lines(&self, file: &str) -> Option<Rc<Vec<String>>> {
        if let Some(lines) = self.files.borrow().get(file) {
            return Some(lines.clone());
        }
        let place = self.place(file)?;
        let is_small = std::fs::metadata(&place).is_ok_and(|meta| meta.len() <= FILE_BYTES_MAX);
        let text = is_small.then(|| std::fs::read_to_string(&place).ok()).flatten()?;
        let lines = Rc::new(text.lines().map(String::from).collect::<Vec<_>>());
        self.files.borrow_mut().insert(file.to_string(), lines.clone());
        Some(lines)
    }
}

/// The name of the function in a path of the compiler's, such as `a::<impl b::C>::f::{{closure}}`.
pub fn function(symbol: &str) -> &str {
    symbol.trim_end_matches("::{{closure}}").rsplit("::").next().unwrap_or(symbol)
}

/// The kind of event that a line of code emits. A pattern names a kind too, but binds only some of its facts (`..`), or
/// leads to something (`=>`).
fn emitted(line: &str) -> Option<&'static str> {
    if line.trim_start().starts_with("//") {
        return None;
    }
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices("Kind::").find_map(|(at, _)| {
        let (before, rest) = (&line[..at], &line[at + "Kind::".len()..]);
        let name = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
        let is_pattern = rest.contains("=>") || rest.contains(".. }");
        let is_ours = !before.ends_with(is_word) && !is_pattern;
        Kind::NAMES.iter().copied().find(|kind| is_ours && *kind == name)
    })
}

/// The lines, from 0, of each function of this name in formatted code: it ends with the first brace under its first word.
fn bodies(lines: &[String], name: &str) -> Vec<Range<usize>> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let begins = |line: &str| {
        let code = line.trim_start();
        !code.starts_with("//")
            && code.split_once("fn ").is_some_and(|(_, rest)| {
                rest.strip_prefix(name).is_some_and(|rest| rest.starts_with(['(', '<']))
            })
    };
    let starts = lines.iter().enumerate().filter(|(_, line)| begins(line));
    starts
        .map(|(start, first)| {
            let ends = |line: &String| indent(line) == indent(first) && line.trim_start().starts_with('}');
            let is_one_line = first.ends_with(['}', ';']);
            let more = lines[start..].iter().position(ends).filter(|_| !is_one_line).unwrap_or(0);
            start..start + more + 1
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_emits_is_told_from_a_pattern_a_comment_and_an_error_kind() {
        assert_eq!(emitted("        emit!(core, Kind::VoteWithheld { to });"), Some("VoteWithheld"));
        assert_eq!(emitted("            Kind::DeviceOpened {"), Some("DeviceOpened"));
        for other in [
            "            Kind::EntryApplied { seq, .. } => {",
            "// Kind::VoteWithheld { to }",
            "io::ErrorKind::TimedOut",
            "Kind::Nonsense {}",
        ] {
            assert_eq!(emitted(other), None, "{other}");
        }
    }

    #[test]
    fn the_function_is_the_last_name_of_its_path() {
        let path = "dataplane::transitions::<impl dataplane::replica::Replica>::behold::{{closure}}";
        assert_eq!(function(path), "behold");
        assert_eq!(function("f"), "f");
    }

    #[test]
    fn every_kind_of_event_that_the_sources_emit_is_found_by_file_and_function() {
        let tree = Tree::find(None);
        let transitions = "crates/dataplane/src/transitions.rs";
        let first = tree.next_event(transitions, 1).expect("it emits");
        let text = tree.lines(transitions).unwrap();
        assert!(emitted(&text[first - 1]).is_some(), "{}", text[first - 1]);
        let guarded = registry::entries().filter_map(|entry| Some((entry.mechanism, entry.guard?)));
        for (mechanism, (file, name)) in guarded {
            let line = tree.line_of_function(file, name).unwrap_or_else(|| panic!("{name} in {file}"));
            assert!(tree.guard_at(file, line).is_some_and(|found| found.1 == line), "{mechanism}");
        }
    }
}
