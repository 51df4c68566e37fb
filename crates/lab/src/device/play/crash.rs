//! What happens to a device from outside: a power cut, a kill, a bit that rots.

use disk::{Disk, Io, SECTOR, State};
use engine::{Engine, OpenError, RecoveryReport};

use super::Stage;
use super::picture::accesses;
use crate::device::caught::caught;
use crate::device::checks;
use crate::device::medium::{self, SLOTS};
use crate::device::starts::IDENTITY;

impl Stage {
    /// The device as it was after so many accesses of the last step, which moment that is, and what holds then.
    fn interrupted(&mut self, after: &str) -> Result<(State, String), String> {
        let after: usize = after.parse().map_err(|_| format!("`{after}` is no number"))?;
        let last = self.last.take().ok_or("no step comes before the crash")?;
        let (mut state, of) = (last.before, last.journal.len());
        let done = after.min(of);
        last.journal.iter().take(done).for_each(|io| state.apply(io));
        self.known = if done == of { last.after } else { last.during };
        self.engine = None;
        // What the interrupted recovery would have told does not count.
        self.broken = None;
        let moment = match last.journal.split_at(done) {
            ([], []) => "after the step before, which wrote nothing".to_string(),
            (did, []) if did.iter().all(|io| matches!(io, Io::Write(..))) => {
                format!("after the step before wrote {}; no sync was sent", accesses(did))
            }
            (did, []) => format!("at the end of the step before, after {}", accesses(did)),
            ([], not) => format!("at the beginning of the step before, before {}", accesses(not)),
            (did, not) => {
                format!("during the step before, after {}, before {}", accesses(did), accesses(not))
            }
        };
        Ok((state, moment))
    }

    pub(super) fn cut(&mut self, after: &str, kept: &[&str]) -> Result<String, String> {
        let (state, moment) = self.interrupted(after)?;
        let cut = state.cut_named(kept);
        let torn = kept.iter().filter_map(|name| name.split_once(':')?.0.parse().ok());
        self.picture.torn = torn.collect();
        self.picture.spared = kept.iter().filter_map(|name| name.parse().ok()).collect();
        self.disk = state.after(&cut);
        Ok(format!("power fails {moment}: {cut}"))
    }

    pub(super) fn kill(&mut self, after: &str) -> Result<String, String> {
        let (state, moment) = self.interrupted(after)?;
        self.disk = state;
        Ok(format!("kill -9 {moment}: the cache survives"))
    }

    pub(super) fn rot(&mut self, byte: &str, sectors: &[&str]) -> Result<(Option<String>, String), String> {
        let number = |word: &str| word.parse::<usize>().map_err(|_| format!("`{word}` is no number"));
        let (byte, sectors) =
            (number(byte)?, sectors.iter().map(|s| number(s)).collect::<Result<Vec<_>, _>>()?);
        if byte >= SECTOR || sectors.iter().any(|sector| *sector >= medium::used(&self.disk)) {
            return Err("that is not on the device".into());
        }
        let state = self.engine.as_ref().map_or_else(|| self.disk.clone(), |engine| engine.device().state());
        if state.has_cached() {
            return Err("not all is synced".into());
        }
        let superblocks = sectors == SLOTS;
        self.disk = medium::rotten_in(&state, &sectors, byte);
        let (disk, on, known) = (Disk::from(self.disk.clone()), self.on, self.known.at_rest());
        self.engine = None;
        let mut opened = caught(|| Ok(Engine::open(disk, &IDENTITY, on)));
        self.heard.extend(opened.iter_mut().flatten().flat_map(|(engine, _)| engine.notes()));
        let check = |opened: Result<(Engine<Disk>, RecoveryReport), _>| match opened {
            Err(error @ (OpenError::Corrupt(_) | OpenError::NotFormatted)) if superblocks => {
                Ok(format!("refused: {error}"))
            }
            Err(error) => Err(format!("one damaged sector, and the device cannot be opened: {error}")),
            Ok(_) if superblocks => Err("P5: a device without a superblock was opened".into()),
            Ok((mut engine, report)) => checks::rotten(&mut engine, &known).map(|()| match report.damage {
                Some(damage) => format!("reported: {damage}"),
                None => "what was hit is not needed, or is refused when it is read".into(),
            }),
        };
        let checked = opened.and_then(|opened| caught(|| check(opened)));
        let places: Vec<String> = sectors.iter().map(|s| (s * SECTOR).to_string()).collect();
        let words =
            format!("a bit rots in the sector at byte {}, and the device is opened", places.join(" and "));
        match checked {
            Ok(told) => Ok((Some(told), words)),
            Err(broken) => self.ends(broken).map(|told| (told, words)),
        }
    }
}
