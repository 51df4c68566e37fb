//! Writing a file that somebody named, and nothing else's: a slip in its name must cost nothing. And how large files are.

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

/// A number of bytes, as `256M` or `4G`.
pub fn parse_size(text: &str) -> std::result::Result<u64, String> {
    let (digits, shift) = match text.trim_end_matches(['B', 'b', 'i']).to_ascii_uppercase() {
        t if t.ends_with('K') => (t[..t.len() - 1].to_string(), 10),
        t if t.ends_with('M') => (t[..t.len() - 1].to_string(), 20),
        t if t.ends_with('G') => (t[..t.len() - 1].to_string(), 30),
        t if t.ends_with('T') => (t[..t.len() - 1].to_string(), 40),
        t => (t, 0),
    };
    let number: u64 = digits.parse().map_err(|_| format!("{text:?} is not a size such as 256M"))?;
    number.checked_mul(1 << shift).ok_or(format!("{text:?} is too much"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(parse_size("256M"), Ok(256 << 20));
        assert_eq!(parse_size("4GiB"), Ok(4 << 30));
        assert_eq!(parse_size("512"), Ok(512));
        for bad in ["", "M", "-1", "1.5G", "99999999999T"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
