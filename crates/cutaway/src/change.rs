//! `add`, `remove`, `replace`: changing who belongs to the cluster, with the extension `membership`.
//!
//! Each of them asks until it is so in every shard. Whoever interrupts one and says it again goes on where it was: what is
//! done already is told as done.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::client::GatewayArgs;
use crate::failure::{Failure, Result, me, note, say};
use crate::members::order;

/// Between two questions.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Add a node: it learns, and counts once it has what the others have
#[derive(Debug, Args)]
pub struct Add {
    /// The node, such as n4
    node: String,
    #[command(flatten)]
    how: How,
}

/// Remove a node
#[derive(Debug, Args)]
pub struct Remove {
    /// The node, such as n3
    node: String,
    #[command(flatten)]
    how: How,
}

/// Replace a node by another: add the one, and remove the other once the first counts
#[derive(Debug, Args)]
pub struct Replace {
    /// The node that goes, such as n3
    node: String,
    /// The node that comes, such as n4
    #[arg(long, value_name = "NODE")]
    with: String,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
struct How {
    /// Where the new node listens, if `up` does not run it: prepare it with `format --joining`, and start it first
    #[arg(long, value_name = "IP:PORT")]
    at: Option<SocketAddr>,
    /// Give up after so many seconds; what was begun goes on
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    patience: u64,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gateway: GatewayArgs,
}

impl Add {
    /// Runs the command.
    pub fn run(self) -> Result {
        self.how.add(&self.node)?;
        self.how.tell(format!("{} counts in every shard", self.node), &self.node, "added")
    }
}

impl Remove {
    /// Runs the command.
    pub fn run(self) -> Result {
        self.how.remove(&self.node)?;
        self.how.tell(format!("{} is removed from every shard", self.node), &self.node, "removed")
    }
}

impl Replace {
    /// Runs the command.
    pub fn run(self) -> Result {
        if self.node == self.with {
            return Err(Failure::usage("a node is not replaced by itself").next(format!(
                "for a lost disk under the same name: {} format --joining, and start the node again",
                me()
            )));
        }
        self.how.add(&self.with)?;
        self.how.remove(&self.node)?;
        let told = format!("{} counts in every shard, and {} is removed", self.with, self.node);
        self.how.tell(told, &self.with, "replaced")
    }
}

impl How {
    fn tell(&self, line: String, node: &str, done: &str) -> Result {
        if self.json {
            say(json!({ "node": node, "done": done }));
        } else {
            say(line);
        }
        Ok(())
    }

    fn add(&self, node: &str) -> Result {
        let address = match self.at {
            Some(at) => at.to_string(),
            None => self.found(node)?,
        };
        self.until(&format!("add {node}"), Method::POST, &format!("/v1/members/{node}?at={address}"))
    }

    fn remove(&self, node: &str) -> Result {
        self.until(&format!("remove {node}"), Method::DELETE, &format!("/v1/members/{node}"))?;
        // What `up` does not run, somebody else stops.
        if let Some(dir) = self.dir()? {
            let _ = order(&dir, node, "dismiss")?;
        }
        Ok(())
    }

    /// Has `up` start the node; where it listens.
    fn found(&self, node: &str) -> Result<String> {
        let dir = self.dir()?.ok_or_else(|| {
            Failure::usage(format!("the gateway at {} was not started by `up`", self.gateway.gateway))
                .next(format!("say where {node} listens, with --at IP:PORT"))
        })?;
        let founded = order(&dir, node, "found")?
            .map_err(|why| Failure::error(why).next(format!("{} status{}", me(), self.gateway.flag())))?;
        Ok(founded["done"].as_str().unwrap_or_default().to_string())
    }

    fn dir(&self) -> Result<Option<PathBuf>> {
        Ok(self.gateway.status()?["dir"].as_str().map(PathBuf::from))
    }

    /// Asks until it is so in every shard.
    fn until(&self, what: &str, method: Method, path: &str) -> Result {
        let (begun, mut told) = (Instant::now(), String::new());
        loop {
            let answer = self.gateway.ask(method.clone(), path, &[], b"")?;
            let body = answer.json()?;
            let Some(shards) = body["shards"].as_array().filter(|_| answer.status == 200) else {
                let why = body["error"].as_str().unwrap_or("no reason given").to_string();
                return Err(Failure::error(why).next(format!("{} help members", me())));
            };
            if let Some(why) =
                shards.iter().find_map(|said| said["why"].as_str().filter(|_| said["reply"] == "refused"))
            {
                let status = format!("{} status{}", me(), self.gateway.flag());
                return Err(Failure::error(format!("cannot {what}: {why}")).next(status));
            }
            let open = shards.iter().enumerate().filter(|(_, said)| said["reply"] != "done");
            let open: Vec<String> = open.map(|(shard, said)| state(shard, said)).collect();
            if open.is_empty() && !shards.is_empty() {
                return Ok(());
            }
            let now = format!("{what}: {}", open.join("; "));
            if now != told {
                note(format!("{now}\n"));
                told = now;
            }
            if begun.elapsed() > Duration::from_secs(self.patience) {
                let again = "the same again: it goes on where it is";
                return Err(Failure::error(format!("not done after {} s: {told}", self.patience)).next(again));
            }
            std::thread::sleep(ASK_EVERY);
        }
    }
}

fn state(shard: usize, said: &Value) -> String {
    match (said["entry"].as_u64(), said["why"].as_str()) {
        (Some(entry), _) => format!("shard {shard}: begun with entry {entry}"),
        (None, Some(why)) => format!("shard {shard}: {why}"),
        (None, None) => format!("shard {shard}: waits"),
    }
}
