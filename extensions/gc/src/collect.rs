//! Emptying the emptiest segments.
//!
//! 1. Is most of what is free in segments that are partly used? Else a batch finds room in one piece.
//! 2. Segments are chosen, those with the least in them first, as far as there is room for copies.
//! 3. One pass over the keys, in steps, finds whose values are there.
//! 4. They are moved, the emptiest segment first. Then nothing is done until a checkpoint has given the segments back.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{Extent, ReadError, Seq, UNIT, Upkeep, WriteError};

/// Units of a segment: a run that takes many batches. A small device has at least so many segments, and a large one at most.
const SEGMENT_UNITS: u64 = 2048;
const SEGMENTS_MIN: u64 = 128;
const SEGMENTS_MAX: u64 = 1 << 16;
const SEGMENT_UNITS_MIN: u64 = 8;
/// A segment that is fuller than this, in percent, is not worth it: more would be moved than is won.
const USED_PERCENT_MAX: u64 = 80;
/// Of the room for copies, so much is used, in percent.
const ROOM_PERCENT: u64 = 75;
/// Keys looked at in one step, and what looking at one costs.
const KEYS: usize = 1024;
const KEY_BYTES: u64 = 64;
/// Memory for the keys of values to move.
const KEYS_BYTES_MAX: usize = 8 << 20;
/// Bytes moved in one step.
const MOVE_BYTES: u64 = 256 << 10;

/// A value to move: the rank of its segment, where it is, its units, its key.
type Candidate = (usize, u64, u64, Arc<[u8]>);

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
enum State {
    #[default]
    Idle,
    /// With the segments by number, each with its rank; and how far the pass is.
    Finding { segments: BTreeMap<u64, usize>, after: Option<Arc<[u8]>>, bytes: usize },
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
}

/// How the device is divided.
fn segment_units(units: u64) -> u64 {
    (units / SEGMENTS_MIN).clamp(SEGMENT_UNITS_MIN, SEGMENT_UNITS).max(units.div_ceil(SEGMENTS_MAX))
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
        match std::mem::take(&mut self.state) {
            State::Idle => {
                let segments = choose(device, room * ROOM_PERCENT / 100);
                self.state = match segments.is_empty() {
                    true => State::Waiting,
                    false => State::Finding { segments, after: None, bytes: 0 },
                };
                Ok(KEY_BYTES)
            }
            State::Finding { segments, after, bytes } => {
                self.find(device, segments, after, bytes);
                Ok(KEYS as u64 * KEY_BYTES)
            }
            State::Moving => self.move_some(device, bytes, damaged),
            State::Waiting => {
                self.state = State::Waiting;
                Ok(0)
            }
        }
    }

    /// Some more of the values in these segments.
    fn find(
        &mut self,
        device: &dyn Upkeep,
        segments: BTreeMap<u64, usize>,
        after: Option<Arc<[u8]>>,
        mut bytes: usize,
    ) {
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
        let (mut keys, mut units) = (Vec::new(), 0);
        for (.., more, key) in self.found.iter().rev() {
            if !keys.is_empty() && (units + more) * UNIT > bytes.min(MOVE_BYTES) {
                break;
            }
            units += more;
            keys.push(key.clone());
        }
        let moved = device.move_values(&keys)?;
        damaged.extend(moved.damaged);
        // One that finds no room in one piece is left for another round.
        let done = moved.keys.max(usize::from(moved.units == 0)).min(self.found.len());
        self.found.truncate(self.found.len() - done);
        self.state = if self.found.is_empty() { State::Waiting } else { State::Moving };
        // Read and written.
        Ok(2 * moved.units * UNIT + KEY_BYTES * done as u64)
    }
}

/// The segments to empty, each with its rank: none, if most of what is free is in whole segments.
fn choose(device: &dyn Upkeep, mut room: u64) -> BTreeMap<u64, usize> {
    let usage = device.usage();
    let size = segment_units(usage.units);
    let segment = |n: u64| Extent { unit: n * size, units: size.min(usage.units - n * size) };
    let used: Vec<(u64, u64)> =
        (0..usage.units.div_ceil(size)).map(|n| (device.units_in_use(segment(n)), n)).collect();
    let whole: u64 = used.iter().filter(|(used, _)| *used == 0).map(|(_, n)| segment(*n).units).sum();
    if 2 * whole >= usage.free {
        return BTreeMap::new();
    }
    let mut partly: Vec<(u64, u64)> =
        used.into_iter().filter(|(used, _)| *used > 0 && used * 100 <= size * USED_PERCENT_MAX).collect();
    partly.sort_unstable();
    let mut chosen = BTreeMap::new();
    for (used, n) in partly {
        let Some(left) = room.checked_sub(used) else { break };
        room = left;
        chosen.insert(n, chosen.len());
    }
    chosen
}
