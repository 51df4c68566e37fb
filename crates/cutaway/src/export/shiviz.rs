//! A log for ShiViz: the expression that parses it, an empty line (one run, no delimiter), and a line for each event.
//!
//! ShiViz draws what the vector clocks say, and refuses a log whose clocks are not of one run: each host counts its own
//! events from 1 without a gap, and knows of another host only what that host had done. So a clock is made of what is
//! true: the event before in the same lane, and the causes that the trace names.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::saved::Run;

/// The expression, with names for what ShiViz needs and for two more fields that it shows.
pub const BEGINS: &str = r"(?<host>\S+) (?<clock>\{[^}]*\}) (?<micros>\d+) (?<mechanism>\S+) (?<event>.*)";

pub fn text(run: &Run) -> String {
    let mut text = format!("{BEGINS}\n\n");
    let mut now: Vec<Clock> = vec![Clock::new(); run.lanes.len()];
    let mut clocks: Vec<Clock> = Vec::with_capacity(run.events.len());
    for (at, event) in run.events.iter().enumerate() {
        let lane = run.lane(at);
        let mut clock = std::mem::take(&mut now[lane]);
        // A cause that is told later, by a clock that was behind, cannot be known of yet.
        for parent in run.parents(at).filter(|parent| *parent < at) {
            for (host, count) in &clocks[parent] {
                let known = clock.entry(*host).or_default();
                *known = (*known).max(*count);
            }
        }
        *clock.entry(lane).or_default() += 1;
        let counts: Vec<String> =
            clock.iter().map(|(host, count)| format!("\"{}\":{count}", run.lanes[*host])).collect();
        let mechanism = event.kind.mechanism().map_or("-", |mechanism| mechanism.id());
        let sentence = one_line(&event.kind.sentence());
        let _ = writeln!(
            text,
            "{} {{{}}} {} {mechanism} {sentence}",
            run.lanes[lane],
            counts.join(","),
            run.time(at)
        );
        now[lane] = clock.clone();
        clocks.push(clock);
    }
    text
}

/// How many events of each lane are known of.
type Clock = BTreeMap<usize, u64>;

/// Keys and values may hold anything; a line of the log may not.
fn one_line(sentence: &str) -> String {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    sentence.chars().map(|c| if breaks(c) { ' ' } else { c }).collect()
}
