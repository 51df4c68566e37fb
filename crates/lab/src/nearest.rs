//! Mechanisms by name, and the name that somebody who mistyped one most likely meant.

use trace::{Mechanism, Mechanisms};

/// Of `names`, the one that `word` most likely stands for; `None` if it is like none of them.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    // A slip of the finger changes a letter in three at most; more than that is another word.
    let slips_max = word.chars().count().div_ceil(3).min(4);
    let mut names: Vec<&str> = names.into_iter().collect();
    // Of several as near, the shortest.
    names.sort_by_key(|name| name.len());
    let slips = |name: &str| strsim::osa_distance(&word, &name.to_lowercase());
    let near = names.iter().map(|name| (slips(name), *name)).filter(|(slips, _)| *slips <= slips_max);
    let by_slips = near.min_by_key(|(slips, _)| *slips).map(|(_, name)| name);
    // Or a part of a name: `fence` for `epoch-fence`.
    let is_part = |name: &&&str| word.len() > 2 && name.to_lowercase().contains(&word);
    by_slips.or_else(|| names.iter().find(is_part).copied())
}

/// What is wrong with a name that there is not: "there is no mechanism epoch-fense; did you mean epoch-fence?".
pub fn unknown<'a>(kind: &str, word: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(word, names) {
        Some(name) => format!("there is no {kind} {word}; did you mean {name}?"),
        None => format!("there is no {kind} {word}"),
    }
}

/// The mechanism called `id`.
pub fn mechanism(id: &str) -> Result<Mechanism, String> {
    let ids = Mechanism::ALL.iter().map(|mechanism| mechanism.id());
    Mechanism::from_id(id).ok_or_else(|| unknown("mechanism", id, ids))
}

/// All mechanisms but those with these ids; an id that there is not is the error.
pub fn all_but<'a>(ids: impl IntoIterator<Item = &'a String>) -> Result<Mechanisms, String> {
    ids.into_iter().try_fold(Mechanisms::all(), |on, id| Ok(on.without(mechanism(id)?)))
}

/// All mechanisms but these.
pub fn without<'a>(off: impl IntoIterator<Item = &'a Mechanism>) -> Mechanisms {
    off.into_iter().fold(Mechanisms::all(), |on, mechanism| on.without(*mechanism))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_a_part_and_another_word() {
        let told = |id: &str| mechanism(id).unwrap_err();
        assert_eq!(told("epoch-fense"), "there is no mechanism epoch-fense; did you mean epoch-fence?");
        assert_eq!(told("Epoch-Fence"), "there is no mechanism Epoch-Fence; did you mean epoch-fence?");
        assert_eq!(told("fence"), "there is no mechanism fence; did you mean epoch-fence?");
        assert_eq!(
            told("most-compelte-log"),
            "there is no mechanism most-compelte-log; did you mean most-complete-log?"
        );
        assert_eq!(told("banana"), "there is no mechanism banana");
        assert_eq!(told(""), "there is no mechanism ");
    }

    #[test]
    fn every_mechanism_is_meant_when_one_of_its_letters_is_missing() {
        let ids = || Mechanism::ALL.iter().map(|mechanism| mechanism.id());
        for id in ids() {
            for at in 0..id.len() {
                let word = format!("{}{}", &id[..at], &id[at + 1..]);
                assert_eq!(nearest(&word, ids()), Some(id), "{word}");
            }
        }
    }
}
