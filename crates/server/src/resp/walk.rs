//! Commands that go over all keys: `SCAN`, `KEYS`, `RANDOMKEY`.
//!
//! A cursor of Redis is a number, and a key does not fit into a number. So `SCAN` does not go in the order of the keys
//! but of their *positions*: a hash of 53 bits, the same in every process and for ever. A cursor is a position, and says
//! everything: the page holds the keys behind it that come first in this order. No gateway remembers a scan; any goes on
//! with any cursor, after any restart.
//!
//! What holds: **a key that has a value from the beginning of a scan to its end is returned exactly once**, and a scan
//! ends, because each page moves the cursor on. Keys that come or go meanwhile are returned at most once for each
//! position, or not at all. Keys of one position, should there be any, are never divided over two pages.
//!
//! Nothing is kept in this order anywhere: it would cost every node memory for every key, and time for every put. So each
//! page lists the keys (those with the pattern's prefix), and keeps what comes first. To make that rare, a page holds at
//! least the sixteenth part of them, up to [`PAGE_KEYS_MAX`], whatever `COUNT` says.

use std::collections::BTreeSet;
use std::hash::Hasher;
use std::sync::Arc;

use bytes::Bytes;
use dataplane::Query;
use gateway::{Reply, Request, SCAN_LIMIT_MAX};
use siphasher::sip::SipHasher13;

use super::glob;
use super::reply::{Value, failed};
use crate::core::Handle;

/// Most keys of one page.
pub const PAGE_KEYS_MAX: usize = 50_000;
/// Most bytes that the keys of one page take.
const PAGE_BYTES_MAX: usize = 4 << 20;
/// Into how many pages a scan divides the keys, unless they are so many that a page is full.
const PAGES: usize = 16;
/// Most keys that `KEYS` answers with, and the bytes that they take.
const KEYS_MAX: (usize, usize) = (100_000, 8 << 20);
/// What a key in a reply takes beside its own bytes.
const OVERHEAD: usize = 64;

/// A command that goes over all keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Walk {
    /// `SCAN cursor [MATCH pattern] [COUNT count]`
    Scan { cursor: u64, pattern: Option<Bytes>, count: usize },
    /// `KEYS pattern`
    Keys(Bytes),
    /// `RANDOMKEY`
    Random,
}

/// Where a key stands among all: from 1 to 2⁵³ − 1, so that a client that takes it for a floating-point number does no
/// harm. Whoever chooses the keys cannot make many stand at one place, which a weaker hash would let them do.
pub fn position(key: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0x6375_7461_7761_7921, 0x7363_616e_2063_7572);
    hasher.write(key);
    (hasher.finish() >> 11).max(1)
}

type Key = Arc<[u8]>;

/// The keys behind a position that come first, as many as a page holds at most.
struct Page {
    after: u64,
    keys: BTreeSet<(u64, Key)>,
    bytes: usize,
    /// Keys from here on did not fit.
    end: Option<u64>,
    /// How many there are in all, before and behind.
    seen: usize,
    max: (usize, usize),
}

impl Page {
    fn new(after: u64, max: (usize, usize)) -> Page {
        Page { after, keys: BTreeSet::new(), bytes: 0, end: None, seen: 0, max }
    }

    fn offer(&mut self, key: Key) {
        self.seen += 1;
        let position = position(&key);
        if position <= self.after || self.end.is_some_and(|end| position >= end) {
            return;
        }
        self.bytes += key.len() + OVERHEAD;
        self.keys.insert((position, key));
        // All keys of the last position leave together, and not if there is no other: the cursor could not say which were
        // returned.
        while self.keys.len() > self.max.0 || self.bytes > self.max.1 {
            let (Some((first, _)), Some((last, _))) = (self.keys.first(), self.keys.last()) else { return };
            if first == last {
                return;
            }
            let last = *last;
            for (_, key) in self.keys.split_off(&(last, [].into())) {
                self.bytes -= key.len() + OVERHEAD;
            }
            self.end = Some(last);
        }
    }

    /// The page's keys, and the cursor behind them: 0 if there are no more.
    fn close(mut self, count: usize) -> (u64, Vec<Key>) {
        let wanted = count.max(self.seen / PAGES).max(1);
        if let Some(last) = self.keys.iter().nth(wanted - 1).map(|(position, _)| *position) {
            let rest = self.keys.split_off(&(last + 1, [].into()));
            if !rest.is_empty() || self.end.is_some() {
                return (last, self.keys.into_iter().map(|(_, key)| key).collect());
            }
        }
        let last = self.keys.last().filter(|_| self.end.is_some()).map_or(0, |(position, _)| *position);
        (last, self.keys.into_iter().map(|(_, key)| key).collect())
    }
}

impl Walk {
    /// How much its reply may take.
    pub fn reply_bytes(&self) -> usize {
        match self {
            Walk::Scan { .. } => PAGE_BYTES_MAX,
            Walk::Keys(_) => KEYS_MAX.1,
            Walk::Random => 0,
        }
    }

    /// Runs the command. It asks for one page of the listing after the other, and others' requests come in between.
    pub async fn run(&self, core: &Handle) -> Value {
        let turn = core.borrow().resp_clients.walks.clone();
        let _turn = turn.acquire_owned().await;
        let result = match self {
            Walk::Scan { cursor, pattern, count } => scan(core, *cursor, pattern.as_ref(), *count).await,
            Walk::Keys(pattern) => keys(core, pattern).await,
            Walk::Random => random(core).await,
        };
        result.unwrap_or_else(|failure| match failed(&failure) {
            Some((code, why)) => Value::Error(format!("{code} {why}")),
            None => Value::Nothing,
        })
    }
}

async fn scan(core: &Handle, cursor: u64, pattern: Option<&Bytes>, count: usize) -> Result<Value, Reply> {
    let prefix = pattern.map_or(&b""[..], |pattern| glob::literal_prefix(pattern));
    let mut page = Page::new(cursor, (PAGE_KEYS_MAX, PAGE_BYTES_MAX));
    list(core, prefix, |key| {
        page.offer(key);
        true
    })
    .await?;
    let (cursor, keys) = page.close(count);
    let wanted = |key: &Key| pattern.is_none_or(|pattern| glob::matches(pattern, key));
    let keys = keys.into_iter().filter(wanted).map(Value::stored).collect();
    Ok(Value::List(vec![Value::text(cursor.to_string()), Value::List(keys)]))
}

async fn keys(core: &Handle, pattern: &Bytes) -> Result<Value, Reply> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    let all = list(core, glob::literal_prefix(pattern), |key| {
        if glob::matches(pattern, &key) {
            bytes += key.len() + OVERHEAD;
            found.push(Value::stored(key));
        }
        found.len() <= KEYS_MAX.0 && bytes <= KEYS_MAX.1
    });
    if !all.await? {
        let (keys, bytes) = KEYS_MAX;
        return Ok(Value::Error(format!(
            "ERR more than {keys} keys match, or they have more than {} MiB: use SCAN",
            bytes >> 20
        )));
    }
    Ok(Value::List(found))
}

async fn random(core: &Handle) -> Result<Value, Reply> {
    let from = u64::from_le_bytes(crate::manifest::random()) >> 11;
    let mut behind = Page::new(from, (1, usize::MAX));
    let mut any = Page::new(0, (1, usize::MAX));
    list(core, b"", |key| {
        behind.offer(key.clone());
        any.offer(key);
        true
    })
    .await?;
    let first = behind.keys.pop_first().or(any.keys.pop_first());
    Ok(first.map_or(Value::Nothing, |(_, key)| Value::stored(key)))
}

/// Shows the keys that begin with `prefix` one by one, in order, until it has enough; true if those were all.
async fn list(core: &Handle, prefix: &[u8], mut goes_on: impl FnMut(Key) -> bool) -> Result<bool, Reply> {
    let mut after = None;
    loop {
        let request =
            Request::Read(Query::Scan { prefix: prefix.into(), after: after.take(), limit: SCAN_LIMIT_MAX });
        let reply = core.borrow_mut().submit(request);
        let keys = match reply.await {
            Ok(Reply::Keys(keys)) => keys,
            Ok(failure) => return Err(failure),
            Err(_) => return Err(Reply::Unavailable("the gateway is stopping".into())),
        };
        if keys.len() == SCAN_LIMIT_MAX as usize {
            after = keys.last().map(|(key, ..)| key.clone());
        }
        for (key, ..) in keys {
            if !goes_on(key) {
                return Ok(false);
            }
        }
        if after.is_none() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> Key {
        format!("key:{n:06}").into_bytes().into()
    }

    /// One page of these keys.
    fn page(
        keys: impl Iterator<Item = usize>,
        after: u64,
        count: usize,
        max: (usize, usize),
    ) -> (u64, Vec<Key>) {
        let mut page = Page::new(after, max);
        keys.for_each(|n| page.offer(key(n)));
        page.close(count)
    }

    #[test]
    fn positions_are_the_same_for_ever() {
        // Cursors of one version mean the same in the next.
        let found = [&b"a"[..], b"key:000001", &[0xff; 1024]].map(position);
        assert_eq!(found, POSITIONS);
        assert!(found.iter().all(|position| *position < 1 << 53));
    }
    const POSITIONS: [u64; 3] = [4365273474307550, 7887037421494469, 3424082790236480];

    #[test]
    fn every_key_that_is_there_all_the_time_is_returned_exactly_once_whatever_comes_and_goes() {
        for (count, max) in
            [(1, (50, usize::MAX)), (10, (PAGE_KEYS_MAX, PAGE_BYTES_MAX)), (7, (1000, 200 + 20 * OVERHEAD))]
        {
            let (mut cursor, mut seen, mut pages) = (0, Vec::new(), 0);
            loop {
                // Every third key stays; the others are there now and then.
                let present = (0..1000).filter(|n| n % 3 == 0 || (n + pages) % 2 == 0);
                let (next, keys) = page(present, cursor, count, max);
                assert!(next == 0 || next > cursor, "the cursor moves on");
                seen.extend(keys);
                (cursor, pages) = (next, pages + 1);
                if cursor == 0 {
                    break;
                }
            }
            let times = |n: usize| seen.iter().filter(|seen| **seen == key(n)).count();
            assert!((0..1000).all(|n| if n % 3 == 0 { times(n) == 1 } else { times(n) <= 1 }));
            assert!(pages > 3, "{pages} pages");
        }
    }

    #[test]
    fn keys_of_one_position_are_not_divided_over_two_pages() {
        let mut page = Page::new(0, (2, usize::MAX));
        page.keys = (0..4).map(|n| (5, key(n))).collect();
        let alone = key(4);
        page.offer(alone.clone());
        let (cursor, keys) = page.close(1);
        match position(&alone) < 5 {
            true => assert_eq!((cursor, keys), (position(&alone), vec![alone])),
            false => assert_eq!((cursor, keys.len()), (5, 4)),
        }
    }

    #[test]
    fn few_keys_come_in_pages_of_the_size_that_was_asked_for() {
        let (cursor, keys) = page(0..100, 0, 10, (PAGE_KEYS_MAX, PAGE_BYTES_MAX));
        assert_eq!(keys.len(), 10);
        assert_eq!(cursor, position(keys.last().unwrap()));
        assert_eq!(
            page(0..100, 0, 100, (PAGE_KEYS_MAX, PAGE_BYTES_MAX)).0,
            0,
            "a last page that is full is the last"
        );
        assert_eq!(page(0..0, 0, 10, (PAGE_KEYS_MAX, PAGE_BYTES_MAX)), (0, Vec::new()));
        assert_eq!(page(0..100, u64::MAX, 10, (PAGE_KEYS_MAX, PAGE_BYTES_MAX)), (0, Vec::new()));
    }
}
