//! The bounds of an exploration.

use trace::{Mechanism, Mechanisms};

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
];
