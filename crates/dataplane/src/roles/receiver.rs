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

use trace::{Kind, emit};

use crate::core::Core;
use crate::guard;
use crate::host::Effect;
use crate::members::Members;
use crate::message::*;
use crate::patience::{Measured, patience};
use crate::sessions::HostState;
use crate::types::*;

/// A replica's transfer, if one is under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Receiver(Option<Transfer>);

/// A transfer, at the receiver.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Transfer {
    from: NodeId,
    epoch: Epoch,
    /// Names this attempt, so that pieces of an earlier one are not taken for this one's.
    name: u64,
    cursor: Vec<u8>,
    /// What an answer to a pull takes, and how often in a row none came in time.
    answers: Measured,
    failures: u32,
    /// The seq of the state; all pieces must be of the same.
    seq: Option<Seq>,
    /// What the rules keep in a state: it comes with the first piece.
    host_state: Vec<u8>,
    asked_at: Micros,
    /// All pieces are here, and are being made the replica's own.
    complete: Option<HostState>,
}

/// A piece of a state, and the question that it answers.
pub(crate) struct Part {
    pub transfer: u64,
    pub cursor: Vec<u8>,
    pub chunk: Chunk,
}

impl Transfer {
    /// When the same piece is asked for again. A large piece on a slow link is on its way for long.
    fn pull_again_at(&self, least: Micros) -> Micros {
        self.asked_at + patience(least, self.answers.usually(), self.failures)
    }

    fn pull(&mut self, core: &mut Core) {
        self.asked_at = core.now;
        let (epoch, transfer, unproven, cursor) = (self.epoch, self.name, !core.proven, self.cursor.clone());
        core.send(Address::Node(self.from), Message::Pull { epoch, transfer, unproven, cursor });
    }

    /// Is this the piece that was asked for?
    fn expects(&self, leader: Leader, part: &Part) -> bool {
        let asked = self.name == part.transfer && self.cursor == part.cursor;
        asked && self.from == leader.id && self.epoch == leader.epoch
    }
}

impl Receiver {
    /// What holds of every transfer.
    pub fn check(&self, core: &Core) {
        let Some(transfer) = &self.0 else { return };
        assert!(transfer.from != core.config.me, "a replica that fetches its own state");
        assert!(transfer.complete.is_none() || transfer.seq.is_some(), "a whole state has a seq");
        assert!(transfer.seq.is_some() || transfer.cursor.is_empty(), "a chunk tells the seq of the state");
    }

    pub fn is_idle(&self) -> bool {
        self.0.is_none()
    }

    pub fn pull_again_at(&self, least: Micros) -> Option<Micros> {
        Some(self.0.as_ref()?.pull_again_at(least))
    }

    /// The primary that is followed no longer has the next entry in its log.
    pub fn on_behind(&mut self, core: &mut Core, leader: Leader, retained_from: Seq) {
        if core.vote_withheld() || core.commit + 1 < retained_from {
            self.start(core, leader, "the primary's log begins after what is committed here");
        } else {
            // It does not know yet that the transfer is done.
            core.acknowledge(leader, core.commit);
        }
    }

    /// Begins, unless the same transfer is under way.
    pub fn start(&mut self, core: &mut Core, leader: Leader, why: &str) {
        let Leader { id: from, epoch } = leader;
        if self.0.as_ref().is_some_and(|transfer| transfer.from == from && transfer.epoch == epoch) {
            return;
        }
        emit!(core, Kind::TransferStarted { from: from.0, epoch: epoch.0, why: why.into() });
        core.transfers_begun += 1;
        core.effect(Effect::InstallBegin);
        let transfer = Transfer {
            from,
            epoch,
            name: guard::transfer_name(core.config.mechanisms, core.config.life, core.transfers_begun),
            cursor: Vec::new(),
            answers: Measured::default(),
            failures: 0,
            seq: None,
            host_state: Vec::new(),
            asked_at: core.now,
            complete: None,
        };
        self.0.insert(transfer).pull(core);
    }

    /// Drops what has been received.
    pub fn cancel(&mut self, core: &mut Core) {
        if self.0.take().is_some() {
            core.effect(Effect::InstallAbort);
        }
    }

    /// Asks again for a piece that did not come.
    pub fn tick(&mut self, core: &mut Core) {
        let Some(transfer) = &mut self.0 else { return };
        if transfer.epoch < core.promised {
            // Its primary is deposed; the next one will be heard.
            self.cancel(core);
        } else if core.now >= transfer.pull_again_at(core.config.timing.resend_after) {
            transfer.failures += 1;
            let (from, epoch, why) =
                (transfer.from.0, transfer.epoch.0, "a chunk did not come in time".into());
            emit!(core, Kind::TransferStarted { from, epoch, why });
            transfer.pull(core);
        }
    }

    /// A piece of the state came.
    pub fn on_chunk(&mut self, core: &mut Core, leader: Leader, part: Part) {
        let Some(transfer) = self.0.as_mut().filter(|transfer| transfer.expects(leader, &part)) else {
            return;
        };
        let Chunk { seq, items, next, host_state } = part.chunk;
        if seq > COUNTER_MAX {
            return core.refuse_frame(leader.id, "Chunk", "no log comes to so many entries");
        }
        if *transfer.seq.get_or_insert(seq) != seq {
            // The sender has a newer checkpoint: two halves of different states are no state. Start over.
            self.0 = None;
            return self.start(core, leader, "the primary made a newer checkpoint");
        }
        transfer.answers.note(core.now.saturating_sub(transfer.asked_at));
        transfer.failures = 0;
        if transfer.cursor.is_empty() {
            transfer.host_state = host_state;
        }
        core.effect(Effect::InstallItems(items));
        if guard::atomic_state_transfer(core.config.mechanisms, next.is_none()) {
            let host_state = std::mem::take(&mut transfer.host_state);
            self.finish(core, leader, seq, host_state);
        } else if let Some(next) = next {
            transfer.cursor = next;
            transfer.pull(core);
        }
    }

    fn finish(&mut self, core: &mut Core, leader: Leader, seq: Seq, host_state: Vec<u8>) {
        let Ok(state) = HostState::decode(&host_state, core.config.limits) else {
            core.refuse_frame(leader.id, "Chunk", "its sessions do not decode");
            return self.cancel(core);
        };
        if core.proven && (seq <= core.commit || core.log.epoch_at(seq) == Some(state.last_epoch)) {
            // The own log has the state's last entry, so everything before it, and perhaps more: entries that were
            // acknowledged, and that the state does not have. It is kept; what the state tells is that this much of it
            // is committed.
            self.cancel(core);
            core.acknowledge(leader, seq);
            core.commit_upto(seq);
        } else if let Some(transfer) = &mut self.0 {
            transfer.complete = Some(state);
            core.effect(Effect::InstallFinish { seq, host_state, epoch: leader.epoch });
        }
    }

    /// The engine has made the received state its own, durably; or it could not, and has dropped it (`done` is false).
    /// Without room for it beside what is here, the way on is to give up what is here, and to remember how far it went.
    pub fn on_installed(&mut self, core: &mut Core, done: bool) {
        let Some(Transfer { from, epoch, seq, complete, .. }) = self.0.take() else { return };
        let (true, Some(seq), Some(state)) = (done, seq, complete) else {
            core.effect(Effect::InstallAbort);
            emit!(core, Kind::StateGivenUp { last: core.log.tail().seq });
            return core.give_up_all();
        };
        emit!(core, Kind::TransferFinished { from: from.0, seq, epoch: epoch.0 });
        core.proven = true;
        core.promised = core.promised.max(epoch);
        let members = Members::of(state.members.0, &core.config.members);
        core.begin_log(Tail { epoch: state.last_epoch, seq }, state.sessions, members);
        core.acknowledge(Leader { id: from, epoch }, seq);
    }
}
