//! A seed of the simulator that breaks a promise, as short as it gets.

use dataplane::Micros;
use sim::schedule::{Bounds, Step, Weather};
use sim::{Options, Report, Schedule, execute};

use super::shrink;

/// What can be left out of a schedule of the simulator.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Fault(Step),
    Loss(u64),
    Duplication(u64),
    Misdelivery(u64),
    Stragglers(u64),
    Reorder,
    SmallFrames(u64),
    SmallBounds(Bounds),
    Delay(Micros, Micros),
    SlowSync((Micros, Micros)),
}

/// A seed's schedule without what it does not need to break a promise.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// What is left, one line each.
    pub pieces: Vec<String>,
    /// Of so many.
    pub of: usize,
    /// Clients that are left.
    pub clients: u32,
    /// Operations that are left.
    pub operations: u32,
    /// Runs that it took.
    pub runs: u64,
    /// The last run that broke a promise.
    pub report: Report,
}

/// Leaves out of the schedule of `seed` whatever it breaks a promise without: faults, kinds of bad luck on the network,
/// operations, clients. Of the faults and the kinds of bad luck each single one is needed in the end. `None`: it breaks
/// nothing in the first place.
pub fn shrink_seed(seed: u64, options: &Options) -> Option<Shrunk> {
    let whole = Schedule::generate(seed, options);
    let mut options = Options { trace: false, ..options.clone() };
    let mut last = execute(&whole, &options);
    // The same promise has to break all the time: another failure is another story.
    let invariant = last.violation.as_ref()?.invariant.clone();
    let mut runs = 1;
    let mut fails = |pieces: &[Piece], options: &Options| {
        runs += 1;
        let report = execute(&with(&whole, pieces), options);
        let broken = report.violation.as_ref().is_some_and(|violation| violation.invariant == invariant);
        if broken {
            last = report;
        }
        broken
    };
    let mut pieces = pieces(&whole);
    let of = pieces.len();
    loop {
        pieces = shrink(pieces, |pieces| fails(pieces, &options));
        let fewer_operations = Options { operations: options.operations / 2, ..options.clone() };
        let fewer_clients = Options { clients: options.clients - 1, ..options.clone() };
        let enough = |options: &Options| options.clients > 0 && options.operations >= options.clients;
        if enough(&fewer_operations) && fails(&pieces, &fewer_operations) {
            options = fewer_operations;
        } else if enough(&fewer_clients) && fails(&pieces, &fewer_clients) {
            options = fewer_clients;
        } else {
            break;
        }
    }
    let told = pieces.iter().map(|piece| match piece {
        Piece::Fault(step) => format!("after {} µs: {:?}", step.at, step.fault),
        other => format!("all the time: {other:?}"),
    });
    let (clients, operations) = (options.clients, options.operations);
    Some(Shrunk { pieces: told.collect(), of, clients, operations, runs, report: last })
}

fn pieces(schedule: &Schedule) -> Vec<Piece> {
    let Weather { loss, duplication, misdelivery, stragglers, reorders, .. } = schedule.weather;
    let Weather { delay_min, delay_max, sync, .. } = schedule.weather;
    let bounds = &schedule.bounds;
    let network = [
        (loss > 0).then_some(Piece::Loss(loss)),
        (duplication > 0).then_some(Piece::Duplication(duplication)),
        (misdelivery > 0).then_some(Piece::Misdelivery(misdelivery)),
        (stragglers > 0).then_some(Piece::Stragglers(stragglers)),
        reorders.then_some(Piece::Reorder),
        Some(Piece::SmallFrames(bounds.window_bytes)),
        (*bounds != usual(bounds)).then(|| Piece::SmallBounds(bounds.clone())),
        Some(Piece::Delay(delay_min, delay_max)),
        Some(Piece::SlowSync(sync)),
    ];
    schedule.steps.iter().cloned().map(Piece::Fault).chain(network.into_iter().flatten()).collect()
}

/// The usual bounds, with as large frames.
fn usual(bounds: &Bounds) -> Bounds {
    Bounds { window_bytes: bounds.window_bytes, ..Bounds::usual() }
}

/// The schedule with these pieces, on an otherwise fair day.
fn with(whole: &Schedule, pieces: &[Piece]) -> Schedule {
    let Weather { encodes, straggle_max, .. } = whole.weather;
    let mut weather = Weather { encodes, straggle_max, ..Weather::fair() };
    let (mut steps, mut bounds) = (Vec::new(), usual(&whole.bounds));
    bounds.window_bytes = Bounds::usual().window_bytes;
    for piece in pieces {
        match piece {
            Piece::Fault(step) => steps.push(step.clone()),
            Piece::Loss(ppm) => weather.loss = *ppm,
            Piece::Duplication(ppm) => weather.duplication = *ppm,
            Piece::Misdelivery(ppm) => weather.misdelivery = *ppm,
            Piece::Stragglers(ppm) => weather.stragglers = *ppm,
            Piece::Reorder => weather.reorders = true,
            Piece::SmallFrames(bytes) => bounds.window_bytes = *bytes,
            Piece::SmallBounds(small) => {
                bounds = Bounds { window_bytes: bounds.window_bytes, ..small.clone() }
            }
            Piece::Delay(min, max) => (weather.delay_min, weather.delay_max) = (*min, *max),
            Piece::SlowSync(sync) => weather.sync = *sync,
        }
    }
    Schedule { weather, bounds, steps, ..whole.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trace::Mechanism;

    #[test]
    fn a_seed_without_majority_commit_needs_few_faults() {
        let options = Options { without: vec![Mechanism::MajorityCommit], ..Options::default() };
        let seed = sim::run_many(0..2_000, &options, |_| ()).first.expect("some seed loses a write").seed;
        let shrunk = shrink_seed(seed, &options).expect("this one does");
        assert!(shrunk.report.violation.is_some());
        assert!(shrunk.pieces.len() < shrunk.of && shrunk.operations < 200, "{shrunk:#?}");
        assert!(shrink_seed(seed, &Options::default()).is_none(), "with everything on it breaks nothing");
    }
}
