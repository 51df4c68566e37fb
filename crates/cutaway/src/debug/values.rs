//! The facts of the lab as variables: a name, a value in words, and what it is made of.

use lab::Facts;
use lab::facts::{Cell, DiskState, GatewayState, NodeState, Standing, Way};

/// A variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Var {
    pub name: String,
    pub value: String,
    pub parts: Vec<Var>,
}

impl Var {
    /// Without parts.
    pub fn new(name: impl Into<String>, value: impl ToString) -> Var {
        Var { name: name.into(), value: value.to_string(), parts: Vec::new() }
    }

    /// With parts, in so many words.
    pub fn of(name: impl Into<String>, value: impl ToString, parts: Vec<Var>) -> Var {
        Var { parts, ..Var::new(name, value) }
    }

    /// With parts, which say what it is.
    pub fn all(name: impl Into<String>, parts: Vec<Var>) -> Var {
        let words: Vec<String> = parts.iter().map(|part| format!("{}: {}", part.name, part.value)).collect();
        let value = if words.is_empty() { "none".to_string() } else { words.join("; ") };
        Var::of(name, value, parts)
    }
}

/// A yes or no.
fn yes(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

/// What a node is.
pub fn state(node: &NodeState) -> Vec<Var> {
    if let Some(why) = &node.down {
        return vec![Var::new("down", why)];
    }
    vec![
        Var::new("role", node.role),
        Var::new("epoch", node.promised),
        Var::new("serving", yes(node.serving)),
        Var::new("proven", yes(node.proven)),
        Var::new("durable", node.durable),
        Var::new("committed", node.committed),
        Var::new("applied", node.applied),
        Var::new("waits for a sync", yes(node.unsynced)),
        Var::all("keys", keys(node)),
    ]
}

/// A node in a few words.
pub fn summary(node: &NodeState) -> String {
    let entries: Vec<String> =
        node.log.iter().map(|cell| format!("{}@{} {}", cell.seq, cell.epoch, standing(cell))).collect();
    format!("{} of epoch {}, log [{}]", node.role, node.promised, entries.join(", "))
}

fn keys(node: &NodeState) -> Vec<Var> {
    node.keys
        .iter()
        .map(|(key, version, value)| Var::new(key, format!("{value} (version {version})")))
        .collect()
}

fn standing(cell: &Cell) -> &'static str {
    match cell.standing {
        Standing::Tentative => "appended only",
        Standing::Durable => "durable",
        Standing::Committed => "committed",
        Standing::Applied => "applied",
    }
}

/// A node's log, entry by entry.
pub fn log(node: &NodeState) -> Vec<Var> {
    let base = (node.base > 0).then(|| Var::new(format!("up to {}", node.base), "in the checkpoint only"));
    let entry = |cell: &Cell| {
        Var::new(format!("entry {}", cell.seq), format!("epoch {}, {}", cell.epoch, standing(cell)))
    };
    base.into_iter().chain(node.log.iter().map(entry)).collect()
}

/// A node's disk.
pub fn disk(disk: &DiskState) -> Vec<Var> {
    let slot = |(name, slot): (&str, &Option<lab::facts::Slot>)| match slot {
        Some(slot) => Var::all(
            format!("superblock {name}"),
            vec![
                Var::new("generation", slot.generation),
                Var::new("promise", slot.promised),
                Var::new("checkpoint as of entry", slot.checkpoint),
            ],
        ),
        None => Var::new(format!("superblock {name}"), "not readable"),
    };
    let mut vars: Vec<Var> = ["A", "B"].into_iter().zip(&disk.superblocks).map(slot).collect();
    vars.push(Var::new("log ring", format!("{} of {} bytes in use", disk.log.1, disk.log.0)));
    let [all, quarantined, free] = disk.units;
    vars.push(Var::new("units", format!("{all}: {quarantined} in quarantine, {free} free")));
    let extents = disk.extents.iter();
    let extents =
        extents.map(|(first, units, whose)| Var::new(format!("{first}–{}", first + units - 1), whose));
    vars.push(Var::all("extents", extents.collect()));
    vars.push(Var::new("unsynced", yes(disk.unsynced)));
    vars
}

/// The sessions that a node knows.
pub fn sessions(node: &NodeState) -> Vec<Var> {
    node.sessions.iter().map(|(seq, gateway)| Var::new(format!("session {seq}"), gateway)).collect()
}

/// Messages.
pub fn ways(ways: &[Way]) -> Vec<Var> {
    ways.iter().map(|way| Var::new(format!("{} → {}", way.from, way.to), &way.words)).collect()
}

/// What a gateway knows.
pub fn gateway(gateway: &GatewayState) -> Vec<Var> {
    vec![
        Var::new("life", gateway.life),
        Var::new("epoch", gateway.epoch),
        Var::new("primary", gateway.primary.as_deref().unwrap_or("nobody")),
        Var::new("requests without an answer", gateway.in_flight),
    ]
}

/// Everybody in a few words.
pub fn everybody(facts: &Facts) -> Vec<Var> {
    match facts {
        Facts::Device(sectors) => {
            sectors.iter().enumerate().map(|(at, line)| Var::new(format!("line {}", at + 1), line)).collect()
        }
        Facts::Cluster(cluster) => {
            let nodes = cluster.nodes.iter().map(|node| match &node.down {
                Some(why) => Var::new(&node.name, format!("down: {why}")),
                None => Var::of(&node.name, summary(node), state(node)),
            });
            let gateways = cluster.gateways.iter().map(|of| Var::all(&of.name, gateway(of)));
            let cut = cluster.cut.iter().map(|(one, other)| Var::new(format!("{one} – {other}"), "cut"));
            nodes.chain(gateways).chain(cut).collect()
        }
    }
}

/// What waits for the syncs of these nodes.
pub fn held<'a>(nodes: impl IntoIterator<Item = &'a NodeState>) -> Vec<Var> {
    nodes.into_iter().flat_map(|node| ways(&node.held)).collect()
}
