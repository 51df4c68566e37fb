//! The bytes on the device: what they are, and that no bytes at all can make a decoder panic or allocate much.

mod common;

use std::fmt::Write;

use common::*;
use engine::format::checkpoint_chunk::{self, ChunkHeader, ItemHeader, StreamHead};
use engine::format::superblock::{SLOTS, Superblock, WAL_OFFSET};
use engine::format::value_ref::PackedExtent;
use engine::format::wal_record::{WalHeader, WalRecord};
use engine::format::{Field, superblock};
use engine::{DecodeError, Engine, UNIT};
use trace::Mechanisms;

fn annotate(
    out: &mut String,
    title: &str,
    at: usize,
    image: &[u8],
    fields: &[Field],
    rest: &[(&str, usize)],
) {
    writeln!(out, "{title} at byte {at}").unwrap();
    let mut line = |offset: usize, bytes: usize, name: &str| {
        let hex: String =
            image[at + offset..at + offset + bytes].iter().map(|b| format!("{b:02x}")).collect();
        writeln!(out, "  {offset:>3} {name:<16} {hex}").unwrap();
    };
    let mut end = 0;
    for f in fields {
        assert_eq!(f.offset, end);
        line(f.offset, f.bytes, f.name);
        end += f.bytes;
    }
    for (name, bytes) in rest {
        line(end, *bytes, name);
        end += bytes;
    }
}

fn golden_image() -> Disk {
    let disk = tiny();
    let (mut e, _) = open(&disk);
    e.write(put("key", "the value"));
    e.commit_all();
    e.checkpoint_now();
    let conditional = engine::Op::Delete { key: bytes("key"), condition: engine::Condition::Version(1) };
    e.append(conditional, b"a tag").unwrap();
    e.sync_now().unwrap();
    e.undo(2);
    e.sync_now().unwrap();
    disk
}

/// Run with `BLESS=1` to write the dump anew, then read the difference: each line of it is a change of format.
#[test]
fn the_bytes_are_the_ones_in_the_annotated_dump() {
    let image = golden_image().image();
    let at = |offset: u64| offset as usize;
    let sb = Superblock::decode(&image).unwrap();
    let mut out = String::new();
    for slot in SLOTS {
        annotate(&mut out, "superblock", at(slot), &image, Superblock::FIELDS, &[]);
    }
    for n in 0..3 {
        let offset = at(WAL_OFFSET + n * UNIT);
        let record = WalRecord::decode(&image[offset..], true).unwrap();
        let extents = record.header.extents as usize * PackedExtent::BYTES;
        let rest = [("extents", extents), ("key", record.key.len()), ("tag", record.tag.len())];
        annotate(&mut out, "WAL record", offset, &image, WalHeader::FIELDS, &rest);
    }
    let data = at(sb.data_offset);
    annotate(&mut out, "value", data, &image, &[], &[("value", "the value".len()), ("padding", 8)]);
    let head = sb.checkpoint_head();
    let chunk = at(sb.data_offset + head.unit * UNIT);
    let header = checkpoint_chunk::decode(&image[chunk..]).unwrap();
    assert_eq!(header.crc, head.crc);
    annotate(&mut out, "checkpoint chunk", chunk, &image, ChunkHeader::FIELDS, &[]);
    let stream = chunk + ChunkHeader::BYTES;
    annotate(&mut out, "stream head", stream, &image, StreamHead::FIELDS, &[("host state", 4)]);
    let item = stream + StreamHead::BYTES + 4;
    annotate(
        &mut out,
        "item",
        item,
        &image,
        ItemHeader::FIELDS,
        &[("extents", PackedExtent::BYTES), ("key", 3)],
    );

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/format.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &out).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    assert_eq!(out, golden, "the format has changed");
}

/// Random bytes, and real structures with some bytes changed, with and without a CRC that fits.
#[test]
fn no_bytes_make_a_decoder_panic() {
    let image = golden_image().image();
    let mut rng = seeded(1);
    for round in 0..60_000_u64 {
        let mut bytes = if rng.below(4) == 0 {
            (0..rng.below(1300)).map(|_| rng.bits() as u8).collect()
        } else {
            let from = rng.below(image.len() as u64 / 512) as usize * 512;
            image[from..(from + 1 + rng.below(1500) as usize).min(image.len())].to_vec()
        };
        for _ in 0..rng.below(6) {
            let at = rng.below(bytes.len().max(1) as u64) as usize;
            if let Some(byte) = bytes.get_mut(at) {
                *byte = if rng.below(2) == 0 { 0xff } else { rng.bits() as u8 };
            }
        }
        if bytes.len() > 8 && round % 2 == 0 {
            let end =
                if rng.below(2) == 0 { bytes.len() } else { (8 + rng.below(200) as usize).min(bytes.len()) };
            let crc = crc32c::crc32c(&bytes[8..end]);
            bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        }
        let _ = Superblock::decode(&bytes);
        let _ = WalRecord::decode(&bytes, round % 3 > 0);
        let _ = checkpoint_chunk::decode(&bytes);
        let _ = checkpoint_chunk::decode_item(&bytes);
    }
}

/// Seals the structure at `at` again, if it is one, so that the damage gets past the checksums.
fn reseal(image: &mut [u8], at: usize) {
    let word = |at: usize| u32::from_le_bytes(image[at..at + 4].try_into().unwrap()) as usize;
    let length = match word(at) as u32 {
        superblock::MAGIC => 512,
        engine::format::wal_record::MAGIC => word(at + 8),
        checkpoint_chunk::MAGIC => 40 + word(at + 8),
        _ => return,
    };
    if let Some(structure) = image.get(at + 8..at.saturating_add(length)) {
        let crc = crc32c::crc32c(structure);
        image[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
    }
}

#[test]
fn no_mutated_image_makes_open_or_reading_panic() {
    let disk = golden_image();
    let (mut e, _) = open(&disk);
    for n in 0..12 {
        e.write(put(&format!("key{}", n % 5), &"v".repeat(n * 90)));
    }
    e.checkpoint_now();
    e.write(put("key1", "last"));
    let image = disk.image();
    let used: Vec<usize> =
        (0..image.len() / 512).filter(|s| image[s * 512..][..512].iter().any(|b| *b != 0)).collect();
    let mut rng = seeded(2);
    for _ in 0..4000 {
        let mut image = image.clone();
        for _ in 0..1 + rng.below(3) {
            let sector = used[rng.below(used.len() as u64) as usize] * 512;
            let reach = if rng.below(2) == 0 { 160 } else { 512 };
            let at = sector + rng.below(reach) as usize;
            image[at] = match rng.below(3) {
                0 => 0xff,
                1 => image[at].wrapping_add(1),
                _ => rng.bits() as u8,
            };
            if rng.below(2) == 0 {
                reseal(&mut image, sector);
            }
        }
        let disk = Disk::of(&image);
        let Ok((mut e, report)) = Engine::open(disk, &ME, Mechanisms::all()) else {
            continue;
        };
        let _ = format!("{report:?}");
        let _ = e.commit(e.last_seq());
        for (key, ..) in e.scan(b"", None, 100) {
            let _ = e.get(&key);
        }
        for seq in e.retained_from()..=e.last_seq().min(e.retained_from() + 50) {
            let _ = e.entry(seq);
        }
        let _ = e.transfer_read(None, 0, 1000);
    }
}

#[test]
fn a_superblock_that_was_sealed_and_says_what_cannot_be_is_refused() {
    let good = Superblock::decode(&tiny().image()).unwrap();
    let refused = |change: &dyn Fn(&mut Superblock)| {
        let mut changed = good;
        change(&mut changed);
        match Superblock::decode(&changed.encode()) {
            Err(DecodeError::Field { name, .. }) => Some(name),
            other => other.map(|_| None).unwrap(),
        }
    };
    let ring =
        |bytes: u64| move |s: &mut Superblock| (s.wal_bytes, s.data_offset) = (bytes, s.wal_offset + bytes);
    assert_eq!(refused(&ring(512)), None);
    assert_eq!(refused(&ring(0)), Some("wal_bytes"));
    assert_eq!(refused(&ring(700)), Some("wal_bytes"));
    assert_eq!(refused(&|s| s.standing = 4), Some("standing"));
    assert_eq!(refused(&|s| s.generation = (1 << 62) - 1), None);
    assert_eq!(refused(&|s| s.generation = 1 << 62), Some("generation"));
    assert_eq!(refused(&|s| s.replay_lsn = (1 << 62) - 512), None);
    assert_eq!(refused(&|s| s.replay_lsn = 1 << 62), Some("replay_lsn"));
    assert_eq!(refused(&|s| s.life_start = 100), Some("life_start"));
}

#[test]
fn a_record_that_was_sealed_and_says_what_cannot_be_is_refused() {
    let refused = |seq, lsn| {
        let header = WalHeader { kind: 3, seq, lsn, ..WalHeader::default() };
        let (mut bytes, key) = (Vec::new(), Default::default());
        WalRecord { header, key, tag: Default::default(), value: None }.encode(&mut bytes);
        match WalRecord::decode(&bytes, true) {
            Err(DecodeError::Field { name, .. }) => Some(name),
            other => other.map(|_| None).unwrap(),
        }
    };
    assert_eq!(refused((1 << 62) - 1, (1 << 62) - 1), None);
    assert_eq!(
        (refused(0, 0), refused(1 << 62, 0), refused(1, 1 << 62)),
        (Some("seq"), Some("seq"), Some("lsn"))
    );
}
