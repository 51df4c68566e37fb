//! A schedule of one device, step by step: the form in which a counterexample of a local mechanism is stored. It begins
//! with `device NAME`, one of the devices of [`super::starts`]; [`STEPS`] has the rest.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use disk::{Disk, Io, State};
use engine::{Engine, Identity, OpenError, Seq, Standing};
use trace::{Actor, Event, Kind, Mechanisms, Source, Tracer};

use crate::device::caught::caught;
use crate::device::checks::{self, recovered};
use crate::device::known::Known;
use crate::device::starts::{IDENTITY, LAYOUT, starts};
use crate::device::workload::{self, Op};
use crate::nearest::unknown;

mod crash;
mod picture;

use picture::{Picture, accesses};

/// The steps beside those of the host, which are in the words of [`Op`]: their form, and what they do.
pub const STEPS: &[(&str, &str)] = &[
    ("open", "opens the device, and checks what was recovered"),
    ("open as nX", "node nX opens it, whose device it is not: it must be refused, and nothing must change"),
    ("format", "formats it for another life, as joining"),
    (
        "cut N [S …]",
        "power fails after N writes and syncs of the step before; of what is cached, only these sectors survive \
         (`S:front` and `S:end`: torn)",
    ),
    ("kill N", "the process is killed there; the cache survives"),
    ("rot B S …", "a bit turns in byte B of each of these sectors, and the device is opened"),
];

/// The steps of the host, in their words.
pub fn host_steps() -> Vec<String> {
    Op::every().iter().map(Op::to_string).collect()
}

fn all_steps() -> Vec<String> {
    STEPS.iter().map(|step| step.0.to_string()).chain(host_steps()).collect()
}

/// The names of the devices to begin from.
pub fn start_names() -> Vec<&'static str> {
    starts().iter().map(|start| start.name).collect()
}

/// What came of a step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Done {
    pub(crate) events: Vec<trace::Event>,
    /// The device after it.
    pub(crate) strip: String,
    /// What the host was told.
    pub(crate) told: Option<String>,
    /// What happened and no event tells.
    pub(crate) also: Option<String>,
    pub(crate) words: String,
}

/// The step that a crash may still cut off.
struct Last {
    before: State,
    journal: Vec<Io>,
    during: Known,
    after: Known,
}

/// A device to which a schedule happens.
pub(crate) struct Stage {
    on: Mechanisms,
    disk: State,
    known: Known,
    engine: Option<Engine<Disk>>,
    last: Option<Last>,
    broken: Option<String>,
    life: u32,
    /// It was formatted since the last opening, or begun to be.
    formatting: bool,
    picture: Picture,
    /// Entries that gave a new key a value: made again, they have the same bytes.
    put: BTreeSet<Seq>,
    /// What the engine told of in the step under way.
    heard: Vec<(Kind, Source)>,
    /// Events that were told of in the steps before.
    told: u64,
}

impl Stage {
    pub(crate) fn new(device: &str, on: Mechanisms) -> Result<Stage, String> {
        let all = starts();
        let names: Vec<_> = all.iter().map(|start| start.name).collect();
        let start = all.iter().find(|start| start.name == device);
        let start = start.ok_or_else(|| {
            let unknown = unknown("device", &format!("`{device}`"), names.iter().copied());
            format!("{unknown}; there are: {}", names.join(", "))
        })?;
        let (disk, known) = (start.disk.clone(), start.known.clone());
        Ok(Stage {
            on,
            disk,
            known,
            engine: None,
            last: None,
            broken: None,
            life: 0,
            formatting: false,
            picture: Picture::default(),
            put: BTreeSet::new(),
            heard: Vec::new(),
            told: 0,
        })
    }

    pub(crate) fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// Takes a step that the crash `next` cuts off, if it does. What is told of it is what happened until then: the host
    /// never learned how it ended.
    pub(crate) fn take_before(&mut self, line: &str, next: Option<&str>) -> Result<Done, String> {
        let crash = next.and_then(|next| next.strip_prefix("cut ").or(next.strip_prefix("kill ")));
        let after = crash.and_then(|crash| crash.split_whitespace().next()?.parse::<usize>().ok());
        let op = Op::every().into_iter().find(|op| op.to_string() == line);
        let heard = after.zip(op).map(|(after, op)| self.heard_until(op, after));
        let stale = self.picture.stale.clone();
        let mut done = self.take(line)?;
        let of = self.last.as_ref().map_or(0, |last| last.journal.len());
        if let Some(after) = after.filter(|after| *after < of) {
            self.heard = heard.unwrap_or_default();
            self.picture.stale = stale;
            done.events = self.events(self.life + 1);
            (done.told, done.also) = (None, None);
            // The device at the moment of the crash, not as the step would have left it.
            if let Some(last) = &self.last {
                let mut state = last.before.clone();
                last.journal.iter().take(after).for_each(|io| state.apply(io));
                done.strip = self.picture.strip(&state, None);
                let [did, not] = [&last.journal[..after], &last.journal[after..]].map(accesses);
                done.words = format!("{} (cut off after {did}; not done: {not})", done.words);
            }
        }
        Ok(done)
    }

    /// What the host does, as entry `seq`.
    fn named(&mut self, op: Op, seq: Seq) -> String {
        let again = op.puts_new() && !self.put.insert(seq);
        let text = op.to_string();
        match again {
            true => text
                .replace("put a new key", &format!("put the key of entry {seq} again, with the same value")),
            false => text,
        }
    }

    /// A step that is to sync and sends no sync: what no event tells.
    fn unsynced(&self, op: Op) -> Option<String> {
        let journal = self.last.as_ref().map_or(&[][..], |last| &last.journal);
        let sent = journal.iter().any(|io| matches!(io, Io::Sync | Io::FailedSync));
        (matches!(op, Op::Write(_)) && !sent).then(|| "n1 sends no sync to the disk".to_string())
    }

    /// What the engine would tell of an operation in which the power fails.
    fn heard_until(&self, op: Op, after: usize) -> Vec<(Kind, Source)> {
        let Some(mut engine) = self.engine.clone() else { return Vec::new() };
        engine.device().fail_after(after as u64);
        let _ = caught(|| Ok(workload::take(op, &mut engine, &self.known)));
        // The process is gone before it could notice that the device is.
        engine.notes().filter(|(kind, _)| !matches!(kind, Kind::DevicePoisoned { .. })).collect()
    }

    /// What can come next, in the words of a schedule.
    pub(crate) fn possible(&self) -> Vec<String> {
        let mut steps = Vec::new();
        match &self.engine {
            Some(engine) => {
                let takes = |op: &Op| {
                    let mut trial = engine.clone();
                    !matches!(caught(|| Ok(workload::take(*op, &mut trial, &self.known))), Ok(None))
                };
                steps.extend(Op::every().into_iter().filter(takes).map(|op| op.to_string()));
            }
            None => steps.extend(["open", "format", "open as n2"].map(String::from)),
        }
        if let Some(last) = &self.last {
            for after in 0..=last.journal.len() {
                steps.push(format!("kill {after}"));
                let mut state = last.before.clone();
                last.journal.iter().take(after).for_each(|io| state.apply(io));
                steps.extend(
                    state
                        .power_cuts(false)
                        .iter()
                        .map(|cut| format!("cut {after} {}", cut.names().join(" "))),
                );
            }
        }
        steps.iter_mut().for_each(|step| step.truncate(step.trim_end().len()));
        steps
    }

    /// Takes a step. An error says why it is not possible here; then nothing has changed.
    pub(crate) fn take(&mut self, line: &str) -> Result<Done, String> {
        self.heard.clear();
        let life = self.life + 1;
        let words: Vec<&str> = line.split_whitespace().collect();
        if !matches!(words.first(), Some(&("cut" | "kill" | "open"))) {
            self.picture.torn.clear();
            self.picture.spared.clear();
        }
        let mut also = None;
        let (told, sentence) = match &words[..] {
            ["open", "as", node] => (self.open_as(node)?, format!("{node} opens the device")),
            ["format"] => (self.format()?, "the device is formatted anew".to_string()),
            ["open"] => (self.open()?, "the device is opened".to_string()),
            ["cut", after, kept @ ..] => (None, self.cut(after, kept)?),
            ["kill", after] => (None, self.kill(after)?),
            ["rot", byte, sectors @ ..] => self.rot(byte, sectors)?,
            _ => {
                let ops = Op::every();
                let op = ops.into_iter().find(|op| op.to_string() == line).ok_or_else(|| {
                    format!("no such step of a device; there are: {}", all_steps().join("; "))
                })?;
                let seq = self.engine.as_ref().map_or(0, |engine| engine.last_seq() + 1);
                let told = self.act(op)?;
                also = self.unsynced(op);
                (told, format!("the host: {}", self.named(op, seq)))
            }
        };
        let disk = self.engine.as_ref().map_or_else(|| self.disk.clone(), |engine| engine.device().state());
        let end = self.engine.as_ref().map(|engine| engine.durable_lsn().0);
        self.picture.note_stale(&disk, end, self.broken.is_some());
        let strip = self.picture.strip(&disk, end);
        Ok(Done { events: self.events(life), strip, told, also, words: sentence })
    }

    /// What the engine told of in this step.
    fn events(&mut self, life: u32) -> Vec<Event> {
        let events = Arc::new(Mutex::new(Vec::new()));
        let heard = events.clone();
        let sink = move |event| heard.lock().expect("nobody panics").push(event);
        let mut t = Tracer::always(Actor::Node { node: 1, shard: 0 }, life, Box::new(sink));
        self.heard.drain(..).for_each(|(kind, source)| t.record(kind, source));
        let mut events = std::mem::take(&mut *events.lock().expect("nobody panics"));
        // Each step has a tracer of its own, which counts from 0: no two events of a schedule may have one name.
        let before = self.told;
        for event in &mut events {
            event.id.n += before;
            event.parents.iter_mut().for_each(|cause| cause.n += before);
        }
        self.told += events.len() as u64;
        events
    }

    fn open(&mut self) -> Result<Option<String>, String> {
        if self.engine.is_some() {
            return Err("it is open".into());
        }
        self.life += 1;
        let (disk, on) = (Disk::from(self.disk.clone()), self.on);
        let before = self.disk.clone();
        let formatting = std::mem::take(&mut self.formatting);
        let (mut engine, report) = match caught(|| Ok(Engine::open(disk, &IDENTITY, on))) {
            Ok(Ok(opened)) => opened,
            Ok(Err(error @ OpenError::NotFormatted)) if formatting => {
                return Ok(Some(format!("refused: {error}")));
            }
            Ok(Err(error)) => {
                return self.ends(format!("E1: a crash leaves a device that cannot be opened: {error}"));
            }
            Err(broken) => return self.ends(broken),
        };
        // A format that was cut off leaves all that was there, no device of ours, or the new one.
        let formatted = formatting && engine.standing() == Standing::Joining;
        let known = if formatted { Known::formatted() } else { self.known.clone() };
        self.heard.extend(engine.notes());
        engine.listen(true);
        let journal = engine.device().take_journal();
        match caught(|| recovered(&mut engine, &report, &known)) {
            Ok(after) => {
                self.last = Some(Last { before, journal, during: known, after: after.clone() });
                self.known = after;
                self.engine = Some(engine);
                let last = self.engine.as_ref().map_or(0, Engine::last_seq);
                Ok(Some(if last == 0 {
                    "the log is empty".into()
                } else {
                    format!("{} there", trace::entries(1, last) + if last == 1 { " is" } else { " are" })
                }))
            }
            Err(broken) => {
                // What a crash in this recovery leaves is still of interest.
                self.last = Some(Last { before, journal, during: known.clone(), after: known });
                self.ends(broken)
            }
        }
    }

    fn format(&mut self) -> Result<Option<String>, String> {
        if self.engine.is_some() {
            return Err("it is open".into());
        }
        let (disk, before) = (Disk::from(self.disk.clone()), self.disk.clone());
        let done = engine::reformat(&disk, &IDENTITY, Standing::Joining, LAYOUT, self.on);
        done.map_err(|error| error.to_string())?;
        (self.disk, self.formatting) = (disk.state(), true);
        let (journal, during) = (disk.take_journal(), self.known.clone());
        self.last = Some(Last { before, journal, during, after: Known::formatted() });
        Ok(Some("it is empty".into()))
    }

    /// Somebody else's node opens the device: disks were swapped.
    fn open_as(&mut self, node: &str) -> Result<Option<String>, String> {
        if self.engine.is_some() {
            return Err("it is open".into());
        }
        let node = node.strip_prefix('n').and_then(|n| n.parse().ok()).filter(|n| *n != IDENTITY.node);
        let identity = Identity { node: node.ok_or("name another node than n1")?, ..IDENTITY };
        let disk = Disk::from(self.disk.clone());
        match Engine::open(&disk, &identity, self.on) {
            Err(error @ OpenError::WrongIdentity { .. }) if disk.take_journal().is_empty() => {
                Ok(Some(format!("refused: {error}")))
            }
            Err(error) => {
                self.ends(format!("E1: refused, but for another reason, or not untouched: {error}"))
            }
            Ok((mut engine, _)) => {
                self.heard.extend(engine.notes());
                self.ends("P5: somebody else's device was opened".into())
            }
        }
    }

    fn ends(&mut self, broken: String) -> Result<Option<String>, String> {
        self.broken.get_or_insert(broken);
        Ok(None)
    }

    fn act(&mut self, op: Op) -> Result<Option<String>, String> {
        let engine = self.engine.as_mut().ok_or("the device is not open")?;
        let before = engine.device().state();
        engine.device().take_journal();
        let known = self.known.clone();
        let mut trial = engine.clone();
        let taken = caught(|| Ok(workload::take(op, &mut trial, &known)));
        self.heard.extend(trial.notes());
        match taken {
            Err(broken) => self.ends(broken),
            Ok(None) => Err("that is not possible here, or changes nothing".into()),
            Ok(Some(done)) => {
                *engine = trial;
                let journal = engine.device().take_journal();
                let failed = done.failed;
                let after = if failed { done.after.clone() } else { done.after.at_rest() };
                self.last = Some(Last { before, journal, during: done.during, after });
                self.known = done.after;
                if failed {
                    self.disk = engine.device().state();
                    self.engine = None;
                    return Ok(Some("refused: the device failed".into()));
                }
                let engine = self.engine.as_ref().expect("it is open");
                if let Err(broken) = caught(|| checks::reads(engine, &self.known, false)) {
                    return self.ends(broken);
                }
                let acknowledged = engine.durable_seq();
                let open = match self.known.log.len() as Seq > acknowledged {
                    true => "; the truncation is not durable yet",
                    false => "",
                };
                Ok(Some(if acknowledged == 0 {
                    format!("nothing is acknowledged yet{open}")
                } else {
                    format!("acknowledged up to entry {acknowledged}{open}")
                }))
            }
        }
    }
}
