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
use super::disk;
use super::gauge::Gauge;
use super::kinds::Kind;
use super::packets::Trouble;

/// Longest pause before a fault, and longest fault.
const CALM_MAX: u64 = 1_500;
const FAULT_MAX: u64 = 2_500;
/// libfaketime looks at the file that moves a clock once a second. A member that has not noticed by then never does.
const CLOCK_PATIENCE: Duration = Duration::from_secs(20);
/// A cluster that can serve and does not by then breaks promise 4; so does a replica that is not whole by then.
const PATIENCE: Duration = Duration::from_secs(60);

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
    /// What it draws from.
    pub kinds: Vec<Kind>,
    /// The storage nodes that there are.
    pub nodes: Vec<u32>,
}

type Tried<T = ()> = Result<T, String>;

impl Nemesis<'_> {
    /// Faults until it is over. An error is a promise that was broken, or a cluster that cannot be acted on.
    pub fn run(&mut self, over: &AtomicBool, mut told: impl FnMut(&Done)) -> Tried {
        // Each kind comes once before any comes twice: so a short run has them all.
        let mut first = self.kinds.clone();
        while !over.load(Ordering::Relaxed) {
            self.pause(CALM_MAX);
            let kind = Kind::draw(if first.is_empty() { &self.kinds } else { &first }, &mut self.rng);
            first.retain(|other| *other != kind);
            let done = self.carry_out(kind);
            told(&done.map_err(|why| format!("{why} (during: {})", kind.words()))?);
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
        let node = *self.rng.pick(&self.nodes);
        // What damages a disk needs all others whole: more is outside of the fault model.
        if kind.needs_whole() {
            self.until("every replica is whole", Cluster::is_whole)?;
        }
        self.gauge.reset();
        let begin = self.book.micros();
        let whom = self.strike(kind, node)?;
        let undone = self.book.micros();
        if kind.needs_whole() {
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
                let majority = self.nodes.len() / 2 + 1;
                self.do_and_undo(&self.names()[..majority], "pause", "resume")
            }
            Kind::IsolatePrimary => self.do_and_undo(&[primary], "isolate", "heal"),
            Kind::IsolateNode => self.do_and_undo(&[name], "isolate", "heal"),
            Kind::MutePrimary => self.do_and_undo(&[primary], "mute", "heal"),
            Kind::DeafenPrimary => self.do_and_undo(&[primary], "deafen", "heal"),
            Kind::CutOneWay => {
                let way = *self.rng.pick(&["mute", "deafen"]);
                self.do_and_undo(&[name], way, "heal")
            }
            Kind::LoseFrames => self.trouble(name, "lose"),
            Kind::DelayFrames => self.trouble(name, "delay"),
            Kind::ReorderFrames => self.trouble(name, "shuffle"),
            Kind::LosePackets => self.packets(Trouble::Lost),
            Kind::DelayPackets => self.packets(Trouble::Late),
            Kind::ReorderPackets => self.packets(Trouble::Reordered),
            Kind::KillGateway => {
                let gateway = self.rng.between(1, u64::from(self.cluster.size.gateways));
                self.do_and_undo(&[format!("g{gateway}")], "kill", "restart")
            }
            Kind::KillAll => self.do_and_undo(&self.names(), "kill", "restart"),
            Kind::RollingRestart => {
                for name in self.names() {
                    self.cluster.act(&name, "restart")?;
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
            Kind::FailWrite => self.fail(name, primary, "pwrite64", "EIO"),
            Kind::FailSync => self.fail(name, primary, "fdatasync", "EIO"),
            Kind::NoSpace => self.fail(name, primary, "pwrite64", "ENOSPC"),
            Kind::FailRead => {
                let enough = Duration::from_millis(self.rng.between(200, FAULT_MAX));
                let (pid, notes) = (self.pid(&primary)?, self.cluster.dir.with_extension("strace"));
                disk::fail_reads(pid, &notes, || std::thread::sleep(enough))?;
                Ok(primary)
            }
            Kind::FillDisks => {
                let full = Duration::from_millis(self.rng.between(200, FAULT_MAX));
                let gateway = self.cluster.gateways()[0].clone();
                let fillers = disk::fill(&gateway, || std::thread::sleep(full))?;
                Ok(format!("all nodes, with {fillers} values"))
            }
            Kind::JumpClock => {
                let one = match self.rng.below(4) {
                    0 => "g1".into(),
                    _ => name,
                };
                self.jump(&[one])
            }
            Kind::JumpAllClocks => {
                let gateways = (1..=self.cluster.size.gateways).map(|gateway| format!("g{gateway}"));
                let all: Vec<String> = self.names().into_iter().chain(gateways).collect();
                self.jump(&all)
            }
            Kind::ReplaceNode => {
                let new = (1..).find(|new| !self.nodes.contains(new)).expect("numbers do not end");
                self.cluster.replace(node, new)?;
                self.nodes.retain(|old| *old != node);
                self.nodes.push(new);
                Ok(format!("{name} by n{new}"))
            }
        }
    }

    fn pid(&self, name: &str) -> Tried<u64> {
        self.cluster.pid(name).ok_or_else(|| format!("nobody says which process {name} is"))
    }

    fn names(&self) -> Vec<String> {
        self.nodes.iter().map(|node| format!("n{node}")).collect()
    }

    fn do_and_undo(&mut self, whom: &[String], action: &str, undo: &str) -> Tried<String> {
        whom.iter().try_for_each(|name| self.cluster.act(name, action))?;
        self.pause(FAULT_MAX);
        whom.iter().try_for_each(|name| self.cluster.act(name, undo))?;
        Ok(whom.join(" "))
    }

    /// A bad network: around one node, or everywhere.
    fn trouble(&mut self, one: String, what: &str) -> Tried<String> {
        if self.rng.below(2) == 0 {
            return self.do_and_undo(&[one], what, "heal");
        }
        let gateways = (1..=self.cluster.size.gateways).map(|gateway| format!("g{gateway}"));
        let all: Vec<String> = self.names().into_iter().chain(gateways).collect();
        self.do_and_undo(&all, what, "heal")
    }

    /// A bad network below TCP, for everybody in this namespace, clients included.
    fn packets(&mut self, trouble: Trouble) -> Tried<String> {
        let ongoing = trouble.begin()?;
        self.pause(FAULT_MAX);
        drop(ongoing);
        Ok("everybody".into())
    }

    /// One call of a node's fails. It stops by itself then; the others go on; and it comes back.
    fn fail(&mut self, node: String, primary: String, call: &str, error: &str) -> Tried<String> {
        let whom = if self.rng.below(2) == 0 { node } else { primary };
        disk::fail_once(self.pid(&whom)?, call, error, &self.cluster.dir.with_extension("strace"))?;
        self.pause(FAULT_MAX);
        self.cluster.act(&whom, "restart")?;
        Ok(whom)
    }

    /// The calendar jumps by days or years, and back.
    fn jump(&mut self, whom: &[String]) -> Tried<String> {
        let by = *self.rng.pick(&["+1d", "-1d", "+30d", "-30d", "+3650d", "-3650d"]);
        self.turn_clocks(whom, by)?;
        self.pause(FAULT_MAX);
        self.turn_clocks(whom, "+0")?;
        Ok(format!("{} by {by}", whom.join(" ")))
    }

    /// Turns clocks, and waits until each member's log is dated otherwise than before.
    fn turn_clocks(&mut self, whom: &[String], by: &str) -> Tried {
        let before: Vec<String> = whom.iter().map(|name| self.cluster.date(name)).collect::<Tried<_>>()?;
        whom.iter().try_for_each(|name| self.cluster.set_clock(name, by))?;
        for (name, before) in whom.iter().zip(before) {
            let begun = Instant::now();
            while self.cluster.date(name)? == before {
                if begun.elapsed() > CLOCK_PATIENCE {
                    return Err(format!("the clock of {name} cannot be turned by {by}"));
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        Ok(())
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
