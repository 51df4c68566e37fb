//! The backup: it makes its log the same as the primary's, and says how far it is.
//!
//! A `Prepare` names the entry before its first one. If the own log has that very entry, then by induction everything
//! before it is the same too (Raft's log matching), and what contradicts the new entries is what no majority has.

use trace::{Kind, emit};

use crate::core::Core;
use crate::guard;
use crate::message::*;
use crate::roles::receiver::Receiver;
use crate::types::*;

/// What a primary that is followed sends of its log.
pub(crate) struct Piece {
    pub prev: Tail,
    pub entries: Vec<Entry>,
    pub commit: Seq,
    /// How many of the entries have room on the device.
    pub fit: usize,
}

/// Takes over what is missing, and acknowledges what is the same.
pub(crate) fn on_prepare(core: &mut Core, receiver: &mut Receiver, leader: Leader, piece: Piece) {
    let Piece { prev, entries, commit, fit } = piece;
    let Leader { id: from, epoch } = leader;
    if !well_formed(epoch, prev, &entries) {
        return core.refuse_frame(from, "Prepare", "its entries are not a piece of one log");
    }
    if core.vote_withheld() {
        return receiver.start(core, leader, "its log is unproven");
    }
    let on = core.config.mechanisms;
    let last = core.log.tail().seq;
    // What is in the checkpoint is committed, so it is the same on every primary that can speak to us.
    let own = if prev.seq < core.log.base() { Some(prev.epoch) } else { core.log.epoch_at(prev.seq) };
    if !guard::log_matching(on, own, prev) {
        emit!(core, Kind::EntriesRefused { from: from.0, epoch: epoch.0, prev: prev.seq, last });
        // Another epoch at `prev`: its whole run is in doubt. The committed part is not.
        let hint = match own {
            Some(_) => (core.log.run_start(prev.seq) - 1).max(core.commit),
            None => last,
        };
        let (prev, lost) = (prev.seq, core.is_short());
        return core.send(Address::Node(from), Message::PrepareRefused { epoch, prev, last: hint, lost });
    }
    receiver.cancel(core);
    let matched = prev.seq + entries.len().min(fit) as u64;
    take_entries(core, from, prev.seq, entries, fit);
    core.acknowledge(leader, matched);
    let last = core.log.tail().seq;
    core.commit_upto(guard::commit_within_match(on, commit, matched, last).min(last));
}

/// Says that nothing beyond the primary's epoch is promised here.
pub(crate) fn on_confirm(core: &mut Core, leader: Leader, round: u64) {
    if !core.vote_withheld() {
        let Leader { id: to, epoch } = leader;
        emit!(core, Kind::EpochConfirmed { to: to.0, epoch: epoch.0, round });
        core.send(Address::Node(to), Message::Confirmed { epoch, round });
    }
}

/// Removes what contradicts `entries`, and appends those that are missing, as far as there is room. What contradicts the
/// others goes as well: it may hold the very room that they need.
fn take_entries(core: &mut Core, from: NodeId, prev: Seq, entries: Vec<Entry>, fit: usize) {
    let on = core.config.mechanisms;
    let last = core.log.tail().seq;
    let new = entries.iter().position(|entry| !core.has(entry));
    let conflict = new.map(|at| entries[at].seq).filter(|seq| *seq <= last);
    if new.is_none() && !entries.is_empty() {
        emit!(core, Kind::EntriesRepeated { from: from.0, upto: prev + entries.len() as u64 });
    }
    if let Some(cut) = guard::truncate_only_on_conflict(on, conflict, prev, last)
        && guard::truncate_on_conflict(on)
    {
        core.truncate(cut);
    }
    for entry in entries.into_iter().take(fit) {
        if entry.seq == core.log.tail().seq + 1 && entry.epoch >= core.log.tail().epoch {
            core.append(entry);
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
