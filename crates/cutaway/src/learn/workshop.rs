//! Grades what has to be compiled: a copy of the core in the scratch folder, with the learner's text in it. The tree itself
//! is only read. The copy keeps what was compiled, so that after a save only what depends on the answer is compiled again.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lab::learn::{self, Exercise, Fault, Grade};

use super::cargo::{self, Ends};
use crate::failure::{Failure, Result, note};

/// The copy's folder, in the scratch folder.
const COPY: &str = "core";
/// What a grader is made of.
const CRATES: [&str; 9] = ["kv", "trace", "engine", "disk", "dataplane", "node", "gateway", "sim", "lab"];
/// The simulator founds clusters with any of the extensions: all of them are part of it.
const EXTENSIONS: &str = "extensions";
/// Folders of a crate that are part of it; and one beside the crates.
const FOLDERS: [&str; 4] = ["src", "counterexamples", "museum", "variations"];
const STORIES: &str = "stories";
/// A grader that takes longer than this has met an answer that does not come to an end.
const PATIENCE: Duration = Duration::from_secs(90);
/// Much of what a compiler says is about the same slip.
const ERROR_LINES_MAX: usize = 40;

/// The grader, in the copy's target folder: there once the core was compiled to the end.
const PROGRAM: &str = "debug/examples/grade";

/// A copy of the core, and the tree that it was made of.
pub struct Workshop {
    tree: PathBuf,
    desk: PathBuf,
}

impl Workshop {
    /// The workshop in the scratch folder `desk`; `tree` is the source tree, if somebody named it.
    pub fn new(desk: &Path, tree: Option<&Path>) -> Result<Workshop> {
        let found = match tree {
            Some(tree) if is_tree(tree) => Some(tree.to_owned()),
            Some(tree) => {
                let what = format!("{} is not the source tree of this program", tree.display());
                return Err(
                    Failure::error(what).next("name the folder that holds crates/dataplane/src/guard.rs")
                );
            }
            None => [std::env::current_dir(), std::env::current_exe()]
                .into_iter()
                .flatten()
                .find_map(|from| above(&from)),
        };
        let tree = found.ok_or_else(|| {
            Failure::error("this exercise compiles the core, and its source tree is not found from here")
                .next("run it in a clone of the project, or name the clone with --tree DIR")
        })?;
        Ok(Workshop { tree, desk: desk.to_owned() })
    }

    /// Grades the answer that is in the scratch folder.
    pub fn grade(&self, exercise: &Exercise) -> Result<Grade> {
        match self.made(exercise)? {
            Ok(program) => {
                note("Grading it.\n");
                self.run(&program, exercise)
            }
            Err(words) => Ok(Grade::not_yet(Fault::NotCompiled, words)),
        }
    }

    /// Compiles the core with the answer in it, and says so. What was interrupted has not been there a first time.
    pub fn made(&self, exercise: &Exercise) -> Result<std::result::Result<PathBuf, Vec<String>>> {
        self.renew(exercise)?;
        let copy = self.desk.join(COPY);
        let target = copy.join("target");
        match (target.join(PROGRAM).exists(), target.exists()) {
            (true, _) => note("Compiling the core with your answer in it: seconds.\n"),
            (false, began) => {
                let again = if began { " goes on: it was interrupted" } else { "" };
                note(format!(
                    "Compiling the core into {}. The first time{again}; it takes about 160 s of processor time,\n  so 2 minutes \
                     with two cores and nothing else to do. Later ones take seconds.\n",
                    copy.display()
                ));
            }
        }
        self.compile()
    }

    /// The copy is as the tree, but for the parts of this exercise. What is the same already is left alone, or all of it
    /// would be compiled again.
    fn renew(&self, exercise: &Exercise) -> Result {
        let read = |path: &str| fs::read_to_string(self.tree.join(path)).ok();
        let parts = learn::parts(exercise, read).map_err(Failure::error)?;
        let copy = self.desk.join(COPY);
        let failed = |error: io::Error| {
            Failure::error(format!("cannot copy the core to {}: {error}", copy.display()))
                .next("name another folder with --dir, or make room")
        };
        for file in self.files().map_err(failed)? {
            let name = file.to_string_lossy();
            if parts.iter().all(|part| part.path != name) {
                put(&copy.join(&file), &fs::read(self.tree.join(&file)).map_err(failed)?).map_err(failed)?;
            }
        }
        for part in &parts {
            put(&copy.join(&part.path), part.text.as_bytes()).map_err(failed)?;
        }
        let workspace = fs::read_to_string(self.tree.join("Cargo.toml")).map_err(failed)?;
        put(&copy.join("Cargo.toml"), manifest(&workspace).as_bytes()).map_err(failed)?;
        // Cargo leaves out of it what the copy does not need; after that, it is the copy's own.
        let lock = copy.join("Cargo.lock");
        if !lock.exists() {
            put(&lock, &fs::read(self.tree.join("Cargo.lock")).map_err(failed)?).map_err(failed)?;
        }
        Ok(())
    }

    /// Every file of the copy, from the tree's root.
    fn files(&self) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        let extensions = fs::read_dir(self.tree.join(EXTENSIONS))?;
        let extensions = extensions.map(|entry| Ok(Path::new(EXTENSIONS).join(entry?.file_name())));
        let crates = CRATES.iter().map(|name| Ok(Path::new("crates").join(name)));
        for room in crates.chain(extensions).collect::<io::Result<Vec<_>>>()? {
            files.push(room.join("Cargo.toml"));
            for folder in FOLDERS {
                below(&self.tree, &room.join(folder), &mut files)?;
            }
        }
        below(&self.tree, Path::new(STORIES), &mut files)?;
        Ok(files)
    }

    /// The compiled grader, or what the compiler has against the answer.
    fn compile(&self) -> Result<std::result::Result<PathBuf, Vec<String>>> {
        let copy = self.desk.join(COPY);
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(&cargo);
        command.args([
            "build",
            "--package",
            "lab",
            "--example",
            "grade",
            "--message-format",
            "json",
            "--quiet",
        ]);
        command.arg("--target-dir").arg(absolute(&copy.join("target"))?).current_dir(&copy);
        command.env("CARGO_INCREMENTAL", "1").env_remove("RUSTFLAGS").stdin(Stdio::null());
        let told = cargo::run(command, cargo::crates_of(&cargo, &copy))?;
        let (mut program, mut words) = (None, Vec::new());
        for message in &told.messages {
            match message["reason"].as_str() {
                Some("compiler-artifact") if message["target"]["name"] == "grade" => {
                    program = message["executable"].as_str().map(PathBuf::from);
                }
                Some("compiler-message") if message["message"]["level"] == "error" => {
                    let rendered = message["message"]["rendered"].as_str().unwrap_or_default();
                    words.extend(rendered.lines().map(|line| self.named(line)));
                }
                _ => {}
            }
        }
        if let (true, Some(program)) = (told.success, program) {
            return Ok(Ok(program));
        }
        if words.is_empty() {
            let error = told.error;
            return Err(Failure::error(format!("the copy of the core cannot be compiled: {}", error.trim()))
                .next(format!("remove {} and try again", copy.display())));
        }
        words.truncate(ERROR_LINES_MAX);
        words.insert(0, "The compiler refuses it:".into());
        Ok(Err(words))
    }

    /// A line of the compiler, with the answer's file as the learner knows it.
    fn named(&self, line: &str) -> String {
        let desk = format!("{}/", self.desk.display());
        ["crates/dataplane/src/", "crates/engine/src/", "crates/gateway/src/", "crates/lab/examples/"]
            .iter()
            .fold(line.trim_end().to_string(), |line, from| {
                line.replace(&format!("{from}../../../../"), &desk)
            })
    }

    fn run(&self, program: &Path, exercise: &Exercise) -> Result<Grade> {
        let failed =
            |error: &dyn std::fmt::Display| Failure::error(format!("cannot grade {}: {error}", exercise.id));
        let mut command = Command::new(program);
        command.arg(&exercise.id).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = Ends(command.spawn().map_err(|error| failed(&error))?);
        let mut stdout = child.0.stdout.take().ok_or_else(|| failed(&"it has no output"))?;
        let told = std::thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).map(|_| text)
        });
        let began = Instant::now();
        let status = loop {
            if let Some(status) = child.0.try_wait().map_err(|error| failed(&error))? {
                break status;
            }
            if began.elapsed() > PATIENCE {
                let words = format!("Your function does not come to an end within {} s.", PATIENCE.as_secs());
                return Ok(Grade::not_yet(Fault::Endless, [words]));
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let text =
            told.join().map_err(|_| failed(&"its output cannot be read"))?.map_err(|error| failed(&error))?;
        // A stack that overflows ends the program without a word.
        let ended = || format!("The program with your function in it ended without a grade: {status}.");
        Ok(Grade::from_json(text.trim()).unwrap_or_else(|| Grade::not_yet(Fault::Panicked, [ended()])))
    }
}

fn is_tree(dir: &Path) -> bool {
    dir.join("Cargo.toml").is_file() && dir.join("crates/dataplane/src/guard.rs").is_file()
}

/// The tree that holds `from`. A copy is no tree: it has no command line.
fn above(from: &Path) -> Option<PathBuf> {
    from.ancestors().find(|dir| is_tree(dir) && dir.join("crates/cutaway").is_dir()).map(Path::to_owned)
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path)
        .map_err(|error| Failure::error(format!("cannot name {}: {error}", path.display())))
}

/// The files below `dir`, from the tree's root; none if there is no such folder.
fn below(tree: &Path, dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries = match fs::read_dir(tree.join(dir)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let path = dir.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            below(tree, &path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// Writes a file, unless it is so already.
fn put(file: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(file).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(file, bytes)
}

/// The copy's own workspace: with the tree's versions, its own members, and a profile that compiles again quickly and still
/// runs a hundred seeds in seconds.
fn manifest(tree: &str) -> String {
    let section = |name: &str| -> String {
        let head = format!("[{name}]");
        let lines = tree.lines().skip_while(|line| *line != head);
        let lines = lines.enumerate().take_while(|(at, line)| *at == 0 || !line.starts_with('['));
        lines.map(|(_, line)| format!("{line}\n")).collect()
    };
    format!(
        "[workspace]\nresolver = \"3\"\nmembers = [\"crates/*\", \"extensions/*\"]\n\n{}{}{}warnings = {{ level = \"allow\", priority = -1 \
         }}\n\n[workspace.lints.clippy]\n\n[profile.dev]\nopt-level = 1\ndebug = 0\nincremental = true\n",
        section("workspace.package"),
        section("workspace.dependencies"),
        section("workspace.lints.rust"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copys_manifest_has_the_trees_versions_and_members_of_its_own() {
        let tree = include_str!("../../../../Cargo.toml");
        let copy = manifest(tree);
        assert!(copy.contains("crc32c = \"") && copy.contains("edition = \""), "{copy}");
        assert!(
            copy.contains("members = [\"crates/*\", \"extensions/*\"]\n") && !copy.contains("benches"),
            "{copy}"
        );
        assert_eq!(copy.matches("[workspace.dependencies]").count(), 1);
    }

    #[test]
    fn a_file_that_is_so_already_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a/b");
        put(&file, b"one").unwrap();
        let before = fs::metadata(&file).unwrap().modified().unwrap();
        put(&file, b"one").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), before);
        put(&file, b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
    }
}
