//! `status`: the cluster as one gateway sees it.

use clap::Args;
use serde_json::Value;
use server::fullness;

use crate::client::GatewayArgs;
use crate::failure::{Result, say};

/// Show each shard's epoch and primary, each replica's log, and the reason of the last failover
#[derive(Debug, Args)]
pub struct Status {
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gateway: GatewayArgs,
}

impl Status {
    /// Runs the command.
    pub fn run(self) -> Result {
        let status = self.gateway.status()?;
        if self.json {
            say(status);
        } else {
            say(render(&status).trim_end());
        }
        Ok(())
    }
}

fn word(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn render(status: &Value) -> String {
    let mut text = format!("cluster {}, as {} sees it\n", word(&status["cluster"]), word(&status["gateway"]));
    let extensions: Vec<_> = status["extensions"].as_array().into_iter().flatten().map(word).collect();
    if !extensions.is_empty() {
        text += &format!("founded with {}\n", extensions.join(", "));
    }
    for (node, runs) in status["programs"].as_object().into_iter().flatten() {
        if runs["protocol"].as_u64() < status["protocol"].as_u64() {
            text += &format!(
                "{node} speaks version {} of the protocol, and {} version {}\n",
                runs["protocol"],
                word(&status["gateway"]),
                status["protocol"],
            );
        }
    }
    for problem in status["problems"].as_array().into_iter().flatten() {
        text += &format!("\nproblem: {}\n", word(problem));
    }
    for shard in status["shards"].as_array().into_iter().flatten() {
        text += &format!(
            "\nshard {}: epoch {}, primary {}\n",
            shard["shard"],
            shard["epoch"],
            if shard["primary"].is_null() { "none".into() } else { word(&shard["primary"]) },
        );
        let columns = [
            "node",
            "pid",
            "role",
            "state",
            "epoch",
            "last_seq",
            "durable_seq",
            "committed_seq",
            "full_percent",
        ];
        let mut rows = vec![columns.map(|c| c.replace("_percent", " %").replace("_seq", ""))];
        for node in shard["nodes"].as_array().into_iter().flatten() {
            rows.push(columns.map(|column| word(&node[column])));
        }
        text += &table(&rows);
        for node in shard["nodes"].as_array().into_iter().flatten() {
            if let Some(warning) = node["full_percent"].as_u64().and_then(fullness::warning) {
                text += &format!("  {}: {warning}\n", word(&node["node"]));
            }
            let [now, mended, missing] = ["values_damaged", "values_mended", "values_missing"]
                .map(|name| node[name].as_u64().unwrap_or(0));
            if now + mended + missing > 0 {
                text += &format!(
                    "  {} has found damaged values: {mended} repaired from other replicas, {now} being asked for, \
                     {missing} times nobody had one (its log says which)\n",
                    word(&node["node"]),
                );
            }
        }
        let last = &shard["last_failover"];
        if !last.is_null() {
            text += &format!(
                "  last failover: {} from {} to {}: {}\n",
                word(&last["at"]),
                word(&last["from"]),
                word(&last["to"]),
                word(&last["why"]),
            );
        }
    }
    text
}

/// Rows with aligned columns, indented.
pub fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text += &format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    text
}
