//! `docs/extending.md`: each recipe is a patch that applies to this tree, after those before it, and does what it says.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The recipes: the patch, and its heading on the page.
const RECIPES: [(&str, &str); 6] = [
    ("1-message", "A message"),
    ("2-query", "A query"),
    ("3-redis-command", "A Redis command"),
    ("4-mechanism", "A mechanism"),
    ("5-checker", "A checker"),
    ("6-scope", "A scope"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().parent().unwrap().to_owned()
}

fn patch(name: &str) -> PathBuf {
    root().join(format!("docs/extending/{name}.patch"))
}

/// What the page says of a recipe.
fn section(heading: &str) -> String {
    let page = std::fs::read_to_string(root().join("docs/extending.md")).unwrap();
    let (_, rest) = page.split_once(&format!("\n## {heading}\n")).expect(heading);
    rest.split("\n## ").next().unwrap().to_string()
}

/// The tree without what was built.
fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        // Neither what was built, nor what others keep here: a cluster's data, a history.
        let skipped = path.join("CACHEDIR.TAG").exists() || name == ".git" || name == "cutaway-data";
        match path.is_dir() {
            _ if skipped => {}
            true => copy_folder(&path, &to.join(name)),
            false => _ = std::fs::copy(&path, to.join(name)).unwrap(),
        }
    }
}

/// Applies a patch in `tree`. `None`: there is no git.
fn apply(tree: &Path, name: &str, options: &[&str]) -> Option<Output> {
    // Outside any repository: what is around the copy is none of its business.
    let git = Command::new("git")
        .args(["apply", "--whitespace=error-all"])
        .args(options)
        .arg(patch(name))
        .current_dir(tree)
        .env("GIT_DIR", tree.join("no-repository"))
        .output();
    git.ok()
}

/// Makes `tree` a copy with all recipes in it. False: there is no git.
fn extend(tree: &Path) -> bool {
    copy_folder(&root(), tree);
    for (name, _) in RECIPES {
        let Some(output) = apply(tree, name, &[]) else {
            println!("*** SKIPPED: there is no git to apply patches with");
            return false;
        };
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
    true
}

#[test]
fn every_recipe_applies_after_the_one_before_and_can_be_taken_out_again() {
    let tree = tempfile::tempdir().unwrap();
    let tree = tree.path();
    if !extend(tree) {
        return;
    }
    for (name, _) in RECIPES.iter().rev() {
        let back = apply(tree, name, &["-R"]).unwrap();
        assert!(back.status.success(), "{name}: {}", String::from_utf8_lossy(&back.stderr));
    }
    let read = |tree: &Path, file: &str| std::fs::read_to_string(tree.join(file)).unwrap();
    for file in ["crates/dataplane/src/message.rs", "crates/sim/src/checkers/mod.rs"] {
        assert_eq!(read(tree, file), read(&root(), file), "{file}");
    }
}

#[test]
fn the_page_names_every_file_that_a_recipe_changes_and_the_tests_that_it_brings() {
    for (name, heading) in RECIPES {
        let section = section(heading);
        assert!(section.contains(&format!("(extending/{name}.patch)")), "{heading} links no patch");
        let text = std::fs::read_to_string(patch(name)).unwrap();
        let files: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("+++ b/")).collect();
        assert!(files.len() >= 2, "{name}: {files:?}");
        for file in files {
            assert!(section.contains(&format!("`{file}`")), "{heading} does not name {file}");
        }
        for command in commands(&section) {
            let filter = command.last().unwrap();
            let brings = |line: &str| line.starts_with('+') && line.contains("fn ") && line.contains(filter);
            assert!(text.lines().any(brings), "{name} brings no test like {filter}");
        }
    }
}

/// The commands of a recipe, each without `cargo`.
fn commands(section: &str) -> Vec<Vec<String>> {
    let (_, code) = section.split_once("```sh\n").expect("each recipe ends with its tests");
    let code = code.split("```").next().unwrap();
    let words = |line: &str| line.split_whitespace().skip(1).map(str::to_string).collect();
    code.lines().map(words).collect()
}

/// It builds half of the workspace once more, and all that this depends on.
#[test]
#[ignore = "it builds half of the workspace: cargo test -p cutaway --test extending -- --ignored"]
fn every_recipe_does_what_it_says_in_a_copy_of_the_tree() {
    // What is built of the copy stays apart: to Cargo its crates are the same as those of this tree, so that it would take the
    // one for the other, and run old tests.
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (tree, target) = (place.join("extending"), place.join("extending-target"));
    let _ = std::fs::remove_dir_all(&tree);
    if !extend(&tree) {
        return;
    }
    for (_, heading) in RECIPES {
        for command in commands(&section(heading)) {
            let output = Command::new(env!("CARGO"))
                .args(&command)
                .arg("--offline")
                .current_dir(&tree)
                .env("CARGO_TARGET_DIR", &target)
                .output()
                .unwrap();
            let (told, error) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success(), "{heading}: {command:?}\n{told}\n{error}");
            let passed = told.lines().filter(|line| line.contains("... ok")).count();
            assert!(passed > 0, "{heading}: {command:?} runs no test\n{told}");
        }
    }
}
