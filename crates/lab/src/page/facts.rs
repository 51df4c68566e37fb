//! The state as JSON.

use serde_json::{Value, json};

use crate::facts::{Cell, DiskState, GatewayState, NodeState, Slot, Standing, Way};
use crate::machine::Facts;

/// The state of a cluster, or of a device.
pub(super) fn json(facts: &Facts) -> Value {
    match facts {
        Facts::Device(lines) => json!({ "device": lines }),
        Facts::Cluster(state) => json!({
            "nodes": state.nodes.iter().map(node).collect::<Vec<_>>(),
            "gateways": state.gateways.iter().map(gateway).collect::<Vec<_>>(),
            "network": network(&state.network),
            "cut": state.cut,
        }),
    }
}

/// What is on its way, each message with how a step names it: of several with one name, the I-th.
fn network(ways: &[Way]) -> Vec<Value> {
    let alike = |a: &Way, b: &Way| (&a.from, &a.to, &a.name) == (&b.from, &b.to, &b.name);
    let named = |at: usize| {
        let way = &ways[at];
        let all = ways.iter().filter(|other| alike(way, other)).count();
        let before = ways[..at].iter().filter(|other| alike(way, other)).count();
        let nth = if all > 1 { format!(" {}", before + 1) } else { String::new() };
        json!({
            "from": way.from, "to": way.to, "name": way.name, "words": way.words,
            "which": format!("{} {} {}{nth}", way.from, way.to, way.name),
        })
    };
    (0..ways.len()).map(named).collect()
}

fn gateway(of: &GatewayState) -> Value {
    json!({
        "name": of.name, "life": of.life, "epoch": of.epoch, "primary": of.primary, "in_flight": of.in_flight,
    })
}

fn node(of: &NodeState) -> Value {
    let held = |way: &Way| json!({ "to": way.to, "name": way.name, "words": way.words });
    json!({
        "name": of.name,
        "down": of.down,
        "role": of.role,
        "serving": of.serving,
        "proven": of.proven,
        "promised": of.promised,
        "base": of.base,
        "log": of.log.iter().map(cell).collect::<Vec<_>>(),
        "durable": of.durable,
        "committed": of.committed,
        "applied": of.applied,
        "sessions": of.sessions,
        "keys": of.keys,
        "held": of.held.iter().map(held).collect::<Vec<_>>(),
        "unsynced": of.unsynced,
        "disk": disk(&of.disk),
    })
}

fn cell(of: &Cell) -> Value {
    let standing = match of.standing {
        Standing::Tentative => "tentative",
        Standing::Durable => "durable",
        Standing::Committed => "committed",
        Standing::Applied => "applied",
    };
    json!({ "seq": of.seq, "epoch": of.epoch, "standing": standing })
}

fn disk(of: &DiskState) -> Value {
    let slot = |slot: &Slot| json!({ "generation": slot.generation, "promised": slot.promised, "checkpoint": slot.checkpoint });
    json!({
        "superblocks": of.superblocks.iter().map(|block| block.as_ref().map(slot)).collect::<Vec<_>>(),
        "log": of.log,
        "units": of.units,
        "extents": of.extents,
        "unsynced": of.unsynced,
    })
}
