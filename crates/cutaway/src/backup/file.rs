//! Copies in files: opened, checked, told.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use backup::{Base, Chain, ChainError, Digest, FormatError, Reader};
use serde_json::json;
use server::manifest::hex;

use crate::failure::{Failure, Result, me, quote, say};

/// A file that is read in large pieces.
pub type Input = BufReader<File>;

/// Reads a file in large pieces.
pub fn buffered(file: File) -> Input {
    BufReader::with_capacity(1 << 20, file)
}

/// Is it one of these, by its first bytes?
pub fn is_one(path: &Path) -> bool {
    let mut first = Vec::new();
    let begins = crate::files::BACKUP.1.as_bytes();
    let read = File::open(path).and_then(|file| file.take(begins.len() as u64).read_to_end(&mut first));
    read.is_ok() && first == begins
}

/// Opens several as one chain, the full one first.
pub fn chain(paths: &[PathBuf]) -> Result<Chain<Input>> {
    let inputs = paths.iter().map(|path| open(path)).collect::<Result<Vec<_>>>()?;
    Chain::open(inputs).map_err(|e| told(paths, &e))
}

/// A whole copy, checked, as the base of another.
pub fn base(path: &Path) -> Result<Base> {
    let checked = Reader::open(open(path)?).and_then(Reader::check);
    let summary = checked.map_err(|e| broken(path, &e))?;
    Ok(Base { header: summary.header, seqs: summary.shards.iter().map(|(seq, ..)| *seq).collect() })
}

fn open(path: &Path) -> Result<Input> {
    let cannot = |e| Failure::error(format!("cannot read {}: {e}", path.display()));
    File::open(path).map(buffered).map_err(|e| cannot(e).next("name a file that `cutaway backup` wrote"))
}

fn broken(path: &Path, error: &FormatError) -> Failure {
    let what = format!("{}: {error}", path.display());
    match error {
        FormatError::Cut { .. } | FormatError::Damaged { .. } => {
            Failure::corruption(what).next("use another backup, or another copy of this one")
        }
        FormatError::OtherVersion(_) => Failure::error(what).next("use the cutaway that wrote it"),
        FormatError::NotABackup => Failure::error(what).next("name a file that `cutaway backup` wrote"),
        FormatError::Io(_) => Failure::error(what).next("make the file readable"),
    }
}

/// A chain that is none, with the file that is to blame.
pub fn told(paths: &[PathBuf], error: &ChainError) -> Failure {
    let name = |file: usize| paths.get(file).map_or(String::new(), |path| path.display().to_string());
    match error {
        ChainError::Format(file, e) => broken(paths.get(*file).map_or(Path::new(""), |p| p), e),
        ChainError::NeedsBase(_) => Failure::error(format!("{}: {error}", name(0)))
            .next("name the full backup first, and then each incremental one behind its base"),
        ChainError::WrongBase { file, .. } => Failure::error(format!("{}: {error}", name(*file)))
            .next("name the full backup first, and then each incremental one behind its base"),
        ChainError::Lacks(file, _) => Failure::corruption(format!("{}: {error}", name(*file)))
            .next("use another backup, or another copy of these"),
    }
}

/// `verify`: every checksum, and what the file says of itself; with the digest of the state, if all of it is there.
pub fn verify(paths: &[PathBuf], json: bool) -> Result {
    let last = paths.last().map_or(Path::new(""), |path| path);
    let whole = Reader::open(open(last)?).and_then(Reader::check).map_err(|e| broken(last, &e))?;
    // An incremental one alone is checked for itself.
    let states = if paths.len() > 1 || whole.header.base.is_none() { Some(states(paths)?) } else { None };
    let id = hex(&whole.header.id);
    if json {
        let shard = |at: usize| {
            let (seq, keys, _) = whole.shards[at];
            let digest = states.as_ref().map(|states| states[at].1.to_string());
            json!({ "shard": at, "seq": seq, "keys": keys, "digest": digest })
        };
        let shards: Vec<_> = (0..whole.shards.len()).map(shard).collect();
        let base = whole.header.base.map(|id| hex(&id));
        let (cluster, blocks) = (hex(&whole.header.cluster), whole.blocks);
        say(
            json!({ "backup": id, "base": base, "cluster": cluster, "blocks": blocks, "shards": shards, "damage": [] }),
        );
        return Ok(());
    }
    let kind = if whole.header.base.is_some() { "incremental backup" } else { "full backup" };
    say(format!("{kind} {id} of cluster {}, {} blocks", hex(&whole.header.cluster), whole.blocks));
    for (at, (seq, keys, _)) in whole.shards.iter().enumerate() {
        let digest = states.as_ref().map_or(String::new(), |states| format!(", digest {}", states[at].1));
        say(format!("shard {at} as of entry {seq}: {keys} keys{digest}"));
    }
    say("all checksums fit, and everything fits together");
    if states.is_none() {
        let files = format!("{} verify FULL … {}", me(), quote(last.display()));
        say(format!("note: values before its base are not in it; {files} checks them too"));
    }
    Ok(())
}

/// Keys and digest of each shard.
fn states(paths: &[PathBuf]) -> Result<Vec<(u64, Digest)>> {
    let (mut chain, mut states) = (chain(paths)?, Vec::new());
    let failed = |e: ChainError| told(paths, &e);
    while chain.shard().map_err(failed)?.is_some() {
        while chain.item().map_err(failed)?.is_some() {}
        states.push(chain.digest());
    }
    Ok(states)
}
