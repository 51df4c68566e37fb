//! What is asked of a primary, and what it does of itself.

use dataplane::wire::WireError;
use dataplane::{Change, Epoch, GatewayId, Membership as Is, Micros, NodeId, RoleName, Seq};
use node::{Extension, Look, NODE_MAX, Wish, Wishes};
use trace::{Kind, emit};

use crate::guard;
use crate::words::{Asked, Reply, Words};

/// Tells its messages from those of other extensions.
pub const NUMBER: u8 = 3;
/// A node that has answered nothing for so many signs of life is not counted on.
const BEATS: u64 = 10;
/// For how long whoever takes over may stand, in signs of life.
const STANDS: u64 = 4;

/// One replica's part.
#[derive(Clone, Debug, Default)]
pub struct Membership {
    /// What was committed when it last looked: a learner that has it by now keeps up.
    goal: Option<Seq>,
    /// When it looks next.
    deadline: Option<Micros>,
}

impl Extension for Membership {
    fn number(&self) -> u8 {
        NUMBER
    }

    fn tick(&mut self, look: &Look, wishes: &mut Wishes) {
        let leads = look.status.role == RoleName::Primary;
        let waits = leads && (is_out(look) || learners(look).next().is_some());
        if !waits {
            self.goal = None;
            self.deadline = Some(look.now + look.config.timing.heartbeat_every);
            return;
        }
        let every = (look.config.timing.heartbeat_every / 2).max(1);
        if self.deadline.is_some_and(|at| look.now < at && at <= look.now + every) {
            return;
        }
        self.deadline = Some(look.now + every);
        if is_out(look) {
            if guard::hand_over(look.config.mechanisms) {
                hand_over(look, wishes);
            }
            return;
        }
        self.promote(look, wishes);
    }

    fn hear(
        &mut self,
        look: &Look,
        _: (NodeId, Epoch),
        words: &[u8],
        wishes: &mut Wishes,
    ) -> Result<(), WireError> {
        let Words::Lead(above) = Words::decode(words)?;
        if look.status.role == RoleName::Backup {
            wishes.add(Wish::TakeOver(above, STANDS * look.config.timing.heartbeat_every));
        }
        Ok(())
    }

    fn asked(
        &mut self,
        look: &Look,
        from: GatewayId,
        words: &[u8],
        wishes: &mut Wishes,
    ) -> Result<(), WireError> {
        let Asked { number, change } = Asked::decode(words)?;
        let reply = answer(look, change, wishes);
        if let Reply::Later(why) | Reply::Refused(why) = &reply {
            emit!(wishes, Kind::ChangeRefused { change: change.to_string(), why: why.clone() });
        }
        wishes.add(Wish::Answer(from, reply.encode(number)));
        Ok(())
    }

    fn next_deadline(&self) -> Option<Micros> {
        self.deadline.or(Some(0))
    }

    fn copy(&self) -> Box<dyn Extension> {
        Box::new(self.clone())
    }
}

impl Membership {
    /// A learner that had at this look what was committed at the last one counts from now on: if it has the entry that adds it
    /// as well. A primary that has just restarted knew at its last look of nothing that is committed, and whoever has nothing
    /// had all of that.
    fn promote(&mut self, look: &Look, wishes: &mut Wishes) {
        let goal = self.goal.replace(look.status.committed);
        if refusal(look).is_some() {
            return;
        }
        let on = look.config.mechanisms;
        // Without a look before this one, what is committed by now will do.
        let goal = goal.unwrap_or(look.status.committed);
        let since = |node: &NodeId| look.members.rows().get(node).map_or(0, |member| member.since);
        let ready =
            |node: &NodeId| guard::learner_catches_up(on, matched(look, *node), goal.max(since(node)));
        if let Some(node) = learners(look).find(ready) {
            wishes.add(Wish::Change(Change::Promote(node)));
        }
    }
}

/// Those that do not count yet.
fn learners<'a>(look: &'a Look) -> impl Iterator<Item = NodeId> + 'a {
    look.members.rows().iter().filter(|(_, member)| member.is == Is::Learner).map(|(id, _)| *id)
}

fn matched(look: &Look, node: NodeId) -> Seq {
    look.progress.iter().find(|other| other.node == node).map_or(0, |other| other.matched)
}

/// Does it lead those that it is none of? It was removed, which is committed; perhaps it learns again by now.
fn is_out(look: &Look) -> bool {
    let own = look.members.rows().get(&look.config.me);
    own.is_some_and(|own| own.is != Is::Voter && own.since <= look.status.committed)
}

/// Why no change may begin now.
fn refusal(look: &Look) -> Option<&'static str> {
    let on = look.config.mechanisms;
    let open = look.members.latest().is_some_and(|seq| seq > look.status.committed);
    if !guard::change_after_own_commit(on, look.status.serving) {
        Some("it leads, and has committed nothing in its epoch yet")
    } else if !guard::one_change_at_a_time(on, open) {
        Some("the change before is not committed yet")
    } else {
        None
    }
}

/// Does what a client wants, if it may be done now.
fn answer(look: &Look, change: Change, wishes: &mut Wishes) -> Reply {
    if look.status.role != RoleName::Primary {
        return Reply::Elsewhere(look.status.primary);
    }
    let (Change::Add(node, _) | Change::Promote(node) | Change::Remove(node)) = change;
    if !(1..=NODE_MAX).contains(&node.0) {
        return Reply::Refused(format!("nodes are called n1 to n{NODE_MAX}"));
    }
    let row = look.members.rows().get(&node);
    let committed = row.is_none_or(|row| row.since <= look.status.committed);
    let is = row.map_or(Is::Gone, |row| row.is);
    let (done, refused) = match change {
        Change::Add(..) => (is == Is::Voter, is == Is::Learner),
        Change::Remove(_) => (is == Is::Gone, false),
        Change::Promote(_) => return Reply::Refused("a node counts when it has what the others have".into()),
    };
    if done && committed {
        return Reply::Done;
    }
    if done || refused {
        return Reply::Begun(row.map_or(0, |row| row.since));
    }
    if let Some(why) = refusal(look) {
        return Reply::Later(why.into());
    }
    if let (Change::Remove(_), Some(why)) = (change, strands(look, node)) {
        return Reply::Later(why);
    }
    wishes.add(Wish::Change(change));
    Reply::Begun(look.status.tail.seq + 1)
}

/// Why the shard could not go on without this node: too few of the others answer.
fn strands(look: &Look, node: NodeId) -> Option<String> {
    let (me, patience) = (look.config.me, BEATS * look.config.timing.heartbeat_every);
    let left: Vec<NodeId> = look.members.voters().filter(|other| *other != node).collect();
    if left.is_empty() {
        return Some(format!("{node} is the last that counts"));
    }
    let answers = |other: &&NodeId| {
        let heard = look.progress.iter().find(|known| known.node == **other).map(|known| known.heard_at);
        **other == me || heard.is_some_and(|at| look.now < at + patience)
    };
    let (have, need) = (left.iter().filter(answers).count(), dataplane::guard::majority(left.len()));
    (have < need).then(|| {
        let left: Vec<String> = left.iter().map(NodeId::to_string).collect();
        format!("of {} only {have} answer, and {need} make a majority", left.join(", "))
    })
}

/// Has the most complete of the others lead, and leaves the lead.
fn hand_over(look: &Look, wishes: &mut Wishes) {
    let others = look.progress.iter().filter(|other| look.members.votes(other.node));
    // Of several that are equally complete, the one that answered last.
    let Some(next) = others.max_by_key(|other| (other.matched, other.heard_at)) else { return };
    emit!(wishes, Kind::HandsOver { to: next.node.0 });
    wishes.add(Wish::Say(next.node, Words::Lead(look.status.promised).encode()));
    wishes.add(Wish::StepDown);
}
