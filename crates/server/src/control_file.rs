//! `control.json` in the data directory of a cluster that is up: where `up` takes orders, and the token that they need.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The file's name inside the data directory.
pub const FILE: &str = "control.json";
/// What `control.json` holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Control {
    /// The process id of `up`.
    pub pid: u32,
    /// Its loopback port.
    pub port: u16,
    /// Who knows this may give orders.
    pub token: String,
}

impl Control {
    /// The control file of a directory whose cluster is up.
    pub fn read(dir: &Path) -> io::Result<Control> {
        serde_json::from_slice(&fs::read(dir.join(FILE))?).map_err(io::Error::other)
    }

    pub(crate) fn write(&self, dir: &Path) -> io::Result<()> {
        let temporary = dir.join(format!(".{FILE}.new"));
        // Made anew, so that the mode applies; a file left over might be readable by others.
        let _ = fs::remove_file(&temporary);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        fs::rename(temporary, dir.join(FILE))
    }
}

/// Removes the control file: nobody takes orders any more.
pub fn withdraw(dir: &Path) {
    let _ = fs::remove_file(dir.join(FILE)); // It may be gone with the directory.
}
