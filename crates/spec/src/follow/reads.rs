//! Reads: asked, confirmed, answered.

use super::{Follower, Read};
use crate::judge::{Taken, has};
use crate::value::Value;

impl Follower {
    pub(super) fn read_asked(&mut self, node: u32, gateway: u32, id: u64, round: Option<u64>) -> Taken {
        let epoch = self.judge.number(node, "promise");
        let lead = self.lead(node, epoch)?;
        let next = lead.at("round").and_then(Value::int).unwrap_or(0) as u64 + 1;
        if round.is_some_and(|round| round < next) {
            return Err(self.differs("AskRead", "round", round.unwrap_or(0), next));
        }
        self.reads_asked += 1;
        self.reads.push(Read { node, name: (gateway, id), id: self.reads_asked, confirmed: false });
        self.judge.take("AskRead", &[node.into(), lead, self.reads_asked.into()])
    }

    /// The reads that waited for this round may be answered; those of damaged values are answered later.
    pub(super) fn reads_confirmed(&mut self, node: u32, round: u64) -> Taken {
        for at in 0..self.reads.len() {
            let read = self.reads[at];
            let question = self.question(node, read.id).filter(|_| read.node == node && !read.confirmed);
            let due = |q: &Value| q.at("round").and_then(Value::int).is_ok_and(|r| r <= round as i64);
            if let Some(question) = question.filter(due) {
                self.judge.take("AnswerRead", &[node.into(), question])?;
                self.reads[at].confirmed = true;
            }
        }
        Ok(())
    }

    pub(super) fn read_answered(&mut self, node: u32, name: (u32, u64)) -> Taken {
        let same = |read: &Read| read.node == node && read.name == name;
        if let Some(at) = self.reads.iter().position(|read| same(read) && read.confirmed) {
            self.reads.remove(at);
            return Ok(());
        }
        // Nobody told that it waited: it may be answered only if it need not have.
        self.read_asked(node, name.0, name.1, None)?;
        let question = self.question(node, self.reads_asked).unwrap_or(Value::Bool(false));
        self.judge.take("AnswerRead", &[node.into(), question])
    }

    pub(super) fn question(&self, node: u32, id: i64) -> Option<Value> {
        let reads = self.judge.client("reads").elements().expect("a set");
        reads.iter().find(|q| has(q, &[("at", node.into()), ("id", id.into())])).cloned()
    }
}
