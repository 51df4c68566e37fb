//! The kinds of faults, each with its name, how often it is drawn, and what it needs beside the program.

use sim::rng::Rng;

use super::means::{Means, Need};
use super::packets::Trouble;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    KillPrimary,
    KillNode,
    PausePrimary,
    PauseMajority,
    IsolatePrimary,
    IsolateNode,
    MutePrimary,
    DeafenPrimary,
    CutOneWay,
    LoseFrames,
    DelayFrames,
    ReorderFrames,
    LosePackets,
    DelayPackets,
    ReorderPackets,
    KillGateway,
    KillAll,
    RollingRestart,
    WipeNode,
    RotNode,
    FailWrite,
    FailSync,
    NoSpace,
    FailRead,
    FillDisks,
    JumpClock,
    JumpAllClocks,
    ReplaceNode,
}

/// What is told of a kind.
pub struct Row {
    pub kind: Kind,
    /// How `--faults` and programs call it.
    pub id: &'static str,
    pub words: &'static str,
    /// How often it is drawn.
    weight: u64,
    need: Option<Need>,
}

const fn row(kind: Kind, id: &'static str, words: &'static str, weight: u64, need: Option<Need>) -> Row {
    Row { kind, id, words, weight, need }
}

/// Every kind, in the order of the enum.
pub const ROWS: [Row; 28] = [
    row(Kind::KillPrimary, "kill-primary", "primary killed", 4, None),
    row(Kind::KillNode, "kill-node", "node killed", 3, None),
    row(Kind::PausePrimary, "pause-primary", "primary paused", 4, None),
    row(Kind::PauseMajority, "pause-majority", "majority paused", 2, None),
    row(Kind::IsolatePrimary, "isolate-primary", "primary isolated", 4, None),
    row(Kind::IsolateNode, "isolate-node", "node isolated", 3, None),
    row(Kind::MutePrimary, "mute-primary", "primary hears, is not heard", 3, None),
    row(Kind::DeafenPrimary, "deafen-primary", "primary is heard, hears nobody", 3, None),
    row(Kind::CutOneWay, "cut-one-way", "node cut one way", 3, None),
    row(Kind::LoseFrames, "lose-frames", "frames lost", 3, None),
    row(Kind::DelayFrames, "delay-frames", "frames late", 3, None),
    row(Kind::ReorderFrames, "reorder-frames", "frames out of order", 3, None),
    row(Kind::LosePackets, "lose-packets", "packets lost", 2, Some(Need::Packets(Trouble::Lost))),
    row(Kind::DelayPackets, "delay-packets", "packets late", 2, Some(Need::Packets(Trouble::Late))),
    row(
        Kind::ReorderPackets,
        "reorder-packets",
        "packets out of order",
        2,
        Some(Need::Packets(Trouble::Reordered)),
    ),
    row(Kind::KillGateway, "kill-gateway", "gateway killed", 3, None),
    row(Kind::KillAll, "kill-all", "all nodes killed at once", 2, None),
    row(Kind::RollingRestart, "rolling-restart", "rolling restart", 1, None),
    row(Kind::WipeNode, "wipe-node", "disk replaced by an empty one", 2, None),
    row(Kind::RotNode, "rot-node", "bits turned in a disk", 2, None),
    row(Kind::FailWrite, "fail-write", "a write failed (EIO)", 2, Some(Need::Strace)),
    row(Kind::FailSync, "fail-sync", "a sync failed (EIO)", 2, Some(Need::Strace)),
    row(Kind::NoSpace, "no-space", "a write failed (ENOSPC)", 2, Some(Need::Strace)),
    row(Kind::FailRead, "fail-read", "reads failed (EIO)", 2, Some(Need::Strace)),
    row(Kind::FillDisks, "fill-disks", "disks full, then emptied", 1, None),
    row(Kind::JumpClock, "jump-clock", "clock of one jumped", 2, Some(Need::Clock)),
    row(Kind::JumpAllClocks, "jump-all-clocks", "clocks of all jumped", 1, Some(Need::Clock)),
    row(Kind::ReplaceNode, "replace-node", "member replaced", 2, Some(Need::Membership)),
];

impl Kind {
    pub fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }

    pub fn words(self) -> &'static str {
        self.row().words
    }

    /// By its id.
    pub fn parse(id: &str) -> Result<Kind, String> {
        let ids = || ROWS.iter().map(|row| row.id).collect::<Vec<_>>().join(", ");
        ROWS.iter().find(|row| row.id == id).map(|row| row.kind).ok_or_else(|| format!("there are {}", ids()))
    }

    /// Those that can be had here, of those that are wanted; and of the others why not.
    pub fn had(wanted: &[Kind], means: &Means) -> (Vec<Kind>, Vec<(Kind, String)>) {
        let (mut had, mut skipped) = (Vec::new(), Vec::new());
        for row in ROWS.iter().filter(|row| wanted.is_empty() || wanted.contains(&row.kind)) {
            match row.need.and_then(|need| means.lacks(need)) {
                Some(why) => skipped.push((row.kind, why)),
                None => had.push(row.kind),
            }
        }
        (had, skipped)
    }

    /// One of them.
    pub fn draw(kinds: &[Kind], rng: &mut Rng) -> Kind {
        let mut left = rng.below(kinds.iter().map(|kind| kind.row().weight).sum());
        let drawn = kinds.iter().find(|kind| {
            let hit = left < kind.row().weight;
            left = left.saturating_sub(kind.row().weight);
            hit
        });
        *drawn.expect("less than the sum of all weights was drawn")
    }

    pub fn needs(self, need: Need) -> bool {
        self.row().need == Some(need)
    }

    /// Does it damage a disk, or take away a member, so that the next one must wait until all is whole?
    pub fn needs_whole(self) -> bool {
        use Kind::*;
        matches!(self, WipeNode | RotNode | FailWrite | FailSync | NoSpace | FailRead | ReplaceNode)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn each_kind_has_its_row_and_is_drawn_as_often_as_it_says() {
        for (at, row) in ROWS.iter().enumerate() {
            assert_eq!((row.kind as usize, Kind::parse(row.id)), (at, Ok(row.kind)));
        }
        assert_eq!(ROWS.iter().map(|row| row.words).collect::<BTreeSet<_>>().len(), ROWS.len());
        assert!(Kind::parse("kill").unwrap_err().contains("kill-primary, kill-node"));
        let (mut rng, mut drawn) = (Rng::stream(1, "kinds", 0), BTreeMap::new());
        let kinds = [Kind::KillPrimary, Kind::RollingRestart];
        for _ in 0..5_000 {
            *drawn.entry(Kind::draw(&kinds, &mut rng)).or_insert(0) += 1;
        }
        assert_eq!(drawn.len(), 2);
        assert!((3_700..4_300).contains(&drawn[&Kind::KillPrimary]), "{drawn:?}");
    }

    #[test]
    fn what_cannot_be_had_is_left_out_with_the_reason() {
        let (had, skipped) = Kind::had(&[Kind::KillAll, Kind::ReplaceNode], &Means::default());
        assert_eq!(had, [Kind::KillAll]);
        assert_eq!(skipped[0].0, Kind::ReplaceNode);
        assert!(skipped[0].1.contains("--with membership"));
        let (had, _) = Kind::had(&[], &Means::default());
        assert_eq!(had.len(), ROWS.iter().filter(|row| row.need.is_none()).count());
    }
}
