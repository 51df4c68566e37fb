//! What `/metrics` tells Prometheus.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dataplane::{NodeId, Op, Usage};
use gateway::{Reply, Request, ShardView};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Labels of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    kind: &'static str,
    result: &'static str,
}

/// Labels of a latency.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

/// Labels of a shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Shard {
    shard: u32,
}

/// Labels of a replica.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Replica {
    shard: u32,
    node: String,
}

/// The metrics of one gateway.
pub struct Metrics {
    registry: Registry,
    requests: Family<Ended, Counter>,
    seconds: Family<Kind, Histogram, fn() -> Histogram>,
    value_bytes: Family<Kind, Counter>,
    connections: Gauge,
    epoch: Family<Shard, Gauge<u64, AtomicU64>>,
    has_primary: Family<Shard, Gauge>,
    committed: Family<Replica, Gauge<u64, AtomicU64>>,
    durable: Family<Replica, Gauge<u64, AtomicU64>>,
    syncs: Family<Replica, Counter>,
    written: Family<Replica, Counter>,
    claimed: Family<Replica, Gauge<u64, AtomicU64>>,
    claimable: Family<Replica, Gauge<u64, AtomicU64>>,
    damaged: Family<Replica, Gauge<u64, AtomicU64>>,
    mended: Family<Replica, Gauge<u64, AtomicU64>>,
    missing: Family<Replica, Gauge<u64, AtomicU64>>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let mut m = Metrics {
            registry: Registry::with_prefix("cutaway"),
            requests: Family::default(),
            // 50 µs to 13 s.
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(50e-6, 2.0, 19))),
            value_bytes: Family::default(),
            connections: Gauge::default(),
            epoch: Family::default(),
            has_primary: Family::default(),
            committed: Family::default(),
            durable: Family::default(),
            syncs: Family::default(),
            written: Family::default(),
            claimed: Family::default(),
            claimable: Family::default(),
            damaged: Family::default(),
            mended: Family::default(),
            missing: Family::default(),
        };
        let r = &mut m.registry;
        r.register("requests", "Requests answered, by kind and result", m.requests.clone());
        r.register_with_unit("request_duration", "From request to answer", Unit::Seconds, m.seconds.clone());
        r.register("value_bytes", "Bytes of values taken and given", m.value_bytes.clone());
        r.register("redis_connections", "Redis connections now open", m.connections.clone());
        r.register("epoch", "The greatest epoch heard of; each failover raises it", m.epoch.clone());
        r.register("has_primary", "Whether a serving primary is known", m.has_primary.clone());
        r.register(
            "committed_seq",
            "Up to here a replica knows its log to be committed",
            m.committed.clone(),
        );
        r.register("durable_seq", "Up to here a replica's log is durable", m.durable.clone());
        let since = "since the replica was started";
        r.register("device_syncs", format!("Syncs of a replica's device, {since}"), m.syncs.clone());
        r.register("device_written_bytes", format!("Bytes written to it, {since}"), m.written.clone());
        let claims = "Bytes of a replica's device that its keys and values claim";
        r.register("device_claimed_bytes", claims, m.claimed.clone());
        let most = "Bytes that they may claim; then the device is full";
        r.register("device_claimable_bytes", most, m.claimable.clone());
        r.register("values_damaged", "Damaged values asked of other replicas now", m.damaged.clone());
        r.register("values_mended", format!("Values had from another replica, {since}"), m.mended.clone());
        r.register("values_missing", format!("Times nobody had one, {since}"), m.missing.clone());
        m
    }
}

impl Metrics {
    /// A request came in.
    pub fn taken(&self, request: &Request) {
        if let Request::Write(Op::Put { value, .. }) = request {
            self.value_bytes.get_or_create(&Kind { kind: "put" }).inc_by(value.len() as u64);
        }
    }

    /// A request was answered.
    pub fn answered(&self, kind: &'static str, reply: &Reply, after: Duration) {
        let result = match reply {
            Reply::Done(dataplane::Outcome::ConditionFailed { .. }) => "condition_failed",
            Reply::Done(_) | Reply::Keys(_) | Reply::Count(_) => "ok",
            Reply::Value(_, value) => {
                self.value_bytes.get_or_create(&Kind { kind: "get" }).inc_by(value.len() as u64);
                "ok"
            }
            // Its value is asked for next, and counted then.
            Reply::Long(..) => "long",
            Reply::Missing => "missing",
            Reply::Unknown(_) => "unknown",
            Reply::Unavailable(_) | Reply::NoRoom => "unavailable",
            Reply::Invalid(_) => "invalid",
            Reply::Damaged => "damaged",
        };
        self.requests.get_or_create(&Ended { kind, result }).inc();
        self.seconds.get_or_create(&Kind { kind }).observe(after.as_secs_f64());
    }

    /// A replica says what it has used, counting from 0 again when it is restarted, which Prometheus allows for.
    pub fn used(&self, shard: u32, node: NodeId, usage: &Usage) {
        let label = Replica { shard, node: node.to_string() };
        let set = |count: &Family<Replica, Counter>, now| {
            count.get_or_create(&label).inner().store(now, Ordering::Relaxed);
        };
        set(&self.syncs, usage.syncs);
        set(&self.written, usage.written_bytes);
        self.claimed.get_or_create(&label).set(usage.claimed_bytes);
        self.claimable.get_or_create(&label).set(usage.claimable_bytes);
        self.damaged.get_or_create(&label).set(usage.values_damaged);
        self.mended.get_or_create(&label).set(usage.values_mended);
        self.missing.get_or_create(&label).set(usage.values_missing);
    }

    /// How many requests ended with each result, and how many took at most so long: seconds, and the number up to there.
    pub fn totals(&self) -> (BTreeMap<String, u64>, Vec<(f64, u64)>) {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)
            .expect("a string takes any text");
        let label = |line: &str, name: &str| {
            let (_, rest) = line.split_once(&format!("{name}=\""))?;
            rest.split('"').next().map(String::from)
        };
        let (mut results, mut buckets): (BTreeMap<String, u64>, Vec<(f64, u64)>) = Default::default();
        for line in text.lines() {
            let Some((name, count)) = line.rsplit_once(' ') else { continue };
            let Ok(count) = count.parse::<u64>() else { continue };
            if let (true, Some(result)) = (name.starts_with("cutaway_requests_total"), label(name, "result"))
            {
                *results.entry(result).or_default() += count;
            }
            let upto = label(name, "le").and_then(|le| le.parse::<f64>().ok()).filter(|le| le.is_finite());
            if let (true, Some(upto)) = (name.starts_with("cutaway_request_duration_seconds_bucket"), upto) {
                match buckets.iter_mut().find(|(known, _)| *known == upto) {
                    Some((_, all)) => *all += count,
                    None => buckets.push((upto, count)),
                }
            }
        }
        (results, buckets)
    }

    /// OpenMetrics, with the cluster as it is seen now.
    pub fn text(&self, view: &[ShardView], connections: usize) -> String {
        self.connections.set(connections as i64);
        for shard in view {
            let label = Shard { shard: shard.shard };
            self.epoch.get_or_create(&label).set(shard.epoch.0);
            self.has_primary.get_or_create(&label).set(shard.primary.is_some().into());
            for (node, heard) in &shard.nodes {
                let Some((_, status)) = heard else { continue };
                let label = Replica { shard: shard.shard, node: node.to_string() };
                self.committed.get_or_create(&label).set(status.committed);
                self.durable.get_or_create(&label).set(status.durable);
            }
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)
            .expect("a string takes any text");
        text
    }
}

/// OpenMetrics as the text that Prometheus read before there was that: a counter's family has the name of its samples,
/// and there are no units and no end.
pub fn plain(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let counter = |name: &str| openmetrics.contains(&format!("# TYPE {name} counter\n"));
    for line in openmetrics.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("UNIT" | "EOF"), ..) => continue,
            (Some("#"), Some(what), Some(name), Some(rest)) if counter(name) => {
                text += &format!("# {what} {name}_total {rest}\n");
            }
            _ => text += &format!("{line}\n"),
        }
    }
    text
}
