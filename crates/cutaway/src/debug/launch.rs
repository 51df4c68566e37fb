//! What is to be debugged: an editor's launch configuration.

use std::path::{Path, PathBuf};

use lab::Schedule;
use lab::why::registry;
use serde_json::Value;
use trace::Mechanism;

use super::tree::Tree;
use crate::failure::me;
use crate::play;

/// A launch configuration that makes sense.
pub struct Launch {
    pub schedule: Schedule,
    /// The file that it is in.
    pub file: Option<PathBuf>,
    /// The mechanisms that are taken out.
    pub off: Vec<Mechanism>,
    pub stop_on_entry: bool,
    /// Run it, and stop nowhere.
    pub no_debug: bool,
    pub tree: Tree,
}

impl Launch {
    /// An error says what is wrong, and what to write instead.
    pub fn read(arguments: &Value) -> Result<Launch, String> {
        let root = text(arguments, "sourceRoot")?.map(Path::new);
        let tree = Tree::find(root);
        let program = text(arguments, "program")?.ok_or_else(|| {
            format!("the launch configuration has no \"program\": {}", what_it_may_be("a schedule"))
        })?;
        let off: Vec<Mechanism> = ids(arguments)?
            .iter()
            .map(|id| lab::mechanism(id))
            .collect::<Result<_, _>>()
            .map_err(|why| format!("\"without\": {why} (`{} why` lists the mechanisms)", me()))?;
        let (schedule, file) = find(program, root, &tree)?;
        let (stop_on_entry, no_debug) = (flag(arguments, "stopOnEntry")?, flag(arguments, "noDebug")?);
        Ok(Launch { schedule, file, off, stop_on_entry, no_debug, tree })
    }
}

fn what_it_may_be(what: &str) -> String {
    format!(
        "give it the path of {what}, such as stories/old_primary_wakes_up.story, or a mechanism's id, such as epoch-fence"
    )
}

/// A schedule, and the file that it is in.
fn find(program: &str, root: Option<&Path>, tree: &Tree) -> Result<(Schedule, Option<PathBuf>), String> {
    let places = [Some(PathBuf::from(program)), root.map(|root| root.join(program)), tree.place(program)];
    if let Some(file) = places.into_iter().flatten().find(|place| place.is_file()) {
        let schedule = play::read(&file).map_err(|failure| failure.to_string())?;
        return Ok((schedule, std::path::absolute(&file).ok()));
    }
    let mechanism = lab::mechanism(program).map_err(|why| {
        format!("{program} is no file, and {why}: {}", what_it_may_be("a schedule or a story"))
    })?;
    let stored = registry::entry(mechanism).counterexample.ok_or_else(|| {
        format!(
            "{mechanism} has no schedule (`{} why {mechanism}` says why): {}",
            me(),
            what_it_may_be("another schedule")
        )
    })?;
    let schedule = stored.parse()?;
    // The same text, if the sources are here.
    let file = tree.place(&format!("crates/lab/counterexamples/{mechanism}.schedule"));
    let file = file.filter(|file| std::fs::read_to_string(file).is_ok_and(|text| text == stored));
    Ok((schedule, file))
}

fn text<'a>(arguments: &'a Value, name: &str) -> Result<Option<&'a str>, String> {
    match &arguments[name] {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        other => Err(format!("\"{name}\" is a text, not {other}")),
    }
}

fn flag(arguments: &Value, name: &str) -> Result<bool, String> {
    match &arguments[name] {
        Value::Null => Ok(false),
        Value::Bool(flag) => Ok(*flag),
        other => Err(format!("\"{name}\" is true or false, not {other}")),
    }
}

fn ids(arguments: &Value) -> Result<Vec<&str>, String> {
    let wrong = |other: &Value| {
        format!("\"without\" is a list of mechanisms, such as [\"epoch-fence\"], not {other}")
    };
    match &arguments["without"] {
        Value::Null => Ok(Vec::new()),
        Value::String(id) => Ok(vec![id]),
        Value::Array(ids) => ids.iter().map(|id| id.as_str().ok_or_else(|| wrong(id))).collect(),
        other => Err(wrong(other)),
    }
}
