//! Who belongs to the cluster, and changes of that: with the extension `membership`.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use dataplane::{Change, Membership, NodeId};
use membership::Reply;
use serde_json::{Value, json};

use super::{App, Call, problem, reply_json};
use crate::core::{Core, Handle};
use crate::place;

/// A primary that has not answered by then is asked again by whoever asks.
const PATIENCE: Duration = Duration::from_secs(2);

/// The members, as the primary of each shard last told them.
pub(super) fn members(core: &Core) -> Value {
    let shards = core.view().into_iter().map(|view| {
        let rows = core.members.get(&view.shard).cloned().unwrap_or_default();
        let members: Vec<Value> = rows
            .into_iter()
            .map(|(node, member)| {
                let is = match member.is {
                    Membership::Learner => "learner",
                    Membership::Voter => "voter",
                    Membership::Gone => "gone",
                };
                let address = place::address(member.place).map(|address| address.to_string());
                json!({ "node": node.to_string(), "is": is, "since": member.since, "address": address })
            })
            .collect();
        json!({ "shard": view.shard, "members": members })
    });
    json!({ "shards": shards.collect::<Vec<_>>() })
}

/// Asks every shard's primary, and waits for what they say.
pub(super) async fn ask_for(core: &Handle, change: Change) -> Value {
    let (number, mut told) = core.borrow_mut().ask_for(change);
    let shards = core.borrow().view().len();
    let mut said = vec![json!({ "reply": "later", "why": "its primary has not answered" }); shards];
    let all = async {
        for _ in 0..shards {
            let Some((shard, reply)) = told.recv().await else { break };
            if let Some(place) = said.get_mut(shard as usize) {
                *place = describe(reply);
            }
        }
    };
    let _ = tokio::time::timeout(PATIENCE, all).await;
    core.borrow_mut().forget(number);
    json!({ "shards": said })
}

fn describe(reply: Reply) -> Value {
    match reply {
        Reply::Done => json!({ "reply": "done" }),
        Reply::Begun(entry) => json!({ "reply": "begun", "entry": entry }),
        Reply::Later(why) => json!({ "reply": "later", "why": why }),
        Reply::Refused(why) => json!({ "reply": "refused", "why": why }),
        Reply::Elsewhere(_) => json!({ "reply": "later", "why": "its primary has just changed" }),
    }
}

pub(super) async fn read(State(app): State<App>) -> Response {
    match app.ask(Call::Members).await {
        Some(members) => reply_json(StatusCode::OK, members),
        None => problem(StatusCode::SERVICE_UNAVAILABLE, "the gateway is stopping"),
    }
}

pub(super) async fn add(State(app): State<App>, Path(node): Path<String>, uri: Uri) -> Response {
    let at = uri.query().and_then(|query| query.strip_prefix("at="));
    let Some(address) = at.and_then(|at| at.parse::<SocketAddr>().ok()) else {
        return problem(StatusCode::BAD_REQUEST, "say where the node listens: ?at=IP:PORT");
    };
    change(&app, &node, |node| Change::Add(node, place::of(address))).await
}

pub(super) async fn remove(State(app): State<App>, Path(node): Path<String>) -> Response {
    change(&app, &node, Change::Remove).await
}

async fn change(app: &App, node: &str, change: impl FnOnce(NodeId) -> Change) -> Response {
    let number = node.strip_prefix('n').and_then(|n| n.parse().ok());
    let Some(node) = number.filter(|n| (1..=engine::NODE_MAX).contains(n)).map(NodeId) else {
        return problem(StatusCode::BAD_REQUEST, format!("nodes are called n1, n2, … n{}", engine::NODE_MAX));
    };
    let change = change(node);
    match app.ask(|tx| Call::Change(change, tx)).await {
        Some(said) => reply_json(StatusCode::OK, said),
        None => problem(StatusCode::SERVICE_UNAVAILABLE, "the gateway is stopping"),
    }
}
