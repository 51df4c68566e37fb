//! The devices that schedules begin with.

use std::sync::OnceLock;

use engine::{Engine, Extent, Identity, Layout, Owner, Standing};
use trace::Mechanisms;

use super::disk::Disk;
use super::known::{Change, Known, Made, entry};
use super::medium::{SECTOR, State};
use super::workload::{Op, take};

pub(crate) const IDENTITY: Identity =
    Identity { cluster: [7; 16], node: 1, shard: 0, shards: 1, members: 0b111 };
pub(crate) const LAYOUT: Layout = Layout { wal_bytes: WAL_BYTES };
/// The smallest ring there is, so that it wraps soon.
const WAL_BYTES: u64 = 16 * SECTOR as u64;
/// The smallest device with that ring, and a little.
const DEVICE_BYTES: usize = 8192 + WAL_BYTES as usize + 96 * SECTOR;

/// A device with a past, to begin from.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    pub(crate) name: &'static str,
    pub(crate) disk: State,
    pub(crate) known: Known,
}

/// The devices to begin from. They were made with all mechanisms on.
pub(crate) fn starts() -> &'static [Start] {
    static STARTS: OnceLock<Vec<Start>> = OnceLock::new();
    STARTS.get_or_init(make)
}

fn make() -> Vec<Start> {
    use Change::{Delete, Overwrite, PutNew};
    let write = [Op::Write(Overwrite), Op::Write(Delete), Op::Write(PutNew), Op::Commit];
    let mut starts = vec![start("a device just formatted", &[], 0)];
    starts.push(start("three entries, no checkpoint", &write[..3], 0));
    let mut checkpointed = write.to_vec();
    checkpointed.extend([Op::Checkpoint, Op::Write(Overwrite)]);
    starts.push(start("a checkpoint and an entry behind it", &checkpointed, 0));
    for sectors_left in [2, 1] {
        let mut near_the_end = write.to_vec();
        near_the_end.push(Op::Checkpoint);
        let name = if sectors_left == 1 {
            "one sector before the end of the ring"
        } else {
            "two sectors before the end of the ring"
        };
        starts.push(start(name, &near_the_end, sectors_left));
    }
    starts.extend(scattered());
    starts
}

/// Is the value of an entry that is not applied in several extents?
fn is_split(e: &Engine<Disk>) -> bool {
    let tentative = |(_, owner): &(Extent, Owner)| matches!(owner, Owner::Entry(..));
    e.owners().into_iter().filter(tentative).count() > 1
}

/// A device whose free units are so scattered that each value lies in two extents; and the same with a little more room,
/// in extents that are long enough for a value.
fn scattered() -> [Start; 2] {
    let Start { disk, mut known, .. } = start("", &[], 0);
    let mut e = Engine::open(Disk::of(disk), &IDENTITY, Mechanisms::all()).expect("it is formatted").0;
    let write = |e: &mut Engine<Disk>, known: &mut Known, change| {
        [Op::Write(change), Op::Commit, Op::Checkpoint].iter().all(|&op| {
            let done = take(op, e, known);
            done.map(|done| *known = done.after).is_some()
        })
    };
    let last =
        (0..).find(|&n| !write(&mut e, &mut known, Change::PutSmall(n))).expect("it is full some time");
    for n in (0..last).step_by(2) {
        write(&mut e, &mut known, Change::DeleteSmall(n));
    }
    // What checkpoints have left in longer extents goes first.
    for n in last.. {
        let mut trial = e.clone();
        let put = entry(trial.last_seq() + 1, Made { change: Change::Overwrite, id: 0 }).op;
        trial.append(put, b"t").expect("half of the keys are gone");
        if is_split(&trial) {
            break;
        }
        assert!(write(&mut e, &mut known, Change::PutSmall(n)), "half of the keys are gone");
    }
    let full = Start {
        name: "a device whose free units are scattered",
        disk: e.device().state(),
        known: known.clone(),
    };
    for n in (1..last).rev().filter(|n| n % 2 == 1).take(ROOM) {
        write(&mut e, &mut known, Change::DeleteSmall(n));
    }
    [Start { name: "a device with short free extents", disk: e.device().state(), known }, full]
}

/// So many more values are gone.
const ROOM: usize = 10;

/// `ops`, then overwriting and checkpoints until so many sectors of the ring are left (0: none of that). Afterwards
/// free space is in pieces of one value each, so that a freed extent is the next to be used.
fn start(name: &'static str, ops: &[Op], sectors_left: u64) -> Start {
    let disk = Disk::new(DEVICE_BYTES);
    engine::format(&disk, &IDENTITY, Standing::Member, LAYOUT).expect("the device is large enough");
    let (mut e, _) = Engine::open(disk, &IDENTITY, Mechanisms::all()).expect("it is formatted");
    let mut known = Known::default();
    let mut go = |e: &mut Engine<Disk>, op| {
        known = take(op, e, &known).expect("a start is possible").after;
    };
    ops.iter().for_each(|&op| go(&mut e, op));
    let left = |e: &Engine<Disk>| (WAL_BYTES - e.appended_lsn().0 % WAL_BYTES) / SECTOR as u64;
    while sectors_left > 0 && (left(&e) != sectors_left || e.appended_lsn().0 < WAL_BYTES) {
        go(&mut e, Op::Write(Change::Overwrite));
        go(&mut e, Op::Commit);
        go(&mut e, Op::Checkpoint);
    }
    Start { name, disk: e.device().state(), known }
}

/// The bytes of a device whose ring has wrapped, with a checkpoint and a log behind it.
pub(crate) fn image_with_a_past() -> Vec<u8> {
    static IMAGE: OnceLock<Vec<u8>> = OnceLock::new();
    let make = || {
        let Start { disk, mut known, .. } = starts().last().expect("there are some").clone();
        let mut e = Engine::open(Disk::of(disk), &IDENTITY, Mechanisms::all()).expect("it is formatted").0;
        for op in [Op::Write(Change::PutNew), Op::Append(Change::Overwrite), Op::Write(Change::Truncate)] {
            known = take(op, &mut e, &known).expect("a start has room").after;
        }
        let mut image = vec![0; DEVICE_BYTES];
        engine::Device::read_at(e.device(), 0, &mut image).expect("all of it is there");
        image
    };
    IMAGE.get_or_init(make).clone()
}

/// A disk with these bytes.
pub(crate) fn opened_image(image: &[u8]) -> Disk {
    let disk = Disk::new(image.len());
    engine::Device::write_at(&disk, 0, image).expect("a simulated disk works");
    disk
}
