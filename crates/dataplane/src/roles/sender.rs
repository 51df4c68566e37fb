//! The sender of a state: a primary, to receivers that cannot catch up from its log (see `receiver`).

use std::collections::BTreeMap;

use trace::{Kind, emit};

use crate::core::Core;
use crate::guard;
use crate::host::Effect;
use crate::types::*;

/// A transfer to an unproven replica, at the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sending {
    /// The receiver's name for it.
    transfer: u64,
    /// The entry appended when it began, which the state has to include.
    reach: Seq,
}

/// A receiver's question.
pub(crate) struct Pull {
    pub from: NodeId,
    pub transfer: u64,
    pub unproven: bool,
    pub cursor: Vec<u8>,
}

/// Per unproven receiver of a transfer, what it has to wait for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Senders(BTreeMap<NodeId, Sending>);

impl Senders {
    /// Sends the piece that is asked for, once there is a state that may be sent.
    pub fn on_pull(&mut self, core: &mut Core, epoch: Epoch, pull: Pull) {
        let Pull { from, transfer, unproven, cursor } = pull;
        if unproven {
            let begun = self.0.get(&from).filter(|sending| sending.transfer == transfer);
            let Some(begun) = begun else {
                let reach = core.log.tail().seq + 1;
                self.0.insert(from, Sending { transfer, reach });
                return core.append_own(epoch, Origin::Marker, Op::Nop);
            };
            if !guard::transfer_reach(core.config.mechanisms, core.log.base(), begun.reach) {
                // The receiver asks again; by then there is a checkpoint that reaches far enough.
                return;
            }
        }
        emit!(core, Kind::TransferChunkSent { to: from.0, seq: core.log.base() });
        core.effect(Effect::SendChunk { to: from, epoch, transfer, cursor });
    }

    /// Does an unproven receiver wait for a checkpoint as of what is applied by now?
    pub fn want_checkpoint(&self, core: &Core) -> bool {
        let waits = |sending: &Sending| core.log.base() < sending.reach && sending.reach <= core.applied;
        self.0.values().any(waits)
    }
}
