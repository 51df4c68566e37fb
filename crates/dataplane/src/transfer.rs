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

use crate::LogShape;
use crate::guard;
use crate::message::*;
use crate::patience::{Measured, patience};
use crate::replica::{Effect, Replica, Role};
use crate::sessions::Sessions;
use crate::types::*;
use crate::wire::{Code, WireError};

/// What the rules keep in a checkpoint, beside the keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct HostState {
    pub last_epoch: Epoch,
    pub sessions: Sessions,
}

impl HostState {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.last_epoch.put(&mut out);
        self.sessions.put(&mut out);
        out
    }

    /// No bytes: the state before the first checkpoint.
    pub fn decode(mut bytes: &[u8], limits: Limits) -> Result<HostState, WireError> {
        if bytes.is_empty() {
            return Ok(HostState { sessions: Sessions::default().within(limits), ..HostState::default() });
        }
        let (last_epoch, sessions) = (Epoch::get(&mut bytes)?, Sessions::get(&mut bytes)?.within(limits));
        let state = HostState { last_epoch, sessions };
        if bytes.is_empty() { Ok(state) } else { Err(WireError::Length) }
    }
}

/// A transfer to an unproven replica, at the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sending {
    /// The receiver's name for it.
    transfer: u64,
    /// The entry appended when it began, which the state has to include.
    reach: Seq,
}

/// A transfer, at the receiver.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Receiving {
    from: NodeId,
    epoch: Epoch,
    /// Names this attempt, so that pieces of an earlier one are not taken for this one's.
    transfer: u64,
    cursor: Vec<u8>,
    /// What an answer to a pull takes, and how often in a row none came in time.
    pub answers: Measured,
    pub failures: u32,
    /// The seq of the state; all pieces must be of the same.
    seq: Option<Seq>,
    pub asked_at: Micros,
    /// All pieces are here, and are being made the replica's own.
    complete: Option<HostState>,
}

impl Receiving {
    /// When the same piece is asked for again. A large piece on a slow link is on its way for long.
    pub fn pull_again_at(&self, least: Micros) -> Micros {
        self.asked_at + patience(least, self.answers.usually(), self.failures)
    }
}

impl Replica {
    pub(crate) fn on_behind(
        &mut self,
        now: Micros,
        from: NodeId,
        epoch: Epoch,
        retained_from: Seq,
        t: &mut Tracer,
    ) {
        if !self.follow(from, epoch, t) {
            return;
        }
        if self.vote_withheld() || self.commit + 1 < retained_from {
            self.start_transfer(now, from, epoch, "the primary's log begins after what is committed here", t);
        } else {
            // It does not know yet that the transfer is done.
            self.effect(Effect::Hold(
                Address::Node(from),
                Message::PrepareOk { epoch, matched: self.commit },
            ));
        }
    }

    /// Begins, unless the same transfer is under way.
    pub(crate) fn start_transfer(
        &mut self,
        now: Micros,
        from: NodeId,
        epoch: Epoch,
        why: &str,
        t: &mut Tracer,
    ) {
        if self.receiving.as_ref().is_some_and(|r| r.from == from && r.epoch == epoch) {
            return;
        }
        emit!(t, Kind::TransferStarted { from: from.0, epoch: epoch.0, why: why.to_string() });
        // A random number of this life, and a count within it. A clock would not do, nor a count alone: (1) a transfer to
        // a disk that was replaced begins at 1 on the clock of its process; (2) entries are acknowledged, the disk is
        // replaced again, and the next process begins its transfer at 1 as well; (3) the primary takes it for the one that
        // it knows, and sends a checkpoint from before those entries; (4) the replica votes without them.
        self.transfers_begun += 1;
        let transfer = self.config.life ^ self.transfers_begun;
        self.receiving = Some(Receiving {
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
        self.effect(Effect::InstallBegin);
        self.pull(now);
    }

    pub(crate) fn cancel_transfer(&mut self) {
        if self.receiving.take().is_some() {
            self.effect(Effect::InstallAbort);
        }
    }

    fn pull(&mut self, now: Micros) {
        let unproven = !self.proven;
        let Some(receiving) = &mut self.receiving else { return };
        receiving.asked_at = now;
        let Receiving { from, epoch, transfer, cursor, .. } = receiving.clone();
        self.send(Address::Node(from), Message::Pull { epoch, transfer, unproven, cursor });
    }

    pub(crate) fn transfer_tick(&mut self, now: Micros, t: &mut Tracer) {
        let again = self.config.timing.resend_after;
        let Some(receiving) = &mut self.receiving else { return };
        if receiving.epoch < self.promised {
            // Its primary is deposed; the next one will be heard.
            self.cancel_transfer();
        } else if now >= receiving.pull_again_at(again) {
            receiving.failures += 1;
            emit!(
                t,
                Kind::TransferStarted {
                    from: receiving.from.0,
                    epoch: receiving.epoch.0,
                    why: "asking again for the same piece".into()
                }
            );
            self.pull(now);
        }
    }

    pub(crate) fn on_pull(
        &mut self,
        from: NodeId,
        epoch: Epoch,
        transfer: u64,
        unproven: bool,
        cursor: Vec<u8>,
        t: &mut Tracer,
    ) {
        let reach = self.log.tail().seq + 1;
        let Role::Primary(primary) = &mut self.role else { return };
        // A primary that does not serve yet gives its state as well: it may need the receiver to commit its marker.
        if primary.epoch != epoch {
            return;
        }
        if unproven {
            let begun = primary.transfers.get(&from).filter(|sending| sending.transfer == transfer);
            let Some(begun) = begun else {
                primary.transfers.insert(from, Sending { transfer, reach });
                return self.append_own(Origin::Marker, Op::Nop, t);
            };
            if self.log.base() < begun.reach {
                // The receiver asks again; by then there is a checkpoint that reaches far enough.
                return;
            }
        }
        emit!(t, Kind::TransferChunkSent { to: from.0, seq: self.log.base() });
        self.effect(Effect::SendChunk { to: from, epoch, transfer, cursor });
    }

    #[allow(clippy::too_many_arguments)]
    pub(crate) fn on_chunk(
        &mut self,
        now: Micros,
        from: NodeId,
        epoch: Epoch,
        transfer: u64,
        cursor: Vec<u8>,
        chunk: Chunk,
        t: &mut Tracer,
    ) {
        if !self.follow(from, epoch, t) {
            return;
        }
        let on = self.config.mechanisms;
        let Some(receiving) = &mut self.receiving else { return };
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
            self.receiving = None;
            return self.start_transfer(now, from, epoch, "the primary made a newer checkpoint", t);
        }
        receiving.answers.note(now.saturating_sub(receiving.asked_at));
        receiving.failures = 0;
        self.effect(Effect::InstallItems(chunk.items));
        if guard::atomic_state_transfer(on, chunk.next.is_none()) {
            self.finish_transfer(from, epoch, chunk.seq, chunk.host_state, t);
        } else if let (Some(next), Some(receiving)) = (chunk.next, &mut self.receiving) {
            receiving.cursor = next;
            self.pull(now);
        }
    }

    fn finish_transfer(&mut self, from: NodeId, epoch: Epoch, seq: Seq, host_state: Vec<u8>, t: &mut Tracer) {
        let Ok(state) = HostState::decode(&host_state, self.config.limits) else {
            emit!(t, Kind::FrameRefused { why: format!("the state of {from} does not decode") });
            return self.cancel_transfer();
        };
        if self.proven && (seq <= self.commit || self.log.epoch_at(seq) == Some(state.last_epoch)) {
            // The own log has the state's last entry, so everything before it, and perhaps more: entries that were
            // acknowledged, and that the state does not have. It is kept; what the state tells is that this much of it
            // is committed.
            self.cancel_transfer();
            self.commit_upto(seq, t);
            return self
                .effect(Effect::Hold(Address::Node(from), Message::PrepareOk { epoch, matched: seq }));
        }
        if let Some(receiving) = &mut self.receiving {
            receiving.complete = Some(state);
            self.effect(Effect::InstallFinish { seq, host_state, epoch });
        }
    }

    /// The engine has made the received state its own, durably; or it could not, and has dropped it (`done` is false).
    /// Without room for it beside what is here, the way on is to give up what is here, and to remember how far it went.
    pub(crate) fn on_installed(&mut self, done: bool, t: &mut Tracer) {
        let Some(Receiving { from, epoch, seq, complete, .. }) = self.receiving.take() else { return };
        let (true, Some(seq), Some(state)) = (done, seq, complete) else {
            self.effect(Effect::InstallAbort);
            emit!(t, Kind::StateGivenUp { last: self.log.tail().seq });
            return self.give_up_all();
        };
        emit!(t, Kind::TransferFinished { from: from.0, seq, epoch: epoch.0 });
        self.proven = true;
        self.promised = self.promised.max(epoch);
        self.log = LogShape::new(Tail { epoch: state.last_epoch, seq });
        self.unapplied.clear();
        self.sessions = state.sessions;
        (self.commit, self.applied, self.durable) = (seq, seq, seq);
        self.effect(Effect::Hold(Address::Node(from), Message::PrepareOk { epoch, matched: seq }));
    }

    /// The primary counted this replica's acknowledgement of entries that its log does not have. Frames overtake one
    /// another, so the primary cannot tell a late refusal from a loss; the own log can: in the epoch in which entries were
    /// acknowledged nothing removes them. The device has lost what it had made durable (its last batch has rotted, or an
    /// older image was put back), and a replica that votes with such a log could elect a primary without them.
    pub(crate) fn on_contradicted(&mut self, from: NodeId, epoch: Epoch, acknowledged: Seq, t: &mut Tracer) {
        if self.proven && self.follow(from, epoch, t) && self.voted_tail().seq < acknowledged {
            let last = self.log.tail().seq;
            self.unprove(
                &format!("it acknowledged entries up to {acknowledged} and its log ends at {last}: its device lost them"),
                t,
            );
        }
    }

    /// Does an unproven receiver wait for a checkpoint as of what is applied by now?
    pub fn wants_checkpoint(&self) -> bool {
        let Role::Primary(primary) = &self.role else { return false };
        let waits = |sending: &Sending| self.log.base() < sending.reach && sending.reach <= self.applied;
        primary.transfers.values().any(waits)
    }

    /// This replica has forgotten something, or is about to: it stops voting, durably, and becomes the receiver of the
    /// next transfer. A primary leaves its role first, for whoever has the data whole.
    pub(crate) fn unprove(&mut self, why: &str, t: &mut Tracer) {
        if self.proven {
            emit!(t, Kind::VoteWithheld { to: 0, why: why.to_string() });
            self.step_down(self.promised, t);
            self.following = None;
            self.proven = false;
            self.effect(Effect::Unprove);
        }
    }
}
