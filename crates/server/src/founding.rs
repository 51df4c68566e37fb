//! Founding a cluster in a data directory, and checking one that exists.
//!
//! 1. The images are created, their space is promised by the file system (so that no later write fails for want of it),
//!    and they are formatted as *founding*: they may vote, because nothing was ever promised.
//! 2. The manifest is written durably. From here on the cluster exists.
//!
//! A crash before step 2 leaves images without a manifest. They are thrown away and made again, but only if each of them
//! is a founding image with an empty log, or not even formatted: then nobody can have been told that anything is stored.
//! Everything else without a manifest is somebody's data, and is left alone.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use dataplane::{ClusterId, NodeId, ShardId};
use engine::{Engine, FormatError, Identity, Layout, OpenError, Standing};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use store::{FileDevice, FileError};
use trace::Mechanisms;

use crate::manifest::{Manifest, ManifestError, above, image_path, sync_dir};

/// Why a directory cannot be used.
#[derive(Debug)]
pub enum FoundingError {
    /// The manifest.
    Manifest(ManifestError),
    /// An image that cannot be created or opened.
    File(PathBuf, FileError),
    /// An image that cannot be formatted.
    Format(PathBuf, FormatError),
    /// An image without a manifest, that may hold data.
    Foreign(PathBuf, String),
    /// An image of an existing cluster is not there.
    Missing(PathBuf),
    /// A directory or file that cannot be made, read or removed.
    Io(PathBuf, io::Error),
}

impl std::fmt::Display for FoundingError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FoundingError::Manifest(e) => e.fmt(f),
            FoundingError::File(path, e) => write!(f, "{}: {e}", path.display()),
            FoundingError::Format(path, e) => write!(f, "{}: {e}", path.display()),
            FoundingError::Foreign(path, why) => {
                write!(f, "{} is there without a {}, and {why}", path.display(), crate::manifest::FILE)
            }
            FoundingError::Missing(path) => {
                write!(f, "{} is missing, so this replica has lost its log", path.display())
            }
            FoundingError::Io(path, e) => write!(f, "{}: {e}", path.display()),
        }
    }
}

/// Who an image belongs to, in the engine's words.
pub fn identity(
    cluster: ClusterId,
    node: NodeId,
    members: &[NodeId],
    shard: ShardId,
    shards: u32,
) -> Identity {
    // A node that was added belongs to the cluster of those who founded it.
    let members = engine::members(members.iter().map(|member| member.0).chain([node.0]));
    Identity { cluster, node: node.0, shard, shards, members }
}

/// Creates the images and then the manifest.
pub fn found(dir: &Path, manifest: &Manifest) -> Result<(), FoundingError> {
    let cluster = manifest.cluster_id();
    let images: Vec<_> = (1..=manifest.nodes)
        .flat_map(|n| (0..manifest.shards).map(move |shard| (NodeId(n), shard)))
        .map(|(node, shard)| (node, shard, image_path(dir, node, shard)))
        .collect();
    for (.., path) in &images {
        if path.exists() {
            check_fresh(path)?;
        }
    }
    for (.., path) in &images {
        if path.exists() {
            fs::remove_file(path).map_err(|e| FoundingError::Io(path.clone(), e))?;
        }
        let parent = path.parent().expect("an image lies in its node's directory");
        fs::create_dir_all(parent).map_err(|e| FoundingError::Io(parent.to_owned(), e))?;
    }
    // Side by side: most of the time goes into waiting for the device.
    let results: Vec<_> = std::thread::scope(|scope| {
        let each = images.iter().map(|(node, shard, path)| {
            let identity = identity(cluster, *node, &manifest.members(), *shard, manifest.shards);
            scope.spawn(move || create(path, manifest.image_bytes, &identity, Standing::Founding))
        });
        let threads: Vec<_> = each.collect();
        threads.into_iter().map(|thread| thread.join().expect("formatting does not panic")).collect()
    });
    results.into_iter().collect::<Result<(), _>>()?;
    // The images' directory entries must not be younger than the manifest that counts on them; nor must the directory's
    // own, which may have been made a moment ago. Where that cannot be read, whoever made the directory answers for it.
    match sync_dir(above(dir)) {
        Err(e) if e.kind() != io::ErrorKind::PermissionDenied => {
            return Err(FoundingError::Io(above(dir).to_owned(), e));
        }
        _ => sync_dir(dir).map_err(|e| FoundingError::Io(dir.to_owned(), e))?,
    }
    manifest.write(dir).map_err(FoundingError::Manifest)
}

/// Creates the images of a node that joins an existing cluster. What is there already is left as it is: a node that was a
/// member before goes on with what it has.
pub fn join(dir: &Path, manifest: &Manifest, node: NodeId) -> Result<(), FoundingError> {
    for shard in 0..manifest.shards {
        let path = image_path(dir, node, shard);
        if path.exists() {
            continue;
        }
        let parent = above(&path);
        fs::create_dir_all(parent).map_err(|e| FoundingError::Io(parent.to_owned(), e))?;
        let identity = identity(manifest.cluster_id(), node, &manifest.members(), shard, manifest.shards);
        create(&path, manifest.image_bytes, &identity, Standing::Joining)?;
    }
    sync_dir(dir).map_err(|e| FoundingError::Io(dir.to_owned(), e))
}

/// Creates and formats one image.
pub fn create(path: &Path, bytes: u64, identity: &Identity, standing: Standing) -> Result<(), FoundingError> {
    let created = FileDevice::create_promised(path, bytes, promise);
    let device = created.map_err(|e| FoundingError::File(path.to_owned(), e))?;
    engine::format(&device, identity, standing, Layout::default())
        .map_err(|e| FoundingError::Format(path.to_owned(), e))
}

/// Has the file system set so many bytes aside for the file, if it knows how.
fn promise(file: &File, bytes: u64) -> io::Result<bool> {
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(true),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Is this image, found without a manifest, one that a founding left behind?
fn check_fresh(path: &Path) -> Result<(), FoundingError> {
    let foreign = |why: String| Err(FoundingError::Foreign(path.to_owned(), why));
    let open = |identity: &Identity| {
        let device = FileDevice::open(path).map_err(|e| FoundingError::File(path.to_owned(), e))?;
        Ok(Engine::open(device, identity, Mechanisms::all()))
    };
    // Whose it is, the image itself says, by not belonging to nobody.
    let nobody = Identity { cluster: [0; 16], node: 0, shard: 0, shards: 0, members: 0 };
    let opened = match open(&nobody)? {
        Err(OpenError::WrongIdentity { found, .. }) => open(&found)?,
        other => other,
    };
    match opened {
        Err(OpenError::NotFormatted) => Ok(()),
        Err(e) => foreign(e.to_string()),
        Ok((engine, _)) if engine.standing() == Standing::Founding && engine.last_seq() == 0 => Ok(()),
        Ok((engine, _)) => foreign(format!("holds a log of {} entries", engine.last_seq())),
    }
}

/// Are all images of an existing cluster there? What is in them, their nodes find out.
pub fn check_images(dir: &Path, manifest: &Manifest) -> Result<(), FoundingError> {
    for node in manifest.started() {
        for shard in 0..manifest.shards {
            let path = image_path(dir, node, shard);
            if !path.exists() {
                return Err(FoundingError::Missing(path));
            }
        }
    }
    Ok(())
}
