//! A device image, looked at without changing it: what `inspect` and `verify` go by.
//!
//! The file is opened for reading only, and no lock is taken, so that an image can be looked at while a node uses it;
//! what is seen then may be in the middle of an update. Recovery is the engine's own: it runs on the image with all
//! its writes kept in memory. So what is told here is what the next `open` will do, decided by the same code.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

use engine::format::superblock::{SLOT_BYTES, SLOTS, Superblock, WAL_OFFSET};
use engine::format::wal_record::{MAGIC, RECORD_BYTES_MAX, TRUNCATE, WalRecord};
use engine::format::{Field, checkpoint_chunk};
use engine::{DecodeError, Device, Engine, OpenError, RecoveryReport, UNIT};
use trace::Mechanisms;

/// The image, with what recovery would write kept in memory.
#[derive(Debug)]
pub struct Image {
    file: File,
    bytes: u64,
    written: RefCell<BTreeMap<u64, Vec<u8>>>,
}

impl Image {
    pub fn open(path: &Path) -> io::Result<Image> {
        let mut file = File::open(path)?;
        // The end, not the metadata's length: that is 0 for a block device.
        let bytes = file.seek(SeekFrom::End(0))?;
        Ok(Image { file, bytes, written: RefCell::default() })
    }

    /// Up to `len` bytes from `offset`, as they are in the file: fewer where it ends.
    pub fn raw(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; (self.bytes.saturating_sub(offset)).min(len as u64) as usize];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

impl Device for Image {
    fn size(&self) -> u64 {
        self.bytes
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)?;
        let end = offset + buf.len() as u64;
        for (sector, bytes) in self.written.borrow().range(offset / UNIT..end.div_ceil(UNIT)) {
            let at = sector * UNIT;
            let (from, to) = (at.max(offset), (at + UNIT).min(end));
            buf[(from - offset) as usize..(to - offset) as usize]
                .copy_from_slice(&bytes[(from - at) as usize..(to - at) as usize]);
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        assert!(offset.is_multiple_of(UNIT), "the engine writes whole sectors");
        let sectors = bytes.chunks(UNIT as usize).enumerate();
        self.written.borrow_mut().extend(sectors.map(|(n, s)| (offset / UNIT + n as u64, s.to_vec())));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// One superblock slot.
pub struct SlotSeen {
    pub name: char,
    pub offset: u64,
    pub raw: Vec<u8>,
    pub decoded: Result<Superblock, DecodeError>,
}

/// What becomes of a WAL record when the device is opened next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Read back as a part of the log.
    Replayed,
    /// In a batch that is replayed, but the checkpoint has its effect.
    Covered,
    /// Replayed, and undone by a truncation behind it.
    Undone,
    /// Written before the place where replay starts; the space is free.
    BeforeCheckpoint,
    /// Of an earlier lap of the ring.
    StaleLap,
    /// Discarded by an earlier recovery.
    StaleLife,
    /// Of a batch that was never whole.
    TornTail,
    /// Lies behind damage that ends the log.
    BehindDamage,
    /// Not where it says that it is.
    Misplaced,
    /// Looks like a record, and does not decode.
    Broken(String),
    /// No superblock says where the log is.
    Unknown,
}

impl std::fmt::Display for Fate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Fate::Replayed => "replayed",
            Fate::Covered => "covered by the checkpoint",
            Fate::Undone => "undone by a truncation",
            Fate::BeforeCheckpoint => "before the checkpoint",
            Fate::StaleLap => "of an earlier lap",
            Fate::StaleLife => "of an earlier life, discarded",
            Fate::TornTail => "torn tail, discarded",
            Fate::BehindDamage => "behind damage, unreachable",
            Fate::Misplaced => "not where it belongs",
            Fate::Broken(error) => return write!(f, "broken: {error}"),
            Fate::Unknown => "without a superblock, not known",
        })
    }
}

/// Something that lies in the ring.
pub struct RecordSeen {
    pub offset: u64,
    pub raw: Vec<u8>,
    pub decoded: Option<WalRecord>,
    pub fate: Fate,
}

/// Everything seen.
pub struct Seen {
    pub slots: [SlotSeen; 2],
    /// The slot that counts.
    pub counts: Option<usize>,
    /// What the engine's recovery says.
    pub opened: Result<(Engine<Image>, RecoveryReport), OpenError>,
    /// In the order of the ring.
    pub records: Vec<RecordSeen>,
    /// Without a superblock: what else can be recognised, with its offset.
    pub strays: Vec<(u64, String)>,
}

impl Seen {
    /// The superblock that counts.
    pub fn superblock(&self) -> Option<&Superblock> {
        self.slots[self.counts?].decoded.as_ref().ok()
    }

    /// Fields in which the slots differ; the CRC and the magic number say nothing of their own.
    pub fn differing(&self) -> Vec<&'static Field> {
        let [a, b] = &self.slots;
        let part = |slot: &SlotSeen, field: &Field| {
            slot.raw.get(field.offset..field.offset + field.bytes).map(<[u8]>::to_vec)
        };
        let fields = Superblock::FIELDS.iter().skip(2);
        fields.filter(|field| part(a, field) != part(b, field)).collect()
    }
}

/// Looks at all of it.
pub fn look(path: &Path) -> io::Result<Seen> {
    let image = Image::open(path)?;
    let slot = |n: usize| -> io::Result<SlotSeen> {
        let raw = image.raw(SLOTS[n], SLOT_BYTES)?;
        let decoded = Superblock::decode(&raw);
        Ok(SlotSeen { name: ['A', 'B'][n], offset: SLOTS[n], raw, decoded })
    };
    let slots = [slot(0)?, slot(1)?];
    let generation = |n: usize| slots[n].decoded.as_ref().ok().map(|s| s.generation);
    let counts = (0..2).filter(|&n| generation(n).is_some()).max_by_key(|&n| generation(n));
    let superblock = counts.and_then(|n| slots[n].decoded.as_ref().ok()).copied();
    let ring = superblock.map_or((WAL_OFFSET, image.bytes.saturating_sub(WAL_OFFSET)), |s| {
        (s.wal_offset, s.wal_bytes.min(image.bytes.saturating_sub(s.wal_offset)))
    });
    let strays = if superblock.is_none() { strays(&image)? } else { Vec::new() };
    let mut records = Vec::new();
    scan(&image, ring, &mut records)?;
    // Whose device it is, it says itself; opening it with another identity is for the node to refuse.
    let identity = superblock.unwrap_or_default().identity();
    let opened = Engine::open(image, &identity, Mechanisms::all());
    if let Some(superblock) = &superblock {
        judge(&mut records, superblock, opened.as_ref().ok().map(|(_, report)| report));
    }
    Ok(Seen { slots, counts, opened, records, strays })
}

/// Finds what looks like a record in `ring` (offset and bytes): at each sector, and behind each record.
fn scan(image: &Image, (offset, bytes): (u64, u64), found: &mut Vec<RecordSeen>) -> io::Result<()> {
    /// Bytes read at a time.
    const WINDOW: u64 = 1 << 20;
    let (mut window, mut window_at) = (Vec::new(), 0);
    let mut at = 0;
    while at < bytes {
        if window.is_empty() || at + RECORD_BYTES_MAX as u64 > window_at + WINDOW {
            window = image.raw(offset + at, WINDOW.min(bytes - at) as usize)?;
            window_at = at;
            // The last record of the lap goes on at the beginning of the ring.
            if at + WINDOW >= bytes {
                window.extend(image.raw(offset, (bytes as usize).min(RECORD_BYTES_MAX))?);
            }
        }
        let rest = &window[(at - window_at) as usize..];
        let next_sector = (at / UNIT + 1) * UNIT;
        let is_one = rest.len() >= 4 && rest[..4] == MAGIC.to_le_bytes();
        at = match WalRecord::decode(rest, true) {
            Ok(record) => {
                let length = u64::from(record.header.length);
                let raw = rest[..length as usize].to_vec();
                let last = record.header.last == 1;
                found.push(RecordSeen {
                    offset: offset + at,
                    raw,
                    decoded: Some(record),
                    fate: Fate::Unknown,
                });
                if last { (at + length).next_multiple_of(UNIT) } else { at + length }
            }
            Err(error) if is_one => {
                let raw = rest[..rest.len().min(UNIT as usize)].to_vec();
                let fate = Fate::Broken(error.to_string());
                found.push(RecordSeen { offset: offset + at, raw, decoded: None, fate });
                next_sector
            }
            Err(_) => next_sector,
        };
    }
    Ok(())
}

/// Says what recovery makes of each record: where it stopped is in its report, the rest is a matter of position.
fn judge(records: &mut [RecordSeen], superblock: &Superblock, report: Option<&RecoveryReport>) {
    let (start, ring) = (superblock.replay_lsn, superblock.wal_bytes);
    let Some(report) = report else { return };
    for seen in records.iter_mut() {
        let Some(WalRecord { header, .. }) = &seen.decoded else { continue };
        let place = seen.offset - superblock.wal_offset;
        // The position in the lap that replay goes through.
        let lsn = start + (place + ring - start % ring) % ring;
        seen.fate = if header.lsn % ring != place {
            Fate::Misplaced
        } else if header.lsn < lsn && header.lsn + ring == lsn && lsn >= report.log_end.0 {
            Fate::BeforeCheckpoint
        } else if header.lsn < lsn {
            Fate::StaleLap
        } else if header.lsn > lsn {
            Fate::Misplaced
        } else if lsn >= report.log_end.0 && report.damage.is_some() {
            Fate::BehindDamage
        } else if lsn >= report.log_end.0 && lsn >= superblock.life_start && header.life < superblock.life {
            Fate::StaleLife
        } else if lsn >= report.log_end.0 {
            Fate::TornTail
        } else if header.kind != TRUNCATE && header.seq <= superblock.checkpoint_seq {
            Fate::Covered
        } else {
            Fate::Replayed
        };
    }
    // In log order, a truncation undoes what comes before it.
    let mut replayed: Vec<&mut RecordSeen> =
        records.iter_mut().filter(|seen| seen.fate == Fate::Replayed).collect();
    replayed.sort_by_key(|seen| seen.decoded.as_ref().map(|record| record.header.lsn));
    let mut undone_from = u64::MAX;
    for seen in replayed.into_iter().rev() {
        let Some(WalRecord { header, .. }) = &seen.decoded else { continue };
        if header.kind == TRUNCATE {
            undone_from = undone_from.min(header.seq);
        } else if header.seq >= undone_from {
            seen.fate = Fate::Undone;
        }
    }
}

/// The fields of a structure, with their values where they are numbers and the bytes reach that far.
pub fn numbers(fields: &'static [Field], raw: &[u8]) -> impl Iterator<Item = (&'static Field, Option<u64>)> {
    fields.iter().map(move |field| {
        let bytes = raw.get(field.offset..field.offset + field.bytes).filter(|bytes| bytes.len() <= 8);
        (field, bytes.map(|bytes| bytes.iter().rev().fold(0, |n, &byte| n << 8 | u64::from(byte))))
    })
}

/// Checkpoint chunks, wherever they are.
fn strays(image: &Image) -> io::Result<Vec<(u64, String)>> {
    const LONGEST: usize = 64 << 10;
    let mut found = Vec::new();
    for sector in 0..image.bytes / UNIT {
        let at = sector * UNIT;
        let head = image.raw(at, 4)?;
        if head == checkpoint_chunk::MAGIC.to_le_bytes() {
            found.push((
                at,
                match checkpoint_chunk::decode(&image.raw(at, LONGEST)?) {
                    Ok(h) => format!("chunk {} of a checkpoint at {}", h.number, h.seq),
                    Err(error) => format!("checkpoint chunk, broken: {error}"),
                },
            ));
        }
    }
    Ok(found)
}
