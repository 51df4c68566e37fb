//! The cluster as one gateway sees it, in the shape that scripts may rely on.

use dataplane::{Micros, NodeStatus, Proof, RoleName};
use serde_json::{Value, json};

use crate::core::Core;
use crate::fullness;
use crate::manifest::hex;

/// A node that has said nothing for this long is shown as silent.
const SILENT_AFTER: Micros = 500_000;

/// The status document. `near` clients, those on this machine, are told where the data lies as well.
pub fn status(core: &Core, near: bool) -> Value {
    let (clock, now) = (core.clock(), core.clock().now());
    let mut shards = Vec::new();
    for view in core.view() {
        let mut nodes = Vec::new();
        for (node, heard) in &view.nodes {
            let Some((at, s)) = heard else {
                nodes.push(json!({
                    "node": node.to_string(), "pid": null, "role": null, "state": "silent", "last_seq": null,
                    "durable_seq": null, "committed_seq": null, "epoch": null, "full_percent": null,
                    "heard_ms_ago": null,
                }));
                continue;
            };
            let ago = now.saturating_sub(*at);
            let used = core.usage.get(&(view.shard, *node));
            let full = used.map(fullness::percent);
            let used = used.copied().unwrap_or_default();
            nodes.push(json!({
                "node": node.to_string(), "pid": s.pid, "role": role(s), "state": state(s, ago),
                "last_seq": s.tail.seq, "durable_seq": s.durable, "committed_seq": s.committed,
                "epoch": s.promised.0, "full_percent": full, "heard_ms_ago": ago / 1000,
                "values_damaged": used.values_damaged, "values_mended": used.values_mended,
                "values_missing": used.values_missing,
            }));
        }
        let last_failover = view.last_failover.as_ref().map(|f| {
            json!({
                "at": humantime::format_rfc3339_millis(clock.calendar(f.at)).to_string(),
                "from": f.from.map(|n| n.to_string()), "to": f.to.to_string(), "why": f.why,
            })
        });
        shards.push(json!({
            "shard": view.shard, "epoch": view.epoch.0, "primary": view.primary.map(|n| n.to_string()),
            "nodes": nodes, "last_failover": last_failover,
        }));
    }
    let mut problems: Vec<_> = core.facts.refusals().map(|(node, why)| format!("{node}: {why}")).collect();
    if problems.is_empty() && shards.is_empty() {
        problems.push(core.facts.missing());
    }
    let programs = core.facts.programs().map(|(node, protocol, program)| {
        (node.to_string(), json!({ "protocol": protocol, "program": program }))
    });
    let mut status = json!({
        "protocol": core.options.protocol, "programs": programs.collect::<serde_json::Map<_, _>>(),
        "cluster": hex(&core.options.cluster), "gateway": format!("g{}", core.options.gateway),
        "pid": std::process::id(), "shards": shards, "problems": problems,
        "extensions": core.facts.extensions(),
    });
    if let (true, Some(dir)) = (near, &core.options.dir) {
        status["dir"] = json!(dir);
    }
    status
}

/// The role in the words of `ARCHITECTURE.md`.
pub(crate) fn role(s: &NodeStatus) -> &'static str {
    match s.role {
        RoleName::Primary => "primary",
        RoleName::Backup => "backup",
        RoleName::Candidate => "candidate",
    }
}

/// What it is doing, in a word.
pub(crate) fn state(s: &NodeStatus, silent_for: Micros) -> &'static str {
    match (s.proof, s.role) {
        _ if silent_for > SILENT_AFTER => "silent",
        (Proof::Unproven, _) => "unproven",
        (Proof::Transferring, _) => "transferring",
        (Proof::Proven, RoleName::Primary) if s.serving => "serving",
        (Proof::Proven, RoleName::Primary) => "starting",
        (Proof::Proven, RoleName::Candidate) => "asking",
        (Proof::Proven, RoleName::Backup) if s.primary.is_some() => "following",
        (Proof::Proven, RoleName::Backup) => "waiting",
    }
}
