//! What is known of one published failure.

use trace::Mechanism;

use crate::schedule::Schedule;
use crate::why::registry;

/// Who published a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Authors or project, title, place, year.
    pub words: String,
    /// Where to read it.
    pub url: String,
}

/// Whether the failure can be shown here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// By its schedule, with this guard out.
    Without(Mechanism),
    /// Not at all: this is missing.
    Missing(String),
}

/// One published failure.
#[derive(Clone, Debug)]
pub struct Exhibit {
    /// The name of its file.
    pub id: &'static str,
    /// What went wrong, in a line.
    pub title: String,
    /// Whose failure it was.
    pub system: String,
    /// When it was published.
    pub year: u16,
    /// What shows it.
    pub shown: Shown,
    /// Who published it.
    pub sources: Vec<Source>,
    /// What users of that system saw.
    pub seen: String,
    /// How the schedule corresponds to it.
    pub same: String,
    /// Where it does not.
    pub differs: String,
    /// A schedule of its own, if the guard's counterexample has another shape.
    pub(super) own: Option<&'static str>,
}

impl Exhibit {
    /// Its schedule, if it can be shown here.
    pub fn schedule(&self) -> Option<Schedule> {
        let Shown::Without(guard) = self.shown else { return None };
        let text = self.own.or(registry::entry(guard).counterexample)?;
        Some(text.parse().expect("a test plays every schedule"))
    }

    /// Has it a schedule of its own?
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Who published it, in one line.
    pub fn citation(&self) -> String {
        let sources = self.sources.iter().map(|source| format!("{} <{}>", source.words, source.url));
        sources.collect::<Vec<_>>().join("; ")
    }
}
