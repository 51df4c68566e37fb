//! The replicas of one shard, as they answer through a gateway.

use backup::{Heard, reach};
use dataplane::{Chunk, ClusterId, Message, NodeId, Seq, wire};
use serde_json::Value;
use server::manifest::hex;
use ureq::http::Method;

use crate::client::GatewayArgs;
use crate::failure::{Failure, Result};

/// Where pieces of a shard's state come from.
pub struct Source<'a> {
    gateway: &'a GatewayArgs,
    cluster: ClusterId,
    pub shard: u32,
    nodes: Vec<String>,
}

/// What a replica answered.
pub struct Asked {
    /// How far its log is durable; `None` if it may have forgotten some of it.
    pub durable: Option<Seq>,
    /// Who votes in its shard, and the entry that made it so.
    pub voters: (Seq, Vec<NodeId>),
    /// How many keys it has now.
    pub keys: u64,
    pub chunk: Option<Chunk>,
}

impl<'a> Source<'a> {
    /// The replicas that a gateway's status names. Backups come before the primary, which has clients to serve.
    pub fn new(gateway: &'a GatewayArgs, status: &Value, shard: u32, cluster: ClusterId) -> Source<'a> {
        let told = &status["shards"][shard as usize];
        let mut nodes: Vec<String> = told["nodes"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|node| Some(node["node"].as_str()?.to_string()))
            .collect();
        nodes.sort_by_key(|node| told["primary"].as_str() == Some(node));
        Source { gateway, cluster, shard, nodes }
    }

    /// Their names.
    pub fn nodes(&self) -> impl Iterator<Item = String> + Clone + '_ {
        self.nodes.iter().cloned()
    }

    /// The entry that the copy must reach, if enough replicas say how far they are.
    pub fn reach(&self) -> Option<Seq> {
        // No state reaches that far, so none is sent.
        let told = |name: &String| {
            let Asked { durable, voters: (since, voters), .. } =
                self.ask(name, (Seq::MAX, 0), &[]).ok()??;
            let node = NodeId(name.strip_prefix('n')?.parse().ok()?);
            Some(Heard { node, durable: durable?, since, voters })
        };
        let heard: Vec<Heard> = self.nodes.iter().filter_map(told).collect();
        reach(&heard)
    }

    /// Asks a replica for the piece behind `cursor` of a state as of `at_least` or later, without values of `since` and
    /// before. `None`: it does not answer, or may have forgotten what it had.
    pub fn ask(&self, node: &str, (at_least, since): (Seq, Seq), cursor: &[u8]) -> Result<Option<Asked>> {
        let cursor = if cursor.is_empty() { "-".into() } else { hex(cursor) };
        let path = format!("/v1/backup/{}/{node}/{at_least}/{since}/{cursor}", self.shard);
        let answer = match self.gateway.ask(Method::GET, &path, &[], b"") {
            Ok(answer) => answer,
            // The gateway may be about to start again; who waits too long is told.
            Err(_) => return Ok(None),
        };
        match answer.status {
            200 => {}
            503 => return Ok(None),
            _ => {
                let told = answer.json().ok().and_then(|body| body["error"].as_str().map(String::from));
                let why = told.unwrap_or_else(|| format!("status {}", answer.status));
                let failure = Failure::error(format!("the gateway has no part of {node}: {why}"));
                return Err(failure.next("use a gateway of the same version as this program"));
            }
        }
        let unclear = |why: String| {
            let failure = Failure::error(format!("the answer of {node} cannot be read: {why}"));
            failure.next("use a gateway of the same version as this program")
        };
        let frame = wire::decode(&answer.body).map_err(|e| unclear(e.to_string()))?;
        if (frame.cluster, frame.shard) != (self.cluster, self.shard) {
            return Err(unclear("it is of another cluster or shard".into()));
        }
        match frame.message {
            Message::BackupReply { durable, voters, keys, chunk, .. } => {
                // What a replica that is being filled has, it may be about to replace.
                let chunk = chunk.filter(|_| durable.is_some());
                Ok(Some(Asked { durable, voters, keys, chunk }))
            }
            other => Err(unclear(format!("it is a {}", other.name()))),
        }
    }
}
