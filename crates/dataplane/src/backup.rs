//! The backup: it makes its log the same as the primary's, and says how far it is.
//!
//! A `Prepare` names the entry before its first one. If the own log has that very entry, then by induction everything
//! before it is the same too (Raft's log matching), and what contradicts the new entries is what no majority has.

use trace::{Kind, Tracer, emit};

use crate::guard;
use crate::message::*;
use crate::replica::{Effect, Replica};
use crate::types::*;

impl Replica {
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn on_prepare(
        &mut self,
        now: Micros,
        from: NodeId,
        epoch: Epoch,
        prev: Tail,
        entries: Vec<Entry>,
        commit: Seq,
        t: &mut Tracer,
    ) {
        let room = std::mem::replace(&mut self.room, usize::MAX);
        if !self.follow(from, epoch, t) {
            return;
        }
        if !well_formed(epoch, prev, &entries) {
            emit!(t, Kind::FrameRefused { why: format!("the entries of {from} are not a piece of one log") });
            return;
        }
        if self.vote_withheld() {
            return self.start_transfer(now, from, epoch, "its log is unproven", t);
        }
        let on = self.config.mechanisms;
        let last = self.log.tail().seq;
        // What is in the checkpoint is committed, so it is the same on every primary that can speak to us.
        let own = if prev.seq < self.log.base() { Some(prev.epoch) } else { self.log.epoch_at(prev.seq) };
        if !guard::log_matching(on, own, prev) {
            emit!(t, Kind::EntriesRefused { from: from.0, epoch: epoch.0, prev: prev.seq, last });
            // Another epoch at `prev`: its whole run is in doubt. The committed part is not.
            let hint = match own {
                Some(_) => (self.log.run_start(prev.seq) - 1).max(self.commit),
                None => last,
            };
            let (prev, lost) = (prev.seq, self.is_short());
            return self.send(Address::Node(from), Message::PrepareRefused { epoch, prev, last: hint, lost });
        }
        self.cancel_transfer();
        let matched = prev.seq + entries.len().min(room) as u64;
        self.take_entries(from, prev.seq, entries, room, t);
        let last = self.log.tail().seq;
        self.commit_upto(guard::commit_within_match(on, commit, matched, last).min(last), t);
        self.effect(Effect::Hold(Address::Node(from), Message::PrepareOk { epoch, matched }));
    }

    /// Is this entry in the log already, or in the checkpoint?
    pub fn has(&self, entry: &Entry) -> bool {
        entry.seq <= self.log.base() || self.log.epoch_at(entry.seq) == Some(entry.epoch)
    }

    /// Removes what contradicts `entries`, and appends those that are missing, as far as there is room. What contradicts the
    /// others goes as well: it may hold the very room that they need.
    fn take_entries(&mut self, from: NodeId, prev: Seq, entries: Vec<Entry>, room: usize, t: &mut Tracer) {
        let on = self.config.mechanisms;
        let last = self.log.tail().seq;
        let new = entries.iter().position(|entry| !self.has(entry));
        let conflict = new.map(|at| entries[at].seq).filter(|seq| *seq <= last);
        if new.is_none() && !entries.is_empty() {
            emit!(t, Kind::EntriesRepeated { from: from.0, upto: prev + entries.len() as u64 });
        }
        if let Some(cut) = guard::truncate_only_on_conflict(on, conflict, prev, last)
            && guard::truncate_on_conflict(on)
        {
            assert!(
                cut > self.commit,
                "D7: entry {cut} is committed (up to {}) and contradicted",
                self.commit
            );
            emit!(t, Kind::LogTruncated { from: cut, last_before: last, last: cut - 1 });
            self.log.truncate(cut);
            self.durable = self.durable.min(cut - 1);
            self.unapplied.truncate((cut - 1 - self.applied) as usize);
            self.effect(Effect::Truncate(cut));
        }
        for entry in entries.into_iter().take(room) {
            if entry.seq == self.log.tail().seq + 1 && entry.epoch >= self.log.tail().epoch {
                self.append(entry, t);
            }
        }
    }
}

/// Do these entries follow `prev` and one another, in epochs that do not go back and do not exceed the sender's?
fn well_formed(epoch: Epoch, prev: Tail, entries: &[Entry]) -> bool {
    let mut before = prev;
    entries.iter().all(|entry| {
        let follows =
            entry.seq == before.seq.wrapping_add(1) && entry.epoch >= before.epoch && entry.epoch <= epoch;
        before = Tail { epoch: entry.epoch, seq: entry.seq };
        follows
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Op, Origin};

    #[test]
    fn entries_that_are_no_piece_of_one_log_are_no_entries() {
        let entry = |seq, epoch| Entry { seq, epoch: Epoch(epoch), origin: Origin::Marker, op: Op::Nop };
        let prev = Tail { epoch: Epoch(2), seq: 4 };
        let holds = |entries: &[Entry]| well_formed(Epoch(3), prev, entries);
        assert!(holds(&[]) && holds(&[entry(5, 2)]) && holds(&[entry(5, 2), entry(6, 3)]));
        assert!(!holds(&[entry(4, 2)]), "repeats what it says it follows");
        assert!(!holds(&[entry(5, 2), entry(7, 2)]), "has a hole");
        assert!(!holds(&[entry(5, 1)]) && !holds(&[entry(5, 3), entry(6, 2)]), "goes back in epochs");
        assert!(!holds(&[entry(5, 4)]), "is newer than its sender");
        assert!(!well_formed(Epoch(3), Tail { epoch: Epoch(2), seq: u64::MAX }, &[entry(1, 2)]), "wraps");
    }
}
