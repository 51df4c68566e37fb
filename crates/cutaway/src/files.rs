//! Writing a file that somebody named, and nothing else's: a slip in its name must cost nothing.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use crate::failure::{Failure, Result};

/// What a file is, and how it begins if this program wrote it.
pub type Kind = (&'static str, &'static str);

/// A page of `view` and `why --html`. What `view --to` writes is in `export`.
pub const PAGE: Kind = ("page", "<!DOCTYPE html>\n<!-- written by cutaway -->\n");
/// A schedule that `sim --shrink` found.
pub const SCHEDULE: Kind = ("schedule", "# A schedule of cutaway sim");
/// A trace of `sim`.
pub const TRACE: Kind = ("trace", "{\"v\":3,\"id\":\"");

/// A copy of a cluster.
pub const BACKUP: Kind = ("backup", "CUTAWAYB");
/// An exploration of `check`.
pub const SAVED: Kind = ("saved check", lab::save::BEGINS);

/// Writes `bytes` to a file that is new, is empty, or holds what this program wrote before.
pub fn write(file: &Path, bytes: &[u8], kind: Kind) -> Result {
    may_write(file, kind)?;
    fs::write(file, bytes).map_err(|e| Failure::error(format!("cannot write {}: {e}", file.display())))
}

/// The same, all or nothing: what was there before stays until all of it is written.
pub fn replace(file: &Path, bytes: &[u8], kind: Kind) -> Result {
    may_write(file, kind)?;
    let failed = |e: std::io::Error| Failure::error(format!("cannot write {}: {e}", file.display()));
    let mut new = beside(file).map_err(failed)?;
    new.write_all(bytes).and_then(|()| new.as_file().sync_all()).map_err(failed)?;
    new.persist(file).map_err(|e| failed(e.error))?;
    Ok(())
}

/// Will [`replace`] be able to? Asked before hours of work that end with it.
pub fn can_replace(file: &Path, kind: Kind) -> Result {
    may_write(file, kind)?;
    let tried = beside(file);
    tried.map(drop).map_err(|e| Failure::error(format!("cannot write {}: {e}", file.display())))
}

/// A new file in the same directory, which is removed unless it takes the other's place.
pub fn beside(file: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::Builder::new().prefix(".cutaway-").tempfile_in(dir)
}

fn may_write(file: &Path, (what, begins): Kind) -> Result {
    let name = file.display();
    // A pipe or a device holds nothing that could be lost.
    let regular = fs::metadata(file).is_ok_and(|about| about.is_file());
    let mut there = Vec::new();
    if regular {
        let read = fs::File::open(file).and_then(|f| f.take(begins.len() as u64).read_to_end(&mut there));
        read.map_err(|e| Failure::error(format!("cannot read {name}: {e}")))?;
    }
    if !there.is_empty() && there != begins.as_bytes() {
        let error = format!("{name} is there, and is no {what} of this program: it is left as it is");
        return Err(Failure::error(error).next("name another file, or remove this one"));
    }
    Ok(())
}
