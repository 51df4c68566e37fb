//! The pages in `docs/format/` say what the engine's field tables say.
//!
//! `UPDATE_DOCS=1 cargo test -p cutaway --test format_docs` writes README.md anew.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use engine::FORMAT_VERSION;
use engine::format::Field;
use engine::format::checkpoint_chunk::{CHUNK_UNITS_MAX, ChunkHeader, ItemHeader, StreamHead};
use engine::format::superblock::{SLOTS, Superblock, WAL_OFFSET};
use engine::format::value_ref::PackedExtent;
use engine::format::wal_record::WalHeader;
use engine::{KEY_BYTES_MAX, TAG_BYTES_MAX, UNIT, VALUE_BYTES_MAX};

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/format").join(name)
}

fn table(page: &mut String, title: &str, about: &str, bytes: usize, fields: &[Field]) {
    writeln!(page, "\n## {title}\n\n{about} {bytes} bytes.\n\n| offset | bytes | field | meaning |").unwrap();
    writeln!(page, "|---:|---:|---|---|").unwrap();
    for Field { offset, bytes, name, meaning } in fields {
        writeln!(page, "| {offset} | {bytes} | `{name}` | {} |", meaning.replace('|', "\\|")).unwrap();
    }
}

fn readme() -> String {
    let [a, b] = SLOTS;
    let mut page = format!(
        "# The bytes on a device

Written from the field tables in `crates/engine/src/format/` by `crates/cutaway/tests/format_docs.rs`, which fails when
this page is out of date. [`cutaway.ksy`](cutaway.ksy) says the same to Kaitai Struct; `cutaway inspect --hex IMAGE` shows
it on an image.

Format version {FORMAT_VERSION}. All numbers are little-endian. A *unit* is {UNIT} bytes, one sector. Keys have 1 to {KEY_BYTES_MAX}
bytes, values 0 to {VALUE_BYTES_MAX}, tags 0 to {TAG_BYTES_MAX}.

```text
byte {a}       superblock slot A, one sector
byte {b}    superblock slot B, one sector
byte {WAL_OFFSET}    WAL ring, `wal_bytes` long
then         data region: `data_units` units of values and checkpoint chunks
```

Every structure but those within a checkpoint's stream, and the extents of a value, begins with a magic number and a CRC-32C (Castagnoli) of all its
bytes behind the CRC. What a power cut tore, or what was never written, does not decode; whether that is the end of the log
or damage is for recovery to say (`crates/engine/src/log/scan.rs`).
"
    );
    table(
        &mut page,
        "Superblock slot",
        "The valid slot with the greater generation counts. Zeros follow to the end of the sector, and the CRC covers them. \
         An update writes the older slot, syncs, writes the other one, syncs.",
        Superblock::BYTES,
        Superblock::FIELDS,
    );
    table(
        &mut page,
        "WAL record",
        "The fixed part; the extents of the value, the key and the tag follow. It lies at `wal_offset + lsn % wal_bytes`, and goes on at the beginning of the \
         ring if the ring ends. Records of a batch follow each other without a gap; a batch begins on a sector, ends with a \
         record that has `last` set, and is padded with zeros. A batch counts as a whole or not at all. The fixed part has",
        WalHeader::BYTES,
        WalHeader::FIELDS,
    );
    table(
        &mut page,
        "Extent of a value",
        "In a WAL record and in an item of a checkpoint, one for each extent of the value, in the order of its bytes. The value \
         lies there as its bare bytes, with zeros up to the end of the last unit; the record and the item have its length and \
         its CRC-32C. The extents together have as many units as the value needs, at least one. An extent has",
        PackedExtent::BYTES,
        PackedExtent::FIELDS,
    );
    table(
        &mut page,
        "Checkpoint chunk",
        &format!(
            "The fixed part; a piece of the checkpoint's stream follows. The superblock names the last chunk, each chunk the \
             one before it. A chunk has at most {CHUNK_UNITS_MAX} units. The fixed part has"
        ),
        ChunkHeader::BYTES,
        ChunkHeader::FIELDS,
    );
    table(
        &mut page,
        "Head of the stream",
        "The pieces of all chunks, one behind the other, are the stream: this head, the owner's state, the items. The head has",
        StreamHead::BYTES,
        StreamHead::FIELDS,
    );
    table(
        &mut page,
        "Item of the stream",
        "One per key, ascending; an item may go on in the next chunk. The extents of the value and the key follow the fixed part, which has",
        ItemHeader::BYTES,
        ItemHeader::FIELDS,
    );
    page
}

#[test]
fn the_page_is_what_the_tables_say() {
    let (path, expected) = (page("README.md"), readme());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{} is out of date: UPDATE_DOCS=1 writes it anew", path.display());
}

/// The fields of a type of the description: names with sizes, in order, up to the first that is not in a table.
fn described(text: &str, name: &str) -> Vec<(String, usize)> {
    let body = text.split(&format!("\n  {name}:\n")).nth(1).unwrap_or_else(|| panic!("no type {name}"));
    let body = body.split("    seq:\n").nth(1).unwrap();
    let mut fields = Vec::new();
    for part in body.split("      - id: ").skip(1) {
        let mut lines = part.lines();
        let id = lines.next().unwrap().to_string();
        let size = match lines.next().unwrap().trim().split_once(": ").unwrap() {
            ("type", "u1") => 1,
            ("type", "u2") => 2,
            ("type", "u4") => 4,
            ("type", "u8") => 8,
            ("size", size) => size.parse().unwrap_or(0),
            _ => 0,
        };
        fields.push((id, size));
        // The next key at the level of `seq`, or of the types, ends it.
        if lines.any(|line| !line.starts_with("        ")) {
            break;
        }
    }
    fields
}

#[test]
fn the_kaitai_description_has_the_fields_of_the_tables() {
    let text = std::fs::read_to_string(page("cutaway.ksy")).unwrap();
    // In the description of a WAL record the magic number is outside, so that the rest can depend on it.
    let types: [(&str, &[Field]); 6] = [
        ("superblock", Superblock::FIELDS),
        ("wal_body", &WalHeader::FIELDS[1..]),
        ("extent", PackedExtent::FIELDS),
        ("chunk", ChunkHeader::FIELDS),
        ("stream_head", StreamHead::FIELDS),
        ("item", ItemHeader::FIELDS),
    ];
    for (name, fields) in types {
        let described = described(&text, name);
        let expected: Vec<_> = fields.iter().map(|f| (f.name.to_string(), f.bytes)).collect();
        assert!(described.len() >= expected.len(), "{name}: {described:?}");
        assert_eq!(described[..expected.len()], expected[..], "{name}");
    }
}
