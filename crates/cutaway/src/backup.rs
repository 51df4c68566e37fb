//! `backup`: a copy of a running cluster in a file, through a gateway. What is in the file, crate `backup` says.
//!
//! Each shard is copied as of one entry: from the checkpoint of one replica, which is a state as of one entry and does not
//! change while it is read. It reaches at least as far as everything that was acknowledged before the copy began
//! ([`backup::reach`]). If the replica goes, or has replaced its checkpoint, the shard is begun anew.

pub mod file;
mod source;

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use backup::{Base, Header, Reader, Writer, Written};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use server::manifest::{hex, random, unhex};

use crate::client::GatewayArgs;
use crate::failure::{Failure, Result, again, me, quote, say};
use crate::files;
use source::{Asked, Source};

/// A shard of which nothing comes for so long is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// A replica that gives nothing for so long is left for another one.
const TURN: Duration = Duration::from_secs(3);
/// How long to wait before the same is asked again.
const PAUSE: Duration = Duration::from_millis(50);
/// Times that a shard is begun anew, because what was being read was replaced.
const STARTS_MAX: u32 = 20;

/// Copy a running cluster into a file
///
/// Clients go on meanwhile. Each shard is copied as of one entry of its log, with everything that was acknowledged before
/// the backup began. `verify` checks the file, `restore` founds a new cluster from it.
#[derive(Debug, Args)]
pub struct Backup {
    /// The file to write
    out: PathBuf,
    /// Write only what changed since this backup, which restoring then needs too
    #[arg(long, value_name = "BACKUP")]
    since: Option<PathBuf>,
    /// Print the result as one line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gateway: GatewayArgs,
}

impl Backup {
    /// Runs the command.
    pub fn run(self) -> Result {
        files::can_replace(&self.out, files::BACKUP)?;
        let base = self.since.as_ref().map(|path| file::base(path)).transpose()?;
        let status = self.gateway.status()?;
        let header = self.header(&status, base.as_ref())?;
        let new = files::beside(&self.out).map_err(|e| self.unwritten(&e))?;
        let mut writer = Writer::create(new.as_file().try_clone().map_err(|e| self.unwritten(&e))?, &header)
            .map_err(|e| self.unwritten(&e))?;
        let bar = bar();
        let mut shards = Vec::new();
        for shard in 0..header.shards {
            let since = base.as_ref().map_or(0, |base| base.seqs.get(shard as usize).copied().unwrap_or(0));
            let source = Source::new(&self.gateway, &status, shard, header.cluster);
            shards.push(self.copy(&source, since, &mut writer, &bar)?);
        }
        bar.finish_and_clear();
        let bytes = writer.finish().map_err(|e| self.unwritten(&e))?;
        // What the disk really has, before anybody counts on it.
        let written = File::open(new.path()).map_err(|e| self.unwritten(&e))?;
        Reader::open(file::buffered(written)).and_then(Reader::check).map_err(|e| self.unwritten(&e))?;
        new.persist(&self.out).map_err(|e| self.unwritten(&e.error))?;
        self.tell(&header, &shards, bytes);
        Ok(())
    }

    fn unwritten(&self, why: &dyn std::fmt::Display) -> Failure {
        let failure = Failure::error(format!("cannot write {}: {why}", self.out.display()));
        failure.next("name a file on a disk with room, or mend this one; then the same again")
    }

    /// What the copy is of: the cluster as its gateway tells it, which must be the base's.
    fn header(&self, status: &Value, base: Option<&Base>) -> Result<Header> {
        let cluster = status["cluster"].as_str().and_then(unhex);
        let shards = status["shards"].as_array().map_or(0, Vec::len) as u32;
        let nodes = status["shards"][0]["nodes"].as_array().map_or(0, Vec::len) as u32;
        let (Some(cluster), 1..) = (cluster, shards) else {
            let why = status["problems"][0].as_str().unwrap_or("it knows of no shard yet");
            let failure = Failure::error(format!("the gateway cannot tell what to copy: {why}"));
            return Err(failure.next(format!("{} status{}", me(), self.gateway.flag())));
        };
        if let (Some(base), Some(path)) = (base, &self.since)
            && (base.header.cluster, base.header.shards) != (cluster, shards)
        {
            let failure = Failure::error(format!(
                "{} is no base for this backup: it is of cluster {} with {} shards, and this is cluster {} with {shards}",
                path.display(),
                hex(&base.header.cluster),
                base.header.shards,
                hex(&cluster)
            ));
            return Err(failure.next(format!("{}, for a full backup", again(&[("--since", None)]))));
        }
        // The gateway names the extensions in whatever shape it shows them.
        let named = status["extensions"].as_array().cloned().unwrap_or_default();
        let named: Vec<_> = named.iter().filter_map(Value::as_str).collect();
        let id = random();
        let base = base.map(|base| base.header.id);
        Ok(Header { cluster, id, base, shards, nodes, extensions: named.join(",") })
    }

    /// Copies one shard: from one replica, or from another one if that is gone.
    fn copy(&self, source: &Source, since: u64, writer: &mut Writer, bar: &ProgressBar) -> Result<Written> {
        let (mut starts, mut heard, mut turn) = (0, Instant::now(), Instant::now());
        let (mut at_least, mut as_of, mut cursor, mut done) = (None, None, Vec::new(), 0);
        let mut nodes = source.nodes().cycle();
        let mut node = nodes.next().ok_or_else(|| Failure::error("the gateway names no node"))?;
        loop {
            if heard.elapsed() > PATIENCE {
                return Err(self.silent(source));
            }
            let Some(least) = at_least.or_else(|| source.reach()) else {
                std::thread::sleep(PAUSE);
                continue;
            };
            // What comes later reaches further, and need not.
            at_least = Some(least);
            let Some(Asked { chunk: Some(chunk), keys, .. }) = source.ask(&node, (least, since), &cursor)?
            else {
                if turn.elapsed() > TURN {
                    (node, cursor, turn) = (nodes.next().unwrap_or(node), Vec::new(), Instant::now());
                    // Entries that nobody will commit may have been among those that it waits for.
                    at_least = as_of.and(at_least);
                }
                std::thread::sleep(PAUSE);
                continue;
            };
            (heard, turn) = (Instant::now(), Instant::now());
            if cursor.is_empty() || as_of != Some(chunk.seq) {
                starts += 1;
                if starts > STARTS_MAX {
                    return Err(self.overtaken(source));
                }
                if chunk.seq < since {
                    return Err(self.older(source, chunk.seq, since));
                }
                writer.begin(source.shard, chunk.seq, since).map_err(|e| self.unwritten(&e))?;
                (as_of, done) = (Some(chunk.seq), 0);
            }
            done += chunk.items.len() as u64;
            show(bar, source.shard, done, keys.max(done), writer.bytes());
            writer.items(chunk.items).map_err(|e| self.unwritten(&e))?;
            match chunk.next {
                Some(next) => cursor = next,
                None => {
                    let written = writer.end().map_err(|e| self.unwritten(&e))?;
                    return written.ok_or_else(|| Failure::error("nothing was begun"));
                }
            }
        }
    }

    fn silent(&self, source: &Source) -> Failure {
        Failure::error(format!(
            "no replica of shard {} gave its state for {PATIENCE:?}: a majority must be up and proven, and have a \
             primary; nothing is written",
            source.shard
        ))
        .next(format!("{} status{}, and once the shard is served, the same again", me(), self.gateway.flag()))
    }

    fn overtaken(&self, source: &Source) -> Failure {
        Failure::error(format!(
            "shard {} was begun {STARTS_MAX} times, and each time its replica replaced what was being read: clients \
             fill the log faster than the state can be copied; nothing is written",
            source.shard
        ))
        .next("the same when less is written, from a gateway that is nearer, or with --since a backup")
    }

    fn older(&self, source: &Source, seq: u64, since: u64) -> Failure {
        let base = self.since.as_ref().map_or(String::new(), |path| path.display().to_string());
        Failure::error(format!(
            "{base} is no base for this backup: its shard {} is as of entry {since}, and the cluster's of entry {seq}",
            source.shard
        ))
        .next(format!("{}, for a full backup", again(&[("--since", None)])))
    }

    fn tell(&self, header: &Header, shards: &[Written], bytes: u64) {
        let keys: u64 = shards.iter().map(|shard| shard.keys).sum();
        if self.json {
            let shards: Vec<_> = shards
                .iter()
                .map(|s| {
                    // Of the state, which an incremental one holds a part of.
                    let digest = header.base.is_none().then(|| s.digest.to_string());
                    json!({ "shard": s.shard, "seq": s.seq, "keys": s.keys, "digest": digest })
                })
                .collect();
            say(json!({
                "out": self.out, "id": hex(&header.id), "base": header.base.map(|id| hex(&id)),
                "cluster": hex(&header.cluster), "keys": keys, "bytes": bytes, "shards": shards,
            }));
            return;
        }
        let kind = if header.base.is_some() { "incremental backup" } else { "full backup" };
        say(format!("{}: {kind} {}, {keys} keys, {bytes} bytes", self.out.display(), hex(&header.id)));
        for s in shards {
            say(format!("  shard {} as of entry {}: {} keys", s.shard, s.seq, s.keys));
        }
        let base = self.since.as_ref().map_or(String::new(), |base| format!(" {}", quote(base.display())));
        say(format!("  next: {} verify{base} {}", me(), quote(self.out.display())));
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} keys, {msg}, {eta} left");
    bar.set_style(style.expect("a template of this file"));
    bar
}

fn show(bar: &ProgressBar, shard: u32, done: u64, keys: u64, bytes: u64) {
    bar.set_length(keys);
    bar.set_position(done);
    bar.set_message(format!("shard {shard}, {} in all", indicatif::HumanBytes(bytes)));
}
