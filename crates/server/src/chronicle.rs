//! What is worth a line in a log: who leads, who votes, and why that changed. Each change once; a state that flaps is told a
//! few times, and then counted.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use dataplane::{NodeId, NodeStatus, Proof, RoleName, ShardId};
use gateway::ShardView;
use serde_json::{Value, json};

use crate::clock::wall_micros;
use crate::told::Lines;

/// So many lines in a [`WINDOW`]; what is more is counted.
const LINES_MAX: u32 = 12;
/// So many changes of primaries are kept.
const TAKEOVERS_MAX: usize = 16;
const WINDOW: Duration = Duration::from_secs(10);

/// Keeps a log readable when a state flaps.
struct Pace {
    since: Instant,
    lines: u32,
    kept: Lines,
}

impl Pace {
    fn new() -> Pace {
        Pace { since: Instant::now(), lines: 0, kept: Lines::default() }
    }

    fn tell(&mut self, line: &str) {
        if self.since.elapsed() > WINDOW {
            if self.lines > LINES_MAX {
                tracing::info!("{} more changes in the last {WINDOW:?} or longer", self.lines - LINES_MAX);
            }
            (self.since, self.lines) = (Instant::now(), 0);
        }
        self.lines += 1;
        self.kept.keep(line);
        if self.lines <= LINES_MAX {
            tracing::info!("{line}");
        }
    }
}

/// The changes of one replica.
pub struct OfReplica {
    shard: ShardId,
    last: NodeStatus,
    pace: Pace,
}

impl OfReplica {
    /// Begins with what a replica is when it is opened.
    pub fn new(shard: ShardId, status: NodeStatus) -> OfReplica {
        OfReplica { shard, last: status, pace: Pace::new() }
    }

    /// The latest of what was told.
    pub fn told(&self) -> Value {
        self.pace.kept.json()
    }

    /// Tells what has changed. `damage` is what is known to be wrong with the device.
    pub fn note(&mut self, status: &NodeStatus, damage: impl FnOnce() -> Option<String>) {
        let last = std::mem::replace(&mut self.last, status.clone());
        let same = |s: &NodeStatus| (s.role, s.serving, s.proof, s.primary, s.promised);
        if same(&last) == same(status) {
            return;
        }
        let epoch = status.promised.0;
        let mut tell = |line: String| self.pace.tell(&format!("shard {}: {line}", self.shard));
        if last.proof != status.proof {
            tell(match status.proof {
                Proof::Proven => "its log is proven: it votes".into(),
                Proof::Transferring => "it is being filled by the primary, and does not vote".into(),
                Proof::Unproven => {
                    let why = damage().map_or(String::new(), |damage| format!(": {damage}"));
                    format!("its log is unproven: it does not vote, and waits to be filled{why}")
                }
            });
        }
        match (last.role, status.role) {
            (RoleName::Backup, RoleName::Candidate) => {
                tell(format!("asked to take over, it stands in epoch {epoch}"))
            }
            (RoleName::Candidate, RoleName::Backup) => {
                tell(format!("its attempt to take over in epoch {} has failed", last.promised.0))
            }
            (RoleName::Primary, RoleName::Backup) if epoch == last.promised.0 => {
                tell(format!("it leaves the lead of epoch {epoch}, as an extension wants"))
            }
            (RoleName::Primary, RoleName::Backup) => {
                tell(format!("it leads no longer: epoch {epoch} is greater than its {}", last.promised.0))
            }
            (_, RoleName::Primary) if !last.serving && status.serving => {
                tell(format!("it serves in epoch {epoch}"))
            }
            _ => (),
        }
        if let (RoleName::Backup, Some(primary)) = (status.role, status.primary)
            && (last.primary, last.promised) != (status.primary, status.promised)
        {
            tell(format!("it follows {primary} in epoch {epoch}"));
        }
    }
}

/// The changes of the primaries, as one gateway sees them.
#[derive(Default)]
pub struct OfShards {
    last: Vec<(Option<NodeId>, u64)>,
    pace: Option<Pace>,
    takeovers: VecDeque<Value>,
}

impl OfShards {
    /// The latest of what was told.
    pub fn told(&self) -> Value {
        self.pace.as_ref().map_or(Value::Array(Vec::new()), |pace| pace.kept.json())
    }

    /// The last changes of primaries, with their causes.
    pub fn takeovers(&self) -> &VecDeque<Value> {
        &self.takeovers
    }

    /// Tells what has changed.
    pub fn note(&mut self, view: &[ShardView]) {
        let pace = self.pace.get_or_insert_with(Pace::new);
        self.last.resize(view.len(), (None, 0));
        for (shard, last) in view.iter().zip(&mut self.last) {
            let now = (shard.primary, shard.epoch.0);
            if now == *last {
                continue;
            }
            let (number, epoch) = (shard.shard, shard.epoch.0);
            match (shard.primary, &shard.suspected, &shard.last_failover) {
                (Some(node), _, Some(failover)) if failover.to == node => {
                    if self.takeovers.len() == TAKEOVERS_MAX {
                        self.takeovers.pop_front();
                    }
                    self.takeovers.push_back(json!({
                        "at": wall_micros() / 1000, "shard": number, "epoch": epoch,
                        "from": failover.from.map(|node| node.to_string()), "to": node.to_string(),
                        "why": failover.why,
                    }));
                    let why = match failover.from.filter(|from| *from != node) {
                        Some(from) => format!("; {from} was given up: {}", failover.why),
                        None => format!(": {}", failover.why),
                    };
                    pace.tell(&format!("shard {number}: {node} leads in epoch {epoch}{why}"))
                }
                (Some(node), ..) => pace.tell(&format!("shard {number}: {node} leads in epoch {epoch}")),
                (None, Some((node, why)), _) if last.0.is_some() => {
                    pace.tell(&format!("shard {number}: {node} is given up: {why}"))
                }
                (None, ..) => (),
            }
            *last = now;
        }
    }
}
