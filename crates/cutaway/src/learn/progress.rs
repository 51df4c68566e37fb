//! How far a compilation is, told while it runs: as a bar on a terminal, else as a line from time to time.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::failure::note;

/// Between two lines, where no bar can be drawn.
const REPORT: Duration = Duration::from_secs(15);
/// How often a bar moves.
const MOVE: Duration = Duration::from_millis(200);

/// A compilation that runs.
pub struct Progress {
    bar: Option<ProgressBar>,
    /// Crates that are part of it, as far as that is known.
    all: Option<usize>,
    seen: BTreeSet<String>,
    began: Instant,
    told: Instant,
}

impl Progress {
    /// One that begins now, of so many crates.
    pub fn new(all: Option<usize>) -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let (bar, template) = match all {
                Some(all) => (ProgressBar::new(all as u64), "  {bar:24} {pos} of {len} crates, {elapsed}"),
                None => (ProgressBar::new_spinner(), "  {pos} crates, {elapsed}"),
            };
            bar.set_style(ProgressStyle::with_template(template).expect("the template is one"));
            bar.enable_steady_tick(MOVE);
            bar
        });
        let began = Instant::now();
        Progress { bar, all, seen: BTreeSet::new(), began, told: began }
    }

    /// This crate is compiled.
    pub fn compiled(&mut self, package: &str) {
        self.seen.insert(package.to_string());
        if let Some(bar) = &self.bar {
            bar.set_position(self.seen.len() as u64);
        }
    }

    /// Time passes.
    pub fn tick(&mut self) {
        if self.bar.is_some() || self.told.elapsed() < REPORT {
            return;
        }
        self.told = Instant::now();
        let of = self.all.map_or(String::new(), |all| format!(" of {all}"));
        let seconds = self.began.elapsed().as_secs();
        note(format!("  {}{of} crates compiled after {seconds} s; the largest come last\n", self.seen.len()));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
