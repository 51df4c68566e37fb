//! What the host wrote, and what it may rely on.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{Condition, Entry, Op as EngineOp, Seq};

/// A value takes two sectors, so that it can be torn, and can lie in two extents.
const VALUE_BYTES: usize = 600;
/// With its header, a record of a new key takes more than one sector.
const NEW_KEY_BYTES: usize = 450;
/// And that of a long one three, as those of values in many extents do: a power cut can leave its header and its end without
/// what is between them.
const LONG_KEY_BYTES: usize = 1_000;

/// The first key's value takes six units, in as many extents or in one. In a checkpoint it is shorter then by as much as the
/// second key takes there, which has no value.
const FIRST_VALUE_BYTES: usize = 3_000;
const SECOND_KEY_BYTES: usize = 12;

/// A change to the map, or the undoing of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// Gives a key that did not exist a value; again with the same seq, it is the same key and value.
    PutNew,
    /// The same with a long key.
    PutLong,
    /// Gives a key another value of the same length, never the same one again.
    Overwrite,
    /// Removes a key.
    Delete,
    /// Undoes the last entry, if that is not committed.
    Truncate,
    /// Gives another key a value of one unit: only to prepare a device.
    PutSmall(u8),
    /// Removes that key.
    DeleteSmall(u8),
    /// Gives the first of all keys a value of six units; the second an empty one: only to prepare a device.
    PutFirst,
    PutSecond,
}

/// An entry of the log as the host knows it: enough to make its bytes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Made {
    pub(super) change: Change,
    pub(super) id: u8,
}

/// A checkpoint on its way to another replica, which remembers where it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sending {
    /// Of which entry, and how much of its stream was read.
    pub(super) seq: Seq,
    pub(super) at: u64,
    /// So many keys were in it.
    pub(super) keys: usize,
}

/// A state on its way here. When it was begun there was room for all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Receiving {
    /// As of which entry.
    pub(super) seq: Seq,
    /// Nothing took room meanwhile but what was moved.
    pub(super) has_room: bool,
}

/// What the host relies on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Known {
    /// The log as of the last acknowledged sync.
    pub(super) log: Vec<Made>,
    /// The log with what the host did since. After a crash: the log that may be there instead.
    pub(super) latest: Vec<Made>,
    /// How much of `log` is neither undone nor about to be. A truncation may take effect before its sync, by a
    /// checkpoint that starts the log behind what is undone: its owner did not want those entries any more.
    pub(super) wanted: usize,
    /// `log` without its last batch, unless a recovery has read that: damage to the last batch cannot be told from a
    /// batch that was never synced.
    pub(super) without_last_batch: Vec<Made>,
    /// The log as a failed sync may have left it, if the host did not notice (`poison-on-io-error` taken out).
    pub(super) attempted: Option<Vec<Made>>,
    /// Committed: never undone.
    pub(super) applied: Seq,
    /// The checkpoint in force, and the one that may be instead.
    pub(super) checkpoint: [Seq; 2],
    /// The one under way.
    pub(super) running: Option<Seq>,
    /// The epoch promised, and the one that may be instead.
    pub(super) promise: [u64; 2],
    /// Is the device joining, and may it be instead?
    pub(super) joining: [bool; 2],
    /// Everything may have been given up.
    pub(super) emptied: bool,
    pub(super) sending: Option<Sending>,
    /// Only in memory.
    pub(super) receiving: Option<Receiving>,
    /// Makes each overwriting value another one.
    pub(super) made: u8,
}

impl Known {
    /// What holds of a device that was formatted for another life.
    pub(crate) fn formatted() -> Known {
        Known { joining: [true; 2], ..Known::default() }
    }

    /// What holds when power fails now, with nothing under way: what is only in memory is gone.
    pub(crate) fn at_rest(&self) -> Known {
        Known { latest: self.log.clone(), running: None, receiving: None, ..self.clone() }
    }

    /// The live keys as of entry `seq`, with the entry that wrote each.
    pub(super) fn live(log: &[Made], seq: Seq) -> BTreeMap<Vec<u8>, (Seq, Made)> {
        let mut map = BTreeMap::new();
        for (n, &made) in log.iter().take(seq as usize).enumerate() {
            let (seq, key) = (n as Seq + 1, key(n as Seq + 1, made));
            match made.change {
                Change::Delete | Change::DeleteSmall(_) => map.remove(&key),
                _ => map.insert(key, (seq, made)),
            };
        }
        map
    }

    /// A state as of entry `seq` of `latest` is all that the device holds, with the log as `latest` up to there.
    pub(super) fn replaced_as_of(&self, seq: Seq) -> Known {
        let log = self.latest[..seq as usize].to_vec();
        Known {
            latest: log.clone(),
            without_last_batch: log.clone(),
            wanted: log.len(),
            log,
            attempted: None,
            applied: seq,
            checkpoint: [seq; 2],
            running: None,
            sending: None,
            receiving: None,
            ..self.clone()
        }
    }
}

pub(super) fn key(seq: Seq, made: Made) -> Vec<u8> {
    match made.change {
        Change::PutNew | Change::PutLong => {
            let long = made.change == Change::PutLong;
            let mut key = vec![b'n'; if long { LONG_KEY_BYTES } else { NEW_KEY_BYTES }];
            key[0] = b'0' + seq as u8;
            key
        }
        Change::Overwrite => b"a".to_vec(),
        Change::PutSmall(n) | Change::DeleteSmall(n) => vec![b's', n],
        Change::PutFirst => b"!".to_vec(),
        Change::PutSecond => vec![b'!'; SECOND_KEY_BYTES],
        _ => b"b".to_vec(),
    }
}

pub(super) fn value(seq: Seq, made: Made) -> Vec<u8> {
    let kind = match made.change {
        Change::PutNew | Change::PutLong => 0,
        Change::Overwrite => 1,
        Change::PutSmall(n) => return vec![n],
        Change::PutFirst => return vec![b'!'; FIRST_VALUE_BYTES],
        Change::PutSecond => return Vec::new(),
        change => unreachable!("{change:?} has no value"),
    };
    let salt = if kind == 0 { seq as u8 } else { made.id };
    (0..VALUE_BYTES).map(|n| (n as u8).wrapping_mul(31) ^ salt.wrapping_mul(7) ^ kind).collect()
}

pub(super) fn entry(seq: Seq, made: Made) -> Entry {
    let key: Arc<[u8]> = key(seq, made).into();
    let condition = Condition::Always;
    let op = match made.change {
        Change::Delete | Change::DeleteSmall(_) => EngineOp::Delete { key, condition },
        _ => EngineOp::Put { key, value: value(seq, made).into(), condition },
    };
    Entry { seq, tag: [b't', made.id][..].into(), op }
}

pub(super) fn host_state(seq: Seq) -> Vec<u8> {
    if seq == 0 { Vec::new() } else { format!("as of {seq}").into_bytes() }
}
