//! What checkers see, and what they return.

use dataplane::sessions::Sessions;
use dataplane::{Epoch, Members, Micros, NodeId, Origin, RoleName, Seq, wire};
use disk::Disk;
use engine::Engine;

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant's number, as in `dataplane`, `engine` or DESIGN (P1 to P5 are the promises to clients).
    pub invariant: String,
    /// The promise to clients that it breaks, from 1 to 5.
    pub promise: u8,
    /// Who noticed.
    pub checker: &'static str,
    /// What happened.
    pub sentence: String,
    /// When, in microseconds of virtual time.
    pub at: Micros,
}

impl Violation {
    /// The broken promise in a client's words.
    pub fn promise_in_words(&self) -> &'static str {
        trace::mechanism::PROMISES[usize::from(self.promise) - 1]
    }
}

/// What a checker returns: nothing, or the invariant, the promise it serves, and what happened.
pub(crate) type Finding = Result<(), Broken>;

/// A violation before anybody has noted when it happened.
#[derive(Debug)]
pub(crate) struct Broken {
    pub invariant: &'static str,
    pub promise: u8,
    pub checker: &'static str,
    pub sentence: String,
}

pub(crate) fn broken(
    checker: &'static str,
    invariant: &'static str,
    promise: u8,
    sentence: impl Into<String>,
) -> Finding {
    found(Broken { invariant, promise, checker, sentence: sentence.into() })
}

/// Every finding of every checker comes through here: a function of its own, so that a debugger can stop at it.
#[inline(never)]
fn found(broken: Broken) -> Finding {
    Err(broken)
}

/// Who wrote an entry, and why: with these equal, so is the content.
pub(crate) type Stamp = (Epoch, Origin);

/// A replica, seen after one of its steps.
pub(crate) struct Sight<'a> {
    /// Its place among the replicas of its shard, from 0.
    pub seat: usize,
    pub node: NodeId,
    pub role: RoleName,
    pub promised: Epoch,
    pub commit: Seq,
    /// What it had applied before the step, and after it.
    pub applied: (Seq, Seq),
    pub proven: bool,
    /// What it remembers of requests.
    pub sessions: &'a Sessions,
    /// Who belongs to the shard, by its log.
    pub members: &'a Members,
    pub engine: &'a Engine<Disk>,
}

/// Who wrote entry `seq` of this device, if it still is in the log.
pub(crate) fn stamp(engine: &Engine<Disk>, seq: Seq) -> Option<Stamp> {
    wire::decode_all(engine.tag(seq)?).ok()
}
