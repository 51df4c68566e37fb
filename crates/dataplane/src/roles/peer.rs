//! What the primary knows of one backup, and what it sends it next.
//!
//! While unsure where the logs part, it sends one message at a time (`probing`); once an acknowledgement came, it streams.

use std::collections::VecDeque;

use crate::core::Core;
use crate::patience::{Measured, patience};
use crate::types::*;

/// Most entries in one `Prepare`: bounds the work of one step, beside the bytes that the host bounds.
const ENTRIES_PER_FRAME_MAX: u64 = 512;

/// One frame of entries on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct InFlight {
    from: Seq,
    upto: Seq,
    bytes: u64,
    sent_at: Micros,
}

/// What the primary knows of one backup.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Peer {
    /// Everything up to here is durable there, and the same as here.
    pub matched: Seq,
    /// The next entry to send.
    next: Seq,
    /// One message at a time, until the logs are known to match.
    probing: bool,
    /// Sent and not acknowledged.
    in_flight: VecDeque<InFlight>,
    pub sent_at: Micros,
    /// When it last answered in this epoch.
    pub heard_at: Micros,
    /// When it last acknowledged something new, or had nothing to acknowledge.
    progress_at: Micros,
    /// What an acknowledgement takes, and how often in a row none came in time.
    answers: Measured,
    failures: u32,
    /// What it needs next is damaged here: not to be looked for before this.
    unreadable_until: Micros,
}

/// What a backup is to be sent.
pub(crate) enum Next {
    /// Entries behind `prev`.
    Entries { prev: Tail, upto: Seq },
    /// A sign of life.
    Heartbeat { prev: Tail },
    /// That what it lacks is no longer in the log.
    Behind,
}

/// Where a backup's log does not match.
pub(crate) struct Mismatch {
    /// The entry that it should have had.
    pub prev: Seq,
    /// Where the two logs may match.
    pub last: Seq,
    /// It has lost entries.
    pub lost: bool,
}

impl Peer {
    pub fn new(next: Seq, now: Micros) -> Peer {
        Peer {
            matched: 0,
            next,
            probing: true,
            in_flight: VecDeque::new(),
            sent_at: 0,
            heard_at: now,
            progress_at: now,
            answers: Measured::default(),
            failures: 0,
            unreadable_until: 0,
        }
    }

    /// What holds of every backup, as the primary sees it.
    pub fn check(&self, core: &Core) {
        assert!(self.matched <= core.log.tail().seq, "D4: a backup has more than the primary");
        assert!(self.next <= core.log.tail().seq + 1, "D8: a backup is to be sent more than there is");
        assert!(self.next > 0, "there is no entry 0");
        assert!(!self.probing || self.in_flight.len() <= 1, "one frame at a time, until the logs match");
        let sent = self.in_flight.back().map(|frame| frame.upto + 1);
        assert!(sent.is_none_or(|next| next == self.next), "frames in flight end before the next one");
        let front = self.in_flight.front();
        assert!(front.is_none_or(|frame| frame.upto > self.matched), "an acknowledged frame is in flight");
    }

    /// What it is sent now, if anything.
    pub fn next(&mut self, core: &Core) -> Option<Next> {
        let tail = core.log.tail().seq;
        self.expire(core);
        let prev = core.log.epoch_at(self.next - 1).map(|epoch| Tail { epoch, seq: self.next - 1 });
        let fits = if self.probing {
            self.in_flight.is_empty()
        } else {
            self.in_flight.iter().map(|frame| frame.bytes).sum::<u64>() < core.config.timing.window_bytes
        };
        let wanted = self.next <= tail && fits && prev.is_some() && core.now >= self.unreadable_until;
        if !wanted && core.now < self.sent_at + core.config.timing.heartbeat_every {
            return None;
        }
        self.sent_at = core.now;
        Some(match prev {
            Some(prev) if wanted => Next::Entries { prev, upto: tail.min(prev.seq + ENTRIES_PER_FRAME_MAX) },
            Some(prev) => Next::Heartbeat { prev },
            None => Next::Behind,
        })
    }

    /// Goes back to what is certain when nothing was acknowledged for long: frames were lost. But not behind the retained
    /// log: what was lost may be the acknowledgement.
    fn expire(&mut self, core: &Core) {
        let patience = patience(core.config.timing.resend_after, self.answers.usually(), self.failures);
        if self.in_flight.is_empty() {
            self.progress_at = core.now;
        } else if core.now >= self.progress_at + patience {
            let from = self.in_flight.front().map_or(self.next, |frame| frame.from);
            self.probe(from.max(core.log.base() + 1));
            self.progress_at = core.now;
            self.failures += 1;
        }
    }

    fn probe(&mut self, next: Seq) {
        self.next = next;
        self.in_flight.clear();
        self.probing = true;
    }

    /// Entries up to this one were sent; false if that is nothing new.
    pub fn on_sent(&mut self, now: Micros, upto: Seq, bytes: u64) -> bool {
        let new = upto >= self.next;
        if new {
            self.in_flight.push_back(InFlight { from: self.next, upto, bytes, sent_at: now });
            self.next = upto + 1;
        }
        new
    }

    /// What it needs next cannot be read before this.
    pub fn wait_until(&mut self, at: Micros) {
        self.unreadable_until = at;
    }

    /// Everything up to `matched` is durable there; false if that is nothing new.
    pub fn on_ok(&mut self, now: Micros, matched: Seq) -> bool {
        self.heard_at = now;
        self.probing = false;
        while let Some(frame) = self.in_flight.front().filter(|frame| frame.upto <= matched) {
            self.answers.note(now.saturating_sub(frame.sent_at));
            self.in_flight.pop_front();
            self.progress_at = now;
            self.failures = 0;
        }
        self.next = self.next.max(matched + 1);
        let new = matched > self.matched;
        self.matched = self.matched.max(matched);
        new
    }

    /// Looks for where the logs match. True if it lacks what it acknowledged: unless this is a late frame, its device has
    /// lost it, and what comes behind would be refused for ever.
    pub fn on_mismatch(&mut self, core: &Core, mismatch: &Mismatch) -> bool {
        let Mismatch { prev, last, lost } = *mismatch;
        self.heard_at = core.now;
        if lost {
            // What it acknowledged and lost is sent again. (If this is an old frame, it has it again already, and says so.)
            self.matched = self.matched.min(last);
        }
        // Of several frames in flight each is refused; only the first refusal says something new.
        if prev < self.matched || (self.probing && prev >= self.next) {
            return false;
        }
        // A hint may lead behind the retained log although the two match where it begins: a backup that forgot its commit
        // point over a restart gives up a whole run. So the beginning is tried before a transfer is called for.
        let retained = if prev > core.log.base() { core.log.base() + 1 } else { 0 };
        self.probe((last + 1).min(prev).max(self.matched + 1).max(retained));
        last < self.matched
    }
}
