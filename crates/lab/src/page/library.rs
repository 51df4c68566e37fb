//! What a page has at hand: every mechanism with the text of its guard, its counterexample, the stories, and the museum.

use std::ops::Range;

use serde_json::{Value, json};
use trace::mechanism::{Class, Room};

use crate::museum::{Exhibit, Shown, exhibits};
use crate::why::registry::{Entry, entries};

/// The files that hold guards.
const GUARDS: [(&str, &str); 5] = [
    ("crates/engine/src/guard.rs", include_str!("../../../engine/src/guard.rs")),
    ("crates/dataplane/src/guard.rs", include_str!("../../../dataplane/src/guard.rs")),
    ("crates/gateway/src/guard.rs", include_str!("../../../gateway/src/guard.rs")),
    ("extensions/elections/src/guard.rs", include_str!("../../../../extensions/elections/src/guard.rs")),
    ("extensions/membership/src/guard.rs", include_str!("../../../../extensions/membership/src/guard.rs")),
];

macro_rules! stories {
    ($($name:literal)*) => {
        /// Every file of `stories/`.
        const STORIES: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../../../../stories/", $name, ".story"))),)*
        ];
    };
}

stories! {
    "a_pair_of_backups_is_no_majority_for_the_primary"
    "asymmetric_partition_heals"
    "backup_is_repaired_after_a_long_absence"
    "commit_only_through_own_epoch"
    "committed_count_says_nothing"
    "concurrent_writes_have_one_order_everywhere"
    "divergent_suffix_is_truncated"
    "failover_missed_the_last_commit"
    "hole_in_the_log_is_refused"
    "late_duplicate_erases_nothing"
    "old_primary_wakes_up"
    "primary_restarts_without_its_last_entry"
    "promise_between_receipt_and_acknowledgement"
    "promise_survives_a_restart"
    "promises_come_before_the_choice"
    "refusal_is_not_remembered"
    "removed_primary_hands_over"
    "retry_across_failover_takes_effect_once"
    "retry_after_checkpoint_and_transfer"
    "seq_goes_on_after_a_failover"
    "swapped_disks_are_refused"
    "two_gateways_take_over_at_once"
    "unanswered_write_may_appear_later"
    "what_is_committed_is_applied_once_and_in_order"
    "wiped_replica_does_not_vote"
    "wiped_replica_forgot_a_promise_that_still_counts"
    "wiped_replica_had_promised_a_newer_epoch"
}

/// The text of a guard, with the comment above it. `None`: there is no such function in that file.
pub fn guard_text(file: &str, symbol: &str) -> Option<String> {
    let (_, text) = GUARDS.iter().find(|(name, _)| *name == file)?;
    let lines: Vec<&str> = text.lines().collect();
    Some(lines[guard_lines(text, symbol)?].join("\n"))
}

/// The lines of a guard in the text of its file, with the comment above it.
pub(crate) fn guard_lines(text: &str, symbol: &str) -> Option<Range<usize>> {
    let lines: Vec<&str> = text.lines().collect();
    let at = head_of(text, symbol)?;
    let begin =
        lines[..at].iter().rposition(|line| !line.trim_start().starts_with("//") && !line.starts_with("#["));
    let begin = begin.map_or(0, |before| before + 1);
    let indent = lines[at].len() - lines[at].trim_start().len();
    let close = format!("{}}}", " ".repeat(indent));
    let end = lines[at..].iter().position(|line| *line == close)?;
    Some(begin..at + end + 1)
}

/// The line, from 1, on which a guard begins.
pub(crate) fn guard_line(file: &str, symbol: &str) -> Option<usize> {
    let (_, text) = GUARDS.iter().find(|(name, _)| *name == file)?;
    head_of(text, symbol).map(|at| at + 1)
}

/// The line, from 0, of a function's head.
fn head_of(text: &str, symbol: &str) -> Option<usize> {
    let head = format!("fn {symbol}");
    let is_head = |line: &str| line.split_once(&head).is_some_and(|(_, rest)| rest.starts_with(['(', '<']));
    text.lines().position(is_head)
}

/// The stories: name and text.
pub(crate) fn stories() -> impl Iterator<Item = (&'static str, &'static str)> {
    STORIES.iter().copied()
}

fn mechanism(entry: &Entry) -> Value {
    let of = entry.mechanism;
    let guard = entry
        .guard
        .map(|(file, symbol)| json!({ "file": file, "fn": symbol, "text": guard_text(file, symbol) }));
    json!({
        "id": of.id(),
        "does": of.does(),
        "room": match of.room() { Room::Local => "device", Room::Cluster => "cluster", Room::Extension => "extension" },
        "class": match of.class() { Class::Safety => "safety", Class::Liveness => "liveness" },
        "promise": of.promise(),
        "guard": guard,
        "counterexample": entry.counterexample,
        "story": entry.story,
        "structural": entry.structural,
    })
}

/// An exhibit of the museum that has a schedule.
fn exhibit(exhibit: &Exhibit) -> Option<Value> {
    let Shown::Without(guard) = exhibit.shown else { return None };
    let Exhibit { id, title, system, year, .. } = exhibit;
    let text = exhibit.schedule()?.to_string();
    Some(
        json!({ "id": id, "title": title, "system": system, "year": year, "guard": guard.id(), "text": text }),
    )
}

/// Mechanisms, stories, the museum and promises.
pub fn library() -> Value {
    let story = |(name, text): &(&str, &str)| json!({ "name": name.replace('_', " "), "text": text });
    json!({
        "mechanisms": entries().map(mechanism).collect::<Vec<_>>(),
        "stories": STORIES.iter().map(story).collect::<Vec<_>>(),
        "museum": exhibits().iter().filter_map(exhibit).collect::<Vec<_>>(),
        "promises": trace::mechanism::PROMISES,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guard_is_shown_whole_with_the_comment_above_it() {
        let mut shown = 0;
        for entry in entries() {
            let Some((file, symbol)) = entry.guard else { continue };
            let text = guard_text(file, symbol).unwrap_or_else(|| panic!("{symbol} is not in {file}"));
            assert!(text.starts_with("///") && text.ends_with('}'), "{text}");
            assert!(text.contains(entry.mechanism.id()), "{}: {text}", entry.mechanism);
            assert_eq!(text.matches('{').count(), text.matches('}').count(), "{text}");
            shown += 1;
        }
        assert!(shown > 30);
    }

    #[test]
    fn every_story_is_at_hand() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../stories");
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let stories = names.filter(|path| path.extension().is_some_and(|end| end == "story"));
        let mut names: Vec<String> =
            stories.map(|path| path.file_stem().unwrap().to_str().unwrap().to_string()).collect();
        names.sort();
        assert_eq!(names, STORIES.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>());
    }
}
