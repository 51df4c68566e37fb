//! What is left of a run in which a promise broke, beside the histories, the images and the logs: how to repeat it, what came of
//! it, and what the members do since.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::cluster::Cluster;
use super::report::Report;
use crate::failure::{Failure, Result, note};

/// The folder of a run.
pub struct Folder {
    pub dir: PathBuf,
    /// The command that repeats the run.
    pub again: String,
}

impl Folder {
    /// Keeps what all members do for two seconds: of a cluster that does not come back it tells why.
    pub fn trace(&self, cluster: &Cluster) {
        let kept = cluster.trace().map_err(|error| error.to_string()).and_then(|lines| {
            fs::write(self.dir.join("trace.jsonl"), lines).map_err(|error| error.to_string())
        });
        // There is something more important to tell.
        kept.unwrap_or_else(|why| note(format!("the members' traces cannot be had: {why}\n")));
    }

    /// `run.json` and `page.html`.
    pub fn report(&self, report: &Report) -> Result {
        let run = json!({
            "seed": report.seed, "version": env!("CARGO_PKG_VERSION"), "again": self.again, "report": report.json(),
            "timeline": report.timeline(),
        });
        let write = |name: &str, text: String| {
            fs::write(self.dir.join(name), text)
                .map_err(|error| Failure::error(format!("{}/{name}: {error}", self.dir.display())))
        };
        write("run.json", format!("{run:#}\n"))?;
        write("page.html", report.page())
    }
}
