//! Who belongs to the cluster, and changes of that: with the extension `membership`.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::Uri;
use dataplane::{Change, Membership, NodeId, Place};
use membership::Reply;
use serde_json::{Value, json};

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

/// Asks every shard's primary, and waits for what they say; unless members do not change here.
pub(super) async fn ask_for(core: &Handle, change: Change) -> Option<Value> {
    if !core.borrow().facts.extensions().iter().any(|name| name == "membership") {
        return None;
    }
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
    Some(json!({ "shards": said }))
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

/// The node that a path names.
pub(super) fn node_of(name: &str) -> Result<NodeId, String> {
    let number = name.strip_prefix('n').and_then(|n| n.parse().ok());
    let node = number.filter(|n| (1..=engine::NODE_MAX).contains(n)).map(NodeId);
    node.ok_or_else(|| format!("nodes are called n1, n2, … n{}", engine::NODE_MAX))
}

/// Where a new member listens, as its query says.
pub(super) fn place_of(uri: &Uri) -> Result<Place, String> {
    let at = uri.query().and_then(|query| query.strip_prefix("at="));
    let address = at.and_then(|at| at.parse::<SocketAddr>().ok());
    address.map(place::of).ok_or_else(|| "say where the node listens: ?at=IP:PORT".into())
}
