//! `kill`, `pause`, `resume`, `restart`, `isolate`, `heal`: acting on a cluster that `up` started.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use server::control::{Control, TOKEN};
use ureq::http::Method;

use crate::client::GatewayArgs;
use crate::failure::{Failure, Result, me, quote, say};

/// What `up` says is done, and what it proposes next, stand on both sides of this.
const NEXT: &str = "; next: ";

/// Whom to act on.
#[derive(Debug, Args)]
pub struct Act {
    /// n1, n2, …; `primary` is the shard's current primary; g1, g2, … are gateways
    node: String,
    /// The shard that `primary` refers to
    #[arg(long, default_value_t = 0)]
    shard: u64,
    /// Data directory of the cluster; by default, learned from the gateway
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gateway: GatewayArgs,
}

impl Act {
    /// Does `action`, and waits until it is done.
    pub fn run(self, action: &str) -> Result {
        let name = match self.node.as_str() {
            "primary" => self.primary()?,
            other => other.to_string(),
        };
        if !name.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(Failure::usage(format!("{name:?} is not the name of a node, such as n1")));
        }
        let dir = match &self.dir {
            Some(dir) => dir.clone(),
            None => self.dir_of_gateway()?,
        };
        let body = match order(&dir, &name, action)? {
            Ok(body) => body,
            Err(why) => {
                let (why, next) = why.split_once(NEXT).unwrap_or((&why, "status"));
                return Err(Failure::error(why).next(self.commands(next)));
            }
        };
        if self.json {
            say(json!({ "node": name, "action": action, "done": body["done"] }));
        } else {
            let done = body["done"].as_str().unwrap_or("done");
            match done.split_once(NEXT) {
                Some((done, next)) => say(format!("{done}{NEXT}{}", self.commands(next))),
                None => say(done),
            }
        }
        Ok(())
    }

    /// The commands that `up` names, such as "status, then restart n1", as they are typed for this cluster.
    fn commands(&self, next: &str) -> String {
        let dir = self.dir.as_ref().map_or(String::new(), |dir| format!(" --dir {}", quote(dir.display())));
        let typed = next.split(", then ").map(|command| {
            let dir = if command == "status" { "" } else { &dir[..] };
            // Whoever named the directory has not asked this gateway anything.
            let gateway = if dir.is_empty() { self.gateway.flag() } else { String::new() };
            format!("{} {command}{dir}{gateway}", me())
        });
        typed.collect::<Vec<_>>().join(", then ")
    }

    /// Who leads the shard now: asked, never assumed.
    fn primary(&self) -> Result<String> {
        let status = self.gateway.status()?;
        let shards = status["shards"].as_array().cloned().unwrap_or_default();
        let Some(shard) = shards.iter().find(|s| s["shard"] == self.shard) else {
            return Err(Failure::usage(format!(
                "there is no shard {}; there are {}",
                self.shard,
                shards.len()
            )));
        };
        shard["primary"].as_str().map(String::from).ok_or_else(|| {
            Failure::error(format!("shard {} has no primary at the moment", self.shard))
                .next(self.commands("status"))
        })
    }

    fn dir_of_gateway(&self) -> Result<PathBuf> {
        let status = self
            .gateway
            .status()
            .map_err(|e| e.next(format!("{} up, or name its directory with --dir", me())))?;
        status["dir"].as_str().map(PathBuf::from).ok_or_else(|| {
            Failure::error(format!(
                "the gateway at {} was not started by `up` on this machine",
                self.gateway.gateway
            ))
            .next("name the data directory with --dir, or use your own means to act on its processes")
        })
    }
}

/// Asks the `up` of `dir` to act on one of its processes, and waits until it is done. The inner error is its refusal.
pub fn order(dir: &Path, name: &str, action: &str) -> Result<std::result::Result<Value, String>> {
    let control =
        Control::read(dir).map_err(|e| {
            Failure::error(format!("no cluster that `up` started runs in {}: {e}", dir.display()))
                .next(format!("{} up --dir {}", me(), quote(dir.display())))
        })?;
    let door = GatewayArgs::at(format!("127.0.0.1:{}", control.port));
    let path = format!("/v1/members/{name}/{action}");
    let answer = door.ask(Method::POST, &path, &[(TOKEN, &control.token)], b"").map_err(|_| gone(dir))?;
    let body: Value = answer.json()?;
    if answer.status == 200 {
        return Ok(Ok(body));
    }
    Ok(Err(body["error"].as_str().unwrap_or("no reason given").to_string()))
}

fn gone(dir: &Path) -> Failure {
    let next = format!("{} up --dir {}", me(), quote(dir.display()));
    Failure::error(format!("the `up` of {} does not answer", dir.display())).next(next)
}
