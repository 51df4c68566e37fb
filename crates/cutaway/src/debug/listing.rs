//! The schedule as a source: the file that it is in, or its text, if it is in none or was left for a branch.

use std::path::PathBuf;

use lab::Schedule;
use serde_json::{Value, json};

/// Where steps stand.
pub struct Listing {
    file: Option<PathBuf>,
    /// The lines of the steps in the file, from 1.
    lines: Vec<usize>,
    /// The steps in the file.
    steps: Vec<String>,
    /// Texts that are in no file; an editor asks for them by number, from 1.
    texts: Vec<String>,
}

impl Listing {
    pub fn new(file: Option<PathBuf>, schedule: &Schedule) -> Listing {
        let text = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
        let given = text.lines().enumerate().filter(|(_, line)| line.starts_with("> "));
        let lines = given.skip(schedule.setting.len()).map(|(at, _)| at + 1).collect();
        Listing { file, lines, steps: schedule.steps.clone(), texts: Vec::new() }
    }

    /// The source and the line of a step (from 1) of the schedule that is being played.
    pub fn place(&mut self, schedule: &Schedule, step: usize) -> (Value, usize) {
        let at = step.saturating_sub(1);
        if let (Some(file), Some(line)) = (&self.file, self.lines.get(at))
            && schedule.steps.get(at) == self.steps.get(at)
        {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            return (json!({ "name": name, "path": file.to_string_lossy() }), *line);
        }
        let text = schedule.to_string();
        let number = self.texts.iter().position(|known| *known == text).unwrap_or_else(|| {
            self.texts.push(text);
            self.texts.len() - 1
        });
        let line = schedule.notes.len() + schedule.setting.len() + at + 1;
        (json!({ "name": "schedule", "sourceReference": number + 1 }), line)
    }

    /// A text by its number.
    pub fn text(&self, number: u64) -> Option<&str> {
        self.texts.get((number as usize).checked_sub(1)?).map(String::as_str)
    }

    /// The step (from 1) at this line of this file, or the next one below.
    pub fn step_at(&self, path: &str, line: usize) -> Option<(usize, usize)> {
        let file = self.file.as_ref()?;
        let is_it = file.to_string_lossy() == path
            || file.canonicalize().ok().zip(std::fs::canonicalize(path).ok()).is_some_and(|(a, b)| a == b);
        let at = self.lines.iter().position(|at| *at >= line).filter(|_| is_it)?;
        Some((at + 1, self.lines[at]))
    }

    /// The step of the file with this number.
    pub fn step(&self, number: usize) -> Option<&str> {
        self.steps.get(number.checked_sub(1)?).map(String::as_str)
    }
}
