//! What a replica has after a restart, or after a transfer.

use trace::Kind;

use super::{End, Follower};
use crate::judge::{Judge, Taken, Wrong, has};
use crate::value::{Value, Word};

impl Follower {
    pub(super) fn crash(&mut self, node: u32, log: Value) -> Taken {
        self.judge.take("Crash", &[node.into(), log])?;
        self.reopened(node);
        Ok(())
    }

    pub(super) fn reopened(&mut self, node: u32) {
        self.synced(node);
        let known = self.known(node);
        (known.leader, known.heard, known.request) = (None, None, None);
        self.reads.retain(|read| read.node != node);
    }

    /// It does not vote: whatever the reason, that takes nothing but service.
    pub(super) fn withheld(&mut self, node: u32) -> Taken {
        if *self.judge.at(node, "proven") == Value::Bool(true) {
            return self.judge.take("LoseVote", &[node.into()]);
        }
        Ok(())
    }

    pub(super) fn chunk_sent(&mut self, node: u32, to: u32, seq: u64) -> Taken {
        if self.base(node) < seq {
            self.judge.take("Checkpoint", &[node.into(), seq.into()])?;
        }
        // The rules may not have heard yet of a checkpoint that the engine sends from.
        let epoch = self.judge.number(node, "promise");
        let asked = [("by", to.into()), ("to", node.into()), ("epoch", epoch.into())];
        let pulls: Vec<Value> = self.judge.said("pulls").filter(|pull| has(pull, &asked)).cloned().collect();
        let mut taken =
            Err(Wrong::Differs { action: "SendState".into(), why: format!("n{to} never asked for it") });
        let mut any = false;
        for pull in pulls {
            taken = self.judge.take("SendState", &[node.into(), pull]);
            any |= taken.is_ok();
        }
        if any { Ok(()) } else { taken }
    }

    pub(super) fn installed(&mut self, node: u32, from: u32, seq: u64, epoch: u64, partial: bool) -> Taken {
        let sent = [("by", from.into()), ("to", node.into()), ("epoch", epoch.into())];
        let states: Vec<Value> =
            self.judge.said("states").filter(|state| has(state, &sent)).cloned().collect();
        let why = format!("n{from} never sent a state as of entry {seq}");
        let mut taken = Err(Wrong::Differs { action: "Install".into(), why });
        for state in states.into_iter().rev() {
            let whole = state.at("log").cloned().map_err(Wrong::Broken)?;
            let log = if partial { without_content(&whole).map_err(Wrong::Broken)? } else { whole };
            if log.items().map_or(0, |log| log.len() as u64) == seq {
                taken = self.judge.take("Install", &[node.into(), state, log]);
                if taken.is_ok() {
                    break;
                }
            }
        }
        self.synced(node);
        taken
    }

    /// A restart: what the device still had is known by where its log ends.
    pub(super) fn opened(
        &mut self,
        node: u32,
        generation: u64,
        checkpoint: u64,
        last: u64,
        at: usize,
    ) -> Taken {
        let before = std::mem::replace(&mut self.known(node).generation, generation);
        // A damaged superblock may be older than one that was seen; an empty one of the first generations is another disk's,
        // unless its log is there, and damaged from the first record on.
        let mut behind = self.run.events[at + 1..].iter().filter(|event| self.node_of(event) == Some(node));
        let is_damaged =
            behind.next().is_some_and(|event| matches!(event.kind, Kind::CorruptionFound { .. }));
        if generation <= before && last == 0 && checkpoint == 0 && !is_damaged {
            self.judge.take("Wipe", &[node.into()])?;
            self.reopened(node);
            return Ok(());
        }
        let events = self.run.events.clone();
        let later = events[at + 1..].iter().filter(|event| self.node_of(event) == Some(node));
        let later = later.map(|event| &event.kind);
        let (mut damaged, mut again, mut whole) = (false, false, false);
        let (mut promised, mut owed, opened, mut last) = (None, None, last, last);
        for (after, kind) in later.enumerate() {
            match kind {
                // Told at once, or found later, while it runs, which changes nothing of what it opened.
                Kind::CorruptionFound { .. } if after > 0 => {}
                Kind::StateGivenUp { .. } => again = true,
                Kind::CorruptionFound { zone, .. } if zone != "data" && !again => {
                    damaged = true;
                    whole |= zone == "checkpoint";
                }
                Kind::DamageGivenUp { last: left, owed_epoch, owed_seq } if damaged && !again => {
                    (last, owed) = (*left, Some((*owed_epoch, *owed_seq)));
                }
                Kind::PromiseGranted { epoch_before, tail_epoch, tail_seq, .. } => {
                    promised = promised.or(Some(*epoch_before));
                    if damaged && !again {
                        owed = owed.or(Some((*tail_epoch, *tail_seq)));
                    }
                }
                Kind::TakeoverStarted { epoch_before, .. } | Kind::EpochAdopted { epoch_before, .. } => {
                    promised = promised.or(Some(*epoch_before))
                }
                Kind::StaleEpochRefused { promised: now, .. } => promised = promised.or(Some(*now)),
                // A damaged checkpoint leaves nothing.
                Kind::StateInstalled { seq: 0, .. } if damaged && !again => last = 0,
                Kind::DeviceOpened { generation: next, checkpoint: 0, last: 0, .. }
                    if *next <= generation =>
                {
                    break;
                }
                // Nothing was written in between: what it finds is the same.
                Kind::DeviceOpened { generation: next, .. } => again |= *next != generation,
                _ => {}
            }
        }
        // Behind a damaged checkpoint the log may be whole; then its end is what is owed.
        let had = if whole {
            End::At(opened)
        } else {
            owed.map_or(End::Unknown, |(epoch, seq)| End::Tail(epoch, seq))
        };
        self.reopen(node, checkpoint, last, damaged.then_some(had), promised)
    }

    pub(super) fn reopen(
        &mut self,
        node: u32,
        checkpoint: u64,
        last: u64,
        damaged: Option<End>,
        promised: Option<u64>,
    ) -> Taken {
        let n = Value::from(node);
        // What the device did last may have reached it although nobody heard of it.
        if promised.is_some_and(|promised| promised > self.judge.number(node, "stored")) {
            self.judge.take("StorePromise", std::slice::from_ref(&n))?;
        }
        let length = |log: &Value| log.items().map_or(0, |log| log.len() as u64);
        if let Some(had) = damaged {
            let last_epoch = |log: &Value| -> u64 {
                let epoch = log.items().ok().and_then(|log| log.last()?.at("epoch").ok()?.int().ok());
                epoch.unwrap_or(0) as u64
            };
            let ends = |log: &Value| match had {
                End::Tail(epoch, seq) => (epoch, seq) == (last_epoch(log), length(log)),
                End::At(seq) => seq == length(log),
                End::Unknown => true,
            };
            let logs = self.judge.at(node, "disk").elements().expect("a set");
            let log = logs.iter().rev().find(|log| ends(log)).or_else(|| logs.iter().next_back()).cloned();
            let log = log.unwrap_or_else(|| self.judge.at(node, "log").clone());
            let last = last.min(length(&log));
            let left = self.left(node, &log, last as usize);
            self.judge.take("Rot", &[n, log, left])?;
            self.reopened(node);
            return Ok(());
        }
        if checkpoint > self.base(node) && checkpoint <= self.judge.number(node, "applied") {
            self.judge.take("Checkpoint", &[n.clone(), checkpoint.into()])?;
        }
        let left = |judge: &Judge| -> Vec<Value> {
            let logs = judge.at(node, "disk").elements().expect("a set");
            logs.iter().rev().filter(|log| length(log) == last).cloned().collect()
        };
        if left(&self.judge).is_empty() {
            let fetch = self.judge.at(node, "fetch").clone();
            let (by, epoch) = (fetch.at("by").and_then(Value::int), fetch.at("epoch").and_then(Value::int));
            if let (Ok(by), Ok(epoch)) = (by, epoch) {
                self.installed(node, by as u32, checkpoint, epoch as u64, false).ok();
            }
        }
        let mut logs = left(&self.judge);
        // Whoever gives up its state may be interrupted before anybody is told.
        if logs.is_empty() && checkpoint == 0 && last == 0 {
            self.judge.take("GiveUpAll", std::slice::from_ref(&n))?;
            logs = left(&self.judge);
        }
        if logs.is_empty() {
            return Err(self.differs("Crash", "last entry on the device", last, self.judge.log(node).len()));
        }
        let chosen = if logs.len() == 1 { 0 } else { self.choices.choose(logs.len()) };
        self.crash(node, logs.swap_remove(chosen))
    }
}

impl Follower {
    /// What damage left of a log, of so many entries: its own first ones, or those that were there before others replaced them.
    fn left(&mut self, node: u32, log: &Value, last: usize) -> Value {
        let front = |log: &Value| Some(Value::seq(log.items().ok()?.get(..last)?.to_vec()));
        let mut all: Vec<Value> = front(log).into_iter().collect();
        for older in self.known(node).before.iter().rev().filter_map(front) {
            if !all.contains(&older) {
                all.push(older);
            }
        }
        let chosen = if all.len() == 1 { 0 } else { self.choices.choose(all.len()) };
        all.swap_remove(chosen)
    }
}

/// The log, but that the first request in it did nothing.
fn without_content(log: &Value) -> crate::value::Result<Value> {
    let mut entries = log.items()?.to_vec();
    let request = entries.iter_mut().find(|entry| entry.at("request") != Ok(&Value::Int(0)));
    if let Some(entry) = request {
        *entry = crate::eval::replaced(entry, Word::of("request"), Value::Int(0))?;
    }
    Ok(Value::seq(entries))
}
