//! `INFO`.

use bytes::Bytes;
use gateway::Reply;

use super::reply::Value;
use super::table::REDIS_VERSION;
use crate::core::{Core, Handle};

/// The parts of `INFO`.
const SECTIONS: [&str; 9] =
    ["server", "clients", "memory", "persistence", "stats", "replication", "cluster", "keyspace", "cutaway"];

/// Tells these sections, or all. How many keys there are is asked, unless a shard has no primary to ask: whoever waits to
/// learn what is wrong does not wait for that.
pub fn info(core: Handle, sections: &[Bytes]) -> impl Future<Output = Value> + use<> {
    let all = |section: &Bytes| matches!(&section[..], b"all" | b"default" | b"everything");
    let all = sections.is_empty() || sections.iter().any(all);
    let wanted = |section: &&str| all || sections.iter().any(|s| s == section.as_bytes());
    let sections: Vec<&str> = SECTIONS.into_iter().filter(|section| wanted(section)).collect();
    let count = sections.contains(&"keyspace") && core.borrow().view().iter().all(|s| s.primary.is_some());
    async move {
        let count = count.then(|| core.borrow_mut().submit(gateway::Request::Read(dataplane::Query::Count)));
        let keys = match count {
            Some(count) => count.await.ok(),
            None => None,
        };
        let text = sections.iter().map(|section| told(&core.borrow(), section, keys.as_ref()));
        Value::text(text.collect::<Vec<_>>().join("\r\n"))
    }
}

fn told(core: &Core, section: &str, keys: Option<&Reply>) -> String {
    let clients = &core.resp_clients;
    let view = core.view();
    let mut facts: Vec<(String, String)> = Vec::new();
    let mut say = |name: &str, value: String| facts.push((name.into(), value));
    match section {
        "server" => {
            say("redis_version", REDIS_VERSION.into());
            say("cutaway_version", env!("CARGO_PKG_VERSION").into());
            say("redis_mode", "standalone".into());
            say("os", std::env::consts::OS.into());
            say("arch_bits", usize::BITS.to_string());
            say("process_id", std::process::id().to_string());
            say("tcp_port", core.options.redis.port().to_string());
            let seconds = core.clock().now() / 1_000_000;
            say("uptime_in_seconds", seconds.to_string());
            say("uptime_in_days", (seconds / 86_400).to_string());
        }
        "clients" => {
            say("connected_clients", clients.open().to_string());
            say("maxclients", core.doors.redis.to_string());
            say("blocked_clients", "0".into());
        }
        "memory" => {
            if let Some(bytes) = memory() {
                say("used_memory", bytes.to_string());
                say("used_memory_human", format!("{:.2}M", bytes as f64 / f64::from(1 << 20)));
                say("used_memory_rss", bytes.to_string());
            }
            say("maxmemory", "0".into());
        }
        "persistence" => {
            say("loading", "0".into());
            say("rdb_bgsave_in_progress", "0".into());
            say("aof_enabled", "1".into());
            say("aof_rewrite_in_progress", "0".into());
        }
        "stats" => {
            say("total_connections_received", clients.next_id.to_string());
            say("total_commands_processed", clients.commands.to_string());
        }
        "replication" => {
            say("role", "master".into());
            say("connected_slaves", "0".into());
            say("master_repl_offset", view.iter().map(committed).max().unwrap_or(0).to_string());
        }
        "cluster" => say("cluster_enabled", "0".into()),
        "keyspace" => {
            if let Some(Reply::Count(keys @ 1..)) = keys {
                say("db0", format!("keys={keys},expires=0,avg_ttl=0"));
            }
        }
        _ => {
            for shard in &view {
                let primary = shard.primary.map_or("none".into(), |p| p.to_string());
                let (epoch, committed) = (shard.epoch.0, committed(shard));
                let value = format!("primary={primary},epoch={epoch},committed={committed}");
                say(&format!("shard{}", shard.shard), value);
            }
        }
    }
    let lines = facts.iter().map(|(name, value)| format!("{name}:{value}\r\n"));
    format!("# {}{}\r\n{}", section[..1].to_ascii_uppercase(), &section[1..], lines.collect::<String>())
}

/// The memory of this process, where the system tells it in a file.
fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

/// How far a shard is, as far as this gateway has heard.
pub fn committed(shard: &gateway::ShardView) -> u64 {
    shard.nodes.iter().filter_map(|(_, heard)| heard.as_ref()).map(|(_, s)| s.committed).max().unwrap_or(0)
}
