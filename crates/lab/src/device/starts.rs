//! The devices that schedules begin with.

use std::sync::OnceLock;

use disk::{Disk, SECTOR, State};
use engine::{Engine, Extent, Identity, Layout, Owner, Standing, Upkeep};
use trace::{Mechanism, Mechanisms};

use super::known::{self, Change, Known, Made, entry};
use super::work::Work;
use super::workload::{Op, take};

pub(crate) const IDENTITY: Identity =
    Identity { cluster: [7; 16], node: 1, shard: 0, shards: 1, members: 0b111 };
pub(crate) const LAYOUT: Layout = Layout { wal_bytes: WAL_BYTES };
/// The smallest ring there is, so that it wraps soon.
const WAL_BYTES: u64 = 16 * SECTOR as u64;
/// The smallest device with that ring, and a little.
const DEVICE_BYTES: u64 = 8192 + WAL_BYTES + 96 * SECTOR as u64;

/// A device with a past, to begin from.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    pub(crate) name: &'static str,
    /// The scope that begins with it.
    pub(super) work: Work,
    pub(crate) disk: State,
    pub(crate) known: Known,
}

/// The devices to begin from. They were made with all mechanisms on.
pub(crate) fn starts() -> &'static [Start] {
    static STARTS: OnceLock<Vec<Start>> = OnceLock::new();
    STARTS.get_or_init(make)
}

/// Those of one scope.
pub(super) fn starts_of(work: Work) -> impl Iterator<Item = &'static Start> {
    starts().iter().filter(move |start| start.work == work)
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
    starts.extend(to_move());
    starts
}

/// A device that is being prepared.
#[derive(Clone)]
struct Prepared {
    e: Engine<Disk>,
    known: Known,
    /// So many small values were put, and then every other one removed.
    small: u8,
    /// And so many more were put.
    more: u8,
}

impl Prepared {
    fn formatted() -> Prepared {
        let Start { disk, known, .. } = start("", &[], 0);
        let e = Engine::open(Disk::from(disk), &IDENTITY, Mechanisms::all()).expect("it is formatted").0;
        Prepared { e, known, small: 0, more: 0 }
    }

    /// Does it, as a host that makes a checkpoint of each change: was it possible?
    fn write(&mut self, change: Change) -> bool {
        [Op::Write(change), Op::Commit, Op::Checkpoint].iter().all(|&op| self.takes(op))
    }

    fn takes(&mut self, op: Op) -> bool {
        take(op, &mut self.e, &self.known).map(|done| self.known = done.after).is_some()
    }

    /// Puts small values into what longer extents there are, until the value of this change would be in so many.
    fn scatter(&mut self, change: Change, pieces: usize) {
        let tentative = |(_, owner): &(Extent, Owner)| matches!(owner, Owner::Entry(..));
        loop {
            let mut trial = self.e.clone();
            let put = entry(trial.last_seq() + 1, Made { change, id: 0 }).op;
            trial.append(put, b"t").expect("enough of the keys are gone");
            if trial.owners().into_iter().filter(tentative).count() >= pieces {
                return;
            }
            assert!(self.write(Change::PutSmall(self.small + self.more)), "enough of the keys are gone");
            self.more += 1;
        }
    }

    /// The small values by place.
    fn by_place(&self) -> Vec<(u64, u8)> {
        let values = self.e.values(None, usize::MAX, &|at| at.units == 1).0;
        let small =
            |(key, at): (std::sync::Arc<[u8]>, Extent)| Some((at.unit, *key.strip_prefix(b"s")?.first()?));
        let mut small: Vec<(u64, u8)> = values.into_iter().filter_map(small).collect();
        small.sort_unstable();
        small
    }

    /// Removes so many small values, each between units that are used.
    fn thin_out(&mut self, values: usize) {
        for _ in 0..values {
            let owners = self.e.owners();
            let used = |unit| owners.iter().any(|(at, _)| (at.unit..at.unit + at.units).contains(&unit));
            let alone = |(unit, _): &(u64, u8)| *unit > 0 && used(unit - 1) && used(unit + 1);
            let (_, n) = self.by_place().into_iter().find(alone).expect("most units are used");
            self.write(Change::DeleteSmall(n));
        }
    }

    /// Removes so many of the small values, the last ones first: what lies between them is free already.
    fn make_room(&mut self, values: usize) {
        for n in (1..self.small).rev().filter(|n| n % 2 == 1).take(values) {
            self.write(Change::DeleteSmall(n));
        }
    }

    /// Removes small values, in the order of their places, until that of the first key would find room in one piece.
    fn make_room_for_the_first(&mut self) {
        let first: std::sync::Arc<[u8]> = known::key(0, Made { change: Change::PutFirst, id: 0 }).into();
        let mut small = self.by_place().into_iter().map(|(_, n)| n);
        let has_room = |e: &Engine<Disk>| {
            let on = Mechanisms::all().without(Mechanism::OneCheckpointPerSeq);
            let mut e = Engine::open(Disk::from(e.device().state()), &IDENTITY, on).expect("it is whole").0;
            e.move_values(std::slice::from_ref(&first), Extent { unit: 0, units: e.space().units })
                .expect("the device works")
                .units
                > 0
        };
        while !has_room(&self.e) {
            assert!(self.write(Change::DeleteSmall(small.next().expect("all but the first are gone"))));
        }
    }

    fn called(self, name: &'static str, work: Work) -> Start {
        Start { name, work, disk: self.e.device().state(), known: self.known }
    }
}

/// A device whose free units are so scattered that each value lies in two extents.
fn scattered_device() -> Prepared {
    let mut p = Prepared::formatted();
    p.small = (0..).find(|&n| !p.write(Change::PutSmall(n))).expect("it is full some time");
    for n in (0..p.small).step_by(2) {
        p.write(Change::DeleteSmall(n));
    }
    p.scatter(Change::Overwrite, 2);
    p
}

/// That one; and the same with a little more room, in extents that are long enough for a value.
fn scattered() -> [Start; 2] {
    let full = scattered_device();
    let mut room = full.clone();
    room.make_room(ROOM);
    [
        room.called("a device with short free extents", Work::Anything),
        full.called("a device whose free units are scattered", Work::Anything),
    ]
}

/// Devices on which there is something to move, and why one may not.
fn to_move() -> [Start; 3] {
    let behind = |mut p: Prepared, name| {
        assert!(p.takes(Op::Write(Change::Overwrite)) && p.takes(Op::Commit));
        p.called(name, Work::Moves)
    };
    let mut short = scattered_device();
    short.make_room(ROOM);
    let mut pieces = scattered_device();
    pieces.thin_out(FIRST_UNITS * 2);
    pieces.scatter(Change::PutFirst, FIRST_UNITS);
    assert!(pieces.write(Change::PutFirst) && pieces.write(Change::PutSecond));
    pieces.make_room_for_the_first();
    let mut small = Prepared::formatted();
    assert!((0..SMALL).all(|n| small.write(Change::PutSmall(n))));
    [
        pieces.called("a value in many pieces, and room for it in one", Work::Moves),
        behind(small, "small values, and an entry behind the checkpoint"),
        behind(short, "short free extents, and an entry behind the checkpoint"),
    ]
}

/// So many: beside them a state of as many has room, until they are moved.
const SMALL: u8 = 20;

/// The value of the first key is in so many extents of one unit.
const FIRST_UNITS: usize = 6;

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
    Start { name, work: Work::Anything, disk: e.device().state(), known }
}

/// The bytes of a device whose ring has wrapped, with a checkpoint and a log behind it.
pub(crate) fn image_with_a_past() -> Vec<u8> {
    static IMAGE: OnceLock<Vec<u8>> = OnceLock::new();
    let make = || {
        let Start { disk, mut known, .. } = starts_of(Work::Anything).last().expect("there are some").clone();
        let mut e = Engine::open(Disk::from(disk), &IDENTITY, Mechanisms::all()).expect("it is formatted").0;
        for op in [Op::Write(Change::PutNew), Op::Append(Change::Overwrite), Op::Write(Change::Truncate)] {
            known = take(op, &mut e, &known).expect("a start has room").after;
        }
        e.device().image()
    };
    IMAGE.get_or_init(make).clone()
}
