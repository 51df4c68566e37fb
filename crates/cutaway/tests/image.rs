//! `inspect` and `verify` on images with a past, whole and damaged. Neither ever changes a byte.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use engine::{Condition, Engine, Extent, Identity, Layout, Op, Owner, Standing, UNIT};
use serde_json::Value;
use store::FileDevice;
use tempfile::TempDir;
use trace::Mechanisms;

const ME: Identity = Identity { cluster: [7; 16], node: 1, shard: 0, shards: 1, members: 1 };
const WAL: u64 = 8192;

fn put(key: &str, value: &str) -> Op {
    let (key, value): (Arc<[u8]>, Arc<[u8]>) = (key.as_bytes().into(), value.as_bytes().into());
    Op::Put { key, value, condition: Condition::Always }
}

/// An image with a checkpoint at entry 2, and a log behind it: an entry, one that is undone, one in its place.
struct Past {
    _dir: TempDir,
    path: PathBuf,
    owners: Vec<(Extent, Owner)>,
    data_offset: u64,
}

fn past() -> Past {
    past_in_use().0
}

/// The same, and the device, which is still open and locked.
fn past_in_use() -> (Past, FileDevice) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("shard-0.img");
    let device = FileDevice::create(&path, 256 << 10).unwrap();
    let wal_bytes = 32 * UNIT;
    engine::format(&device, &ME, Standing::Member, Layout { wal_bytes }).unwrap();
    let (mut e, _) = Engine::open(&device, &ME, Mechanisms::all()).unwrap();
    let write = |e: &mut Engine<&FileDevice>, op| {
        e.append(op, b"tag").unwrap();
        e.sync().unwrap();
    };
    write(&mut e, put("first", "in the checkpoint"));
    write(&mut e, put("second", "in the checkpoint too"));
    e.commit(2).unwrap();
    e.checkpoint(b"the owner's state".to_vec()).unwrap();
    write(&mut e, put("third", "behind it"));
    write(&mut e, put("fourth", "undone"));
    e.truncate(4).unwrap();
    write(&mut e, put("fourth", "in its place"));
    write(&mut e, put("fifth", "the last batch"));
    let owners = e.owners();
    (Past { _dir: dir, path, owners, data_offset: WAL + wal_bytes }, device)
}

impl Past {
    /// Without the lock, which a child forked by another test may hold for a moment longer.
    fn flip(&self, offset: u64) {
        let file = std::fs::OpenOptions::new().read(true).write(true).open(&self.path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).unwrap();
        file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
    }

    fn offset_of(&self, wanted: impl Fn(&Owner) -> bool) -> u64 {
        let (extent, _) = self.owners.iter().find(|(_, owner)| wanted(owner)).unwrap();
        self.data_offset + extent.unit * UNIT
    }
}

/// Runs it, and sees to it that the file is as it was.
fn cutaway(args: &[&str], image: &Path) -> Output {
    let before = std::fs::read(image).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_cutaway")).args(args).arg(image).output().unwrap();
    assert!(before == std::fs::read(image).unwrap(), "{args:?} changed the image");
    output
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json(command: &str, image: &Path) -> (Value, Option<i32>) {
    let output = cutaway(&[command, "--json"], image);
    let value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}{}", text(&output), String::from_utf8_lossy(&output.stderr)));
    (value, output.status.code())
}

fn fates(inspected: &Value) -> Vec<(u64, String)> {
    let records = inspected["records"].as_array().unwrap();
    let fate =
        |r: &Value| (r["fields"]["seq"].as_u64().unwrap_or(0), r["fate"].as_str().unwrap().to_string());
    records.iter().map(fate).collect()
}

#[test]
fn an_image_with_a_past_is_shown_with_the_fate_of_each_record() {
    let past = past();
    let (seen, code) = json("inspect", &past.path);
    assert_eq!(code, Some(0));
    let fates = fates(&seen);
    let fates: Vec<_> = fates.iter().map(|(seq, fate)| (*seq, fate.as_str())).collect();
    let expected = [
        (1, "before the checkpoint"),
        (2, "before the checkpoint"),
        (3, "replayed"),
        (4, "undone by a truncation"),
        (4, "replayed"), // the truncation
        (4, "replayed"),
        (5, "replayed"),
    ];
    assert_eq!(fates, expected);
    assert_eq!(seen["differs"], serde_json::json!(["generation"]));
    assert_eq!(seen["open"]["checkpoint_seq"], 2);
    assert_eq!(seen["open"]["last_seq"], 5);

    let shown = text(&cutaway(&["inspect", "--hex"], &past.path));
    for words in [
        "\"fourth\"",
        "undone by a truncation",
        "43 57 41 4c",
        "checkpoint as of entry 2: 2 keys",
        "key \"first\"",
    ] {
        assert!(shown.contains(words), "{words} in:\n{shown}");
    }
    let (verified, code) = json("verify", &past.path);
    assert_eq!((code, &verified["damage"]), (Some(0), &serde_json::json!([])));
    assert_eq!(
        (&verified["records"], &verified["values"], &verified["chunks"]),
        (&5.into(), &5.into(), &1.into())
    );
}

#[test]
fn a_torn_tail_is_not_damage() {
    let past = past();
    // The last batch: its only record.
    let (seen, _) = json("inspect", &past.path);
    let last = seen["records"].as_array().unwrap().last().unwrap()["offset"].as_u64().unwrap();
    past.flip(last + 30);
    let (verified, code) = json("verify", &past.path);
    assert_eq!((code, verified["records"].as_u64()), (Some(0), Some(4)), "{verified}");
    assert!(verified["notes"].to_string().contains("never acknowledged"), "{verified}");
    let (seen, _) = json("inspect", &past.path);
    assert!(fates(&seen).last().unwrap().1.starts_with("broken: CRC-32C"));
}

#[test]
fn damage_is_told_with_zone_and_offset_and_exit_code_4() {
    type Place = fn(&Past) -> u64;
    let cases: [(&str, Place); 6] = [
        ("superblock", |_| 0),
        ("superblock", |_| 4096),
        ("wal", |_| WAL + 2 * UNIT),
        ("checkpoint", |past| past.offset_of(|owner| matches!(owner, Owner::Chunk(_)))),
        ("data", |past| past.offset_of(|owner| matches!(owner, Owner::Key(key, _) if **key == *b"first"))),
        ("data", |past| past.offset_of(|owner| matches!(owner, Owner::Entry(3, _)))),
    ];
    for (zone, place) in cases {
        let past = past();
        let offset = place(&past);
        // Within the shortest value.
        past.flip(offset + 8);
        let (verified, code) = json("verify", &past.path);
        assert_eq!(code, Some(4), "{zone} at {offset}: {verified}");
        let damage = &verified["damage"][0];
        assert_eq!(
            (damage["zone"].as_str(), damage["offset"].as_u64()),
            (Some(zone), Some(offset)),
            "{verified}"
        );
        assert!(
            !damage["expected"].as_str().unwrap().is_empty() && !damage["found"].as_str().unwrap().is_empty()
        );
        // And it can still be looked at.
        let inspected = cutaway(&["inspect", "--hex", "--all"], &past.path);
        assert_eq!(inspected.status.code(), Some(0));
        assert!(text(&inspected).contains("\"fifth\""), "{}", text(&inspected));
    }
}

#[test]
fn behind_damage_in_the_log_whole_records_are_shown_as_unreachable() {
    let past = past();
    past.flip(WAL + 2 * UNIT + 30);
    let (seen, _) = json("inspect", &past.path);
    let fates: Vec<_> = fates(&seen).into_iter().map(|(_, fate)| fate).collect();
    assert!(fates[2].starts_with("broken: CRC-32C"), "{fates:?}");
    assert!(fates[3..].iter().all(|fate| fate == "behind damage, unreachable"), "{fates:?}");
    assert_eq!(seen["open"]["damage"]["zone"], "wal");
}

#[test]
fn without_a_superblock_everything_that_can_be_recognised_is_shown() {
    let past = past();
    past.flip(100);
    past.flip(4096 + 100);
    let (verified, code) = json("verify", &past.path);
    assert_eq!((code, verified["damage"].as_array().unwrap().len()), (Some(4), 2));
    let (seen, _) = json("inspect", &past.path);
    assert_eq!((fates(&seen).len(), seen["counts"].is_null()), (7, true));
    let strays = seen["strays"].to_string();
    assert!(strays.contains("chunk 0 of a checkpoint at 2"), "{strays}");
}

#[test]
fn whatever_a_file_holds_it_is_looked_at_without_harm() {
    let dir = TempDir::new().unwrap();
    let past = past();
    let whole = std::fs::read(&past.path).unwrap();
    let noise: Vec<u8> = (0..100_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let files: [(&str, &[u8], i32); 5] = [
        ("empty", &[], 1),
        ("seven bytes", b"CUTACUT", 1),
        ("noise", &noise, 1),
        ("an image cut off in its data", &whole[..whole.len() / 2], 1),
        ("an image cut off in its log", &whole[..9000], 1),
    ];
    for (name, bytes, code) in files {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let inspected = cutaway(&["inspect"], &path);
        assert_eq!(
            inspected.status.code(),
            Some(0),
            "{name}: {}",
            String::from_utf8_lossy(&inspected.stderr)
        );
        let verified = cutaway(&["verify"], &path);
        assert_eq!(verified.status.code(), Some(code), "{name}: {}", text(&verified));
        assert!(String::from_utf8_lossy(&verified.stderr).contains("next:"), "{name}");
    }
}

#[test]
fn an_image_in_use_can_be_looked_at() {
    let (past, in_use) = past_in_use();
    assert!(text(&cutaway(&["inspect"], &past.path)).contains("\"fifth\""));
    assert_eq!(cutaway(&["verify"], &past.path).status.code(), Some(0));
    drop(in_use);
}

/// The Kaitai Struct description parses the same image. Needs Node and three npm packages (docs/format/parse.js says
/// which); where they are missing, it says so and checks nothing.
#[test]
fn the_kaitai_description_parses_an_image() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/format/parse.js");
    let packages = "['kaitai-struct-compiler', 'kaitai-struct/KaitaiStream', 'js-yaml'].forEach(require)";
    let there = Command::new("node").args(["-e", packages]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        eprintln!(
            "SKIPPED: node with kaitai-struct-compiler, kaitai-struct and js-yaml (NODE_PATH) is not here"
        );
        return;
    }
    let past = past();
    let output = Command::new("node").arg(script).arg(&past.path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let parsed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(parsed["slots"].as_array().unwrap().iter().all(|slot| slot["is_one"] == true), "{parsed}");
    let records = parsed["records"].as_array().unwrap();
    let texts: Vec<_> =
        records.iter().map(|r| (r["kind"].as_u64().unwrap(), r["key"].as_str().unwrap())).collect();
    assert_eq!(
        texts,
        [(1, "first"), (1, "second"), (1, "third"), (1, "fourth"), (4, ""), (1, "fourth"), (1, "fifth")]
    );
    assert_eq!((&records[2]["value"], &records[6]["value"]), (&"behind it".into(), &"the last batch".into()));
    let checkpoint = &parsed["checkpoint"];
    assert_eq!((&checkpoint["seq"], &checkpoint["host_state"]), (&2.into(), &"the owner's state".into()));
    assert_eq!(checkpoint["items"][1]["value"], "in the checkpoint too");
}

#[test]
fn a_value_in_several_extents_is_shown_with_each_and_verified_as_one() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("shard-0.img");
    let device = FileDevice::create(&path, 256 << 10).unwrap();
    engine::format(&device, &ME, Standing::Member, Layout { wal_bytes: 32 * UNIT }).unwrap();
    let (mut e, _) = Engine::open(&device, &ME, Mechanisms::all()).unwrap();
    let write = |e: &mut Engine<&FileDevice>, op| {
        e.append(op, b"tag").unwrap();
        e.sync().unwrap();
        e.commit(e.last_seq()).unwrap();
        e.checkpoint(Vec::new()).unwrap();
    };
    let value = "v".repeat(40 << 10);
    for key in ["a", "b", "c", "d"] {
        write(&mut e, put(key, &value));
    }
    for key in ["a", "c"] {
        write(&mut e, Op::Delete { key: key.as_bytes().into(), condition: Condition::Always });
    }
    write(&mut e, put("large", &"w".repeat(90 << 10)));
    let mut pieces: Vec<_> = e.owners();
    pieces.retain(|(_, owner)| matches!(owner, Owner::Key(key, _) if **key == *b"large"));
    assert!(pieces.len() > 1, "{pieces:?}");
    drop(e);

    let (seen, code) = json("inspect", &path);
    let shown = seen["open"]["extents"].as_array().unwrap().iter();
    let shown: Vec<_> = shown.filter(|extent| extent["owner"].as_str().unwrap().contains("large")).collect();
    assert_eq!((code, shown.len()), (Some(0), pieces.len()));
    for (shown, (extent, owner)) in shown.iter().zip(&pieces) {
        assert_eq!(
            (shown["unit"].as_u64(), shown["units"].as_u64()),
            (Some(extent.unit), Some(extent.units))
        );
        let what = if extent.unit == owner.first_unit() { "its first extent" } else { "a further extent" };
        assert!(shown["owner"].as_str().unwrap().ends_with(what), "{shown}");
    }
    let (verified, code) = json("verify", &path);
    assert_eq!((code, verified["values"].as_u64()), (Some(0), Some(3)));

    // A bit of the last piece.
    let (extent, _) = pieces.iter().find(|(extent, owner)| extent.unit != owner.first_unit()).unwrap();
    let past = Past { _dir: dir, path: path.clone(), owners: Vec::new(), data_offset: WAL + 32 * UNIT };
    past.flip(past.data_offset + extent.unit * UNIT + 100);
    let (verified, code) = json("verify", &path);
    assert_eq!((code, &verified["damage"][0]["zone"]), (Some(4), &"data".into()));
}
