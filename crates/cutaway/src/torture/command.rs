//! Other programs, run to their end.

use std::process::{Command, Output, Stdio};

/// Runs a program to its end.
pub fn run(command: &mut Command) -> Result<Output, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).output().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("{name} is not installed"),
        _ => format!("{name}: {error}"),
    })
}

/// The first line of what a program complained of.
pub fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or("it failed").trim().to_string()
}
