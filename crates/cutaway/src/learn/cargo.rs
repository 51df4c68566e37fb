//! Cargo, run with a word about how far it is.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::Value;

use super::progress::Progress;
use crate::failure::{Failure, Result};

/// How often it is looked how far a compilation is.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How many crates the grader is made of. `None`: cargo does not say.
pub fn crates_of(cargo: &OsStr, copy: &Path) -> Option<usize> {
    let mut command = Command::new(cargo);
    command.args(["tree", "--package", "lab", "--edges", "normal,build,dev", "--prefix", "none", "--quiet"]);
    let output = command.current_dir(copy).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    // The same crate may come again, with a mark that says so.
    let name = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let names: BTreeSet<String> = text.lines().map(name).filter(|name| !name.is_empty()).collect();
    (output.status.success() && !names.is_empty()).then_some(names.len())
}

/// What cargo said.
pub struct Told {
    pub success: bool,
    /// One for each crate, and for each thing that the compiler has to say.
    pub messages: Vec<Value>,
    pub error: String,
}

/// Runs cargo to its end, and tells how far it is; `crates` is how many it compiles, if that is known.
pub fn run(mut command: Command, crates: Option<usize>) -> Result<Told> {
    let mut progress = Progress::new(crates);
    let failed = |error: &dyn std::fmt::Display| {
        Failure::error(format!("cannot run cargo: {error}")).next("install Rust: https://rustup.rs")
    };
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Ends(command.spawn().map_err(|error| failed(&error))?);
    let stdout = child.0.stdout.take().ok_or_else(|| failed(&"it has no output"))?;
    let mut stderr = child.0.stderr.take().ok_or_else(|| failed(&"it has no output"))?;
    let error = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stderr.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let (tell, lines) = channel();
    std::thread::spawn(move || {
        BufReader::new(stdout).lines().map_while(io::Result::ok).for_each(|line| drop(tell.send(line)));
    });
    let mut messages = Vec::new();
    loop {
        progress.tick();
        let line = match lines.recv_timeout(LOOK_EVERY) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
        if let ("compiler-artifact", Some(package)) =
            (message["reason"].as_str().unwrap_or_default(), message["package_id"].as_str())
        {
            progress.compiled(package);
        }
        messages.push(message);
    }
    let status = child.0.wait().map_err(|error| failed(&error))?;
    Ok(Told { success: status.success(), messages, error: error.join().unwrap_or_default() })
}

/// A child that does not outlive its use.
pub struct Ends(pub Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
