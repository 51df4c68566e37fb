//! What must hold of a device that was opened.

use disk::{Disk, SECTOR};
use engine::{Engine, ReadError, RecoveryReport, Seq, Standing};
use trace::Mechanisms;

use super::known::{Known, Made, entry, host_state, value};
use super::starts::IDENTITY;

/// Checks an engine that has just been opened, and lets the host catch up. Says what is broken, or what the host
/// relies on from here on.
pub(crate) fn recovered(
    e: &mut Engine<Disk>,
    report: &RecoveryReport,
    known: &Known,
) -> Result<Known, String> {
    if let Some(damage) = &report.damage {
        return Err(format!("a crash is reported as damage: {damage}"));
    }
    let (promised, checkpoint, joining) =
        (e.promised(), e.checkpoint_seq(), e.standing() == Standing::Joining);
    if !known.joining.contains(&joining) {
        return Err(format!("E5: the device is joining: {joining}; it was: {}", known.joining[0]));
    }
    if !known.promise.contains(&promised) {
        return Err(format!("E5: the promise is {promised}, and {} was acknowledged", known.promise[0]));
    }
    if !known.checkpoint.contains(&checkpoint) || e.host_state() != host_state(checkpoint) {
        return Err(format!("E1: the checkpoint in force is {checkpoint}, and {} was", known.checkpoint[0]));
    }
    let none = known.replaced_as_of(0);
    let known = if known.emptied && checkpoint == 0 && e.last_seq() == 0 { &none } else { known };
    let attempted = known.attempted.as_ref().unwrap_or(&known.log);
    let candidates = [&known.log, &known.latest, attempted, &known.log[..known.wanted]];
    let log = recovered_log(e, &candidates, known.wanted)?;
    let after = Known {
        latest: log.clone(),
        without_last_batch: log.clone(),
        wanted: log.len(),
        log,
        checkpoint: [checkpoint; 2],
        promise: [promised; 2],
        running: None,
        receiving: None,
        attempted: None,
        joining: [joining; 2],
        emptied: false,
        applied: known.applied.max(checkpoint),
        ..known.clone()
    };
    reads(e, &after, false)?;
    if e.applied_seq() < known.applied {
        e.commit(known.applied).map_err(|error| format!("E1: {error}"))?;
        reads(e, &after, false)?;
    }
    Ok(after)
}

/// Which of these logs the engine has, of which at least `acknowledged` entries are needed.
fn recovered_log(e: &Engine<Disk>, candidates: &[&[Made]], acknowledged: usize) -> Result<Vec<Made>, String> {
    let (from, last) = (e.checkpoint_seq() + 1, e.last_seq());
    for candidate in candidates.iter().filter(|candidate| candidate.len() as Seq == last) {
        let mut found = true;
        for seq in from..=last {
            let read = e.entry(seq).map_err(|error| {
                let standing = match seq as usize {
                    seq if seq <= acknowledged => "",
                    seq if seq <= candidates[0].len() => ", which was truncated, but not durably,",
                    _ => ", which was not acknowledged yet,",
                };
                let place = match &error {
                    ReadError::Corrupt(damage) => format!(" (sector {})", damage.offset / SECTOR as u64),
                    _ => String::new(),
                };
                format!("E4: entry {seq}{standing} cannot be read: {error}{place}")
            })?;
            found &= read.is_some_and(|read| read == entry(seq, candidate[seq as usize - 1]));
        }
        if found {
            return Ok(candidate.to_vec());
        }
    }
    let ends = if last == 0 { "is empty".to_string() } else { format!("ends with entry {last}") };
    Err(match acknowledged as Seq {
        acknowledged if last < acknowledged => {
            format!("E1: entry {acknowledged} was acknowledged, and the log {ends}")
        }
        _ => {
            let [told, since] = [0, 1].map(|n| candidates.get(n).map_or(0, |log| log.len()));
            let log = match told {
                0 => "an empty log".to_string(),
                told => format!("a log up to entry {told}"),
            };
            let since = match since.checked_sub(told) {
                Some(0) => "nothing has been put since".to_string(),
                Some(_) => {
                    format!("only {} has been put since", trace::entries(told as Seq + 1, since as Seq))
                }
                None => format!("it has been truncated to {since} since"),
            };
            format!("E2: the log {ends}, but the host was last told of {log}, and {since}")
        }
    })
}

/// Checks a device on which a bit of one sector was turned after everything was synced: damage is reported, or nothing
/// of importance was hit. Never are other bytes served, nor is an acknowledged entry gone in silence (promise 5).
pub(crate) fn rotten(e: &mut Engine<Disk>, known: &Known) -> Result<(), String> {
    if e.damage().is_some() {
        return given_up(e, known);
    }
    let joining = e.standing() == Standing::Joining;
    if (e.promised(), e.checkpoint_seq(), joining)
        != (known.promise[0], known.checkpoint[0], known.joining[0])
    {
        return Err("E5: damage in one superblock slot brings back an older state".into());
    }
    let candidates = [&known.log[..], &known.log[..known.wanted], &known.without_last_batch];
    match recovered_log(e, &candidates, known.wanted) {
        Ok(log) => reads(e, &Known { log, ..known.clone() }, true),
        // An entry that cannot be read says so.
        Err(broken) if broken.starts_with("E4") => Ok(()),
        Err(broken) => Err(broken),
    }
}

/// What a damaged device says that it had is never less than what was acknowledged; and it can go on without the damage.
fn given_up(e: &mut Engine<Disk>, known: &Known) -> Result<(), String> {
    let (had, acknowledged) = (e.had().map(|(seq, _)| seq), known.wanted as Seq);
    if had.is_some_and(|had| had < acknowledged) {
        return Err(format!(
            "E1: it says that it had entries up to {had:?}, and {acknowledged} were acknowledged"
        ));
    }
    e.give_up_damaged((1, acknowledged)).map_err(|error| format!("E1: {error}"))?;
    let opened = Engine::open(Disk::from(e.device().state()), &IDENTITY, Mechanisms::all());
    let (again, report) = opened.map_err(|error| format!("E1: {error}"))?;
    match report.damage {
        Some(damage) => Err(format!("E6: what was given up is back: {damage}")),
        None if (again.owed(), again.promised(), again.last_seq())
            != (e.owed(), e.promised(), e.last_seq()) =>
        {
            Err(format!("E2: a log up to {} after one up to {}", again.last_seq(), e.last_seq()))
        }
        None => Ok(()),
    }
}

/// Every live key reads its own bytes (or, if the medium is `rotten`, none), and no other key is there.
pub(crate) fn reads(e: &Engine<Disk>, known: &Known, rotten: bool) -> Result<(), String> {
    let map = Known::live(&known.log, e.applied_seq());
    for (key, (seq, made)) in &map {
        let name = key[0] as char;
        match e.get(key) {
            Ok(Some(found)) if (found.version, &*found.value) == (*seq, &value(*seq, *made)) => {}
            Ok(Some(found)) => {
                return Err(format!("E4: key {name} has version {}, not {seq}", found.version));
            }
            Ok(None) => return Err(format!("E1: key {name} is gone; entry {seq} wrote it")),
            Err(ReadError::Corrupt(_)) if rotten => {}
            Err(error) => return Err(format!("E4: key {name}: {error}")),
        }
    }
    if e.key_count() != map.len() as u64 {
        return Err(format!("E2: {} keys where there are {}", e.key_count(), map.len()));
    }
    let space = e.space();
    if space.live + space.free + space.quarantined != space.units {
        return Err(format!("E3: {space:?} does not add up"));
    }
    Ok(())
}
