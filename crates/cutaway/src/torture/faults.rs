//! What is done to the processes and their disks, one fault after the other, as a seed has it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use engine::UNIT;
use engine::format::superblock::{SLOTS, Superblock};
use sim::rng::Rng;

use super::book::Book;
use super::cluster::Cluster;
use super::gauge::Gauge;

/// Longest pause before a fault, and longest fault.
const CALM_MAX: u64 = 1_500;
const FAULT_MAX: u64 = 2_500;
/// A cluster that can serve and does not by then breaks promise 4; so does a replica that is not whole by then.
const PATIENCE: Duration = Duration::from_secs(60);

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    KillPrimary,
    KillNode,
    PausePrimary,
    PauseMajority,
    IsolatePrimary,
    IsolateNode,
    KillGateway,
    KillAll,
    RollingRestart,
    WipeNode,
    RotNode,
}

impl Kind {
    /// Every kind, with its words, and how often it is drawn.
    pub const ALL: [(Kind, &'static str, u64); 11] = [
        (Kind::KillPrimary, "primary killed", 4),
        (Kind::KillNode, "node killed", 3),
        (Kind::PausePrimary, "primary paused", 4),
        (Kind::PauseMajority, "majority paused", 2),
        (Kind::IsolatePrimary, "primary isolated", 4),
        (Kind::IsolateNode, "node isolated", 3),
        (Kind::KillGateway, "gateway killed", 3),
        (Kind::KillAll, "all nodes killed at once", 2),
        (Kind::RollingRestart, "rolling restart", 1),
        (Kind::WipeNode, "disk replaced by an empty one", 2),
        (Kind::RotNode, "bits turned in a disk", 2),
    ];

    pub fn words(self) -> &'static str {
        Kind::ALL.iter().find(|kind| kind.0 == self).map_or("", |kind| kind.1)
    }

    fn draw(rng: &mut Rng) -> Kind {
        let mut left = rng.below(Kind::ALL.iter().map(|kind| kind.2).sum());
        let drawn = Kind::ALL.iter().find(|kind| {
            let hit = left < kind.2;
            left = left.saturating_sub(kind.2);
            hit
        });
        drawn.map_or(Kind::KillPrimary, |kind| kind.0)
    }
}

/// A fault that was carried out. Moments are microseconds of the run.
#[derive(Clone, Debug)]
pub struct Done {
    pub kind: Kind,
    /// Whom it hit.
    pub whom: String,
    pub begin: u64,
    /// When it was undone.
    pub undone: u64,
    /// When all was well again.
    pub well: u64,
    /// The longest time without an answer to anybody, from its begin until all was well.
    pub silence: u64,
}

/// Who does it.
pub struct Nemesis<'a> {
    pub cluster: &'a Cluster,
    pub book: &'a Book,
    pub gauge: &'a Gauge,
    pub rng: Rng,
}

type Tried<T = ()> = Result<T, String>;

impl Nemesis<'_> {
    /// Faults until it is over. An error is a promise that was broken, or a cluster that cannot be acted on.
    pub fn run(&mut self, over: &AtomicBool, mut told: impl FnMut(&Done)) -> Tried {
        while !over.load(Ordering::Relaxed) {
            self.pause(CALM_MAX);
            let kind = Kind::draw(&mut self.rng);
            told(&self.carry_out(kind)?);
        }
        self.until("every replica is whole", Cluster::is_whole)
    }

    fn pause(&mut self, most: u64) {
        std::thread::sleep(Duration::from_millis(self.rng.between(200, most)));
    }

    fn until(&self, what: &str, is: impl Fn(&Cluster) -> bool) -> Tried {
        let begin = Instant::now();
        while !is(self.cluster) {
            if begin.elapsed() > PATIENCE {
                return Err(format!(
                    "P4: {} s after all faults had ended it was not so that {what}",
                    PATIENCE.as_secs()
                ));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn carry_out(&mut self, kind: Kind) -> Tried<Done> {
        let node = self.rng.between(1, u64::from(self.cluster.size.nodes)) as u32;
        // What damages a disk needs all others whole: more is outside of the fault model.
        if matches!(kind, Kind::WipeNode | Kind::RotNode) {
            self.until("every replica is whole", Cluster::is_whole)?;
        }
        self.gauge.reset();
        let begin = self.book.micros();
        let whom = self.strike(kind, node)?;
        let undone = self.book.micros();
        if matches!(kind, Kind::WipeNode | Kind::RotNode) {
            self.until("every replica is whole", Cluster::is_whole)?;
        }
        self.until("every shard has a primary", Cluster::serves)?;
        let well = self.book.micros();
        Ok(Done { kind, whom, begin, undone, well, silence: self.gauge.longest(well) })
    }

    /// Does it, and undoes it; says whom it hit.
    fn strike(&mut self, kind: Kind, node: u32) -> Tried<String> {
        let name = format!("n{node}");
        let primary = self.primary().unwrap_or_else(|| name.clone());
        match kind {
            Kind::KillPrimary => self.do_and_undo(&[primary], "kill", "restart"),
            Kind::KillNode => self.do_and_undo(&[name], "kill", "restart"),
            Kind::PausePrimary => self.do_and_undo(&[primary], "pause", "resume"),
            Kind::PauseMajority => {
                let majority = self.cluster.size.nodes / 2 + 1;
                let some: Vec<String> = (1..=majority).map(|n| format!("n{n}")).collect();
                self.do_and_undo(&some, "pause", "resume")
            }
            Kind::IsolatePrimary => self.do_and_undo(&[primary], "isolate", "heal"),
            Kind::IsolateNode => self.do_and_undo(&[name], "isolate", "heal"),
            Kind::KillGateway => {
                let gateway = self.rng.between(1, u64::from(self.cluster.size.gateways));
                self.do_and_undo(&[format!("g{gateway}")], "kill", "restart")
            }
            Kind::KillAll => {
                let all: Vec<String> = (1..=self.cluster.size.nodes).map(|n| format!("n{n}")).collect();
                self.do_and_undo(&all, "kill", "restart")
            }
            Kind::RollingRestart => {
                for node in 1..=self.cluster.size.nodes {
                    self.cluster.act(&format!("n{node}"), "restart")?;
                    self.until("every shard has a primary", Cluster::serves)?;
                }
                Ok("all nodes".into())
            }
            Kind::WipeNode => {
                self.between_lives(node, |nemesis, shard| nemesis.cluster.format_joining(node, shard))
            }
            Kind::RotNode => self.between_lives(node, |nemesis, shard| {
                let image = nemesis.cluster.image(node, shard);
                rot(&image, &mut nemesis.rng).map_err(|error| format!("{}: {error}", image.display()))
            }),
        }
    }

    fn do_and_undo(&mut self, whom: &[String], action: &str, undo: &str) -> Tried<String> {
        whom.iter().try_for_each(|name| self.cluster.act(name, action))?;
        self.pause(FAULT_MAX);
        whom.iter().try_for_each(|name| self.cluster.act(name, undo))?;
        Ok(whom.join(" "))
    }

    /// Kills a node, does something to each of its disks, and starts it again.
    fn between_lives(&mut self, node: u32, mut act: impl FnMut(&mut Self, u32) -> Tried) -> Tried<String> {
        let name = format!("n{node}");
        self.cluster.act(&name, "kill")?;
        for shard in 0..self.cluster.size.shards {
            act(self, shard)?;
        }
        self.cluster.act(&name, "restart")?;
        Ok(name)
    }

    /// Who leads the first shard.
    fn primary(&self) -> Option<String> {
        self.cluster.status()?["shards"][0]["primary"].as_str().map(String::from)
    }
}

/// Turns a bit in each of a few sectors of values and checkpoints that are not empty. The log is left alone: in its last
/// batch damage cannot be told from a torn tail (docs/faults.md).
fn rot(image: &Path, rng: &mut Rng) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(image)?;
    let start = data_offset(&file)?;
    let size = file.metadata()?.len();
    let mut sector = [0; UNIT as usize];
    let mut left = 8;
    // The front of the region is where the first values went.
    for _ in 0..2_000 {
        let units = ((size - start) / UNIT).min(8_192);
        let at = start + rng.below(units) * UNIT;
        file.read_exact_at(&mut sector, at)?;
        if sector.iter().any(|byte| *byte != 0) {
            let bit = rng.below(UNIT * 8) as usize;
            sector[bit / 8] ^= 1 << (bit % 8);
            file.write_all_at(&sector, at)?;
            left -= 1;
            if left == 0 {
                break;
            }
        }
    }
    file.sync_all()
}

/// Where the data region of an image begins.
fn data_offset(file: &File) -> io::Result<u64> {
    let mut bytes = [0; UNIT as usize];
    for slot in SLOTS {
        file.read_exact_at(&mut bytes, slot)?;
        if let Ok(superblock) = Superblock::decode(&bytes) {
            return Ok(superblock.data_offset);
        }
    }
    Err(io::Error::other("it has no superblock"))
}
