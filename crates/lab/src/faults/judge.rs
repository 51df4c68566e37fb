//! What came of a cell.

use engine::Engine;
use trace::Mechanisms;

use super::cell::{Cell, REPLICAS};
use crate::cluster::Step;
use crate::cluster::nodes::Nodes;
use crate::cluster::seat::Seat;
use crate::cluster::stage::Stage;
use crate::quiet::caught;

/// What the damage costs. The greater, the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The block cannot be like this: it was written once only.
    Nothing,
    /// All serve again, and every block is whole.
    Healed,
    /// The cluster serves; a replica that was hit says what it found, and takes no part.
    Refused,
    /// Nobody serves, or some key is answered with an error; nothing is lost.
    Unavailable,
    /// An acknowledged write is gone, or something else is served in its place.
    Lost,
}

impl Outcome {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Nothing => "–",
            Outcome::Healed => "healed",
            Outcome::Refused => "refused",
            Outcome::Unavailable => "unavailable",
            Outcome::Lost => "lost",
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

/// A cell, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What it costs.
    pub outcome: Outcome,
    /// Why: what broke, what a replica said, or who does not serve.
    pub why: Option<String>,
    /// With a bare majority alone nobody served; with all replicas somebody did.
    pub waits: bool,
}

/// Plays a cell, and judges it.
pub fn judge(cell: &Cell) -> Judged {
    caught(|| play(cell)).unwrap_or_else(|stopped| Judged {
        outcome: Outcome::Unavailable,
        why: Some(format!("a replica stops: {stopped}")),
        waits: false,
    })
}

/// Who served in a part of the schedule, and what was wrong then.
#[derive(Default)]
struct Part {
    served: bool,
    wrong: Option<String>,
    unreadable: Option<String>,
}

fn play(cell: &Cell) -> Judged {
    let schedule = cell.schedule();
    let setting = schedule.setting().expect("it has one");
    let mut stage: Stage<Nodes> =
        Stage::new(&setting, Mechanisms::all()).expect("the cluster serves at first");
    let mut parts = [Part::default(), Part::default()];
    let (mut at, mut hit) = (0, false);
    for line in &schedule.steps {
        let step: Step = line.parse().expect("it is written in the language");
        hit |= matches!(step, Step::Damage { .. });
        if hit && matches!(step, Step::Calm { ref without } if without.is_empty()) {
            at = 1;
        }
        if let Err(why) = stage.take(&step)
            && matches!(step, Step::Damage { .. })
        {
            return Judged { outcome: Outcome::Nothing, why: Some(why), waits: false };
        }
        if hit && matches!(step, Step::Read { .. } | Step::Tick(_)) {
            look(&stage, &mut parts[at]);
        }
    }
    let broken = stage.broken().map(String::from);
    verdict(&stage, cell, parts, broken)
}

/// What whoever leads has for each key.
fn look(stage: &Stage<Nodes>, part: &mut Part) {
    let serving = stage.cluster.seats.iter().filter_map(|seat| {
        let node = seat.running.as_ref().ok()?;
        (node.replica().is_primary() && node.status(0).serving).then_some((seat, node))
    });
    let Some((seat, node)) = serving.max_by_key(|(_, node)| node.replica().core().promised) else { return };
    part.served = true;
    part.unreadable = None;
    for (key, value) in Cell::written() {
        match node.engine().get(key.as_bytes()) {
            Ok(Some(found)) if *found.value == *value.as_bytes() => {}
            Ok(Some(_)) => part.wrong = Some(format!("n{} serves another value of {key}", seat.id)),
            Ok(None) => part.wrong = Some(format!("n{} serves no {key}, which was acknowledged", seat.id)),
            Err(error) => part.unreadable = Some(format!("n{} cannot read {key}: {error}", seat.id)),
        }
    }
}

fn verdict(stage: &Stage<Nodes>, cell: &Cell, parts: [Part; 2], broken: Option<String>) -> Judged {
    let [bare, all] = parts;
    let waits = !bare.served && all.served;
    let judged = |outcome, why| Judged { outcome, why, waits };
    if let Some(why) = broken.or(bare.wrong).or(all.wrong) {
        return judged(Outcome::Lost, Some(why));
    }
    if !all.served {
        let down = stage.cluster.seats.iter().filter_map(state);
        return judged(Outcome::Unavailable, Some(down.collect::<Vec<_>>().join("; ")));
    }
    if all.unreadable.is_some() {
        return judged(Outcome::Unavailable, all.unreadable);
    }
    let hit = cell.hit.nodes().map(|node| &stage.cluster.seats[node as usize - 1]);
    match hit.filter_map(state).next() {
        Some(why) => judged(Outcome::Refused, Some(why)),
        None => judged(Outcome::Healed, None),
    }
}

/// Why a replica is not as good as new; `None`: it is.
fn state(seat: &Seat) -> Option<String> {
    let node = match &seat.running {
        Ok(node) => node,
        Err(why) => return Some(format!("n{} is down: {why}", seat.id)),
    };
    if !node.replica().is_proven() {
        return Some(format!("n{} does not vote: its log is unproven", seat.id));
    }
    if let Some((key, error)) =
        Cell::written().iter().find_map(|(key, _)| Some((*key, node.engine().get(key.as_bytes()).err()?)))
    {
        return Some(format!("n{} cannot read {key}: {error}", seat.id));
    }
    // Would it find anything, if it were opened now?
    let again = Engine::open(seat.disk.clone(), &node.engine().identity(), Mechanisms::all());
    match again {
        Err(error) => Some(format!("n{} could not be opened again: {error}", seat.id)),
        Ok((_, report)) if report.damage.is_some() => {
            Some(format!("n{} would find damage in its log", seat.id))
        }
        Ok((_, report)) if report.superblocks.iter().any(Result::is_err) => {
            Some(format!("n{} has one superblock only", seat.id))
        }
        Ok(_) => None,
    }
}
const _: () = assert!(REPLICAS == 5, "the schedules name the replicas of five");
