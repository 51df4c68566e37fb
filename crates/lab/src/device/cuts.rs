//! Everything that a power cut can leave of a disk.

use super::medium::{Cached, Content, SECTOR, State, bytes, content, fingerprint};

/// Up to so many ways in which sectors can survive, all of them are tried; beyond, see [`State::power_cuts`].
pub(crate) const WAYS_MAX: usize = 1_024;
/// Combinations drawn where there are too many.
const SAMPLES: u64 = 64;

impl State {
    /// Everything that a power cut can leave, with `torn` sectors or without, each as the sectors that differ from
    /// the medium.
    ///
    /// If there are at most [`WAYS_MAX`] ways, torn sectors included, these are all of them. Beyond that: all subsets
    /// of whole sectors if those are at most as many, else none, all, each one, each two, all but one, all but two,
    /// and 64 drawn with a fixed seed; and each single sector torn, with all others old and with all others new. A
    /// sector is torn in the middle of the bytes that change.
    pub(crate) fn power_cuts(&self, torn: bool) -> Vec<Cut> {
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
            let mut seed = self.durable_fingerprint;
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
        let mut fingerprint_after = self.durable_fingerprint;
        let (mut sectors, mut names) = (Vec::new(), Vec::new());
        for (choice, &n) in choices.iter().zip(pick).filter(|(_, n)| **n > 0) {
            let (fate, content) = &choice.options[n];
            let old = &self.durable[choice.sector];
            fingerprint_after ^= fingerprint(choice.sector, old) ^ fingerprint(choice.sector, content);
            sectors.push((choice.sector, *fate, content.clone()));
            names.push(format!("{}{}", choice.sector, choice.name(n)));
        }
        let lost = choices.len() - sectors.len();
        Cut { fingerprint: fingerprint_after, sectors, names, lost }
    }

    /// The power cut that a schedule describes by these names: a cached sector survives in its newest version (`16`), an
    /// older one (`16:1`), or torn (`16:front`, `16:end`); those that are not named are lost. A name of nothing that is
    /// cached means nothing.
    pub(crate) fn cut_named(&self, names: &[&str]) -> Cut {
        let choices = self.choices(true);
        let pick: Vec<usize> = choices
            .iter()
            .map(|choice| {
                let named = |n: &usize| names.contains(&&*format!("{}{}", choice.sector, choice.name(*n)));
                (1..choice.options.len()).find(named).unwrap_or(0)
            })
            .collect();
        self.cut(&choices, &pick)
    }

    /// For each cached sector, what may be on the medium after a power cut, the old bytes first, torn ones last.
    fn choices(&self, torn: bool) -> Vec<Choice> {
        let mut choices: Vec<Choice> = Vec::new();
        for Cached { sector, content, .. } in &self.cached {
            let choice = match choices.iter_mut().find(|choice| choice.sector == *sector) {
                Some(choice) => choice,
                None => {
                    let options = vec![(Fate::Lost, self.durable[*sector].clone())];
                    choices.push(Choice { sector: *sector, options, whole: 1 });
                    choices.last_mut().expect("just pushed")
                }
            };
            choice.add(Fate::Written, content.clone());
            choice.whole = choice.options.len();
        }
        choices.retain(|choice| choice.whole > 1);
        for choice in choices.iter_mut().filter(|_| torn) {
            let (old, new) = (choice.options[0].1.clone(), choice.options[choice.whole - 1].1.clone());
            let (old, new) = (bytes(&old), bytes(&new));
            let differ: Vec<usize> = (0..SECTOR).filter(|&n| old[n] != new[n]).collect();
            let at = differ[differ.len() / 2];
            choice.add(Fate::FrontWritten(at), content(&[&new[..at], &old[at..]].concat()));
            choice.add(Fate::EndWritten(at), content(&[&old[..at], &new[at..]].concat()));
        }
        choices
    }

    /// The disk after a power cut: an empty cache.
    pub(crate) fn after(&self, cut: &Cut) -> State {
        let mut durable = self.durable.clone();
        for (sector, _, content) in &cut.sectors {
            durable[*sector] = content.clone();
        }
        State { durable, durable_fingerprint: cut.fingerprint, cached: Vec::new(), log_life: self.log_life }
    }
}

fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (z ^ (z >> 27)) >> 8
}

struct Choice {
    sector: usize,
    options: Vec<(Fate, Content)>,
    /// How many of them are not torn.
    whole: usize,
}

impl Choice {
    /// The end of an option's name in a schedule.
    fn name(&self, option: usize) -> String {
        match self.options[option].0 {
            Fate::FrontWritten(_) => ":front".into(),
            Fate::EndWritten(_) => ":end".into(),
            _ if option + 1 == self.whole => String::new(),
            _ => format!(":{option}"),
        }
    }

    fn add(&mut self, fate: Fate, content: Content) {
        if self.options.iter().all(|(_, known)| bytes(known) != bytes(&content)) {
            self.options.push((fate, content));
        }
    }
}

/// What became of a sector in a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Lost,
    Written,
    FrontWritten(usize),
    EndWritten(usize),
}

/// One way in which a power cut can leave the disk.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    /// Of the disk after it.
    pub(crate) fingerprint: u64,
    sectors: Vec<(usize, Fate, Content)>,
    /// As a schedule names them: see [`State::cut_named`].
    pub(crate) names: Vec<String>,
    lost: usize,
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.sectors.is_empty() && self.lost == 0 {
            return write!(f, "nothing was in the cache");
        }
        let mut whole: Vec<usize> = self
            .sectors
            .iter()
            .filter(|(_, fate, _)| *fate == Fate::Written)
            .map(|(sector, ..)| *sector)
            .collect();
        whole.sort_unstable();
        let mut survived: Vec<String> =
            whole.chunk_by(|a, b| a + 1 == *b).map(|run| sectors(run[0], run.len())).collect();
        for (sector, fate, _) in &self.sectors {
            match fate {
                Fate::Lost | Fate::Written => {}
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
