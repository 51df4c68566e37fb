//! The words of a line: the simulator's reader, with the forms of the line behind each error.

use std::fmt;

use extensions::Chosen;
use sim::schedule::Peer;
use sim::text::{Cluster, Wrong};

use crate::nearest::nearest;

/// Most nodes, and most gateways.
pub const PEERS_MAX: u32 = 9;
/// The longest key and value of a step, in bytes.
pub const TEXT_MAX: usize = 64;

/// A form of a line, and what it means.
type Form = (&'static str, &'static str);

/// Whom a line may name; whether they are there is a matter of the cluster.
const ANYBODY: Cluster = Cluster {
    nodes: PEERS_MAX,
    gateways: PEERS_MAX,
    shards: 1,
    clients: 0,
    with: Chosen::NONE,
    passive: false,
};

/// Which messages, of those on their way from one process to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Which {
    /// The sender.
    pub from: Peer,
    /// The receiver.
    pub to: Peer,
    /// What they are called.
    pub name: Option<String>,
    /// Of these the I-th, from 1.
    pub nth: Option<usize>,
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.from, self.to)?;
        self.name.iter().try_for_each(|name| write!(f, " {name}"))?;
        self.nth.iter().try_for_each(|nth| write!(f, " {nth}"))
    }
}

/// A line that is being read.
pub(super) struct Words<'a> {
    words: sim::text::Words<'a>,
    verb: &'a str,
    forms: &'static [Form],
}

impl<'a> Words<'a> {
    /// Behind the first word.
    pub(super) fn of(line: &'a str, forms: &'static [Form]) -> Words<'a> {
        let (verb, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        Words { words: sim::text::Words::new(rest, ANYBODY), verb, forms }
    }

    /// The first word.
    pub(super) fn verb(&self) -> &'a str {
        self.verb
    }

    pub(super) fn are_left(&self) -> bool {
        !self.words.is_over()
    }

    /// Is this the next word? Then it is behind us.
    pub(super) fn is(&mut self, word: &str) -> bool {
        self.words.take(word)
    }

    /// An error says which forms the line can have.
    fn with_forms<T>(&self, read: Result<T, Wrong>) -> Result<T, String> {
        read.map_err(|wrong| {
            let forms = self.forms.iter().map(|form| form.0);
            let forms = forms.filter(|form| form.split(' ').next() == Some(self.verb));
            let forms: Vec<String> = forms.map(|form| format!("`{form}`")).collect();
            format!("{wrong} ({})", forms.join(" or "))
        })
    }

    pub(super) fn literal(&mut self, word: &str) -> Result<(), String> {
        let read = self.words.need(word);
        self.with_forms(read)
    }

    pub(super) fn number(&mut self) -> Result<u64, String> {
        self.number_upto(u64::MAX)
    }

    pub(super) fn number_upto(&mut self, max: u64) -> Result<u64, String> {
        let read = self.words.number(0..=max);
        self.with_forms(read)
    }

    pub(super) fn peer(&mut self) -> Result<Peer, String> {
        let read = self.words.peer();
        self.with_forms(read)
    }

    pub(super) fn node(&mut self) -> Result<u32, String> {
        let read = self.words.node();
        self.with_forms(read)
    }

    /// `via gX`.
    pub(super) fn via(&mut self) -> Result<u32, String> {
        self.literal("via")?;
        let read = self.words.gateway();
        self.with_forms(read)
    }

    /// `keep K`.
    pub(super) fn keep(&mut self) -> Result<usize, String> {
        self.literal("keep")?;
        self.number_upto(u64::from(u32::MAX)).map(|keep| keep as usize)
    }

    /// One of these words.
    pub(super) fn one_of<T: Copy>(&mut self, choices: &[(&str, T)]) -> Result<T, String> {
        let read = self.words.one_of(choices);
        self.with_forms(read)
    }

    /// A key or a value.
    pub(super) fn text(&mut self) -> Result<String, String> {
        let could = format!("a word of at most {TEXT_MAX} bytes");
        let read = self.words.understood(&could, |word| (word.len() <= TEXT_MAX).then(|| word.to_string()));
        self.with_forms(read)
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
        let ends = |words: &Self| !words.are_left() || words.words.next_is("to");
        let name = if ends(self) { None } else { Some(self.text()?) };
        let nth = if name.is_none() || ends(self) { None } else { Some(self.number_upto(1 << 20)? as usize) };
        Ok(Which { from, to, name, nth })
    }

    pub(super) fn end(&self) -> Result<(), String> {
        self.with_forms(self.words.end())
    }

    /// The verb is none; `kind` says of what.
    pub(super) fn no_such_line(&self, kind: &str) -> String {
        let mut verbs: Vec<&str> = self.forms.iter().filter_map(|form| form.0.split(' ').next()).collect();
        verbs.dedup();
        let meant = match nearest(self.verb, verbs.iter().copied()) {
            Some(verb) => format!("did you mean {verb}? "),
            None => String::new(),
        };
        format!("`{}` is no {kind}; {meant}There are: {}", self.verb, verbs.join(", "))
    }
}
