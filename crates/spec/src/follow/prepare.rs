//! What a backup hears of entries, what it acknowledges, and which word was heard.

use trace::{Event, Kind};

use super::{Follower, Heard};
use crate::judge::{Judge, Taken, Wrong, has};
use crate::value::Value;

/// Logs that are kept as they were before entries were removed from them.
const BEFORE_MAX: usize = 8;

impl Follower {
    /// A log record was written.
    pub(super) fn wrote(&mut self, node: u32) {
        let log = self.judge.at(node, "log").clone();
        self.known(node).writes.push(log);
    }

    /// What a primary sends is a piece of its log, with its commit point.
    pub(super) fn speaks(&mut self, node: u32, epoch: u64, upto: u64, commit: u64) -> Taken {
        let lead = self.lead(node, epoch)?;
        let last = lead.at("log").and_then(Value::items).map_or(0, |log| log.len() as u64);
        let known = lead.at("commit").and_then(Value::int).unwrap_or(0) as u64;
        if upto > last {
            return Err(self.differs("Prepare", "last entry sent", upto, last));
        }
        if commit > known { Err(self.differs("Prepare", "commit point sent", commit, known)) } else { Ok(()) }
    }

    /// Is the event another part of the same `Prepare`?
    pub(super) fn goes_on(&self, node: u32, event: &Event) -> bool {
        let Some(heard) = &self.nodes[node as usize].heard else { return true };
        match &event.kind {
            Kind::RecordWritten { .. } | Kind::TruncationWritten { .. } => true,
            Kind::EntryAppended { seq, .. } => {
                heard.commit.is_none() && heard.entries.last().is_none_or(|(last, _)| last + 1 == *seq)
            }
            Kind::CommitAdvanced { .. } => heard.commit.is_none(),
            Kind::LogTruncated { .. } => heard.commit.is_none() && heard.entries.is_empty() && heard.cut == 0,
            _ => false,
        }
    }

    pub(super) fn hear(&mut self, node: u32, event: &Event, at: usize) {
        let sent = event.parents.iter().find_map(|parent| self.sent.get(parent).copied());
        let heard = self.known(node).heard.get_or_insert(Heard { at, ..Heard::default() });
        heard.sent = heard.sent.or(sent);
        match &event.kind {
            Kind::LogTruncated { from, .. } => heard.cut = *from,
            Kind::EntryAppended { epoch, seq, .. } => heard.entries.push((*seq, *epoch)),
            Kind::EntriesRepeated { upto, .. } => heard.repeated = *upto,
            Kind::CommitAdvanced { from, to, .. } => heard.commit = Some((*from, *to)),
            _ => {}
        }
    }

    /// Takes the `Prepare` that was told of in parts.
    pub(super) fn flush(&mut self, node: u32) -> Taken {
        let Some(heard) = self.known(node).heard.take() else { return Ok(()) };
        self.earlier = Some(heard.at);
        self.heard(node, &heard)?;
        self.earlier = None;
        Ok(())
    }

    fn heard(&mut self, node: u32, heard: &Heard) -> Taken {
        let Some((by, epoch)) = self.nodes[node as usize].leader else {
            let why = format!("n{node} follows nobody, and takes entries");
            return Err(Wrong::Differs { action: "Prepare".into(), why });
        };
        let lead = self.lead(by, epoch)?;
        if let Some((from, _)) = heard.commit {
            self.same(node, "Prepare", "commit", from)?;
        }
        let commit = heard.commit.map_or(self.judge.number(node, "commit"), |(_, to)| to);
        let last = self.judge.log(node).len() as u64;
        let first = heard.entries.first().map(|entry| entry.0);
        let upto = match heard.entries.last() {
            Some((seq, _)) => *seq,
            None if heard.repeated >= commit && heard.repeated > 0 => heard.repeated,
            None => match heard.sent {
                Some((prev, true)) => prev,
                _ => self.matching(node, &lead, u64::MAX),
            },
        };
        if heard.cut > 0 {
            let log = Value::seq(self.judge.log(node).to_vec());
            let before = &mut self.known(node).before;
            before.push(log);
            if before.len() > BEFORE_MAX {
                before.remove(0);
            }
        }
        let usual = if heard.cut > 0 { heard.cut - 1 } else { first.map_or(upto, |first| first - 1) };
        match heard.sent.filter(|(prev, _)| *prev <= usual) {
            Some((prev, _)) => {
                let ask = [node.into(), lead, prev.into(), upto.into(), heard.cut.into(), commit.into()];
                self.judge.take("Prepare", &ask)?;
            }
            None => self.prepare(node, &lead, usual, upto, heard.cut, commit)?,
        }
        let log = self.judge.log(node);
        let wrong = heard.entries.iter().find(|(seq, epoch)| {
            log.get(*seq as usize - 1).is_none_or(|entry| !has(entry, &[("epoch", (*epoch).into())]))
        });
        if let Some((seq, epoch)) = wrong {
            let why = format!("the primary's entry {seq} is not of epoch {epoch}");
            return Err(Wrong::Differs { action: "Prepare".into(), why });
        }
        let ends = heard.entries.last().map_or(if heard.cut > 0 { heard.cut - 1 } else { last }, |e| e.0);
        if log.len() as u64 != ends {
            return Err(self.differs("Prepare", "last entry", ends, log.len()));
        }
        let log = log.to_vec();
        let cut = (heard.cut > 0).then(|| heard.cut - 1);
        let written = cut.into_iter().chain(heard.entries.iter().map(|(seq, _)| *seq));
        let logs: Vec<Value> = written.map(|upto| Value::seq(log[..upto as usize].to_vec())).collect();
        self.known(node).writes.extend(logs);
        Ok(())
    }

    /// `Prepare`, with the entry before its first one as it may have been if that is not known.
    pub(super) fn prepare(
        &mut self,
        node: u32,
        lead: &Value,
        prev: u64,
        upto: u64,
        cut: u64,
        commit: u64,
    ) -> Taken {
        let ask = |prev: u64| -> [Value; 6] {
            [node.into(), lead.clone(), prev.into(), upto.into(), cut.into(), commit.into()]
        };
        let first = self.judge.take("Prepare", &ask(prev));
        let earlier = self.matching(node, lead, prev);
        match first {
            Err(wrong) if earlier < prev && prev <= self.judge.log(node).len() as u64 => self
                .judge
                .take("Prepare", &ask(earlier))
                .map_err(|later| if later.clause().is_some() { later } else { wrong }),
            taken => taken,
        }
    }

    /// The last entry, up to `most`, that the replica's log and the primary's have in common.
    pub(super) fn matching(&self, node: u32, lead: &Value, most: u64) -> u64 {
        let Ok(theirs) = lead.at("log").and_then(Value::items) else { return 0 };
        let own = self.judge.log(node);
        let upto = own.len().min(theirs.len()).min(usize::try_from(most).unwrap_or(usize::MAX));
        (1..=upto).rev().find(|seq| own[seq - 1].at("epoch") == theirs[seq - 1].at("epoch")).unwrap_or(0)
            as u64
    }

    pub(super) fn acknowledges(&mut self, node: u32, to: u32, epoch: u64, upto: u64) -> Taken {
        let said = |judge: &Judge, what: &str| {
            let fields = [("kind", Value::str("PrepareOk")), ("to", to.into()), ("epoch", epoch.into())];
            let mut all: Box<dyn Iterator<Item = &Value>> = match what {
                "held" => Box::new(judge.at(node, "held").elements().expect("a set").iter()),
                _ => Box::new(judge.said("mail").filter(|mail| has(mail, &[("from", node.into())]))),
            };
            all.find(|m| has(m, &fields) && m.at("tail").and_then(|t| t.at("seq")) == Ok(&upto.into()))
                .cloned()
        };
        if said(&self.judge, "mail").is_some() {
            return Ok(());
        }
        if said(&self.judge, "held").is_none() {
            let lead = self.lead(to, epoch)?;
            let last = self.judge.log(node).len() as u64;
            let prev = if upto > last { upto } else { self.matching(node, &lead, upto) };
            let commit = self.judge.number(node, "commit");
            self.prepare(node, &lead, prev, upto, 0, commit)?;
        }
        match said(&self.judge, "held") {
            Some(held) => self.judge.take("Release", &[node.into(), held]),
            None => Ok(()),
        }
    }

    /// The word that was heard: one that was said to this replica, else one to somebody else, else one that still waits.
    pub(super) fn word(
        &mut self,
        node: u32,
        kind: &str,
        from: u32,
        epoch: Option<u64>,
        upto: Option<u64>,
    ) -> Result<Value, Wrong> {
        let current = self.judge.number(node, "promise");
        let fits = |m: &&Value| {
            let seq = m.at("tail").and_then(|tail| tail.at("seq")).and_then(Value::int).unwrap_or(-1);
            has(m, &[("kind", Value::str(kind)), ("from", from.into())])
                && epoch.is_none_or(|epoch| has(m, &[("epoch", epoch.into())]))
                && upto.is_none_or(|upto| seq as u64 == upto)
        };
        let to_me = |m: &&Value| has(m, &[("to", node.into())]);
        let now = |m: &&Value| has(m, &[("epoch", current.into())]);
        let said: Vec<&Value> = self.judge.said("mail").filter(fits).collect();
        let best = said.iter().copied().find(|m| to_me(m) && now(m));
        let best = best.or_else(|| said.iter().copied().find(to_me)).or_else(|| said.first().copied());
        if let Some(word) = best {
            return Ok(word.clone());
        }
        // What it said follows from what it was told before.
        self.flush(from)?;
        let held = self.judge.at(from, "held").elements().expect("a set").iter().find(fits).cloned();
        match held {
            Some(held) => {
                self.judge.take("Release", &[from.into(), held.clone()])?;
                self.word(node, kind, from, epoch, upto)
            }
            None if self.judge.recall(&|word| fits(&word)) => self.word(node, kind, from, epoch, upto),
            None => Err(Wrong::Differs { action: kind.into(), why: format!("n{from} never said that") }),
        }
    }
}
