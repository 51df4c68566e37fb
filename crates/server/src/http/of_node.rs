//! What a node tells of itself over HTTP, if it is given an address for that.
//!
//! | request | answer |
//! |---|---|
//! | `GET /livez` | 200 |
//! | `GET /readyz` | 200 if every replica votes; else 503, which names those that do not |
//! | `GET /metrics` | what Prometheus reads: text, or OpenMetrics for who asks for it |
//!
//! All of it is read from what the replicas last left on the [`Board`], so nobody who asks keeps a replica from its work,
//! and a device that hangs does not keep this from answering.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use dataplane::{NodeStatus, Proof};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use secure::identity::Watched;
use secure::token::Tokens;
use serde_json::json;

use super::reply::{problem, refused, reply_json};
use super::{bearer, exposition, request};
use crate::board::{Board, Said};
use crate::status::role;

/// Whose replicas, and who may ask.
#[derive(Clone)]
struct Asked {
    board: Board,
    tokens: Arc<Watched<Tokens>>,
    host_names: Arc<Vec<String>>,
}

/// Labels of a replica of this node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Replica {
    shard: u32,
}

type Number = Family<Replica, Gauge<u64, AtomicU64>>;
type Count = Family<Replica, Counter>;

/// The paths of a node.
pub fn app(board: Board, tokens: Arc<Watched<Tokens>>, host_names: Vec<String>) -> Router {
    let asked = Asked { board, tokens, host_names: Arc::new(host_names) };
    Router::new()
        .route("/livez", get(async || reply_json(StatusCode::OK, json!({ "live": true }))))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .fallback(async || problem(StatusCode::NOT_FOUND, "a node has /livez, /readyz and /metrics"))
        .layer(middleware::from_fn_with_state(asked.clone(), guard))
        .with_state(asked)
}

/// Refuses what a web page could have sent, and whoever shows no token.
async fn guard(State(asked): State<Asked>, request: Request, next: Next) -> Response {
    let allowed = request::from_here(&request, &asked.host_names);
    match allowed.and_then(|()| bearer::allowed(&request, &asked.tokens.now())) {
        Err(refusal) => refused(refusal),
        Ok(()) => next.run(request).await,
    }
}

async fn ready(State(asked): State<Asked>) -> Response {
    let votes = |said: &Option<Said>| said.as_ref().is_some_and(|said| said.status.proof == Proof::Proven);
    let without: Vec<usize> =
        asked.board.all().iter().enumerate().filter(|(_, said)| !votes(said)).map(|(n, _)| n).collect();
    match without.is_empty() {
        true => reply_json(StatusCode::OK, json!({ "ready": true })),
        false => {
            reply_json(StatusCode::SERVICE_UNAVAILABLE, json!({ "ready": false, "do_not_vote": without }))
        }
    }
}

async fn metrics(State(asked): State<Asked>, headers: HeaderMap) -> Response {
    exposition(&headers, &text(&asked.board.all())).into_response()
}

/// OpenMetrics: what each replica last said.
fn text(said: &[Option<Said>]) -> String {
    let mut registry = Registry::with_prefix("cutaway_node");
    for (name, help, of) in STATUS {
        let family = Number::default();
        for (label, Said { status, .. }) in known(said) {
            family.get_or_create(&label).set(of(status));
        }
        registry.register(name, help, family);
    }
    let (sync, takes) =
        (Family::<Replica, Gauge<f64, AtomicU64>>::default(), "How long a sync usually takes");
    let (syncs, written, mended, missing) =
        (Count::default(), Count::default(), Count::default(), Count::default());
    let (claimed, claimable, damaged) = (Number::default(), Number::default(), Number::default());
    for (label, Said { status, usage, .. }) in known(said) {
        sync.get_or_create(&label).set(status.sync_micros as f64 / 1e6);
        syncs.get_or_create(&label).inc_by(usage.syncs);
        written.get_or_create(&label).inc_by(usage.written_bytes);
        mended.get_or_create(&label).inc_by(usage.values_mended);
        missing.get_or_create(&label).inc_by(usage.values_missing);
        claimed.get_or_create(&label).set(usage.claimed_bytes);
        claimable.get_or_create(&label).set(usage.claimable_bytes);
        damaged.get_or_create(&label).set(usage.values_damaged);
    }
    registry.register_with_unit("sync", takes, Unit::Seconds, sync);
    registry.register("device_syncs", "Syncs since the start", syncs);
    registry.register("device_written_bytes", "Bytes written since the start", written);
    registry.register("device_claimed_bytes", "Bytes that keys and values claim", claimed);
    registry.register(
        "device_claimable_bytes",
        "Bytes that they may claim; then the device is full",
        claimable,
    );
    registry.register("values_damaged", "Damaged values asked of other replicas now", damaged);
    registry.register("values_mended", "Values had from another replica since the start", mended);
    registry.register("values_missing", "Times nobody had one", missing);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("a string takes any text");
    text
}

fn known(said: &[Option<Said>]) -> impl Iterator<Item = (Replica, &Said)> {
    (0..).zip(said).filter_map(|(shard, said)| Some((Replica { shard }, said.as_ref()?)))
}

/// A number in a status: its name, what it means, the number.
type Told = (&'static str, &'static str, fn(&NodeStatus) -> u64);

const STATUS: [Told; 8] = [
    ("is_primary", "Whether this replica is primary", |s| (role(s) == "primary").into()),
    ("serving", "Whether it is primary and answers clients", |s| s.serving.into()),
    ("votes", "Whether its log is proven, so that it votes", |s| (s.proof == Proof::Proven).into()),
    ("promised_epoch", "The greatest epoch that it has promised", |s| s.promised.0),
    ("last_seq", "The last entry of its log", |s| s.tail.seq),
    ("durable_seq", "Up to here its log is durable", |s| s.durable),
    ("committed_seq", "Up to here it knows its log to be committed", |s| s.committed),
    ("cut_off_microseconds", "How long ago a primary last heard a majority", |s| s.cut_off_micros),
];

#[cfg(test)]
mod tests {
    use dataplane::{Epoch, RoleName, Tail, Usage};

    use super::*;

    #[test]
    fn every_replica_that_has_said_something_is_in_every_metric() {
        let status = NodeStatus {
            pid: 1,
            role: RoleName::Primary,
            serving: true,
            proof: Proof::Proven,
            promised: Epoch(7),
            primary: None,
            tail: Tail { epoch: Epoch(7), seq: 12 },
            voted_tail: Tail { epoch: Epoch(7), seq: 12 },
            durable: 11,
            committed: 10,
            cut_off_micros: 0,
            sync_micros: 2_500,
        };
        let said = Some(Said { status, usage: Usage { syncs: 3, ..Usage::default() }, members: None });
        let text = text(&[None, said]);
        for line in [
            "cutaway_node_serving{shard=\"1\"} 1",
            "cutaway_node_last_seq{shard=\"1\"} 12",
            "cutaway_node_sync_seconds{shard=\"1\"} 0.0025",
            "cutaway_node_device_syncs_total{shard=\"1\"} 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert!(!text.contains("shard=\"0\""), "it has said nothing yet: {text}");
    }
}
