//! The words of a line, one after the other, and what could have stood where a wrong one stands.
//!
//! Every number is held against a bound before anybody counts, adds or allocates by it: a file is input from outside.

use std::fmt;
use std::ops::RangeInclusive;

use dataplane::Micros;
use extensions::Chosen;

use crate::schedule::Peer;

/// The longest time a schedule may name: an hour.
pub(crate) const TIME_MAX: Micros = 3_600_000_000;
/// All of a million.
pub(crate) const ALL: u64 = 1_000_000;

/// A word that cannot stand where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The line, from 1; 0 if there is one only.
    pub line: usize,
    /// The word; empty: the line ends where one is missing.
    pub word: String,
    /// What could stand there.
    pub could: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        match &self.word[..] {
            "" => write!(f, "the line ends too early")?,
            word => write!(f, "`{word}` cannot stand there")?,
        }
        write!(f, "; what can: {}", self.could)
    }
}

impl std::error::Error for Wrong {}

/// What reading a part of a line returns.
pub type Read<T> = Result<T, Wrong>;

/// Whom a line may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Storage nodes.
    pub nodes: u32,
    /// Gateways.
    pub gateways: u32,
    /// Shards.
    pub shards: u32,
    /// Clients.
    pub clients: u32,
    /// What it was founded with beside the core.
    pub with: Chosen,
    /// No gateway ever asks a node to take over.
    pub passive: bool,
}

impl Cluster {
    /// The largest that a schedule may have.
    pub(crate) const LARGEST: Cluster =
        Cluster { nodes: 9, gateways: 9, shards: 4, clients: 99, with: Chosen::NONE, passive: false };
}

/// A line that is being read.
#[derive(Clone, Debug)]
pub struct Words<'a> {
    words: Vec<&'a str>,
    at: usize,
    /// Whom it may name.
    pub cluster: Cluster,
}

impl<'a> Words<'a> {
    /// Before the first word of `line`.
    pub fn new(line: &'a str, cluster: Cluster) -> Words<'a> {
        Words { words: line.split_whitespace().collect(), at: 0, cluster }
    }

    /// The next word cannot stand there.
    pub fn wrong<T>(&self, could: impl Into<String>) -> Read<T> {
        let word = self.words.get(self.at).copied().unwrap_or_default();
        // A word may be as long as a file.
        let word = word.chars().take(40).collect();
        Err(Wrong { line: 0, word, could: could.into() })
    }

    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).copied()
    }

    /// Is this the next word?
    pub fn next_is(&self, word: &str) -> bool {
        self.peek() == Some(word)
    }

    /// Are there no more words?
    pub fn is_over(&self) -> bool {
        self.at >= self.words.len()
    }

    /// Takes the next words if they are these.
    pub fn take(&mut self, words: &str) -> bool {
        let wanted: Vec<&str> = words.split(' ').collect();
        let there = self.words[self.at..].starts_with(&wanted);
        self.at += if there { wanted.len() } else { 0 };
        there
    }

    /// The next words have to be these.
    pub fn need(&mut self, words: &str) -> Read<()> {
        if self.take(words) { Ok(()) } else { self.wrong(format!("`{words}`")) }
    }

    /// The line has to be over.
    pub fn end(&self) -> Read<()> {
        if self.is_over() { Ok(()) } else { self.wrong("nothing: the line could end here") }
    }

    /// The next word is one of these, and means what stands beside it.
    pub fn one_of<T: Copy>(&mut self, choices: &[(&str, T)]) -> Read<T> {
        match choices.iter().find(|(word, _)| self.take(word)) {
            Some((_, meaning)) => Ok(*meaning),
            None => self.wrong(list(choices.iter().map(|choice| choice.0))),
        }
    }

    /// The next word as `parse` understands it.
    pub fn understood<T>(&mut self, could: &str, parse: impl Fn(&str) -> Option<T>) -> Read<T> {
        match self.peek().and_then(parse) {
            Some(meaning) => {
                self.at += 1;
                Ok(meaning)
            }
            None => self.wrong(could),
        }
    }

    /// A whole number within bounds.
    pub fn number(&mut self, bounds: RangeInclusive<u64>) -> Read<u64> {
        let could = format!("a number from {} to {}", bounds.start(), bounds.end());
        self.understood(&could, |word| whole(word).filter(|n| bounds.contains(n)))
    }

    /// The same for numbers that are kept in 32 bits.
    pub fn count(&mut self, bounds: RangeInclusive<u32>) -> Read<u32> {
        let (from, upto) = (u64::from(*bounds.start()), u64::from(*bounds.end()));
        self.number(from..=upto).map(|n| n as u32)
    }

    /// A time with its unit.
    pub fn time(&mut self) -> Read<Micros> {
        self.understood("a time such as 300us, 20ms or 1.5s, of at most an hour", time)
    }

    /// A shortest and a longest time.
    pub fn times(&mut self) -> Read<(Micros, Micros)> {
        self.understood("a shortest and a longest time, such as 100us..400us", |word| {
            let (least, most) = word.split_once("..")?;
            let times = (time(least)?, time(most)?);
            (times.0 <= times.1).then_some(times)
        })
    }

    /// A share, in millionths.
    pub fn share(&mut self) -> Read<u64> {
        self.understood("a share such as 5% or 0.25%", |word| {
            fixed(word.strip_suffix('%')?, 4).filter(|share| *share <= ALL)
        })
    }

    /// A share, in hundredths.
    pub fn percent(&mut self) -> Read<u64> {
        self.understood("whole percent, such as 40%", |word| {
            whole(word.strip_suffix('%')?).filter(|percent| *percent <= 100)
        })
    }

    /// How many bytes.
    pub fn bytes(&mut self, most: u64) -> Read<u64> {
        let bytes = self.number(0..=most)?;
        self.need("bytes")?;
        Ok(bytes)
    }

    /// A node.
    pub fn node(&mut self) -> Read<u32> {
        let nodes = self.cluster.nodes;
        self.understood(&names('n', nodes), |word| named(word, 'n', nodes))
    }

    /// A node's replica: `n2/1`, or `n2` for that of the first shard.
    pub fn seat(&mut self) -> Read<(u32, u32)> {
        let Cluster { nodes, shards, .. } = self.cluster;
        let could = match shards {
            1 => names('n', nodes),
            _ => format!("{}, or with a shard, n1/0 to n{nodes}/{}", names('n', nodes), shards - 1),
        };
        self.understood(&could, |word| {
            let (node, shard) = word.split_once('/').unwrap_or((word, "0"));
            let shard = whole(shard).filter(|shard| *shard < u64::from(shards))?;
            Some((named(node, 'n', nodes)?, shard as u32))
        })
    }

    /// A node or a gateway.
    pub fn peer(&mut self) -> Read<Peer> {
        let Cluster { nodes, gateways, .. } = self.cluster;
        let could = format!("{}, or {}", names('n', nodes), names('g', gateways));
        self.understood(&could, |word| peer(word, nodes, gateways))
    }

    /// A gateway.
    pub fn gateway(&mut self) -> Read<u32> {
        let gateways = self.cluster.gateways;
        self.understood(&names('g', gateways), |word| named(word, 'g', gateways))
    }
}

/// Choices, for an error.
pub(crate) fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn names(kind: char, last: u32) -> String {
    if last == 1 { format!("{kind}1") } else { format!("{kind}1 to {kind}{last}") }
}

/// The number of a process or client with this name.
pub(crate) fn named(word: &str, kind: char, last: u32) -> Option<u32> {
    let number = whole(word.strip_prefix(kind)?)?;
    (1..=u64::from(last)).contains(&number).then_some(number as u32)
}

fn peer(word: &str, nodes: u32, gateways: u32) -> Option<Peer> {
    let node = named(word, 'n', nodes).map(Peer::Node);
    node.or_else(|| named(word, 'g', gateways).map(Peer::Gateway))
}

/// A number of digits alone: `parse` would take a sign as well.
pub(crate) fn whole(word: &str) -> Option<u64> {
    word.bytes().all(|b| b.is_ascii_digit()).then(|| word.parse().ok())?
}

/// A number with at most so many digits behind the point, as that many more digits in front of it.
fn fixed(word: &str, digits: usize) -> Option<u64> {
    let (front, behind) = word.split_once('.').unwrap_or((word, ""));
    if behind.len() > digits || (behind.is_empty() && word.contains('.')) {
        return None;
    }
    let scale = 10u64.pow(digits as u32);
    let behind = if behind.is_empty() { 0 } else { whole(&format!("{behind:0<digits$}"))? };
    whole(front)?.checked_mul(scale)?.checked_add(behind)
}

fn time(word: &str) -> Option<Micros> {
    let micros = [("us", 0), ("ms", 3), ("s", 6)]
        .into_iter()
        .find_map(|(unit, digits)| Some(fixed(word.strip_suffix(unit)?, digits)))??;
    (micros <= TIME_MAX).then_some(micros)
}

/// A number without the zeros at the end of what is behind its point.
fn trimmed(value: u64, digits: usize) -> String {
    let scale = 10u64.pow(digits as u32);
    let text = format!("{}.{:0digits$}", value / scale, value % scale);
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// A time in its most readable unit.
pub fn show_time(micros: Micros) -> String {
    match micros {
        0..1_000 => format!("{micros}us"),
        1_000..1_000_000 => format!("{}ms", trimmed(micros, 3)),
        _ => format!("{}s", trimmed(micros, 6)),
    }
}

pub(crate) fn show_share(millionths: u64) -> String {
    format!("{}%", trimmed(millionths, 4))
}

pub(crate) fn show_seat(node: u32, shard: u32) -> String {
    if shard == 0 { format!("n{node}") } else { format!("n{node}/{shard}") }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Node(n) => write!(f, "n{n}"),
            Peer::Gateway(g) => write!(f, "g{g}"),
        }
    }
}
