//! Emptying the emptiest segments into the holes of the fullest.
//!
//! 1. One pass over the keys, in steps, counts what is live in each segment.
//! 2. Is most of what is not live in segments where nothing is? Else a batch takes a write for each hole that it fills.
//!    Segments are chosen to be emptied, those with the least in them first; and segments whose holes take their values, the
//!    fullest first.
//! 3. A second pass finds whose values are to be moved.
//! 4. They are moved, the emptiest segment first. The next checkpoint gives whole segments back.
//!
//! To write copies one behind the other would take fewer writes, and room that is in one piece. That room is what is wanted:
//! on a device that is full by *u* the emptiest segments are almost as full, and to win one takes *u* / (1 - *u*) of them. A
//! hole between values is of no other use. (Matthews et al., "Improving the Performance of Log-Structured File Systems with
//! Adaptive Methods", SOSP 1997, calls it hole-plugging.)

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{Extent, ReadError, Seq, UNIT, Upkeep, WriteError};

/// Units of a segment: a run that takes some batches. A small device has at least so many segments, and a large one at most.
const SEGMENT_UNITS: u64 = 512;
const SEGMENTS_MIN: u64 = 16;
const SEGMENTS_MAX: u64 = 1 << 16;
const SEGMENT_UNITS_MIN: u64 = 8;
/// So much of what is not live is to be in segments where nothing is, in percent.
const WHOLE_PERCENT: u64 = 65;
/// Keys looked at in one step, and what looking at one costs.
const KEYS: usize = 1024;
const KEY_BYTES: u64 = 16;
/// Memory for the keys of values to move.
const KEYS_BYTES_MAX: usize = 8 << 20;
/// Bytes moved in one step.
const MOVE_BYTES: u64 = 256 << 10;

/// A value to move: the rank of its segment, where it is, its units, its key.
type Candidate = (usize, u64, u64, Arc<[u8]>);

/// Segments by number, each with its rank.
type Ranks = BTreeMap<u64, usize>;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
enum State {
    #[default]
    Idle,
    /// How many units are live in each segment; and how far the pass is.
    Counting { live: Vec<u64>, after: Option<Arc<[u8]>> },
    /// What is in these segments; and how far the pass is.
    Finding { segments: Ranks, after: Option<Arc<[u8]>>, bytes: usize },
    /// What is found is moved, from the end.
    Moving,
    /// For a checkpoint.
    Waiting,
}

/// One round of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Collect {
    state: State,
    /// The checkpoint in force when the round began.
    checkpoint: Seq,
    found: Vec<Candidate>,
    /// The segments with holes to fill, the first one at the end.
    holes: Vec<u64>,
}

/// How the device is divided.
fn segment_units(units: u64) -> u64 {
    (units / SEGMENTS_MIN).clamp(SEGMENT_UNITS_MIN, SEGMENT_UNITS).max(units.div_ceil(SEGMENTS_MAX))
}

/// The segment of that number on a device of so many units.
fn segment(n: u64, units: u64) -> Extent {
    let size = segment_units(units);
    Extent { unit: n * size, units: size.min(units - n * size) }
}

impl Collect {
    /// Does some of what is to be done, for about `bytes`, and says what was spent.
    pub(crate) fn step(
        &mut self,
        device: &mut dyn Upkeep,
        bytes: u64,
        damaged: &mut Vec<ReadError>,
    ) -> Result<u64, WriteError> {
        let (checkpoint, _) = device.records();
        if checkpoint != self.checkpoint {
            *self = Collect { checkpoint, ..Collect::default() };
        }
        let room = device.room_to_move();
        if room == 0 {
            return Ok(0);
        }
        let units = device.usage().units;
        match std::mem::take(&mut self.state) {
            State::Idle => {
                let live = vec![0; units.div_ceil(segment_units(units)) as usize];
                self.state = State::Counting { live, after: None };
                Ok(KEY_BYTES)
            }
            State::Counting { live, after } => {
                let (live, after) = count(device, live, after);
                self.state = match after {
                    Some(_) => State::Counting { live, after },
                    None => self.choose(device, &live, room),
                };
                Ok(KEYS as u64 * KEY_BYTES)
            }
            State::Finding { segments, after, bytes } => {
                self.find(device, segments, after, bytes);
                Ok(KEYS as u64 * KEY_BYTES)
            }
            State::Moving => self.move_some(device, bytes.min(MOVE_BYTES), damaged),
            State::Waiting => {
                self.state = State::Waiting;
                Ok(0)
            }
        }
    }

    /// The segments to empty: none, if most of what is not live is in whole segments. And the holes that take their values.
    fn choose(&mut self, device: &dyn Upkeep, live: &[u64], room: u64) -> State {
        let units = device.usage().units;
        let size = |n: u64| segment(n, units).units;
        let not_live = units - live.iter().sum::<u64>().min(units);
        let mut whole: u64 = live.iter().zip(0..).filter(|(live, _)| **live == 0).map(|(_, n)| size(n)).sum();
        let mut partly: Vec<(u64, u64)> =
            live.iter().copied().zip(0..).filter(|(live, _)| *live > 0).collect();
        partly.sort_unstable();
        let hole = |n: u64| size(n) - device.units_in_use(segment(n, units));
        // From both ends: what is emptied has to fit into the holes of the others.
        let (mut first, mut last, mut holes, mut moved) = (0, partly.len(), 0, 0);
        let mut chosen = Ranks::new();
        while whole * 100 < not_live * WHOLE_PERCENT && first < last {
            let (live, n) = partly[first];
            while moved + live > holes && first + 1 < last {
                last -= 1;
                holes += hole(partly[last].1);
            }
            if moved + live > holes.min(room) {
                break;
            }
            (whole, moved, first) = (whole + size(n), moved + live, first + 1);
            chosen.insert(n, chosen.len());
        }
        self.holes = partly[last..].iter().map(|(_, n)| *n).collect();
        if chosen.is_empty() {
            State::Waiting
        } else {
            State::Finding { segments: chosen, after: None, bytes: 0 }
        }
    }

    /// Some more of the values in these segments.
    fn find(&mut self, device: &dyn Upkeep, segments: Ranks, after: Option<Arc<[u8]>>, mut bytes: usize) {
        let units = segment_units(device.usage().units);
        let is_there = |at: Extent| segments.contains_key(&(at.unit / units));
        let (keys, after) = device.values(after.as_deref(), KEYS, &is_there);
        for (key, at) in keys {
            bytes += key.len() + size_of::<Candidate>();
            self.found.push((segments[&(at.unit / units)], at.unit, at.units, key));
        }
        self.state = match after {
            Some(_) if bytes < KEYS_BYTES_MAX => State::Finding { segments, after, bytes },
            // In the end, the first one.
            _ => {
                self.found.sort_unstable_by(|a, b| b.cmp(a));
                State::Moving
            }
        };
    }

    fn move_some(
        &mut self,
        device: &mut dyn Upkeep,
        bytes: u64,
        damaged: &mut Vec<ReadError>,
    ) -> Result<u64, WriteError> {
        let (units, mut spent) = (device.usage().units, 0);
        self.state = State::Moving;
        while spent < bytes {
            let (Some(hole), false) = (self.holes.last(), self.found.is_empty()) else {
                self.state = State::Waiting;
                break;
            };
            let mut wanted = 0;
            let more = |(.., units, _): &&Candidate| {
                wanted += units;
                wanted == *units || spent + 2 * wanted * UNIT <= bytes
            };
            let keys: Vec<Arc<[u8]>> =
                self.found.iter().rev().take_while(more).map(|(.., key)| key.clone()).collect();
            let moved = device.move_values(&keys, segment(*hole, units))?;
            damaged.extend(moved.damaged);
            if moved.keys == 0 {
                self.holes.pop();
            }
            self.found.truncate(self.found.len() - moved.keys);
            // Read and written.
            spent += 2 * moved.units * UNIT + KEY_BYTES;
        }
        Ok(spent)
    }
}

/// Counts what is live in each segment, of some more keys.
fn count(device: &dyn Upkeep, live: Vec<u64>, after: Option<Arc<[u8]>>) -> (Vec<u64>, Option<Arc<[u8]>>) {
    let size = segment_units(device.usage().units);
    let live: Vec<Cell<u64>> = live.into_iter().map(Cell::new).collect();
    let count = |at: Extent| {
        let live = &live[(at.unit / size) as usize];
        live.set(live.get() + at.units);
        false
    };
    let (_, after) = device.values(after.as_deref(), KEYS, &count);
    (live.into_iter().map(Cell::into_inner).collect(), after)
}
