//! A fault in words.
//!
//! | fault | what goes wrong |
//! |---|---|
//! | `kill n1 [during a sync] for T` | the process dies, and starts again after T; with `during a sync` as soon as one of its disks is at work |
//! | `kill n1 after N ios for T` | the same, in the middle of its work: after N more writes and syncs of its disk |
//! | `power-cut n1 …` | like `kill`, but of what was not synced anything may be gone |
//! | `power-cut all [during a sync] for T` | everywhere at once |
//! | `kill g1 for T` | a gateway dies; its successor knows nothing |
//! | `pause n1 for T` | a node or gateway stands still, and goes on as if no time had passed |
//! | `clock n1 ahead T`, `clock n1 back T` | the clock of a node or gateway jumps |
//! | `cut n1 to n2 for T` | no message of the one reaches the other |
//! | `isolate n1 [inward] [from nodes] for T` | nothing reaches it, and nothing that it says reaches others; `inward` or `outward`: only this |
//! | `split n1 g1 for T` | those named and all others cannot reach each other (`nobody`: nothing happens) |
//! | `storm loses P delays T for T` | messages are lost and delayed |
//! | `wipe n1 for T [again after T]` | its disk is replaced by an empty one; after a while that one as well |
//! | `swap-disks n1 n2 for T` | each starts on the other's disk |
//! | `fail-sync n1` | the next sync of its disk fails |
//! | `fail-reads n1 N` | so do the next N reads |
//! | `rot n1 superblock [and restart]` | a bit of its `superblock`, `log` or `data` turns; with `and restart` it starts again at once, and reads it |
//! | `misdirect n1 log [and restart]` | a write went to another sector |
//! | `rot-values [shard N]` | a bit turns in a value on each replica, as far as another one has the same value whole |
//! | `takeover n1` | a gateway's timer is wrong: it asks n1 to take over from a primary that is well |
//! | `add n3 for T`, `remove n3 for T` | somebody wants a node added or removed, and asks until it is (with `membership`) |
//! | `slow n1 syncs T for T` | its disk is slow; `for good`: also when everything else has healed |
//! | `stall n1 for T` | its disks stop, and then go on as quick as before; `stall all`: everybody's |
//!
//! `n1` is the node, or its replica of shard 0; `n1/1` is that of shard 1.

use std::fmt;

use disk::Place;

use super::words::{Read, Words, show_seat, show_share, show_time};
use crate::schedule::{Death, Fault, Peer};

/// What a fault begins with.
#[derive(Clone, Copy)]
enum Verb {
    Die(Death),
    Pause,
    Clock,
    Cut,
    Isolate,
    Split,
    Storm,
    Wipe,
    SwapDisks,
    FailSync,
    FailReads,
    Rot,
    Misdirect,
    RotValues,
    TakeOver,
    Slow,
    Stall,
    Add,
    Remove,
}

const VERBS: [(&str, Verb); 20] = [
    ("kill", Verb::Die(Death::Kill)),
    ("power-cut", Verb::Die(Death::PowerCut)),
    ("pause", Verb::Pause),
    ("clock", Verb::Clock),
    ("cut", Verb::Cut),
    ("isolate", Verb::Isolate),
    ("split", Verb::Split),
    ("storm", Verb::Storm),
    ("wipe", Verb::Wipe),
    ("swap-disks", Verb::SwapDisks),
    ("fail-sync", Verb::FailSync),
    ("fail-reads", Verb::FailReads),
    ("rot", Verb::Rot),
    ("misdirect", Verb::Misdirect),
    ("rot-values", Verb::RotValues),
    ("takeover", Verb::TakeOver),
    ("slow", Verb::Slow),
    ("stall", Verb::Stall),
    ("add", Verb::Add),
    ("remove", Verb::Remove),
];

const PLACES: [(&str, Place); 3] =
    [("superblock", Place::Superblock), ("log", Place::Log), ("data", Place::Data)];

/// Most writes, syncs and reads that a fault may count.
const COUNT_MAX: u32 = 1_000_000;
/// How an isolation that isolates nobody is written.
const NOWHERE: &str = "nowhere";

pub(super) fn verbs() -> impl Iterator<Item = &'static str> {
    VERBS.iter().map(|verb| verb.0)
}

pub(super) fn read(words: &mut Words) -> Read<Fault> {
    Ok(match words.one_of(&VERBS)? {
        Verb::Die(death) => dies(words, death)?,
        Verb::Pause => match (words.peer()?, lasting(words)?) {
            (Peer::Node(node), length) => Fault::Pause { node, length },
            (Peer::Gateway(gateway), length) => Fault::GatewayPause { gateway, length },
        },
        Verb::Clock => {
            let peer = words.peer()?;
            let sign = words.one_of(&[("ahead", 1), ("back", -1)])?;
            Fault::ClockJump { peer, ahead: sign * words.time()? as i64 }
        }
        Verb::Cut => {
            let from = words.peer()?;
            words.need("to")?;
            Fault::Cut { from, to: words.peer()?, length: lasting(words)? }
        }
        Verb::Isolate => isolates(words)?,
        Verb::Split => splits(words)?,
        Verb::Storm => {
            words.need("loses")?;
            let loss = words.share()?;
            words.need("delays")?;
            Fault::Storm { loss, delay: words.time()?, length: lasting(words)? }
        }
        Verb::Wipe => {
            let (node, shard) = words.seat()?;
            let down = lasting(words)?;
            let again = if words.take("again after") { words.time()? } else { 0 };
            Fault::Wipe { node, shard, down, again }
        }
        Verb::SwapDisks => {
            Fault::SwapDisks { one: words.node()?, other: words.node()?, down: lasting(words)? }
        }
        Verb::FailSync => {
            let (node, shard) = words.seat()?;
            Fault::SyncError { node, shard }
        }
        Verb::FailReads => {
            let (node, shard) = words.seat()?;
            Fault::ReadErrors { node, shard, reads: words.count(0..=COUNT_MAX)? }
        }
        Verb::Rot => {
            let (node, shard) = words.seat()?;
            let place = words.one_of(&PLACES)?;
            Fault::BitRot { node, shard, place, restart: words.take("and restart") }
        }
        Verb::Misdirect => {
            let (node, shard) = words.seat()?;
            let place = words.one_of(&PLACES)?;
            Fault::Misdirect { node, shard, place, restart: words.take("and restart") }
        }
        Verb::RotValues => {
            let last = words.cluster.shards - 1;
            Fault::RotValues { shard: if words.take("shard") { words.count(0..=last)? } else { 0 } }
        }
        Verb::TakeOver => {
            let (node, shard) = words.seat()?;
            Fault::TakeOver { node, shard }
        }
        Verb::Add => Fault::Add { node: words.node()?, length: lasting(words)? },
        Verb::Remove => Fault::Remove { node: words.node()?, length: lasting(words)? },
        Verb::Slow => {
            let node = words.node()?;
            words.need("syncs")?;
            let sync = words.time()?;
            let length = if words.take("for good") { None } else { Some(lasting(words)?) };
            Fault::SlowDisk { node, sync, length }
        }
        Verb::Stall => {
            let node = if words.take("all") { None } else { Some(words.node()?) };
            Fault::Stall { node, length: lasting(words)? }
        }
    })
}

fn lasting(words: &mut Words) -> Read<u64> {
    words.need("for")?;
    words.time()
}

fn dies(words: &mut Words, death: Death) -> Read<Fault> {
    if death == Death::PowerCut && words.take("all") {
        return Ok(Fault::PowerCutAll { busy: words.take("during a sync"), down: lasting(words)? });
    }
    if death == Death::Kill && words.cluster.gateways > 0 {
        let mut ahead = words.clone();
        if let Ok(Peer::Gateway(gateway)) = ahead.peer() {
            *words = ahead;
            return Ok(Fault::GatewayCrash { gateway, down: lasting(words)? });
        }
    }
    let (node, shard) = words.seat()?;
    if words.take("after") {
        let ios = words.number(0..=u64::from(COUNT_MAX))?;
        words.need("ios")?;
        return Ok(Fault::CrashAtIo { node, shard, death, ios, down: lasting(words)? });
    }
    let busy = words.take("during a sync");
    Ok(Fault::Crash { node, death, busy, down: lasting(words)? })
}

fn isolates(words: &mut Words) -> Read<Fault> {
    let peer = words.peer()?;
    let (inward, outward) = match () {
        () if words.take("inward") => (true, false),
        () if words.take("outward") => (false, true),
        () if words.take(NOWHERE) => (false, false),
        () => (true, true),
    };
    let nodes_only = words.take("from nodes");
    Ok(Fault::Isolate { peer, inward, outward, nodes_only, length: lasting(words)? })
}

/// Nodes have the low bits, then come the gateways.
fn splits(words: &mut Words) -> Read<Fault> {
    let (mut left, nodes) = (0, words.cluster.nodes);
    if !words.take("nobody") {
        loop {
            left |= match words.peer()? {
                Peer::Node(node) => 1 << (node - 1),
                Peer::Gateway(gateway) => 1 << (nodes + gateway - 1),
            };
            if words.take("for") {
                break;
            }
        }
    } else {
        words.need("for")?;
    }
    Ok(Fault::Split { left, length: words.time()? })
}

/// A fault of a cluster with so many nodes, in words.
pub(crate) struct Shown<'a>(pub &'a Fault, pub u32);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dies = |death: &Death| if *death == Death::Kill { "kill" } else { "power-cut" };
        let busy = |busy: &bool| if *busy { " during a sync" } else { "" };
        let restart = |restart: &bool| if *restart { " and restart" } else { "" };
        let place = |place: &Place| PLACES.iter().find(|named| named.1 == *place).map_or("", |named| named.0);
        let (seat, time) = (|node: &u32, shard: &u32| show_seat(*node, *shard), |t: &u64| show_time(*t));
        match self.0 {
            Fault::Crash { node, death, busy: waits, down } => {
                write!(f, "{} n{node}{} for {}", dies(death), busy(waits), time(down))
            }
            Fault::CrashAtIo { node, shard, death, ios, down } => {
                write!(f, "{} {} after {ios} ios for {}", dies(death), seat(node, shard), time(down))
            }
            Fault::PowerCutAll { busy: waits, down } => {
                write!(f, "power-cut all{} for {}", busy(waits), time(down))
            }
            Fault::Pause { node, length } => write!(f, "pause n{node} for {}", time(length)),
            Fault::GatewayPause { gateway, length } => write!(f, "pause g{gateway} for {}", time(length)),
            Fault::GatewayCrash { gateway, down } => write!(f, "kill g{gateway} for {}", time(down)),
            Fault::ClockJump { peer, ahead } => {
                let way = if *ahead < 0 { "back" } else { "ahead" };
                write!(f, "clock {peer} {way} {}", time(&ahead.unsigned_abs()))
            }
            Fault::Cut { from, to, length } => write!(f, "cut {from} to {to} for {}", time(length)),
            Fault::Isolate { peer, inward, outward, nodes_only, length } => {
                let way = match (inward, outward) {
                    (true, true) => String::new(),
                    (true, false) => " inward".into(),
                    (false, true) => " outward".into(),
                    (false, false) => format!(" {NOWHERE}"),
                };
                let whom = if *nodes_only { " from nodes" } else { "" };
                write!(f, "isolate {peer}{way}{whom} for {}", time(length))
            }
            Fault::Split { left, length } => {
                write!(f, "split")?;
                let peer = |n| if n < self.1 { Peer::Node(n + 1) } else { Peer::Gateway(n - self.1 + 1) };
                let named = (0..u32::BITS).filter(|n| left >> n & 1 == 1).map(peer);
                named.clone().try_for_each(|peer| write!(f, " {peer}"))?;
                let nobody = if *left == 0 { " nobody" } else { "" };
                write!(f, "{nobody} for {}", time(length))
            }
            Fault::Storm { loss, delay, length } => {
                write!(f, "storm loses {} delays {} for {}", show_share(*loss), time(delay), time(length))
            }
            Fault::Wipe { node, shard, down, again } => {
                write!(f, "wipe {} for {}", seat(node, shard), time(down))?;
                if *again > 0 { write!(f, " again after {}", time(again)) } else { Ok(()) }
            }
            Fault::SwapDisks { one, other, down } => {
                write!(f, "swap-disks n{one} n{other} for {}", time(down))
            }
            Fault::SyncError { node, shard } => write!(f, "fail-sync {}", seat(node, shard)),
            Fault::ReadErrors { node, shard, reads } => write!(f, "fail-reads {} {reads}", seat(node, shard)),
            Fault::BitRot { node, shard, place: at, restart: then } => {
                write!(f, "rot {} {}{}", seat(node, shard), place(at), restart(then))
            }
            Fault::Misdirect { node, shard, place: at, restart: then } => {
                write!(f, "misdirect {} {}{}", seat(node, shard), place(at), restart(then))
            }
            Fault::RotValues { shard: 0 } => write!(f, "rot-values"),
            Fault::RotValues { shard } => write!(f, "rot-values shard {shard}"),
            Fault::TakeOver { node, shard } => write!(f, "takeover {}", seat(node, shard)),
            Fault::Add { node, length } => write!(f, "add n{node} for {}", time(length)),
            Fault::Remove { node, length } => write!(f, "remove n{node} for {}", time(length)),
            Fault::SlowDisk { node, sync, length: None } => {
                write!(f, "slow n{node} syncs {} for good", time(sync))
            }
            Fault::SlowDisk { node, sync, length: Some(length) } => {
                write!(f, "slow n{node} syncs {} for {}", time(sync), time(length))
            }
            Fault::Stall { node: None, length } => write!(f, "stall all for {}", time(length)),
            Fault::Stall { node: Some(node), length } => write!(f, "stall n{node} for {}", time(length)),
        }
    }
}
