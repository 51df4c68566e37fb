//! What came of one schedule.

use std::collections::BTreeMap;

use trace::{Event, json};

use crate::ask::Ask;
use crate::checkers::Violation;
use crate::coverage::Coverage;

/// What came of one schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The first broken promise.
    pub violation: Option<Violation>,
    /// How many faults of each kind were carried out.
    pub faults: BTreeMap<&'static str, u64>,
    /// What clients asked while things went wrong, as a list that makes the same run again.
    pub asks: Vec<Ask>,
    /// Operations that clients called.
    pub operations: u64,
    /// Of these, writes whose outcome the client was told is unknown.
    pub unknown: u64,
    /// Of these, puts that were refused because the device is full.
    pub full: u64,
    /// Entries that were committed.
    pub committed: u64,
    /// Takeovers that succeeded.
    pub failovers: u64,
    /// When a primary began to serve, in microseconds of virtual time.
    pub served_at: Vec<u64>,
    /// How long it took, in microseconds of virtual time.
    pub micros: u64,
    /// What it came across, if that was asked for.
    pub coverage: Coverage,
    /// The trace as JSON Lines, if it was asked for.
    pub trace: Vec<u8>,
    /// What each client asked and was told, in a client's words.
    pub history: Vec<String>,
}

impl Report {
    /// The events of the trace. An error says which line is none.
    pub fn events(&self) -> Result<Vec<Event>, String> {
        let text =
            std::str::from_utf8(&self.trace).map_err(|error| format!("the trace is no text: {error}"))?;
        let lines = text.lines().enumerate();
        lines
            .map(|(n, line)| json::from_line(line).map_err(|error| format!("line {}: {error}", n + 1)))
            .collect()
    }
}
