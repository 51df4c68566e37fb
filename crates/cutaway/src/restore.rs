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
use deploy::words;
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
use crate::deployed::node_number;
use crate::failure::{Failure, Result, again, me, quote, say};

/// Found a new cluster from a backup
///
/// The new cluster has another id, the same keys, values and versions, and as many shards. `up --dir` starts it. For one
/// process at a time, --image prepares the image of one replica; make all of them from the same backup.
#[derive(Debug, Args)]
pub struct Restore {
    /// The full backup, then each incremental one behind its base
    #[arg(required = true)]
    backups: Vec<PathBuf>,
    /// Data directory of the new cluster, which must be new or empty
    #[arg(long, required_unless_present = "image", conflicts_with = "image")]
    dir: Option<PathBuf>,
    /// Nodes of the new cluster; by default, as many as the old one had
    #[arg(long, conflicts_with = "image")]
    nodes: Option<u32>,
    /// First port of the new cluster
    #[arg(long, default_value_t = 7400, conflicts_with = "image")]
    port: u16,
    /// Size of each image, such as 256M; by default as for `up`
    #[arg(long, value_parser = words::size, value_name = "SIZE")]
    image_size: Option<u64>,
    /// Make this image alone, for one replica of a deployment
    #[arg(long, requires_all = ["cluster", "node", "shard", "members"])]
    image: Option<PathBuf>,
    /// With --image: the new cluster's id, 32 hexadecimal digits
    #[arg(long, value_parser = words::cluster)]
    cluster: Option<ClusterId>,
    /// With --image: the node that will use the image, such as n1
    #[arg(long, value_parser = node_number)]
    node: Option<NodeId>,
    /// With --image: the shard that the image will hold, from 0
    #[arg(long)]
    shard: Option<u32>,
    /// With --image: all nodes of the new cluster, such as n1,n2,n3
    #[arg(long, value_parser = node_number, value_delimiter = ',', value_name = "NAMES")]
    members: Vec<NodeId>,
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
        match (&self.dir, &self.image) {
            (Some(dir), _) => self.directory(dir, &header),
            (None, Some(image)) => self.single(image, &header),
            (None, None) => Err(Failure::usage("name a directory with --dir, or a file with --image")),
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

    /// One image of a deployment.
    fn single(&self, image: &Path, header: &Header) -> Result {
        let (Some(cluster), Some(node), Some(shard)) = (self.cluster, self.node, self.shard) else {
            return Err(Failure::usage("an image is of a cluster, a node and a shard"));
        };
        if cluster == header.cluster {
            let failure = Failure::usage(format!(
                "{} is the id of the cluster that the backup is of: a restored one is another, or the two would be taken \
                 for one",
                hex(&cluster)
            ));
            return Err(failure.next(again(&[("--cluster", Some(hex(&random::<16>())))])));
        }
        if shard >= header.shards || !self.members.contains(&node) {
            let count = header.shards;
            let what = format!(
                "there is no such replica: the backup has {count} shards, and {node} must be a member"
            );
            return Err(Failure::usage(what));
        }
        if image.exists() {
            let failure = Failure::error(format!("{} is there: it is left as it is", image.display()));
            return Err(failure.next(again(&[("--image", Some("ANOTHER".into()))])));
        }
        let wanted = [Wanted { node, shard, path: image.to_owned() }];
        let bytes = self.image_size.unwrap_or_else(|| usual_image_bytes(header.shards));
        let made = self.make(&wanted, cluster, &self.members, bytes, &ProgressBar::new(1));
        let made = made.inspect_err(|_| drop(fs::remove_file(image)))?;
        let next = "make the other images from the same backup, then start the nodes";
        self.tell(&made, &hex(&cluster), next);
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
                    Failure::error(what).next(again(&[("--image-size", Some((2 * bytes).to_string()))]))
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
