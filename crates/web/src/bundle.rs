//! A page and its modules as one document that needs nothing else.

use serde_json::Value;

/// Modules as one script, in the order of their imports. A module that is part of one script imports and exports nothing.
pub fn script(modules: &[&str]) -> String {
    let lines = modules.iter().flat_map(|module| module.lines()).filter(|line| !line.starts_with("import "));
    lines.map(|line| format!("{}\n", line.strip_prefix("export ").unwrap_or(line))).collect()
}

/// Data for a script element: no `<` of it may end the element.
pub fn data(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c")
}
