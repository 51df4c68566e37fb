//! `torture`: a cluster of real processes under faults, and clients whose histories are judged.
//!
//! | file | job |
//! |---|---|
//! | `cluster` | an `up` of its own |
//! | `faults` | what is done to it |
//! | `clients` | who asks, and what is heard |
//! | `book` | what was asked and told, in rounds; as JSON Lines and as Jepsen writes it |
//! | `gauge` | throughput, latency, silence |
//! | `report` | what came of it |

mod book;
mod clients;
mod cluster;
mod faults;
mod gauge;
mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use sim::checkers::linearizability::{self, Verdict};
use sim::history::{Call, Operation, Told};
use sim::rng::Rng;

use crate::failure::{Failure, Result, me, note, say};
use crate::interrupt;
use book::{Book, KEYS, Round, line, locked};
use clients::Client;
use cluster::{Cluster, Size};
use faults::{Done, Nemesis};
use gauge::Gauge;
use report::Report;

/// How long a round is, and how old it is when it is judged.
const ROUND: Duration = Duration::from_secs(2);
const RIPE: Duration = Duration::from_secs(20);
/// The number of the client that reads everything once more.
const JUDGE: u32 = 0;
/// How often the judge asks for a key until it is answered; between these it waits a quarter of a second.
const READS_MAX: u32 = 240;

/// Kill, pause, isolate, wipe and damage the processes of a cluster while clients use it, and judge what they were told
///
/// Starts a cluster of its own in DIR and ends it. Every key's history must be linearizable, and hold what was
/// acknowledged after several faults have passed. Which faults come, and in which order, a seed decides; when exactly each
/// strikes, the machine does. If a promise is broken, DIR stays, with the histories, the images and the logs.
#[derive(Debug, Args)]
pub struct Torture {
    /// For how long
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    seconds: u64,
    /// Decides which faults come; by default a random one
    #[arg(long)]
    seed: Option<u64>,
    /// Storage nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(3..=9))]
    nodes: u32,
    /// Gateways
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=8))]
    gateways: u32,
    /// Shards
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=8))]
    shards: u32,
    /// Extensions that the cluster is founded with, such as elections
    #[arg(long, value_name = "EXTENSIONS")]
    with: Option<String>,
    /// Clients that ask at the same time
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1000))]
    clients: u32,
    /// Folder for the cluster and the histories; it must not exist
    #[arg(long, default_value = "./cutaway-torture")]
    dir: PathBuf,
    /// Keep the folder, whatever came of it
    #[arg(long)]
    keep: bool,
    /// Write a page with the faults over throughput and latency
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print the result as one line of JSON
    #[arg(long)]
    json: bool,
}

impl Torture {
    pub fn run(self) -> Result {
        let seed = match self.seed {
            Some(seed) => seed,
            None => u64::from(getrandom::u32().map_err(Failure::error)?),
        };
        fs::create_dir(&self.dir).map_err(|e| {
            Failure::error(format!("{}: {e}", self.dir.display())).next("name another folder with --dir")
        })?;
        let dir = self.dir.canonicalize().map_err(Failure::error)?;
        let report = self.torture(seed, &dir)?;
        if let Some(file) = &self.html {
            fs::write(file, report.page()).map_err(|e| Failure::error(format!("{}: {e}", file.display())))?;
        }
        if self.json {
            say(report.json());
        } else {
            report.lines().iter().for_each(say);
        }
        match report.broken {
            Some(what) => Err(Failure::error(format!("{what}; everything is in {}", dir.display()))
                .next(format!("{} torture --seed {seed} --seconds {} --dir again", me(), self.seconds))),
            None if self.keep => Ok(()),
            None => fs::remove_dir_all(&dir).map_err(|e| Failure::error(format!("{}: {e}", dir.display()))),
        }
    }

    fn torture(&self, seed: u64, dir: &Path) -> Result<Report> {
        let stop = interrupt::asked().map_err(Failure::error)?;
        let Torture { nodes, gateways, shards, clients, .. } = *self;
        let size = Size { nodes, gateways, shards };
        let cluster = Cluster::found(&dir.join("cluster"), size, self.with.as_deref())?;
        let book = Book::open(dir).map_err(Failure::error)?;
        let (gauge, doors) = (Gauge::default(), cluster.gateways());
        let (over, calm, judged) = (AtomicBool::new(false), AtomicBool::new(false), Judged::default());
        let faults: Mutex<Vec<Done>> = Mutex::default();
        let bar = ProgressBar::new(self.seconds);
        bar.set_style(
            ProgressStyle::with_template("{bar:24} {pos}/{len} s  {msg}").expect("the template is one"),
        );
        std::thread::scope(|scope| {
            let rng = Rng::stream(seed, "torture", 0);
            let mut nemesis = Nemesis { cluster: &cluster, book: &book, gauge: &gauge, rng };
            let (calm_is, judged_by, done_by) = (&calm, &judged, &faults);
            let nemesis = scope.spawn(move || {
                let ended = nemesis.run(calm_is, |done| locked(done_by).push(done.clone()));
                ended.unwrap_or_else(|why| judged_by.break_promise(why));
            });
            for number in 1..=clients {
                let client = Client::new(number, &doors, &book);
                let (over, gauge) = (&over, &gauge);
                scope.spawn(move || client.run(seed, over, gauge));
            }
            let judge = Client::new(JUDGE, &doors, &book);
            let (judged, book, over, faults) = (&judged, &book, &over, &faults);
            let judging = scope.spawn(move || judged.run(&judge, book, over));
            while book.begin.elapsed().as_secs() < self.seconds
                && !judged.is_broken()
                && !stop.load(Ordering::Relaxed)
            {
                std::thread::sleep(ROUND.min(Duration::from_millis(500)));
                if book.round().since.elapsed() >= ROUND {
                    book.turn();
                }
                bar.set_position(book.begin.elapsed().as_secs());
                let last = locked(faults)
                    .last()
                    .map_or(String::new(), |done| format!(", last: {}", done.kind.words()));
                let count = locked(faults).len();
                bar.set_message(format!("{} answered, {count} faults{last}", gauge.counts.all()[0]));
            }
            calm.store(true, Ordering::Relaxed);
            let _ = nemesis.join();
            over.store(true, Ordering::Relaxed);
            let _ = judging.join();
        });
        bar.finish_and_clear();
        if stop.load(Ordering::Relaxed) {
            note("stopped before its time\n");
        }
        let broken = locked(&judged.broken).clone();
        let (keys, undecided) =
            (judged.keys.load(Ordering::Relaxed), judged.undecided.load(Ordering::Relaxed));
        let (micros, operations, seconds) = (book.micros(), gauge.counts.all(), gauge.seconds());
        let faults = locked(&faults).clone();
        Ok(Report { seed, size, clients, micros, operations, keys, undecided, faults, seconds, broken })
    }
}

/// Who judges histories, and what was found.
#[derive(Default)]
struct Judged {
    keys: AtomicU64,
    undecided: AtomicU64,
    broken: Mutex<Option<String>>,
}

impl Judged {
    fn is_broken(&self) -> bool {
        locked(&self.broken).is_some()
    }

    fn break_promise(&self, what: String) {
        locked(&self.broken).get_or_insert(what);
    }

    /// Judges each round when it is ripe; in the end all that are left.
    fn run(&self, judge: &Client, book: &Book, over: &AtomicBool) {
        loop {
            let last = over.load(Ordering::Relaxed);
            match book.take(|round| last || round.since.elapsed() > ROUND + RIPE, last) {
                Some(round) => self.round(judge, book, &round),
                None if last => return,
                None => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    fn round(&self, judge: &Client, book: &Book, round: &Round) {
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
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use dataplane::Condition;

    use super::*;

    /// A gateway that has nothing.
    fn empty_gateway() -> String {
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
        address
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
}
