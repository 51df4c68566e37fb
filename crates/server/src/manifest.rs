//! `cluster.json`: what a data directory was founded as.
//!
//! The manifest is the founding's commit point. Images are written first, marked *founding*; then the manifest is
//! written to a temporary file, synced, renamed, and the directory synced:
//! 1. Without a manifest, nobody was ever told that this cluster exists, so nothing in the images can have been
//!    acknowledged, and founding may start over (only if the images really are fresh: see [`crate::founding`]).
//! 2. With a manifest, an image that is missing or empty has *forgotten* something. Formatting it as founding would let
//!    a replica vote that may have promised or acknowledged what it no longer knows. So `up` never formats then.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use dataplane::{ClusterId, NodeId, ShardId};
use extensions::Chosen;
use serde::{Deserialize, Serialize};

/// The file's name inside the data directory.
pub const FILE: &str = "cluster.json";
/// Raised when a field changes its meaning. A cluster without extensions is described as it always was; a program from
/// before there were any must not start one that has some.
const FORMATS: [u32; 2] = [1, 2];

/// What the directory was founded as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this file's meaning.
    pub format: u32,
    /// The cluster's id in hexadecimal.
    pub cluster: String,
    /// How many storage nodes; fixed at the founding.
    pub nodes: u32,
    /// How many shards; fixed at the founding, because the hash that places keys depends on it.
    pub shards: u32,
    /// How many gateways; they hold no state, so any start may change it.
    pub gateways: u32,
    /// The first port; any start may change it.
    pub port: u16,
    /// Size of each image in bytes; fixed at the founding.
    pub image_bytes: u64,
    /// The extensions that it was founded with, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<String>,
    /// Where members change: the nodes that are started, by number, if they are others than the founders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub present: Vec<u32>,
}

/// Why a manifest could not be read.
#[derive(Debug)]
pub enum ManifestError {
    /// The file could not be read or written.
    Io(PathBuf, io::Error),
    /// The file is not a manifest of this version.
    Unreadable(PathBuf, String),
}

impl std::fmt::Display for ManifestError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ManifestError::Io(path, e) => write!(f, "{}: {e}", path.display()),
            ManifestError::Unreadable(path, why) => {
                write!(f, "{} does not describe a cluster: {why}", path.display())
            }
        }
    }
}

impl Manifest {
    /// A manifest for a new cluster.
    pub fn new(
        cluster: ClusterId,
        nodes: u32,
        shards: u32,
        gateways: u32,
        port: u16,
        image_bytes: u64,
    ) -> Manifest {
        let (format, cluster, extensions) = (FORMATS[0], hex(&cluster), Vec::new());
        Manifest {
            format,
            cluster,
            nodes,
            shards,
            gateways,
            port,
            image_bytes,
            extensions,
            present: Vec::new(),
        }
    }

    /// The same with these extensions.
    #[must_use]
    pub fn with(self, chosen: Chosen) -> Manifest {
        let extensions: Vec<String> = chosen.names().map(|name| name.id().to_string()).collect();
        Manifest { format: FORMATS[usize::from(!extensions.is_empty())], extensions, ..self }
    }

    /// The extensions that it was founded with.
    pub fn chosen(&self) -> Chosen {
        self.extensions.join(",").parse().expect("checked when the manifest was read")
    }

    /// The manifest of `dir`; `None` when there is none.
    pub fn read(dir: &Path) -> Result<Option<Manifest>, ManifestError> {
        let path = dir.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(ManifestError::Io(path, e)),
        };
        let manifest: Manifest = match serde_json::from_slice(&bytes) {
            Ok(manifest) => manifest,
            Err(e) => return Err(ManifestError::Unreadable(path, e.to_string())),
        };
        let bad = if !FORMATS.contains(&manifest.format) {
            Some(format!("format {} is not known here", manifest.format))
        } else if unhex(&manifest.cluster).is_none() {
            Some("the cluster id is not 32 hexadecimal digits".into())
        } else if manifest.nodes == 0 || manifest.shards == 0 || manifest.gateways == 0 {
            Some("a cluster needs at least one node, shard and gateway".into())
        } else {
            manifest.extensions.join(",").parse::<Chosen>().err()
        };
        match bad {
            Some(why) => Err(ManifestError::Unreadable(path, why)),
            None => Ok(Some(manifest)),
        }
    }

    /// Makes this the manifest of `dir`, durably and as a whole.
    pub fn write(&self, dir: &Path) -> Result<(), ManifestError> {
        let path = dir.join(FILE);
        let mut bytes = serde_json::to_vec_pretty(self).expect("a manifest is plain data");
        bytes.push(b'\n');
        write_durably(dir, FILE, &bytes).map_err(|e| ManifestError::Io(path, e))
    }

    /// The nodes that are started.
    pub fn started(&self) -> Vec<NodeId> {
        let founders = || (1..=self.nodes).collect();
        let present: Vec<u32> = if self.present.is_empty() { founders() } else { self.present.clone() };
        present.into_iter().map(NodeId).collect()
    }

    /// The same with this node started, or not.
    #[must_use]
    pub fn starting(&self, node: NodeId, starts: bool) -> Manifest {
        let others = self.started().into_iter().filter(|other| *other != node);
        let mut present: Vec<u32> = others.chain(starts.then_some(node)).map(|node| node.0).collect();
        present.sort_unstable();
        Manifest { present, ..self.clone() }
    }

    /// The storage nodes that founded it.
    pub fn members(&self) -> Vec<NodeId> {
        (1..=self.nodes).map(NodeId).collect()
    }

    /// The cluster's id.
    pub fn cluster_id(&self) -> ClusterId {
        unhex(&self.cluster).expect("checked when the manifest was read")
    }
}

/// Replaces `dir/name` by `bytes` so that after a crash the old or the new file is there, never half of one.
pub fn write_durably(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = dir.join(format!(".{name}.new"));
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, dir.join(name))?;
    sync_dir(dir)
}

/// Creates a directory, and those above it that are missing, so that a power cut does not take them: each is an entry of
/// the one above it, which `sync` is called for.
pub fn create_dirs(dir: &Path, sync: &mut impl FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    let above = above(dir);
    match fs::create_dir(dir) {
        Ok(()) => sync(above),
        Err(e) if e.kind() == io::ErrorKind::NotFound && above != dir => {
            create_dirs(above, sync)?;
            create_dirs(dir, sync)
        }
        Err(_) if dir.is_dir() => Ok(()),
        Err(e) => Err(e),
    }
}

/// The directory that this one is an entry of.
pub fn above(dir: &Path) -> &Path {
    dir.parent().map_or(dir, |above| if above.as_os_str().is_empty() { Path::new(".") } else { above })
}

/// Makes the entries of a directory durable.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Where the image of a node's shard lies in a data directory.
pub fn image_path(dir: &Path, node: NodeId, shard: ShardId) -> PathBuf {
    dir.join(node.to_string()).join(format!("shard-{shard}.img"))
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A cluster id from its 32 hexadecimal digits.
pub fn unhex(text: &str) -> Option<ClusterId> {
    let mut id = ClusterId::default();
    if text.len() != 2 * id.len() || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, digits) in id.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(id)
}

/// A number nobody can foresee, from the operating system.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system hands out random bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use extensions::Name;

    use super::*;

    #[test]
    fn a_manifest_comes_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap(), None);
        let plain = Manifest::new([7; 16], 3, 4, 2, 7400, 1 << 28);
        let extended = plain.clone().with(Chosen::of(Name::ALL));
        assert!(extended.format > plain.format, "a program that knows no extensions refuses it");
        for manifest in [plain, extended] {
            manifest.write(dir.path()).unwrap();
            assert_eq!(Manifest::read(dir.path()).unwrap(), Some(manifest));
        }
    }

    #[test]
    fn every_directory_that_is_made_becomes_a_durable_entry_of_the_one_above() {
        let home = tempfile::tempdir().unwrap();
        let mut synced = Vec::new();
        let mut sync = |dir: &Path| {
            synced.push(dir.to_owned());
            sync_dir(dir)
        };
        create_dirs(&home.path().join("a/b/c"), &mut sync).unwrap();
        create_dirs(&home.path().join("a/b/c"), &mut sync).unwrap();
        fs::write(home.path().join("file"), "").unwrap();
        assert!(create_dirs(&home.path().join("file"), &mut sync).is_err());
        assert!(create_dirs(&home.path().join("file/under"), &mut sync).is_err());
        assert_eq!(synced, ["", "a", "a/b"].map(|dir| home.path().join(dir)));
    }

    #[test]
    fn a_file_that_is_no_manifest_is_an_error_and_not_an_empty_directory() {
        let dir = tempfile::tempdir().unwrap();
        let good = Manifest::new([7; 16], 3, 1, 1, 7400, 1 << 28);
        let text = serde_json::to_string(&good).unwrap();
        let unknown = text.replace('}', ",\"extensions\":[\"elections\",\"magic\"]}");
        let none = text.replace("\"nodes\":3", "\"nodes\":0");
        for bad in ["", "{", "[]", &text.replace("0707", "07"), &none, &unknown] {
            fs::write(dir.path().join(FILE), bad).unwrap();
            assert!(matches!(Manifest::read(dir.path()), Err(ManifestError::Unreadable(..))), "{bad}");
        }
    }
}
