//! What must hold in every state, under the invariants' numbers in ARCHITECTURE.

use dataplane::{Epoch, NodeId, Origin, RoleName, Seq};

use super::scope::Goal;
use super::world::{Shown, World, version};

impl World {
    /// What must hold in every state.
    pub(crate) fn observe(&mut self) {
        self.betrayed();
        if self.goal == Goal::Betrayal {
            return;
        }
        for at in 0..self.seats.len() {
            let seat = &self.seats[at];
            let node = NodeId(at as u32 + 1);
            let (status, applied) = (seat.replica.status(0), seat.replica.core().applied);
            let (role, epoch, commit) = (status.role, status.promised, status.committed);
            if applied > commit {
                self.break_promise("D5", format!("{node} applied entry {applied}, which is not committed"));
                return;
            }
            if role == RoleName::Primary && self.leader(epoch, node) != node {
                self.break_promise("D2, P1", format!("two primaries in epoch {}", epoch.0));
                return;
            }
            let disk = &self.seats[at].disk;
            let content = |seq: Seq| {
                let entry = &disk.log[disk.at(seq)];
                (entry.epoch, entry.origin)
            };
            let (known, upto) = (self.history.committed.len() as Seq, commit.min(disk.last()));
            let differs = |seq: &Seq| content(*seq) != self.history.committed[*seq as usize - 1];
            if let Some(seq) = (disk.base + 1..=upto.min(known)).find(differs) {
                let what = format!("{node} committed another entry {seq} than was committed before");
                self.break_promise("D1, P1", what);
                return;
            }
            // What one action both commits and checkpoints is no longer in the log.
            let dropped = disk.dropped.iter().filter(|(seq, _)| *seq > known).map(|(_, what)| *what);
            let kept = (known.max(disk.base) + 1..=upto).map(content);
            let new: Vec<(Epoch, Origin)> = dropped.chain(kept).collect();
            if !new.is_empty() {
                self.history.change().committed.extend(new);
            }
            if !self.seats[at].disk.dropped.is_empty() {
                self.seats[at].change().disk.dropped.clear();
            }
        }
        let told = self.history.answered.values().map(version).max().unwrap_or(0);
        if told > self.history.committed.len() as Seq {
            self.break_promise("D4, P1", format!("entry {told} was acknowledged and is not committed"));
        }
        let (known, newest) = (self.history.committed.len() as Seq, self.newest_epoch());
        let lacking = self.seats.iter().find_map(|seat| {
            let status = seat.replica.status(0);
            let leads = status.serving && newest == Some(status.promised);
            (leads && known > seat.disk.last()).then_some(status.promised)
        });
        if let Some(epoch) = lacking {
            let what =
                format!("entry {known} was committed, and the primary of epoch {} does not have it", epoch.0);
            self.break_promise("D4, P1", what);
        }
    }

    /// P1, P2: whoever serves in the newest epoch has all that a client was ever told of.
    fn betrayed(&mut self) {
        for at in 0..self.seats.len() {
            let replica = &self.seats[at].replica;
            if replica.is_primary() {
                let epoch = replica.status(0).promised;
                self.leader(epoch, NodeId(at as u32 + 1));
            }
        }
        // A deposed primary that does not know it yet can do no harm: it cannot confirm its epoch.
        let Some(newest) = self.newest_epoch() else { return };
        for (at, seat) in self.seats.iter().enumerate() {
            let (status, disk) = (seat.replica.status(0), &seat.disk);
            if !status.serving || status.promised != newest {
                continue;
            }
            let has = |seq: Seq, content: (Epoch, Origin)| {
                let held = || &disk.log[disk.at(seq)];
                (seq <= disk.base && !disk.half)
                    || (seq > disk.base && seq <= disk.last() && (held().epoch, held().origin) == content)
            };
            let gone = self.history.shown.iter().find(|(seq, content, _)| !has(*seq, *content));
            if let Some((seq, _, how)) = gone {
                let (id, how) = match how {
                    Shown::Acknowledged => ("P1", "was acknowledged"),
                    Shown::Read => ("P2", "a client has read"),
                };
                let what = format!("n{} serves without entry {seq}, which {how}", at + 1);
                self.break_promise(id, what);
                return;
            }
        }
    }

    /// The first who was primary of this epoch; `node`, if nobody was.
    fn leader(&mut self, epoch: Epoch, node: NodeId) -> NodeId {
        match self.history.leaders.get(&epoch) {
            Some(first) => *first,
            None => *self.history.change().leaders.entry(epoch).or_insert(node),
        }
    }

    fn newest_epoch(&self) -> Option<Epoch> {
        self.history.leaders.last_key_value().map(|(epoch, _)| *epoch)
    }
}
