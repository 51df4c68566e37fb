//! The bounds of an exploration.

use dataplane::{Change, NodeId};
use extensions::{Chosen, Name};
use trace::{Mechanism, Mechanisms};

use crate::cluster::language::{Setting, Step};
use crate::cluster::witness::Goal;

/// What may happen, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// Replicas.
    pub nodes: u32,
    /// The last so many of them have empty devices, and belong to nobody until they are added.
    pub joining: u32,
    /// What the cluster was founded with beside the core: the extensions run as they are.
    pub with: Chosen,
    /// What has happened before the first state: steps of a schedule.
    pub begin: &'static [&'static str],
    /// Changes that a client asks for, each until it is in the log of whoever leads.
    pub changes: &'static [Change],
    /// Times that an extension has its replica stand, or leave the lead: any replica, at any time.
    pub wishes: u8,
    /// Times that the timers of one node expire, those of its extensions as well, and of no other.
    pub expiries: u8,
    /// Does it begin with a serving primary and an open session, or with empty devices?
    pub established: bool,
    /// Takeovers that gateways call for.
    pub takeovers: u8,
    /// Different writes.
    pub writes: u8,
    /// Times that each write may be sent.
    pub sends: u8,
    /// Reads.
    pub reads: u8,
    /// Crashes with loss of any suffix of the unsynced log, each followed by a restart.
    pub crashes: u8,
    /// Disks replaced by empty ones.
    pub wipes: u8,
    /// Logs damaged somewhere in the middle, each with a restart.
    pub rots: u8,
    /// Messages delivered without being used up.
    pub duplicates: u8,
    /// Times that all timers expire.
    pub ticks: u8,
    /// Most entries that one message carries.
    pub entries_per_frame: usize,
    /// Pieces in which a state is transferred.
    pub pieces: u64,
    /// Timer expiries before entries that nobody acknowledged are sent again.
    pub resend_after: u64,
    /// Do gateways know the greatest epoch that was ever promised? If not, candidates collide.
    pub informed: bool,
    /// Most messages on their way at a time; of more, any one is lost.
    pub messages_max: usize,
    /// Longest schedule.
    pub depth_max: u32,
    /// What is looked for.
    pub goal: Goal,
    /// The mechanisms that are on.
    pub mechanisms: Mechanisms,
}

impl Scope {
    /// The scope called `name`.
    pub fn named(name: &str) -> Option<Scope> {
        SCOPES.iter().copied().find(|scope| scope.name == name)
    }

    /// The cluster before anything happens.
    pub(super) fn setting(&self) -> Setting {
        Setting {
            founders: self.nodes - self.joining,
            cold: !self.established,
            frames: self.entries_per_frame,
            pieces: self.pieces,
            resend: self.resend_after,
            with: self.with,
            goal: self.goal,
            ..Setting::of(self.nodes)
        }
    }

    /// What has happened to it before the first state.
    pub(super) fn begin(&self) -> impl Iterator<Item = Step> {
        self.begin.iter().map(|line| line.parse().expect("a step of this file"))
    }

    /// The same bounds with a mechanism taken out.
    #[must_use]
    pub fn without(self, mechanism: Mechanism) -> Scope {
        Scope { mechanisms: self.mechanisms.without(mechanism), ..self }
    }
}

const BASE: Scope = Scope {
    name: "",
    about: "",
    nodes: 3,
    joining: 0,
    with: Chosen::NONE,
    begin: &[],
    changes: &[],
    wishes: 0,
    expiries: 0,
    established: false,
    takeovers: 2,
    writes: 1,
    sends: 1,
    reads: 0,
    crashes: 0,
    wipes: 0,
    rots: 0,
    duplicates: 0,
    ticks: 0,
    entries_per_frame: usize::MAX,
    pieces: 1,
    resend_after: 1,
    informed: false,
    messages_max: 8,
    depth_max: 40,
    goal: Goal::Invariant,
    mechanisms: Mechanisms::all(),
};

const ELECTIONS: Chosen = Chosen::of(&[Name::Elections]);
const MEMBERSHIP: Chosen = Chosen::of(&[Name::Membership]);
/// n4 is added to three, gets the state, and does not count yet. (How an empty device gets one: `wipe`.)
const LEARNER: &[&str] = &["add n4 at n1", "wait 2"];

/// A cluster whose members change, and a takeover.
const MEMBERS: Scope = Scope {
    with: MEMBERSHIP,
    established: true,
    takeovers: 1,
    writes: 0,
    informed: true,
    messages_max: 2,
    depth_max: 80,
    ..BASE
};

/// A cluster that serves, and that no gateway asks for anything: a write, a crash.
const ALONE: Scope = Scope { established: true, takeovers: 0, crashes: 1, messages_max: 2, ..BASE };

/// All scopes, smallest first.
pub const SCOPES: &[Scope] = &[
    Scope {
        name: "takeover",
        about: "two takeovers of a cold cluster, with a crash",
        crashes: 1,
        writes: 0,
        ..BASE
    },
    Scope {
        name: "failover",
        about: "a serving cluster, two writes, a takeover",
        established: true,
        takeovers: 1,
        writes: 2,
        messages_max: 6,
        ..BASE
    },
    Scope {
        name: "retry",
        about: "one write sent twice over a takeover",
        established: true,
        takeovers: 1,
        sends: 2,
        ticks: 1,
        messages_max: 6,
        ..BASE
    },
    Scope {
        name: "reads",
        about: "a write and a read over a takeover",
        established: true,
        takeovers: 1,
        writes: 1,
        reads: 1,
        messages_max: 6,
        ..BASE
    },
    Scope {
        name: "reads-overlap",
        about: "two reads that overlap, and a write over a takeover",
        established: true,
        takeovers: 1,
        writes: 1,
        reads: 2,
        informed: true,
        messages_max: 3,
        ..BASE
    },
    Scope {
        name: "stale-suffix",
        about: "two writes that one replica lacks, a takeover, signs of life while entries are on their way one by one",
        established: true,
        takeovers: 1,
        writes: 2,
        ticks: 2,
        entries_per_frame: 1,
        resend_after: 2,
        informed: true,
        messages_max: 2,
        depth_max: 80,
        ..BASE
    },
    Scope {
        name: "duplicates",
        about: "a write over a takeover, messages that come twice",
        established: true,
        takeovers: 1,
        writes: 1,
        duplicates: 2,
        messages_max: 4,
        ..BASE
    },
    Scope {
        name: "crash",
        about: "a serving cluster, a write, a takeover, a crash of anybody",
        established: true,
        takeovers: 1,
        writes: 1,
        crashes: 1,
        messages_max: 6,
        ..BASE
    },
    Scope {
        name: "wipe",
        about: "a serving cluster, a write, a takeover, one disk replaced",
        established: true,
        takeovers: 1,
        writes: 1,
        wipes: 1,
        ticks: 1,
        messages_max: 6,
        ..BASE
    },
    Scope {
        name: "rot",
        about: "a serving cluster, a write, a takeover, the logs of two nodes damaged",
        established: true,
        takeovers: 1,
        writes: 1,
        rots: 2,
        ticks: 1,
        messages_max: 4,
        ..BASE
    },
    Scope {
        name: "wipes",
        about: "the same with two disks replaced, or one of them twice",
        established: true,
        takeovers: 1,
        writes: 1,
        wipes: 2,
        ticks: 2,
        messages_max: 3,
        ..BASE
    },
    Scope {
        name: "five-wipe",
        about: "five replicas, a write, a takeover, one disk replaced",
        nodes: 5,
        established: true,
        takeovers: 1,
        writes: 1,
        wipes: 1,
        ticks: 1,
        messages_max: 4,
        ..BASE
    },
    Scope {
        name: "figure-8",
        about: "a write and three takeovers: an entry of an old epoch on a majority",
        established: true,
        takeovers: 3,
        entries_per_frame: 1,
        informed: true,
        messages_max: 2,
        depth_max: 80,
        ..BASE
    },
    Scope {
        name: "figure-8-wide",
        about: "the same with one more message on its way: for a long run",
        established: true,
        takeovers: 3,
        entries_per_frame: 1,
        informed: true,
        messages_max: 3,
        depth_max: 80,
        ..BASE
    },
    Scope {
        name: "five",
        about: "five replicas, two takeovers, one write: a stale acknowledgement in a later epoch",
        nodes: 5,
        established: true,
        takeovers: 2,
        writes: 1,
        messages_max: 5,
        depth_max: 22,
        ..BASE
    },
    Scope {
        name: "wishes",
        about: "a serving cluster whose extensions have anybody stand, or leave the lead, at any time; a write, a crash",
        wishes: 2,
        ..ALONE
    },
    Scope {
        name: "elections",
        about: "nodes that elect their primary themselves: a write, a crash, late timers",
        with: ELECTIONS,
        expiries: 2,
        ..ALONE
    },
    Scope {
        name: "elections-rivals",
        about: "the same with timers that are late once more, and nothing else",
        with: ELECTIONS,
        expiries: 3,
        writes: 0,
        crashes: 0,
        ..ALONE
    },
    Scope {
        name: "joining",
        about: "a fourth node, filled with the state, counts from some time on, or not yet; a takeover, a crash",
        nodes: 4,
        joining: 1,
        begin: LEARNER,
        expiries: 1,
        crashes: 1,
        ..MEMBERS
    },
    Scope {
        name: "membership",
        about: "one of three is replaced: the fourth counts, or not yet, and n1, which leads, is removed; a takeover",
        nodes: 4,
        joining: 1,
        begin: LEARNER,
        changes: &[Change::Remove(NodeId(1))],
        expiries: 1,
        ..MEMBERS
    },
    Scope {
        name: "removals",
        about: "two of three are removed, a takeover, a crash",
        changes: &[Change::Remove(NodeId(3)), Change::Remove(NodeId(2))],
        crashes: 1,
        messages_max: 3,
        ..MEMBERS
    },
    Scope {
        name: "removal-forgotten",
        about: "two that were three, one of them is removed, and crashes; a write, a takeover",
        begin: &["remove n3 at n1", "calm"],
        changes: &[Change::Remove(NodeId(2))],
        writes: 1,
        crashes: 1,
        messages_max: 3,
        ..MEMBERS
    },
    Scope {
        name: "primary-removed",
        about: "four, of whom the primary is removed and leads on; a write, a takeover",
        nodes: 4,
        begin: &["remove n1 at n1", "calm"],
        writes: 1,
        messages_max: 3,
        ..MEMBERS
    },
    Scope {
        name: "rival-removals",
        about: "four, of whom n1 has removed n2, which nobody knows, and crashed; n2 takes over and may remove n1; a takeover",
        nodes: 4,
        begin: &["remove n2 at n1", "lose n1 n3", "lose n1 n4", "crash n1 keep 1", "takeover n2 above 1"],
        changes: &[Change::Remove(NodeId(1))],
        ..MEMBERS
    },
    Scope {
        name: "five-to-three",
        about: "three that were five, one of them filled with a state; a write, a takeover, a crash",
        nodes: 5,
        begin: &["remove n5 at n1", "calm", "remove n4 at n1", "wipe n3", "wait 3"],
        writes: 1,
        crashes: 1,
        ..MEMBERS
    },
];
