//! Waiting for a primary, asking who would vote, standing.

use std::collections::BTreeSet;

use dataplane::patience::{PATIENCE_MAX, Typical, patience, splitmix};
use dataplane::wire::WireError;
use dataplane::{Epoch, Micros, NodeId, Proof, RoleName};
use node::{Extension, Look, Wish, Wishes};
use trace::{Kind, emit};

use crate::guard;
use crate::words::Words;

/// Signs of life of a primary that are missed before it is taken for dead.
const BEATS: Micros = 6;
/// A primary is silent for no more syncs and round trips in a row: a promise or a checkpoint takes several.
const STEPS_SILENT: Micros = 3;
/// A takeover takes no more in a row: two syncs of a promise, one that is under way, one of the marker, and the ways.
const STEPS_TAKEOVER: Micros = 4;
/// A wait for a primary grows to no more than this many doublings, and one for a candidacy or an answer.
const DOUBLINGS_MAX: [u32; 2] = [4, 6];

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
enum State {
    #[default]
    Waiting,
    Asking(Round),
    Standing,
}

/// A question to all others, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Round {
    number: u64,
    since: Micros,
    /// The greatest epoch that those who answered have promised: a candidacy must be above it.
    above: Epoch,
    granted: BTreeSet<NodeId>,
    refused: BTreeSet<NodeId>,
}

/// The extension's state on one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Elections {
    state: State,
    /// It has looked before.
    begun: bool,
    random: u64,
    /// What was promised when it last looked, and since when; or since when it leads, or no longer.
    promised: Epoch,
    promised_at: Micros,
    led: bool,
    /// Its present wait began then, if no primary was heard later.
    since: Micros,
    /// Candidacies, of this node or others, that came to nothing since a primary lasted.
    failures: u32,
    /// Questions in a row that too few answered.
    unanswered: u32,
    /// What the first answer to a question takes.
    trips: Typical,
    /// The slowest sync of those who would vote for it, when it last asked.
    voters_sync: Micros,
    deadline: Option<Micros>,
}

impl Extension for Elections {
    fn number(&self) -> u8 {
        1
    }

    fn tick(&mut self, look: &Look, wishes: &mut Wishes) {
        self.notice(look);
        match look.status.role {
            RoleName::Primary => self.check_quorum(look, wishes),
            RoleName::Backup => self.go_on(look, wishes),
            RoleName::Candidate => {}
        }
        self.deadline = self.deadline(look);
    }

    fn hear(
        &mut self,
        look: &Look,
        (from, promised): (NodeId, Epoch),
        words: &[u8],
        wishes: &mut Wishes,
    ) -> Result<(), WireError> {
        let words = Words::decode(words)?;
        self.notice(look);
        match (words, &mut self.state) {
            (Words::Ask { round, tail }, _) => {
                let refusal = self.refusal(look, tail);
                let answer = match &refusal {
                    None => Words::Grant { round, sync_micros: look.status.sync_micros },
                    Some(_) => Words::Refuse { round },
                };
                match refusal {
                    None => emit!(wishes, Kind::PreVoteGranted { to: from.0 }),
                    Some(why) => emit!(wishes, Kind::PreVoteRefused { to: from.0, why: why.into() }),
                }
                wishes.add(Wish::Say(from, answer.encode()));
            }
            (Words::Grant { round, .. } | Words::Refuse { round }, State::Asking(asked))
                if asked.number == round =>
            {
                if asked.granted.len() + asked.refused.len() == 1 {
                    self.trips.note(look.now.saturating_sub(asked.since));
                }
                asked.above = asked.above.max(promised);
                let Words::Grant { sync_micros, .. } = words else {
                    asked.refused.insert(from);
                    return Ok(());
                };
                self.voters_sync = self.voters_sync.max(sync_micros.min(PATIENCE_MAX));
                if look.members.votes(from) && asked.granted.insert(from) {
                    let (from, have) = (from.0, asked.granted.len() as u32);
                    emit!(wishes, Kind::PreVoteCounted { from, have, need: look.members.majority() as u32 });
                }
                self.stand_if_supported(look, wishes);
            }
            // It comes too late.
            (Words::Grant { .. } | Words::Refuse { .. }, _) => {}
        }
        self.deadline = self.deadline(look);
        Ok(())
    }

    fn next_deadline(&self) -> Option<Micros> {
        // It has to look once to know when it will be time.
        if self.begun { self.deadline } else { Some(0) }
    }

    fn copy(&self) -> Box<dyn Extension> {
        Box::new(self.clone())
    }
}

/// Would its candidacy be taken up at all? The core refuses one whose log is unproven, or lacks what it had.
fn may_stand(look: &Look) -> bool {
    look.members.votes(look.config.me)
        && look.status.proof == Proof::Proven
        && look.status.tail == look.status.voted_tail
}

impl Elections {
    /// Takes in what has changed since it last looked.
    fn notice(&mut self, look: &Look) {
        let (status, now) = (&look.status, look.now);
        if !self.begun {
            // A node that starts does not know whether a primary lives, and waits as if it had just heard one.
            let seed = look.config.life ^ (u64::from(look.config.me.0) << 56);
            (self.begun, self.random, self.since, self.promised_at) = (true, splitmix(seed), now, now);
        }
        // A clock that jumped back.
        (self.since, self.promised_at) = (self.since.min(now), self.promised_at.min(now));
        if let State::Asking(round) = &mut self.state {
            round.since = round.since.min(now);
        }
        let leads = status.role == RoleName::Primary;
        if status.promised != self.promised || leads != self.led {
            // Somebody was promised a vote, and is given its time; or the lead was won, or lost.
            self.failures += u32::from(self.led && !leads);
            (self.promised, self.promised_at, self.led, self.since) = (status.promised, now, leads, now);
            if let State::Asking(_) = self.state {
                self.state = State::Waiting;
            }
        }
        if matches!(self.state, State::Standing) && status.role != RoleName::Candidate {
            if !leads {
                self.failures += 1;
            }
            self.wait_anew(now);
        }
        // A primary that has lasted ends the failures: one that is heard once may be deposed by the next.
        let heard_at = if status.serving { now } else { look.heard_at };
        if heard_at > self.promised_at + self.timeout(look) {
            (self.failures, self.unanswered) = (0, 0);
        }
    }

    fn wait_anew(&mut self, now: Micros) {
        (self.state, self.since, self.random) = (State::Waiting, now, splitmix(self.random));
    }

    /// How long nothing may be heard, without the random part.
    fn timeout(&self, look: &Look) -> Micros {
        let usually = STEPS_SILENT * (look.status.sync_micros + self.trips.usually());
        patience(BEATS * look.config.timing.heartbeat_every, usually, self.failures.min(DOUBLINGS_MAX[0]))
    }

    /// How long it waits this time.
    fn waits_until(&self, look: &Look) -> Micros {
        let timeout = self.timeout(look);
        self.since.max(self.alive_at(look)) + timeout + self.random % (timeout / 2 + 1)
    }

    /// How long it waits for answers.
    fn ask_patience(&self, look: &Look) -> Micros {
        let least = (BEATS / 2 * look.config.timing.heartbeat_every).max(1);
        patience(least, 2 * self.trips.usually(), self.unanswered.min(DOUBLINGS_MAX[1]))
    }

    /// When a primary was last heard, or a vote promised. Its own questions are no sign of a primary: two nodes that ask in
    /// turn would refuse each other for ever.
    fn alive_at(&self, look: &Look) -> Micros {
        self.promised_at.max(look.heard_at)
    }

    fn check_quorum(&self, look: &Look, wishes: &mut Wishes) {
        let (on, status) = (look.config.mechanisms, &look.status);
        // Whoever answers does so after its own syncs; how long those take may not have been heard.
        let least = BEATS * look.config.timing.heartbeat_every;
        let usually = STEPS_SILENT * (self.voters_sync + self.trips.usually());
        let answers = patience(least, usually, self.failures.min(DOUBLINGS_MAX[1]));
        // One whose marker does not come to be committed serves nobody either, although the others answer: an entry before it
        // may be damaged, and nobody else has that.
        let idle =
            if status.serving { 0 } else { look.now.saturating_sub(self.promised_at) / STEPS_TAKEOVER };
        if !guard::check_quorum(on, status.cut_off_micros.max(idle), self.timeout(look).max(answers)) {
            emit!(wishes, Kind::QuorumLost { epoch: status.promised.0 });
            wishes.add(Wish::StepDown);
        }
    }

    /// A backup's time has passed.
    fn go_on(&mut self, look: &Look, wishes: &mut Wishes) {
        match &self.state {
            State::Waiting if look.now >= self.waits_until(look) && may_stand(look) => {
                if guard::pre_vote(look.config.mechanisms) {
                    self.ask(look, wishes);
                } else {
                    self.stand(look.status.promised, look, wishes);
                }
            }
            State::Asking(round) if look.now >= round.since + self.ask_patience(look) => {
                let answered = round.granted.len() + round.refused.len() >= look.members.majority();
                self.unanswered = if answered { 0 } else { self.unanswered + 1 };
                self.wait_anew(look.now);
            }
            _ => {}
        }
    }

    fn ask(&mut self, look: &Look, wishes: &mut Wishes) {
        let (me, tail) = (look.config.me, look.status.voted_tail);
        emit!(wishes, Kind::PreVoteAsked { epoch: look.status.promised.0, attempt: self.failures });
        (self.random, self.voters_sync) = (splitmix(self.random), 0);
        for peer in look.members.voters().filter(|peer| *peer != me) {
            wishes.add(Wish::Say(peer, Words::Ask { round: self.random, tail }.encode()));
        }
        self.state = State::Asking(Round {
            number: self.random,
            since: look.now,
            above: look.status.promised,
            granted: BTreeSet::from([me]),
            refused: BTreeSet::new(),
        });
        self.stand_if_supported(look, wishes);
    }

    /// Why it would not vote for a candidate with this log.
    fn refusal(&self, look: &Look, theirs: dataplane::Tail) -> Option<&'static str> {
        let (on, status) = (look.config.mechanisms, &look.status);
        let alive = match status.role {
            RoleName::Primary => status.cut_off_micros < self.timeout(look),
            RoleName::Candidate => true,
            RoleName::Backup => look.now < self.alive_at(look) + self.timeout(look),
        };
        if !guard::leader_stickiness(on, alive) {
            Some("it hears a primary, or has promised its vote a moment ago")
        } else if !guard::pre_vote_as_strict(on, status.voted_tail, status.proof == Proof::Proven, theirs) {
            Some("its own log is more complete, or unproven")
        } else {
            None
        }
    }

    fn stand_if_supported(&mut self, look: &Look, wishes: &mut Wishes) {
        let State::Asking(round) = &self.state else { return };
        if round.granted.len() >= look.members.majority() {
            self.unanswered = 0;
            self.stand(round.above, look, wishes);
        }
    }

    fn stand(&mut self, above: Epoch, look: &Look, wishes: &mut Wishes) {
        let sync = look.status.sync_micros.max(self.voters_sync);
        let usually = STEPS_TAKEOVER * (sync + self.trips.usually());
        let least = BEATS / 2 * look.config.timing.heartbeat_every;
        let time = patience(least, usually, self.failures.min(DOUBLINGS_MAX[1]));
        self.state = State::Standing;
        wishes.add(Wish::TakeOver(above, time));
    }

    fn deadline(&self, look: &Look) -> Option<Micros> {
        match (look.status.role, &self.state) {
            (RoleName::Backup, State::Waiting) if may_stand(look) => Some(self.waits_until(look)),
            (RoleName::Backup, State::Asking(round)) => Some(round.since + self.ask_patience(look)),
            // What it wished for comes first, and it looks at once at what came of that.
            (RoleName::Backup, State::Standing) => Some(look.now + 1),
            // Its part may change by any message: it looks again.
            _ => Some(look.now + self.timeout(look)),
        }
    }
}
