//! `inspect`: what lies on a device image, and what the next `open` makes of it.
//!
//! Names, offsets and meanings come from the engine's field tables, decoding from its decoders, and the judgement from
//! its recovery (see `image.rs`).

use std::path::PathBuf;

use clap::Args;
use engine::format::Field;
use engine::format::checkpoint_chunk::{self, ChunkHeader};
use engine::format::superblock::Superblock;
use engine::format::value_ref::ValueRef;
use engine::format::wal_record::{DELETE, NOP, PUT, WalHeader};
use engine::{Device, Extent, Owner, RecoveryReport, UNIT};
use serde_json::{Value, json};

use crate::failure::{Failure, me};
use crate::image::{Fate, RecordSeen, Seen, look, numbers};

/// Lines of a list shown without `--all`.
const SHOWN: usize = 100;
/// Bytes of a value or piece shown with `--hex`.
const HEX_BYTES: usize = 64;

/// Show the contents of a device image: superblocks, log, checkpoint, extents
///
/// Read-only, and takes no lock. It also works while a node uses the image, which may then be in the middle of an
/// update. Damaged images are shown as far as they can be read.
#[derive(Debug, Args)]
pub struct Inspect {
    /// The image or block device
    image: PathBuf,
    /// Show the bytes of each structure, field by field
    #[arg(long)]
    hex: bool,
    /// Show all records and extents, without a limit
    #[arg(long)]
    all: bool,
    /// Print everything as one JSON object
    #[arg(long)]
    json: bool,
}

/// Prints a line.
macro_rules! say {
    ($($line:tt)*) => {
        crate::failure::say(format_args!($($line)*))
    };
}

/// Tells what `open` found and did.
fn recovered(report: &RecoveryReport) {
    for (slot, found) in ["A", "B"].iter().zip(&report.superblocks) {
        match found {
            Ok(s) => say!("  superblock {slot}: generation {}, promise {}", s.generation, s.promise),
            Err(error) => say!("  superblock {slot}: {error}"),
        }
    }
    say!("  checkpoint: as of entry {}, {} keys", report.checkpoint_seq, report.checkpoint_keys);
    let RecoveryReport { replayed, batches, replay_start, log_end, last_seq, .. } = report;
    say!(
        "  log: {replayed} records in {batches} batches, lsn {replay_start} to {log_end}, last entry {last_seq}"
    );
    say!("  log ends at byte {}: {}", report.stop_offset, report.stop);
    say!("  discarded: {} records, {} bytes", report.discarded_records, report.discarded_bytes);
    match &report.damage {
        Some(damage) => say!("  DAMAGED: {damage}"),
        None => say!("  life of the log: {}", report.life),
    }
}

impl Inspect {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let seen = look(&self.image).map_err(|e| cannot_read(&self.image, e))?;
        if self.json {
            say!("{}", to_json(&seen));
            return Ok(());
        }
        self.superblocks(&seen);
        self.recovery(&seen);
        self.wal(&seen);
        self.checkpoint(&seen);
        self.extents(&seen);
        for (offset, what) in self.shown(&seen.strays) {
            say!("byte {offset:>10}  {what}");
        }
        Ok(())
    }

    fn superblocks(&self, seen: &Seen) {
        let state = |n: usize| match &seen.slots[n].decoded {
            Err(error) => error.to_string(),
            Ok(_) if seen.counts == Some(n) => "valid, counts".into(),
            Ok(_) => "valid".into(),
        };
        let [a, b] = &seen.slots;
        say!("superblocks");
        say!(
            "  {:<18} {:<34} {:<34}",
            "",
            format!("{} at byte {}", a.name, a.offset),
            format!("{} at byte {}", b.name, b.offset)
        );
        say!("  {:<18} {:<34} {:<34}", "", state(0), state(1));
        let differing = seen.differing();
        let pairs = values(Superblock::FIELDS, &a.raw).into_iter().zip(values(Superblock::FIELDS, &b.raw));
        for ((field, left), (_, right)) in pairs {
            let mark = if differing.contains(&field) { "  differs" } else { "" };
            say!("  {:<18} {left:<34} {right:<34}{mark}", field.name);
            if self.hex {
                say!(
                    "  {:<18} {:<34} {:<34}  at {}: {}",
                    "",
                    hex(field, &a.raw),
                    hex(field, &b.raw),
                    field.offset,
                    field.meaning
                );
            }
        }
    }

    fn recovery(&self, seen: &Seen) {
        say!("\nwhat the next open does");
        match &seen.opened {
            Ok((_, report)) => recovered(report),
            Err(error) => say!("  {error}"),
        }
    }

    fn wal(&self, seen: &Seen) {
        say!("\nlog: {} records in the ring", seen.records.len());
        if seen.superblock().is_none() {
            say!("  without a superblock the ring's end is not known: everything up to the end is searched");
        }
        // What is stale is told in one line, unless all is asked for.
        let mut at = 0;
        let mut lines = Vec::new();
        while at < seen.records.len() {
            let record = &seen.records[at];
            let stale = matches!(record.fate, Fate::BeforeCheckpoint | Fate::StaleLap | Fate::StaleLife);
            let run = seen.records[at..].iter().take_while(|r| r.fate == record.fate).count();
            if stale && run > 3 && !self.all {
                let last = &seen.records[at + run - 1];
                lines.push((
                    record.offset,
                    format!("{run} records up to byte {}: {}", last.offset, record.fate),
                    None,
                ));
                at += run;
            } else {
                lines.push((record.offset, about(record), Some(record)));
                at += 1;
            }
        }
        for (offset, line, record) in self.shown(&lines) {
            say!("  byte {offset:>10}  {line}");
            if let Some(record) = record.filter(|_| self.hex) {
                self.dump(WalHeader::FIELDS, &record.raw, WalHeader::BYTES);
            }
        }
    }

    fn checkpoint(&self, seen: &Seen) {
        let Ok((engine, report)) = &seen.opened else { return };
        say!(
            "\ncheckpoint as of entry {}: {} keys, {} bytes of the owner's state",
            report.checkpoint_seq,
            report.checkpoint_keys,
            engine.host_state().len()
        );
        let Some(superblock) = seen.superblock() else { return };
        for owner in engine.owners() {
            let (_, Owner::Chunk(chunk)) = owner else { continue };
            let offset = superblock.data_offset + chunk.unit * UNIT;
            let raw = read(engine.device(), offset, chunk.bytes as usize);
            match checkpoint_chunk::decode(&raw) {
                Ok(h) => {
                    say!("  byte {offset:>10}  chunk {}, {} bytes of the stream", h.number, h.piece_bytes)
                }
                Err(error) => say!("  byte {offset:>10}  broken: {error}"),
            }
            if self.hex {
                self.dump(ChunkHeader::FIELDS, &raw, ChunkHeader::BYTES);
            }
        }
    }

    fn extents(&self, seen: &Seen) {
        let (Ok((engine, _)), Some(superblock)) = (&seen.opened, seen.superblock()) else { return };
        let space = engine.space();
        say!("\nextents: {} of {} units used, {} free", space.live, space.units, space.free);
        let owners = engine.owners();
        for (extent, owner) in self.shown(&owners) {
            let offset = superblock.data_offset + extent.unit * UNIT;
            say!(
                "  byte {offset:>10}  unit {:>8} +{:<6} {}",
                extent.unit,
                extent.units,
                owned_by(extent, owner)
            );
            if self.hex && !matches!(owner, Owner::Chunk(_)) {
                let raw = read(engine.device(), offset, (extent.units * UNIT) as usize);
                self.dump(&[], &raw, 0);
            }
        }
    }

    /// A structure's bytes: its fields one by one, then the beginning of what follows them.
    fn dump(&self, fields: &'static [Field], raw: &[u8], fixed: usize) {
        for (field, value) in values(fields, raw) {
            say!(
                "      {:>4}  {:<48} {:<12} {value}  ({})",
                field.offset,
                hex(field, raw),
                field.name,
                field.meaning
            );
        }
        let rest = raw.get(fixed..).unwrap_or_default();
        for (n, line) in rest.chunks(16).take(HEX_BYTES / 16).enumerate() {
            let text: String =
                line.iter().map(|&b| if b.is_ascii_graphic() { b as char } else { '.' }).collect();
            say!("      {:>4}  {:<48} {text}", fixed + n * 16, bytes(line));
        }
    }

    /// As much of a list as is shown; says what is left out.
    fn shown<'a, T>(&self, list: &'a [T]) -> &'a [T] {
        if self.all || list.len() <= SHOWN {
            return list;
        }
        say!("  the first {SHOWN} of {}; --all shows them all", list.len());
        &list[..SHOWN]
    }
}

/// The image cannot even be read.
pub fn cannot_read(image: &std::path::Path, error: std::io::Error) -> Failure {
    let failure = Failure::error(format!("cannot read {}: {error}", image.display()));
    failure.next(format!("{} inspect DIR/NODE/shard-0.img, or make the file readable", me()))
}

fn read(device: &impl Device, offset: u64, len: usize) -> Vec<u8> {
    let mut raw = vec![0; len.min(device.size().saturating_sub(offset) as usize)];
    // What cannot be read is shown as zeros; `verify` says that it cannot.
    let _ = device.read_at(offset, &mut raw);
    raw
}

fn bytes(raw: &[u8]) -> String {
    raw.iter().map(|byte| format!("{byte:02x} ")).collect::<String>().trim_end().to_string()
}

fn hex(field: &Field, raw: &[u8]) -> String {
    raw.get(field.offset..field.offset + field.bytes).map(bytes).unwrap_or_default()
}

/// Each field of a structure with its value for people.
fn values(fields: &'static [Field], raw: &[u8]) -> Vec<(&'static Field, String)> {
    let shown = |(field, number): (&'static Field, Option<u64>)| {
        let value = match number {
            Some(number) if matches!(field.name, "magic") || field.name.ends_with("crc") => {
                format!("{number:#010x}")
            }
            Some(number) => number.to_string(),
            None => hex(field, raw).replace(' ', ""),
        };
        (field, value)
    };
    numbers(fields, raw).map(shown).collect()
}

/// A key as text if it is text.
pub fn key_text(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) if !text.chars().any(char::is_control) => format!("{text:?}"),
        _ => format!("0x{}", bytes(key).replace(' ', "")),
    }
}

fn kind(kind: u8) -> &'static str {
    match kind {
        PUT => "put",
        DELETE => "delete",
        NOP => "no-op",
        _ => "truncate from",
    }
}

fn about(seen: &RecordSeen) -> String {
    let Some(record) = &seen.decoded else { return seen.fate.to_string() };
    let h = &record.header;
    let key = if record.key.is_empty() { String::new() } else { format!(" {}", key_text(&record.key)) };
    let value = record.value.as_ref().map_or(String::new(), |value| {
        let extents = match value.extent_count() {
            1 => String::new(),
            n => format!("in {n} extents, the first "),
        };
        format!(" = {} bytes {extents}at unit {}", value.value_bytes(), value.first_unit())
    });
    let end = if h.last == 1 { ", ends its batch" } else { "" };
    format!(
        "lsn {} life {} batch {}: {} {}{key}{value}{end}: {}",
        h.lsn,
        h.life,
        h.batch,
        kind(h.kind),
        h.seq,
        seen.fate
    )
}

fn owned_by(extent: &Extent, owner: &Owner) -> String {
    let part = |value: &ValueRef| match extent {
        _ if value.extent_count() == 1 => "",
        first if first.unit == value.first_unit() => ", its first extent",
        _ => ", a further extent",
    };
    match owner {
        Owner::Key(key, value) => {
            let (bytes, version) = (value.value_bytes(), value.version);
            format!("key {}, {bytes} bytes of entry {version}{}", key_text(key), part(value))
        }
        Owner::Entry(seq, value) => {
            format!("entry {seq}, behind the checkpoint, {} bytes{}", value.value_bytes(), part(value))
        }
        Owner::Chunk(chunk) => format!("checkpoint chunk, {} bytes", chunk.bytes),
    }
}

fn fields_json(fields: &'static [Field], raw: &[u8]) -> Value {
    let value = |(field, number): (&'static Field, Option<u64>)| {
        let hex = || Value::from(hex(field, raw).replace(' ', ""));
        (field.name.to_string(), number.map_or_else(hex, Value::from))
    };
    Value::Object(numbers(fields, raw).map(value).collect())
}

fn to_json(seen: &Seen) -> Value {
    let slots: Vec<_> = seen
        .slots
        .iter()
        .map(|slot| {
            json!({
                "slot": slot.name.to_string(), "offset": slot.offset,
                "valid": slot.decoded.is_ok(), "error": slot.decoded.as_ref().err().map(ToString::to_string),
                "fields": fields_json(Superblock::FIELDS, &slot.raw),
            })
        })
        .collect();
    let records: Vec<_> = seen
        .records
        .iter()
        .map(|record| {
            json!({
                "offset": record.offset, "fate": record.fate.to_string(),
                "key": record.decoded.as_ref().map(|r| key_text(&r.key)),
                "fields": record.decoded.as_ref().map(|_| fields_json(WalHeader::FIELDS, &record.raw)),
            })
        })
        .collect();
    let owner = |(extent, owner): &(Extent, Owner)| json!({ "unit": extent.unit, "units": extent.units, "owner": owned_by(extent, owner) });
    let opened = match &seen.opened {
        Err(error) => json!({ "error": error.to_string() }),
        Ok((engine, report)) => json!({
            "checkpoint_seq": report.checkpoint_seq, "checkpoint_keys": report.checkpoint_keys,
            "replay_start": report.replay_start.0, "log_end": report.log_end.0,
            "replayed": report.replayed, "batches": report.batches, "last_seq": report.last_seq,
            "stop_offset": report.stop_offset, "stop": report.stop.to_string(),
            "discarded_records": report.discarded_records, "discarded_bytes": report.discarded_bytes,
            "damage": report.damage.as_ref().map(damage_json),
            "extents": engine.owners().iter().map(owner).collect::<Vec<_>>(),
        }),
    };
    json!({
        "superblocks": slots,
        "counts": seen.counts.map(|n| seen.slots[n].name.to_string()),
        "differs": seen.differing().iter().map(|field| field.name).collect::<Vec<_>>(),
        "open": opened,
        "records": records,
        "strays": seen.strays.iter().map(|(at, what)| json!({ "offset": at, "what": what })).collect::<Vec<_>>(),
    })
}

/// A damage, for programs.
pub fn damage_json(damage: &engine::Damage) -> Value {
    json!({
        "zone": format!("{:?}", damage.zone).to_lowercase(), "offset": damage.offset,
        "expected": damage.expected, "found": damage.found,
    })
}
