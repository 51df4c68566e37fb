//! The latest of what the log was told, with the time of each line: for whoever opens the console later.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::clock::wall_micros;

/// So many lines are kept.
const LINES_MAX: usize = 16;
/// Longest of them.
const LINE_BYTES_MAX: usize = 400;

/// Lines of one chronicle.
#[derive(Default)]
pub(crate) struct Lines {
    kept: VecDeque<(u64, u64, String)>,
    next: u64,
}

impl Lines {
    /// Keeps a line.
    pub fn keep(&mut self, line: &str) {
        if self.kept.len() == LINES_MAX {
            self.kept.pop_front();
        }
        let most = LINE_BYTES_MAX.min(line.len());
        let end = (0..=most).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        self.kept.push_back((self.next, wall_micros(), line[..end].to_string()));
        self.next += 1;
    }

    /// Each with its number in this life of the process, and with milliseconds since the Unix epoch.
    pub fn json(&self) -> Value {
        let line = |(n, at, text): &(u64, u64, String)| json!([n, at / 1000, text]);
        self.kept.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_latest_lines_are_kept_and_none_of_them_is_long() {
        let mut lines = Lines::default();
        (0..40).for_each(|n| lines.keep(&format!("{n} {}", "ü".repeat(1000))));
        let json = lines.json();
        let all = json.as_array().unwrap();
        assert_eq!((all.len(), &all[0][0], &all[15][0]), (16, &json!(24), &json!(39)));
        assert!(all.iter().all(|line| line[2].as_str().unwrap().len() <= 400));
    }
}
