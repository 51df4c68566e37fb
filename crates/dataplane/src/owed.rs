//! A log that has lost entries, and goes on voting as if it had them.
//!
//! Damage can take entries out of the middle of a log, and a device that has no room for a second state has to give up the
//! first. What the replica acknowledged may be committed, so it must not vote as if it had never had it:
//!
//! 1. n1 commits entry 5 with n2. n2 restarts: the record of 5 is damaged, and so is all that was behind it.
//! 2. n2, whose log ends at 4 now, promises to n3, whose log ends at 4 as well.
//! 3. n3 leads, and gives 5 another content.
//!
//! Not to vote at all would be safe, but two such replicas of three end the shard for good, although the third has all that
//! there is. What a vote is about is where the log *ended*, not what of it can still be read; so the replica keeps that,
//! durably: it *owes* everything up to there.
//!
//! - A promise answers with what is owed, if that is more complete than the log. So nobody leads with it who lacks an entry
//!   that was acknowledged here, just as if nothing were lost. (To say more than was acknowledged does no harm either.)
//! - It does not lead itself before its log is as complete as what it owes.
//! - It acknowledges what it really has: the entries of a primary, one matching the other from the beginning.
//! - Once the log is as complete as what was owed, nothing is owed any more. For let entry c be committed, acknowledged
//!   here, and lost. The log is a piece of that of a primary whose epoch is promised here, so not less than that in which c
//!   was acknowledged, and whose log therefore has c. If ours ended before c, its last entry would be of no later epoch
//!   than c's, and the log not as complete as what was owed, which is c or more. So it reaches as far as c, and has it.
//!
//! Nothing is given up before a primary speaks: it was elected by a majority, so it has all that was ever committed. Until
//! then the device stays as it is, as evidence; of it only the promise is written.
//!
//! Left out: three replicas that are damaged in their logs at once, each somewhere else. None of them leads, since none has
//! a whole log, and none gives up anything; putting one log together from three would be for a person to do.

use crate::core::Core;
use crate::host::Effect;
use crate::members::Members;
use crate::sessions::Sessions;
use crate::types::*;

impl Core {
    /// Where the log ends, or ended before it lost entries.
    pub(crate) fn voted_tail(&self) -> Tail {
        self.log.tail().max(self.owed)
    }

    /// Does the log lack entries that it had?
    pub fn is_short(&self) -> bool {
        self.log.tail() < self.owed
    }

    /// A primary speaks, which has all that was ever committed: what is damaged here can be given up, to be had from it.
    pub(crate) fn give_up_damaged(&mut self) {
        if std::mem::take(&mut self.damaged) {
            self.effect(Effect::GiveUpDamaged(self.owed));
        }
    }

    /// The state is given up, because there is no room for the primary's beside it.
    pub(crate) fn give_up_all(&mut self) {
        self.owed = self.voted_tail();
        let (sessions, members) = (Sessions::default(), Members::of(None, &self.config.members));
        self.begin_log(Tail::default(), sessions.within(self.config.limits), members);
        self.effect(Effect::GiveUpAll(self.owed));
    }
}
