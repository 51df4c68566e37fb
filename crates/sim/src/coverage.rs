//! What runs came across, counted: so that an entry that never happens is seen, and not taken for one that holds.
//!
//! | group | an entry counts |
//! |---|---|
//! | `stopped by` | what a mechanism had to stop |
//! | `lost`, `doubled`, `overtaken` | messages of a kind that the network lost (or had nobody to give to), gave twice, or gave after a later one of the same link |
//! | `fault` | faults that were carried out |
//! | `recovery` | what recoveries found, and how the bounded parts made room |
//! | `event` | events of a kind; and, where an event gives a reason, each reason |
//!
//! [`Coverage::rows`] has every entry that must happen, those that never did with a count of zero.

use std::collections::BTreeMap;

use trace::mechanism::Room;
use trace::{Kind, Mechanism};

use crate::schedule::FAULTS;

/// Messages of nodes and gateways.
const MESSAGES: [&str; 26] = [
    "Answer",
    "Behind",
    "Chunk",
    "Confirm",
    "Confirmed",
    "Extension",
    "Fenced",
    "Fetch",
    "Fetched",
    "Members",
    "OpenSession",
    "Prepare",
    "Prepare(empty)",
    "PrepareOk",
    "PrepareRefused",
    "Probe",
    "PromiseRequest",
    "Promised",
    "Pull",
    "Read",
    "ReadAnswer",
    "Refused",
    "SessionOpened",
    "Status",
    "TakeOver",
    "Write",
];

/// A message that says something only outside the fault model; inside it, it is sent for a late frame, and ignored.
const IGNORED: &str = "Contradicted";

/// What befalls a message.
const FATES: [&str; 3] = ["lost", "doubled", "overtaken"];

/// What recoveries find, and what makes room.
pub(crate) const RECOVERIES: [&str; 15] = [
    "checkpoint damaged",
    "log damaged",
    "log lapped",
    "new put refused: disk full",
    "number left the window",
    "power cut",
    "power cut with unsynced sectors",
    "session evicted",
    "session unknown",
    "superblock slot unreadable",
    "torn tail: record",
    "torn tail: value",
    "torn tail: whole records with it",
    "transfer to an unproven replica",
    "write with an unknown outcome",
];

/// Mechanisms that have nothing to stop in a simulated cluster, and why.
const IDLE: [(Mechanism, &str); 6] = [
    (Mechanism::EpochBound, "no peer of the model claims an epoch that cannot be"),
    (Mechanism::OneLog, "it is the shape of the engine"),
    (Mechanism::NoRoleSurvives, "it is the shape of the replica"),
    (Mechanism::DirectorySync, "simulated disks have no directories"),
    (Mechanism::DeviceLock, "it takes two processes"),
    (Mechanism::NoSilentFormat, "no fault of the model damages both superblocks"),
];

/// Events that are not of a run that holds: a replica gives up its vote, and marks its device so, only if it lost its log's
/// last batch, which is outside the fault model; and no promise is broken.
const NO_EVENTS: [&str; 3] = ["StandingStored", "VoteLost", "PromiseBroken"];

/// What happens only in a cluster that was founded with an extension, beside its mechanisms.
const OF_EXTENSIONS: [&str; 11] = [
    "Extension",
    "PreVoteAsked",
    "PreVoteGranted",
    "PreVoteRefused",
    "PreVoteCounted",
    "QuorumLost",
    "MembersChanged",
    "ChangeRefused",
    "HandsOver",
    "ScrubPassed",
    "ValueMoved",
];

/// Histories of which no order was found nor refuted: counted, and better never.
const UNDECIDED: (&str, &str) = ("fault", "(undecided histories)");

/// Reasons that events give, by how they begin.
const REASONS: [(&str, &[&str]); 4] = [
    ("RequestRefused", &["NotPrimary", "NotServing", "Busy"]),
    (
        "PrimarySuspected",
        &[
            "it says that it is not",
            "it has been silent",
            "its connection broke",
            "it is cut off",
            "it answers probes",
        ],
    ),
    (
        "TakeoverAbandoned",
        &["another log is more complete", "too many refused", "no majority answered", "a later epoch"],
    ),
    (
        "TransferStarted",
        &[
            "its log is unproven",
            "the primary's log begins",
            "the primary made a newer",
            "a chunk did not come",
        ],
    ),
];

/// How often each entry happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    counts: BTreeMap<(&'static str, &'static str), u64>,
}

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its group.
    pub group: &'static str,
    /// Its name.
    pub entry: &'static str,
    /// How often it happened.
    pub count: u64,
}

/// Everything that must happen.
fn expected() -> impl Iterator<Item = (&'static str, &'static str)> {
    let idle = |m: &&Mechanism| !IDLE.iter().any(|(idle, _)| idle == *m);
    let mechanisms = Mechanism::ALL.iter().filter(idle).map(|m| ("stopped by", m.id()));
    let messages = FATES.into_iter().flat_map(|fate| MESSAGES.into_iter().map(move |name| (fate, name)));
    let faults = FAULTS.into_iter().map(|fault| ("fault", fault));
    let recoveries = RECOVERIES.into_iter().map(|recovery| ("recovery", recovery));
    let events = Kind::NAMES.iter().filter(|name| !NO_EVENTS.contains(name)).map(|name| ("event", *name));
    let reasons =
        REASONS.into_iter().flat_map(|(event, reasons)| reasons.iter().map(move |reason| (event, *reason)));
    mechanisms.chain(messages).chain(faults).chain(recoveries).chain(events).chain(reasons)
}

impl Coverage {
    /// It happened.
    pub(crate) fn count(&mut self, group: &'static str, entry: &'static str, times: u64) {
        if times > 0 {
            *self.counts.entry((group, entry)).or_default() += times;
        }
    }

    pub(crate) fn event(&mut self, kind: &Kind) {
        self.count("event", kind.name(), 1);
        let (Kind::RequestRefused { why, .. }
        | Kind::PrimarySuspected { why, .. }
        | Kind::TakeoverAbandoned { why, .. }
        | Kind::TransferStarted { why, .. }) = kind
        else {
            return;
        };
        let of_kind = REASONS.iter().find(|(event, _)| *event == kind.name());
        let reason = of_kind.and_then(|(_, reasons)| reasons.iter().find(|reason| why.starts_with(**reason)));
        self.count(kind.name(), reason.copied().unwrap_or("(another reason)"), 1);
    }

    /// Takes in what another run came across.
    pub fn add(&mut self, other: &Coverage) {
        other.counts.iter().for_each(|((group, entry), times)| self.count(group, entry, *times));
    }

    /// How often an entry happened.
    pub fn times(&self, group: &str, entry: &str) -> u64 {
        self.counts.iter().find(|((g, e), _)| (*g, *e) == (group, entry)).map_or(0, |(_, times)| *times)
    }

    /// Every entry that happened or must happen.
    pub fn rows(&self) -> Vec<Row> {
        let mut counts = self.counts.clone();
        let of_extensions = |entry: &str| {
            let mechanism = Mechanism::from_id(entry).map(Mechanism::room);
            OF_EXTENSIONS.contains(&entry) || mechanism == Some(Room::Extension)
        };
        let extended = counts.keys().any(|(_, entry)| of_extensions(entry));
        let expected = expected().filter(|(_, entry)| extended || !of_extensions(entry));
        expected.for_each(|entry| *counts.entry(entry).or_default() += 0);
        counts.into_iter().map(|((group, entry), count)| Row { group, entry, count }).collect()
    }

    /// What happened although nobody lists it: a new kind of message, say. It belongs into the lists of this file, so that
    /// it is missed when it no longer happens.
    pub fn unlisted(&self) -> Vec<(&'static str, &'static str)> {
        let listed: Vec<_> = expected().collect();
        let odd = |entry: &(&str, &str)| *entry == UNDECIDED || entry.1 == IGNORED;
        self.counts.keys().filter(|entry| !listed.contains(entry) && !odd(entry)).copied().collect()
    }
}
