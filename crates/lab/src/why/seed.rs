//! A seed of the simulator that breaks a promise, as short as it gets.
//!
//! What the dice chose is written down first: each fault and each operation of a client is a step then, and can go. The dice
//! that remain (delays, torn sectors) fall otherwise as soon as one message is missing, and with them goes many a failure
//! that needs none of what was left out. Against that the day is made as fair as the failure allows before anything is left
//! out, and larger parts are tried with other dice as well.

use dataplane::Micros;
use sim::ask::What;
use sim::schedule::{Bounds, Load, Step, Weather};
use sim::{Options, Report, Schedule, Script, Violation, execute};

use super::shrink::shrink;

/// Runs that shrinking takes at most.
pub const RUNS_MAX: u64 = 3_000;
/// Other dice that are tried for a large part, at most.
const DICE: u64 = 6;
/// Seeds that are run at most to find one that breaks more than liveness.
const BETTER: usize = 200;
/// All faults end so long after the last step.
const REST: Micros = 300_000;

/// A schedule without what it does not need to break a promise.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// What is left.
    pub script: Script,
    /// Of so many steps.
    pub of: usize,
    /// Runs that it took.
    pub runs: u64,
    /// Each single step was tried, and found to be needed; else [`RUNS_MAX`] were not enough for that.
    pub minimal: bool,
    /// What comes of it.
    pub report: Report,
}

/// Is something wrong answered, lost or damaged, and not just late?
pub fn is_safety(violation: &Violation) -> bool {
    violation.promise != 4
}

/// Of `seeds`, one of the next that breaks more than liveness; `first`, if there is none.
pub fn preferred_seed(first: u64, seeds: std::ops::Range<u64>, options: &Options) -> u64 {
    let breaks = |seed: &u64| sim::run(*seed, options).violation.as_ref().is_some_and(is_safety);
    seeds.take(BETTER).find(breaks).unwrap_or(first)
}

/// Leaves out of the schedule of `seed` whatever it breaks a promise without. `None`: it breaks nothing in the first place.
pub fn shrink_seed(seed: u64, options: &Options) -> Option<Shrunk> {
    shrink_script(Script::new(Schedule::generate(seed, options), options), options)
}

/// The same with any schedule, without the mechanisms that `options` leave out.
pub fn shrink_script(mut script: Script, options: &Options) -> Option<Shrunk> {
    let without = options.without.clone();
    let report = execute(&script.schedule, &Options { without: without.clone(), ..script.options() });
    let of = script.schedule.steps.len() + report.asks.len();
    script.schedule.asks.get_or_insert(report.asks.clone());
    let promise = report.violation.as_ref()?.promise;
    let mut hunt = Hunt { best: script, report, without, promise, runs: 1 };
    hunt.cut_off();
    hunt.make_fair();
    hunt.leave_out();
    // What was in the way of a fairer day may be gone.
    hunt.make_fair();
    let minimal = hunt.leave_out();
    Some(Shrunk { script: hunt.best, of, runs: hunt.runs, minimal, report: hunt.report })
}

/// The shortest schedule so far that breaks the promise.
struct Hunt {
    best: Script,
    report: Report,
    without: Vec<trace::Mechanism>,
    promise: u8,
    runs: u64,
}

/// A fault, or an operation.
#[derive(Clone)]
enum Piece {
    Fault(Step),
    Ask(sim::ask::Ask),
}

impl Hunt {
    /// Runs `script`; if it breaks the promise, or safety where so far only liveness was broken, it is the best from now on.
    fn fails(&mut self, script: Script) -> bool {
        if self.runs >= RUNS_MAX {
            return false;
        }
        self.runs += 1;
        let options = Options { without: self.without.clone(), ..script.options() };
        let report = execute(&script.schedule, &options);
        let broken = report.violation.as_ref().map(|violation| violation.promise);
        let counts = broken == Some(self.promise) || (self.promise == 4 && broken.is_some());
        if counts {
            (self.best, self.promise, self.report) = (script, broken.unwrap_or(self.promise), report);
        }
        counts
    }

    /// The same with other dice, so many times.
    fn fails_with_some_dice(&mut self, script: Script, dice: u64) -> bool {
        let with = |seed| {
            let mut other = script.clone();
            other.schedule.seed = seed;
            other
        };
        self.fails(script.clone()) || (1..=dice).any(|seed| self.fails(with(seed)))
    }

    /// What comes after the violation had no part in it.
    fn cut_off(&mut self) {
        let Some(end) = self.report.violation.as_ref().map(|violation| violation.at) else { return };
        let mut script = self.best.clone();
        script.schedule.steps.retain(|step| step.at <= end);
        script.schedule.asks.iter_mut().for_each(|asks| asks.retain(|ask| ask.at <= end));
        if script.steps() < self.best.steps() {
            self.fails(script);
        }
    }

    /// Takes back what is unusual about the setting, all at once or one by one.
    fn make_fair(&mut self) {
        let all = |script: &mut Script| FAIRER.iter().for_each(|change| change(script));
        let changes: [&dyn Fn(&mut Script); 2] = [&all, &|script| {
            all(script);
            calm(script);
        }];
        // The fewer dice there are, the less does leaving out a step change what others do.
        for change in changes.iter().rev() {
            if self.changed(change, DICE) {
                return;
            }
        }
        for change in FAIRER {
            self.changed(&change, 1);
        }
    }

    fn changed(&mut self, change: &dyn Fn(&mut Script), dice: u64) -> bool {
        let mut script = self.best.clone();
        change(&mut script);
        script != self.best && self.fails_with_some_dice(script, dice)
    }

    /// Leaves out steps, until each single one is needed; false if there were not enough runs for that.
    fn leave_out(&mut self) -> bool {
        let schedule = &self.best.schedule;
        let faults = schedule.steps.iter().cloned().map(Piece::Fault);
        let asks = schedule.asks.iter().flatten().cloned().map(Piece::Ask);
        let mut pieces: Vec<Piece> = faults.chain(asks).collect();
        pieces.sort_by_key(|piece| match piece {
            Piece::Fault(step) => step.at,
            Piece::Ask(ask) => ask.at,
        });
        shrink(pieces, |pieces| {
            let removed = self.best.steps() - pieces.len();
            let mut script = self.best.clone();
            script.schedule.steps.clear();
            let mut asks = Vec::new();
            for piece in pieces.iter().cloned() {
                match piece {
                    Piece::Fault(step) => script.schedule.steps.push(step),
                    Piece::Ask(ask) => asks.push(ask),
                }
            }
            script.schedule.asks = Some(asks);
            self.fails_with_some_dice(script, (removed as u64 - 1).min(DICE))
        });
        self.runs < RUNS_MAX
    }
}

/// What makes a setting more usual.
const FAIRER: [fn(&mut Script); 13] = [
    |script| script.schedule.weather.loss = 0,
    |script| script.schedule.weather.duplication = 0,
    |script| script.schedule.weather.misdelivery = 0,
    |script| (script.schedule.weather.stragglers, script.schedule.weather.reorders) = (0, false),
    |script| {
        let weather = &mut script.schedule.weather;
        if (weather.duplication, weather.stragglers) == (0, 0) {
            weather.straggle_max = Weather::fair().straggle_max;
        }
    },
    |script| script.schedule.weather.encodes = false,
    |script| {
        let fair = Weather::fair();
        let weather = &mut script.schedule.weather;
        (weather.delay_min, weather.delay_max) = (fair.delay_min, fair.delay_max);
    },
    |script| script.schedule.weather.sync = Weather::fair().sync,
    |script| script.schedule.bounds = Bounds::usual(),
    |script| {
        // What the dice would choose by these is written down.
        let Load { operations, keys, key_length, large, floods, .. } = script.schedule.load;
        script.schedule.load = Load { operations, keys, key_length, large, floods, ..Load::usual() };
    },
    |script| {
        let load = &mut script.schedule.load;
        (load.key_length, load.large, load.floods) = (0, false, false);
        for ask in script.schedule.asks.iter_mut().flatten() {
            if let What::Put { bytes, .. } = &mut ask.what {
                *bytes = 0;
            }
        }
    },
    |script| {
        let Schedule { steps, asks, heal_at, .. } = &mut script.schedule;
        let last = steps.iter().map(|step| step.at).chain(asks.iter().flatten().map(|ask| ask.at)).max();
        *heal_at = (*heal_at).min((last.unwrap_or(0) + REST).next_multiple_of(100_000));
    },
    |script| {
        let asks = script.schedule.asks.iter().flatten();
        script.cluster.clients = asks.map(|ask| ask.client).max().unwrap_or(1);
    },
];

/// Every message and every sync takes the same time.
fn calm(script: &mut Script) {
    let weather = &mut script.schedule.weather;
    (weather.delay_min, weather.delay_max, weather.sync) = (200, 200, (500, 500));
}

#[cfg(test)]
mod tests {
    use super::*;
    use trace::Mechanism;

    fn without(mechanism: Mechanism) -> Options {
        Options { without: vec![mechanism], ..Options::default() }
    }

    /// Six seeds and not the first one alone: now and then all hangs on the moment of one message, which every step that is left
    /// out moves, and the runs are used up.
    #[test]
    fn five_of_six_seeds_without_most_complete_log_need_few_steps_and_each_of_them() {
        let options = without(Mechanism::MostCompleteLog);
        let fails = |seed: &u64| sim::run(*seed, &options).violation.is_some();
        let seeds: Vec<u64> = (0..2_000).filter(fails).take(6).collect();
        let shrunk = seeds.iter().map(|seed| shrink_seed(*seed, &options).expect("this one does"));
        let mut few: Vec<Shrunk> =
            shrunk.filter(|shrunk| shrunk.minimal && shrunk.script.steps() <= 25 && shrunk.of > 60).collect();
        assert!(few.len() >= 5, "of {seeds:?} only {} need few", few.len());
        assert!(shrink_seed(seeds[0], &Options::default()).is_none(), "with everything on it breaks nothing");
        let shrunk = few.swap_remove(0);
        // What is saved and read again breaks the same promise in the same way.
        let read = sim::text::parse(&shrunk.script.to_string()).expect("its own words");
        let again = |script: &Script| {
            let options = Options { without: options.without.clone(), ..script.options() };
            execute(&script.schedule, &options).violation
        };
        assert_eq!(again(&read), shrunk.report.violation);
        for at in 0..read.schedule.steps.len() {
            let mut fewer = read.clone();
            fewer.schedule.steps.remove(at);
            assert!(again(&fewer).is_none_or(|broken| broken.promise != 1), "fault {at} is not needed");
        }
    }

    /// `SEEDS=100 cargo test --release -p lab --lib -- --nocapture shrunk_seeds` shrinks a hundred, in minutes.
    #[test]
    fn shrunk_seeds_are_short() {
        let wanted: usize = std::env::var("SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(8);
        let mechanisms = Mechanism::ALL.iter().copied();
        // A few seeds of each, one after the other, so that no mechanism has them all.
        let failing = mechanisms.flat_map(|mechanism| {
            let options = without(mechanism);
            let fails = move |seed: &u64| sim::run(*seed, &options).violation.is_some_and(|v| is_safety(&v));
            (0..40u64).filter(fails).take(wanted.div_ceil(12)).map(move |seed| (mechanism, seed))
        });
        let failing: Vec<_> = failing.take(wanted).collect();
        let next = std::sync::Mutex::new(failing.into_iter());
        let found = std::sync::Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(1, |n| n.get()) {
                scope.spawn(|| {
                    loop {
                        let Some((mechanism, seed)) = next.lock().unwrap().next() else { return };
                        let shrunk = shrink_seed(seed, &without(mechanism)).expect("it failed a moment ago");
                        let (steps, of, runs, minimal) =
                            (shrunk.script.steps(), shrunk.of, shrunk.runs, shrunk.minimal);
                        let invariant = shrunk.report.violation.map(|v| v.invariant).unwrap_or_default();
                        println!("{mechanism} seed {seed}: {steps} of {of} steps, {runs} runs, {invariant}, minimal: {minimal}");
                        found.lock().unwrap().push((steps, runs, minimal));
                    }
                });
            }
        });
        let mut found = found.into_inner().unwrap();
        found.sort_unstable();
        let middle = found.len() / 2;
        let minimal = found.iter().filter(|found| found.2).count();
        let runs: u64 = found.iter().map(|found| found.1).sum::<u64>() / found.len() as u64;
        println!(
            "{} seeds: {} steps in the median, {} at most; {minimal} minimal; {runs} runs in the mean",
            found.len(),
            found[middle].0,
            found[found.len() - 1].0
        );
        assert!(found[middle].0 <= 25);
    }
}
