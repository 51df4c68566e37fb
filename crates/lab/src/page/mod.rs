//! What a page asks the time machine, and its answers: JSON in, JSON out, no state in between.
//!
//! The schedule is the state. Each question brings the whole text, and a machine is built from it anew; so undo, branches
//! and an address that one sends to somebody are nothing but text, and two answers to one question are the same.
//!
//! | question | answer |
//! |---|---|
//! | `schedule` | the text, as in `docs/schedules.md` |
//! | `without` | ids of mechanisms that are out |
//! | `at` | where to stand: so many steps are behind; the end, if it is missing |
//! | | `settings`, `steps`: the text, read; `at`; `lanes` |
//! | | `acts`: each step of the line, with its events and what came of it |
//! | | `state`, `possible`: as of `at`; what could happen next |
//! | | `verdict`: each promise at the end of the line; `broken_at`: the step that broke one; `lost`: the entry |
//!
//! | file | job |
//! |---|---|
//! | `facts` | the state as JSON |
//! | `library` | mechanisms with their guards' text, counterexamples and stories |

mod facts;
mod library;

pub(crate) use library::{guard_line, guard_lines, stories};
pub use library::{guard_text, library};

use std::collections::BTreeMap;

use serde_json::{Value, json};
use trace::{Event, EventId, Mechanism};

use crate::facts::Standing;
use crate::machine::{Facts, Machine};
use crate::play::{Act, Mark};
use crate::schedule::Schedule;
use crate::tell;

/// Longest line of steps that a page plays: every answer holds all of them.
pub const STEPS_MAX: usize = 2000;
/// Longest line of a recording, which holds a state for each step.
pub const RECORDED_STEPS_MAX: usize = 200;

/// A question, read.
struct Question {
    schedule: Schedule,
    off: Vec<Mechanism>,
    at: usize,
}

impl Question {
    fn read(text: &str) -> Result<Question, String> {
        let asked: Value = serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?;
        let schedule = asked["schedule"].as_str().ok_or("`schedule` is missing: a text")?;
        let schedule: Schedule = schedule.parse()?;
        if schedule.steps.len() > STEPS_MAX {
            return Err(format!("the page plays at most {STEPS_MAX} steps; `cutaway play` plays more"));
        }
        let ids = match &asked["without"] {
            Value::Null => Vec::new(),
            Value::Array(ids) => ids.clone(),
            _ => return Err("`without` is a list of mechanisms".into()),
        };
        let off = ids.iter().map(|id| mechanism(id.as_str().unwrap_or_default()));
        let at = match &asked["at"] {
            Value::Null => schedule.steps.len(),
            at => at.as_u64().ok_or("`at` is a number of steps")? as usize,
        };
        Ok(Question { off: off.collect::<Result<_, _>>()?, at, schedule })
    }
}

fn mechanism(id: &str) -> Result<Mechanism, String> {
    Mechanism::from_id(id).ok_or_else(|| format!("there is no mechanism `{id}`"))
}

/// Answers a question; one that cannot be answered gets an `error`, which says why.
pub fn answer(question: &str) -> Value {
    let played = Question::read(question).and_then(|question| play(&question));
    played.unwrap_or_else(|error| json!({ "error": error }))
}

/// The hash of the state where the line of a question begins, and after each of its steps: two machines that play it alike
/// answer alike.
pub fn states(question: &str) -> Result<Vec<u64>, String> {
    let Question { schedule, off, .. } = Question::read(question)?;
    let mut machine = Machine::new(&schedule, crate::without(&off))?;
    let mut hashes = vec![machine.hash()];
    while machine.advance().is_some() {
        hashes.push(machine.hash());
    }
    Ok(hashes)
}

/// A line with the state after each of its steps: all that a page needs to show it where nothing answers questions.
pub fn record(schedule: &Schedule, off: &[Mechanism]) -> Result<Value, String> {
    let all = schedule.steps.len();
    if all > RECORDED_STEPS_MAX {
        return Err(format!(
            "a recording has at most {RECORDED_STEPS_MAX} steps, and this schedule has {all}"
        ));
    }
    let at = |at| play(&Question { schedule: schedule.clone(), off: off.to_vec(), at });
    let mut whole = at(all)?;
    let frames = (0..=all).map(|step| Ok(at(step)?["state"].take())).collect::<Result<Vec<_>, String>>()?;
    whole["frames"] = frames.into();
    Ok(whole)
}

/// What is kept of a line while it is played.
#[derive(Default)]
struct Kept {
    /// What each mechanism stopped, step by step.
    stopped: Vec<Vec<&'static str>>,
    broken_at: Option<usize>,
    /// The epoch of each entry when it first took effect somewhere.
    first: BTreeMap<u64, u64>,
}

impl Kept {
    fn watch(&mut self, machine: &Machine) {
        if let Facts::Cluster(state) = machine.state() {
            let cells = state.nodes.iter().flat_map(|node| &node.log);
            for cell in cells.filter(|cell| cell.standing == Standing::Applied) {
                self.first.entry(cell.seq).or_insert(cell.epoch);
            }
        }
    }

    fn advance(&mut self, machine: &mut Machine) -> bool {
        trace::mechanism::take_stopped().for_each(drop);
        if machine.advance().is_none() {
            return false;
        }
        let stopped = trace::mechanism::take_stopped().filter(|(_, times)| *times > 0);
        self.stopped.push(stopped.map(|(mechanism, _)| mechanism.id()).collect());
        self.watch(machine);
        if machine.broken().is_some() || machine.stopped().is_some() {
            self.broken_at.get_or_insert(machine.at());
        }
        true
    }

    /// The entry that the broken promise names, as it was when a client was told of it.
    fn lost(&self, broken: &str) -> Option<Value> {
        let (_, rest) = broken.split_once("entry ")?;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let seq = digits.parse().ok()?;
        Some(json!({ "seq": seq, "epoch": self.first.get(&seq)? }))
    }
}

fn play(question: &Question) -> Result<Value, String> {
    let Question { schedule, off, at } = question;
    let mut machine = Machine::new(schedule, crate::without(off))?;
    let mut kept = Kept::default();
    kept.watch(&machine);
    while machine.at() < *at && kept.advance(&mut machine) {}
    let (at, state, possible) = (machine.at(), machine.state(), machine.steps());
    while kept.advance(&mut machine) {}
    let acts = machine.acts();
    let places = places(acts);
    let verdict: Vec<Value> = machine
        .verdict()
        .into_iter()
        .map(|promise| json!({ "n": promise.number, "words": promise.words, "broken": promise.broken }))
        .collect();
    Ok(json!({
        "settings": schedule.setting,
        "steps": schedule.steps,
        "notes": schedule.notes,
        "without": off.iter().map(|mechanism| mechanism.id()).collect::<Vec<_>>(),
        "at": at,
        "lanes": machine.lanes(),
        "acts": acts.iter().zip(&kept.stopped).map(|(act, stopped)| told(&places, act, stopped)).collect::<Vec<_>>(),
        "state": facts::json(&state),
        "possible": possible,
        "verdict": verdict,
        "broken": machine.broken(),
        "stopped": machine.stopped(),
        "broken_at": kept.broken_at,
        "lost": machine.broken().and_then(|broken| kept.lost(broken)),
    }))
}

/// The step and the number of each event, both from 1.
type Places = BTreeMap<EventId, (usize, usize)>;

fn places(acts: &[Act]) -> Places {
    let step = |(at, act): (usize, &Act)| {
        let place = move |(n, event): (usize, &Event)| (event.id, (at + 1, n + 1));
        act.events.iter().enumerate().map(place).collect::<Vec<_>>()
    };
    acts.iter().enumerate().flat_map(step).collect()
}

/// One step, and what came of it.
fn told(places: &Places, act: &Act, stopped: &[&'static str]) -> Value {
    let events = act.events.iter().enumerate().map(|(n, event)| told_event(places, n + 1, event));
    json!({
        "step": act.step,
        "words": act.words,
        "mark": mark(act.mark),
        "skipped": act.skipped,
        "events": events.collect::<Vec<_>>(),
        "client": act.client,
        "held": act.held,
        "waiting": act.waiting,
        "stopped_by": stopped,
        "state": act.state,
    })
}

fn told_event(places: &Places, n: usize, event: &Event) -> Value {
    let parents = event.parents.iter().filter_map(|parent| places.get(parent));
    let change = event.kind.delta().map(|change| json!([change.field, change.before, change.after]));
    json!({
        "n": n,
        "kind": event.kind.name(),
        "sentence": tell::sentence(event),
        "actor": event.id.actor.to_string().trim_end_matches("/0"),
        "mechanism": event.kind.mechanism().map(Mechanism::id),
        "source": [event.source.file, event.source.symbol],
        "parents": parents.collect::<Vec<_>>(),
        "change": change,
    })
}

/// Where a step shows, in lanes.
fn mark(mark: Mark) -> Value {
    match mark {
        Mark::Arrow(from, to) => json!({ "kind": "arrow", "from": from, "to": to }),
        Mark::Lost(from, to) => json!({ "kind": "lost", "from": from, "to": to }),
        Mark::At(at, what) => json!({ "kind": "at", "at": at, "what": what }),
        Mark::All(what) => json!({ "kind": "all", "what": what }),
        Mark::Nothing => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(mechanism: &str, without: &[&str], at: Option<usize>) -> Value {
        let schedule =
            crate::why::registry::entry(Mechanism::from_id(mechanism).unwrap()).counterexample.unwrap();
        answer(&json!({ "schedule": schedule, "without": without, "at": at }).to_string())
    }

    #[test]
    fn the_answer_names_the_step_that_broke_the_promise_and_the_entry_that_was_lost() {
        let told = ask("epoch-fence", &["epoch-fence"], None);
        assert_eq!(told["broken_at"], 11, "{}", told["broken"]);
        assert_eq!(told["lost"], json!({ "seq": 3, "epoch": 1 }));
        assert!(told["verdict"][0]["broken"].as_str().unwrap().starts_with("P1: n2 serves without entry 3"));
        assert_eq!(told["state"]["nodes"][1]["role"], "primary");
    }

    #[test]
    fn with_the_mechanism_in_the_answer_names_it_as_what_stopped_the_step() {
        let told = ask("epoch-fence", &[], Some(5));
        assert_eq!((&told["broken"], &told["at"]), (&Value::Null, &json!(5)));
        assert!(
            told["acts"][4]["stopped_by"].as_array().unwrap().contains(&json!("epoch-fence")),
            "{}",
            told["acts"][4]
        );
    }

    #[test]
    fn what_is_no_question_is_refused_with_a_reason() {
        for (question, reason) in [
            ("", "no JSON"),
            ("{}", "`schedule` is missing"),
            (r#"{"schedule":"> cluster 3\n> dance n1\n"}"#, "line 2"),
            (r#"{"schedule":"> cluster 3\n","without":["epoch-fnce"]}"#, "epoch-fnce"),
            (r#"{"schedule":"> cluster 3\n","at":-1}"#, "`at` is a number"),
            (r#"{"schedule":"> cluster 3\n","without":"all"}"#, "a list"),
        ] {
            let error = answer(question)["error"].as_str().unwrap().to_string();
            assert!(error.contains(reason), "{question}: {error}");
        }
        let long = format!("> cluster 3\n{}", "> state\n".repeat(STEPS_MAX + 1));
        assert!(
            answer(&json!({ "schedule": long }).to_string())["error"].as_str().unwrap().contains("at most")
        );
    }

    #[test]
    fn a_recording_has_the_state_of_every_step() {
        let entry = crate::why::registry::entry(Mechanism::EpochFence);
        let schedule: Schedule = entry.counterexample.unwrap().parse().unwrap();
        let recorded = record(&schedule, &[Mechanism::EpochFence]).unwrap();
        let frames = recorded["frames"].as_array().unwrap();
        assert_eq!(frames.len(), schedule.steps.len() + 1);
        for at in [0, 4, 11] {
            assert_eq!(frames[at], ask("epoch-fence", &["epoch-fence"], Some(at))["state"]);
        }
    }

    #[test]
    fn a_device_is_answered_too() {
        let told = ask("ab-superblock", &["ab-superblock"], None);
        assert!(told["state"]["device"].is_array() && told["broken"].is_string(), "{told}");
    }
}
