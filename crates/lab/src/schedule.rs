//! A schedule as text: where it begins, and its steps. Counterexamples, stories and what people write are all of this form.

use std::fmt;

use crate::cluster::{SETTINGS, Setting, Step};

/// Longest text, and most steps, that are taken in.
const TEXT_BYTES_MAX: usize = 1 << 20;
const STEPS_MAX: usize = 10_000;

/// A schedule, in the words of [`crate::cluster`] or of `device::play`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// How it was found: the lines that begin with `#`.
    pub notes: Vec<String>,
    /// The lines that say where it begins.
    pub setting: Vec<String>,
    /// The steps.
    pub steps: Vec<String>,
}

impl std::str::FromStr for Schedule {
    type Err = String;

    /// Lines that begin with `#` are notes, with `>` the setting and the steps; indented ones are what a story tells of a
    /// step, and are passed over. An error names the line and the word.
    fn from_str(text: &str) -> Result<Schedule, String> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(format!("a schedule has at most {TEXT_BYTES_MAX} bytes"));
        }
        let mut schedule = Schedule { notes: Vec::new(), setting: Vec::new(), steps: Vec::new() };
        let mut numbers = Vec::new();
        for (at, line) in text.lines().enumerate() {
            if let Some(note) = line.strip_prefix('#') {
                schedule.notes.push(note.trim().to_string());
            } else if let Some(line) = line.strip_prefix("> ") {
                if schedule.steps.is_empty() && is_setting(line) {
                    schedule.setting.push(line.to_string());
                } else {
                    schedule.steps.push(line.to_string());
                }
                numbers.push(at + 1);
            } else if !line.trim().is_empty() && !line.starts_with("    ") {
                return Err(format!(
                    "line {}, `{line}`: a note begins with `# `, a setting or a step with `> `",
                    at + 1
                ));
            }
        }
        if schedule.steps.len() > STEPS_MAX {
            return Err(format!("a schedule has at most {STEPS_MAX} steps"));
        }
        schedule.check(&numbers)?;
        Ok(schedule)
    }
}

/// Does a line say where a schedule begins?
fn is_setting(line: &str) -> bool {
    let word = |line: &str| line.split_whitespace().next().map(str::to_string);
    word(line).as_deref() == Some("device") || SETTINGS.iter().any(|setting| word(setting.0) == word(line))
}

impl Schedule {
    /// Is it about one device?
    pub fn is_local(&self) -> bool {
        self.setting.first().is_some_and(|line| line.starts_with("device "))
    }

    /// The cluster that it begins with.
    pub fn setting(&self) -> Result<Setting, String> {
        let first = self.setting.first().map_or("", String::as_str);
        let mut setting: Setting = first.parse()?;
        for line in &self.setting[1..] {
            setting.more(line)?.ok_or_else(|| format!("`{line}` is no setting of a cluster"))?;
        }
        Ok(setting)
    }

    /// Can every line be read? `numbers` are those of the lines.
    fn check(&self, numbers: &[usize]) -> Result<(), String> {
        let Some(first) = self.setting.first() else {
            return Err("a schedule begins with `> cluster N` or `> device NAME`".into());
        };
        if self.is_local() {
            return Ok(());
        }
        let at = |place: usize, line: &str, why: String| format!("line {}, `{line}`: {why}", numbers[place]);
        let mut setting: Setting = first.parse().map_err(|why| at(0, first, why))?;
        for (place, line) in self.setting.iter().enumerate().skip(1) {
            let more = setting.more(line).map_err(|why| at(place, line, why))?;
            more.ok_or_else(|| at(place, line, "no setting of a cluster".into()))?;
        }
        for (step, line) in self.steps.iter().enumerate() {
            line.parse::<Step>().map_err(|why| at(self.setting.len() + step, line, why))?;
        }
        Ok(())
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.notes.iter().try_for_each(|note| writeln!(f, "# {note}"))?;
        self.setting.iter().chain(&self.steps).try_for_each(|line| writeln!(f, "> {line}"))
    }
}
