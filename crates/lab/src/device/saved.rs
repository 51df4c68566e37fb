//! An exploration of a device in a file, to go on from. How such a file begins and ends: [`crate::save`].
//!
//! The rounds that were completed count, and the states that they visited; what a round that was cut off had visited is
//! visited again. A state stands there as its fingerprint, so nothing in the file can show that the engine is still the
//! same: a file is refused by any build but the one that wrote it.
//!
//! | field | form | checked |
//! |---|---|---|
//! | bounds | 4 bytes: CRC-32C of the bounds | they are still the same |
//! | build | 4 bytes | it is this one |
//! | rounds | count; each: 1 if it was completed, 0 if recoveries went too deep in it | there are so many |
//! | states | each: fingerprint, 8 bytes; steps, crashes and recoveries that were still to come, 1 byte each | none twice |

use std::collections::HashSet;

use trace::Mechanisms;

use crate::save::{self, SavedError, number};

use super::work::Work;

/// A state as it is remembered: its fingerprint, and what was still to come.
pub(super) type Seen = (u64, [u8; 3]);

/// An exploration that was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Its scope.
    pub work: Work,
    /// The mechanisms that are on.
    pub mechanisms: Mechanisms,
    pub(super) bounds: u32,
    /// Rounds gone through; was each completed?
    pub(super) rounds: Vec<bool>,
    pub(super) seen: Vec<Seen>,
}

impl Saved {
    /// States in it.
    pub fn states(&self) -> u64 {
        self.seen.len() as u64
    }

    /// The bytes of a file that only `build` reads.
    pub fn encode(&self, build: u32) -> Vec<u8> {
        let mut bytes = save::begin(self.work.name(), self.mechanisms);
        bytes.extend(self.bounds.to_le_bytes());
        bytes.extend(build.to_le_bytes());
        number(&mut bytes, self.rounds.len() as u64);
        bytes.extend(self.rounds.iter().map(|completed| u8::from(*completed)));
        for (id, left) in &self.seen {
            bytes.extend(id.to_le_bytes());
            bytes.extend(left);
        }
        save::sealed(bytes)
    }

    /// What a file holds, for `build`.
    pub fn decode(bytes: &[u8], build: u32) -> Result<Saved, SavedError> {
        let (header, mut reader) = save::open(bytes)?;
        let Some(work) = Work::named(&header.scope) else {
            return Err(SavedError::OtherScope(header.scope));
        };
        let bounds = u32::from_le_bytes(reader.fixed("bounds")?);
        if u32::from_le_bytes(reader.fixed("build")?) != build {
            return Err(SavedError::OtherBuild);
        }
        let mut rounds = Vec::new();
        for _ in 0..reader.number("rounds", u8::MAX.into())? {
            rounds.push(reader.number("round", 1)? == 1);
        }
        let (mut seen, mut ids) = (Vec::new(), HashSet::new());
        while !reader.is_empty() {
            let id = u64::from_le_bytes(reader.fixed("fingerprint")?);
            if !ids.insert(id) {
                return Err(reader.malformed("fingerprint"));
            }
            seen.push((id, reader.fixed("still to come")?));
        }
        Ok(Saved { work, mechanisms: header.mechanisms, bounds, rounds, seen })
    }
}
