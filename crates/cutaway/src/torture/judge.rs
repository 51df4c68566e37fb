//! Reads every key of a round once more when it is ripe, looks for an order of the operations that explains every answer, and
//! deletes what was judged: a run of days must not fill the disks by itself.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use dataplane::Condition;
use sim::checkers::linearizability::{self, Verdict};
use sim::history::{Call, Operation, Told};
use sim::rng::Rng;

use super::book::{Book, KEYS, Round, line, locked};
use super::clients::Client;
use crate::failure::note;

/// How long a round is, and how long ago it ended when it is judged.
pub const ROUND: Duration = Duration::from_secs(2);
const RIPE: Duration = Duration::from_secs(20);
/// The number of the client that reads everything once more.
pub const JUDGE: u32 = 0;
/// With so much about broken promises nobody misses what came after it.
const TOLD_BYTES: usize = 2_000;
/// How often the judge asks for a key until it is answered; between these it waits a quarter of a second.
const READS_MAX: u32 = 240;

/// Who judges histories, and what was found.
#[derive(Default)]
pub struct Judged {
    pub keys: AtomicU64,
    pub undecided: AtomicU64,
    pub broken: Mutex<Option<String>>,
}

impl Judged {
    pub fn is_broken(&self) -> bool {
        locked(&self.broken).is_some()
    }

    /// The first is why the run ends; the next few are told too: what ends a run may be less than what its histories hold.
    pub fn break_promise(&self, what: String) {
        match &mut *locked(&self.broken) {
            Some(told) if told.len() < TOLD_BYTES => *told += &format!("; and {what}"),
            Some(_) => {}
            none => *none = Some(what),
        }
    }

    /// Judges each round when it is ripe; in the end all that are left.
    pub fn run(&self, judge: &Client, book: &Book, over: &AtomicBool) {
        loop {
            let last = over.load(Ordering::Relaxed);
            match book.take(RIPE, last) {
                Some(round) => self.round(judge, book, &round, last),
                None if last => return,
                None => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    fn round(&self, judge: &Client, book: &Book, round: &Round, last: bool) {
        let mut rng = Rng::stream(u64::from(round.key(0)), "torture judge", 0);
        for at in 0..KEYS {
            match self.read(judge, round.key(at), &mut rng) {
                Some(read) => round.note(read),
                None => self
                    .break_promise(format!("P4: nobody answered a read of t{} for a minute", round.key(at))),
            }
        }
        let history = round.operations();
        if let Err(error) = book.write(&history) {
            note(format!("the history cannot be written: {error}\n"));
        }
        for key in (0..KEYS).map(|at| round.key(at)) {
            self.keys.fetch_add(1, Ordering::Relaxed);
            match linearizability::check(&history, key) {
                Verdict::Linearizable => {}
                Verdict::Undecided => _ = self.undecided.fetch_add(1, Ordering::Relaxed),
                Verdict::Violated(operation) => {
                    self.break_promise(format!(
                        "P1, P2: no order of the operations on t{key} explains {}",
                        line(&operation)
                    ));
                }
            }
            // Whoever looks for the cause wants to see it; and in the end the disks go. If the delete fails, a key more stays.
            if !last && !self.is_broken() {
                judge.ask(key, Call::Delete(Condition::Always), &mut rng);
            }
        }
    }

    /// Reads a key until it is answered.
    fn read(&self, judge: &Client, key: u32, rng: &mut Rng) -> Option<Operation> {
        (0..READS_MAX).find_map(|_| {
            let read = judge.ask(key, Call::Get, rng);
            let answered = read.returned.is_some_and(|(_, told)| told != Told::Nothing);
            if !answered {
                std::thread::sleep(Duration::from_millis(250));
            }
            answered.then_some(read)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::super::cluster::Doors;
    use super::*;

    /// A gateway that has nothing.
    fn empty_gateway() -> Doors {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
                    while stream.read(&mut [0; 4096]).is_ok_and(|bytes| bytes > 0) {
                        if stream.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Doors { redis: address.clone(), http: address }
    }

    fn put(book: &Book, round: &Round, told: Told) {
        let (called, returned) = (book.moment(), Some((book.moment(), told)));
        let call = Call::Put(book.value(), Condition::Always);
        round.note(Operation { client: 1, key: round.key(3), call, called, returned, at: 0 });
    }

    #[test]
    fn a_write_that_was_acknowledged_and_is_gone_is_told_and_one_of_unknown_outcome_may_be_gone() {
        let (dir, doors) = (tempfile::tempdir().unwrap(), [empty_gateway()]);
        for (told, broken) in [(Told::Unknown, false), (Told::Written(7), true)] {
            let (book, judged) = (Book::open(dir.path()).unwrap(), Judged::default());
            put(&book, &book.round(), told);
            judged.run(&Client::new(JUDGE, &doors, &book), &book, &AtomicBool::new(true));
            assert_eq!(judged.is_broken(), broken, "{:?}", judged.broken);
            assert_eq!(judged.keys.into_inner(), u64::from(KEYS));
            // Whoever judges for themselves has all of it.
            let lines = fs::read_to_string(dir.path().join("history.jsonl")).unwrap();
            assert_eq!(lines.lines().count(), KEYS as usize + 1);
            let edn = fs::read_to_string(dir.path().join("history.edn")).unwrap();
            assert_eq!(edn.lines().count(), 2 * (KEYS as usize + 1));
        }
    }

    #[test]
    fn a_run_that_was_ended_by_something_else_still_tells_what_was_lost() {
        let (dir, doors) = (tempfile::tempdir().unwrap(), [empty_gateway()]);
        let (book, judged) = (Book::open(dir.path()).unwrap(), Judged::default());
        put(&book, &book.round(), Told::Written(7));
        judged.break_promise("no fault can be done".into());
        judged.run(&Client::new(JUDGE, &doors, &book), &book, &AtomicBool::new(true));
        let told = locked(&judged.broken).clone().unwrap();
        assert!(told.starts_with("no fault can be done; and P1, P2: "), "{told}");
    }
}
