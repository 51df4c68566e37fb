//! What clients asked and were told, in rounds: each has keys of its own, so that its history is short enough to be judged,
//! and is judged a while after it ended, when several faults have passed over what it wrote.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dataplane::Condition;
use serde_json::{Value, json};
use sim::history::{Call, Operation, Told};

/// Keys of a round.
pub const KEYS: u32 = 96;
/// So many rounds may wait to be judged. Where the judge is slower than the clients, on a machine that has too much to do, a
/// round goes on until one of these is judged: else what is not deleted yet fills the disks, and a run that is over has to wait
/// for its judge.
const ROUNDS_MAX: usize = 30;
/// A history longer than that makes room: it is kept as the one before, and what was that goes. What breaks a promise is in
/// the last round, so a run of days needs no disk of its own.
const BYTES_MAX: u64 = 256 << 20;

/// One round.
pub struct Round {
    number: u32,
    /// When it began.
    pub since: Instant,
    operations: Mutex<Vec<Operation>>,
}

impl Round {
    /// The number of one of its keys, among all keys.
    pub fn key(&self, at: u32) -> u32 {
        self.number * KEYS + at
    }

    pub fn note(&self, operation: Operation) {
        locked(&self.operations).push(operation);
    }

    pub fn operations(&self) -> Vec<Operation> {
        locked(&self.operations).clone()
    }
}

/// A lock whose holder has panicked guards nothing that could be half done here.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name of a key.
pub fn name(key: u32) -> String {
    format!("t{key}")
}

/// All rounds that are not judged yet.
pub struct Book {
    pub begin: Instant,
    clock: AtomicU64,
    values: AtomicU64,
    rounds: Mutex<Vec<Arc<Round>>>,
    lines: Mutex<Scroll>,
    edn: Mutex<Scroll>,
}

impl Book {
    /// An empty one, which writes what was judged to `history.jsonl` and `history.edn`.
    pub fn open(dir: &Path) -> io::Result<Book> {
        let file = |name: &str| Scroll::open(dir.join(name)).map(Mutex::new);
        let (lines, edn) = (file("history.jsonl")?, file("history.edn")?);
        let (begin, clock, values) = (Instant::now(), AtomicU64::new(1), AtomicU64::new(1));
        let book = Book { begin, clock, values, rounds: Mutex::default(), lines, edn };
        book.turn();
        Ok(book)
    }

    /// Orders calls and returns: whoever asks later gets a greater number.
    pub fn moment(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// A value that nobody else stores.
    pub fn value(&self) -> u64 {
        self.values.fetch_add(1, Ordering::Relaxed)
    }

    pub fn micros(&self) -> u64 {
        self.begin.elapsed().as_micros() as u64
    }

    /// The round of now.
    pub fn round(&self) -> Arc<Round> {
        locked(&self.rounds).last().cloned().expect("one is open from the beginning")
    }

    /// The next round begins, unless too many wait to be judged.
    pub fn turn(&self) {
        let mut rounds = locked(&self.rounds);
        if rounds.len() > ROUNDS_MAX {
            return;
        }
        let number = rounds.last().map_or(0, |round| round.number + 1);
        rounds.push(Arc::new(Round { number, since: Instant::now(), operations: Mutex::default() }));
    }

    /// The oldest round, if it ended so long ago, and nobody writes into it any more; `all`: if nobody does.
    pub fn take(&self, ripe: Duration, all: bool) -> Option<Arc<Round>> {
        let mut rounds = locked(&self.rounds);
        let is_ripe = rounds.get(1).is_some_and(|next| next.since.elapsed() >= ripe);
        let first = rounds.first()?;
        ((all || is_ripe) && Arc::strong_count(first) == 1).then(|| rounds.remove(0))
    }

    /// Writes the history of a round: an operation a line, and as Jepsen writes histories, with a line for each call and
    /// each return.
    pub fn write(&self, operations: &[Operation]) -> io::Result<()> {
        let mut lines = locked(&self.lines);
        for operation in operations {
            lines.write(&line(operation).to_string())?;
        }
        let mut moments: Vec<(u64, String)> = Vec::new();
        for operation in operations {
            let [call, back] = edn(operation);
            moments.push((operation.called, call));
            moments.extend(operation.returned.map(|(at, _)| (at, back)));
        }
        moments.sort_unstable();
        let mut edn = locked(&self.edn);
        moments.iter().try_for_each(|(_, line)| edn.write(line))?;
        lines.end_round()?;
        edn.end_round()
    }
}

/// A file of lines that does not grow for ever.
struct Scroll {
    path: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
}

impl Scroll {
    fn open(path: PathBuf) -> io::Result<Scroll> {
        Ok(Scroll { file: BufWriter::new(File::create(&path)?), path, bytes: 0 })
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        self.bytes += line.len() as u64 + 1;
        writeln!(self.file, "{line}")
    }

    /// A round is never torn in two: each file can be judged by itself.
    fn end_round(&mut self) -> io::Result<()> {
        self.file.flush()?;
        if self.bytes > BYTES_MAX {
            let ending = self.path.extension().unwrap_or_default().to_string_lossy().into_owned();
            fs::rename(&self.path, self.path.with_extension(format!("before.{ending}")))?;
            *self = Scroll::open(self.path.clone())?;
        }
        Ok(())
    }
}

/// What a client speaks: every other one the Redis protocol. The judge needs versions, and speaks HTTP.
pub fn by(client: u32) -> &'static str {
    if client % 2 == 1 { "redis" } else { "http" }
}

/// An operation as a line of JSON.
pub fn line(operation: &Operation) -> Value {
    let Operation { client, key, call, called, returned, at } = operation;
    let condition = |condition: Condition| match condition {
        Condition::Always => Value::Null,
        Condition::Absent => "absent".into(),
        Condition::Present => "present".into(),
        Condition::Version(version) => version.into(),
    };
    let (call, value, condition) = match *call {
        Call::Put(value, c) => ("put", Some(value), condition(c)),
        Call::Delete(c) => ("delete", None, condition(c)),
        _ => ("get", None, Value::Null),
    };
    let (told, version, read) = match returned.map(|(_, told)| told) {
        Some(Told::Written(version)) => ("written", Some(version), None),
        Some(Told::Stored) => ("written", None, None),
        Some(Told::Refused) => ("refused", None, None),
        Some(Told::Deleted(existed)) => (if existed { "deleted" } else { "was absent" }, None, None),
        Some(Told::ConditionFailed(current)) => ("condition failed", current, None),
        Some(Told::Value(version, value)) => ("value", Some(version), Some(value)),
        Some(Told::Missing) => ("missing", None, None),
        Some(Told::Nothing) => ("not done", None, None),
        _ => ("unknown", None, None),
    };
    json!({
        "client": client, "by": by(*client), "key": name(*key), "call": call, "value": value, "condition": condition, "called": called,
        "returned": returned.map(|(at, _)| at), "told": told, "version": version, "read": read, "micros": at,
    })
}

/// Its call and its return as maps of EDN, with the key beside the value.
fn edn(operation: &Operation) -> [String; 2] {
    let Operation { client, key, call, returned, .. } = operation;
    let key = name(*key);
    let map = |kind: &str, f: &str, value: String| {
        format!("{{:process {client}, :type :{kind}, :f :{f}, :value [\"{key}\" {value}]}}")
    };
    let nil = || "nil".to_string();
    let told = returned.map_or(Told::Unknown, |(_, told)| told);
    let (f, asked) = match call {
        Call::Put(value, Condition::Always) => ("write", value.to_string()),
        Call::Put(value, _) => ("write-if-absent", value.to_string()),
        Call::Delete(_) => ("write", nil()),
        _ => ("read", nil()),
    };
    let back = match told {
        Told::Written(_) | Told::Stored | Told::Deleted(_) => map("ok", f, asked.clone()),
        Told::Value(_, value) => map("ok", f, value.to_string()),
        Told::Missing => map("ok", f, nil()),
        Told::ConditionFailed(_) | Told::Refused | Told::Nothing => map("fail", f, asked.clone()),
        _ => map("info", f, asked.clone()),
    };
    [map("invoke", f, asked), back]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_written_for_two_kinds_of_readers() {
        let call = Call::Put(7, Condition::Absent);
        let operation =
            Operation { client: 3, key: 5, call, called: 10, returned: Some((12, Told::Written(4))), at: 99 };
        assert_eq!(
            line(&operation),
            json!({"client": 3, "by": "redis", "key": "t5", "call": "put", "value": 7, "condition": "absent", "called": 10,
                "returned": 12, "told": "written", "version": 4, "read": null, "micros": 99})
        );
        let wanted = [
            "{:process 3, :type :invoke, :f :write-if-absent, :value [\"t5\" 7]}",
            "{:process 3, :type :ok, :f :write-if-absent, :value [\"t5\" 7]}",
        ];
        assert_eq!(edn(&operation), wanted);
        let unknown = Operation { returned: Some((12, Told::Unknown)), ..operation };
        assert!(edn(&unknown)[1].contains(":type :info"));
    }

    #[test]
    fn a_history_that_is_too_long_makes_room_and_the_one_before_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut scroll = Scroll::open(dir.path().join("history.jsonl")).unwrap();
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap_or_default();
        for round in ["one", "two", "three"] {
            scroll.write(round).unwrap();
            scroll.end_round().unwrap();
            assert_eq!(read("history.before.jsonl"), "");
        }
        scroll.bytes = BYTES_MAX;
        scroll.write("four").unwrap();
        assert_eq!(read("history.before.jsonl"), "", "a round is not torn in two");
        scroll.end_round().unwrap();
        assert_eq!(
            (&read("history.before.jsonl")[..], &read("history.jsonl")[..]),
            ("one\ntwo\nthree\nfour\n", "")
        );
        scroll.write("five").unwrap();
        scroll.end_round().unwrap();
        assert_eq!(read("history.jsonl"), "five\n");
    }

    #[test]
    fn a_round_is_taken_once_it_is_over_and_nobody_writes_into_it() {
        let dir = tempfile::tempdir().unwrap();
        let book = Book::open(dir.path()).unwrap();
        let client = book.round();
        let (now, later) = (Duration::ZERO, Duration::from_secs(600));
        assert!(book.take(now, false).is_none(), "it is the round of now");
        book.turn();
        assert!(book.take(now, false).is_none(), "a client is still in it");
        drop(client);
        assert!(book.take(later, false).is_none());
        assert_eq!(book.take(now, false).map(|round| round.key(0)), Some(0));
        assert_eq!(book.round().key(1), KEYS + 1);
        assert!(book.take(now, false).is_none(), "it is the round of now");
        assert!(book.take(later, true).is_some(), "in the end, that too");
    }

    #[test]
    fn while_the_judge_is_behind_the_round_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let book = Book::open(dir.path()).unwrap();
        (0..2 * ROUNDS_MAX).for_each(|_| book.turn());
        assert_eq!(book.round().number as usize, ROUNDS_MAX);
        assert!(book.take(Duration::ZERO, false).is_some());
        book.turn();
        assert_eq!(book.round().number as usize, ROUNDS_MAX + 1);
    }
}
