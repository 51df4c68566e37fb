//! The words of a line, one after the other. An error names the word, and what could stand there.

use std::str::FromStr;

use sim::schedule::Peer;

use super::language::{PEERS_MAX, TEXT_MAX, Which};

/// A form of a line, and what it means.
type Form = (&'static str, &'static str);

/// A line that is being read.
pub(super) struct Words<'a> {
    words: Vec<&'a str>,
    /// The next one.
    at: usize,
    forms: &'static [Form],
}

impl<'a> Words<'a> {
    pub(super) fn of(line: &'a str, forms: &'static [Form]) -> Words<'a> {
        Words { words: line.split_whitespace().collect(), at: 1, forms }
    }

    /// The first word.
    pub(super) fn verb(&self) -> &'a str {
        self.words.first().copied().unwrap_or_default()
    }

    pub(super) fn are_left(&self) -> bool {
        self.at < self.words.len()
    }

    /// Is this the next word? Then it is behind us.
    pub(super) fn is(&mut self, word: &str) -> bool {
        let is = self.words.get(self.at) == Some(&word);
        self.at += usize::from(is);
        is
    }

    fn next<T>(&mut self, what: &str, read: impl FnOnce(&'a str) -> Option<T>) -> Result<T, String> {
        let word = self.words.get(self.at).copied();
        match word.and_then(read) {
            Some(found) => {
                self.at += 1;
                Ok(found)
            }
            None => Err(self.expected(what)),
        }
    }

    /// What could stand at the next place.
    fn expected(&self, what: &str) -> String {
        let found = match self.words.get(self.at) {
            Some(word) => format!("word {}, `{word}`", self.at + 1),
            None => format!("it ends after word {}", self.words.len()),
        };
        let forms: Vec<String> = self.forms_of(self.verb()).map(|form| format!("`{form}`")).collect();
        format!("{found}: {what} could stand there ({})", forms.join(" or "))
    }

    fn forms_of(&self, verb: &str) -> impl Iterator<Item = &'static str> {
        self.forms.iter().map(|form| form.0).filter(move |form| form.split(' ').next() == Some(verb))
    }

    pub(super) fn literal(&mut self, word: &str) -> Result<(), String> {
        self.next(&format!("`{word}`"), |found| (found == word).then_some(()))
    }

    pub(super) fn number<T: FromStr>(&mut self) -> Result<T, String> {
        self.next("a number", |word| word.parse().ok())
    }

    pub(super) fn number_upto(&mut self, max: u64) -> Result<u64, String> {
        self.next(&format!("a number up to {max}"), |word| word.parse().ok().filter(|n| *n <= max))
    }

    pub(super) fn peer(&mut self) -> Result<Peer, String> {
        self.next("a node or a gateway, such as n1 or g1,", peer)
    }

    pub(super) fn node(&mut self) -> Result<u32, String> {
        self.next("a node, such as n1,", |word| match peer(word)? {
            Peer::Node(node) => Some(node),
            Peer::Gateway(_) => None,
        })
    }

    /// `via gX`.
    pub(super) fn via(&mut self) -> Result<u32, String> {
        self.literal("via")?;
        self.next("a gateway, such as g1,", |word| match peer(word)? {
            Peer::Gateway(gateway) => Some(gateway),
            Peer::Node(_) => None,
        })
    }

    /// `keep K`.
    pub(super) fn keep(&mut self) -> Result<usize, String> {
        self.literal("keep")?;
        self.number()
    }

    /// A key or a value.
    pub(super) fn text(&mut self) -> Result<String, String> {
        self.next(&format!("a word of at most {TEXT_MAX} bytes"), |word| {
            (word.len() <= TEXT_MAX).then(|| word.to_string())
        })
    }

    /// A word, if one stands before `end`; and `end`.
    pub(super) fn text_before(&mut self, end: &str) -> Result<Option<String>, String> {
        if self.is(end) {
            return Ok(None);
        }
        let text = self.text()?;
        self.literal(end)?;
        Ok(Some(text))
    }

    pub(super) fn which(&mut self) -> Result<Which, String> {
        let (from, to) = (self.peer()?, self.peer()?);
        let ends = |words: &Self| words.words.get(words.at).is_none_or(|word| *word == "to");
        let name = if ends(self) { None } else { Some(self.text()?) };
        let nth = if name.is_none() || ends(self) { None } else { Some(self.number()?) };
        Ok(Which { from, to, name, nth })
    }

    pub(super) fn end(&self) -> Result<(), String> {
        if self.are_left() { Err(self.expected("nothing")) } else { Ok(()) }
    }

    /// The verb is none; `kind` says of what.
    pub(super) fn no_such_line(&self, kind: &str) -> String {
        let mut verbs: Vec<&str> = self.forms.iter().filter_map(|form| form.0.split(' ').next()).collect();
        verbs.dedup();
        let meant = match crate::nearest::nearest(self.verb(), verbs.iter().copied()) {
            Some(verb) => format!("did you mean {verb}? "),
            None => String::new(),
        };
        format!("`{}` is no {kind}; {meant}There are: {}", self.verb(), verbs.join(", "))
    }
}

fn peer(word: &str) -> Option<Peer> {
    let number = |digits: &str| digits.parse().ok().filter(|n| (1..=PEERS_MAX).contains(n));
    match word.split_at_checked(1)? {
        ("n", digits) => number(digits).map(Peer::Node),
        ("g", digits) => number(digits).map(Peer::Gateway),
        _ => None,
    }
}
