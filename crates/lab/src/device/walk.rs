//! One way through a device's life, and all that can come of each step of it.

use std::sync::atomic::Ordering;

use disk::{Disk, Io, State};
use engine::{DecodeError, Engine, OpenError};

use super::bounds::{Found, Recoveries};
use super::caught::caught;
use super::checks::{self, recovered};
use super::known::Known;
use super::medium;
use super::script::{Crash, Step};
use super::search::{Budget, Search, Share};
use super::starts::IDENTITY;
use super::workload::take;

/// Recoveries cut off in a row. With all mechanisms on, new states end long before; a round in which they do not counts
/// as incomplete.
const DEPTH_MAX: u32 = 64;

pub(super) struct Walk<'a> {
    pub(super) search: &'a Search,
    pub(super) path: Vec<Step>,
    /// Recoveries cut off in a row.
    pub(super) depth: u32,
}

impl Walk<'_> {
    /// The device as a crash has left it: opens it, with crashes in between, and goes on.
    pub(super) fn open(&mut self, state: State, known: &Known, left: Budget, share: Share) {
        self.path.push(Step::Open);
        let disk = Disk::from(state.clone());
        let mechanisms = self.search.mechanisms;
        let opened = caught(|| {
            Engine::open(disk, &IDENTITY, mechanisms)
                .map_err(|error| format!("E1: a crash leaves a device that cannot be opened: {error}"))
        });
        match opened {
            Err(broken) => self.broken(broken),
            Ok((mut engine, report)) => {
                let journal = engine.device().take_journal();
                if left.recoveries > Recoveries::Undisturbed && !matches!(share, Share::First(_)) {
                    let torn = left.recoveries == Recoveries::CutOffTorn;
                    let then = match left.recoveries {
                        Recoveries::CutOffOnce => Recoveries::Undisturbed,
                        more => more,
                    };
                    if self.depth < DEPTH_MAX {
                        self.depth += 1;
                        let left = Budget { recoveries: then, ..left };
                        self.crashes_within(&state, &journal, known, left, torn);
                        self.depth -= 1;
                    } else {
                        self.search.too_deep.store(true, Ordering::Relaxed);
                    }
                }
                match caught(|| recovered(&mut engine, &report, known)) {
                    Err(broken) => self.broken(broken),
                    Ok(known) => {
                        let depth = std::mem::take(&mut self.depth);
                        self.live(&engine, &known, left, share);
                        self.depth = depth;
                    }
                }
            }
        }
        self.path.pop();
    }

    /// Cuts the power, or kills, behind each access but the last.
    fn crashes_within(&mut self, before: &State, journal: &[Io], known: &Known, left: Budget, torn: bool) {
        let mut state = before.clone();
        for (n, io) in journal.iter().enumerate().take(journal.len().saturating_sub(1)) {
            state.apply(io);
            self.crash(&state, known, left, (n + 1, journal.len()), torn);
        }
    }

    /// All that a crash at this moment can leave, with `left` to come.
    fn crash(&mut self, state: &State, known: &Known, left: Budget, (done, of): (usize, usize), torn: bool) {
        for cut in state.power_cuts(torn) {
            if self.search.stop.load(Ordering::Relaxed) {
                return;
            }
            let after = state.after(&cut);
            if self.search.enter(medium::fingerprint(&after), known, left) {
                self.path.push(Step::Crash(done, of, Crash::Power(cut)));
                self.open(after, known, left, Share::All);
                self.path.pop();
            }
        }
        if state.has_cached() && self.search.enter(medium::fingerprint(state), known, left) {
            self.path.push(Step::Crash(done, of, Crash::Kill));
            self.open(state.clone(), known, left, Share::All);
            self.path.pop();
        }
    }

    /// An engine that is open: the host takes every step it can.
    fn live(&mut self, engine: &Engine<Disk>, known: &Known, left: Budget, share: Share) {
        // A step that no crash follows shows nothing that one with a crash behind it does not.
        if left.ops == 0 || left.crashes == 0 {
            return;
        }
        let search = self.search;
        for &op in search.alphabet.iter().filter(|&&op| match share {
            Share::All => true,
            Share::Opening => false,
            Share::First(first) => op == first,
        }) {
            if search.stop.load(Ordering::Relaxed) {
                return;
            }
            let mut engine = engine.clone();
            let before = engine.device().state();
            engine.device().take_journal();
            self.path.push(Step::Op(op));
            match caught(|| Ok(take(op, &mut engine, known))) {
                Err(broken) => self.broken(broken),
                Ok(None) => {}
                Ok(Some(done)) => {
                    let journal = engine.device().take_journal();
                    let crashed = Budget { crashes: left.crashes - 1, ..left };
                    self.crashes_within(&before, &journal, &done.during, crashed, true);
                    let at_rest = if done.failed { done.after.clone() } else { done.after.at_rest() };
                    let all = (journal.len(), journal.len());
                    self.crash(&engine.device().state(), &at_rest, crashed, all, true);
                    if self.search.faults && left.crashes == 1 {
                        self.rot(&engine.device().state(), &at_rest);
                        self.short_reads(&engine.device().state(), &at_rest);
                    }
                    if !done.failed {
                        if let Err(broken) = caught(|| checks::reads(&engine, &done.after, false)) {
                            self.broken(broken);
                        }
                        self.live(&engine, &done.after, Budget { ops: left.ops - 1, ..left }, Share::All);
                    }
                }
            }
            self.path.pop();
        }
    }

    /// Turns bits on a medium where all is synced.
    fn rot(&mut self, state: &State, known: &Known) {
        if state.has_cached() {
            return;
        }
        for (sectors, byte, rotten) in medium::rotten(state) {
            if self.search.stop.load(Ordering::Relaxed) {
                return;
            }
            let superblocks = sectors.len() > 1;
            if !self.search.enter(
                medium::fingerprint(&rotten),
                known,
                Budget { ops: 0, crashes: 0, recoveries: Recoveries::Undisturbed },
            ) {
                continue;
            }
            let (disk, mechanisms) = (Disk::from(rotten), self.search.mechanisms);
            let checked = caught(|| match Engine::open(disk, &IDENTITY, mechanisms) {
                Err(OpenError::Corrupt(_) | OpenError::NotFormatted) if superblocks => Ok(()),
                Err(error) => Err(format!("one damaged sector, and the device cannot be opened: {error}")),
                Ok(_) if superblocks => Err("a device without a superblock was opened".into()),
                Ok((mut engine, _)) => checks::rotten(&mut engine, known),
            });
            if let Err(broken) = checked {
                self.path.push(Step::Rot(byte, sectors));
                self.broken(broken);
                self.path.pop();
            }
        }
    }

    /// Opens the device with each of its reads in turn coming up short: that is told, as what it is; and the next opening
    /// finds everything.
    fn short_reads(&mut self, state: &State, known: &Known) {
        let mechanisms = self.search.mechanisms;
        for reads in 0.. {
            let disk = Disk::from(state.clone());
            disk.fail_read_after(reads);
            let opened = caught(|| match Engine::open(&disk, &IDENTITY, mechanisms) {
                // The other superblock counts then, and the report says so.
                Ok((_, report)) if report.superblocks.contains(&Err(DecodeError::Unreadable)) => Ok(Some(())),
                Ok((engine, _)) if engine.device().has_failed_reads() => {
                    Err("E1: a read of the recovery came up short, and nobody was told".into())
                }
                // More reads than there are: all of them were tried.
                Ok(_) => Ok(None),
                Err(OpenError::Io(_)) => Ok(Some(())),
                Err(error) => Err(format!("a read that came up short is taken for something else: {error}")),
            });
            let checked = opened.and_then(|short| {
                let disk = Disk::from(disk.state());
                let Some(()) = short else { return Ok(false) };
                let (mut engine, report) = Engine::open(disk, &IDENTITY, mechanisms).map_err(|error| {
                    format!("E1: after a short read the device cannot be opened: {error}")
                })?;
                recovered(&mut engine, &report, known).map(|_| true)
            });
            match checked {
                Ok(true) => {}
                Ok(false) => return,
                Err(broken) => {
                    self.path.push(Step::ShortRead(reads));
                    self.broken(broken);
                    self.path.pop();
                    return;
                }
            }
        }
    }

    fn broken(&self, broken: String) {
        self.search.stop.store(true, Ordering::Relaxed);
        let steps = self.path.iter().map(ToString::to_string).collect();
        let script = self.path.iter().map(Step::line).collect();
        self.search.found.lock().expect("no worker panicked").get_or_insert(Found { broken, steps, script });
    }
}
