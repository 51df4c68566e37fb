//! `verify`: every checksum on a device image, and everything that its structures say of each other.
//!
//! Superblocks against each other; checkpoint, log, values of the last batch and one owner per extent by the engine's
//! own recovery, which stops at the first damage of each; then every value of every key and entry.

use std::path::PathBuf;

use backup::Digest;
use clap::Args;
use engine::format::superblock::SLOTS;
use engine::{Damage, DecodeError, OpenError, Owner, ReadError, Zone};
use serde_json::json;

use crate::backup::file;
use crate::failure::{Failure, me, quote, say};
use crate::image::{Fate, RecordSeen, Seen, look};
use crate::inspect::{cannot_read, damage_json};

/// Check every checksum of a device image or a backup, and that its structures are consistent
///
/// Prints the digest of the state: two replicas, or a replica and a backup, with the same one have the same keys, values
/// and versions.
///
/// Read-only, and takes no lock. It also works while a node uses the image, but an update in progress can then look
/// like damage. Exits with 4 on damage.
#[derive(Debug, Args)]
pub struct Verify {
    /// The image or block device, or a backup
    image: PathBuf,
    /// Of backups: the incremental ones behind the first, each behind its base
    behind: Vec<PathBuf>,
    /// Print the result as one line of JSON
    #[arg(long)]
    json: bool,
}

/// What was checked.
#[derive(Default)]
struct Checked {
    records: u64,
    values: u64,
    chunks: u64,
    /// The state as of an entry: how many keys, and their digest.
    state: Option<(u64, u64, Digest)>,
    damage: Vec<Damage>,
    notes: Vec<String>,
}

impl Verify {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        if file::is_one(&self.image) {
            let files: Vec<_> = [self.image].into_iter().chain(self.behind).collect();
            return file::verify(&files, self.json);
        }
        if let Some(other) = self.behind.first() {
            let what = format!(
                "{} is no backup, so {} cannot stand behind it",
                self.image.display(),
                other.display()
            );
            return Err(Failure::usage(what).next("verify one image at a time"));
        }
        let seen = look(&self.image).map_err(|e| cannot_read(&self.image, e))?;
        let checked = check(&seen).map_err(|e| {
            let failure = Failure::error(format!("{}: {e}", self.image.display()));
            failure.next(format!("{} inspect {}", me(), quote(self.image.display())))
        })?;
        let Checked { records, values, chunks, state, damage, notes } = &checked;
        if self.json {
            let damage: Vec<_> = damage.iter().map(damage_json).collect();
            let state = state
                .map(|(seq, keys, digest)| json!({ "seq": seq, "keys": keys, "digest": digest.to_string() }));
            say(json!({
                "records": records, "values": values, "chunks": chunks, "state": state, "damage": damage,
                "notes": notes,
            }));
        } else {
            say(format!("{records} log records, {values} values, {chunks} checkpoint chunks"));
            if let Some((seq, keys, digest)) = state {
                say(format!("the state as of entry {seq}: {keys} keys, digest {digest}"));
            }
            notes.iter().for_each(|note| say(format!("note: {note}")));
            damage.iter().for_each(say);
            if damage.is_empty() {
                say("all checksums fit, and everything fits together");
            }
        }
        if damage.is_empty() {
            return Ok(());
        }
        let failure = Failure::corruption(format!("{}: {} damaged", self.image.display(), damage.len()));
        Err(failure.next(format!("{} inspect {}", me(), quote(self.image.display()))))
    }
}

/// Checks everything. The error is one that says nothing about the bytes, such as a file that is too short.
fn check(seen: &Seen) -> Result<Checked, OpenError> {
    let mut checked = Checked::default();
    superblocks(seen, &mut checked);
    let (engine, report) = match &seen.opened {
        Ok(opened) => opened,
        // Both slots are told above.
        Err(OpenError::Corrupt(_)) => return Ok(checked),
        Err(OpenError::NotFormatted) => {
            return Err(OpenError::NotFormatted);
        }
        Err(OpenError::Truncated { bytes, formatted }) => {
            return Err(OpenError::Truncated { bytes: *bytes, formatted: *formatted });
        }
        Err(error) => return Err(OpenError::Io(std::io::Error::other(error.to_string()))),
    };
    checked.records = report.replayed;
    checked.damage.extend(report.damage.clone());
    let torn = |record: &RecordSeen| {
        record.offset == report.stop_offset && matches!(record.fate, Fate::Broken(_) | Fate::TornTail)
    };
    if report.damage.is_none() && (report.discarded_bytes > 0 || seen.records.iter().any(torn)) {
        let (records, stop) = (report.discarded_records, &report.stop);
        checked.notes.push(format!(
            "the last batch is torn: it was never acknowledged, and is discarded with {records} whole records: {stop}"
        ));
    }
    // A value in several extents is read as one.
    for (_, owner) in engine.owners().into_iter().filter(|(extent, owner)| extent.unit == owner.first_unit())
    {
        let read = match &owner {
            Owner::Chunk(_) => {
                checked.chunks += 1;
                continue;
            }
            Owner::Key(key, _) => engine.get(key).map(|_| ()),
            Owner::Entry(seq, _) => engine.entry(*seq).map(|_| ()),
        };
        match read {
            Ok(()) => checked.values += 1,
            Err(ReadError::Corrupt(damage)) if checked.damage.contains(&damage) => {}
            Err(ReadError::Corrupt(damage)) => checked.damage.push(damage),
            Err(error) => return Err(OpenError::Io(std::io::Error::other(error.to_string()))),
        }
    }
    if checked.damage.is_empty() {
        // Behind the checkpoint nothing is applied: that a later entry is committed, a device alone does not know.
        let state =
            backup::of_engine(engine).map_err(|e| OpenError::Io(std::io::Error::other(e.to_string())))?;
        checked.state = Some((engine.applied_seq(), state.0, state.1));
    }
    Ok(checked)
}

/// Both slots are valid and say the same, or an update was under way.
fn superblocks(seen: &Seen, checked: &mut Checked) {
    let generations: Vec<_> =
        seen.slots.iter().filter_map(|s| Some(s.decoded.as_ref().ok()?.generation)).collect();
    if seen.opened.as_ref().is_err_and(|error| matches!(error, OpenError::NotFormatted)) {
        return;
    }
    let saturated = |slot: &crate::image::SlotSeen| {
        matches!(&slot.decoded, Err(DecodeError::Field { name: "promise", .. }))
    };
    if seen.slots.iter().any(saturated) {
        checked.notes.push(
            "the promised epoch is one that cannot be, so no greater one is left to lead in; while a majority of the \
             replicas is well, `format --joining` this one and let it be filled from them"
                .into(),
        );
    }
    for (slot, offset) in seen.slots.iter().zip(SLOTS) {
        if let Err(error) = &slot.decoded {
            checked.damage.push(Damage {
                zone: Zone::Superblock,
                offset,
                expected: format!("a valid superblock in slot {}", slot.name),
                found: format!("{error} (or a power cut tore its update: the next open writes both slots)"),
                value: None,
            });
        }
    }
    if let &[a, b] = &generations[..] {
        if a.abs_diff(b) != 1 {
            checked.damage.push(Damage {
                zone: Zone::Superblock,
                offset: SLOTS[usize::from(a > b)],
                expected: format!("generation {} or {}", a.max(b) - 1, a.max(b)),
                found: format!("generation {}", a.min(b)),
                value: None,
            });
        }
        let differing: Vec<_> =
            seen.differing().iter().map(|field| field.name).filter(|&name| name != "generation").collect();
        if !differing.is_empty() {
            checked
                .notes
                .push(format!("an update of the superblocks was interrupted; they differ in {differing:?}"));
        }
    }
}
