//! What an exploration asks of a medium and the cache above it.

use std::hash::{DefaultHasher, Hash, Hasher};

use disk::{Cached, SECTOR, State};
use engine::format::superblock::{self, Superblock};

/// The sectors of the superblock slots.
pub(crate) const SLOTS: [usize; 2] =
    [superblock::SLOTS[0] as usize / SECTOR, superblock::SLOTS[1] as usize / SECTOR];
/// Where in a sector a bit is turned: in the magic number, the CRC, a length, and further on.
const ROTTEN_BYTES: [usize; 5] = [0, 5, 9, 100, 300];

/// Whatever the cache holds. The same bytes again are no other way to survive.
fn versions(state: &State) -> Vec<&Cached> {
    let mut versions: Vec<&Cached> = Vec::new();
    for new in state.cached() {
        let before = versions.iter().rfind(|c| c.sector == new.sector);
        if before.is_none_or(|c| c.dirty != new.dirty || c.content != new.content) {
            versions.push(new);
        }
    }
    versions
}

/// The same for states that no engine can tell apart.
///
/// Each recovery counts the generation of the superblock and the life of the log up. Generations are only compared
/// with each other, and lives with each other and with those of the records. So of a generation its rank counts, and of
/// a life in which no record was written as well; of a slot that does not decode, why it does not. Hence a recovery that
/// is cut off again and again comes back to states that are known, and however deep crashes go, they are covered.
pub(super) fn fingerprint(state: &State) -> u64 {
    let (medium, cached) = (state.durable(), versions(state));
    let cached_slots = cached.iter().map(|c| (c.sector, &c.content)).filter(|(at, _)| SLOTS.contains(at));
    let slots: Vec<_> = SLOTS.map(|slot| (slot, &medium[slot])).into_iter().chain(cached_slots).collect();
    let decoded: Vec<_> = slots.iter().map(|(_, content)| Superblock::decode(content.bytes())).collect();
    let rank = |value: fn(&Superblock) -> u64, above: u64, of: &Superblock| {
        let mut lower: Vec<u64> = decoded.iter().flatten().map(value).collect();
        lower.retain(|lower| (above..value(of)).contains(lower));
        lower.sort_unstable();
        lower.dedup();
        lower.len() as u64
    };
    let mut hasher = DefaultHasher::new();
    for ((at, _), superblock) in slots.iter().zip(&decoded) {
        match superblock {
            Ok(slot) => {
                let generation = rank(|slot| slot.generation, 0, slot);
                let above = state.log_life() + 1;
                let life = if slot.life < above { slot.life } else { above + rank(|s| s.life, above, slot) };
                (at, Superblock { generation, life, ..*slot }.encode()).hash(&mut hasher);
            }
            Err(error) => (at, std::mem::discriminant(error)).hash(&mut hasher),
        }
    }
    let rest = SLOTS.iter().fold(state.fingerprint(), |rest, &slot| rest ^ medium[slot].fingerprint(slot));
    rest.hash(&mut hasher);
    for c in cached {
        let content = if SLOTS.contains(&c.sector) { 0 } else { c.content.fingerprint(c.sector) };
        (content, c.sector, c.dirty).hash(&mut hasher);
    }
    hasher.finish()
}

/// A letter for each of `sectors`: `.` nothing, `#` on the medium, `~` in the cache only or newer there.
pub(super) fn strip(state: &State, sectors: std::ops::Range<usize>) -> String {
    let letter = |at: usize| {
        let durable = &state.durable()[at];
        if state.cached().iter().any(|c| c.sector == at && c.content != *durable) {
            '~'
        } else if durable.is_zero() {
            '.'
        } else {
            '#'
        }
    };
    sectors.map(letter).collect()
}

/// Sectors up to the last one in use.
pub(super) fn used(state: &State) -> usize {
    let cached = state.cached().iter().map(|c| c.sector + 1).max().unwrap_or(0);
    let durable = state.durable().iter().rposition(|content| !content.is_zero()).map_or(0, |at| at + 1);
    cached.max(durable)
}

/// The medium with a bit turned in byte `byte` of each of these sectors; nothing may be cached.
pub(super) fn rotten_in(state: &State, sectors: &[usize], byte: usize) -> State {
    let mut rotten = state.clone();
    for &sector in sectors {
        rotten.falsify(sector, state.durable()[sector].with_bit_turned(byte * 8));
    }
    rotten
}

/// The medium with bits turned in one sector, for each sector in use and several places in it; and with both
/// superblock slots damaged. With the sectors, and the byte in each. Nothing may be cached.
pub(super) fn rotten(state: &State) -> Vec<(Vec<usize>, usize, State)> {
    let used = (0..state.durable().len()).filter(|&sector| !state.durable()[sector].is_zero());
    let hit = used.map(|sector| vec![sector]).chain([SLOTS.to_vec()]);
    hit.flat_map(|sectors| ROTTEN_BYTES.map(|byte| (sectors.clone(), byte)))
        .map(|(sectors, byte)| {
            let rotten = rotten_in(state, &sectors, byte);
            (sectors, byte, rotten)
        })
        .collect()
}
