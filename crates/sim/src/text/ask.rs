//! An operation of a client in words.
//!
//! | operation | asks |
//! |---|---|
//! | `c1 put k0 v7 [N bytes] [if absent]` | stores the value called v7, filled up to N bytes; `if present`; `if unchanged`: if k0 has the version that c1 saw last |
//! | `c1 delete k0 [if present]` | removes it, on the same conditions |
//! | `c1 get k0 [up to N bytes]` | reads it, or how long it is if it is longer than that |
//! | `c1 scan [after k0] [limit N]` | lists keys |
//! | `c1 count` | counts them |
//!
//! and behind any of them `via g2`: it asks g2 first, and not its own gateway.

use std::fmt;

use super::setting::{KEYS_MAX, VALUE_MAX};
use super::words::{Read, Words, named};
use crate::ask::{Ask, What, When};
use crate::client::SCAN_LIMIT;

#[derive(Clone, Copy)]
enum Verb {
    Put,
    Delete,
    Get,
    Scan,
    Count,
}

const VERBS: [(&str, Verb); 5] = [
    ("put", Verb::Put),
    ("delete", Verb::Delete),
    ("get", Verb::Get),
    ("scan", Verb::Scan),
    ("count", Verb::Count),
];

const CONDITIONS: [(&str, When); 3] =
    [("absent", When::Absent), ("present", When::Present), ("unchanged", When::Unchanged)];

/// Values are named by numbers up to this one.
const NAME_MAX: u64 = 1_000_000_000;

/// The rest of a line that names a client; `keys` of them there are.
pub(super) fn read(words: &mut Words, at: u64, keys: u64) -> Read<Ask> {
    let clients = words.cluster.clients;
    let client = words.understood("a client", |word| named(word, 'c', clients))?;
    let what = match words.one_of(&VERBS)? {
        Verb::Put => {
            let key = key(words, keys)?;
            let value = words.understood("the name of a value, such as v7", |word| {
                super::words::whole(word.strip_prefix('v')?).filter(|name| *name <= NAME_MAX)
            })?;
            let when = |words: &Words| words.next_is("if") || words.next_is("via") || words.is_over();
            let bytes = if when(words) { 0 } else { words.bytes(VALUE_MAX)? };
            What::Put { key, value, bytes, when: condition(words)? }
        }
        Verb::Delete => What::Delete { key: key(words, keys)?, when: condition(words)? },
        Verb::Get => {
            let key = key(words, keys)?;
            match words.take("up to") {
                true => What::GetUpTo { key, most: words.bytes(VALUE_MAX)? as u32 },
                false => What::Get { key },
            }
        }
        Verb::Scan => {
            let after = if words.take("after") { Some(key(words, keys)?) } else { None };
            let limit = if words.take("limit") { words.count(1..=SCAN_LIMIT)? } else { SCAN_LIMIT };
            What::Scan { after, limit }
        }
        Verb::Count => What::Count,
    };
    let via = if words.take("via") { Some(words.gateway()?) } else { None };
    Ok(Ask { at, client, via, what })
}

fn key(words: &mut Words, keys: u64) -> Read<u32> {
    let could = format!("a key, k0 to k{}", keys - 1);
    words.understood(&could, |word| {
        super::words::whole(word.strip_prefix('k')?)
            .filter(|key| *key < keys.min(KEYS_MAX))
            .map(|key| key as u32)
    })
}

fn condition(words: &mut Words) -> Read<When> {
    if words.take("if") { words.one_of(&CONDITIONS) } else { Ok(When::Always) }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{} ", self.client)?;
        let condition = |when: When| {
            let named = CONDITIONS.iter().find(|named| named.1 == when);
            named.map_or(String::new(), |named| format!(" if {}", named.0))
        };
        match self.what {
            What::Put { key, value, bytes: 0, when } => write!(f, "put k{key} v{value}{}", condition(when))?,
            What::Put { key, value, bytes, when } => {
                write!(f, "put k{key} v{value} {bytes} bytes{}", condition(when))?
            }
            What::Delete { key, when } => write!(f, "delete k{key}{}", condition(when))?,
            What::Get { key } => write!(f, "get k{key}")?,
            What::GetUpTo { key, most } => write!(f, "get k{key} up to {most} bytes")?,
            What::Scan { after, limit } => {
                write!(f, "scan")?;
                after.iter().try_for_each(|key| write!(f, " after k{key}"))?;
                if limit != SCAN_LIMIT {
                    write!(f, " limit {limit}")?
                }
            }
            What::Count => write!(f, "count")?,
        }
        self.via.iter().try_for_each(|gateway| write!(f, " via g{gateway}"))
    }
}
