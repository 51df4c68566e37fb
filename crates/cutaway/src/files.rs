//! Writing a file that somebody named, and nothing else's: a slip in its name must cost nothing.

use std::fs;
use std::io::Read;
use std::path::Path;

use crate::failure::{Failure, Result};

/// What a file is, and how it begins if this program wrote it.
pub type Kind = (&'static str, &'static str);

/// A page of `view` and `why --html`.
pub const PAGE: Kind = ("page", "<!DOCTYPE html>\n<!-- written by cutaway -->\n");
/// A trace of `sim`.
pub const TRACE: Kind = ("trace", "{\"v\":1,\"id\":\"");

/// Writes `bytes` to a file that is new, is empty, or holds what this program wrote before.
pub fn write(file: &Path, bytes: &[u8], (what, begins): Kind) -> Result {
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
    fs::write(file, bytes).map_err(|e| Failure::error(format!("cannot write {name}: {e}")))
}
