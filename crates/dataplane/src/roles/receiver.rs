//! A state for a replica that cannot catch up from the log: it is too far behind, or its log is unproven.
//!
//! The receiver pulls the primary's checkpoint piece by piece; each pull names the piece it wants, so that the sender
//! remembers next to nothing and a lost frame costs a repetition. Nothing of it counts until the last piece: then
//! checkpoint, promise and the right to vote become durable in one step of the engine.
//!
//! An **unproven** replica (wiped, replaced, damaged) has a further problem. It may have forgotten a promise:
//!
//! 1. n1 leads epoch 1 and is cut off. n2 leads epoch 2 by n3's promise, and commits entry 7 with n3.
//! 2. n3's disk is replaced. It hears from n1 first, which has not heard of epoch 2 and sends its state.
//! 3. n3, voting again, acknowledges another entry 7 to n1: a majority that never heard of epoch 2.
//!
//! And it may have forgotten entries. Those it acknowledged may be committed, and no other replica but the primary need
//! have them: if it voted without them, it could elect a primary that never had them either.
//!
//! One rule is the answer to both. When the transfer begins, the primary appends an entry of its own epoch, and the state
//! must include that entry. A checkpoint reaches only what is committed, and the receiver acknowledges nothing; so by
//! then a majority-sized set *without the receiver* has the entry.
//!
//! - A greater epoch that was elected before: one of that set took part, and would have refused the entry.
//! - One that is elected later with a promise that the receiver gave and forgot: its candidate stood before the receiver
//!   forgot, so it does not have the entry; it lacks one promise at least, and whoever of that set is asked has the more
//!   complete log.
//! - What the receiver had acknowledged in this epoch, and whatever was committed in an earlier one, stands before that
//!   entry, and so is in the state.
//!
//! Making the sender's epoch the receiver's durable promise then keeps older primaries out.

use trace::{Kind, Tracer, emit};

use crate::core::Core;
use crate::guard;
use crate::host::Effect;
use crate::log_shape::LogShape;
use crate::message::*;
use crate::patience::{Measured, patience};
use crate::sessions::HostState;
use crate::types::*;

/// A transfer, at the receiver.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Receiving {
    from: NodeId,
    epoch: Epoch,
    /// Names this attempt, so that pieces of an earlier one are not taken for this one's.
    transfer: u64,
    cursor: Vec<u8>,
    /// What an answer to a pull takes, and how often in a row none came in time.
    answers: Measured,
    failures: u32,
    /// The seq of the state; all pieces must be of the same.
    seq: Option<Seq>,
    asked_at: Micros,
    /// All pieces are here, and are being made the replica's own.
    complete: Option<HostState>,
}

impl Receiving {
    /// When the same piece is asked for again. A large piece on a slow link is on its way for long.
    pub(crate) fn pull_again_at(&self, least: Micros) -> Micros {
        self.asked_at + patience(least, self.answers.usually(), self.failures)
    }
}

/// The primary that is followed no longer has the next entry in its log.
pub(crate) fn on_behind(
    core: &mut Core,
    receiving: &mut Option<Receiving>,
    now: Micros,
    from: NodeId,
    epoch: Epoch,
    retained_from: Seq,
    t: &mut Tracer,
) {
    if core.vote_withheld() || core.commit + 1 < retained_from {
        start(core, receiving, now, from, epoch, "the primary's log begins after what is committed here", t);
    } else {
        // It does not know yet that the transfer is done.
        core.effect(Effect::Hold(Address::Node(from), Message::PrepareOk { epoch, matched: core.commit }));
    }
}

/// Begins, unless the same transfer is under way.
pub(crate) fn start(
    core: &mut Core,
    receiving: &mut Option<Receiving>,
    now: Micros,
    from: NodeId,
    epoch: Epoch,
    why: &str,
    t: &mut Tracer,
) {
    if receiving.as_ref().is_some_and(|r| r.from == from && r.epoch == epoch) {
        return;
    }
    emit!(t, Kind::TransferStarted { from: from.0, epoch: epoch.0, why: why.to_string() });
    // A random number of this life, and a count within it. A clock would not do, nor a count alone: (1) a transfer to
    // a disk that was replaced begins at 1 on the clock of its process; (2) entries are acknowledged, the disk is
    // replaced again, and the next process begins its transfer at 1 as well; (3) the primary takes it for the one that
    // it knows, and sends a checkpoint from before those entries; (4) the replica votes without them.
    core.transfers_begun += 1;
    let transfer = core.config.life ^ core.transfers_begun;
    *receiving = Some(Receiving {
        from,
        epoch,
        transfer,
        cursor: Vec::new(),
        answers: Measured::default(),
        failures: 0,
        seq: None,
        asked_at: now,
        complete: None,
    });
    core.effect(Effect::InstallBegin);
    pull(core, receiving, now);
}

/// Drops what has been received.
pub(crate) fn cancel(core: &mut Core, receiving: &mut Option<Receiving>) {
    if receiving.take().is_some() {
        core.effect(Effect::InstallAbort);
    }
}

fn pull(core: &mut Core, receiving: &mut Option<Receiving>, now: Micros) {
    let Some(receiving) = receiving else { return };
    receiving.asked_at = now;
    let Receiving { from, epoch, transfer, cursor, .. } = receiving.clone();
    let unproven = !core.proven;
    core.send(Address::Node(from), Message::Pull { epoch, transfer, unproven, cursor });
}

/// Asks again for a piece that did not come.
pub(crate) fn tick(core: &mut Core, receiving: &mut Option<Receiving>, now: Micros, t: &mut Tracer) {
    let again = core.config.timing.resend_after;
    let Some(waiting) = receiving else { return };
    if waiting.epoch < core.promised {
        // Its primary is deposed; the next one will be heard.
        cancel(core, receiving);
    } else if now >= waiting.pull_again_at(again) {
        waiting.failures += 1;
        let why = "asking again for the same piece".into();
        emit!(t, Kind::TransferStarted { from: waiting.from.0, epoch: waiting.epoch.0, why });
        pull(core, receiving, now);
    }
}

/// A piece of the state came.
#[allow(clippy::too_many_arguments)]
pub(crate) fn on_chunk(
    core: &mut Core,
    slot: &mut Option<Receiving>,
    now: Micros,
    from: NodeId,
    epoch: Epoch,
    transfer: u64,
    cursor: Vec<u8>,
    chunk: Chunk,
    t: &mut Tracer,
) {
    let on = core.config.mechanisms;
    let Some(receiving) = slot else { return };
    if (receiving.from, receiving.epoch, receiving.transfer) != (from, epoch, transfer)
        || receiving.cursor != cursor
    {
        return;
    }
    if chunk.seq > COUNTER_MAX {
        emit!(t, Kind::FrameRefused { why: format!("a state of {from} as of entry {}", chunk.seq) });
        return;
    }
    if *receiving.seq.get_or_insert(chunk.seq) != chunk.seq {
        // The sender has a newer checkpoint: two halves of different states are no state. Start over.
        *slot = None;
        return start(core, slot, now, from, epoch, "the primary made a newer checkpoint", t);
    }
    receiving.answers.note(now.saturating_sub(receiving.asked_at));
    receiving.failures = 0;
    core.effect(Effect::InstallItems(chunk.items));
    if guard::atomic_state_transfer(on, chunk.next.is_none()) {
        finish(core, slot, from, epoch, chunk.seq, chunk.host_state, t);
    } else if let (Some(next), Some(receiving)) = (chunk.next, &mut *slot) {
        receiving.cursor = next;
        pull(core, slot, now);
    }
}

fn finish(
    core: &mut Core,
    slot: &mut Option<Receiving>,
    from: NodeId,
    epoch: Epoch,
    seq: Seq,
    host_state: Vec<u8>,
    t: &mut Tracer,
) {
    let Ok(state) = HostState::decode(&host_state, core.config.limits) else {
        emit!(t, Kind::FrameRefused { why: format!("the state of {from} does not decode") });
        return cancel(core, slot);
    };
    if core.proven && (seq <= core.commit || core.log.epoch_at(seq) == Some(state.last_epoch)) {
        // The own log has the state's last entry, so everything before it, and perhaps more: entries that were
        // acknowledged, and that the state does not have. It is kept; what the state tells is that this much of it
        // is committed.
        cancel(core, slot);
        core.commit_upto(seq, t);
        return core.effect(Effect::Hold(Address::Node(from), Message::PrepareOk { epoch, matched: seq }));
    }
    if let Some(receiving) = slot {
        receiving.complete = Some(state);
        core.effect(Effect::InstallFinish { seq, host_state, epoch });
    }
}

/// The engine has made the received state its own, durably; or it could not, and has dropped it (`done` is false).
/// Without room for it beside what is here, the way on is to give up what is here, and to remember how far it went.
pub(crate) fn on_installed(core: &mut Core, slot: &mut Option<Receiving>, done: bool, t: &mut Tracer) {
    let Some(Receiving { from, epoch, seq, complete, .. }) = slot.take() else { return };
    let (true, Some(seq), Some(state)) = (done, seq, complete) else {
        core.effect(Effect::InstallAbort);
        emit!(t, Kind::StateGivenUp { last: core.log.tail().seq });
        return core.give_up_all();
    };
    emit!(t, Kind::TransferFinished { from: from.0, seq, epoch: epoch.0 });
    core.proven = true;
    core.promised = core.promised.max(epoch);
    core.log = LogShape::new(Tail { epoch: state.last_epoch, seq });
    core.unapplied.clear();
    core.sessions = state.sessions;
    (core.commit, core.applied, core.durable) = (seq, seq, seq);
    core.effect(Effect::Hold(Address::Node(from), Message::PrepareOk { epoch, matched: seq }));
}
