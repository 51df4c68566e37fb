//! The lanes of a diagram, as text.

use trace::Event;

use crate::play::{Act, Mark, Play};

/// Characters between two lanes.
const LANE: usize = 7;

/// The names of the lanes; a device has none.
pub(super) fn heading(play: &Play) -> Option<String> {
    let lanes: String = play.lanes.iter().map(|lane| format!("{lane:<LANE$}")).collect();
    (play.lanes.len() > 2).then(|| format!("      {}", lanes.trim_end()))
}

/// The beginning of a step's row: its number, and where it shows.
pub(super) fn step(play: &Play, at: usize) -> String {
    let act = &play.acts[at];
    let picture = if play.is_local() { strip(act) } else { lanes(play.lanes.len(), act) };
    format!("{:>5} {picture}", at + 1)
}

/// The beginning of a row below a step: the lanes, with a dot where it happens.
pub(super) fn below(play: &Play, event: Option<&Event>) -> String {
    if play.is_local() {
        let width = play.acts.iter().map(|act| strip(act).chars().count()).max().unwrap_or(0);
        return format!("      {}", " ".repeat(width));
    }
    let mut line = blank(play.lanes.len());
    if let Some(event) = event {
        line[play.lane(event) * LANE] = '•';
    }
    format!("      {}", line.into_iter().collect::<String>())
}

fn strip(act: &Act) -> String {
    act.state.first().cloned().unwrap_or_default()
}

fn blank(lanes: usize) -> Vec<char> {
    let mut line = vec![' '; (lanes - 1) * LANE + 2];
    (0..lanes).for_each(|lane| line[lane * LANE] = '│');
    line
}

/// The lanes at this step.
fn lanes(lanes: usize, act: &Act) -> String {
    let mut line = blank(lanes);
    match act.mark {
        _ if act.skipped.is_some() => {}
        Mark::Nothing => {}
        Mark::Arrow(from, to) | Mark::Lost(from, to) => {
            let lost = matches!(act.mark, Mark::Lost(..));
            let (a, b) = (from * LANE, to * LANE);
            for cell in &mut line[a.min(b) + 1..a.max(b)] {
                *cell = if *cell == ' ' { '─' } else { '┼' };
            }
            let tip = if from < to { b - 1 } else { b + 1 };
            line[tip] = match (lost, from < to) {
                (true, _) => '✗',
                (false, true) => '▶',
                (false, false) => '◀',
            };
        }
        Mark::At(lane, letter) => line[lane * LANE] = letter,
        Mark::All(letter) => (1..lanes).for_each(|lane| line[lane * LANE] = letter),
    }
    line.into_iter().collect()
}
