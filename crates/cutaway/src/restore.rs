//! `restore`: a new cluster from a backup.
//!
//! Each replica is made from the files, one after the other, and read back. The directory's manifest is written last, as
//! when a cluster is founded: without it, there is no cluster, and nothing of what was made counts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use backup::{ChainError, Digest, Header, InstallError, install};
use clap::Args;
use dataplane::{ClusterId, NodeId};
use deploy::{Deployment, words};
use engine::{Engine, Identity, Standing, WriteError};
use extensions::Chosen;
use indicatif::ProgressBar;
use serde_json::json;
use server::founding;
use server::manifest::{Manifest, above, create_dirs, hex, image_path, random, sync_dir};
use server::plan::{MEMBERS_MAX, usual_image_bytes};
use store::FileDevice;
use trace::Mechanisms;

use crate::backup::file;
use crate::deployed::{self, node_number};
use crate::failure::{Failure, Result, again, me, quote, say};

/// Found a new cluster from a backup
///
/// The new cluster has another id, the same keys, values and versions, and as many shards. `up --dir` starts it. With
/// --deploy, the images of one node of the cluster that the file describes; make those of all founding nodes from the same
/// backups.
#[derive(Debug, Args)]
pub struct Restore {
    /// The full backup, then each incremental one behind its base
    #[arg(required = true)]
    backups: Vec<PathBuf>,
    /// Data directory of the new cluster, which must be new or empty
    #[arg(long, required_unless_present = "deploy", conflicts_with = "deploy")]
    dir: Option<PathBuf>,
    /// Nodes of the new cluster; by default, as many as the old one had
    #[arg(long, conflicts_with = "deploy")]
    nodes: Option<u32>,
    /// First port of the new cluster
    #[arg(long, default_value_t = 7400, conflicts_with = "deploy")]
    port: u16,
    /// Size of each image, such as 256M; by default as for `up`
    #[arg(long, value_parser = words::size, value_name = "SIZE", conflicts_with = "deploy")]
    image_size: Option<u64>,
    /// File that describes the new cluster; see `deploy`
    #[arg(long, value_name = "FILE", requires = "name")]
    deploy: Option<PathBuf>,
    /// Whose images, such as n1
    #[arg(long, value_parser = node_number, value_name = "NAME", requires = "deploy")]
    name: Option<NodeId>,
    /// Print the result as one line of JSON
    #[arg(long)]
    json: bool,
}

/// One replica to be made.
struct Wanted {
    node: NodeId,
    shard: u32,
    path: PathBuf,
}

/// What was made of a shard.
struct Made {
    shard: u32,
    seq: u64,
    keys: u64,
    digest: Digest,
}

impl Restore {
    /// Runs the command.
    pub fn run(self) -> Result {
        let chain = file::chain(&self.backups)?;
        let header = chain.header().cloned().ok_or_else(|| Failure::usage("name a backup"))?;
        match (&self.dir, &self.deploy, self.name) {
            (Some(dir), ..) => self.directory(dir, &header),
            (None, Some(file), Some(node)) => self.member(&deployed::read(file, true)?, node, &header),
            _ => Err(Failure::usage(
                "name a directory with --dir, or a file with --deploy and a node with --name",
            )),
        }
    }

    /// A data directory, as `up` has it.
    fn directory(&self, dir: &Path, header: &Header) -> Result {
        let nodes = self.nodes.unwrap_or(header.nodes);
        if !(1..=MEMBERS_MAX).contains(&nodes) {
            return Err(Failure::usage(format!("{nodes} nodes are not possible: 1 to {MEMBERS_MAX} are")));
        }
        let chosen: Chosen = header.extensions.parse().map_err(|why| {
            Failure::error(format!("the cluster had extensions: {why}")).next("use the cutaway that ran it")
        })?;
        let bytes = self.image_size.unwrap_or_else(|| usual_image_bytes(header.shards));
        let manifest = Manifest::new(random(), nodes, header.shards, 1, self.port, bytes).with(chosen);
        let failed = |e: io::Error| Failure::error(format!("{}: {e}", dir.display()));
        create_dirs(dir, &mut sync_dir).map_err(failed)?;
        if fs::read_dir(dir).map_err(failed)?.next().is_some() {
            let failure = Failure::error(format!("{} is not empty: it is left as it is", dir.display()));
            return Err(failure.next(again(&[("--dir", Some("ANOTHER".into()))])));
        }
        let result = self.fill(dir, &manifest);
        match result {
            Ok(made) => {
                self.tell(&made, &manifest.cluster, &format!("{} up --dir {}", me(), quote(dir.display())));
                Ok(())
            }
            Err(failure) => {
                // Without a manifest it is no cluster; what was made of it would only be in the way.
                manifest
                    .members()
                    .iter()
                    .for_each(|node| drop(fs::remove_dir_all(dir.join(node.to_string()))));
                Err(failure)
            }
        }
    }

    fn fill(&self, dir: &Path, manifest: &Manifest) -> Result<Vec<Made>> {
        let bar = ProgressBar::new(u64::from(manifest.nodes * manifest.shards));
        let mut made = Vec::new();
        for node in manifest.members() {
            let wanted: Vec<Wanted> = (0..manifest.shards)
                .map(|shard| Wanted { node, shard, path: image_path(dir, node, shard) })
                .collect();
            let cluster = manifest.cluster_id();
            made = self.make(&wanted, cluster, &manifest.members(), manifest.image_bytes, &bar)?;
        }
        bar.finish_and_clear();
        let failed = |e: io::Error| Failure::error(format!("{}: {e}", dir.display()));
        sync_dir(dir).and_then(|()| sync_dir(above(dir))).map_err(failed)?;
        manifest.write(dir).map_err(Failure::error)?;
        Ok(made)
    }

    /// The images of one node of a deployment.
    fn member(&self, new: &Deployment, node: NodeId, header: &Header) -> Result {
        let (file, id) = (new.file.display(), hex(&new.cluster));
        let part = new.nodes.get(&node.0).ok_or_else(|| deployed::unknown(new, &node.to_string()))?;
        if part.added {
            let why =
                format!("{node} does not found the cluster: it is added, and gets its state from the others");
            let next = format!("{} format --joining --deploy {} --name {node}", me(), quote(&file));
            return Err(Failure::usage(why).next(next));
        }
        if new.cluster == header.cluster {
            let why = format!(
                "{id} in {file} is the id of the cluster that the backup is of: a restored one is another, or the two \
                 would be taken for one"
            );
            let next =
                format!("write another one into that file, such as cluster = \"{}\"", hex(&random::<16>()));
            return Err(Failure::usage(why).next(next));
        }
        if new.shards != header.shards {
            let why = format!(
                "the backup is of a cluster with {} shards, and {file} has {}",
                header.shards, new.shards
            );
            return Err(Failure::usage(why).next(format!("write into that file: shards = {}", header.shards)));
        }
        let wanted: Vec<Wanted> =
            (0..).zip(&part.images).map(|(shard, path)| Wanted { node, shard, path: path.clone() }).collect();
        if let Some(there) = wanted.iter().find(|wanted| wanted.path.exists()) {
            let why = format!("{} is there: it is left as it is", there.path.display());
            return Err(
                Failure::error(why).next(format!("move it away, or give {node} other images in {file}"))
            );
        }
        let members: Vec<NodeId> = new.founders().map(|(n, _)| NodeId(n)).collect();
        let bar = ProgressBar::new(wanted.len() as u64);
        let made = self.make(&wanted, new.cluster, &members, new.image_bytes, &bar);
        // None of them was there before.
        let made = made.inspect_err(|_| wanted.iter().for_each(|w| drop(fs::remove_file(&w.path))))?;
        bar.finish_and_clear();
        self.tell(&made, &id, "the same for each other node that founds the cluster, then start them all");
        Ok(())
    }

    /// Makes replicas of one node, of one reading of the files.
    fn make(
        &self,
        wanted: &[Wanted],
        cluster: ClusterId,
        members: &[NodeId],
        bytes: u64,
        bar: &ProgressBar,
    ) -> Result<Vec<Made>> {
        let told = |e: &ChainError| file::told(&self.backups, e);
        let (mut chain, mut made) = (file::chain(&self.backups)?, Vec::new());
        let shards = chain.header().map_or(0, |header| header.shards);
        while let Some(head) = chain.shard().map_err(|e| told(&e))? {
            let Some(Wanted { node, shard, path }) = wanted.iter().find(|w| w.shard == head.shard) else {
                continue;
            };
            let identity = founding::identity(cluster, *node, members, *shard, shards);
            let mut engine = blank(path, bytes, &identity)?;
            let (keys, digest) = install(&mut chain, head, &mut engine).map_err(|e| match e {
                InstallError::Chain(e) => told(&e),
                InstallError::Write(WriteError::NoSpace { .. }) => {
                    let what = format!("{}: {bytes} bytes are too few for the state", path.display());
                    Failure::error(what).next(match &self.deploy {
                        Some(file) => {
                            format!("write into {}: image-size = \"{}\"", file.display(), 2 * bytes)
                        }
                        None => again(&[("--image-size", Some((2 * bytes).to_string()))]),
                    })
                }
                other => Failure::error(format!("{}: {other}", path.display())),
            })?;
            made.push(Made { shard: head.shard, seq: head.seq, keys, digest });
            bar.inc(1);
        }
        Ok(made)
    }

    fn tell(&self, made: &[Made], cluster: &str, next: &str) {
        if self.json {
            let shards: Vec<_> = made
                .iter()
                .map(|m| json!({ "shard": m.shard, "seq": m.seq, "keys": m.keys, "digest": m.digest.to_string() }))
                .collect();
            say(json!({ "cluster": cluster, "shards": shards }));
            return;
        }
        say(format!("a new cluster, {cluster}"));
        for Made { shard, seq, keys, digest } in made {
            say(format!("  shard {shard} as of entry {seq}: {keys} keys, digest {digest}"));
        }
        say(format!("  next: {next}"));
    }
}

/// A new device, open.
fn blank(path: &Path, bytes: u64, identity: &Identity) -> Result<Engine<FileDevice>> {
    let failed = |e: &dyn std::fmt::Display| Failure::error(format!("{}: {e}", path.display()));
    create_dirs(above(path), &mut sync_dir).map_err(|e| failed(&e))?;
    founding::create(path, bytes, identity, Standing::Founding).map_err(Failure::error)?;
    let device = FileDevice::open(path).map_err(|e| failed(&e))?;
    let (engine, _) = Engine::open(device, identity, Mechanisms::all()).map_err(|e| failed(&e))?;
    Ok(engine)
}
