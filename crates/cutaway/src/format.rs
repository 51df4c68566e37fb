//! `format`: prepares the device of one replica.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use dataplane::{ClusterId, NodeId};
use deploy::{Deployment, words};
use engine::Standing;
use server::founding::{self, FoundingError};
use server::hello::names;
use server::manifest::{self, Manifest};
use store::{FileDevice, FileError};

use crate::deployed::{self, agreed, node_number};
use crate::failure::{Failure, Result, me, quote, say};

/// Prepare an image or a block device for one replica
///
/// For a cluster that `up` created, the path says everything: DIR/n2/shard-0.img. Otherwise give the cluster, all its
/// nodes, the number of its shards, and the node and shard that the image is for; or, with --deploy, the file that says
/// all of it, and whose images to prepare. All of this is written to the image, and a node refuses to start on an image
/// that contradicts its command line. A formatted image is never changed without --overwrite.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("standing").required(true).args(["joining", "founding"]))]
pub struct Format {
    /// The image to create, or the block device
    #[arg(required_unless_present = "deploy")]
    image: Option<PathBuf>,
    /// File that describes the cluster; every image of the node is prepared, or that of --shard
    #[arg(long, value_name = "FILE")]
    deploy: Option<PathBuf>,
    /// Whose images, such as n1
    #[arg(long, value_name = "NAME", requires = "deploy")]
    name: Option<String>,
    /// The replica has no log, or lost it: it does not vote until a state transfer from its peers has finished
    #[arg(long)]
    joining: bool,
    /// The cluster is new, and nothing was ever stored in it. Using this for a replica of an existing cluster can lose
    /// acknowledged writes
    #[arg(long)]
    founding: bool,
    /// The cluster's id, 32 hexadecimal digits
    #[arg(long, value_parser = words::cluster)]
    cluster: Option<ClusterId>,
    /// The node that will use the image, such as n1
    #[arg(long, value_parser = node_number)]
    node: Option<NodeId>,
    /// The shard that the image will hold, from 0
    #[arg(long)]
    shard: Option<u32>,
    /// Number of shards of the cluster
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    shards: Option<u32>,
    /// All nodes of the cluster, such as n1,n2,n3
    #[arg(long, value_parser = node_number, value_delimiter = ',', value_name = "NAMES")]
    members: Vec<NodeId>,
    /// Size of a new image, such as 256M
    #[arg(long, value_parser = words::size)]
    size: Option<u64>,
    /// Overwrite existing data
    #[arg(long)]
    overwrite: bool,
}

impl Format {
    /// Runs the command.
    pub fn run(self) -> Result {
        match (&self.deploy, &self.image) {
            (Some(file), _) => self.of_file(&deployed::read(file, true)?),
            (None, Some(image)) => self.one(image),
            (None, None) => Err(Failure::usage("which image? Name it")),
        }
    }

    /// The image of each shard of a node, as the file says.
    fn of_file(&self, cluster: &Deployment) -> Result {
        let file = cluster.file.as_path();
        let said = ("--node", self.node.map(|node| node.0));
        let node = NodeId(deployed::number(file, words::node, self.name.as_deref(), said)?);
        let part = cluster.nodes.get(&node.0).ok_or_else(|| deployed::unknown(cluster, &node.to_string()))?;
        if part.added && self.founding {
            let why = format!(
                "{node} is added to a cluster that exists: founding it would let it vote on what it never knew"
            );
            return Err(Failure::usage(why).next("the same with --joining"));
        }
        let members: BTreeSet<NodeId> = cluster.founders().map(|(n, _)| NodeId(n)).collect();
        let asked = Some(self.members.iter().copied().collect()).filter(|m: &BTreeSet<_>| !m.is_empty());
        let members: Vec<NodeId> = agreed(file, "--members", asked, members)?.into_iter().collect();
        let id = agreed(file, "--cluster", self.cluster, cluster.cluster)?;
        let shards = agreed(file, "--shards", self.shards, cluster.shards)?;
        let bytes = agreed(file, "--size", self.size, cluster.image_bytes)?;
        let mut wanted: Vec<_> = (0..).zip(&part.images).collect();
        if let Some(image) = &self.image {
            wanted.retain(|(_, known)| *known == image);
        }
        wanted.retain(|(shard, _)| self.shard.is_none_or(|said| said == *shard));
        if wanted.is_empty() {
            let why = format!("{} has no such image of {node}", file.display());
            return Err(Failure::usage(why).next("leave IMAGE and --shard away: all images are prepared"));
        }
        for (shard, image) in wanted {
            let above = manifest::above(image);
            let made = manifest::create_dirs(above, &mut manifest::sync_dir);
            made.map_err(|e| Failure::error(format!("{}: {e}", above.display())))?;
            self.prepare(image, &founding::identity(id, node, &members, shard, shards), Some(bytes))?;
        }
        Ok(())
    }

    fn one(&self, image: &Path) -> Result {
        let place = Place::of(image)?;
        let identity = self.identity(image, place.as_ref())?;
        if self.founding && place.is_some() {
            return Err(Failure::usage(format!(
                "{} belongs to a cluster that exists: formatting it as founding would let it vote on what it has forgotten",
                image.display()
            ))
            .next(format!("{} format --joining {}", me(), quote(image.display()))));
        }
        self.prepare(image, &identity, self.size.or(place.map(|p| p.manifest.image_bytes)))
    }

    /// Formats one image, which is created if it is not there.
    fn prepare(&self, image: &Path, identity: &engine::Identity, bytes: Option<u64>) -> Result {
        let standing = if self.joining { Standing::Joining } else { Standing::Founding };
        let failed = |e: FoundingError| {
            use engine::FormatError as E;
            let kept = matches!(e, FoundingError::Format(_, E::AlreadyFormatted(_) | E::OtherVersion { .. }));
            let next =
                if kept { "the same with --overwrite, if what it holds may be lost" } else { "see --help" };
            Failure::error(e).next(next)
        };
        if image.exists() {
            let in_use = |e: FileError| failed(FoundingError::File(image.to_owned(), e));
            let device = FileDevice::open(image).map_err(in_use)?;
            let layout = engine::Layout::default();
            let formatted = if self.overwrite {
                engine::reformat(&device, identity, standing, layout, trace::Mechanisms::all())
            } else {
                engine::format(&device, identity, standing, layout)
            };
            formatted.map_err(|e| failed(FoundingError::Format(image.to_owned(), e)))?;
        } else {
            let bytes = bytes.ok_or_else(|| missing(image, "size"))?;
            founding::create(image, bytes, identity, standing).map_err(failed)?;
        }
        say(format!("{} is formatted for {identity}", image.display()));
        Ok(())
    }

    /// Whose device it will be: what is said and what the path says, which must not contradict each other.
    fn identity(&self, image: &Path, place: Option<&Place>) -> Result<engine::Identity> {
        fn one<T: PartialEq>(image: &Path, what: &str, said: Option<T>, place: Option<T>) -> Result<T> {
            match (said, place) {
                (Some(said), Some(place)) if said != place => Err(Failure::usage(format!(
                    "--{what} contradicts {} and what its directory was founded as",
                    image.display()
                ))
                .next(format!("leave --{what} away, or use another path"))),
                (said, place) => said.or(place).ok_or_else(|| missing(image, what)),
            }
        }
        let cluster = one(image, "cluster", self.cluster, place.map(|p| p.manifest.cluster_id()))?;
        let node = one(image, "node", self.node, place.map(|p| p.node))?;
        let shard = one(image, "shard", self.shard, place.map(|p| p.shard))?;
        let shards = one(image, "shards", self.shards, place.map(|p| p.manifest.shards))?;
        let members = Some(self.members.iter().copied().collect()).filter(|m: &BTreeSet<_>| !m.is_empty());
        let founded = place.map(|p| p.manifest.members().into_iter().collect());
        let members: Vec<_> = one(image, "members", members, founded)?.into_iter().collect();
        let identity = founding::identity(cluster, node, &members, shard, shards);
        // A node that joins may be one that the founders add.
        let belongs = self.joining || members.contains(&node);
        if !identity.is_possible() || !belongs {
            return Err(Failure::usage(format!(
                "there is no such replica: {node} must be one of {}, and shard {shard} below {shards}",
                names(&members)
            )));
        }
        Ok(identity)
    }
}

fn missing(image: &Path, what: &str) -> Failure {
    Failure::usage(format!("{}: which {what}? Say --{what}", image.display()))
}

/// What the path of an image in a data directory says.
struct Place {
    manifest: Manifest,
    node: NodeId,
    shard: u32,
}

impl Place {
    /// However the path is written: from inside the directory, or through a link.
    fn of(image: &Path) -> Result<Option<Place>> {
        let above = manifest::above(image).canonicalize().ok();
        let direct = above.and_then(|above| Some(above.join(image.file_name()?)));
        let ways = [std::path::absolute(image).ok(), direct, image.canonicalize().ok()];
        for way in ways.into_iter().flatten() {
            if let Some(place) = Place::of_absolute(&way)? {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    fn of_absolute(image: &Path) -> Result<Option<Place>> {
        let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).map(String::from);
        let shard = |name: String| name.strip_prefix("shard-")?.strip_suffix(".img")?.parse().ok();
        let node_dir = manifest::above(image);
        let (shard, node) = (name(image).and_then(shard), name(node_dir).and_then(|n| node_number(&n).ok()));
        let (Some(shard), Some(node)) = (shard, node) else { return Ok(None) };
        let dir = manifest::above(node_dir);
        // A manifest that cannot be read is one, and what it says must not be overlooked.
        let manifest =
            Manifest::read(dir).map_err(|e| Failure::error(e).next("mend or put back that file"))?;
        let known = |m: &Manifest| (m.started().contains(&node) || node.0 <= m.nodes) && shard < m.shards;
        let manifest = manifest.filter(known).filter(|_| manifest::image_path(dir, node, shard) == image);
        Ok(manifest.map(|manifest| Place { manifest, node, shard }))
    }
}
