//! One cell of the matrix, and the schedule that asks the question.

use disk::Harm;

use crate::cluster::Block;
use crate::schedule::Schedule;

/// Replicas of the cluster.
pub const REPLICAS: u32 = 5;
/// Entries by which the log ring has gone round more than once, with several checkpoints.
const OLDER: u64 = 72;
/// Batches of one entry each behind it.
const NEWER: u64 = 4;
/// Keys whose values were written once, long ago.
const KEYS: [&str; 2] = ["a", "b"];
/// The key that is written again and again.
const BUSY: &str = "busy";
/// The key of the last write.
const LAST: &str = "last";
/// The key of a value that a tear can split, and its value as of each write.
const LONG: &str = "long";

fn long(write: u64) -> String {
    format!("{write:0>60}")
}

/// How many replicas are hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hit {
    /// One of five.
    One,
    /// Two of five.
    Minority,
    /// Three of five.
    Majority,
}

impl Hit {
    /// All of them, with the word for each.
    pub const ALL: [(&'static str, Hit); 3] =
        [("one", Hit::One), ("minority", Hit::Minority), ("majority", Hit::Majority)];

    /// The replicas: the primary first.
    pub fn nodes(self) -> std::ops::RangeInclusive<u32> {
        1..=match self {
            Hit::One => 1,
            Hit::Minority => 2,
            Hit::Majority => 3,
        }
    }
}

impl std::fmt::Display for Hit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = Hit::ALL.iter().find(|named| named.1 == *self).map_or("", |named| named.0);
        f.write_str(word)
    }
}

/// A question: what becomes of this block, if this befalls it on so many replicas?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What is hit.
    pub block: Block,
    /// By what.
    pub harm: Harm,
    /// Where.
    pub hit: Hit,
}

impl Cell {
    /// Every cell: by replicas, block and damage.
    pub fn all() -> impl Iterator<Item = Cell> {
        Hit::ALL.iter().flat_map(|(_, hit)| {
            Block::ALL.iter().flat_map(move |(_, block)| {
                Harm::ALL.iter().map(move |(_, harm)| Cell { block: *block, harm: *harm, hit: *hit })
            })
        })
    }

    /// Every key that was written, with its value.
    pub(super) fn written() -> Vec<(&'static str, String)> {
        let old = KEYS.iter().enumerate().map(|(at, key)| (*key, (at + 1).to_string()));
        let last = OLDER + NEWER + 1;
        old.chain([(BUSY, (last - 1).to_string()), (LAST, last.to_string()), (LONG, long(OLDER))]).collect()
    }

    /// Whom the replicas that were hit can reach at first: with them a bare majority; of the others those that never had
    /// the last write.
    fn group(self) -> Vec<u32> {
        let others = [5, 4, 3, 2, 1].into_iter().filter(|node| !self.hit.nodes().contains(node));
        let majority = REPLICAS as usize / 2 + 1;
        self.hit.nodes().chain(others).take(majority).collect()
    }

    /// The schedule: how the cluster came to be as it is, the damage, and what follows from it.
    pub fn schedule(self) -> Schedule {
        let mut steps = before();
        steps.extend(self.hit.nodes().map(|node| format!("damage n{node} {} {}", self.block, self.harm)));
        let group = self.group();
        steps.extend(group.iter().flat_map(|node| leads(*node, &group)));
        let all: Vec<u32> = (1..=REPLICAS).collect();
        steps.extend(all.iter().flat_map(|node| leads(*node, &all)));
        let note = format!("# {} of {} replicas: {} {}", self.hit, REPLICAS, self.block, self.harm);
        let lines: Vec<String> = steps.iter().map(|step| format!("> {step}\n")).collect();
        let text = format!("{note}\n> cluster {REPLICAS}\n> gateways 1\n{}", lines.concat());
        text.parse().expect("it is written in the language of schedules")
    }
}

/// Writes, until a checkpoint is behind them; then some in a batch each; the last one reaches a bare majority.
fn before() -> Vec<String> {
    let mut steps = vec!["tick g1".into(), "calm".into()];
    for number in 1..=OLDER + NEWER {
        let key = KEYS.get(number as usize - 1).unwrap_or(&BUSY);
        steps.push(format!("write {number} {key} to n1"));
        // A batch each: the log ring goes round once.
        steps.push("calm".into());
        if number % 24 == 0 {
            steps.extend([format!("put {LONG} {} via g1", long(number)), "calm".into()]);
        }
    }
    // With a sign of life backups learn the commit point, and take their checkpoints.
    steps.extend(["tick all".into(), "calm".into()]);
    steps.push(format!("write {} {LAST} to n1", OLDER + NEWER + 1));
    steps.push("calm without n4 n5".into());
    steps
}

/// A replica is asked to lead, while only `group` can hear one another, and reads everything.
fn leads(node: u32, group: &[u32]) -> Vec<String> {
    let out: Vec<String> = (1..=REPLICAS).filter(|n| !group.contains(n)).map(|n| format!(" n{n}")).collect();
    let calm = match out.concat().as_str() {
        "" => "calm".to_string(),
        out => format!("calm without{out}"),
    };
    let mut steps = Vec::new();
    // The first attempt may only learn which epochs there are; damage is repaired between expiries of timers.
    for _ in 0..2 {
        steps.extend([format!("takeover n{node}"), calm.clone(), "tick all".into(), calm.clone()]);
    }
    for (key, _) in Cell::written() {
        steps.extend([format!("read {key} from n{node}"), calm.clone()]);
    }
    steps.extend(["tick all".into(), calm.clone(), "tick all".into(), calm.clone()]);
    steps
}
