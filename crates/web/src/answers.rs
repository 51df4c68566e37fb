//! Questions and answers as text: what the module does for the page, and for whoever holds it against another machine.

use std::hash::{DefaultHasher, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};
use sim::Options;

/// Answers a question of the page.
pub fn play(question: &str) -> String {
    told(|| lab::page::answer(question))
}

/// Answers the same question with the hash of the state before the first step and after each.
pub fn states(question: &str) -> String {
    told(|| match lab::page::states(question) {
        Ok(hashes) => hashes.into_iter().map(hex).collect(),
        Err(error) => json!({ "error": error }),
    })
}

/// Simulates the seeds `[FROM, TO]`, the last one not, and answers with a hash for each: of every event that was traced, and
/// of what each client was told.
pub fn simulate(seeds: &str) -> String {
    told(|| match serde_json::from_str::<[u64; 2]>(seeds) {
        Ok([from, to]) => (from..to).map(|seed| hex(simulated(seed))).collect(),
        Err(error) => json!({ "error": format!("no seeds: {error}") }),
    })
}

fn simulated(seed: u64) -> u64 {
    let report = sim::run(seed, &Options { trace: true, ..Options::default() });
    let mut hasher = DefaultHasher::new();
    hasher.write(&report.trace);
    hasher.write_u64(report.micros);
    for line in &report.history {
        hasher.write(line.as_bytes());
    }
    hasher.finish()
}

/// As text: a number of JSON has no 64 bits in a browser.
fn hex(hash: u64) -> Value {
    format!("{hash:016x}").into()
}

/// The answer as text. A panic is our fault, and the page says so.
fn told(answer: impl FnOnce() -> Value) -> String {
    let panicked = |_| json!({ "error": "This question has made the program fail. That is a bug in it." });
    catch_unwind(AssertUnwindSafe(answer)).unwrap_or_else(panicked).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_answer_too() {
        assert!(told(|| panic!("no answer")).contains("a bug in it"));
    }

    #[test]
    fn what_is_no_question_is_answered_with_its_error() {
        assert!(
            play("").contains("no JSON")
                && states("{}").contains("schedule")
                && simulate("3").contains("no seeds")
        );
        assert_eq!(simulate("[4, 4]"), "[]");
    }

    #[test]
    fn there_is_a_state_before_the_first_step_and_after_each() {
        let question = json!({ "schedule": "> cluster 3\n> write 1 to n1\n> sync n1\n" }).to_string();
        let hashes: Vec<String> = serde_json::from_str(&states(&question)).unwrap();
        assert_eq!(hashes.len(), 3);
        assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2]);
    }
}
