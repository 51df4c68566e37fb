//! What a replica says of itself: to gateways, to its host, to checkers.

use crate::core::Core;
use crate::message::*;
use crate::replica::{Replica, Role};
use crate::types::*;

impl Replica {
    /// Does an unproven receiver wait for a checkpoint as of what is applied by now?
    pub fn wants_checkpoint(&self) -> bool {
        matches!(&self.role, Role::Primary(primary) if primary.wants_checkpoint(&self.core))
    }

    /// What a checkpoint as of the applied seq has to carry for [`Replica::restore`].
    pub fn host_state(&self) -> Vec<u8> {
        self.core.host_state()
    }

    /// When [`Event::Tick`](crate::Event::Tick) is due next.
    pub fn next_deadline(&self) -> Option<Micros> {
        let timing = &self.core.config.timing;
        let role = match &self.role {
            Role::Backup => None,
            Role::Candidate(candidate) => Some(candidate.gives_up_at),
            Role::Primary(primary) => primary.next_deadline(timing),
        };
        role.into_iter().chain(self.receiver.pull_again_at(timing.resend_after)).min()
    }

    /// What this replica says of itself.
    pub fn status(&self, now: Micros) -> NodeStatus {
        let core = &self.core;
        let (role, serving, cut_off_micros) = match &self.role {
            Role::Backup => (RoleName::Backup, false, 0),
            Role::Candidate(_) => (RoleName::Candidate, false, 0),
            Role::Primary(primary) => (RoleName::Primary, primary.serving, primary.cut_off(core, now)),
        };
        NodeStatus {
            pid: core.config.pid,
            role,
            serving,
            proof: self.proof(),
            promised: core.promised,
            primary: if self.is_primary() { Some(core.config.me) } else { core.following },
            tail: core.log.tail(),
            voted_tail: core.voted_tail(),
            durable: core.durable,
            committed: core.commit,
            cut_off_micros,
            sync_micros: core.sync.usually(),
        }
    }

    /// Of a primary: how far each of the others is known to be.
    pub fn progress(&self) -> Vec<Progress> {
        match &self.role {
            Role::Primary(primary) => primary.progress().collect(),
            Role::Backup | Role::Candidate(_) => Vec::new(),
        }
    }

    pub(crate) fn tell_status(&mut self, to: impl Into<Option<GatewayId>>, attempt: u64) {
        let Some(to) = to.into() else { return };
        let status = self.status(self.core.now);
        self.core.reported = status.tail;
        self.core.send(Address::Gateway(to), Message::Status { attempt, status });
        if let Some(members) = self.told_members() {
            self.core.send(Address::Gateway(to), members);
        }
    }

    /// Who belongs to the shard, for gateways; where that does not change, nothing.
    pub fn told_members(&self) -> Option<Message> {
        if !self.core.config.members_change {
            return None;
        }
        let serves = match &self.role {
            Role::Primary(primary) => Some(primary.epoch).filter(|_| primary.serving),
            Role::Backup | Role::Candidate(_) => None,
        };
        let rows = self.core.members.rows().iter().map(|(id, member)| (*id, *member)).collect();
        Some(Message::Members { serves, rows })
    }

    /// Whether this replica may vote.
    pub fn proof(&self) -> Proof {
        match (self.core.proven, self.receiver.is_idle()) {
            (true, _) => Proof::Proven,
            (false, true) => Proof::Unproven,
            (false, false) => Proof::Transferring,
        }
    }

    /// Is `peer`, speaking in `epoch`, the primary that it follows?
    pub fn follows(&self, peer: NodeId, epoch: Epoch) -> bool {
        self.core.following == Some(peer) && epoch == self.core.promised
    }

    /// Does it lead?
    pub fn is_primary(&self) -> bool {
        matches!(self.role, Role::Primary(_))
    }

    /// Does it stand?
    pub fn is_candidate(&self) -> bool {
        matches!(self.role, Role::Candidate(_))
    }

    /// What it knows whatever its role, to look at.
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// Is its log proven?
    pub fn is_proven(&self) -> bool {
        self.core.proven
    }
}
