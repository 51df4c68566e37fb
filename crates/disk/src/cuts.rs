//! Everything that a power cut can leave of a disk.
//!
//! What was written and not synced survives sector by sector, independently: not at all, whole, or torn (the front of
//! the new bytes with the end of the old ones, or the other way round). A sector written several times since the last
//! sync may hold any of its versions. Two ways to go through that: [`State::power_cuts`] enumerates it, with tears in one
//! place of each sector; `State::draw_cut` draws one case, with a tear anywhere.

use std::collections::BTreeMap;

use crate::rng::Rng;
use crate::sector::{Content, SECTOR};
use crate::state::{Cached, State};

/// Up to so many ways in which sectors can survive, all of them are tried; beyond, see [`State::power_cuts`].
pub const WAYS_MAX: usize = 1_024;
/// Combinations drawn where there are too many.
const SAMPLES: u64 = 64;
/// How often a drawn sector is torn, in a million.
const TORN_PPM: u64 = 250_000;

impl State {
    /// Everything that a power cut can leave, with `torn` sectors or without, each as the sectors that differ from
    /// the medium.
    ///
    /// If there are at most [`WAYS_MAX`] ways, torn sectors included, these are all of them. Beyond that: all subsets
    /// of whole sectors if those are at most as many, else none, all, each one, each two, all but one, all but two,
    /// and 64 drawn with a fixed seed; and each single sector torn, with all others old and with all others new. A
    /// sector is torn in the middle of the bytes that change.
    pub fn power_cuts(&self, torn: bool) -> Vec<Cut> {
        let choices = self.choices(torn);
        let ways = |count: fn(&Choice) -> usize| {
            choices.iter().try_fold(1usize, |n, c| n.checked_mul(count(c)).filter(|&n| n <= WAYS_MAX))
        };
        if ways(|c| c.options.len()).is_some() {
            return self.product(&choices, |c| c.options.len());
        }
        let mut picks: Vec<Vec<usize>> = Vec::new();
        let new: Vec<usize> = choices.iter().map(|c| c.whole - 1).collect();
        let mut cuts = if ways(|c| c.whole).is_some() {
            self.product(&choices, |c| c.whole)
        } else {
            let old = vec![0; choices.len()];
            for (from, to) in [(&old, &new), (&new, &old)] {
                picks.push(from.clone());
                for one in 0..choices.len() {
                    for other in one..choices.len() {
                        let mut pick = from.clone();
                        (pick[one], pick[other]) = (to[one], to[other]);
                        picks.push(pick);
                    }
                }
            }
            let mut seed = self.fingerprint();
            for _ in 0..SAMPLES {
                picks.push(choices.iter().map(|c| next(&mut seed) as usize % c.whole).collect());
            }
            Vec::new()
        };
        for (n, choice) in choices.iter().enumerate() {
            for torn in choice.whole..choice.options.len() {
                for rest in [vec![0; choices.len()], new.clone()] {
                    let mut pick = rest;
                    pick[n] = torn;
                    picks.push(pick);
                }
            }
        }
        cuts.extend(picks.iter().map(|pick| self.cut(&choices, pick)));
        cuts
    }

    fn product(&self, choices: &[Choice], count: fn(&Choice) -> usize) -> Vec<Cut> {
        let (mut cuts, mut pick) = (Vec::new(), vec![0; choices.len()]);
        loop {
            cuts.push(self.cut(choices, &pick));
            let Some(n) = (0..pick.len()).find(|&n| pick[n] + 1 < count(&choices[n])) else { return cuts };
            pick[..n].fill(0);
            pick[n] += 1;
        }
    }

    fn cut(&self, choices: &[Choice], pick: &[usize]) -> Cut {
        let chosen = choices.iter().zip(pick).filter(|(_, n)| **n > 0);
        let sectors: Vec<_> = chosen.map(|(choice, &n)| (choice.sector, choice.options[n].clone())).collect();
        Cut { lost: choices.len() - sectors.len(), sectors }
    }

    /// The power cut that a schedule describes by these names: a cached sector survives in its newest version (`16`), an
    /// older one (`16:1`), or torn (`16:front`, `16:end`); those that are not named are lost. A name of nothing that is
    /// cached means nothing.
    pub fn cut_named(&self, names: &[&str]) -> Cut {
        let choices = self.choices(true);
        let pick: Vec<usize> = choices
            .iter()
            .map(|choice| {
                let named = |n: &usize| names.contains(&&*choice.options[*n].0.name(choice.sector));
                (1..choice.options.len()).find(named).unwrap_or(0)
            })
            .collect();
        self.cut(&choices, &pick)
    }

    /// For each cached sector, what may be on the medium after a power cut, the old bytes first, torn ones last.
    fn choices(&self, torn: bool) -> Vec<Choice> {
        let mut choices: Vec<Choice> = Vec::new();
        for (sector, versions) in self.versions() {
            let mut choice = Choice { sector, options: vec![(Fate::Lost, versions[0].clone())], whole: 0 };
            versions[1..].iter().for_each(|version| choice.add(Fate::Written, (*version).clone()));
            choice.whole = choice.options.len();
            if choice.whole == 1 {
                continue;
            }
            for older in 1..choice.whole - 1 {
                choice.options[older].0 = Fate::Older(older);
            }
            if torn {
                let (old, new) = (choice.options[0].1.clone(), choice.options[choice.whole - 1].1.clone());
                let differ: Vec<usize> = (0..SECTOR).filter(|&n| old.bytes()[n] != new.bytes()[n]).collect();
                let at = differ[differ.len() / 2];
                choice.add(Fate::FrontWritten(at), new.torn(at, &old));
                choice.add(Fate::EndWritten(at), old.torn(at, &new));
            }
            choices.push(choice);
        }
        choices
    }

    /// All that each cached sector may hold if it is not torn, the old bytes first; in the order of the first writes.
    fn versions(&self) -> Vec<(usize, Vec<&Content>)> {
        let (mut all, mut places) = (Vec::<(usize, Vec<&Content>)>::new(), BTreeMap::new());
        for Cached { sector, content, .. } in self.cached() {
            let place = *places.entry(*sector).or_insert_with(|| {
                all.push((*sector, vec![&self.durable()[*sector]]));
                all.len() - 1
            });
            all[place].1.push(content);
        }
        all
    }

    /// The disk after a power cut: an empty cache.
    pub fn after(&self, cut: &Cut) -> State {
        let mut after = self.clone();
        after.lose_cache(cut.sectors.iter().map(|(sector, (_, content))| (*sector, content.clone())));
        after
    }

    /// What of the cache is on the medium after a power cut that chance decides.
    pub(crate) fn draw_cut(&self, rng: &mut Rng) -> Vec<(usize, Content)> {
        let mut versions = self.versions();
        versions.sort_unstable_by_key(|(sector, _)| *sector);
        let draw = |(sector, versions): (usize, Vec<&Content>)| {
            let kept = *rng.pick(&versions);
            if !rng.chance(TORN_PPM) {
                return (sector, kept.clone());
            }
            let other = *rng.pick(&versions);
            (sector, kept.torn(rng.below(SECTOR as u64) as usize, other))
        };
        versions.into_iter().map(draw).collect()
    }
}

fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (z ^ (z >> 27)) >> 8
}

/// What a cached sector may hold after a power cut: no two of the options have the same bytes.
struct Choice {
    sector: usize,
    options: Vec<(Fate, Content)>,
    /// How many of them are not torn.
    whole: usize,
}

impl Choice {
    fn add(&mut self, fate: Fate, content: Content) {
        if self.options.iter().all(|(_, known)| *known != content) {
            self.options.push((fate, content));
        }
    }
}

/// What became of a sector in a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Lost,
    Written,
    /// One of several versions, but not the newest.
    Older(usize),
    FrontWritten(usize),
    EndWritten(usize),
}

impl Fate {
    /// What a schedule calls a sector with this fate.
    fn name(self, sector: usize) -> String {
        match self {
            Fate::Lost | Fate::Written => sector.to_string(),
            Fate::Older(version) => format!("{sector}:{version}"),
            Fate::FrontWritten(_) => format!("{sector}:front"),
            Fate::EndWritten(_) => format!("{sector}:end"),
        }
    }
}

/// One way in which a power cut can leave the disk: what the sectors hold that differ from the medium.
#[derive(Clone, Debug)]
pub struct Cut {
    sectors: Vec<(usize, (Fate, Content))>,
    lost: usize,
}

impl Cut {
    /// As a schedule names it: see [`State::cut_named`].
    pub fn names(&self) -> Vec<String> {
        self.sectors.iter().map(|(sector, (fate, _))| fate.name(*sector)).collect()
    }
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.sectors.is_empty() && self.lost == 0 {
            return write!(f, "nothing was in the cache");
        }
        let is_whole = |fate: Fate| matches!(fate, Fate::Written | Fate::Older(_));
        let mut whole: Vec<usize> =
            self.sectors.iter().filter(|(_, (fate, _))| is_whole(*fate)).map(|(sector, _)| *sector).collect();
        whole.sort_unstable();
        let mut survived: Vec<String> =
            whole.chunk_by(|a, b| a + 1 == *b).map(|run| sectors(run[0], run.len())).collect();
        for (sector, (fate, _)) in &self.sectors {
            match fate {
                Fate::Lost | Fate::Written | Fate::Older(_) => {}
                Fate::FrontWritten(n) => survived.push(format!("the first {n} bytes of sector {sector}")),
                Fate::EndWritten(n) => survived.push(format!("sector {sector} from its byte {n} on")),
            }
        }
        match (survived.as_slice(), self.lost) {
            ([], 1) => write!(f, "the one cached sector is lost"),
            ([], lost) => write!(f, "all {lost} cached sectors are lost"),
            (survived, 0) => write!(f, "all that was cached survives: {}", survived.join(" and ")),
            (survived, lost) => {
                let (sectors, are) = if lost == 1 { ("sector", "is") } else { ("sectors", "are") };
                write!(
                    f,
                    "of what was cached, {lost} {sectors} {are} lost; what survives: {}",
                    survived.join(" and ")
                )
            }
        }?;
        Ok(())
    }
}

/// Neighbouring sectors in words.
fn sectors(first: usize, count: usize) -> String {
    if count == 1 { format!("sector {first}") } else { format!("sectors {first}–{}", first + count - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Io;

    /// A medium of so many sectors of zeros, and these writes in the cache.
    fn with_cached(sectors: usize, writes: &[(usize, u8)]) -> State {
        let mut state = State::blank(sectors);
        for (sector, byte) in writes {
            state.apply(&Io::Write(*sector, vec![Content::of(&[*byte; SECTOR])], 0));
        }
        state
    }

    /// The first and the last byte of each sector, of each state that a cut leaves.
    fn left(state: &State, cuts: &[Cut]) -> Vec<Vec<[u8; 2]>> {
        let ends = |content: &Content| [content.bytes()[0], content.bytes()[SECTOR - 1]];
        let mut left: Vec<Vec<_>> =
            cuts.iter().map(|cut| state.after(cut).durable().iter().map(ends).collect()).collect();
        left.sort_unstable();
        left
    }

    #[test]
    fn sectors_survive_independently_whole_torn_or_not_at_all() {
        let state = with_cached(2, &[(0, 1), (1, 2)]);
        assert_eq!(
            left(&state, &state.power_cuts(false)),
            [[[0, 0], [0, 0]], [[0, 0], [2, 2]], [[1, 1], [0, 0]], [[1, 1], [2, 2]]]
        );
        let ways = |new| [[0, 0], [0, new], [new, 0], [new, new]];
        let all: Vec<_> = ways(1).into_iter().flat_map(|one| ways(2).map(|other| vec![one, other])).collect();
        assert_eq!(left(&state, &state.power_cuts(true)), all);
    }

    #[test]
    fn of_a_sector_written_more_than_once_any_version_survives_and_equal_ones_count_once() {
        let state = with_cached(1, &[(0, 1), (0, 2), (0, 2), (0, 0)]);
        assert_eq!(left(&state, &state.power_cuts(false)), [[[0, 0]], [[1, 1]], [[2, 2]]]);
        let unchanged = with_cached(1, &[(0, 0)]);
        assert_eq!(unchanged.power_cuts(true).len(), 1, "nothing can differ");
    }

    #[test]
    fn the_names_of_a_cut_lead_back_to_it() {
        let state = with_cached(3, &[(0, 1), (2, 2), (0, 3), (1, 4)]);
        let cuts = state.power_cuts(true);
        assert_eq!(cuts.len(), 5 * 4 * 4);
        for cut in &cuts {
            let names = cut.names();
            let again = state.cut_named(&names.iter().map(String::as_str).collect::<Vec<_>>());
            assert!(state.after(&again).durable() == state.after(cut).durable(), "{names:?}");
        }
    }

    #[test]
    fn of_too_many_ways_those_are_tried_that_differ_little_from_none_and_from_all() {
        let writes: Vec<_> = (0..11).map(|sector| (sector, 1)).collect();
        let state = with_cached(11, &writes);
        let left = left(&state, &state.power_cuts(false));
        assert_eq!(left.len() as u64, 2 * (1 + 11 + 55) + SAMPLES);
        let survivors = |state: &Vec<[u8; 2]>| state.iter().filter(|ends| **ends == [1, 1]).count();
        for (survive, ways) in [(0, 1), (1, 11), (2, 55), (9, 55), (10, 11), (11, 1)] {
            assert!(left.iter().filter(|state| survivors(state) == survive).count() >= ways, "{survive}");
        }
    }

    #[test]
    fn what_chance_draws_is_a_version_or_two_of_them_torn() {
        let state = with_cached(1, &[(0, 1), (0, 2)]);
        let mut seen = [[0; 3]; 3];
        for seed in 0..500 {
            let drawn = state.draw_cut(&mut Rng::stream(seed, "test", 0));
            let bytes = drawn[0].1.bytes();
            assert!(bytes.chunk_by(|a, b| a == b).count() <= 2, "one tear at most");
            seen[bytes[0] as usize][bytes[SECTOR - 1] as usize] += 1;
        }
        assert!(seen.iter().flatten().all(|times| *times > 0), "{seen:?}");
        assert!((0..3).all(|whole| seen[whole][whole] > 75), "mostly whole: {seen:?}");
    }
}
