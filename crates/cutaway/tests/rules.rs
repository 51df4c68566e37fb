//! Rules about the source itself: what the core may depend on, and who may switch a mechanism off.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().parent().unwrap().to_owned()
}

/// The core crates, and everything that they and their like may name as a dependency: each other, and a CRC.
const CORE: [&str; 5] = ["kv", "engine", "dataplane", "node", "gateway"];
const ALLOWED: [&str; 7] = ["kv", "engine", "dataplane", "node", "gateway", "trace", "crc32c"];

fn is_built_in(dependency: &Value) -> bool {
    dependency["kind"] != "dev" && dependency["optional"] == false
}

#[test]
fn the_core_depends_on_nothing_but_itself_and_a_checksum() {
    // Only what the members of the workspace declare: what the registry holds need not even have been downloaded.
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--no-deps", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();

    let mut declared = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        declared.insert(name, package["dependencies"].as_array().unwrap().clone());
    }
    assert!(CORE.iter().all(|core| declared.contains_key(core)), "the core crates are named {CORE:?}");
    for core in ALLOWED {
        for dependency in declared.get(core).into_iter().flatten().filter(|d| is_built_in(d)) {
            let name = dependency["name"].as_str().unwrap();
            assert!(ALLOWED.contains(&name), "{core} depends on {name}");
            // An optional dependency is left out only as long as nobody asks for the feature behind it.
            let features = dependency["features"].as_array().unwrap();
            assert!(features.is_empty(), "{core} asks for features of {name}: {features:?}");
        }
    }
}

/// Commands that may pass on what to leave out.
const EXPERIMENTS: [&str; 4] = ["check.rs", "sim.rs", "play.rs", "why.rs"];

/// All Rust files below `dir`.
fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            sources(&path, found);
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

#[test]
fn only_the_simulator_and_the_lab_can_switch_a_mechanism_off() {
    let root = root();
    let mut files = Vec::new();
    sources(&root.join("crates"), &mut files);
    sources(&root.join("extensions"), &mut files);
    assert!(files.len() > 30, "the sources are where they are looked for");
    for file in files {
        let place = file.strip_prefix(&root).unwrap();
        let in_room = |room: &str| place.starts_with(Path::new("crates").join(room));
        // Whatever is in a `tests` directory is never part of a process.
        if in_room("sim") || in_room("lab") || place.components().any(|c| c.as_os_str() == "tests") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        // The commands that run the simulator and the lab; they start no real process.
        if EXPERIMENTS.iter().any(|name| in_room("cutaway/src") && place.ends_with(name)) {
            assert!(!text.contains("server::"), "{} mixes experiments and real processes", place.display());
            continue;
        }
        // By convention a file's tests are its last part.
        let code = text.split("#[cfg(test)]").next().unwrap();
        let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        assert!(!code.contains(".without("), "{} takes a mechanism out", place.display());
        assert!(!code.contains("Mechanisms::without"), "{} takes a mechanism out", place.display());
    }
}

#[test]
fn nothing_is_unsafe_but_the_names_by_which_a_browser_calls() {
    let root = root();
    let mut files = Vec::new();
    sources(&root.join("crates"), &mut files);
    sources(&root.join("extensions"), &mut files);
    let mut names = 0;
    for file in files {
        let place = file.strip_prefix(&root).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code
            .filter(|line| line.contains("unsafe") && place.components().all(|c| c.as_os_str() != "tests"))
        {
            let is_name = line == "#[unsafe(no_mangle)]" && place == Path::new("crates/web/src/door.rs");
            let is_lint = line.contains("forbid(unsafe_code)");
            let is_leave = line == "#![allow(unsafe_code)]" && place == Path::new("crates/web/src/door.rs");
            assert!(is_name || is_lint || is_leave, "{}: {line}", place.display());
            names += usize::from(is_name);
        }
    }
    assert_eq!(names, 5, "the door has five names");
}

#[test]
fn extensions_know_the_core_and_not_each_other() {
    let of = |place: PathBuf| -> Vec<String> {
        let text = std::fs::read_to_string(place.join("Cargo.toml")).unwrap();
        let rest = text.split_once("[dependencies]\n").map_or("", |(_, rest)| rest);
        let lines = rest.split("\n[").next().unwrap().lines();
        lines
            .filter_map(|line| Some(line.split(['.', ' ', '=']).next()?.to_string()))
            .filter(|n| !n.is_empty())
            .collect()
    };
    for entry in std::fs::read_dir(root().join("extensions")).unwrap() {
        let place = entry.unwrap().path();
        if place.ends_with("all") {
            continue;
        }
        for name in of(place.clone()) {
            assert!(ALLOWED.contains(&name.as_str()), "{} depends on {name}", place.display());
        }
    }
    for core in CORE {
        for name in of(root().join("crates").join(core)) {
            assert!(
                !root().join("extensions").join(&name).exists() && name != "extensions",
                "{core} knows {name}"
            );
        }
    }
}

#[test]
fn a_real_process_has_no_flag_that_switches_a_mechanism_off() {
    for command in ["node", "gateway", "up", "format"] {
        let help = Command::new(env!("CARGO_BIN_EXE_cutaway")).args([command, "--help"]).output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        for &mechanism in trace::Mechanism::ALL {
            assert!(!help.contains(mechanism.id()), "`{command}` names {mechanism}");
        }
        assert!(!help.contains("--without"), "`{command}` has --without");
    }
}
