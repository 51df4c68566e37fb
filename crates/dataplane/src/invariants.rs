//! What must hold of a replica after every event, by the numbers of [`crate`].
//!
//! These hold with all mechanisms on. With one taken out some need not: that is what the lab shows, so nothing is checked
//! there. Whatever a peer says, it must not make one of them fail; then a guard is missing.

use trace::Mechanisms;

use crate::replica::{Replica, Role};
use crate::types::*;

/// What a replica was before an event.
pub(crate) struct Before {
    promised: Epoch,
    commit: Seq,
    /// It could vote, and its log lacked nothing.
    whole: bool,
    /// The epoch that it led, and where its log ended.
    led: Option<(Epoch, Tail)>,
}

impl Replica {
    pub(crate) fn mark(&self) -> Before {
        let led = match &self.role {
            Role::Primary(primary) => Some((primary.epoch, self.core.log.tail())),
            _ => None,
        };
        Before { promised: self.core.promised, commit: self.core.commit, whole: self.is_whole(), led }
    }

    fn is_whole(&self) -> bool {
        self.core.proven && !self.core.is_short()
    }

    pub(crate) fn check(&self, before: &Before) {
        if self.core.config.mechanisms == Mechanisms::all() {
            self.check_promise(before);
            self.check_log(before);
            self.check_role(before);
        }
    }

    fn check_promise(&self, before: &Before) {
        let core = &self.core;
        assert!(core.promised >= before.promised, "D3: a promise went back");
        assert!(core.seen >= core.promised, "D3: the next candidacy would be for a promised epoch");
        assert!(core.owed.epoch <= core.promised, "D3: what is owed was written in a promised epoch");
        let promised = !core.proven || core.log.tail().epoch <= core.promised;
        assert!(promised, "D2: the log of an epoch that is not promised");
    }

    fn check_log(&self, before: &Before) {
        let (core, tail) = (&self.core, self.core.log.tail());
        core.log.check();
        self.receiver.check(core);
        assert!(core.applied <= core.commit, "D5: entry {} is applied, not committed", core.applied);
        assert!(core.commit <= tail.seq, "D1: entry {} is committed, not in the log", core.commit);
        assert!(core.durable <= tail.seq, "D4: entry {} is durable, not in the log", core.durable);
        assert!(core.log.base() <= core.applied, "D5: a checkpoint of what is not applied");
        assert_eq!(core.applied + core.unapplied.len() as Seq, tail.seq, "D1: a log has no holes");
        assert!(!core.applying || core.applied < core.commit, "D5: an entry is being applied too early");
        let forgets = !before.whole || !self.is_whole();
        assert!(core.commit >= before.commit || forgets, "D7: the commit point went back to {}", core.commit);
        assert!(core.sessions.are_within(core.config.limits), "D6: more is remembered than the limits say");
    }

    fn check_role(&self, before: &Before) {
        let core = &self.core;
        match &self.role {
            Role::Backup => {}
            Role::Candidate(candidate) => {
                assert!(core.proven, "D4: a candidate whose log may not vote");
                candidate.check(core);
            }
            Role::Primary(primary) => {
                assert!(core.proven, "D4: a primary whose log may not vote");
                primary.check(core);
                let Some((_, led)) = before.led.filter(|(epoch, _)| *epoch == primary.epoch) else { return };
                let same = core.log.epoch_at(led.seq).is_none_or(|epoch| epoch == led.epoch);
                assert!(same && core.log.tail() >= led, "D8: a primary's log changed before its end");
                let counted = core.commit == before.commit || primary.has_majority(core, core.commit);
                assert!(counted, "D4: entry {} is committed without a majority", core.commit);
            }
        }
    }
}
