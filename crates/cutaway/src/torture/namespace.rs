//! A network namespace of its own: a loopback that nobody else uses, so that packets on it can be lost. With a user
//! namespace around it, no rights are needed.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::failure::{Failure, Result};

/// Everything runs inside; the loopback of a new namespace is down.
const SCRIPT: &str = "ip link set lo up && exec \"$0\" \"$@\"";

fn inside() -> Command {
    let mut unshare = Command::new("unshare");
    unshare.args(["--map-root-user", "--net", "--", "sh", "-c", SCRIPT]);
    unshare
}

/// Can one be made here, with a loopback that works?
pub fn can_be_made() -> std::result::Result<(), String> {
    let tried = inside().arg("true").stdin(Stdio::null()).output();
    let tried = tried.map_err(|error| format!("unshare: {error}"))?;
    let why = String::from_utf8_lossy(&tried.stderr).lines().next().unwrap_or("it failed").to_string();
    if tried.status.success() { Ok(()) } else { Err(why) }
}

/// Becomes the same program inside of one; it returns only if that fails.
pub fn enter() -> Result {
    let program = std::env::current_exe().map_err(Failure::error)?;
    let error = inside().arg(program).args(std::env::args_os().skip(1)).arg("--inside").exec();
    Err(Failure::error(format!("unshare: {error}")))
}
