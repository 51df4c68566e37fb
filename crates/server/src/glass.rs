//! What a process shows of itself to the `up` that watches it: replicas and gateways as JSON, when they are asked, and only
//! then. Nobody watching costs nothing.
//!
//! A picture has a bounded size: of a log the last [`CELLS_MAX`] entries, of the messages that wait for a sync the first
//! [`HELD_MAX`].

use dataplane::{Address, Micros, NodeId, NodeStatus, Seq};
use gateway::ShardView;
use node::Node;
use serde_json::{Value, json};
use store::FileDevice;

use crate::chronicle::OfReplica;
use crate::clock::Clock;
use crate::core::Core;
use crate::status;

/// Entries of a log that are shown.
const CELLS_MAX: Seq = 24;
/// Messages that wait for a sync and are shown.
const HELD_MAX: usize = 3;

fn name(address: Address) -> String {
    match address {
        Address::Node(node) => node.to_string(),
        Address::Gateway(id) => format!("g{}", id.gateway),
    }
}

/// A replica, as it is between two of its rounds.
pub fn replica(replica: &Node<FileDevice>, chronicle: &OfReplica, clock: Clock, recording: bool) -> Value {
    let (status, core) = (replica.status(clock.now()), replica.replica().core());
    let (engine, space) = (replica.engine(), replica.engine().space());
    let used = engine.device().used();
    let (damaged, mended, missing) = replica.repairs();
    let (base, last) = (core.log.base(), core.log.tail().seq);
    // Runs of one epoch: where each begins.
    let mut runs: Vec<(Seq, u64)> = Vec::new();
    for seq in (base + 1).max((last + 1).saturating_sub(CELLS_MAX))..=last {
        let epoch = core.log.epoch_at(seq).map_or(0, |epoch| epoch.0);
        if runs.last().is_none_or(|(_, of)| *of != epoch) {
            runs.push((seq, epoch));
        }
    }
    let held = replica.held().take(HELD_MAX).map(|held| json!([name(held.to), held.message.name()]));
    json!({
        "role": status::role(&status), "serving": status.serving, "proven": core.proven, "promised": core.promised.0,
        "follows": status.primary.map(|node| node.to_string()),
        "base": base, "last": last, "runs": runs,
        "durable": core.durable, "committed": core.commit, "applied": core.applied,
        "held": held.collect::<Vec<_>>(), "waiting": replica.held().count(), "unsynced": replica.needs_flush(),
        "keys": engine.key_count(), "checkpoint": engine.checkpoint_seq(), "stored": engine.promised(),
        "wal": [space.wal_bytes, space.wal_used], "units": [space.units, space.quarantined, space.free],
        "claims": [space.claimed * engine::UNIT, space.claimable * engine::UNIT],
        "sync_micros": status.sync_micros, "syncs": used.syncs, "written": used.bytes,
        "values": [damaged, mended, missing], "told": chronicle.told(), "recording": recording,
    })
}

/// A gateway: what it knows of each shard, and how its requests went.
pub fn gateway(core: &Core) -> Value {
    let (requests, buckets) = core.metrics.totals();
    json!({
        "shards": core.view().iter().map(|view| shard(view, core.clock())).collect::<Vec<_>>(),
        "takeovers": core.chronicle.takeovers(), "told": core.chronicle.told(), "in_flight": core.in_flight(),
        "connections": core.resp_clients.open(), "memory": core.budget.held(), "requests": requests, "took": buckets,
    })
}

fn shard(view: &ShardView, clock: Clock) -> Value {
    let node = |(node, heard): &(NodeId, Option<(Micros, NodeStatus)>)| {
        let state =
            |(at, status): &(Micros, NodeStatus)| status::state(status, clock.now().saturating_sub(*at));
        json!([node.to_string(), heard.as_ref().map_or("silent", state)])
    };
    json!({
        "epoch": view.epoch.0, "primary": view.primary.map(|node| node.to_string()),
        "suspected": view.suspected.as_ref().map(|(node, why)| json!([node.to_string(), why])),
        "nodes": view.nodes.iter().map(node).collect::<Vec<_>>(),
    })
}
