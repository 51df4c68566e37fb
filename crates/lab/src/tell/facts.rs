//! The state of a machine in words.

use crate::cluster::state::{Cell, DiskState, NodeState, Standing, State};
use crate::machine::Facts;

/// The state, or that of one process; `None`: there is no such process.
pub fn describe(facts: &Facts, of: Option<&str>) -> Option<Vec<String>> {
    match (facts, of) {
        (Facts::Device(lines), None) => Some(lines.clone()),
        (Facts::Device(_), Some(_)) => None,
        (Facts::Cluster(state), None) => Some(all(state)),
        (Facts::Cluster(state), Some(name)) => {
            let node = state.nodes.iter().find(|node| node.name == name).map(node_in_full);
            node.or_else(|| {
                gateways(state).into_iter().find(|line| line.starts_with(name)).map(|line| vec![line])
            })
        }
    }
}

/// What the signs behind the entries of a log mean.
const ENTRIES: &str = "entry@epoch: ? appended only, ~ durable, + committed, = applied";

/// What a letter of a device's picture means: each stands for a sector.
const LETTERS: [(char, &str); 6] = [
    ('#', "durable"),
    ('~', "in the cache only"),
    ('t', "torn"),
    ('s', "left over from a discarded tail"),
    ('+', "what the power cut let through"),
    ('.', "nothing on the disk"),
];

/// What the signs in this state mean.
pub fn signs(facts: &Facts) -> String {
    match facts {
        Facts::Cluster(_) => ENTRIES.to_string(),
        Facts::Device(_) => {
            let all: String = LETTERS.iter().map(|(letter, _)| *letter).collect();
            format!("superblocks A and B, then a letter for each sector: {}", legend([&all]))
        }
    }
}

/// Those letters that pictures of a device show.
pub fn legend<'a>(pictures: impl IntoIterator<Item = &'a String>) -> String {
    let shown: String = pictures.into_iter().map(|line| line.replace("data", "")).collect();
    let letters = LETTERS.iter().filter(|(letter, _)| shown.contains(*letter));
    letters.map(|(letter, means)| format!("`{letter}` {means}")).collect::<Vec<_>>().join(", ")
}

fn all(state: &State) -> Vec<String> {
    let mut lines: Vec<String> = state.nodes.iter().flat_map(node).collect();
    lines.extend(gateways(state));
    lines.extend(
        state.network.iter().map(|way| format!("on its way {} → {}: {}", way.from, way.to, way.words)),
    );
    lines.extend(state.cut.iter().map(|(one, other)| format!("cut: the link between {one} and {other}")));
    lines
}

fn gateways(state: &State) -> Vec<String> {
    let tell = |gateway: &crate::cluster::state::GatewayState| {
        let primary = gateway.primary.as_deref().unwrap_or("nobody");
        let (name, epoch, open) = (&gateway.name, gateway.epoch, gateway.in_flight);
        let requests = if open == 1 { "request" } else { "requests" };
        format!("{name}  knows of {primary} in epoch {epoch}; {open} {requests} without an answer")
    };
    state.gateways.iter().map(tell).collect()
}

/// A node in a few lines.
fn node(node: &NodeState) -> Vec<String> {
    if let Some(why) = &node.down {
        return vec![format!("{}  down: {why}", node.name)];
    }
    let serving = if node.serving { ", serving" } else { "" };
    let proven = if node.proven { "" } else { ", its log unproven" };
    let mut lines = vec![format!(
        "{}  {} in epoch {}{serving}{proven}; log {}",
        node.name,
        node.role,
        node.promised,
        log(node)
    )];
    lines.extend(
        node.held
            .iter()
            .map(|way| format!("    holds back for {}, until its own sync returns: {}", way.to, way.words)),
    );
    lines
}

/// A node with all that is known of it.
fn node_in_full(of: &NodeState) -> Vec<String> {
    let mut lines = node(of);
    lines.push(format!("    {ENTRIES}"));
    if of.base > 0 {
        lines.push(format!("    entries up to {} are in the checkpoint only", of.base));
    }
    let keys: Vec<String> =
        of.keys.iter().map(|(key, version, value)| format!("{key} = {value} (version {version})")).collect();
    lines.push(format!("    keys: {}", if keys.is_empty() { "none".into() } else { keys.join(", ") }));
    let sessions: Vec<String> = of.sessions.iter().map(|(seq, of)| format!("{seq} of {of}")).collect();
    lines.push(format!(
        "    sessions: {}",
        if sessions.is_empty() { "none".into() } else { sessions.join(", ") }
    ));
    lines.extend(disk(&of.disk));
    lines
}

fn log(node: &NodeState) -> String {
    let cell = |cell: &Cell| {
        let how = match cell.standing {
            Standing::Tentative => '?',
            Standing::Durable => '~',
            Standing::Committed => '+',
            Standing::Applied => '=',
        };
        format!("{}@{}{how}", cell.seq, cell.epoch)
    };
    let cells: Vec<String> = node.log.iter().map(cell).collect();
    format!("[{}]", cells.join(" "))
}

fn disk(disk: &DiskState) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, slot) in ["A", "B"].iter().zip(&disk.superblocks) {
        lines.push(match slot {
            Some(slot) => format!(
                "    superblock {name}: generation {}, promise {}, checkpoint as of entry {}",
                slot.generation, slot.promised, slot.checkpoint
            ),
            None => format!("    superblock {name}: not readable"),
        });
    }
    lines.push(format!("    log ring: {} of {} bytes in use", disk.log.1, disk.log.0));
    let owned =
        disk.extents.iter().map(|(unit, units, whose)| format!("{unit}–{} {whose}", unit + units - 1));
    let owned: Vec<String> = owned.collect();
    let owned = if owned.is_empty() { "nothing".into() } else { owned.join(", ") };
    lines.push(format!("    data units: {owned}; {} in quarantine, {} free", disk.units[1], disk.units[2]));
    if disk.unsynced {
        lines.push("    some of what is written is not synced".into());
    }
    lines
}
