//! `torture`: a cluster of real processes under faults, and clients whose histories are judged.
//!
//! | file | job |
//! |---|---|
//! | `cluster` | an `up` of its own |
//! | `kinds`, `means`, `packets` | which faults there are; what some of them need, and whether it is here; those of the network |
//! | `command` | other programs, run to their end |
//! | `faults`, `disk` | what is done to the cluster; to its disks |
//! | `clients`, `resp`, `value` | who asks, and what is heard; over the Redis protocol; what is stored |
//! | `book` | what was asked and told, in rounds; as JSON Lines and as Jepsen writes it |
//! | `judge` | whether that can be explained |
//! | `gauge` | throughput, latency, silence |
//! | `report`, `folder` | what came of it; what is left if a promise broke |
//! | `namespace` | a network of its own |

mod book;
mod clients;
mod cluster;
mod command;
mod disk;
mod faults;
mod folder;
mod gauge;
mod judge;
mod kinds;
mod means;
mod namespace;
mod packets;
mod report;
mod resp;
mod value;

use std::fs;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use sim::rng::Rng;

use crate::failure::{Failure, Result, note, say, say_wrapped};
use crate::interrupt;
use book::{Book, locked};
use clients::Client;
use cluster::{Cluster, Founding, Size};
use faults::{Done, Nemesis};
use folder::Folder;
use gauge::Gauge;
use judge::{JUDGE, Judged, ROUND};
use kinds::Kind;
use means::{Means, Need};
use report::Report;

/// Between two lines about how far a run has come, where no bar can be drawn.
const REPORT: Duration = Duration::from_secs(60);

/// Kill, pause, isolate, wipe and damage the processes of a cluster while clients use it, and judge what they were told
///
/// Starts a cluster of its own in DIR and ends it. Every key's history must be linearizable, and hold what was
/// acknowledged after several faults have passed. Which faults come, and in which order, a seed decides; when exactly each
/// strikes, the machine does. Faults that need a program which is not here are skipped, and the reason is told. If a promise
/// is broken, DIR stays, with the command to repeat it, the histories, the images, traces and the logs.
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
    /// Only these faults, by the names in docs/torture.md, such as kill-primary,fail-sync; by default all that can be had
    #[arg(long, value_name = "FAULT,…", value_delimiter = ',', value_parser = Kind::parse)]
    faults: Vec<Kind>,
    /// In a network namespace of its own (Linux), where packets are lost, late and out of order too, by netem or nftables
    #[arg(long)]
    namespace: bool,
    /// This process is in that namespace.
    #[arg(long, hide = true)]
    inside: bool,
    /// Record every event of each node in DIR. Slow: a line is written for each
    #[arg(long)]
    trace: bool,
    /// Clients that ask at the same time, half of them over the Redis protocol
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
        if self.namespace && !self.inside {
            match namespace::can_be_made() {
                Ok(()) => return namespace::enter(),
                Err(why) => note(format!("SKIPPED: a network namespace cannot be made here: {why}\n")),
            }
        }
        let seed = match self.seed {
            Some(seed) => seed,
            None => u64::from(getrandom::u32().map_err(Failure::error)?),
        };
        fs::create_dir(&self.dir).map_err(|e| {
            Failure::error(format!("{}: {e}", self.dir.display())).next("name another folder with --dir")
        })?;
        let dir = self.dir.canonicalize().map_err(Failure::error)?;
        let folder = Folder { dir: dir.clone(), again: self.again(seed) };
        let report = self.torture(seed, &folder)?;
        if let Some(file) = &self.html {
            fs::write(file, report.page()).map_err(|e| Failure::error(format!("{}: {e}", file.display())))?;
        }
        if self.json {
            say(report.json());
        } else {
            report.lines().iter().for_each(say_wrapped);
        }
        folder.report(&report)?;
        match report.broken {
            Some(what) => {
                Err(Failure::error(format!("{what}; everything is in {}", dir.display())).next(folder.again))
            }
            None if self.keep => Ok(()),
            None => fs::remove_dir_all(&dir).map_err(|e| Failure::error(format!("{}: {e}", dir.display()))),
        }
    }

    /// The command that does the same once more, and records what the nodes do.
    fn again(&self, seed: u64) -> String {
        let Torture { seconds, nodes, gateways, shards, clients, .. } = self;
        let mut again =
            format!("{} torture --seed {seed} --seconds {seconds} --nodes {nodes}", crate::failure::me());
        again += &format!(" --gateways {gateways} --shards {shards} --clients {clients}");
        again += &self.with.as_ref().map_or(String::new(), |with| format!(" --with {with}"));
        if !self.faults.is_empty() {
            let ids: Vec<_> = self.faults.iter().map(|kind| kind.row().id).collect();
            again += &format!(" --faults {}", ids.join(","));
        }
        again + if self.namespace { " --namespace" } else { "" } + " --dir again --trace"
    }

    fn torture(&self, seed: u64, folder: &Folder) -> Result<Report> {
        let stop = interrupt::asked().map_err(Failure::error)?;
        let Torture { nodes, gateways, shards, clients, .. } = *self;
        let size = Size { nodes, gateways, shards };
        let membership =
            self.with.as_ref().is_some_and(|with| with.split(',').any(|one| one == "membership"));
        let means = Means::find(membership, self.inside);
        let (kinds, skipped) = Kind::had(&self.faults, &means);
        if kinds.is_empty() {
            let why: Vec<_> = skipped.iter().map(|(kind, why)| format!("{}: {why}", kind.row().id)).collect();
            return Err(Failure::error(format!("none of these faults can be had here: {}", why.join("; "))));
        }
        let jumps = kinds.iter().any(|kind| kind.needs(Need::Clock));
        let trace = self.trace.then(|| folder.dir.join("traces"));
        let founding = Founding {
            with: self.with.as_deref(),
            clock: means.clock.as_deref().filter(|_| jumps),
            trace: trace.as_deref(),
        };
        let cluster = Cluster::found(&folder.dir.join("cluster"), size, &founding)?;
        let book = Book::open(&folder.dir).map_err(Failure::error)?;
        let (gauge, doors) = (Gauge::default(), cluster.doors());
        let (over, calm, judged) = (AtomicBool::new(false), AtomicBool::new(false), Judged::default());
        let faults: Mutex<Vec<Done>> = Mutex::default();
        std::thread::scope(|scope| {
            let rng = Rng::stream(seed, "torture", 0);
            let (cluster, book_is, gauge_is, nodes) = (&cluster, &book, &gauge, (1..=nodes).collect());
            let mut nemesis = Nemesis { cluster, book: book_is, gauge: gauge_is, rng, kinds, nodes };
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
            let (judged, book, over) = (&judged, &book, &over);
            let judging = scope.spawn(move || judged.run(&judge, book, over));
            self.wait(book, &faults, &gauge, || judged.is_broken() || stop.load(Ordering::Relaxed));
            calm.store(true, Ordering::Relaxed);
            if judged.is_broken() {
                folder.trace(cluster);
            }
            let _ = nemesis.join();
            over.store(true, Ordering::Relaxed);
            let _ = judging.join();
        });
        if stop.load(Ordering::Relaxed) {
            note("stopped before its time\n");
        }
        let broken = locked(&judged.broken).clone();
        let (keys, undecided) =
            (judged.keys.load(Ordering::Relaxed), judged.undecided.load(Ordering::Relaxed));
        let (micros, operations, seconds) = (book.micros(), gauge.counts.all(), gauge.seconds());
        let faults = locked(&faults).clone();
        Ok(Report {
            seed,
            size,
            clients,
            micros,
            operations,
            keys,
            undecided,
            faults,
            skipped,
            seconds,
            broken,
        })
    }

    /// Until the time is up, or `ended` says so: turns rounds, and tells how far it is.
    fn wait(&self, book: &Book, faults: &Mutex<Vec<Done>>, gauge: &Gauge, ended: impl Fn() -> bool) {
        let bar = ProgressBar::new(self.seconds);
        bar.set_style(
            ProgressStyle::with_template("{bar:24} {pos}/{len} s  {msg}").expect("the template is one"),
        );
        let mut told = Instant::now();
        while book.begin.elapsed().as_secs() < self.seconds && !ended() {
            std::thread::sleep(ROUND.min(Duration::from_millis(500)));
            if book.round().since.elapsed() >= ROUND {
                book.turn();
            }
            let seconds = book.begin.elapsed().as_secs();
            let (count, last) = {
                let faults = locked(faults);
                (
                    faults.len(),
                    faults.last().map_or(String::new(), |done| format!(", last: {}", done.kind.words())),
                )
            };
            let message = format!("{} answered, {count} faults{last}", gauge.counts.all()[0]);
            if told.elapsed() > REPORT && !std::io::stderr().is_terminal() {
                told = Instant::now();
                note(format!("{seconds} of {} s: {message}\n", self.seconds));
            }
            bar.set_position(seconds);
            bar.set_message(message);
        }
        bar.finish_and_clear();
    }
}
