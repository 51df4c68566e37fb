//! Schedules written by hand, with what the replicas say to them: the files in `stories/`.
//!
//! A story is a text that can be read without knowing the code. Lines that begin with `#` are its words, lines that begin
//! with `>` are commands, and the lines below a command are what came of it: the events of the replicas, as sentences.
//! Running a story does its commands again and writes the lines below them anew, so a change in behaviour is a
//! difference that a person can read. The replicas are the real rules; below them is the device model of the checker.
//!
//! | command | does |
//! |---|---|
//! | `cluster N [cold]` | begins with N nodes: n1 serving in epoch 1 with an open session, or all devices empty |
//! | `frames N` | a message carries at most N entries |
//! | `takeover nX [above E]` | a gateway asks nX to take over, in an epoch above E |
//! | `write K to nX` | a gateway sends write number K to nX, always under the same identity |
//! | `read from nX` | a gateway sends a read to nX |
//! | `deliver nX nY [NAME]` | the messages from nX to nY (called NAME) arrive, in the order of sending |
//! | `again nX nY [NAME]` | they arrive, and copies of them stay on their way |
//! | `lose nX nY [NAME]` | they never arrive |
//! | `sync nX` | nX's sync returns |
//! | `crash nX keep K` | nX crashes and restarts; the first K of its unsynced log records survive |
//! | `wipe nX` | nX gets an empty disk and restarts |
//! | `tick nX` | nX's timers expire |
//! | `calm [without nX …]` | everything arrives and is synced until nothing is left, but for what those send or are sent |
//! | `state` | shows each replica, and what is on its way |

use std::sync::{Arc, Mutex};

use dataplane::{Condition, Epoch, Message, NodeId, Op, Query, RequestId};

use crate::check::shared::Shared;
use crate::check::words::brief;
use crate::check::world::Letter;
use crate::check::{Scope, World};

/// Runs the commands of `text` and returns the story with the lines below each command written anew. An error names the
/// line that is no command.
pub fn run(text: &str) -> Result<String, String> {
    let mut told = String::new();
    let mut stage: Option<Stage> = None;
    for line in text.lines() {
        let Some(command) = line.strip_prefix("> ") else {
            if line.is_empty() || line.starts_with('#') {
                told.push_str(line);
                told.push('\n');
            }
            continue;
        };
        told.push_str(line);
        told.push('\n');
        let words: Vec<&str> = command.split_whitespace().collect();
        let output = match (&words[..], &mut stage) {
            (["cluster", nodes, rest @ ..], _) => {
                stage = Some(Stage::new(number(nodes)? as u32, rest != ["cold"]));
                Vec::new()
            }
            (words, Some(stage)) => stage.command(words).map_err(|why| format!("`{line}`: {why}"))?,
            _ => return Err(format!("`{line}`: a story begins with `> cluster N`")),
        };
        for line in output {
            told.push_str("    ");
            told.push_str(&line);
            told.push('\n');
        }
    }
    Ok(told)
}

struct Stage {
    world: World,
    nodes: u32,
    events: Arc<Mutex<Vec<trace::Event>>>,
    answered: usize,
    reads: u64,
}

fn number(word: &str) -> Result<u64, String> {
    word.parse().map_err(|_| format!("`{word}` is no number"))
}

fn node(word: &str) -> Result<u32, String> {
    word.strip_prefix('n').and_then(|n| n.parse().ok()).ok_or(format!("`{word}` is no node"))
}

impl Stage {
    fn new(nodes: u32, established: bool) -> Stage {
        let scope = Scope { nodes, established, ..crate::check::SCOPES[0] };
        let mut world = World::new(&scope);
        let events = Arc::new(Mutex::new(Vec::new()));
        world.listen(events.clone());
        Stage { world, nodes, events, answered: 0, reads: 0 }
    }

    fn command(&mut self, words: &[&str]) -> Result<Vec<String>, String> {
        let reading = self.world.reads_waiting();
        let mut extra = Vec::new();
        match words {
            ["takeover", to] => self.world.gateway_says(node(to)?, Message::TakeOver { above: Epoch(0) }),
            ["takeover", to, "above", epoch] => {
                self.world.gateway_says(node(to)?, Message::TakeOver { above: Epoch(number(epoch)?) })
            }
            ["write", k, "to", to] => {
                let request = RequestId { session: self.world.session(), number: number(k)? };
                let (key, value): (Arc<[u8]>, Arc<[u8]>) = (Arc::from(&b"k"[..]), Arc::from(k.as_bytes()));
                let op = Op::Put { key, value, condition: Condition::Always };
                self.world.gateway_says(node(to)?, Message::Write { request, op });
            }
            ["read", "from", from] => {
                self.reads += 1;
                self.world.asked(self.reads);
                let query = Query::Get(Arc::from(&b"k"[..]));
                self.world.gateway_says(node(from)?, Message::Read { id: self.reads, query });
            }
            ["frames", n] => self.world.limit_frames(number(n)? as usize),
            ["deliver", from, to, name @ ..] => self.move_on(from, to, name, false, true)?,
            ["again", from, to, name @ ..] => self.move_on(from, to, name, true, true)?,
            ["lose", from, to, name @ ..] => self.move_on(from, to, name, false, false)?,
            ["sync", at] => self.world.sync(node(at)?),
            ["crash", at, "keep", keep] => {
                let (at, keep) = (node(at)?, number(keep)? as usize);
                let unsynced = self.world.unsynced(at);
                if keep > unsynced {
                    return Err(format!("n{at} has {unsynced} unsynced records"));
                }
                self.world.crash(at, keep);
            }
            ["wipe", at] => self.world.wipe(node(at)?),
            ["tick", at] => {
                self.world.time_passes();
                self.world.tick(node(at)?);
            }
            ["calm"] => self.calm(&[]),
            ["calm", "without", out @ ..] => {
                let out: Vec<u32> = out.iter().map(|word| node(word)).collect::<Result<_, _>>()?;
                self.calm(&out);
            }
            ["state"] => extra = self.state(),
            _ => return Err("no such command".into()),
        }
        self.world.observe();
        let mut lines: Vec<String> = std::mem::take(&mut *self.events.lock().expect("nobody panics"))
            .iter()
            .map(|event| match event.kind.mechanism() {
                Some(mechanism) => format!("{} [{mechanism}]", event.sentence()),
                None => event.sentence(),
            })
            .collect();
        lines.extend(extra);
        let answers: Vec<String> = self
            .world
            .answered()
            .iter()
            .skip(self.answered)
            .map(|(request, outcome)| format!("client: write {} is {outcome}", request.number))
            .collect();
        self.answered += answers.len();
        lines.extend(answers);
        if reading && !self.world.reads_waiting() {
            lines.push("client: the read is answered".into());
        }
        if let Some(broken) = self.world.broken() {
            lines.push(format!("BROKEN {broken}"));
        }
        Ok(lines)
    }

    fn move_on(
        &mut self,
        from: &str,
        to: &str,
        name: &[&str],
        copy: bool,
        arrive: bool,
    ) -> Result<(), String> {
        let (from, to) = (NodeId(node(from)?), NodeId(node(to)?));
        let wanted = |m: &Shared<Letter>| {
            m.0 == from && m.1 == to && name.first().is_none_or(|name| m.2.name().starts_with(name))
        };
        let moved: Vec<_> = self.world.on_the_way().iter().filter(|m| wanted(m)).cloned().collect();
        if moved.is_empty() {
            let (name, left) = (name.first().unwrap_or(&"message"), self.state());
            return Err(format!("no {name} is on its way from {from} to {to}\n{}", left.join("\n")));
        }
        if !copy {
            self.world.on_the_way().retain(|m| !wanted(m));
        }
        if arrive {
            moved.iter().for_each(|letter| self.world.deliver(letter));
        }
        Ok(())
    }

    /// Until nothing moves any more.
    fn calm(&mut self, out: &[u32]) {
        let isolated = |id: &NodeId| out.contains(&id.0);
        loop {
            (1..=self.nodes).filter(|at| !out.contains(at)).for_each(|at| self.world.sync_if_needed(at));
            let network = self.world.on_the_way();
            network.retain(|m| !isolated(&m.0) && !isolated(&m.1));
            if network.is_empty() {
                return;
            }
            let letter = network.remove(0);
            self.world.deliver(&letter);
        }
    }

    fn state(&mut self) -> Vec<String> {
        let mut lines = self.world.summary();
        lines.extend(
            self.world
                .on_the_way()
                .iter()
                .map(|letter| format!("on its way {} → {}: {}", letter.0, letter.1, brief(&letter.2))),
        );
        lines
    }
}
